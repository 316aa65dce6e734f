//! staging and prod: the repository's systems, with their own values, each in its own emulated account. The releases of one
//! are deployed to the other, and they differ only by their values.
//!
//! In: this repository and the accounts of `support::two_environments`. An administrator bootstraps the accounts, everything
//! else runs with the roles of the environments.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::support::TestRun;
use super::support::differences::{self, Side};
use super::support::registry::Registry;
use super::support::repository_copy::{STACKS, resource_type, resources};
use super::support::two_environments::{Environment, TwoEnvironments};
use crate::require;

/// Values that the emulator needs, as in `environments/local`: stack, name, value, and the emulator's limit.
/// docs/limits.md lists each of them. No other value of an environment is changed.
const EMULATOR_VALUES: [(&str, &str, &str, &str); 4] = [
    ("bucket-api", "emulated", "true", BUCKET),
    ("stream-pipeline", "emulated", "true", BUCKET),
    ("tracer", "enable_cost_alerts", "false", "it has no budgets"),
    ("tracer", "emulated", "true", "it asks for no second permission behind a URL"),
];
const BUCKET: &str =
    "it ignores a bucket policy's conditions and would refuse every call; lifecycle rules take it a minute";

/// Types in the `protect` lists of the stacks: they are destroyed only if their addresses are confirmed.
const PROTECTED: [&str; 6] =
    ["aws_dynamodb_table", "aws_eip", "aws_kms_key", "aws_s3_bucket", "aws_subnet", "aws_vpc"];

/// Sets the values that the emulator needs, as in the local environment.
fn with_emulator_values(stack: &str, values: &str, local: &str) -> String {
    let sets = |line: &str, wanted: &str| line.split_once('=').is_some_and(|(name, _)| name.trim() == wanted);
    let mut values = values.to_owned();
    for (_, name, value, why) in EMULATOR_VALUES.iter().filter(|(of, ..)| *of == stack) {
        let local_value = local.lines().find(|line| sets(line, name)).and_then(|line| line.split_once('='));
        assert_eq!(
            local_value.map(|(_, value)| value.trim()),
            Some(*value),
            "{name} in local's {stack}.tfvars"
        );
        let kept: Vec<&str> = values.lines().filter(|line| !sets(line, name)).collect();
        values = format!("{}\n\n# The emulator: {why}.\n{name} = {value}\n", kept.join("\n"));
    }
    values
}

