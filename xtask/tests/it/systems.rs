//! The repository's own systems, all of them, on an emulated account of their own: the real Terraform, the real provider,
//! the published functions. Brought up by one command, planned again, used, and destroyed.

mod image;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::python::network;
use super::support::clone::{STACKS, clone_into, kind, resources};
use super::support::guard;
use super::support::world::{Ending, Sealed, repository_in};

const RELEASE: [&str; 4] = ["release", "--env", "local", "--yes"];
/// The name of the project without its checks, which run elsewhere.
const PROJECT: &str = "schema = 1\nname = \"slipway\"\n";

fn state(world: &Sealed, stack: &str) -> Value {
    let bucket = format!("slipway-{}-local-state", world.account.id);
    let bytes = world.account.object(&bucket, &format!("{stack}.tfstate"));
    serde_json::from_slice(&bytes).expect("a state in JSON")
}

/// Triggers, permissions and URLs reach the alias, and everything that can have tags has them.
fn bound_and_tagged(stack: &str, state: &Value) {
    for (address, attributes) in resources(state) {
        let text = |name: &str| attributes[name].as_str().unwrap_or_default().to_owned();
        let target = match kind(&address) {
            "aws_lambda_event_source_mapping" => Some(text("function_name")),
            "aws_lambda_function_url" | "aws_lambda_permission" => Some(format!(":{}", text("qualifier"))),
            "aws_apigatewayv2_integration" => {
                Some(text("integration_uri").trim_end_matches("/invocations").to_owned())
            }
            _ => None,
        };
        if let Some(target) = target {
            assert!(target.ends_with(":live"), "{stack}: {address} reaches {target}");
        }
        if let Some(tags) = attributes.get("tags_all").filter(|tags| tags.is_object()) {
            let missing = ["Project", "Environment", "Stack", "ManagedBy"]
                .into_iter()
                .find(|tag| tags.get(tag).is_none_or(|value| value.as_str().is_none_or(str::is_empty)));
            assert_eq!(missing, None, "{stack}: {address} lacks a tag in {tags}");
        }
    }
}

