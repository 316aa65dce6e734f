//! The few calls that the keeper and the gateway make to the emulator themselves.
//!
//! moto takes the account from the access key in a request's credential and checks no signature
//! (<https://docs.getmoto.org/en/latest/docs/multi_account.html>), so requests carry an `Authorization` of the
//! right form with a signature of zeros. They would be refused where moto's IAM checks are on.

use crate::http::{self, Answer, HttpError};
use axum::body::{Body, Bytes};
use axum::http::{Method, Request, StatusCode, header};
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(30);
/// A zip for Lambda may be any size in S3; unpacked it has 250 MB at most.
const LONGEST: usize = 512 << 20;

/// A credential the emulator handed out.
#[derive(Debug, Clone)]
pub(crate) struct Credential {
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
    pub(crate) session_token: String,
}

/// Whose a key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The account's twelve digits.
    pub(crate) account: String,
    pub(crate) arn: String,
    pub(crate) user_id: String,
}

/// What went wrong in a call to the emulator.
#[derive(Debug, thiserror::Error)]
pub enum EmulatorError {
    /// No answer came.
    #[error("the emulator did not answer {action}")]
    Http {
        /// The call.
        action: &'static str,
        /// Why.
        source: HttpError,
    },
    /// It refused.
    #[error("the emulator answered {action} with {status}: {body}")]
    Refused {
        /// The call.
        action: &'static str,
        /// The HTTP status.
        status: StatusCode,
        /// The beginning of its answer.
        body: String,
    },
    /// It answered something else than expected.
    #[error("the emulator's answer to {action} lacks `{missing}`")]
    Incomplete {
        /// The call.
        action: &'static str,
        /// The element or key.
        missing: &'static str,
    },
}

/// Calls the emulator as the owner of one access key, in one region.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Caller {
    pub(crate) authority: String,
    pub(crate) access_key_id: String,
    pub(crate) region: String,
}

impl Caller {
    /// Gives an `Authorization` value that names our key and a service, and signs nothing.
    pub(crate) fn authorization(&self, service: &str) -> String {
        let (key, region) = (&self.access_key_id, &self.region);
        format!(
            "AWS4-HMAC-SHA256 Credential={key}/20260101/{region}/{service}/aws4_request, \
             SignedHeaders=host, Signature={:064}",
            0
        )
    }

