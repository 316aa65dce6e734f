//! Requests to what an account runs (a function's URL, an HTTP API) and to services without a client of their own here:
//! signed with the session's credentials where that is asked for.
//!
//! In: a [`HttpRequest`]. Out: a [`HttpAnswer`] of any status. What can go wrong is a [`CloudError`]: no credentials, no
//! connection, no answer in time. Nothing is tried twice: what a request does is not known here.

use std::time::{Duration, Instant, SystemTime};

use aws_credential_types::provider::ProvideCredentials as _;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::HttpConnector as _;
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest as Outgoing;
use aws_smithy_types::body::SdkBody;
use http_body::Body as _;

use crate::error::{CloudError, Kind, Origin, innermost};
use crate::session::Session;

/// The largest answer that is read: Lambda's and API Gateway's own limits are below it.
const LARGEST: usize = 32 << 20;

/// A request to a URL.
#[derive(Clone, Debug, Default)]
pub struct HttpRequest {
    /// `GET`, `POST`, …
    pub method: String,
    /// The whole URL.
    pub url: String,
    /// Headers, in any case; `host` and the signature's are added.
    pub headers: Vec<(String, String)>,
    /// The body's bytes.
    pub body: Vec<u8>,
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAnswer {
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
    /// Missing credentials where it is signed; [`Kind::Unreachable`]; [`Kind::TimedOut`] after `within`.
    pub async fn send(
        &self,
        request: &HttpRequest,
        sign_for: Option<&str>,
        within: Duration,
    ) -> Result<HttpAnswer, CloudError> {
        self.send_to(self.region(), request, sign_for, within).await
    }

    /// The same, signed for a region that is not the session's.
    pub(crate) async fn send_to(
        &self,
        region: &str,
        request: &HttpRequest,
        sign_for: Option<&str>,
        within: Duration,
    ) -> Result<HttpAnswer, CloudError> {
        let begun = Instant::now();
        let subject = format!("{} {}", request.method, request.url.split('?').next().unwrap_or_default());
        let origin = Origin { service: "HTTP", operation: "Send", subject: &subject, endpoint: &request.url };
        let message = self.message(request, sign_for.map(|service| (service, region)), &origin).await?;
        let answer = tokio::time::timeout(within, async {
            let connector = connector(request.url.starts_with("http://"));
            let answer = connector.call(message).await.map_err(|error| {
                let why = format!("{} can't be reached: {}", origin.endpoint, innermost(&error));
                CloudError::at(&origin, Kind::Unreachable, why)
            })?;
            let status = answer.status().as_u16();
            let header = |(name, value): (&str, &str)| (name.to_ascii_lowercase(), value.to_owned());
            let headers = answer.headers().iter().map(header).collect();
            let body = read(answer.into_body(), &origin).await?;
            Ok(HttpAnswer { status, headers, body, took: begun.elapsed() })
        });
        let late = |_| {
            let why = format!("no answer within {} s from {}", within.as_secs(), origin.endpoint);
            CloudError::at(&origin, Kind::TimedOut, why)
        };
        answer.await.map_err(late)?
    }

    /// Reads a secret's current text from Secrets Manager; nothing where the secret, or its value, does not exist.
    ///
    /// # Errors
    /// Whatever Secrets Manager refuses but the absence; a secret of bytes instead of text.
    pub async fn secret(&self, id: &str) -> Result<Option<String>, CloudError> {
        let origin = Origin {
            service: "Secrets Manager",
            operation: "GetSecretValue",
            subject: id,
            endpoint: self.region(),
        };
        let wrong = |why: &str| CloudError::at(&origin, Kind::Other, why.to_owned());
        let url = self.endpoint().map_or_else(
            || format!("https://secretsmanager.{}.amazonaws.com/", self.region()),
            |endpoint| format!("{}/", endpoint.trim_end_matches('/')),
        );
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
        let answer = self.send(&request, Some("secretsmanager"), Duration::from_secs(20)).await?;
        let document: serde_json::Value =
            serde_json::from_slice(&answer.body).map_err(|_| wrong("the answer is no JSON"))?;
        let text = |name: &str| document.get(name).and_then(serde_json::Value::as_str);
        if answer.status == 200 {
            return match text("SecretString") {
                Some(secret) => Ok(Some(secret.to_owned())),
                None => Err(wrong("the secret holds bytes, not text")),
            };
        }
        let code = text("__type").map(|kind| kind.rsplit('#').next().unwrap_or(kind)).unwrap_or_default();
        if code == "ResourceNotFoundException" {
            return Ok(None);
        }
        let kind = if code.contains("AccessDenied") { Kind::AccessDenied } else { Kind::Other };
        let said = text("message").or(text("Message")).unwrap_or("no reason was given");
        Err(CloudError::at(&origin, kind, format!("{code}: {said}")))
    }

    async fn message(
        &self,
        request: &HttpRequest,
        sign_for: Option<(&str, &str)>,
        origin: &Origin<'_>,
    ) -> Result<Outgoing, CloudError> {
        let unsendable = |why: String| CloudError::at(origin, Kind::Other, why);
        let mut message = Outgoing::new(SdkBody::from(request.body.clone()));
        message.set_method(request.method.as_str()).map_err(|error| unsendable(error.to_string()))?;
        message.set_uri(request.url.as_str()).map_err(|error| unsendable(error.to_string()))?;
        let mut headers = request.headers.clone();
        if let Some((service, region)) = sign_for {
            let host = url::Url::parse(&request.url).ok().and_then(|url| {
                let host = url.host_str()?.to_owned();
                Some(url.port().map_or(host.clone(), |port| format!("{host}:{port}")))
            });
            let host = host.ok_or_else(|| unsendable(format!("`{}` is no URL", request.url)))?;
            headers.push(("host".into(), host));
            let signature = self.signature(request, &headers, service, region, origin).await?;
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
        origin: &Origin<'_>,
    ) -> Result<Vec<(String, String)>, CloudError> {
        let credentials = self
            .provider()
            .provide_credentials()
            .await
            .map_err(|error| CloudError::from_credentials(origin, &error))?;
        let identity: Identity = credentials.into();
        let unsigned = |why: String| CloudError::at(origin, Kind::Other, why);
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

async fn read(mut body: SdkBody, origin: &Origin<'_>) -> Result<Vec<u8>, CloudError> {
    let mut whole = Vec::new();
    loop {
        let next = std::future::poll_fn(|context| std::pin::Pin::new(&mut body).poll_frame(context)).await;
        let Some(frame) = next else { return Ok(whole) };
        let frame = frame.map_err(|error| CloudError::body(origin, error.as_ref()))?;
        if let Ok(bytes) = frame.into_data() {
            whole.extend_from_slice(&bytes);
        }
        if whole.len() > LARGEST {
            let why = format!("the answer is larger than {LARGEST} bytes");
            return Err(CloudError::at(origin, Kind::Other, why));
        }
    }
}
