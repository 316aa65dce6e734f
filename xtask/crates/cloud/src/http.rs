//! HTTP requests to a function's URL, to an HTTP API, and to services that are called without an SDK; signed with the
//! session's credentials on request.
//!
//! In: a [`HttpRequest`]. Out: a [`HttpResponse`] of any status. Errors: no credentials, no connection, no response in
//! time. Nothing is retried, because it is not known here whether a request may be repeated.

use std::time::{Duration, Instant, SystemTime};

use aws_credential_types::provider::ProvideCredentials as _;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::HttpConnector as _;
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest as SdkRequest;
use aws_smithy_types::body::SdkBody;
use http_body::Body as _;
use slipway_values::partition::Partition;

use crate::error::{CallContext, CloudError, CloudErrorKind, root_cause};
use crate::session::Session;

/// The largest response that is read, in bytes. The limits of Lambda and API Gateway are lower.
const LARGEST: usize = 32 << 20;

/// A request to a URL.
#[derive(Clone, Debug, Default)]
pub struct HttpRequest {
    /// `GET`, `POST`, …
    pub method: String,
    /// The URL.
    pub url: String,
    /// Headers, in upper or lower case; `host` and those of the signature are added.
    pub headers: Vec<(String, String)>,
    /// The body's bytes.
    pub body: Vec<u8>,
}

/// The response to a [`HttpRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpResponse {
    /// The HTTP status.
    pub status: u16,
    /// Headers with lower-case names.
    pub headers: Vec<(String, String)>,
    /// The body's bytes.
    pub body: Vec<u8>,
    /// The time from the request to the last byte.
    pub took: Duration,
}

impl Session {
    /// Sends a request as it is, or signed (Signature Version 4) for a service such as `execute-api` or `lambda`.
    ///
    /// # Errors
    /// Missing credentials where it is signed; [`CloudErrorKind::Unreachable`]; [`CloudErrorKind::TimedOut`] after `within`.
    pub async fn send(
        &self,
        request: &HttpRequest,
        sign_for: Option<&str>,
        within: Duration,
    ) -> Result<HttpResponse, CloudError> {
        self.send_to(self.region(), request, sign_for, within).await
    }

    /// Sends a request like [`Session::send`], signed for another region than the session's.
    pub(crate) async fn send_to(
        &self,
        region: &str,
        request: &HttpRequest,
        sign_for: Option<&str>,
        within: Duration,
    ) -> Result<HttpResponse, CloudError> {
        let begun = Instant::now();
        let subject = format!("{} {}", request.method, request.url.split('?').next().unwrap_or_default());
        let context =
            CallContext { service: "HTTP", operation: "Send", subject: &subject, endpoint: &request.url };
        let message = self.sdk_request(request, sign_for.map(|service| (service, region)), &context).await?;
        let response = tokio::time::timeout(within, async {
            let connector = connector(request.url.starts_with("http://"));
            let response = connector.call(message).await.map_err(|error| {
                let why = format!("{} cannot be reached: {}", context.endpoint, root_cause(&error));
                CloudError::at(&context, CloudErrorKind::Unreachable, why)
            })?;
            let status = response.status().as_u16();
            let header = |(name, value): (&str, &str)| (name.to_ascii_lowercase(), value.to_owned());
            let headers = response.headers().iter().map(header).collect();
            let body = read(response.into_body(), &context).await?;
            Ok(HttpResponse { status, headers, body, took: begun.elapsed() })
        });
        let timed_out = |_| {
            let why = format!("no response within {} s from {}", within.as_secs(), context.endpoint);
            CloudError::at(&context, CloudErrorKind::TimedOut, why)
        };
        response.await.map_err(timed_out)?
    }

    /// Returns a secret's current text from Secrets Manager; `None` where the secret, or its value, does not exist.
    ///
    /// # Errors
    /// Any refusal of Secrets Manager except "not found"; a secret of bytes instead of text.
    pub async fn secret(&self, id: &str) -> Result<Option<String>, CloudError> {
        let context = CallContext {
            service: "Secrets Manager",
            operation: "GetSecretValue",
            subject: id,
            endpoint: self.region(),
        };
        let wrong = |why: &str| CloudError::at(&context, CloudErrorKind::Other, why.to_owned());
        let region = self.region();
        let url = self.service_url(&Partition::of_region(region).host("secretsmanager", region));
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let request = HttpRequest {
            method: "POST".into(),
            url,
            headers: vec![
                header("content-type", "application/x-amz-json-1.1"),
                header("x-amz-target", "secretsmanager.GetSecretValue"),
            ],
            body: serde_json::json!({ "SecretId": id }).to_string().into_bytes(),
        };
        let response = self.send(&request, Some("secretsmanager"), Duration::from_secs(20)).await?;
        let document: serde_json::Value =
            serde_json::from_slice(&response.body).map_err(|_| wrong("the response is not JSON"))?;
        let text = |name: &str| document.get(name).and_then(serde_json::Value::as_str);
        if response.status == 200 {
            return match text("SecretString") {
                Some(secret) => Ok(Some(secret.to_owned())),
                None => Err(wrong("the secret has bytes, not text")),
            };
        }
        let code = text("__type").map(|kind| kind.rsplit('#').next().unwrap_or(kind)).unwrap_or_default();
        if code == "ResourceNotFoundException" {
            return Ok(None);
        }
        let kind =
            if code.contains("AccessDenied") { CloudErrorKind::AccessDenied } else { CloudErrorKind::Other };
        let message = text("message").or(text("Message")).unwrap_or("no reason was given");
        Err(CloudError::at(&context, kind, format!("{code}: {message}")))
    }