/// Waits for something that a function does by itself.
fn soon(what: &str, happened: impl Fn() -> bool) {
    let begun = Instant::now();
    while !happened() {
        assert!(begun.elapsed() < Duration::from_secs(120), "{what} did not happen");
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// What no caller of it sends is an error of the function's own, by name, and the instance goes on: no crash, no time-out.
fn malformed_events_are_told(world: &Sealed) {
    let batch = r#"{"Records":[{"eventSource":"aws:sqs","body":"x"}]}"#;
    let not_http = r#"{"version":"1.0","rawPath":"/health","requestContext":{"http":{"method":"GET"}}}"#;
    let good_http = r#"{"version":"2.0","rawPath":"/api/health","requestContext":{"http":{"method":"GET"}}}"#;
    let good_api = r#"{"version":"2.0","rawPath":"/health","requestContext":{"http":{"method":"GET"}}}"#;
    let invoice = r#"{"lines":[{"description":"Ink","quantity":2,"unit_price":"0.50"}]}"#;
    for (function, error, own, good) in [
        ("hello", "InvalidName", r#"{"name":" "}"#, r#"{"name":"Ada"}"#),
        ("invoice", "ValidationError", r#"{"lines":[{"quantity":"many"}]}"#, invoice),
        ("stream-ingest", "MalformedEvent", batch, r#"{"Records":[]}"#),
        ("tracer", "InvalidEvent", not_http, good_http),
        ("bucket-api-zip", "InvalidEvent", not_http, good_api),
    ] {
        let invoke =
            |event: &str| world.run(&["local", "invoke", function, "--event", event, "--output", "json"]);
        for event in [own, "null", "[1]", r#""text""#, "7"] {
            let told = invoke(event).exits(1);
            let document = told.json();
            let answer = &document["data"]["answer"];
            assert_eq!(document["data"]["function_error"], "Unhandled", "{function} {event}: {told}");
            let (kind, message) = (answer["errorType"].as_str(), answer["errorMessage"].as_str());
            assert!(message.is_some_and(|message| !message.is_empty()), "{function} {event}: {told}");
            assert!(!kind.unwrap_or("Runtime.").starts_with("Runtime."), "{function} {event}: {told}");
            if event == own {
                assert_eq!(kind, Some(error), "{function}: {told}");
            }
            assert!(!told.stdout.contains("panicked"), "{function} {event}: {told}");
        }
        invoke(good).exits(0);
    }
}

#[test]
fn every_system_comes_up_works_and_goes() {
    let Some(run) = guard::run() else { return };
    let world = Ending(Sealed::new(run));
    clone_into(&world, run);
    world.write("pipelines/project.toml", PROJECT);
    repository_in(&world.project);

    // The Python functions' packages come from the machine's index.
    let network = network();
    let network: Vec<(&str, &str)> =
        network.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let first = world.start_with(&RELEASE, &network).patiently().wait().exits(0);
    for stack in STACKS {
        bound_and_tagged(stack, &state(&world, stack));
    }
    for serves in ["hello 0.1.0 serves", "tracer 0.1.0 serves", "stream-ingest 0.1.0 serves"] {
        assert!(first.stdout.contains(serves), "no `{serves}` in {first}");
    }

    // Nothing is left to plan, in any of them.
    world.start(&["plan", "--env", "local", "--exit-code"]).patiently().wait().exits(0);
    let again = world.run(&RELEASE).exits(0);
    assert!(!again.did("apply") && !again.did("build"), "{again}");

    // What serves answers over its own address, signed where that is asked for.
    world.start(&["verify", "--env", "local"]).patiently().wait().exits(0).says("tracer in local");
    world.run(&["call", "/health", "--env", "local", "--function", "bucket-api-zip"]).exits(0);
    world
        .run(&["call", "/health", "--env", "local", "--function", "bucket-api-zip", "--unsigned"])
        .exits(1)
        .says("answered 403");

    malformed_events_are_told(&world);

    // A record on the stream reaches the function, which writes it to its table.
    let outputs = world.run(&["output", "--env", "local", "--output", "json"]).exits(0).json();
    let output = |name: &str| {
        outputs["data"]["stacks"]["stream-pipeline"][name]["value"].as_str().unwrap_or_default().to_owned()
    };
    let record = json!({
        "id": "it-1", "time": "2026-11-22T10:00:00Z", "source": "it", "payload": { "a": 1 },
    });
    let data = BASE64_STANDARD.encode(record.to_string());
    let put = json!({ "StreamName": output("stream_name"), "Data": data, "PartitionKey": "it" });
    world.account.target("kinesis", "Kinesis_20131202.PutRecord", "1.1", &put);
    let scan = json!({ "TableName": output("table_name") });
    soon("a record in the table", || {
        let found = world.account.target("dynamodb", "DynamoDB_20120810.Scan", "1.0", &scan);
        found["Items"].as_array().is_some_and(|items| items.len() == 1 && items[0]["id"]["S"] == "it-1")
    });

    let prefix = format!("slipway-{}-local-", world.account.id);
    let before = world.account.named(&prefix);
    assert!(before.len() > 40, "the lists show what is there: {before:#?}");
    assert!(world.account.customer_keys().iter().any(|state| state == "Enabled"));
    let gone = world.start(&["destroy", "--env", "local", "--yes"]).patiently().wait().exits(0);
    for stack in STACKS {
        assert!(gone.stdout.contains(&format!("{stack} in local is destroyed")), "{stack} in {gone}");
        assert_eq!(resources(&state(&world, stack)), BTreeMap::new(), "{stack} left something");
    }
    // The states may be wrong about it; the services are asked. What holds the states stays.
    let left: Vec<String> = world.account.named(&prefix).into_iter().collect();
    assert_eq!(left, [format!("/ {prefix}state")]);
    assert!(world.account.customer_keys().iter().all(|state| state == "PendingDeletion"));
    world.run(&["status", "--env", "local"]).exits(0);
}
