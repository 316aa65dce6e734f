//! The client with which the supervisor and the gateway call the emulator.
//!
//! moto takes the account from the access key in a request's credential and does not check the signature
//! (<https://docs.getmoto.org/en/latest/docs/multi_account.html>) unless its IAM checks are enabled. Requests are signed
//! if the key's secret is known. Otherwise their `Authorization` has a signature of zeros, which the IAM checks reject.

use crate::http::{self, BufferedResponse, HttpError};
use crate::signing::{self, Credential};
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, Method, Request, StatusCode, header};
use std::time::Duration;
use tokio::sync::OwnedMutexGuard;

const WITHIN: Duration = Duration::from_secs(30);
/// The longest response, in bytes. The largest is the zip of a function, which has at most 250 MB unpacked.
const LONGEST: usize = 512 << 20;

/// The owner of an access key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// 12 digits.
    pub(crate) account: String,
    pub(crate) arn: String,
    pub(crate) user_id: String,
}

/// Why a call to the emulator failed.
#[derive(Debug, thiserror::Error)]
pub enum EmulatorError {
    /// There was no response.
    #[error("the emulator did not respond to {action}")]
    Http {
        /// The call.
        action: &'static str,
        /// The cause.
        source: HttpError,
    },
    /// The response is an error.
    #[error("the emulator responded to {action} with {status}: {body}")]
    ErrorResponse {
        /// The call.
        action: &'static str,
        /// The HTTP status.
        status: StatusCode,
        /// The beginning of the response's body.
        body: String,
    },
    /// The response lacks something.
    #[error("the emulator's response to {action} lacks `{missing}`")]
    Incomplete {
        /// The call.
        action: &'static str,
        /// The element or key.
        missing: &'static str,
    },
}

/// A client that calls the emulator with one access key, in one region.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Caller {
    pub(crate) authority: String,
    pub(crate) access_key_id: String,
    pub(crate) region: String,
    /// The credential that signs the calls, if the secret is known.
    pub(crate) credential: Option<Credential>,
}

impl Caller {
    /// Makes a client with a complete credential.
    pub(crate) fn with_credential(authority: String, credential: Credential, region: String) -> Self {
        Self {
            authority,
            access_key_id: credential.access_key_id.clone(),
            region,
            credential: Some(credential),
        }
    }

    /// Returns the response to a GET request, which may be an error response.
    pub(crate) async fn get(
        &self,
        service: &str,
        path: &str,
        limit: usize,
    ) -> Result<BufferedResponse, HttpError> {
        let invalid = |_| HttpError::Address { url: path.to_owned() };
        let request = Request::get(path).body(Body::empty()).map_err(invalid)?;
        let (parts, _) = request.into_parts();
        let request = self.signed(parts, Bytes::new(), service)?;
        http::exchange(&self.authority, request, limit, WITHIN).await
    }

    fn signed(
        &self,
        mut parts: axum::http::request::Parts,
        body: Bytes,
        service: &str,
    ) -> Result<Request<Body>, HttpError> {
        let invalid = |_| HttpError::Address { url: self.authority.clone() };
        let host = HeaderValue::from_str(&self.authority).map_err(invalid)?;
        let unsigned = HeaderValue::from_str(&self.authorization(service)).map_err(invalid)?;
        parts.headers.insert(header::HOST, host);
        parts.headers.insert(header::AUTHORIZATION, unsigned);
        if let Some(credential) = &self.credential {
            signing::resign(&mut parts, &body, credential, &self.region, service);
        }
        Ok(Request::from_parts(parts, Body::from(body)))
    }

    /// Returns an `Authorization` value that names the access key and a service, with a signature of zeros.
    pub(crate) fn authorization(&self, service: &str) -> String {
        let (key, region) = (&self.access_key_id, &self.region);
        format!(
            "AWS4-HMAC-SHA256 Credential={key}/20260101/{region}/{service}/aws4_request, \
             SignedHeaders=host, Signature={:064}",
            0
        )
    }

    /// Assumes a role. moto checks neither that the role exists nor whose it is, so any account can be entered this way.
    pub(crate) async fn assume_role(
        &self,
        role_arn: &str,
        session: &str,
    ) -> Result<Credential, EmulatorError> {
        let form = format!(
            "Action=AssumeRole&Version=2011-06-15&DurationSeconds=43200&RoleArn={}&RoleSessionName={}",
            http::encode(role_arn),
            http::encode(session)
        );
        let response = self.post_form("AssumeRole", "sts", form).await?;
        let take = |missing| {
            xml_element(&response, missing).ok_or(EmulatorError::Incomplete { action: "AssumeRole", missing })
        };
        Ok(Credential {
            access_key_id: take("AccessKeyId")?,
            secret_access_key: take("SecretAccessKey")?,
            session_token: take("SessionToken")?,
        })
    }

