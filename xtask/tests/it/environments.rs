//! staging and prod: the repository's systems, with its own values, in emulated accounts of their own. What was released
//! to the one is deployed to the other, and what differs between them is what their values say.
//!
//! In: this repository, in the accounts that `support::team` brings. An administrator prepares them, everything else is done
//! in the environments' roles.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::support::clone::{STACKS, kind, resources};
use super::support::differences::{self, Side};
use super::support::guard;
use super::support::process::Running;
use super::support::team::Team;

/// Values that the emulator asks for, as `environments/local` has them: stack, name, value, what it cannot do.
/// docs/limits.md has each of them. Nothing else of an environment's values is changed.
const UNABLE: [(&str, &str, &str, &str); 7] = [
    ("bucket-api", "require_https", "false", "it ignores a policy's conditions and would refuse every call"),
    ("bucket-api", "require_allowed_principals", "false", "the same"),
    ("bucket-api", "manage_lifecycle", "false", "it takes a minute for the rules, and expires nothing"),
    (
        "stream-pipeline",
        "require_https",
        "false",
        "it ignores a policy's conditions and would refuse every call",
    ),
    ("stream-pipeline", "manage_lifecycle", "false", "it takes a minute for the rules, and expires nothing"),
    ("tracer", "enable_cost_alerts", "false", "it has no budgets"),
    ("tracer", "permit_invoke_by_stack", "false", "it asks for no second permission behind a URL"),
];

/// Types that `protect` of a stack names: they go only where their addresses are typed.
const PROTECTED: [&str; 6] =
    ["aws_dynamodb_table", "aws_eip", "aws_kms_key", "aws_s3_bucket", "aws_subnet", "aws_vpc"];

/// Sets in a stack's values what the emulator asks for, as the local environment has it.
fn emulated(stack: &str, values: &str, local: &str) -> String {
    let is = |line: &str, wanted: &str| line.split_once('=').is_some_and(|(name, _)| name.trim() == wanted);
    let mut values = values.to_owned();
    for (_, name, value, why) in UNABLE.iter().filter(|(of, ..)| *of == stack) {
        let there = local.lines().find(|line| is(line, name)).and_then(|line| line.split_once('='));
        assert_eq!(there.map(|(_, there)| there.trim()), Some(*value), "{name} in local's {stack}.tfvars");
        let kept: Vec<&str> = values.lines().filter(|line| !is(line, name)).collect();
        values = format!("{}\n\n# The emulator: {why}.\n{name} = {value}\n", kept.join("\n"));
    }
    values
}

