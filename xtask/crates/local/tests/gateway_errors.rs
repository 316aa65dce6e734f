//! Errors of invocations: requests that the gateway rejects, and functions that fail.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::{Value, json};
use std::time::{Duration, Instant};
use support::folder::Folder;
use support::{Account, artifact, artifact_key, kill, moto_server, options, shared, up, zip};

#[tokio::test]
async fn other_bytes_than_the_functions_are_not_run() {
    let Some(shared) = shared().await else { return };
    let account = Account::enter(&shared.state, "100000000003").await;
    let (right, wrong) = (artifact("right"), artifact("wrong"));
    account.function("checked", &right, json!({})).await;
    account.store(&artifact_key(&right), &wrong).await;
    let response = account.invoke("checked", json!({})).await;
    assert_eq!(
        (response.status, response.header("x-amzn-errortype")),
        (409, Some("ResourceConflictException"))
    );
    let message = response.json()["Message"].as_str().unwrap().to_owned();
    for zip in [right.as_slice(), &wrong] {
        let digest = artifact_key(zip).replace("artifacts/sha256/", "").replace(".zip", "");
        assert!(message.contains(&digest), "{message}");
    }
    assert!(shared.log("checked").is_empty());
    account.store(&artifact_key(&right), &right).await;
    assert_eq!(account.invoke("checked", json!({})).await.json()["label"], "right");

    // The code of a function that was created with another key is found under that key.
    let other = artifact("elsewhere");
    account.store("other/key.zip", &other).await;
    let code = json!({ "S3Bucket": support::BUCKET, "S3Key": "other/key.zip" });
    assert_eq!(account.lambda("PUT", "/checked/code", code).await.status, 200);
    assert_eq!(account.invoke("checked", json!({})).await.json()["label"], "elsewhere");
}

#[tokio::test]
async fn what_goes_wrong_in_a_function_is_told_as_lambda_does() {
    let Some(shared) = shared().await else { return };
    let account = Account::enter(&shared.state, "100000000004").await;
    account.function("faulty", &artifact("faulty"), json!({ "Timeout": 1 })).await;
    let failed = async |event: Value| {
        let response = account.invoke("faulty", event).await;
        assert_eq!((response.status, response.header("x-amz-function-error")), (200, Some("Unhandled")));
        let body = response.json();
        let text = |name: &str| body[name].as_str().unwrap().to_owned();
        (text("errorType"), text("errorMessage"), response.tail())
    };
    let (kind, message, _) = failed(json!({ "do": "error" })).await;
    assert_eq!((kind.as_str(), message.as_str()), ("Missing", "no such thing"));

    let begun = Instant::now();
    let (kind, message, tail) = failed(json!({ "do": "sleep", "seconds": 60 })).await;
    assert_eq!(kind, "Sandbox.Timedout");
    assert!(message.ends_with("Error: Task timed out after 1.00 seconds"), "{message}");
    assert!(tail.contains("Task timed out after 1.00 seconds"), "{tail}");
    assert!((1.0..3.0).contains(&begun.elapsed().as_secs_f64()), "{:?}", begun.elapsed());

    let (kind, message, tail) = failed(json!({ "do": "crash", "status": 3 })).await;
    assert_eq!(kind, "Runtime.ExitError");
    assert!(message.ends_with("Error: Runtime exited with error: exit status 3"), "{message}");
    assert!(tail.contains("doing crash\n"), "{tail}");

    let (kind, message, _) = failed(json!({ "do": "big" })).await;
    assert_eq!(kind, "Function.ResponseSizeTooLarge");
    assert!(message.contains("6291556 bytes"), "{message}");

    // Afterwards the function still works.
    assert_eq!(account.invoke("faulty", json!({})).await.json()["label"], "faulty");

    for (init, expected, said) in [
        ("exit", "Runtime.ExitError", "Runtime exited with error: exit status 7"),
        ("error", "Setup", "no database"),
    ] {
        let name = format!("init-{init}");
        let variables = json!({ "Environment": { "Variables": { "INIT": init } } });
        account.function(&name, &artifact(init), variables).await;
        let response = account.invoke(&name, json!({})).await;
        assert_eq!(response.header("x-amz-function-error"), Some("Unhandled"));
        let body = response.json();
        assert_eq!(body["errorType"], expected);
        assert!(body["errorMessage"].as_str().unwrap().contains(said), "{body}");
    }
    let log = shared.log("init-exit");
    assert!(log.starts_with("cannot begin\nINIT_REPORT Init Duration: "), "{log}");
    let silent = zip(&[("bootstrap", "#!/bin/sh\n")]);
    account.function("silent", &silent, json!({})).await;
    let body = account.invoke("silent", json!({})).await.json();
    assert!(body["errorMessage"].as_str().unwrap().ends_with("exited without providing a reason"), "{body}");

    let empty = zip(&[("nothing", "")]);
    account.function("hollow", &empty, json!({})).await;
    let body = account.invoke("hollow", json!({})).await.json();
    assert_eq!(body["errorType"], "Runtime.InvalidEntrypoint");
    assert!(body["errorMessage"].as_str().unwrap().contains("bootstrap"), "{body}");
}

