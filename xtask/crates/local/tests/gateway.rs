//! Invoke through the gateway, against the real emulator and with a real runtime.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use support::{Account, artifact, artifact_key, shared, zip};

#[tokio::test]
async fn the_version_that_is_named_is_the_one_that_runs() {
    let Some(shared) = shared().await else { return };
    let account = Account::enter(&shared.state, "100000000001").await;
    account.function("greeter", &artifact("one"), json!({})).await;
    let second = artifact("two");
    account.store(&artifact_key(&second), &second).await;
    let code = json!({ "S3Bucket": support::BUCKET, "S3Key": artifact_key(&second), "Publish": true });
    let updated = account.lambda("PUT", "/greeter/code", code).await;
    assert_eq!(updated.status, 200, "{}", updated.text());
    let alias = json!({ "Name": "live", "FunctionVersion": "1" });
    assert_eq!(account.lambda("POST", "/greeter/aliases", alias).await.status, 201);
    let arn = "arn:aws:lambda:eu-central-1:100000000001:function:greeter";

    for (named, version, label, invoked) in [
        ("greeter", "$LATEST", "two", arn.to_owned()),
        ("greeter?Qualifier=1", "1", "one", format!("{arn}:1")),
        ("greeter:2", "2", "two", format!("{arn}:2")),
        ("greeter?Qualifier=live", "1", "one", format!("{arn}:live")),
        ("100000000001:function:greeter:live", "1", "one", format!("{arn}:live")),
        (&format!("{arn}:live"), "1", "one", format!("{arn}:live")),
        (&format!("{arn}?Qualifier=%24LATEST"), "$LATEST", "two", format!("{arn}:$LATEST")),
    ] {
        let response = account.invoke(named, json!({ "n": 1 })).await;
        assert_eq!(response.status, 200, "{named}: {}", response.text());
        assert_eq!(response.header("x-amz-executed-version"), Some(version), "{named}");
        assert_eq!(response.header("x-amz-function-error"), None);
        let body = response.json();
        assert_eq!((&body["label"], &body["event"]), (&json!(label), &json!({ "n": 1 })), "{named}");
        assert_eq!(body["arn"], json!(invoked), "{named}");
        assert_eq!(body["id"].as_str(), response.header("x-amzn-requestid"));
        let left = body["left"].as_f64().unwrap();
        assert!((8_000.0..=10_000.0).contains(&left), "{left}");
    }

    // The next call uses the alias's new version.
    let moved = account.lambda("PUT", "/greeter/aliases/live", json!({ "FunctionVersion": "2" })).await;
    assert!(moved.status < 300, "{}", moved.text());
    assert_eq!(account.invoke("greeter:live", json!({})).await.json()["label"], "two");
    let weights =
        json!({ "FunctionVersion": "2", "RoutingConfig": { "AdditionalVersionWeights": { "1": 1.0 } } });
    let moved = account.lambda("PUT", "/greeter/aliases/live", weights).await;
    assert!(moved.status < 300, "{}", moved.text());
    let weighted = account.invoke("greeter:live", json!({})).await;
    assert_eq!(
        (weighted.header("x-amz-executed-version"), &weighted.json()["label"]),
        (Some("1"), &json!("one"))
    );
}