#[test]
fn staging_and_prod_are_isolated_and_differ_only_by_their_values() {
    let test_run = require!(TestRun::shared());
    let bases = require!(Registry::start(test_run));
    let environments = TwoEnvironments::new(test_run, &bases, with_emulator_values);
    let (staging, prod) = (&environments.staging, &environments.prod);
    environments.bootstrap();

    // Everything is released, except the function whose secret its owner has not set yet.
    let release = ["release", "--env", "staging", "--yes"];
    let first = environments.run(&release).exits(5).says("does not exist, or has no value yet");
    assert!(first.stderr.contains("stack       tracer"), "{first}");
    staging.set_secret("tracer-api-keys", r#"["a-key-of-staging-0123456789"]"#);
    let released = environments.run(&release).exits(0).says("tracer 0.1.0 serves in staging");
    assert!(!released.ran_step("build") && !released.ran_step("apply"), "{released}");
    let serving = staging.served_releases();
    assert_eq!(serving.len(), 6, "{serving:?}");
    assert_eq!(
        environments.status(staging),
        serving.keys().map(|function| expected_status(function)).collect()
    );

    // staging's API calls the container image, which was built and pushed once; prod's calls the zip.
    assert_eq!(package_behind_the_api(staging), "bucket-api-image");

    // The same releases, promoted; nothing is built.
    let promote = ["promote", "--to", "prod"];
    environments
        .run(&["deploy", "--stack", "network", "--env", "prod", "--yes"])
        .exits(6)
        .says("promote --to prod");
    environments.run(&promote).exits(6).says("there is no terminal to ask at");
    let kept = prod.account.keys(&prod.state_bucket());
    assert!(!kept.contains(&"hello.tfstate".to_owned()), "{kept:?}");
    // There, too, the smoke events of tracer wait for its owner's keys: they are safe in production.
    let promote = [&promote[..], &["--yes"]].concat();
    let promoted = environments.run(&promote).exits(5).says("does not exist, or has no value yet");
    assert!(promoted.ran_step("apply") && !promoted.ran_step("build"), "{promoted}");
    prod.set_secret("tracer-api-keys", r#"["a-key-of-prod-0123456789abc"]"#);
    let promoted = environments.run(&promote).exits(0).says("tracer 0.1.0 serves in prod");
    assert!(!promoted.ran_step("apply") && !promoted.ran_step("build"), "{promoted}");
    let mut serving = serving;
    serving.remove("bucket-api-image").expect("the image serves in staging alone");
    let serving = serving;
    assert_eq!(prod.served_releases(), serving, "the digests in prod are those in staging");
    assert_eq!(package_behind_the_api(prod), "bucket-api-zip");
    assert_eq!(environments.status(prod), serving.keys().map(|function| expected_status(function)).collect());

    let (staging_resources, prod_resources) = (staging.resources(), prod.resources());
    let (one, other) = (staging.side(&staging_resources), prod.side(&prod_resources));
    let store = format!("{}-artifacts", environments.sandbox.account.id);
    assert_names_only_itself(&store, &one, &other);
    assert_names_only_itself(&store, &other, &one);
    environments.run(&["plan", "--env", "staging", "--exit-code"]).exits(0);
    let found = differences::between(&one, &other);
    insta::assert_snapshot!(found.join("\n"), @r##"
    bucket-api aws_lambda_permission.api["bucket-api-image"]: only in staging
    bucket-api module.api.aws_apigatewayv2_api.this description: "Calls slipway-<account>-<environment>-bucket-api-image:live" -> "Calls slipway-<account>-<environment>-bucket-api-zip:live"
    bucket-api module.api.aws_apigatewayv2_integration.function integration_uri: "arn:aws:apigateway:eu-central-1:lambda:path/2015-03-31/functions/arn:aws:lambda:eu-central-1:<account>:function:slipway-<account>-<environment>-bucket-api-image:live/invocations" -> "arn:aws:apigateway:eu-central-1:lambda:path/2015-03-31/functions/arn:aws:lambda:eu-central-1:<account>:function:slipway-<account>-<environment>-bucket-api-zip:live/invocations"
    bucket-api module.api.aws_apigatewayv2_stage.this default_route_settings: [{"data_trace_enabled":false,"detailed_metrics_enabled":false,"logging_level":"","throttling_burst_limit":40,"throttling_rate_limit":20}] -> [{"data_trace_enabled":false,"detailed_metrics_enabled":false,"logging_level":"","throttling_burst_limit":100,"throttling_rate_limit":50}]
    bucket-api module.api.aws_cloudwatch_log_group.access retention_in_days: 90 -> 365
    bucket-api module.api.aws_lambda_permission.api function_name: "slipway-<account>-<environment>-bucket-api-image" -> "slipway-<account>-<environment>-bucket-api-zip"
    bucket-api module.bucket_key.aws_kms_key.this deletion_window_in_days: 14 -> 30
    bucket-api module.function["bucket-api-image"].aws_cloudwatch_log_group.this: only in staging
    bucket-api module.function["bucket-api-image"].aws_iam_role.this[0]: only in staging
    bucket-api module.function["bucket-api-image"].aws_iam_role_policy.extra[0]: only in staging
    bucket-api module.function["bucket-api-image"].aws_iam_role_policy.logs[0]: only in staging
    bucket-api module.function["bucket-api-image"].aws_lambda_alias.live[0]: only in staging
    bucket-api module.function["bucket-api-image"].aws_lambda_function.this: only in staging
    bucket-api module.function["bucket-api-zip"].aws_cloudwatch_log_group.this retention_in_days: 14 -> 30
    bucket-api module.function["bucket-api-zip"].aws_lambda_function.this memory_size: 128 -> 256
    bucket-api module.monitoring.aws_cloudwatch_dashboard.this[0]: only in prod
    bucket-api module.monitoring.aws_cloudwatch_log_metric_filter.this["failed-requests"]: only in prod
    bucket-api module.monitoring.aws_cloudwatch_log_metric_filter.this["refused-callers"]: only in prod
    bucket-api module.monitoring.aws_cloudwatch_metric_alarm.this["api/api-4xx"]: only in prod
    bucket-api module.monitoring.aws_cloudwatch_metric_alarm.this["api/api-5xx"]: only in prod
    bucket-api module.monitoring.aws_cloudwatch_metric_alarm.this["api/api-latency"]: only in prod
    bucket-api module.monitoring.aws_cloudwatch_metric_alarm.this["function/bucket-api-image-concurrency"]: only in staging
    bucket-api module.monitoring.aws_cloudwatch_metric_alarm.this["function/bucket-api-image-duration"]: only in staging
    bucket-api module.monitoring.aws_cloudwatch_metric_alarm.this["function/bucket-api-zip-concurrency"]: only in prod
    bucket-api module.monitoring.aws_cloudwatch_metric_alarm.this["function/bucket-api-zip-duration"]: only in prod
    bucket-api module.monitoring.aws_cloudwatch_metric_alarm.this["function/bucket-api-zip-errors"]: only in prod
    bucket-api module.monitoring.aws_cloudwatch_metric_alarm.this["function/bucket-api-zip-throttles"]: only in prod
    bucket-api module.monitoring.aws_cloudwatch_metric_alarm.this["log/failed-requests-logged"]: only in prod
    bucket-api module.monitoring.aws_cloudwatch_metric_alarm.this["log/refused-callers-logged"]: only in prod
    hello module.hello.aws_lambda_function.this memory_size: 256 -> 512
    invoice module.invoice.aws_cloudwatch_log_group.this retention_in_days: 14 -> 30
    invoice module.invoice.aws_lambda_function.this memory_size: 256 -> 512
    network module.flow_logs_key.aws_kms_key.this deletion_window_in_days: 14 -> 30
    network module.network.aws_eip.nat["b"]: only in prod
    network module.network.aws_eip.nat["c"]: only in prod
    network module.network.aws_nat_gateway.this["b"]: only in prod
    network module.network.aws_nat_gateway.this["c"]: only in prod
    network module.network.aws_route.private_nat["b"] nat_gateway_id: "<network module.network.aws_nat_gateway.this[\"a\"]>" -> "<network module.network.aws_nat_gateway.this[\"b\"]>"
    network module.network.aws_route.private_nat["c"] nat_gateway_id: "<network module.network.aws_nat_gateway.this[\"a\"]>" -> "<network module.network.aws_nat_gateway.this[\"c\"]>"
    network module.network.aws_subnet.private["a"] cidr_block: "10.30.16.0/20" -> "10.40.16.0/20"
    network module.network.aws_subnet.private["b"] cidr_block: "10.30.32.0/20" -> "10.40.32.0/20"
    network module.network.aws_subnet.private["c"] cidr_block: "10.30.48.0/20" -> "10.40.48.0/20"
    network module.network.aws_subnet.public["a"] cidr_block: "10.30.0.0/24" -> "10.40.0.0/24"
    network module.network.aws_subnet.public["b"] cidr_block: "10.30.1.0/24" -> "10.40.1.0/24"
    network module.network.aws_subnet.public["c"] cidr_block: "10.30.2.0/24" -> "10.40.2.0/24"
    network module.network.aws_vpc.this cidr_block: "10.30.0.0/16" -> "10.40.0.0/16"
    stream-pipeline module.bucket_key.aws_kms_key.this deletion_window_in_days: 14 -> 30
    stream-pipeline module.monitoring.aws_cloudwatch_dashboard.this[0]: only in prod
    stream-pipeline module.monitoring.aws_cloudwatch_metric_alarm.this["function/stream-ingest-concurrency"]: only in prod
    stream-pipeline module.monitoring.aws_cloudwatch_metric_alarm.this["function/stream-ingest-duration"]: only in prod
    stream-pipeline module.monitoring.aws_cloudwatch_metric_alarm.this["function/stream-ingest-errors"]: only in prod
    stream-pipeline module.monitoring.aws_cloudwatch_metric_alarm.this["function/stream-ingest-throttles"]: only in prod
    stream-pipeline module.monitoring.aws_cloudwatch_metric_alarm.this["mapping/stream-behind"] alarm_actions: null -> ["arn:aws:sns:eu-central-1:<account>:slipway-<account>-<environment>-stream"]
    stream-pipeline module.monitoring.aws_cloudwatch_metric_alarm.this["mapping/stream-behind"] ok_actions: null -> ["arn:aws:sns:eu-central-1:<account>:slipway-<account>-<environment>-stream"]
    stream-pipeline module.monitoring.aws_cloudwatch_metric_alarm.this["queue/failures-messages"] alarm_actions: null -> ["arn:aws:sns:eu-central-1:<account>:slipway-<account>-<environment>-stream"]
    stream-pipeline module.monitoring.aws_cloudwatch_metric_alarm.this["queue/failures-messages"] ok_actions: null -> ["arn:aws:sns:eu-central-1:<account>:slipway-<account>-<environment>-stream"]
    stream-pipeline module.monitoring.aws_cloudwatch_metric_alarm.this["stream/events-iterator-age"] alarm_actions: null -> ["arn:aws:sns:eu-central-1:<account>:slipway-<account>-<environment>-stream"]
    stream-pipeline module.monitoring.aws_cloudwatch_metric_alarm.this["stream/events-iterator-age"] ok_actions: null -> ["arn:aws:sns:eu-central-1:<account>:slipway-<account>-<environment>-stream"]
    stream-pipeline module.monitoring.aws_cloudwatch_metric_alarm.this["stream/events-write-throttles"] alarm_actions: null -> ["arn:aws:sns:eu-central-1:<account>:slipway-<account>-<environment>-stream"]
    stream-pipeline module.monitoring.aws_cloudwatch_metric_alarm.this["stream/events-write-throttles"] ok_actions: null -> ["arn:aws:sns:eu-central-1:<account>:slipway-<account>-<environment>-stream"]
    stream-pipeline module.monitoring.aws_cloudwatch_metric_alarm.this["table/events-throttles"]: only in prod
    stream-pipeline module.monitoring.aws_sns_topic.this[0]: only in prod
    stream-pipeline module.monitoring.aws_sns_topic_policy.this[0]: only in prod
    stream-pipeline module.monitoring.module.key[0].aws_kms_alias.this: only in prod
    stream-pipeline module.monitoring.module.key[0].aws_kms_key.this: only in prod
    stream-pipeline module.secret.aws_secretsmanager_secret.this recovery_window_in_days: 14 -> 30
    stream-pipeline module.secret_key.aws_kms_key.this deletion_window_in_days: 14 -> 30
    stream-pipeline module.stream.aws_kinesis_stream.this shard_count: 2 -> 3
    stream-pipeline module.stream_ingest.aws_cloudwatch_log_group.this retention_in_days: 30 -> 90
    stream-pipeline module.stream_ingest.aws_iam_role_policy.connections[0] policy: {"Version":"2012-10-17","Statement":[{"Action":["kinesis:DescribeStream","kinesis:DescribeStreamSummary","kinesis:GetRecords","kinesis:GetShardIterator","kinesis:ListShards"],"Effect":"Allow","Resource":["arn:aws:kinesis:eu-central-1:<account>:stream/slipway-<account>-<environment>-stream-events"],"Sid":"ReadStreams"},{"Action":["sqs:SendMessage"],"Effect":"Allow","Resource":["arn:aws:sqs:eu-central-1:<account>:slipway-<account>-<environment>-stream-failures"],"Sid":"KeepFailedBatchesInQueues"},{"Action":["ec2:AssignPrivateIpAddresses","ec2:CreateNetworkInterface","ec2:DeleteNetworkInterface","ec2:DescribeNetworkInterfaces","ec2:DescribeSecurityGroups","ec2:DescribeSubnets","ec2:DescribeVpcs","ec2:UnassignPrivateIpAddresses"],"Effect":"Allow","Resource":["*"],"Sid":"JoinVpc"},{"Action":["ec2:AssignPrivateIpAddresses","ec2:CreateNetworkInterface","ec2:DeleteNetworkInterface","ec2:DescribeNetworkInterfaces","ec2:DescribeSecurityGroups","ec2:DescribeSubnets","ec2:DescribeVpcs","ec2:UnassignPrivateIpAddresses"],"Condition":{"ArnEquals":{"lambda:SourceFunctionArn":"arn:aws:lambda:eu-central-1:<account>:function:slipway-<account>-<environment>-stream-ingest"}},"Effect":"Deny","Resource":["*"],"Sid":"JoinVpcByLambdaAlone"}]} -> {"Version":"2012-10-17","Statement":[{"Action":["kinesis:DescribeStream","kinesis:DescribeStreamSummary","kinesis:GetRecords","kinesis:GetShardIterator","kinesis:ListShards"],"Effect":"Allow","Resource":["arn:aws:kinesis:eu-central-1:<account>:stream/slipway-<account>-<environment>-stream-events"],"Sid":"ReadStreams"},{"Action":["sqs:SendMessage"],"Effect":"Allow","Resource":["arn:aws:sqs:eu-central-1:<account>:slipway-<account>-<environment>-stream-failures"],"Sid":"KeepFailedBatchesInQueues"}]}
    stream-pipeline module.stream_ingest.aws_lambda_function.this memory_size: 512 -> 1024
    stream-pipeline module.stream_ingest.aws_lambda_function.this vpc_config: [{"ipv6_allowed_for_dual_stack":false,"security_group_ids":["<network aws_security_group.functions>"],"subnet_ids":["<network module.network.aws_subnet.private[\"a\"]>","<network module.network.aws_subnet.private[\"b\"]>","<network module.network.aws_subnet.private[\"c\"]>"],"vpc_id":"vpc-123abc"}] -> []
    stream-pipeline module.stream_key.aws_kms_key.this deletion_window_in_days: 14 -> 30
    stream-pipeline module.table.aws_dynamodb_table.this deletion_protection_enabled: false -> true
    stream-pipeline module.table_key.aws_kms_key.this deletion_window_in_days: 14 -> 30
    tracer module.api_keys.aws_secretsmanager_secret.this recovery_window_in_days: 14 -> 30
    tracer module.monitoring.aws_cloudwatch_dashboard.this[0]: only in prod
    tracer module.monitoring.aws_cloudwatch_log_metric_filter.this["failed-requests"]: only in prod
    tracer module.monitoring.aws_cloudwatch_metric_alarm.this["function/tracer-concurrency"]: only in prod
    tracer module.monitoring.aws_cloudwatch_metric_alarm.this["function/tracer-duration"]: only in prod
    tracer module.monitoring.aws_cloudwatch_metric_alarm.this["function/tracer-errors"]: only in prod
    tracer module.monitoring.aws_cloudwatch_metric_alarm.this["function/tracer-throttles"]: only in prod
    tracer module.monitoring.aws_cloudwatch_metric_alarm.this["log/failed-requests-logged"]: only in prod
    tracer module.monitoring.aws_cloudwatch_metric_alarm.this["table/spans-by-trace-throttles"]: only in prod
    tracer module.monitoring.aws_cloudwatch_metric_alarm.this["table/spans-throttles"]: only in prod
    tracer module.monitoring.aws_cloudwatch_metric_alarm.this["table/traces-by-project-throttles"]: only in prod
    tracer module.monitoring.aws_cloudwatch_metric_alarm.this["table/traces-throttles"]: only in prod
    tracer module.monitoring.aws_sns_topic.this[0]: only in prod
    tracer module.monitoring.aws_sns_topic_policy.this[0]: only in prod
    tracer module.monitoring.module.key[0].aws_kms_alias.this: only in prod
    tracer module.monitoring.module.key[0].aws_kms_key.this: only in prod
    tracer module.spans.aws_dynamodb_table.this point_in_time_recovery: [{"enabled":false,"recovery_period_in_days":0}] -> [{"enabled":true,"recovery_period_in_days":35}]
    tracer module.tracer.aws_cloudwatch_log_group.this retention_in_days: 14 -> 30
    tracer module.tracer.aws_lambda_function.this memory_size: 256 -> 512
    tracer module.tracer.aws_lambda_function.this reserved_concurrent_executions: -1 -> 50
    tracer module.traces.aws_dynamodb_table.this point_in_time_recovery: [{"enabled":false,"recovery_period_in_days":0}] -> [{"enabled":true,"recovery_period_in_days":35}]
    "##);

    // staging is destroyed, and prod does not change.
    let (status, greeting) = environments.invoke_hello(staging);
    assert_eq!((status, &greeting["greeting"]), (200, &json!("Hello Ada")));
    let protected = staging_resources.values().flat_map(BTreeMap::keys);
    let protected = protected.filter(|address| PROTECTED.contains(&resource_type(address)));
    let confirmations: Vec<&str> = protected.flat_map(|address| ["--confirm", address.as_str()]).collect();
    environments
        .run(&[["destroy", "--env", "staging", "--yes"].as_slice(), &confirmations].concat())
        .exits(0);
    for stack in STACKS {
        assert_eq!(resources(&staging.state(stack)), BTreeMap::new(), "{stack} left something in staging");
    }
    assert_eq!(environments.invoke_hello(staging).0, 404);
    let (status, greeting) = environments.invoke_hello(prod);
    assert_eq!((status, &greeting["greeting"]), (200, &json!("Hello Ada")));
    let verified = environments.run(&["verify", "--env", "prod"]).exits(0);
    for function in serving.keys() {
        assert!(verified.stdout.contains(&format!("{function} in prod: ")), "{function} in {verified}");
    }
    assert_eq!(prod.resources(), prod_resources);
    assert_eq!(prod.served_releases(), serving);
    // The plan reads everything in the state: nothing is missing, and nothing is left to plan.
    environments.run(&["plan", "--env", "prod", "--exit-code"]).exits(0);
}

/// Returns the function that an environment's API calls; an image must be the one that Slipway pushed, by its digest.
fn package_behind_the_api(environment: &Environment) -> String {
    let resources = resources(&environment.state("bucket-api"));
    let integration = resources
        .iter()
        .find(|(address, _)| resource_type(address) == "aws_apigatewayv2_integration")
        .expect("the API's integration")
        .1;
    let target = integration["integration_uri"].as_str().unwrap_or_default();
    let prefix = format!("-{}-", environment.name);
    let function = target.split_once(&prefix).and_then(|(_, rest)| rest.split_once(":live/"));
    let (function, _) = function.unwrap_or_else(|| panic!("the alias of a function: {target}"));
    let serving = &environment.served_releases()[function];
    let made = &resources[&format!("module.function[\"{function}\"].aws_lambda_function.this")];
    match made["package_type"].as_str() {
        Some("Image") => {
            let digest = format!("/slipway/{function}@sha256:{}", serving[2].as_str().unwrap_or_default());
            assert!(made["image_uri"].as_str().unwrap_or_default().ends_with(&digest), "{digest}: {made}");
        }
        package => assert_eq!(package, Some("Zip"), "{made}"),
    }
    function.to_owned()
}

/// What `status` reports for a function in the expected state.
fn expected_status(function: &str) -> (String, Value) {
    let status = json!({ "release": "0.1.0", "verified": true, "as_recorded": true, "alias_version": "1" });
    (function.to_owned(), status)
}

/// Every ARN is of this account, and every name of this account and environment, except for the artifacts' bucket.
fn assert_names_only_itself(store: &str, side: &Side, other: &Side) {
    let own = format!("{}-{}-", side.account, side.environment);
    let foreign =
        [other.account.to_owned(), format!("-{}-", other.environment), format!("\"{}\"", other.environment)];
    let (mut arns, mut names) = (0, 0);
    for (address, attributes) in side.stacks.values().flatten() {
        let text = attributes.to_string();
        for foreign in &foreign {
            assert!(!text.contains(foreign), "{address} in {} contains {foreign}", side.environment);
        }
        for (at, start) in text.match_indices("arn:aws:") {
            // service:region:account:…; buckets and APIs have no account, AWS's own integrations `lambda`.
            let arn = &text[at + start.len()..];
            let account = arn.split([':', '"', '\\', ',']).nth(2).unwrap_or_default();
            let without_account = ["", "aws", "lambda"].contains(&account);
            assert!(
                account == side.account || without_account,
                "{address} in {}: arn:aws:{arn:.90}",
                side.environment
            );
            arns += usize::from(!without_account);
        }
        for (at, start) in text.match_indices("slipway-") {
            let name = &text[at + start.len()..];
            assert!(name.starts_with(&own) || name.starts_with(store), "{address}: slipway-{name:.90}");
            names += usize::from(name.starts_with(&own));
        }
    }
    assert!(arns > 100 && names > 200, "only {arns} ARNs and {names} names in {}", side.environment);
}
