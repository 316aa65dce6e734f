//! Looks up resources by name, with the id that Terraform imports them by; creates the lock table of Terraform's states.
//!
//! In: a [`Resource`]. Out: an [`ExistingResource`], or `None` where there is none of that name. Errors: any other
//! refusal of a service; a bucket of that name in another account.
//!
//! S3, KMS, ECR and Lambda are called through their SDKs. IAM, DynamoDB and CloudWatch Logs are not: each is called seldom, and their SDKs would add minutes to the build.

use std::time::Duration;

use serde_json::{Value, json};
use slipway_values::partition::Partition;

use crate::error::{CallContext, CloudError, CloudErrorKind};
use crate::http::HttpRequest;
use crate::session::Session;

/// The time limit of one call to IAM or DynamoDB.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a new table may take until it is active.
const TABLE_TIMEOUT: Duration = Duration::from_secs(120);

const JSON_1_0: &str = "application/x-amz-json-1.0";
const JSON_1_1: &str = "application/x-amz-json-1.1";

/// A resource that is known by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// A bucket by its name.
    Bucket(String),
    /// A KMS key by an alias, `alias/shop-release`.
    Key(String),
    /// A KMS alias.
    KeyAlias(String),
    /// A DynamoDB table by its name.
    Table(String),
    /// An IAM role by its name.
    Role(String),
    /// An IAM policy by its ARN.
    Policy(String),
    /// An OIDC provider by its ARN.
    OidcProvider(String),
    /// An ECR repository by its name.
    Repository(String),
    /// A log group by its name.
    LogGroup(String),
    /// A Lambda function by its name.
    Function(String),
    /// An alias of a Lambda function.
    FunctionAlias {
        /// The function's name.
        function: String,
        /// The alias's name.
        alias: String,
    },
}

/// A resource that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExistingResource {
    /// The id that Terraform imports it by.
    pub id: String,
    /// Its tags. They are read for OIDC providers only.
    pub tags: Vec<(String, String)>,
}

impl Session {
    /// Looks for a resource by its name; `None` where there is none.
    ///
    /// # Errors
    /// [`CloudErrorKind::AccessDenied`] for a bucket of another account; any refusal of a service except "not found".
    pub async fn existing(&self, resource: &Resource) -> Result<Option<ExistingResource>, CloudError> {
        let found = |id: &str| Some(ExistingResource { id: id.to_owned(), tags: Vec::new() });
        match resource {
            Resource::Bucket(name) => {
                let bucket = self.store(name, None);
                if !bucket.bucket_exists().await? {
                    return Ok(None);
                }
                if !bucket.is_own().await? {
                    let context = self.context("S3", "ListBuckets", name);
                    return Err(CloudError::at(
                        &context,
                        CloudErrorKind::AccessDenied,
                        "the bucket belongs to another account",
                    ));
                }
                Ok(found(name))
            }
            Resource::Key(alias) => Ok(self.key_id(alias).await?.as_deref().and_then(found)),
            Resource::KeyAlias(alias) => Ok(self.key_id(alias).await?.and_then(|_| found(alias))),
            Resource::Table(name) => Ok(self.table_status(name).await?.and_then(|_| found(name))),
            Resource::Repository(name) => Ok(self.has_repository(name).await?.then(|| found(name)).flatten()),
            Resource::Role(name) => {
                Ok(self.iam("GetRole", "RoleName", name).await?.and_then(|_| found(name)))
            }
            Resource::Policy(arn) => {
                Ok(self.iam("GetPolicy", "PolicyArn", arn).await?.and_then(|_| found(arn)))
            }
            Resource::LogGroup(name) => Ok(self.has_log_group(name).await?.then(|| found(name)).flatten()),
            Resource::Function(name) => {
                Ok(self.functions().configuration(name, None).await?.and_then(|_| found(name)))
            }
            Resource::FunctionAlias { function, alias } => {
                let alias_found = self.functions().alias(function, alias).await?;
                Ok(alias_found.and_then(|_| found(&format!("{function}/{alias}"))))
            }
            Resource::OidcProvider(arn) => {
                let xml = self.iam("GetOpenIDConnectProvider", "OpenIDConnectProviderArn", arn).await?;
                Ok(xml.map(|xml| ExistingResource { id: arn.clone(), tags: tags_of(&xml) }))
            }
        }
    }