    /// Returns the URL of a service: the emulator's, or that of the service's own host.
    pub(crate) fn service_url(&self, host: &str) -> String {
        self.endpoint().map_or_else(
            || format!("https://{host}/"),
            |endpoint| format!("{}/", endpoint.trim_end_matches('/')),
        )
    }

    async fn sdk_request(
        &self,
        request: &HttpRequest,
        sign_for: Option<(&str, &str)>,
        context: &CallContext<'_>,
    ) -> Result<SdkRequest, CloudError> {
        let unsendable = |why: String| CloudError::at(context, CloudErrorKind::Other, why);
        let mut message = SdkRequest::new(SdkBody::from(request.body.clone()));
        message.set_method(request.method.as_str()).map_err(|error| unsendable(error.to_string()))?;
        message.set_uri(request.url.as_str()).map_err(|error| unsendable(error.to_string()))?;
        let mut headers = request.headers.clone();
        if let Some((service, region)) = sign_for {
            let host = url::Url::parse(&request.url).ok().and_then(|url| {
                let host = url.host_str()?.to_owned();
                Some(url.port().map_or(host.clone(), |port| format!("{host}:{port}")))
            });
            let host = host.ok_or_else(|| unsendable(format!("`{}` is not a valid URL", request.url)))?;
            headers.push(("host".into(), host));
            let signature = self.signature(request, &headers, service, region, context).await?;
            headers.extend(signature);
        }
        let out = message.headers_mut();
        if !request.body.is_empty() || !["GET", "HEAD"].contains(&request.method.as_str()) {
            out.insert("content-length", request.body.len().to_string());
        }
        for (name, value) in headers {
            let valid = out.try_insert(name.to_ascii_lowercase(), value);
            valid.map_err(|_| unsendable(format!("the header `{name}` cannot be sent")))?;
        }
        Ok(message)
    }

    async fn signature(
        &self,
        request: &HttpRequest,
        headers: &[(String, String)],
        service: &str,
        region: &str,
        context: &CallContext<'_>,
    ) -> Result<Vec<(String, String)>, CloudError> {
        let credentials = self
            .provider()
            .provide_credentials()
            .await
            .map_err(|error| CloudError::from_credentials(context, &error))?;
        let identity: Identity = credentials.into();
        let unsigned = |why: String| CloudError::at(context, CloudErrorKind::Other, why);
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name(service)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| unsigned(error.to_string()))?
            .into();
        let signable = SignableRequest::new(
            &request.method,
            &request.url,
            headers.iter().map(|(name, value)| (name.as_str(), value.as_str())),
            SignableBody::Bytes(&request.body),
        );
        let signable = signable.map_err(|error| unsigned(error.to_string()))?;
        let (instructions, _) =
            sign(signable, &parameters).map_err(|error| unsigned(error.to_string()))?.into_parts();
        Ok(instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}

fn connector(plain: bool) -> Connector {
    let connector = Connector::builder();
    if plain {
        return connector.build_http();
    }
    let connector = connector.proxy_config(ProxyConfig::from_env());
    connector.tls_provider(tls::Provider::rustls(CryptoMode::Ring)).build()
}

async fn read(mut body: SdkBody, context: &CallContext<'_>) -> Result<Vec<u8>, CloudError> {
    let mut whole = Vec::new();
    loop {
        let next = std::future::poll_fn(|task| std::pin::Pin::new(&mut body).poll_frame(task)).await;
        let Some(frame) = next else { return Ok(whole) };
        let frame = frame.map_err(|error| CloudError::body(context, error.as_ref()))?;
        if let Ok(bytes) = frame.into_data() {
            whole.extend_from_slice(&bytes);
        }
        if whole.len() > LARGEST {
            let why = format!("the response is larger than {LARGEST} bytes");
            return Err(CloudError::at(context, CloudErrorKind::Other, why));
        }
    }
}
