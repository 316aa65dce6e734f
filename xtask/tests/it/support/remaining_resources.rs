//! The resources that an account still has, according to the services and not to a Terraform state.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::account::Account;

/// Lists in AWS's JSON protocol: service, operation, version of the protocol.
const JSON_LISTS: [(&str, &str, &str); 8] = [
    ("dynamodb", "DynamoDB_20120810.ListTables", "1.0"),
    ("kinesis", "Kinesis_20131202.ListStreams", "1.1"),
    ("kms", "TrentService.ListAliases", "1.1"),
    ("logs", "Logs_20140328.DescribeLogGroups", "1.1"),
    ("logs", "Logs_20140328.DescribeMetricFilters", "1.1"),
    ("secretsmanager", "secretsmanager.ListSecrets", "1.1"),
    ("sqs", "AmazonSQS.ListQueues", "1.0"),
    ("events", "AWSEvents.ListRules", "1.1"),
];

/// Lists in AWS's query protocol: service, action, version of the API.
const QUERY_LISTS: [(&str, &str, &str); 13] = [
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

/// Lists in AWS's REST protocols: service, path.
const REST_LISTS: [(&str, &str); 4] = [
    ("s3", "/"),
    ("lambda", "/2015-03-31/functions/"),
    ("lambda", "/2015-03-31/event-source-mappings/"),
    ("apigateway", "/v2/apis"),
];

impl Account {
    /// Finds the names with this prefix in all lists of the services; each with the list that contains it.
    pub fn resource_names(&self, prefix: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut search = |list: &str, text: &str| {
            let names = text.split(prefix).skip(1).map(|rest| {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c));
                format!("{list} {prefix}{}", &rest[..end.unwrap_or(rest.len())])
            });
            found.extend(names);
        };
        for (service, operation, version) in JSON_LISTS {
            search(operation, &self.call_json(service, operation, version, &json!({})).to_string());
        }
        for (service, action, version) in QUERY_LISTS {
            let form = format!("Action={action}&Version={version}");
            let response =
                self.call(service, "POST", "/", "application/x-www-form-urlencoded", form.as_bytes());
            assert_eq!(response.status, 200, "{action}: {}", response.text());
            search(action, &response.text());
        }
        for (service, path) in REST_LISTS {
            let response = self.call(service, "GET", path, "application/json", b"");
            assert_eq!(response.status, 200, "{path}: {}", response.text());
            search(path, &response.text());
        }
        found
    }

    /// Lists the states of the account's customer keys; a deleted key is pending for some days.
    pub fn customer_key_states(&self) -> Vec<String> {
        let kms = |operation: &str, body: &Value| {
            self.call_json("kms", &format!("TrentService.{operation}"), "1.1", body)
        };
        let keys = kms("ListKeys", &json!({}))["Keys"].as_array().cloned().unwrap_or_default();
        keys.iter()
            .map(|key| kms("DescribeKey", &json!({ "KeyId": key["KeyId"] }))["KeyMetadata"].clone())
            .filter(|key| !key["Description"].as_str().unwrap_or_default().starts_with("Default "))
            .map(|key| key["KeyState"].as_str().unwrap_or_default().to_owned())
            .collect()
    }
}
