//! All of the repository's own systems in one emulated account, with the real Terraform and provider: released by one
//! command, planned again, used, and destroyed.

mod image;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::support::TestRun;
use super::support::commands::RELEASE;
use super::support::python::package_index_variables;
use super::support::repository_copy::{STACKS, copy_repository_into, resource_type, resources};
use super::support::sandbox::{AutoStop, Sandbox, init_repository};
use crate::require;

/// The project without its checks, which are tested elsewhere.
const PROJECT: &str = "schema = 1\nname = \"slipway\"\n";

fn state(sandbox: &Sandbox, stack: &str) -> Value {
    let bucket = format!("slipway-{}-local-state", sandbox.account.id);
    let bytes = sandbox.account.object(&bucket, &format!("{stack}.tfstate"));
    serde_json::from_slice(&bytes).expect("a state in JSON")
}

/// Asserts that triggers, permissions and URLs use the alias, and that every resource with tags has ours.
fn assert_bound_and_tagged(stack: &str, state: &Value) {
    for (address, attributes) in resources(state) {
        let text = |name: &str| attributes[name].as_str().unwrap_or_default().to_owned();
        let target = match resource_type(&address) {
            "aws_lambda_event_source_mapping" => Some(text("function_name")),
            "aws_lambda_function_url" | "aws_lambda_permission" => Some(format!(":{}", text("qualifier"))),
            "aws_apigatewayv2_integration" => {
                Some(text("integration_uri").trim_end_matches("/invocations").to_owned())
            }
            _ => None,
        };
        if let Some(target) = target {
            assert!(target.ends_with(":live"), "{stack}: {address} uses {target}");
        }
        if let Some(tags) = attributes.get("tags_all").filter(|tags| tags.is_object()) {
            let missing = ["Project", "Environment", "Stack", "ManagedBy"]
                .into_iter()
                .find(|tag| tags.get(tag).is_none_or(|value| value.as_str().is_none_or(str::is_empty)));
            assert_eq!(missing, None, "{stack}: {address} lacks a tag in {tags}");
        }
    }
}

