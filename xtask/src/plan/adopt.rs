//! The resources that a plan would create and that may exist: after a run whose state was lost, or that was cut off.
//!
//! In: the plan's values, as `terraform show -json` prints them. Out: addresses, with the resource to look for in the
//! account. Only resources with a unique name are looked for. Settings of a bucket, policies of a repository, attachments
//! and inline policies are not: creating them overwrites what exists. Nor are resources whose names may repeat, such as HTTP
//! APIs: nothing would say which one it is.

use serde_json::Value;

use crate::partition::Partition;
use crate::ports::Resource;

/// A resource that a plan would create, and that may exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AdoptionCandidate {
    /// Its address in the configuration.
    pub(crate) address: String,
    /// The resource to look for.
    pub(crate) resource: Resource,
}

/// Returns the resources that a plan would create and that can be looked for by name.
pub(crate) fn adoption_candidates(
    plan: &Value,
    account: &str,
    partition: Partition,
) -> Vec<AdoptionCandidate> {
    let changes =
        plan.get("resource_changes").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    changes
        .iter()
        .filter(|change| change.pointer("/change/actions/0").and_then(Value::as_str) == Some("create"))
        .filter(|change| change.pointer("/change/actions/1").is_none())
        .filter_map(|change| {
            let address = text(change, "/address")?;
            let resource = resource(change, changes, address, account, partition)?;
            Some(AdoptionCandidate { address: address.to_owned(), resource })
        })
        .collect()
}

fn resource(
    change: &Value,
    all: &[Value],
    address: &str,
    account: &str,
    partition: Partition,
) -> Option<Resource> {
    let iam = |resource: String| partition.arn("iam", "", account, &resource);
    let after = |name: &str| text(change, &format!("/change/after/{name}")).map(str::to_owned);
    Some(match text(change, "/type")? {
        "aws_s3_bucket" => Resource::Bucket(after("bucket")?),
        "aws_dynamodb_table" => Resource::Table(after("name")?),
        "aws_kms_alias" => Resource::KeyAlias(after("name")?),
        // A key has no name: its alias has the same address with another type.
        "aws_kms_key" => {
            let alias = address.replace("aws_kms_key.", "aws_kms_alias.");
            let alias = all.iter().find(|other| text(other, "/address") == Some(&alias))?;
            Resource::Key(text(alias, "/change/after/name")?.to_owned())
        }
        "aws_iam_role" => Resource::Role(after("name")?),
        // A path begins and ends with a slash.
        "aws_iam_policy" => {
            let path = after("path").unwrap_or_else(|| "/".to_owned());
            Resource::Policy(iam(format!("policy{path}{}", after("name")?)))
        }
        "aws_iam_openid_connect_provider" => {
            let url = after("url")?;
            let host = url.trim_start_matches("https://");
            Resource::OidcProvider(iam(format!("oidc-provider/{host}")))
        }
        "aws_ecr_repository" => Resource::Repository(after("name")?),
        "aws_cloudwatch_log_group" => Resource::LogGroup(after("name")?),
        "aws_lambda_function" => Resource::Function(after("function_name")?),
        "aws_lambda_alias" => {
            // In the configuration it may be the function's ARN.
            let function = after("function_name")?;
            let function = function.rsplit(":function:").next()?.split(':').next()?.to_owned();
            Resource::FunctionAlias { function, alias: after("name")? }
        }
        _ => return None,
    })
}

fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn created_resources_with_a_name_are_candidates() {
        let change = |address: &str, actions: Value, after: Value| {
            let kind = address.rsplit('.').nth(1).unwrap();
            json!({ "address": address, "type": kind, "change": { "actions": actions, "after": after } })
        };
        let plan = json!({ "resource_changes": [
            change("module.s[\"dev\"].aws_s3_bucket.this", json!(["create"]), json!({ "bucket": "b" })),
            change("module.s[\"dev\"].aws_s3_bucket_versioning.this", json!(["create"]), json!({})),
            change("module.s[\"dev\"].aws_kms_key.this[0]", json!(["create"]), json!({})),
            change("module.s[\"dev\"].aws_kms_alias.this[0]", json!(["create"]), json!({ "name": "alias/b" })),
            change("aws_kms_key.lonely", json!(["create"]), json!({})),
            change("aws_iam_policy.p", json!(["create"]), json!({ "name": "p" })),
            change("aws_iam_policy.q", json!(["create"]), json!({ "name": "q", "path": "/slipway/ci/" })),
            change("aws_iam_openid_connect_provider.g[0]", json!(["create"]), json!({ "url": "https://host/x" })),
            change("aws_cloudwatch_log_group.l", json!(["create"]), json!({ "name": "/aws/lambda/f" })),
            change("aws_lambda_function.f", json!(["create"]), json!({ "function_name": "f" })),
            change("aws_lambda_alias.live", json!(["create"]), json!({
                "function_name": "arn:aws:lambda:eu-central-1:1:function:f", "name": "live",
            })),
            change("aws_iam_role.there", json!(["no-op"]), json!({ "name": "r" })),
            change("aws_iam_role.replaced", json!(["create", "delete"]), json!({ "name": "r" })),
        ]});
        let candidates =
            |partition| adoption_candidates(&plan, "1", partition).into_iter().map(|found| found.resource);
        let found: Vec<Resource> = candidates(Partition::Aws).collect();
        assert_eq!(
            found,
            [
                Resource::Bucket("b".into()),
                Resource::Key("alias/b".into()),
                Resource::KeyAlias("alias/b".into()),
                Resource::Policy("arn:aws:iam::1:policy/p".into()),
                Resource::Policy("arn:aws:iam::1:policy/slipway/ci/q".into()),
                Resource::OidcProvider("arn:aws:iam::1:oidc-provider/host/x".into()),
                Resource::LogGroup("/aws/lambda/f".into()),
                Resource::Function("f".into()),
                Resource::FunctionAlias { function: "f".into(), alias: "live".into() },
            ]
        );
        let in_china: Vec<Resource> = candidates(Partition::China).collect();
        assert_eq!(in_china[3], Resource::Policy("arn:aws-cn:iam::1:policy/p".into()));
    }
}
