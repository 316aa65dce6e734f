//! What an environment's account still holds, asked of the services and not of anybody's state.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::account::Account;

/// Lists by JSON with a target: service, operation, version of the protocol.
const TARGETS: [(&str, &str, &str); 8] = [
    ("dynamodb", "DynamoDB_20120810.ListTables", "1.0"),
    ("kinesis", "Kinesis_20131202.ListStreams", "1.1"),
    ("kms", "TrentService.ListAliases", "1.1"),
    ("logs", "Logs_20140328.DescribeLogGroups", "1.1"),
    ("logs", "Logs_20140328.DescribeMetricFilters", "1.1"),
    ("secretsmanager", "secretsmanager.ListSecrets", "1.1"),
    ("sqs", "AmazonSQS.ListQueues", "1.0"),
    ("events", "AWSEvents.ListRules", "1.1"),
];

/// Lists by forms: service, action, version of the API.
const FORMS: [(&str, &str, &str); 13] = [
    ("iam", "ListRoles", "2010-05-08"),
    ("iam", "ListPolicies&Scope=Local", "2010-05-08"),
    ("monitoring", "DescribeAlarms", "2010-08-01"),
    ("monitoring", "ListDashboards", "2010-08-01"),
    ("sns", "ListTopics", "2010-03-31"),
    ("ec2", "DescribeVpcs", "2016-11-15"),
    ("ec2", "DescribeSubnets", "2016-11-15"),
    ("ec2", "DescribeRouteTables", "2016-11-15"),
    ("ec2", "DescribeSecurityGroups", "2016-11-15"),
    ("ec2", "DescribeInternetGateways", "2016-11-15"),
    ("ec2", "DescribeAddresses", "2016-11-15"),
    ("ec2", "DescribeFlowLogs", "2016-11-15"),
    ("ec2", "DescribeVpcEndpoints&Filter.1.Name=vpc-endpoint-state&Filter.1.Value.1=available", "2016-11-15"),
];

/// Lists by path: service, path.
const PATHS: [(&str, &str); 4] = [
    ("s3", "/"),
    ("lambda", "/2015-03-31/functions/"),
    ("lambda", "/2015-03-31/event-source-mappings/"),
    ("apigateway", "/v2/apis"),
];

impl Account {
    /// Finds the names beginning like this in every list that the services give, with the list that holds each.
    pub fn named(&self, prefix: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut search = |list: &str, text: &str| {
            let names = text.split(prefix).skip(1).map(|rest| {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c));
                format!("{list} {prefix}{}", &rest[..end.unwrap_or(rest.len())])
            });
            found.extend(names);
        };
        for (service, operation, version) in TARGETS {
            search(operation, &self.target(service, operation, version, &json!({})).to_string());
        }
        for (service, action, version) in FORMS {
            let form = format!("Action={action}&Version={version}");
            let answer =
                self.call(service, "POST", "/", "application/x-www-form-urlencoded", form.as_bytes());
            assert_eq!(answer.status, 200, "{action}: {}", answer.text());
            search(action, &answer.text());
        }
        for (service, path) in PATHS {
            let answer = self.call(service, "GET", path, "application/json", b"");
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            search(path, &answer.text());
        }
        found
    }

    /// Lists the states of the account's customer keys; a key that was deleted waits some days more.
    pub fn customer_keys(&self) -> Vec<String> {
        let kms = |operation: &str, body: &Value| {
            self.target("kms", &format!("TrentService.{operation}"), "1.1", body)
        };
        let keys = kms("ListKeys", &json!({}))["Keys"].as_array().cloned().unwrap_or_default();
        keys.iter()
            .map(|key| kms("DescribeKey", &json!({ "KeyId": key["KeyId"] }))["KeyMetadata"].clone())
            .filter(|key| !key["Description"].as_str().unwrap_or_default().starts_with("Default "))
            .map(|key| key["KeyState"].as_str().unwrap_or_default().to_owned())
            .collect()
    }
}