#[tokio::test]
async fn a_function_sees_lambdas_environment_and_its_own_variables() {
    let Some(shared) = shared().await else { return };
    let account = Account::enter(&shared.state, "100000000002").await;
    let own = json!({ "GREETING": "Hello", "AWS_REGION": "nowhere", "TZ": "Europe/Rome" });
    let variables = json!({ "Environment": { "Variables": own } });
    account.function("env", &artifact("env"), variables).await;
    let context = BASE64_STANDARD.encode(r#"{"custom":{"a":"b"}}"#);
    let headers = [("x-amz-client-context", context.as_str())];
    let response = account.invoke_with("env:1", &headers, r#"{"do":"environment"}"#).await;
    assert_eq!(response.header("x-amz-log-result"), None);
    let body = response.json();
    assert_eq!(body["context"], r#"{"custom":{"a":"b"}}"#);
    let environment = &body["environment"];
    for (name, value) in [
        ("GREETING", "Hello"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_DEFAULT_REGION", "eu-central-1"),
        ("TZ", "Europe/Rome"),
        ("AWS_LAMBDA_FUNCTION_NAME", "env"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/env"),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        ("AWS_ENDPOINT_URL", &account.gateway),
        ("AWS_ENDPOINT_URL_LAMBDA", &account.gateway),
        ("_HANDLER", "bootstrap"),
    ] {
        assert_eq!(environment[name], value, "{name}");
    }
    assert!(environment.get("CARGO_MANIFEST_DIR").is_none() && environment.get("HOME").is_none());

    // Its credentials are those of its role, in its account.
    let key = environment["AWS_ACCESS_KEY_ID"].as_str().unwrap();
    let authorization = account.authorization("sts");
    let own = authorization.replace(support::between(&authorization, "Credential=", "/"), key);
    let headers = [("authorization", own.as_str()), ("content-type", "application/x-www-form-urlencoded")];
    let form = "Action=GetCallerIdentity&Version=2011-06-15";
    let identity = support::send("POST", &account.emulator, &headers, form).await.text();
    assert!(identity.contains("assumed-role/env/env"), "{identity}");
    assert!(identity.contains("100000000002"), "{identity}");
}

#[tokio::test]
async fn the_log_is_returned_written_and_sent_to_the_emulator() {
    let Some(shared) = shared().await else { return };
    let account = Account::enter(&shared.state, "100000000005").await;
    account.function("talker", &artifact("talker"), json!({})).await;
    let response = account.invoke("talker:1", json!({ "do": "talk" })).await;
    let id = response.header("x-amzn-requestid").unwrap().to_owned();
    let tail = response.tail();
    let lines: Vec<&str> = tail.lines().collect();
    assert_eq!(
        lines[..3],
        [&format!("START RequestId: {id} Version: 1"), "doing talk", &format!("END RequestId: {id}")]
    );
    assert!(lines[3].starts_with(&format!("REPORT RequestId: {id}\tDuration: ")), "{tail}");
    assert!(
        lines[3].contains("Memory Size: 256 MB\tMax Memory Used: ") && lines[3].contains("Init Duration: ")
    );
    assert_eq!(lines.len(), 4);
    assert!(!account.invoke("talker:1", json!({})).await.tail().contains("Init Duration"));

    let tail = account.invoke("talker:1", json!({ "do": "shout" })).await.tail();
    assert_eq!(tail.len(), 4096);
    // The order of stdout and stderr is kept.
    let end = tail.find("\nEND").unwrap();
    assert!(tail[..end].ends_with("\nline 996\nline 997\nline 998\nline 999"), "{tail}");
    let log = shared.log("talker");
    assert!(log.starts_with(&lines.join("\n")), "{log}");
    assert!((0..1000).all(|number| log.contains(&format!("line {number}\n"))));

    let input = json!({ "logGroupName": "/aws/lambda/talker", "filterPattern": "" }).to_string();
    let headers =
        [("x-amz-target", "Logs_20140328.FilterLogEvents"), ("content-type", "application/x-amz-json-1.1")];
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let response = account.call("logs", "POST", &account.emulator, &headers, input.clone().into()).await;
        let text = response.text();
        if response.status == 200 && text.contains("line 999") {
            let first = &response.json()["events"][0];
            assert_eq!(first["message"], lines[0]);
            assert!(first["logStreamName"].as_str().unwrap().contains("/[1]"), "{first}");
            break;
        }
        assert!(Instant::now() < until, "{text}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn calls_at_once_run_side_by_side_and_one_after_another_on_the_same_instance() {
    let Some(shared) = shared().await else { return };
    let account = Account::enter(&shared.state, "100000000006").await;
    account.function("sleeper", &artifact("sleeper"), json!({})).await;
    let nap = || account.invoke("sleeper:1", json!({ "do": "sleep", "seconds": 1 }));
    // A call that waited for the other one would have got its instance.
    let (one, other) = tokio::join!(nap(), nap());
    let (one, other) = (one.json(), other.json());
    assert_ne!(one["pid"], other["pid"]);
    let third = account.invoke("sleeper:1", json!({})).await.json();
    assert!(third["pid"] == one["pid"] || third["pid"] == other["pid"]);
    assert_eq!(third["count"], 2);

    // Another configuration needs another instance, even with the same code.
    let changed = account.lambda("PUT", "/sleeper/configuration", json!({ "MemorySize": 512 })).await;
    assert_eq!(changed.status, 200);
    assert_eq!(account.invoke("sleeper", json!({})).await.json()["count"], 1);
}

#[tokio::test]
async fn every_other_request_reaches_the_emulator_unchanged() {
    let Some(shared) = shared().await else { return };
    let account = Account::enter(&shared.state, "100000000008").await;
    account.function("listed", &artifact("listed"), json!({})).await;
    let through = account.lambda("GET", "/", Value::Null).await;
    let url = format!("{}/2015-03-31/functions/", account.emulator);
    let direct = account.call("lambda", "GET", &url, &[], Default::default()).await;
    assert_eq!((through.status, through.json()), (200, direct.json()));
    assert_eq!(through.json()["Functions"][0]["FunctionName"], "listed");
    assert_eq!(through.header("content-type"), direct.header("content-type"));

    // Any service, any size, any method.
    let bytes = vec![7; 20 << 20];
    account.store("warm-up", b"").await;
    let url = format!("{}/{}/some/object?x-id=PutObject", account.gateway, support::BUCKET);
    let headers = [("x-amz-meta-colour", "blue")];
    let put = account.call("s3", "PUT", &url, &headers, bytes.clone().into()).await;
    assert_eq!(put.status, 200, "{}", put.text());
    let head = account.call("s3", "HEAD", &url, &[], Default::default()).await;
    assert_eq!(
        (head.header("x-amz-meta-colour"), head.header("content-length")),
        (Some("blue"), Some("20971520"))
    );
    assert_eq!(account.call("s3", "GET", &url, &[], Default::default()).await.body, bytes);
    assert_eq!(account.call("s3", "DELETE", &url, &[], Default::default()).await.status, 204);
    assert_eq!(account.call("s3", "GET", &url, &[], Default::default()).await.status, 404);
}

#[tokio::test]
async fn python_functions_run_on_the_hosts_interpreter() {
    let Some(shared) = shared().await else { return };
    let account = Account::enter(&shared.state, "100000000009").await;
    let app = "import json, sys\ndef handle(event, context):\n    print('event', json.dumps(event))\n    if event.get('bad'):\n        raise ValueError('bad event')\n    return {'greeting': f\"Hello {event['name']}\", 'version': context.function_version, 'left': context.get_remaining_time_in_millis(), 'python': list(sys.version_info[:2])}\n";
    let code = zip(&[("ingest/__init__.py", ""), ("ingest/app.py", app)]);
    let python = json!({ "Runtime": "python3.13", "Handler": "ingest.app.handle" });
    account.function("ingest", &code, python).await;
    let response = account.invoke("ingest:1", json!({ "name": "Adä" })).await;
    let body = response.json();
    let expected = (&json!("Hello Adä"), &json!("1"));
    assert_eq!((&body["greeting"], &body["version"]), expected, "{body} {}", response.tail());
    assert!(body["left"].as_u64().unwrap() > 5000);
    // The log says if another version runs.
    let warned = response.tail().contains("WARNING: this machine has no python3.13");
    assert_eq!(body["python"] != json!([3, 13]), warned, "{body} {}", response.tail());
    assert!(response.tail().contains("event {\"name\""), "{}", response.tail());
    let failed = account.invoke("ingest:1", json!({ "bad": true })).await;
    assert_eq!(failed.header("x-amz-function-error"), Some("Unhandled"));
    assert_eq!(
        (&failed.json()["errorType"], &failed.json()["errorMessage"]),
        (&json!("ValueError"), &json!("bad event"))
    );
    assert!(failed.tail().contains("Traceback"));

    let missing = json!({ "Runtime": "python3.13", "Handler": "ingest.gone.handle" });
    account.function("missing", &code, missing).await;
    assert_eq!(account.invoke("missing", json!({})).await.json()["errorType"], "ModuleNotFoundError");
}
