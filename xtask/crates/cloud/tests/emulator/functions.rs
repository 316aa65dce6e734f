//! Functions: configurations and aliases in moto, responses to Invoke from a script.

use std::time::Duration;

use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{Environment, FunctionCode, Runtime};
use slipway_cloud::CloudErrorKind;

use super::moto::{Moto, moto, session, session_in};
use super::scripted::{Response, ScriptedServer, response};
use crate::require;

/// The end record of a zip without entries.
const EMPTY_ZIP: &[u8] = b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

fn lambda(moto: &Moto) -> aws_sdk_lambda::Client {
    use aws_sdk_lambda::config::{BehaviorVersion, Config, Credentials, Region};
    let config = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("eu-central-1"))
        .credentials_provider(Credentials::new("AKIAEXAMPLE", "secret", None, None, "test"))
        .endpoint_url(&moto.endpoint)
        .http_client(aws_smithy_http_client::Builder::new().build_http());
    aws_sdk_lambda::Client::from_conf(config.build())
}

/// Creates a function with two versions and an alias `live` on the first.
async fn create(moto: &Moto, name: &str) -> aws_sdk_lambda::Client {
    let client = lambda(moto);
    let create = client.create_function().function_name(name).role(moto.create_role("lambda"));
    create
        .runtime(Runtime::from("python3.13"))
        .handler("app.handle")
        .code(FunctionCode::builder().zip_file(Blob::new(EMPTY_ZIP)).build())
        .environment(Environment::builder().variables("STAGE", "one").build())
        .memory_size(256)
        .timeout(7)
        .publish(true)
        .send()
        .await
        .unwrap();
    client.update_function_configuration().function_name(name).memory_size(512).send().await.unwrap();
    client.publish_version().function_name(name).send().await.unwrap();
    client.create_alias().function_name(name).name("live").function_version("1").send().await.unwrap();
    client
}

#[tokio::test]
async fn configuration_is_read_by_version_and_alias() {
    let moto = require!(moto());
    create(moto, "configured").await;
    let functions = session(&moto.endpoint).await.functions();
    let first = functions.configuration("configured", Some("1")).await.unwrap().unwrap();
    assert_eq!((first.version.as_str(), first.memory_mb, first.timeout_s), ("1", 256, 7));
    assert_eq!(first.runtime.as_deref(), Some("python3.13"));
    assert_eq!(first.handler.as_deref(), Some("app.handle"));
    assert_eq!((first.package_type.as_str(), first.architecture.as_str()), ("Zip", "x86_64"));
    assert_eq!(first.environment["STAGE"], "one");
    assert_eq!(first.state.as_deref(), Some("Active"));
    assert!(first.role.ends_with(":role/lambda"), "{}", first.role);
    let expected = {
        use base64::Engine as _;
        use sha2::Digest as _;
        base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(EMPTY_ZIP))
    };
    assert_eq!(first.code_sha256, expected);
    let live = functions.configuration("configured", Some("live")).await.unwrap().unwrap();
    assert_eq!((live.digest(), &live.code_sha256), (first.digest(), &first.code_sha256));

    let versions = functions.versions("configured").await.unwrap();
    let numbers: Vec<_> = versions.iter().map(|version| version.version.as_str()).collect();
    assert_eq!(numbers, ["1", "2"]);
    assert_eq!(
        versions[0].digest(),
        first.digest(),
        "the digest does not depend on which call read the version"
    );
    let latest = functions.configuration("configured", None).await.unwrap().unwrap();
    assert_eq!(latest.digest(), versions[1].digest(), "version and dates are not part of the digest");
    assert_ne!(latest.digest(), first.digest(), "memory is part of the digest");

    assert_eq!(functions.configuration("absent", None).await.unwrap(), None);
    assert_eq!(functions.configuration("configured", Some("9")).await.unwrap(), None);
    assert_eq!(functions.versions("absent").await.unwrap_err().kind, CloudErrorKind::NotFound);
    let elsewhere = session_in(&moto.endpoint, "222222222224", None).await.functions();
    assert_eq!(elsewhere.configuration("configured", None).await.unwrap(), None, "accounts are isolated");
}

#[tokio::test]
async fn alias_moves_only_from_the_expected_revision() {
    let moto = require!(moto());
    let client = create(moto, "moved").await;
    let functions = session(&moto.endpoint).await.functions();
    let seen = functions.alias("moved", "live").await.unwrap().unwrap();
    assert_eq!((seen.version.as_str(), seen.weights.len()), ("1", 0));
    let revision = seen.revision_id.clone().unwrap();

    let error = functions.move_alias("moved", "live", "2", Some("stale")).await.unwrap_err();
    assert_eq!((error.kind, error.subject.as_str()), (CloudErrorKind::PreconditionFailed, "moved:live"));
    assert_eq!(functions.alias("moved", "live").await.unwrap().unwrap(), seen);

    let moved = functions.move_alias("moved", "live", "2", Some(&revision)).await.unwrap();
    assert_eq!(moved.version, "2");
    let back = functions.move_alias("moved", "live", "1", None).await.unwrap();
    assert_eq!(back.version, "1");

    let weights = aws_sdk_lambda::types::AliasRoutingConfiguration::builder()
        .additional_version_weights("2", 0.1)
        .build();
    client.update_alias().function_name("moved").name("live").routing_config(weights).send().await.unwrap();
    assert_eq!(functions.alias("moved", "live").await.unwrap().unwrap().weights["2"], 0.1);
    let ended = functions.move_alias("moved", "live", "2", None).await.unwrap();
    assert_eq!((ended.version.as_str(), ended.weights.len()), ("2", 0), "weights are removed");

    assert_eq!(functions.alias("moved", "absent").await.unwrap(), None);
    assert_eq!(functions.alias("absent", "live").await.unwrap(), None);
    assert_eq!(
        functions.move_alias("moved", "absent", "1", None).await.unwrap_err().kind,
        CloudErrorKind::NotFound
    );
    assert_eq!(
        functions.move_alias("moved", "absent", "1", Some("r")).await.unwrap_err().kind,
        CloudErrorKind::NotFound
    );
}