#[test]
fn staging_and_prod_stand_apart_and_differ_by_their_values_alone() {
    let Some(run) = guard::run() else { return };
    let team = Team::new(run, emulated);
    let (staging, prod) = (&team.staging, &team.prod);
    team.bootstrap();

    // Everything comes up. What needs a secret waits for the secret's owner, and for nothing else.
    let release = ["release", "--env", "staging", "--yes"];
    let first = team.run(&release).exits(5).says("does not exist, or has no value yet");
    assert!(first.stderr.contains("stack          tracer"), "{first}");
    staging.give_secret("tracer-api-keys", r#"["a-key-of-staging-0123456789"]"#);
    let released = team.run(&release).exits(0).says("tracer 0.1.0 serves in staging");
    assert!(!released.did("build") && !released.did("apply"), "{released}");
    let serving = staging.serves();
    assert_eq!(serving.len(), 5, "{serving:?}");
    assert_eq!(team.status(staging), serving.keys().map(|function| as_wanted(function)).collect());

    // The same releases, by their versions; nothing is built.
    let version = |function: &str| serving[function][0].as_str().expect("a version").to_owned();
    let versions: Vec<(&str, String)> =
        serving.keys().map(|function| (function.as_str(), version(function))).collect();
    let mut deploys: Vec<Vec<&str>> = versions
        .iter()
        .map(|(function, version)| vec!["deploy", function, "--version", version, "--env", "prod"])
        .collect();
    deploys.push(vec!["deploy", "--stack", "network", "--env", "prod"]);
    team.run(&deploys[1]).exits(6).says("there is no terminal to ask at");
    let kept = prod.account.keys(&prod.bucket());
    assert!(!kept.contains(&"hello.tfstate".to_owned()), "{kept:?}");
    let started: Vec<Running> = deploys
        .iter()
        .map(|arguments| team.start_in(&team.world.account, &[arguments.as_slice(), &["--yes"]].concat()))
        .collect();
    for deployed in started.into_iter().map(Running::wait) {
        let deployed = deployed.exits(0);
        assert!(deployed.did("apply") && !deployed.did("build"), "{deployed}");
    }
    assert_eq!(prod.serves(), serving, "the digests in prod are those in staging");
    assert_eq!(team.status(prod), serving.keys().map(|function| as_wanted(function)).collect());

    let (ours, theirs) = (staging.resources(), prod.resources());
    let (one, other) = (staging.side(&ours), prod.side(&theirs));
    let store = format!("{}-artifacts", team.world.account.id);
    names_itself_alone(&store, &one, &other);
    names_itself_alone(&store, &other, &one);
    team.run(&["plan", "--env", "staging", "--exit-code"]).exits(0);
    let found = differences::between(&one, &other);
    insta::assert_snapshot!(found.join("\n"), @r##"
    bucket-api module.api.aws_apigatewayv2_stage.this default_route_settings: [{"data_trace_enabled":false,"detailed_metrics_enabled":false,"logging_level":"","throttling_burst_limit":40,"throttling_rate_limit":20}] -> [{"data_trace_enabled":false,"detailed_metrics_enabled":false,"logging_level":"","throttling_burst_limit":100,"throttling_rate_limit":50}]
    bucket-api module.api.aws_cloudwatch_log_group.access retention_in_days: 90 -> 365
    bucket-api module.bucket_key.aws_kms_key.this deletion_window_in_days: 14 -> 30
    bucket-api module.function["bucket-api-zip"].aws_cloudwatch_log_group.this retention_in_days: 14 -> 30
    bucket-api module.function["bucket-api-zip"].aws_lambda_function.this memory_size: 128 -> 256
    bucket-api module.monitoring.aws_cloudwatch_dashboard.this[0]: only in prod
    bucket-api module.monitoring.aws_cloudwatch_log_metric_filter.this["failed-requests"]: only in prod
    bucket-api module.monitoring.aws_cloudwatch_log_metric_filter.this["refused-callers"]: only in prod
    bucket-api module.monitoring.aws_cloudwatch_metric_alarm.this["api/api-4xx"]: only in prod
    bucket-api module.monitoring.aws_cloudwatch_metric_alarm.this["api/api-5xx"]: only in prod
    bucket-api module.monitoring.aws_cloudwatch_metric_alarm.this["api/api-latency"]: only in prod
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
    stream-pipeline module.secret.aws_secretsmanager_secret.this recovery_window_in_days: 14 -> 30
    stream-pipeline module.secret_key.aws_kms_key.this deletion_window_in_days: 14 -> 30
    stream-pipeline module.stream.aws_kinesis_stream.this shard_count: 2 -> 3
    stream-pipeline module.stream_ingest.aws_cloudwatch_log_group.this retention_in_days: 30 -> 90
    stream-pipeline module.stream_ingest.aws_lambda_function.this memory_size: 512 -> 1024
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

    // The one goes, and the other does not notice.
    let (status, greeting) = team.greets(staging);
    assert_eq!((status, &greeting["greeting"]), (200, &json!("Hello Ada")));
    let protected = ours.values().flat_map(BTreeMap::keys);
    let protected = protected.filter(|address| PROTECTED.contains(&kind(address)));
    let typed: Vec<&str> = protected.flat_map(|address| ["--confirm", address.as_str()]).collect();
    team.run(&[["destroy", "--env", "staging", "--yes"].as_slice(), &typed].concat()).exits(0);
    for stack in STACKS {
        assert_eq!(resources(&staging.state(stack)), BTreeMap::new(), "{stack} left something in staging");
    }
    assert_eq!(team.greets(staging).0, 404);
    let (status, greeting) = team.greets(prod);
    assert_eq!((status, &greeting["greeting"]), (200, &json!("Hello Ada")));
    let verified = team.run(&["verify", "--env", "prod"]).exits(0);
    for function in serving.keys() {
        assert!(verified.stdout.contains(&format!("{function} in prod: ")), "{function} in {verified}");
    }
    assert_eq!(prod.resources(), theirs);
    assert_eq!(prod.serves(), serving);
    // It reads all that its state names: nothing is missing, and nothing was left to plan.
    team.run(&["plan", "--env", "prod", "--exit-code"]).exits(0);
}

/// What `status` says of a function that is as it should be.
fn as_wanted(function: &str) -> (String, Value) {
    let status = json!({ "release": "0.1.0", "verified": true, "as_recorded": true, "alias_version": "1" });
    (function.to_owned(), status)
}

/// Every ARN is of this account, and every name of this account and environment; but for the artifacts' bucket.
fn names_itself_alone(store: &str, side: &Side, other: &Side) {
    let own = format!("{}-{}-", side.account, side.environment);
    let foreign =
        [other.account.to_owned(), format!("-{}-", other.environment), format!("\"{}\"", other.environment)];
    let (mut arns, mut names) = (0, 0);
    for (address, attributes) in side.stacks.values().flatten() {
        let text = attributes.to_string();
        for foreign in &foreign {
            assert!(!text.contains(foreign), "{address} in {} holds {foreign}", side.environment);
        }
        for (at, start) in text.match_indices("arn:aws:") {
            // service:region:account:…; buckets and APIs have no account, and AWS's own integrations `lambda`.
            let arn = &text[at + start.len()..];
            let account = arn.split([':', '"', '\\', ',']).nth(2).unwrap_or_default();
            let free = ["", "aws", "lambda"].contains(&account);
            assert!(account == side.account || free, "{address} in {}: arn:aws:{arn:.90}", side.environment);
            arns += usize::from(!free);
        }
        for (at, start) in text.match_indices("slipway-") {
            let name = &text[at + start.len()..];
            assert!(name.starts_with(&own) || name.starts_with(store), "{address}: slipway-{name:.90}");
            names += usize::from(name.starts_with(&own));
        }
    }
    assert!(arns > 100 && names > 200, "only {arns} ARNs and {names} names in {}", side.environment);
}
