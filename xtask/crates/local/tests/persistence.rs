//! The gateway's own data outlives it: mappings and checkpoints, function URLs, HTTP APIs, dead-letter targets.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use slipway_local::{api_address, lambda_url_address};
use support::folder::Folder;
use support::{Account, eventually, kill, moto_server, options, send, shared, up, zip};

const APP: &str = "
import base64
def handle(event, context):
    for record in event.get('Records', []):
        print('GOT', base64.b64decode(record['kinesis']['data']).decode(), flush=True)
    return {'statusCode': 204}
";

const ACCOUNT: &str = "330000000001";

#[tokio::test]
async fn the_next_gateway_goes_on_where_the_last_one_ended() {
    let Some(moto) = moto_server() else { return };
    let folder = Folder::new();
    let options = options(folder.path(), &moto, ACCOUNT);
    let (first, _) = up(&options).await.unwrap();
    let mut account = Account::enter(&first, ACCOUNT).await;
    let python = json!({ "Runtime": "python3.13", "Handler": "app.handle" });
    account.function("kept", &zip(&[("app.py", APP)]), python).await;
    account.live("kept", "1").await;
    account
        .json("kinesis", "Kinesis_20131202.CreateStream", json!({ "StreamName": "kept", "ShardCount": 1 }))
        .await;
    let stream = format!("arn:aws:kinesis:eu-central-1:{ACCOUNT}:stream/kept");
    let input =
        json!({ "EventSourceArn": stream, "FunctionName": "kept:live", "StartingPosition": "LATEST" });
    let mapping = account.rest("lambda", "POST", "/2015-03-31/event-source-mappings/", input).await.json();
    let url = account
        .rest(
            "lambda",
            "POST",
            "/2021-10-31/functions/kept/url?Qualifier=live",
            json!({ "AuthType": "NONE" }),
        )
        .await
        .json()["FunctionUrl"]
        .as_str()
        .unwrap()
        .to_owned();
    let api =
        account.rest("apigateway", "POST", "/v2/apis", json!({ "name": "a", "protocolType": "HTTP" })).await;
    let api = api.json()["apiId"].as_str().unwrap().to_owned();
    let uri = format!("arn:aws:lambda:eu-central-1:{ACCOUNT}:function:kept:live");
    let integration =
        json!({ "integrationType": "AWS_PROXY", "integrationUri": uri, "payloadFormatVersion": "2.0" });
    let integration =
        account.rest("apigateway", "POST", &format!("/v2/apis/{api}/integrations"), integration).await;
    let target = format!("integrations/{}", integration.json()["integrationId"].as_str().unwrap());
    let route = json!({ "routeKey": "$default", "target": target });
    let stage = json!({ "stageName": "$default", "autoDeploy": true });
    for (part, input) in [("routes", route), ("stages", stage)] {
        let made = account.rest("apigateway", "POST", &format!("/v2/apis/{api}/{part}"), input).await;
        assert!(made.status < 300, "{part}: {}", made.text());
    }

    let put = async |account: &Account, word: &str| {
        let data = BASE64_STANDARD.encode(word);
        let input = json!({ "StreamName": "kept", "PartitionKey": "p", "Data": data });
        let mut emulator = account.clone();
        emulator.gateway.clone_from(&emulator.emulator);
        emulator.json("kinesis", "Kinesis_20131202.PutRecord", input).await;
    };
    let got = async |wanted: &[&str]| {
        eventually(20, async || {
            let log = std::fs::read_to_string(folder.path().join("logs/kept.log")).unwrap_or_default();
            let words: Vec<&str> = log.lines().filter_map(|line| line.strip_prefix("GOT ")).collect();
            if words == wanted { Ok(()) } else { Err(log.clone()) }
        })
        .await;
    };
    put(&account, "one").await;
    got(&["one"]).await;
    // The checkpoint is written after the function's response.
    let path = format!("/2015-03-31/event-source-mappings/{}", mapping["UUID"].as_str().unwrap());
    eventually(10, async || {
        let description = account.rest("lambda", "GET", &path, Value::Null).await.json();
        if description["LastProcessingResult"] == "OK" { Ok(()) } else { Err(description.to_string()) }
    })
    .await;
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    kill(first.gateway.pid.unwrap());
    put(&account, "two").await;

    let (second, _) = up(&options).await.unwrap();
    account.gateway = second.gateway.url;
    got(&["one", "two"]).await;
    let description = account.rest("lambda", "GET", &path, Value::Null).await.json();
    assert_eq!((&description["State"], &description["FunctionArn"]), (&json!("Enabled"), &json!(uri)));
    let here = lambda_url_address(&account.gateway, &url).unwrap();
    assert_eq!(send("GET", &here, &[], "").await.status, 204);
    let endpoint = format!("https://{api}.execute-api.eu-central-1.amazonaws.com");
    let here = api_address(&account.gateway, &endpoint).unwrap();
    assert_eq!(send("GET", &format!("{here}/x"), &[], "").await.status, 204);
}

#[tokio::test]
async fn a_version_keeps_its_dead_letter_target() {
    let Some(shared) = shared().await else { return };
    let account = Account::enter(&shared.state, "330000000002").await;
    let queue = |name: &str| json!({ "TargetArn": format!("arn:aws:sqs:eu-central-1:330000000002:{name}") });
    let more = json!({ "Runtime": "python3.13", "Handler": "app.handle", "DeadLetterConfig": queue("a") });
    let made = account.function("letters", &zip(&[("app.py", APP)]), more).await.json();
    assert_eq!(made["DeadLetterConfig"], queue("a"));
    let change = json!({ "DeadLetterConfig": queue("b"), "MemorySize": 512 });
    let changed = account.lambda("PUT", "/letters/configuration", change).await;
    assert_eq!((changed.status, &changed.json()["DeadLetterConfig"]), (200, &queue("b")));
    let published = account.lambda("POST", "/letters/versions", json!({})).await.json();
    assert_eq!((&published["Version"], &published["DeadLetterConfig"]), (&json!("2"), &queue("b")));
    let read = async |path: &str| account.lambda("GET", path, Value::Null).await.json();
    assert_eq!(read("/letters?Qualifier=1").await["Configuration"]["DeadLetterConfig"], queue("a"));
    assert_eq!(read("/letters/configuration?Qualifier=2").await["DeadLetterConfig"], queue("b"));
    let taken = json!({ "DeadLetterConfig": { "TargetArn": "" } });
    account.lambda("PUT", "/letters/configuration", taken).await;
    assert_eq!(read("/letters/configuration").await.get("DeadLetterConfig"), None);
    assert_eq!(read("/letters/versions").await["Versions"][1]["DeadLetterConfig"], queue("a"));
    // A new function with the same name has no target.
    assert_eq!(account.lambda("DELETE", "/letters", Value::Null).await.status, 204);
    let store = support::artifact_key(&zip(&[("app.py", APP)]));
    let again = json!({
        "FunctionName": "letters", "Runtime": "python3.13", "Handler": "app.handle", "Publish": true,
        "Role": "arn:aws:iam::330000000002:role/letters", "Code": { "S3Bucket": support::BUCKET, "S3Key": store },
    });
    let made = account.lambda("POST", "", again).await;
    assert_eq!((made.status, made.json().get("DeadLetterConfig")), (201, None));
}