#[tokio::test]
async fn what_is_refused_is_refused_as_lambda_does() {
    let Some(shared) = shared().await else { return };
    let account = Account::enter(&shared.state, "100000000007").await;
    account.function("strict", &artifact("strict"), json!({})).await;
    account.function("java", &artifact("java"), json!({ "Runtime": "java21" })).await;
    let big = format!("\"{}\"", "x".repeat(6_291_456));
    let medium = format!("\"{}\"", "x".repeat(1_048_576));
    let none: &[(&str, &str)] = &[];
    let event: &[(&str, &str)] = &[("x-amz-invocation-type", "Event")];
    let odd: &[(&str, &str)] = &[("x-amz-invocation-type", "Sometimes")];
    let context: &[(&str, &str)] = &[("x-amz-client-context", "e30")];
    for (function, headers, body, status, kind) in [
        ("absent", none, "{}", 404, "ResourceNotFoundException"),
        ("strict:9", none, "{}", 404, "ResourceNotFoundException"),
        ("strict:absent", none, "{}", 404, "ResourceNotFoundException"),
        ("999999999998:function:strict", none, "{}", 404, "ResourceNotFoundException"),
        ("strict", none, "{", 400, "InvalidRequestContentException"),
        ("strict", context, "{}", 400, "InvalidRequestContentException"),
        ("strict", odd, "{}", 400, "InvalidParameterValueException"),
        ("strict:1?Qualifier=2", none, "{}", 400, "InvalidParameterValueException"),
        ("java", none, "{}", 400, "InvalidParameterValueException"),
        ("strict", none, &big, 413, "RequestTooLargeException"),
        ("strict", event, &medium, 413, "RequestTooLargeException"),
    ] {
        let response = account.invoke_with(function, headers, body.to_owned()).await;
        assert_eq!(response.status, status, "{function}: {}", response.text());
        assert!(
            response.header("x-amzn-errortype").is_some_and(|found| found.starts_with(kind)),
            "{function}: {:?}",
            response.headers
        );
        assert!(response.json()["Message"].is_string() || response.json()["message"].is_string());
    }
    assert!(account.invoke("java", json!({})).await.text().contains("java21"));
    assert_eq!(shared.log("strict"), "");
    let url = format!("{}/2015-03-31/functions/strict/invocations", account.gateway);
    assert_eq!(support::send("POST", &url, &[], "{}").await.status, 403);

    let dry = account.invoke_with("strict:1", &[("x-amz-invocation-type", "DryRun")], "").await;
    assert_eq!((dry.status, dry.body.len(), dry.header("x-amz-executed-version")), (204, 0, Some("1")));
    assert_eq!(shared.log("strict"), "");
    let accepted = account.invoke_with("strict", event, r#"{"do":"later"}"#).await;
    assert_eq!((accepted.status, accepted.body.len()), (202, 0));
    let until = Instant::now() + Duration::from_secs(10);
    while !shared.log("strict").contains("doing later") {
        assert!(Instant::now() < until);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // A call without payload has an empty event.
    assert_eq!(account.invoke_with("strict", none, "").await.json()["event"], json!({}));
}

#[tokio::test]
async fn a_dead_emulator_is_named_at_once_and_as_each_service_would() {
    let Some(moto) = moto_server() else { return };
    let folder = Folder::new();
    let (state, _) = up(&options(folder.path(), &moto, "100000000008")).await.unwrap();
    let account = Account::enter(&state, "100000000008").await;
    account.function("left", &artifact("left"), json!({})).await;
    kill(state.emulator.pid.unwrap());

    let begun = Instant::now();
    let form = ("content-type", "application/x-www-form-urlencoded");
    let document = ("content-type", "application/x-amz-json-1.1");
    let alias = "2015-03-31/functions/left/aliases/live";
    for (service, method, path, headers, start) in [
        ("s3", "GET", "store/key", &[][..], "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>"),
        ("s3", "PUT", "store/key", &[("if-none-match", "*")], "<?xml"),
        ("s3", "GET", "store/key?uploadId=x", &[], "<?xml"),
        ("sts", "POST", "", &[form], "<ErrorResponse><Error><Type>Receiver</Type><Code>"),
        ("logs", "POST", "", &[document], "{"),
        ("lambda", "GET", "2015-03-31/functions/left", &[], "{"),
        ("lambda", "GET", alias, &[], "{"),
        ("lambda", "PUT", alias, &[], "{"),
        ("lambda", "DELETE", alias, &[], "{"),
        ("lambda", "POST", "2015-03-31/functions/left/invocations", &[], "{"),
    ] {
        let url = format!("{}/{path}", account.gateway);
        let body = if method == "PUT" { "{}" } else { "" };
        let response = account.call(service, method, &url, headers, body.into()).await;
        let text = response.text();
        assert_eq!(
            (response.status, response.header("x-amzn-errortype")),
            (502, Some("EmulatorUnreachable")),
            "{service} {method} {path}: {text}"
        );
        assert!(text.starts_with(start), "{text}");
        assert!(text.contains("(moto)") && text.contains(&state.emulator.url["http://".len()..]), "{text}");
        if start == "{" {
            assert!(response.json()["message"].is_string(), "{text}");
        }
    }
    let url = format!("{}/store/key", account.gateway);
    let head = account.call("s3", "HEAD", &url, &[], Default::default()).await;
    assert_eq!((head.status, head.body.len()), (502, 0));
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}
