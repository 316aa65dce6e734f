//! What of a plan a rollback takes back by moving an alias, and what stays: permissions, data, what sends events.
//!
//! In: changes, by their addresses. Out: the kind of each. The kind is read from the resource's type alone; a type that is not
//! known here counts as one that stays.

use schemars::JsonSchema;
use serde::Serialize;

use super::Change;

/// What a change touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reach {
    /// A function's code or configuration: the alias takes it back.
    Function,
    /// Permissions: they stay.
    Permissions,
    /// What holds data: it stays.
    Data,
    /// What sends events or requests: it stays.
    Events,
    /// Anything else: it stays.
    Other,
}

impl Reach {
    /// Returns what it is, in a word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Function => "function",
            Self::Permissions => "IAM",
            Self::Data => "data",
            Self::Events => "event sources",
            Self::Other => "other",
        }
    }
}

/// Types whose versions the alias chooses between.
const FUNCTION: [&str; 3] = ["aws_lambda_function", "aws_lambda_alias", "aws_lambda_layer_version"];

/// Parts of the names of types that grant something.
const PERMISSIONS: [&str; 5] =
    ["aws_iam_", "_policy", "aws_lambda_permission", "aws_kms_grant", "aws_security_group"];

/// What the types of what sends events begin with.
const EVENTS: [&str; 11] = [
    "aws_lambda_event_source_mapping",
    "aws_lambda_function_url",
    "aws_lambda_function_event_invoke_config",
    "aws_cloudwatch_event_",
    "aws_scheduler_",
    "aws_pipes_",
    "aws_sns_topic_subscription",
    "aws_s3_bucket_notification",
    "aws_apigateway",
    "aws_api_gateway",
    "aws_lb_",
];

/// What the types of what holds data begin with.
const DATA: [&str; 20] = [
    "aws_dynamodb_",
    "aws_s3",
    "aws_db_",
    "aws_rds_",
    "aws_sqs_queue",
    "aws_sns_topic",
    "aws_kinesis_",
    "aws_kms_key",
    "aws_secretsmanager_",
    "aws_ssm_parameter",
    "aws_efs_",
    "aws_elasticache_",
    "aws_opensearch_",
    "aws_redshift",
    "aws_docdb_",
    "aws_neptune_",
    "aws_timestream",
    "aws_cloudwatch_log_group",
    "aws_cognito_user_pool",
    "aws_ecr_repository",
];

/// Returns what a change touches.
pub(crate) fn reach(change: &Change) -> Reach {
    let kind = resource_type(&change.address);
    let begins = |known: &[&str]| known.iter().any(|known| kind.starts_with(known));
    if FUNCTION.contains(&kind) {
        // A function that is created or deleted is not taken back: only its versions are.
        return if change.action.removes() { Reach::Other } else { Reach::Function };
    }
    if PERMISSIONS.iter().any(|known| kind.contains(known)) {
        Reach::Permissions
    } else if begins(&EVENTS) {
        Reach::Events
    } else if begins(&DATA) {
        Reach::Data
    } else {
        Reach::Other
    }
}

/// Returns the resource's type in an address, behind its modules.
fn resource_type(address: &str) -> &str {
    let mut rest = address;
    while let Some(behind) = rest.strip_prefix("module.") {
        // A key in brackets may hold a dot.
        let mut quoted = false;
        let end = behind.char_indices().find(|(_, letter)| {
            quoted ^= *letter == '"';
            *letter == '.' && !quoted
        });
        let Some((end, _)) = end else { return rest };
        rest = &behind[end + 1..];
    }
    rest.split('.').next().unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Action;

    #[test]
    fn reach_of_a_change_is_read_from_the_type_behind_its_modules() {
        let of = |address: &str, action| reach(&Change { address: address.into(), action, reason: None });
        for (address, expected) in [
            ("module.hello.aws_lambda_function.this", Reach::Function),
            ("module.a[\"x.aws_iam_role.y\"].module.b.aws_lambda_alias.live[0]", Reach::Function),
            ("module.hello.aws_iam_role_policy.this", Reach::Permissions),
            ("aws_s3_bucket_policy.b", Reach::Permissions),
            ("aws_lambda_permission.api", Reach::Permissions),
            ("aws_dynamodb_table.t", Reach::Data),
            ("aws_s3_bucket.b", Reach::Data),
            ("aws_s3_bucket_notification.b", Reach::Events),
            ("module.x.aws_lambda_event_source_mapping.m[\"a\"]", Reach::Events),
            ("aws_apigatewayv2_route.r", Reach::Events),
            ("terraform_data.x", Reach::Other),
        ] {
            assert_eq!(of(address, Action::Update), expected, "{address}");
        }
        assert_eq!(of("aws_lambda_function.f", Action::Replace), Reach::Other);
    }
}
