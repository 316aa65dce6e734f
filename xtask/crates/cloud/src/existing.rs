//! Whether what a name stands for exists in the account, and what Terraform imports it by; and the lock table of states.
//!
//! In: a [`Resource`]. Out: a [`Found`], or nothing. What can go wrong is a [`CloudError`]: what a service refuses but the
//! absence; a bucket by that name that is another account's. These services have no client of their own here: each
//! answers one or two calls, once in an account's life.

use std::time::Duration;

use serde_json::{Value, json};

use crate::error::{CloudError, Kind, Origin};
use crate::http::{HttpAnswer, HttpRequest};
use crate::session::Session;

/// How long one answer is awaited, and how long a table may take to come up.
const WITHIN: Duration = Duration::from_secs(30);
const TABLE_WITHIN: Duration = Duration::from_secs(120);

/// IAM has one place for all regions, and signatures for it name this one.
const IAM_REGION: &str = "us-east-1";

/// Something that is known by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// A bucket by its name.
    Bucket(String),
    /// A key of KMS by an alias, `alias/shop-release`.
    Key(String),
    /// An alias of KMS.
    KeyAlias(String),
    /// A DynamoDB table by its name.
    Table(String),
    /// A role by its name.
    Role(String),
    /// A policy by its ARN.
    Policy(String),
    /// An OIDC provider by its ARN.
    OidcProvider(String),
    /// A repository of Amazon's registry by its name.
    Repository(String),
}

/// Something that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What Terraform imports it by.
    pub id: String,
    /// Its tags, where the same answer tells them: of an OIDC provider alone.
    pub tags: Vec<(String, String)>,
}

impl Session {
    /// Looks for something by its name.
    ///
    /// # Errors
    /// [`Kind::AccessDenied`] for a bucket that is another account's; whatever else is refused.
    pub async fn existing(&self, resource: &Resource) -> Result<Option<Found>, CloudError> {
        let found = |id: &str| Some(Found { id: id.to_owned(), tags: Vec::new() });
        match resource {
            Resource::Bucket(name) => {
                let bucket = self.store(name, None);
                if !bucket.bucket_exists().await? {
                    return Ok(None);
                }
                if !bucket.owned().await? {
                    let origin = self.origin("S3", "ListBuckets", name);
                    return Err(CloudError::at(
                        &origin,
                        Kind::AccessDenied,
                        "the bucket is another account's",
                    ));
                }
                Ok(found(name))
            }
            Resource::Key(alias) => Ok(self.key_of(alias).await?.as_deref().and_then(found)),
            Resource::KeyAlias(alias) => Ok(self.key_of(alias).await?.and_then(|_| found(alias))),
            Resource::Table(name) => Ok(self.table_status(name).await?.and_then(|_| found(name))),
            Resource::Repository(name) => {
                let call = Call {
                    service: "ECR",
                    operation: "DescribeRepositories",
                    host: "api.ecr",
                    sign_for: "ecr",
                    target: "AmazonEC2ContainerRegistry_V20150921.DescribeRepositories",
                };
                let answer = self.json(&call, name, &json!({ "repositoryNames": [name] })).await?;
                Ok(answer.and_then(|_| found(name)))
            }
            Resource::Role(name) => {
                Ok(self.iam("GetRole", "RoleName", name).await?.and_then(|_| found(name)))
            }
            Resource::Policy(arn) => {
                Ok(self.iam("GetPolicy", "PolicyArn", arn).await?.and_then(|_| found(arn)))
            }
            Resource::OidcProvider(arn) => {
                let answer = self.iam("GetOpenIDConnectProvider", "OpenIDConnectProviderArn", arn).await?;
                Ok(answer.map(|xml| Found { id: arn.clone(), tags: tags_of(&xml) }))
            }
        }
    }