/// Waits for something that a function does asynchronously.
fn wait_until(what: &str, happened: impl Fn() -> bool) {
    let started = Instant::now();
    while !happened() {
        assert!(started.elapsed() < Duration::from_secs(120), "{what} did not happen");
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// Asserts that a malformed event gives a named error of the function, without a crash or time-out of its instance.
fn assert_malformed_events_are_errors(sandbox: &Sandbox) {
    let batch = r#"{"Records":[{"eventSource":"aws:sqs","body":"x"}]}"#;
    let not_http = r#"{"version":"1.0","rawPath":"/health","requestContext":{"http":{"method":"GET"}}}"#;
    let good_http = r#"{"version":"2.0","rawPath":"/api/health","requestContext":{"http":{"method":"GET"}}}"#;
    let good_api = r#"{"version":"2.0","rawPath":"/health","requestContext":{"http":{"method":"GET"}}}"#;
    let invoice = r#"{"lines":[{"description":"Ink","quantity":2,"unit_price":"0.50"}]}"#;
    for (function, error_type, own, good) in [
        ("hello", "InvalidName", r#"{"name":" "}"#, r#"{"name":"Ada"}"#),
        ("invoice", "ValidationError", r#"{"lines":[{"quantity":"many"}]}"#, invoice),
        ("stream-ingest", "MalformedEvent", batch, r#"{"Records":[]}"#),
        ("tracer", "InvalidEvent", not_http, good_http),
        ("bucket-api-zip", "InvalidEvent", not_http, good_api),
    ] {
        let invoke =
            |event: &str| sandbox.run(&["local", "invoke", function, "--event", event, "--output", "json"]);
        for event in [own, "null", "[1]", r#""text""#, "7"] {
            let invoked = invoke(event).exits(1);
            let document = invoked.json();
            let error = &document["data"]["answer"];
            assert_eq!(document["data"]["function_error"], "Unhandled", "{function} {event}: {invoked}");
            let (kind, message) = (error["errorType"].as_str(), error["errorMessage"].as_str());
            assert!(message.is_some_and(|message| !message.is_empty()), "{function} {event}: {invoked}");
            assert!(!kind.unwrap_or("Runtime.").starts_with("Runtime."), "{function} {event}: {invoked}");
            if event == own {
                assert_eq!(kind, Some(error_type), "{function}: {invoked}");
            }
            assert!(!invoked.stdout.contains("panicked"), "{function} {event}: {invoked}");
        }
        invoke(good).exits(0);
    }
}

#[test]
fn every_system_is_released_used_and_destroyed() {
    let test_run = require!(TestRun::shared());
    let sandbox = AutoStop(Sandbox::new(test_run));
    copy_repository_into(&sandbox, test_run);
    sandbox.write("pipelines/project.toml", PROJECT);
    init_repository(&sandbox.folder);

    // The packages of the Python functions come from the machine's index.
    let variables = package_index_variables();
    let variables: Vec<(&str, &str)> =
        variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let first = sandbox.start_with(&RELEASE, &variables).with_long_timeout().wait().exits(0);
    for stack in STACKS {
        assert_bound_and_tagged(stack, &state(&sandbox, stack));
    }
    for serves in ["hello 0.1.0 serves", "tracer 0.1.0 serves", "stream-ingest 0.1.0 serves"] {
        assert!(first.stdout.contains(serves), "no `{serves}` in {first}");
    }

    // No stack has changes left to plan.
    sandbox.start(&["plan", "--env", "local", "--exit-code"]).with_long_timeout().wait().exits(0);
    let again = sandbox.run(&RELEASE).exits(0);
    assert!(!again.ran_step("apply") && !again.ran_step("build"), "{again}");

    // The functions respond at their own addresses, to signed requests where signatures are required.
    sandbox.start(&["verify", "--env", "local"]).with_long_timeout().wait().exits(0).says("tracer in local");
    sandbox.run(&["call", "/health", "--env", "local", "--function", "bucket-api-zip"]).exits(0);
    sandbox
        .run(&["call", "/health", "--env", "local", "--function", "bucket-api-zip", "--unsigned"])
        .exits(1)
        .says("answered 403");

    assert_malformed_events_are_errors(&sandbox);

    // A record on the stream reaches the function, which writes it to its table.
    let outputs = sandbox.run(&["output", "--env", "local", "--output", "json"]).exits(0).json();
    let output = |name: &str| {
        outputs["data"]["stacks"]["stream-pipeline"][name]["value"].as_str().unwrap_or_default().to_owned()
    };
    let record = json!({
        "id": "it-1", "time": "2026-11-22T10:00:00Z", "source": "it", "payload": { "a": 1 },
    });
    let data = BASE64_STANDARD.encode(record.to_string());
    let put = json!({ "StreamName": output("stream_name"), "Data": data, "PartitionKey": "it" });
    sandbox.account.call_json("kinesis", "Kinesis_20131202.PutRecord", "1.1", &put);
    let scan = json!({ "TableName": output("table_name") });
    wait_until("a record in the table", || {
        let found = sandbox.account.call_json("dynamodb", "DynamoDB_20120810.Scan", "1.0", &scan);
        found["Items"].as_array().is_some_and(|items| items.len() == 1 && items[0]["id"]["S"] == "it-1")
    });

    let prefix = format!("slipway-{}-local-", sandbox.account.id);
    let before = sandbox.account.resource_names(&prefix);
    assert!(before.len() > 40, "the lists show the resources: {before:#?}");
    assert!(sandbox.account.customer_key_states().iter().any(|state| state == "Enabled"));
    let destroyed =
        sandbox.start(&["destroy", "--env", "local", "--yes"]).with_long_timeout().wait().exits(0);
    for stack in STACKS {
        assert!(
            destroyed.stdout.contains(&format!("{stack} in local is destroyed")),
            "{stack} in {destroyed}"
        );
        assert_eq!(resources(&state(&sandbox, stack)), BTreeMap::new(), "{stack} left something");
    }
    // The states may be wrong, so the services are asked. The bucket with the states remains.
    let left: Vec<String> = sandbox.account.resource_names(&prefix).into_iter().collect();
    assert_eq!(left, [format!("/ {prefix}state")]);
    assert!(sandbox.account.customer_key_states().iter().all(|state| state == "PendingDeletion"));
    sandbox.run(&["status", "--env", "local"]).exits(0);
}