#[tokio::test]
async fn alias_update_result_is_read_back_from_the_alias() {
    // Lambda refuses the update. The alias, read again, shows whether an earlier attempt of ours had succeeded.
    for (current, moved) in [("2", true), ("3", false)] {
        let server = ScriptedServer::start(move |_, request| match request.method.as_str() {
            "PUT" => Response {
                headers: vec![("x-amzn-ErrorType", "PreconditionFailedException".into())],
                ..response(412, r#"{"Type":"User","Message":"the RevisionId is not the latest"}"#)
            },
            _ => response(200, &format!(r#"{{"FunctionVersion":"{current}","RevisionId":"r"}}"#)),
        });
        let functions = session(&server.endpoint).await.functions();
        match functions.move_alias("hello", "live", "2", Some("r")).await {
            Ok(alias) => assert!(moved && alias.version == "2"),
            Err(error) => {
                assert!(!moved);
                assert_eq!(error.kind, CloudErrorKind::PreconditionFailed);
                assert!(error.to_string().contains("the RevisionId is not the latest"), "{error}");
            }
        }
        let update = server.seen().into_iter().find(|request| request.method == "PUT").unwrap();
        let body = String::from_utf8(update.body).unwrap();
        assert!(
            body.contains(r#""AdditionalVersionWeights":{}"#) && body.contains(r#""RevisionId":"r""#),
            "{body}"
        );
    }
    // An update that is accepted but not carried out.
    let server = ScriptedServer::start(|_, _| response(200, r#"{"FunctionVersion":"1","RevisionId":"r"}"#));
    let error =
        session(&server.endpoint).await.functions().move_alias("hello", "live", "2", None).await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::PreconditionFailed);
}

#[tokio::test]
async fn invocation_returns_payload_error_version_and_log() {
    let server = ScriptedServer::start(|_, request| {
        assert_eq!(request.header("x-amz-log-type"), Some("Tail"));
        assert_eq!(request.body, br#"{"name":"Ada"}"#);
        let headers = vec![
            ("X-Amz-Function-Error", "Unhandled".to_owned()),
            ("X-Amz-Executed-Version", "42".to_owned()),
            ("X-Amz-Log-Result", "U1RBUlQKRU5ECg==".to_owned()),
        ];
        Response { headers, ..response(200, r#"{"errorMessage":"no"}"#) }
    });
    let functions = session(&server.endpoint).await.functions();
    let limit = Duration::from_secs(5);
    let invocation = functions.invoke("hello", "live", br#"{"name":"Ada"}"#, limit).await.unwrap();
    assert_eq!(invocation.status, 200);
    assert_eq!(invocation.function_error.as_deref(), Some("Unhandled"));
    assert_eq!(invocation.executed_version.as_deref(), Some("42"));
    assert_eq!(invocation.log_tail, ["START", "END"]);
    assert_eq!(invocation.payload, br#"{"errorMessage":"no"}"#);
    assert!(invocation.took < limit);
    assert_eq!(server.seen()[0].path, "/2015-03-31/functions/hello/invocations?Qualifier=live");
}

#[tokio::test]
async fn invocation_is_retried_only_when_throttled() {
    let server = ScriptedServer::start(|before, _| match before {
        0 => response(429, r#"{"Type":"User","Reason":"ReservedFunctionConcurrentInvocationLimitExceeded"}"#),
        _ => response(200, "1"),
    });
    let functions = session(&server.endpoint).await.functions();
    assert_eq!(functions.invoke("hello", "1", b"{}", Duration::from_secs(5)).await.unwrap().payload, b"1");
    assert_eq!(server.seen().len(), 2);

    let server =
        ScriptedServer::start(|_, _| response(502, r#"{"Message":"the function could not be started"}"#));
    let functions = session(&server.endpoint).await.functions();
    assert!(functions.invoke("hello", "1", b"{}", Duration::from_secs(5)).await.is_err());
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn invocation_ends_at_its_time_limit() {
    let server = ScriptedServer::start(|_, _| {
        std::thread::sleep(Duration::from_secs(3));
        response(200, "late")
    });
    let functions = session(&server.endpoint).await.functions();
    let started = std::time::Instant::now();
    let error = functions.invoke("slow", "live", b"{}", Duration::from_millis(300)).await.unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert_eq!((error.kind, error.subject.as_str()), (CloudErrorKind::TimedOut, "slow:live"));
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn invocation_of_a_missing_function_fails() {
    let server = ScriptedServer::start(|_, _| Response {
        headers: vec![
            ("x-amzn-ErrorType", "ResourceNotFoundException".into()),
            ("x-amzn-RequestId", "R-2".into()),
        ],
        ..response(404, r#"{"Type":"User","Message":"Function not found: absent:live"}"#)
    });
    let functions = session(&server.endpoint).await.functions();
    let error = functions.invoke("absent", "live", b"{}", Duration::from_secs(10)).await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::NotFound);
    assert_eq!(
        error.to_string(),
        "`absent:live` was not found: Function not found: absent:live (Lambda Invoke, \
         ResourceNotFoundException, request R-2)"
    );
}