    /// Makes the table that Terraform's S3 backend locks states with, unless it exists; says whether it is new.
    ///
    /// # Errors
    /// [`Kind::TimedOut`] where it is not active after two minutes.
    pub async fn create_lock_table(&self, name: &str) -> Result<bool, CloudError> {
        if self.table_status(name).await?.is_some() {
            return Ok(false);
        }
        // https://developer.hashicorp.com/terraform/language/backend/s3#dynamodb-state-locking
        let table = json!({
            "TableName": name,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{ "AttributeName": "LockID", "AttributeType": "S" }],
            "KeySchema": [{ "AttributeName": "LockID", "KeyType": "HASH" }],
        });
        self.json(&dynamodb("CreateTable", "DynamoDB_20120810.CreateTable"), name, &table).await?;
        let begun = std::time::Instant::now();
        while self.table_status(name).await?.as_deref() != Some("ACTIVE") {
            if begun.elapsed() > TABLE_WITHIN {
                let origin = self.origin("DynamoDB", "CreateTable", name);
                return Err(CloudError::at(&origin, Kind::TimedOut, "the table is not active yet"));
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Ok(true)
    }

    async fn key_of(&self, alias: &str) -> Result<Option<String>, CloudError> {
        let call = Call {
            service: "KMS",
            operation: "DescribeKey",
            host: "kms",
            sign_for: "kms",
            target: "TrentService.DescribeKey",
        };
        let answer = self.json(&call, alias, &json!({ "KeyId": alias })).await?;
        let text = |name: &str| {
            let value = answer.as_ref()?.get("KeyMetadata")?.get(name)?.as_str()?;
            Some(value.to_owned())
        };
        // A key that waits for its deletion keeps its alias, and is no use.
        Ok(text("KeyId").filter(|_| text("KeyState").as_deref() != Some("PendingDeletion")))
    }

    async fn table_status(&self, name: &str) -> Result<Option<String>, CloudError> {
        let call = dynamodb("DescribeTable", "DynamoDB_20120810.DescribeTable");
        let answer = self.json(&call, name, &json!({ "TableName": name })).await?;
        Ok(answer.and_then(|answer| Some(answer.get("Table")?.get("TableStatus")?.as_str()?.to_owned())))
    }

    /// Sends a call of a JSON protocol; nothing where what it names does not exist.
    async fn json(&self, call: &Call, subject: &str, body: &Value) -> Result<Option<Value>, CloudError> {
        let origin = self.origin(call.service, call.operation, subject);
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let version = if call.service == "DynamoDB" { "1.0" } else { "1.1" };
        let request = HttpRequest {
            method: "POST".into(),
            url: self.url(&format!("{}.{}.amazonaws.com", call.host, self.region())),
            headers: vec![
                header("content-type", &format!("application/x-amz-json-{version}")),
                header("x-amz-target", call.target),
            ],
            body: body.to_string().into_bytes(),
        };
        let answer = self.send(&request, Some(call.sign_for), WITHIN).await?;
        let document: Value = serde_json::from_slice(&answer.body)
            .map_err(|_| CloudError::at(&origin, Kind::Other, "the answer is no JSON"))?;
        if answer.status == 200 {
            return Ok(Some(document));
        }
        let text = |name: &str| document.get(name).and_then(Value::as_str).unwrap_or_default();
        let code = text("__type").rsplit('#').next().unwrap_or_default();
        let said = if text("message").is_empty() { text("Message") } else { text("message") };
        refused(&origin, code, said)
    }

    /// Sends a call to IAM with one parameter and returns the XML of the answer.
    async fn iam(
        &self,
        operation: &'static str,
        parameter: &str,
        value: &str,
    ) -> Result<Option<String>, CloudError> {
        let origin = self.origin("IAM", operation, value);
        let body = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("Action", operation)
            .append_pair("Version", "2010-05-08")
            .append_pair(parameter, value)
            .finish();
        let content = "application/x-www-form-urlencoded; charset=utf-8";
        let request = HttpRequest {
            method: "POST".into(),
            url: self.url("iam.amazonaws.com"),
            headers: vec![("content-type".into(), content.into())],
            body: body.into_bytes(),
        };
        let answer: HttpAnswer = self.send_to(IAM_REGION, &request, Some("iam"), WITHIN).await?;
        let xml = String::from_utf8_lossy(&answer.body).into_owned();
        if answer.status == 200 {
            return Ok(Some(xml));
        }
        let first = |tag: &str| texts(&xml, tag).next().unwrap_or_default();
        refused(&origin, first("Code"), first("Message"))
    }

    fn url(&self, host: &str) -> String {
        self.endpoint().map_or_else(
            || format!("https://{host}/"),
            |endpoint| format!("{}/", endpoint.trim_end_matches('/')),
        )
    }

    fn origin<'a>(&'a self, service: &'static str, operation: &'static str, subject: &'a str) -> Origin<'a> {
        Origin { service, operation, subject, endpoint: self.endpoint().unwrap_or_else(|| self.region()) }
    }
}

/// One operation of a JSON protocol.
struct Call {
    service: &'static str,
    operation: &'static str,
    host: &'static str,
    sign_for: &'static str,
    target: &'static str,
}

fn dynamodb(operation: &'static str, target: &'static str) -> Call {
    Call { service: "DynamoDB", operation, host: "dynamodb", sign_for: "dynamodb", target }
}

/// Tells an absence from a refusal.
fn refused<T>(origin: &Origin<'_>, code: &str, said: &str) -> Result<Option<T>, CloudError> {
    const ABSENT: [&str; 4] =
        ["NotFoundException", "ResourceNotFoundException", "RepositoryNotFoundException", "NoSuchEntity"];
    if ABSENT.contains(&code) {
        return Ok(None);
    }
    let kind = if code.contains("AccessDenied") { Kind::AccessDenied } else { Kind::Other };
    Err(CloudError::at(origin, kind, format!("{code}: {said}")))
}

/// Finds what stands between a tag and its end, each time.
fn texts<'a>(xml: &'a str, tag: &str) -> impl Iterator<Item = &'a str> {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    let mut rest = xml;
    std::iter::from_fn(move || {
        let (_, after) = rest.split_once(&open)?;
        let (text, behind) = after.split_once(&close)?;
        rest = behind;
        Some(text.trim())
    })
}

fn tags_of(xml: &str) -> Vec<(String, String)> {
    texts(xml, "Key")
        .zip(texts(xml, "Value"))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_from_an_answer_of_iam() {
        let xml = "<Tags><member>\n <Key>Project</Key><Value>shop</Value></member><member><Key>Stack</Key>\n<Value>bootstrap</Value></member></Tags>";
        let tags = [("Project", "shop"), ("Stack", "bootstrap")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(tags_of(xml), tags);
    }

    #[test]
    fn an_absence_is_no_refusal() {
        let origin = Origin { service: "IAM", operation: "GetRole", subject: "r", endpoint: "x" };
        assert_eq!(refused::<()>(&origin, "NoSuchEntity", "gone").unwrap(), None);
        let error = refused::<()>(&origin, "AccessDeniedException", "no").unwrap_err();
        assert_eq!(error.kind, Kind::AccessDenied);
    }
}