    /// Creates a role with all permissions; an existing role gets them.
    pub(crate) async fn create_admin_role(&self, role: &str) -> Result<(), EmulatorError> {
        let trust = r#"{"Version":"2012-10-17","Statement":[]}"#;
        let policy =
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
        let named = format!("Version=2010-05-08&RoleName={role}");
        let create = format!("Action=CreateRole&{named}&AssumeRolePolicyDocument={}", http::encode(trust));
        match self.post_form("CreateRole", "iam", create).await {
            Ok(_) | Err(EmulatorError::ErrorResponse { status: StatusCode::CONFLICT, .. }) => {}
            Err(error) => return Err(error),
        }
        let put =
            format!("Action=PutRolePolicy&{named}&PolicyName=all&PolicyDocument={}", http::encode(policy));
        self.post_form("PutRolePolicy", "iam", put).await.map(drop)
    }

    /// Returns the account of the access key: 12 digits.
    pub(crate) async fn account(&self) -> Result<String, EmulatorError> {
        self.identity().await.map(|identity| identity.account)
    }

    /// Returns the owner of the access key.
    pub(crate) async fn identity(&self) -> Result<Identity, EmulatorError> {
        let action = "GetCallerIdentity";
        let response = self.post_form(action, "sts", format!("Action={action}&Version=2011-06-15")).await?;
        let take =
            |missing| xml_element(&response, missing).ok_or(EmulatorError::Incomplete { action, missing });
        Ok(Identity { account: take("Account")?, arn: take("Arn")?, user_id: take("UserId")? })
    }

    /// Calls a service that uses a JSON protocol; the target is `<service's version>.<action>`.
    pub(crate) async fn call_json(
        &self,
        service: &str,
        target: &'static str,
        input: &serde_json::Value,
    ) -> Result<serde_json::Value, EmulatorError> {
        let kind = if service == "sqs" { "application/x-amz-json-1.0" } else { "application/x-amz-json-1.1" };
        let request = Request::post("/").header("x-amz-target", target).header(header::CONTENT_TYPE, kind);
        let response = self.call(target, service, request, input.to_string()).await?;
        if response.body.is_empty() {
            return Ok(serde_json::Value::Null);
        }
        serde_json::from_slice(&response.body)
            .map_err(|_| EmulatorError::Incomplete { action: target, missing: "a JSON document" })
    }

    /// Reads a JSON document from a service with a REST API.
    pub(crate) async fn get_json(
        &self,
        service: &str,
        action: &'static str,
        path: &str,
    ) -> Result<serde_json::Value, EmulatorError> {
        let response = self.call(action, service, Request::get(path), Bytes::new()).await?;
        serde_json::from_slice(&response.body)
            .map_err(|_| EmulatorError::Incomplete { action, missing: "a JSON document" })
    }

    /// Publishes a message to an SNS topic.
    pub(crate) async fn publish(&self, topic_arn: &str, message: &str) -> Result<(), EmulatorError> {
        let form = format!(
            "Action=Publish&Version=2010-03-31&TopicArn={}&Message={}",
            http::encode(topic_arn),
            http::encode(message)
        );
        let request = Request::post("/")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded; charset=utf-8");
        self.call("Publish", "sns", request, form).await.map(drop)
    }