    /// Creates the table that Terraform's S3 backend locks states with, unless it exists; returns whether it is new.
    ///
    /// # Errors
    /// [`CloudErrorKind::TimedOut`] where it is not active after two minutes.
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
        self.dynamodb("CreateTable", name, &table).await?;
        let begun = std::time::Instant::now();
        while self.table_status(name).await?.as_deref() != Some("ACTIVE") {
            if begun.elapsed() > TABLE_TIMEOUT {
                let context = self.context("DynamoDB", "CreateTable", name);
                return Err(CloudError::at(
                    &context,
                    CloudErrorKind::TimedOut,
                    "the table is not active yet",
                ));
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Ok(true)
    }

    /// Reads the lock of a state in the table that Terraform's S3 backend locks with; `state` is its bucket and key,
    /// `bucket/hello.tfstate`. Returns the lock's JSON, empty where the item has none; `None` where no item or no table is there.
    ///
    /// # Errors
    /// Any refusal of DynamoDB, such as [`CloudErrorKind::AccessDenied`].
    pub async fn state_lock(&self, table: &str, state: &str) -> Result<Option<String>, CloudError> {
        let item = json!({ "TableName": table, "Key": { "LockID": { "S": state } }, "ConsistentRead": true });
        let response = self.dynamodb("GetItem", table, &item).await?;
        let info = |item: &Value| item["Info"]["S"].as_str().unwrap_or_default().to_owned();
        Ok(response.and_then(|response| response.get("Item").map(info)))
    }

    /// Returns the id of the key that an alias points to.
    async fn key_id(&self, alias: &str) -> Result<Option<String>, CloudError> {
        let request = self.shared().kms().describe_key().key_id(alias);
        match self.shared().calls("KMS").run("DescribeKey", alias, request.send()).await {
            // A key that waits for its deletion keeps its alias, and cannot be used.
            Ok(response) => Ok(response
                .key_metadata()
                .filter(|key| key.key_state() != Some(&aws_sdk_kms::types::KeyState::PendingDeletion))
                .map(|key| key.key_id().to_owned())),
            Err(error) if error.kind == CloudErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn has_repository(&self, name: &str) -> Result<bool, CloudError> {
        let request = self.shared().ecr().describe_repositories().repository_names(name);
        match self.shared().calls("ECR").run("DescribeRepositories", name, request.send()).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind == CloudErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn has_log_group(&self, name: &str) -> Result<bool, CloudError> {
        let body = json!({ "logGroupNamePrefix": name, "limit": 1 });
        // The one with exactly that name comes first: names are listed in order, and the others are longer.
        let response =
            self.json_call("CloudWatch Logs", "logs", "Logs_20140328", "DescribeLogGroups", name, &body);
        let groups = response.await?.and_then(|response| response.get("logGroups")?.as_array().cloned());
        Ok(groups.into_iter().flatten().any(|group| group["logGroupName"] == name))
    }

    async fn table_status(&self, name: &str) -> Result<Option<String>, CloudError> {
        let response = self.dynamodb("DescribeTable", name, &json!({ "TableName": name })).await?;
        let status = |response: Value| Some(response.get("Table")?.get("TableStatus")?.as_str()?.to_owned());
        Ok(response.and_then(status))
    }

    /// Calls DynamoDB; `None` where the table does not exist.
    async fn dynamodb(
        &self,
        operation: &'static str,
        table: &str,
        body: &Value,
    ) -> Result<Option<Value>, CloudError> {
        self.json_call("DynamoDB", "dynamodb", "DynamoDB_20120810", operation, table, body).await
    }

    /// Calls a service that takes JSON; `None` where what it names does not exist.
    async fn json_call(
        &self,
        name: &'static str,
        service: &'static str,
        target: &str,
        operation: &'static str,
        subject: &str,
        body: &Value,
    ) -> Result<Option<Value>, CloudError> {
        let context = self.context(name, operation, subject);
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let region = self.region();
        let request = HttpRequest {
            method: "POST".into(),
            url: self.service_url(&Partition::of_region(region).host(service, region)),
            headers: vec![
                header("content-type", if service == "logs" { JSON_1_1 } else { JSON_1_0 }),
                header("x-amz-target", &format!("{target}.{operation}")),
            ],
            body: body.to_string().into_bytes(),
        };
        let response = self.send(&request, Some(service), CALL_TIMEOUT).await?;
        let document: Value = serde_json::from_slice(&response.body)
            .map_err(|_| CloudError::at(&context, CloudErrorKind::Other, "the response is not JSON"))?;
        if response.status == 200 {
            return Ok(Some(document));
        }
        let text = |name: &str| document.get(name).and_then(Value::as_str).unwrap_or_default();
        let code = text("__type").rsplit('#').next().unwrap_or_default();
        let message = if text("message").is_empty() { text("Message") } else { text("message") };
        absent_or_error(&context, code, message)
    }

    /// Calls IAM with one parameter and returns the response's XML; `None` where what it names does not exist.
    async fn iam(
        &self,
        operation: &'static str,
        parameter: &str,
        value: &str,
    ) -> Result<Option<String>, CloudError> {
        let context = self.context("IAM", operation, value);
        let (host, region) = iam_endpoint(Partition::of_region(self.region()));
        match self.query(&context, ("iam", &host, region, "2010-05-08"), &[(parameter, value)]).await {
            Ok(xml) => Ok(Some(xml)),
            Err(error) if error.kind == CloudErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Calls a service that takes a form and returns XML: its name, host, signing region and version of its API. What it names and
    /// does not exist is [`CloudErrorKind::NotFound`].
    pub(crate) async fn query(
        &self,
        context: &CallContext<'_>,
        (service, host, region, version): (&str, &str, &str, &str),
        parameters: &[(&str, &str)],
    ) -> Result<String, CloudError> {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("Action", context.operation)
            .append_pair("Version", version)
            .extend_pairs(parameters)
            .finish();
        let content = "application/x-www-form-urlencoded; charset=utf-8";
        let request = HttpRequest {
            method: "POST".into(),
            url: self.service_url(host),
            headers: vec![("content-type".into(), content.into())],
            body: body.into_bytes(),
        };
        let response = self.send_to(region, &request, Some(service), CALL_TIMEOUT).await?;
        let xml = String::from_utf8_lossy(&response.body).into_owned();
        if response.status == 200 {
            return Ok(xml);
        }
        let first = |tag: &str| texts(&xml, tag).next().unwrap_or_default();
        absent_or_error(context, first("Code"), first("Message"))?
            .ok_or_else(|| CloudError::at(context, CloudErrorKind::NotFound, first("Message")))
    }

    fn context<'a>(
        &'a self,
        service: &'static str,
        operation: &'static str,
        subject: &'a str,
    ) -> CallContext<'a> {
        CallContext {
            service,
            operation,
            subject,
            endpoint: self.endpoint().unwrap_or_else(|| self.region()),
        }
    }
}

/// Returns the host of a partition's one IAM endpoint, and the region that requests to it are signed for.
///
/// Source: the `iam` endpoint rule set of the AWS SDKs, and
/// <https://docs.aws.amazon.com/general/latest/gr/iam-service.html>.
pub(crate) fn iam_endpoint(partition: Partition) -> (String, &'static str) {
    let region = match partition {
        Partition::Aws => return ("iam.amazonaws.com".to_owned(), "us-east-1"),
        Partition::GovCloud => return ("iam.us-gov.amazonaws.com".to_owned(), "us-gov-west-1"),
        Partition::China => "cn-north-1",
        Partition::EuropeanSovereign => "eusc-de-east-1",
        Partition::Iso => "us-iso-east-1",
        Partition::IsoB => "us-isob-east-1",
        Partition::IsoE => "eu-isoe-west-1",
        Partition::IsoF => "us-isof-south-1",
    };
    (partition.host("iam", region), region)
}

/// Returns `None` for the codes that say that something does not exist, and an error for all others.
fn absent_or_error<T>(context: &CallContext<'_>, code: &str, message: &str) -> Result<Option<T>, CloudError> {
    // EC2 says UnauthorizedOperation: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
    if ["ResourceNotFoundException", "NoSuchEntity"].contains(&code) {
        return Ok(None);
    }
    let kind = if code.contains("AccessDenied") || code == "UnauthorizedOperation" {
        CloudErrorKind::AccessDenied
    } else {
        CloudErrorKind::Other
    };
    Err(CloudError::at(context, kind, format!("{code}: {message}")))
}

/// Returns the text of each element with this tag, in order.
pub(crate) fn texts<'a>(xml: &'a str, tag: &str) -> impl Iterator<Item = &'a str> {
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
    fn tags_are_read_from_a_response_of_iam() {
        let xml = "<Tags><member>\n <Key>Project</Key><Value>shop</Value></member><member><Key>Stack</Key>\n<Value>bootstrap</Value></member></Tags>";
        let tags = [("Project", "shop"), ("Stack", "bootstrap")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(tags_of(xml), tags);
    }

    #[test]
    fn error_code_decides_between_absence_and_refusal() {
        let context = CallContext { service: "IAM", operation: "GetRole", subject: "r", endpoint: "x" };
        assert_eq!(absent_or_error::<()>(&context, "NoSuchEntity", "gone").unwrap(), None);
        let error = absent_or_error::<()>(&context, "AccessDeniedException", "no").unwrap_err();
        assert_eq!(error.kind, CloudErrorKind::AccessDenied);
    }

    #[test]
    fn iam_has_one_endpoint_in_each_partition() {
        for (region, host, signing_region) in [
            ("eu-central-1", "iam.amazonaws.com", "us-east-1"),
            ("us-gov-east-1", "iam.us-gov.amazonaws.com", "us-gov-west-1"),
            ("cn-northwest-1", "iam.cn-north-1.amazonaws.com.cn", "cn-north-1"),
            ("us-isob-east-1", "iam.us-isob-east-1.sc2s.sgov.gov", "us-isob-east-1"),
        ] {
            let found = iam_endpoint(Partition::of_region(region));
            assert_eq!(found, (host.to_owned(), signing_region), "{region}");
        }
    }
}
