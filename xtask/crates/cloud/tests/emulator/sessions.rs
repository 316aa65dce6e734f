//! The identity of calls, and errors where nothing answers.

use std::time::{Duration, Instant};

use slipway_cloud::{CallOutcome, CloudErrorKind, Session, SessionConfig};

use super::moto::{moto, observer, operations, session, session_in, target};
use super::scripted::{Response, ScriptedServer, response};
use crate::require;

#[tokio::test]
async fn assumed_role_gives_access_to_its_account() {
    let moto = require!(moto());
    let first = session(&moto.endpoint).await.identity().await.unwrap();
    assert_eq!(first.account, "123456789012");

    let (observer, seen) = observer();
    let other = session_in(&moto.endpoint, "222222222222", Some(observer)).await;
    assert!(operations(&seen).is_empty(), "opening a session sends no request");
    let identity = other.identity().await.unwrap();
    assert_eq!(identity.account, "222222222222");
    assert!(identity.arn.contains("slipway-test"), "{}", identity.arn);
    assert_eq!(operations(&seen), ["AssumeRole", "GetCallerIdentity"]);
    other.identity().await.unwrap();
    assert_eq!(operations(&seen).len(), 3, "the role's credentials are cached");
}

#[tokio::test]
async fn child_environment_contains_the_role_credentials() {
    let moto = require!(moto());
    let plain = session(&moto.endpoint).await.environment().await.unwrap();
    let names: Vec<_> = plain.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_ENDPOINT_URL"]);
    assert_eq!(plain[0].1, "AKIAEXAMPLE");

    let other = session_in(&moto.endpoint, "222222222223", None).await;
    let variables = other.environment().await.unwrap();
    let value = |wanted: &str| {
        variables.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone()).unwrap()
    };
    let given = slipway_cloud::Credentials::Static {
        access_key_id: value("AWS_ACCESS_KEY_ID"),
        secret_access_key: value("AWS_SECRET_ACCESS_KEY"),
        session_token: Some(value("AWS_SESSION_TOKEN")),
    };
    let child =
        Session::open(SessionConfig { credentials: given, ..target(&moto.endpoint) }, None).await.unwrap();
    assert_eq!(child.identity().await.unwrap().account, "222222222223");
}

#[tokio::test]
async fn refused_role_is_reported_as_an_assume_role_failure() {
    let error_response = "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>\
                   <Message>not authorized to perform sts:AssumeRole</Message></Error></ErrorResponse>";
    let server = ScriptedServer::start(move |_, _| Response {
        headers: vec![("x-amzn-RequestId", "R-1".into())],
        ..response(403, error_response)
    });
    let session = session_in(&server.endpoint, "222222222222", None).await;
    let error = session.store("bucket", None).get("key").await.unwrap_err();
    assert_eq!((error.kind, error.operation), (CloudErrorKind::AccessDenied, "AssumeRole"));
    assert_eq!(
        error.to_string(),
        "access to `arn:aws:iam::222222222222:role/deploy` was denied: not authorized to perform \
         sts:AssumeRole (STS AssumeRole, AccessDenied, request R-1)"
    );
    let error = session.environment().await.unwrap_err();
    assert_eq!((error.kind, error.operation), (CloudErrorKind::AccessDenied, "AssumeRole"));
}

#[tokio::test]
async fn unreachable_endpoint_is_reported_at_once_by_name() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (observer, seen) = observer();
    let session = Session::open(target(&format!("http://{free}")), Some(observer)).await.unwrap();
    let started = Instant::now();
    let error = session.store("bucket", None).get("key").await.unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    assert_eq!(error.kind, CloudErrorKind::Unreachable);
    let text = error.to_string();
    assert!(text.starts_with(&format!("S3 at http://{free} cannot be reached (`bucket/key`): ")), "{text}");
    assert!(text.contains("refused"), "{text}");
    let call = seen.lock().unwrap()[0].clone();
    assert_eq!((call.operation, call.subject.as_str()), ("GetObject", "bucket/key"));
    assert_eq!(call.outcome, CallOutcome::Failed { kind: CloudErrorKind::Unreachable, code: None });
}

#[tokio::test]
async fn lambda_can_have_its_own_endpoint() {
    let server = ScriptedServer::start(|_, _| response(404, r#"{"Type":"User","Message":"no function"}"#));
    let other = Some(server.endpoint.clone());
    let target = SessionConfig { lambda_endpoint: other, ..target("http://127.0.0.1:1") };
    let session = Session::open(target, None).await.unwrap();
    assert_eq!(session.functions().configuration("hello", Some("live")).await.unwrap(), None);
    assert_eq!(server.seen()[0].path, "/2015-03-31/functions/hello/configuration?Qualifier=live");
}

#[tokio::test]
async fn endpoint_without_a_scheme_is_refused() {
    let error = Session::open(target("127.0.0.1:5000"), None).await.unwrap_err();
    assert!(error.to_string().contains("`127.0.0.1:5000`: an endpoint starts with http"), "{error}");
}

#[tokio::test]
async fn calls_can_run_in_spawned_tasks() {
    let server = ScriptedServer::start(|_, _| response(200, "{}"));
    let session = session(&server.endpoint).await;
    let call = async move {
        let (store, functions) = (session.store("bucket", None), session.functions());
        let written = store.put_if_match("key", vec![1], "\"1\"").await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let digest = store.get("key").await.unwrap().unwrap().sha256;
        let fetched = store.get_file("key", &folder.path().join("key"), digest, &|_| {}).await.unwrap();
        let response = functions.invoke("hello", "live", b"{}", Duration::from_secs(5)).await.unwrap();
        functions.move_alias("hello", "live", "2", None).await.unwrap_err();
        (written.is_some(), fetched, response.payload)
    };
    assert_eq!(tokio::spawn(call).await.unwrap(), (true, true, b"{}".to_vec()));
}