    /// Reads an S3 object; `None` if bucket or key does not exist.
    pub(crate) async fn object(&self, bucket: &str, key: &str) -> Result<Option<Bytes>, EmulatorError> {
        let key = key.split('/').map(http::encode).collect::<Vec<_>>().join("/");
        let request = Request::get(format!("/{bucket}/{key}"));
        match self.call("GetObject", "s3", request, Bytes::new()).await {
            Ok(response) => Ok(Some(response.body)),
            Err(EmulatorError::ErrorResponse { status: StatusCode::NOT_FOUND, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Calls CloudWatch Logs. Creating what exists already is an error.
    pub(crate) async fn logs(
        &self,
        action: &'static str,
        input: &serde_json::Value,
    ) -> Result<BufferedResponse, EmulatorError> {
        let request = Request::post("/")
            .header("x-amz-target", format!("Logs_20140328.{action}"))
            .header(header::CONTENT_TYPE, "application/x-amz-json-1.1");
        self.call(action, "logs", request, input.to_string()).await
    }

    async fn post_form(
        &self,
        action: &'static str,
        service: &str,
        form: String,
    ) -> Result<String, EmulatorError> {
        let request = Request::post("/")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded; charset=utf-8");
        let response = self.call(action, service, request, form).await?;
        Ok(String::from_utf8_lossy(&response.body).into_owned())
    }

    async fn call(
        &self,
        action: &'static str,
        service: &str,
        request: axum::http::request::Builder,
        body: impl Into<Bytes>,
    ) -> Result<BufferedResponse, EmulatorError> {
        let request =
            request.body(()).map_err(|_| EmulatorError::Incomplete { action, missing: "a valid address" })?;
        let (parts, ()) = request.into_parts();
        let request = self
            .signed(parts, body.into(), service)
            .map_err(|source| EmulatorError::Http { action, source })?;
        success(action, http::exchange(&self.authority, request, LONGEST, WITHIN).await)
    }
}

/// Disables moto's own execution of functions, which needs Docker.
///
/// moto then replaces its Lambda backend and loses all functions, so this is called right after the start.
pub(crate) async fn disable_docker(authority: &str) -> Result<(), EmulatorError> {
    let action = "/moto-api/config";
    let request = Request::builder()
        .method(Method::POST)
        .uri(action)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(r#"{"lambda":{"use_docker":false}}"#))
        .map_err(|_| EmulatorError::Incomplete { action, missing: "a valid address" })?;
    success(action, http::exchange(authority, request, LONGEST, WITHIN).await).map(drop)
}

/// Runs `work` while the emulator's IAM checks are disabled; `None` if they were disabled before.
///
/// The checks are disabled for all clients meanwhile. They are enabled again even if the caller is cancelled, because
/// the work runs in a task of its own.
pub(crate) async fn with_iam_checks_disabled<T: Send + 'static>(
    authority: String,
    lock: OwnedMutexGuard<()>,
    work: impl Future<Output = Result<T, EmulatorError>> + Send + 'static,
) -> Result<Option<T>, EmulatorError> {
    let task = tokio::spawn(async move {
        let _lock = lock;
        let earlier = set_unchecked_calls(&authority, "inf").await?;
        if earlier == "inf" {
            return Ok(None);
        }
        let result = work.await;
        set_unchecked_calls(&authority, &earlier).await?;
        result.map(Some)
    });
    let missing = "a result";
    task.await.unwrap_or(Err(EmulatorError::Incomplete { action: "/moto-api/reset-auth", missing }))
}

/// Sets after how many calls the emulator starts its IAM checks; returns the earlier setting, `inf` if disabled.
async fn set_unchecked_calls(authority: &str, calls: &str) -> Result<String, EmulatorError> {
    let action = "/moto-api/reset-auth";
    let request = Request::post(action)
        .header(header::CONTENT_TYPE, "text/plain")
        .body(Body::from(calls.to_owned()))
        .map_err(|_| EmulatorError::Incomplete { action, missing: "a valid address" })?;
    let response = success(action, http::exchange(authority, request, LONGEST, WITHIN).await)?;
    let document: serde_json::Value = serde_json::from_slice(&response.body).unwrap_or_default();
    let missing = "PREVIOUS_INITIAL_NO_AUTH_ACTION_COUNT";
    document[missing].as_str().map(str::to_owned).ok_or(EmulatorError::Incomplete { action, missing })
}

fn success(
    action: &'static str,
    response: Result<BufferedResponse, HttpError>,
) -> Result<BufferedResponse, EmulatorError> {
    let response = response.map_err(|source| EmulatorError::Http { action, source })?;
    if response.status.is_success() {
        return Ok(response);
    }
    let body = String::from_utf8_lossy(&response.body).chars().take(400).collect();
    Err(EmulatorError::ErrorResponse { action, status: response.status, body })
}

/// Returns the text of the first element with this name, if the element holds text only.
pub(crate) fn xml_element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    Some(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorization_names_key_region_and_service() {
        let caller = Caller {
            authority: "127.0.0.1:1".to_owned(),
            access_key_id: "AKIA0000000000000000".to_owned(),
            region: "eu-west-1".to_owned(),
            credential: None,
        };
        let value = caller.authorization("s3");
        assert!(
            value.starts_with(
                "AWS4-HMAC-SHA256 Credential=AKIA0000000000000000/20260101/eu-west-1/s3/aws4_request, "
            ),
            "{value}"
        );
    }

    #[test]
    fn xml_element_is_found_by_its_name() {
        let xml = "<a><Account>\n111111111111 </Account><Account>2</Account></a>";
        assert_eq!(xml_element(xml, "Account").as_deref(), Some("111111111111"));
        assert_eq!(xml_element(xml, "Arn"), None);
    }
}
