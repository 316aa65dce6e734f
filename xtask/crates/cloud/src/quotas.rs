//! What an account may have, and what it has: concurrency and code storage of Lambda, Elastic IP addresses, policies of a role.
//!
//! In: a session that may read. Out: numbers as AWS reports them, for the session's region. Errors: any refusal of a service.
//! Nothing is changed.

use crate::error::{CallContext, CloudError, CloudErrorKind};
use crate::existing::{iam_endpoint, texts};
use crate::session::Session;
use slipway_values::partition::Partition;

/// The limits of Lambda in an account and region:
/// <https://docs.aws.amazon.com/lambda/latest/api/API_GetAccountSettings.html>.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LambdaLimits {
    /// How many invocations may run at once.
    pub concurrent: i64,
    /// How many of them no function has reserved.
    pub unreserved: i64,
    /// How many bytes code may take, every version counted.
    pub code_bytes: i64,
    /// How many it takes.
    pub code_bytes_used: i64,
}

/// How many of something there are, and how many there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// How many there are.
    pub used: usize,
    /// How many there may be.
    pub limit: usize,
}

impl Session {
    /// Reads the limits of Lambda.
    ///
    /// # Errors
    /// Any refusal of Lambda; a response without limits.
    pub async fn lambda_limits(&self) -> Result<LambdaLimits, CloudError> {
        let calls = self.shared().calls("Lambda");
        let request = self.shared().lambda().get_account_settings();
        let response = calls.run("GetAccountSettings", "account", request.send()).await?;
        let (Some(limit), Some(usage)) = (response.account_limit(), response.account_usage()) else {
            let context = calls.context("GetAccountSettings", "account");
            return Err(CloudError::at(&context, CloudErrorKind::Other, "the response has no limits"));
        };
        Ok(LambdaLimits {
            concurrent: limit.concurrent_executions().into(),
            unreserved: limit.unreserved_concurrent_executions().unwrap_or_default().into(),
            code_bytes: limit.total_code_size(),
            code_bytes_used: usage.total_code_size(),
        })
    }

    /// Returns how many invocations a function reserves; none where it reserves none, or does not exist.
    ///
    /// # Errors
    /// Any other refusal of Lambda.
    pub async fn reserved_concurrency(&self, function: &str) -> Result<i64, CloudError> {
        let request = self.shared().lambda().get_function_concurrency().function_name(function);
        match self.shared().calls("Lambda").run("GetFunctionConcurrency", function, request.send()).await {
            Ok(response) => Ok(response.reserved_concurrent_executions().unwrap_or_default().into()),
            Err(error) if error.kind == CloudErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Returns how many Elastic IP addresses the region has and may have.
    ///
    /// # Errors
    /// Any refusal of EC2; a response without the quota.
    pub async fn elastic_ips(&self) -> Result<Quota, CloudError> {
        const QUOTA: &str = "vpc-max-elastic-ips";
        let xml = self.ec2("DescribeAccountAttributes", &[("AttributeName.1", QUOTA)]).await?;
        // An emulator answers with more attributes than it was asked for.
        let (_, after) =
            xml.split_once(&format!("<attributeName>{QUOTA}</attributeName>")).unwrap_or_default();
        let limit = texts(after, "attributeValue").next().and_then(|limit| limit.parse().ok());
        let limit = limit.ok_or_else(|| {
            let context = self.quota_context("EC2", "DescribeAccountAttributes");
            CloudError::at(&context, CloudErrorKind::Other, format!("the response has no {QUOTA}"))
        })?;
        Ok(Quota { used: self.addresses(&[]).await?, limit })
    }

    /// Returns how many Elastic IP addresses the region has with all of these tags.
    ///
    /// # Errors
    /// Any refusal of EC2.
    pub async fn elastic_ips_tagged(&self, tags: &[(&str, &str)]) -> Result<usize, CloudError> {
        self.addresses(tags).await
    }

    async fn addresses(&self, tags: &[(&str, &str)]) -> Result<usize, CloudError> {
        let filters: Vec<(String, String)> = tags
            .iter()
            .enumerate()
            .flat_map(|(index, (key, value))| {
                let filter = format!("Filter.{}", index + 1);
                [
                    (format!("{filter}.Name"), format!("tag:{key}")),
                    (format!("{filter}.Value.1"), (*value).to_owned()),
                ]
            })
            .collect();
        let filters: Vec<(&str, &str)> =
            filters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let xml = self.ec2("DescribeAddresses", &filters).await?;
        Ok(texts(&xml, "publicIp").count())
    }

    /// Returns how many managed policies a role has and may have. `role` is its name.
    ///
    /// # Errors
    /// [`CloudErrorKind::NotFound`] where there is no such role; any other refusal of IAM.
    pub async fn attached_policies(&self, role: &str) -> Result<Quota, CloudError> {
        let attached =
            self.iam_xml("ListAttachedRolePolicies", &[("RoleName", role), ("MaxItems", "1000")]).await?;
        let summary = self.iam_xml("GetAccountSummary", &[]).await?;
        let limit = summary
            .split_once("<key>AttachedPoliciesPerRoleQuota</key>")
            .and_then(|(_, after)| texts(after, "value").next()?.parse().ok());
        let limit = limit.ok_or_else(|| {
            let context = self.quota_context("IAM", "GetAccountSummary");
            CloudError::at(
                &context,
                CloudErrorKind::Other,
                "the response has no AttachedPoliciesPerRoleQuota",
            )
        })?;
        Ok(Quota { used: texts(&attached, "PolicyArn").count(), limit })
    }

    async fn ec2(&self, operation: &'static str, parameters: &[(&str, &str)]) -> Result<String, CloudError> {
        let region = self.region();
        let host = Partition::of_region(region).host("ec2", region);
        let context = self.quota_context("EC2", operation);
        self.query(&context, ("ec2", &host, region, "2016-11-15"), parameters).await
    }

    async fn iam_xml(
        &self,
        operation: &'static str,
        parameters: &[(&str, &str)],
    ) -> Result<String, CloudError> {
        let (host, region) = iam_endpoint(Partition::of_region(self.region()));
        let context = self.quota_context("IAM", operation);
        self.query(&context, ("iam", &host, region, "2010-05-08"), parameters).await
    }

    fn quota_context(&self, service: &'static str, operation: &'static str) -> CallContext<'_> {
        CallContext {
            service,
            operation,
            subject: "account",
            endpoint: self.endpoint().unwrap_or_else(|| self.region()),
        }
    }
}