    /// Assumes a role; moto asks neither whether it exists nor whose it is, so this is the way into any account.
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
        let answer = self.form("AssumeRole", form).await?;
        let take = |missing| {
            element(&answer, missing).ok_or(EmulatorError::Incomplete { action: "AssumeRole", missing })
        };
        Ok(Credential {
            access_key_id: take("AccessKeyId")?,
            secret_access_key: take("SecretAccessKey")?,
            session_token: take("SessionToken")?,
        })
    }

    /// Asks whose key ours is: the account's twelve digits.
    pub(crate) async fn account(&self) -> Result<String, EmulatorError> {
        self.identity().await.map(|identity| identity.account)
    }

    /// Asks whose key ours is.
    pub(crate) async fn identity(&self) -> Result<Identity, EmulatorError> {
        let action = "GetCallerIdentity";
        let answer = self.form(action, format!("Action={action}&Version=2011-06-15")).await?;
        let take = |missing| element(&answer, missing).ok_or(EmulatorError::Incomplete { action, missing });
        Ok(Identity { account: take("Account")?, arn: take("Arn")?, user_id: take("UserId")? })
    }

    /// Calls a service of the JSON protocols; the target is `<service's version>.<action>`.
    pub(crate) async fn json(
        &self,
        service: &str,
        target: &'static str,
        input: &serde_json::Value,
    ) -> Result<serde_json::Value, EmulatorError> {
        let kind = if service == "sqs" { "application/x-amz-json-1.0" } else { "application/x-amz-json-1.1" };
        let request = Request::post("/").header("x-amz-target", target).header(header::CONTENT_TYPE, kind);
        let answer = self.call(target, service, request, Body::from(input.to_string())).await?;
        if answer.body.is_empty() {
            return Ok(serde_json::Value::Null);
        }
        serde_json::from_slice(&answer.body)
            .map_err(|_| EmulatorError::Incomplete { action: target, missing: "a JSON document" })
    }

    /// Reads a path of a service that has paths.
    pub(crate) async fn read(
        &self,
        service: &str,
        action: &'static str,
        path: &str,
    ) -> Result<serde_json::Value, EmulatorError> {
        let answer = self.call(action, service, Request::get(path), Body::empty()).await?;
        serde_json::from_slice(&answer.body)
            .map_err(|_| EmulatorError::Incomplete { action, missing: "a JSON document" })
    }

    /// Publishes to a topic of SNS.
    pub(crate) async fn publish(&self, topic_arn: &str, message: &str) -> Result<(), EmulatorError> {
        let form = format!(
            "Action=Publish&Version=2010-03-31&TopicArn={}&Message={}",
            http::encode(topic_arn),
            http::encode(message)
        );
        let request = Request::post("/")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded; charset=utf-8");
        self.call("Publish", "sns", request, Body::from(form)).await.map(drop)
    }

    /// Reads an S3 object whole; `None` where bucket or key does not exist.
    pub(crate) async fn object(&self, bucket: &str, key: &str) -> Result<Option<Bytes>, EmulatorError> {
        let key = key.split('/').map(http::encode).collect::<Vec<_>>().join("/");
        let request = Request::get(format!("/{bucket}/{key}"));
        match self.call("GetObject", "s3", request, Body::empty()).await {
            Ok(answer) => Ok(Some(answer.body)),
            Err(EmulatorError::Refused { status: StatusCode::NOT_FOUND, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Calls CloudWatch Logs; `Err` also for what exists already.
    pub(crate) async fn logs(
        &self,
        action: &'static str,
        input: &serde_json::Value,
    ) -> Result<Answer, EmulatorError> {
        let request = Request::post("/")
            .header("x-amz-target", format!("Logs_20140328.{action}"))
            .header(header::CONTENT_TYPE, "application/x-amz-json-1.1");
        self.call(action, "logs", request, Body::from(input.to_string())).await
    }

    async fn form(&self, action: &'static str, form: String) -> Result<String, EmulatorError> {
        let request = Request::post("/")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded; charset=utf-8");
        let answer = self.call(action, "sts", request, Body::from(form)).await?;
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }

    async fn call(
        &self,
        action: &'static str,
        service: &str,
        request: axum::http::request::Builder,
        body: Body,
    ) -> Result<Answer, EmulatorError> {
        let request = request
            .header(header::AUTHORIZATION, self.authorization(service))
            .body(body)
            .map_err(|_| EmulatorError::Incomplete { action, missing: "a valid address" })?;
        accepted(action, http::exchange(&self.authority, request, LONGEST, WITHIN).await)
    }
}

/// Makes functions' code run nowhere but in the gateway: without this moto asks for Docker on each function.
///
/// It replaces moto's Lambda backend, so functions made before vanish: call it right after the start.
pub(crate) async fn without_docker(authority: &str) -> Result<(), EmulatorError> {
    let action = "/moto-api/config";
    let request = Request::builder()
        .method(Method::POST)
        .uri(action)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(r#"{"lambda":{"use_docker":false}}"#))
        .map_err(|_| EmulatorError::Incomplete { action, missing: "a valid address" })?;
    accepted(action, http::exchange(authority, request, LONGEST, WITHIN).await).map(drop)
}

fn accepted(action: &'static str, answer: Result<Answer, HttpError>) -> Result<Answer, EmulatorError> {
    let answer = answer.map_err(|source| EmulatorError::Http { action, source })?;
    if answer.status.is_success() {
        return Ok(answer);
    }
    let body = String::from_utf8_lossy(&answer.body).chars().take(400).collect();
    Err(EmulatorError::Refused { action, status: answer.status, body })
}

/// Takes the text of the first element of that name; the answers read here hold no markup within it.
pub(crate) fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    Some(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authorization_names_key_region_and_service() {
        let caller = Caller {
            authority: "127.0.0.1:1".to_owned(),
            access_key_id: "AKIA0000000000000000".to_owned(),
            region: "eu-west-1".to_owned(),
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
    fn an_element_is_found_by_its_name() {
        let xml = "<a><Account>\n111111111111 </Account><Account>2</Account></a>";
        assert_eq!(element(xml, "Account").as_deref(), Some("111111111111"));
        assert_eq!(element(xml, "Arn"), None);
    }
}
