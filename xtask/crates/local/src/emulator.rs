//! The few calls that the keeper and the gateway make to the emulator themselves.
//!
//! moto takes the account from the access key in a request's credential and checks no signature
//! (<https://docs.getmoto.org/en/latest/docs/multi_account.html>) unless its IAM checks are switched on. Requests are
//! signed where the key's secret is known; else they carry an `Authorization` of the right form with a signature of zeros,
//! which those checks refuse.

use crate::http::{self, Answer, HttpError};
use crate::signing;
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, Method, Request, StatusCode, header};
use std::time::Duration;
use tokio::sync::OwnedMutexGuard;

const WITHIN: Duration = Duration::from_secs(30);
/// A zip for Lambda may be any size in S3; unpacked it has 250 MB at most.
const LONGEST: usize = 512 << 20;

/// A credential the emulator handed out.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Credential {
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
    /// Empty for a user's key.
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
    /// What calls are signed with, where it is known.
    pub(crate) credential: Option<Credential>,
}

impl Caller {
    /// Calls with a credential whose secret is known.
    pub(crate) fn with(authority: String, credential: Credential, region: String) -> Self {
        Self {
            authority,
            access_key_id: credential.access_key_id.clone(),
            region,
            credential: Some(credential),
        }
    }

    /// Asks for a path of a service that has paths, and hands back whatever the answer is.
    pub(crate) async fn ask(&self, service: &str, path: &str, limit: usize) -> Result<Answer, HttpError> {
        let wrong = |_| HttpError::Address { url: path.to_owned() };
        let request = Request::get(path).body(Body::empty()).map_err(wrong)?;
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
        let wrong = |_| HttpError::Address { url: self.authority.clone() };
        let host = HeaderValue::from_str(&self.authority).map_err(wrong)?;
        let unsigned = HeaderValue::from_str(&self.authorization(service)).map_err(wrong)?;
        parts.headers.insert(header::HOST, host);
        parts.headers.insert(header::AUTHORIZATION, unsigned);
        if let Some(credential) = &self.credential {
            signing::resign(&mut parts, &body, credential, &self.region, service);
        }
        Ok(Request::from_parts(parts, Body::from(body)))
    }

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

    /// Makes a role that may do anything; one that is there is kept.
    pub(crate) async fn make_administrator(&self, role: &str) -> Result<(), EmulatorError> {
        let trust = r#"{"Version":"2012-10-17","Statement":[]}"#;
        let policy =
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
        let named = format!("Version=2010-05-08&RoleName={role}");
        let create = format!("Action=CreateRole&{named}&AssumeRolePolicyDocument={}", http::encode(trust));
        match self.post_form("CreateRole", "iam", create).await {
            Ok(_) | Err(EmulatorError::Refused { status: StatusCode::CONFLICT, .. }) => {}
            Err(error) => return Err(error),
        }
        let put =
            format!("Action=PutRolePolicy&{named}&PolicyName=all&PolicyDocument={}", http::encode(policy));
        self.post_form("PutRolePolicy", "iam", put).await.map(drop)
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
        let answer = self.call(target, service, request, input.to_string()).await?;
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
        let answer = self.call(action, service, Request::get(path), Bytes::new()).await?;
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
        self.call("Publish", "sns", request, form).await.map(drop)
    }

    /// Reads an S3 object whole; `None` where bucket or key does not exist.
    pub(crate) async fn object(&self, bucket: &str, key: &str) -> Result<Option<Bytes>, EmulatorError> {
        let key = key.split('/').map(http::encode).collect::<Vec<_>>().join("/");
        let request = Request::get(format!("/{bucket}/{key}"));
        match self.call("GetObject", "s3", request, Bytes::new()).await {
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
        self.call(action, "logs", request, input.to_string()).await
    }

    async fn form(&self, action: &'static str, form: String) -> Result<String, EmulatorError> {
        self.post_form(action, "sts", form).await
    }

    async fn post_form(
        &self,
        action: &'static str,
        service: &str,
        form: String,
    ) -> Result<String, EmulatorError> {
        let request = Request::post("/")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded; charset=utf-8");
        let answer = self.call(action, service, request, form).await?;
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }

    async fn call(
        &self,
        action: &'static str,
        service: &str,
        request: axum::http::request::Builder,
        body: impl Into<Bytes>,
    ) -> Result<Answer, EmulatorError> {
        let request =
            request.body(()).map_err(|_| EmulatorError::Incomplete { action, missing: "a valid address" })?;
        let (parts, ()) = request.into_parts();
        let request = self
            .signed(parts, body.into(), service)
            .map_err(|source| EmulatorError::Http { action, source })?;
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

/// Opens the emulator's doors to unsigned calls while something is done; `None` where they stand open anyway.
///
/// Its switch is asked by setting it. Calls of others at the same moment are not checked either.
/// They are shut again also where whoever asked for it goes away.
pub(crate) async fn unchecked<T: Send + 'static>(
    authority: String,
    turn: OwnedMutexGuard<()>,
    work: impl Future<Output = Result<T, EmulatorError>> + Send + 'static,
) -> Result<Option<T>, EmulatorError> {
    let to_the_end = tokio::spawn(async move {
        let _turn = turn;
        let former = checks_after(&authority, "inf").await?;
        if former == "inf" {
            return Ok(None);
        }
        let done = work.await;
        checks_after(&authority, &former).await?;
        done.map(Some)
    });
    let missing = "an end";
    to_the_end.await.unwrap_or(Err(EmulatorError::Incomplete { action: "/moto-api/reset-auth", missing }))
}

/// Sets after how many calls the emulator checks signatures and policies, and gives what it was set to.
async fn checks_after(authority: &str, calls: &str) -> Result<String, EmulatorError> {
    let action = "/moto-api/reset-auth";
    let request = Request::post(action)
        .header(header::CONTENT_TYPE, "text/plain")
        .body(Body::from(calls.to_owned()))
        .map_err(|_| EmulatorError::Incomplete { action, missing: "a valid address" })?;
    let answer = accepted(action, http::exchange(authority, request, LONGEST, WITHIN).await)?;
    let told: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let missing = "PREVIOUS_INITIAL_NO_AUTH_ACTION_COUNT";
    told[missing].as_str().map(str::to_owned).ok_or(EmulatorError::Incomplete { action, missing })
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
    fn an_element_is_found_by_its_name() {
        let xml = "<a><Account>\n111111111111 </Account><Account>2</Account></a>";
        assert_eq!(element(xml, "Account").as_deref(), Some("111111111111"));
        assert_eq!(element(xml, "Arn"), None);
    }
}
