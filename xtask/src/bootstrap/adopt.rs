//! What a plan would make and perhaps exists already: made by an earlier run whose state was lost, or cut off.
//!
//! In: the plan's values, as `terraform show -json` tells them. Out: addresses, with what to look for in the account.
//! Only what has a name of its own is looked for: settings of a bucket, policies of a repository, attachments and inline
//! policies are written over what is there when they are made.

use serde_json::Value;

use crate::ports::Resource;

/// Something that a plan would make, and the name under which it may exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// Its address.
    pub(crate) address: String,
    /// What to look for.
    pub(crate) resource: Resource,
}

/// Finds what a plan would make and can be looked for by name.
pub(crate) fn candidates(plan: &Value, account: &str) -> Vec<Candidate> {
    let changes =
        plan.get("resource_changes").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    changes
        .iter()
        .filter(|change| change.pointer("/change/actions/0").and_then(Value::as_str) == Some("create"))
        .filter(|change| change.pointer("/change/actions/1").is_none())
        .filter_map(|change| {
            let address = text(change, "/address")?;
            let resource = resource(change, changes, address, account)?;
            Some(Candidate { address: address.to_owned(), resource })
        })
        .collect()
}

fn resource(change: &Value, all: &[Value], address: &str, account: &str) -> Option<Resource> {
    let after = |name: &str| text(change, &format!("/change/after/{name}")).map(str::to_owned);
    Some(match text(change, "/type")? {
        "aws_s3_bucket" => Resource::Bucket(after("bucket")?),
        "aws_dynamodb_table" => Resource::Table(after("name")?),
        "aws_kms_alias" => Resource::KeyAlias(after("name")?),
        // A key has no name: it is known by the alias that stands beside it under the same name.
        "aws_kms_key" => {
            let alias = address.replace("aws_kms_key.", "aws_kms_alias.");
            let beside = all.iter().find(|other| text(other, "/address") == Some(&alias))?;
            Resource::Key(text(beside, "/change/after/name")?.to_owned())
        }
        "aws_iam_role" => Resource::Role(after("name")?),
        "aws_iam_policy" => Resource::Policy(format!("arn:aws:iam::{account}:policy/{}", after("name")?)),
        "aws_iam_openid_connect_provider" => {
            let url = after("url")?;
            let host = url.trim_start_matches("https://");
            Resource::OidcProvider(format!("arn:aws:iam::{account}:oidc-provider/{host}"))
        }
        "aws_ecr_repository" => Resource::Repository(after("name")?),
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
    fn what_has_a_name_is_looked_for() {
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
            change("aws_iam_openid_connect_provider.g[0]", json!(["create"]), json!({ "url": "https://host/x" })),
            change("aws_iam_role.there", json!(["no-op"]), json!({ "name": "r" })),
            change("aws_iam_role.replaced", json!(["create", "delete"]), json!({ "name": "r" })),
        ]});
        let found: Vec<Resource> =
            candidates(&plan, "1").into_iter().map(|candidate| candidate.resource).collect();
        assert_eq!(
            found,
            [
                Resource::Bucket("b".into()),
                Resource::Key("alias/b".into()),
                Resource::KeyAlias("alias/b".into()),
                Resource::Policy("arn:aws:iam::1:policy/p".into()),
                Resource::OidcProvider("arn:aws:iam::1:oidc-provider/host/x".into()),
            ]
        );
    }
}
