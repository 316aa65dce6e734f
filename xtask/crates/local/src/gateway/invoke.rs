//! Lambda's Invoke: from the HTTP request to the HTTP answer.
//!
//! In: name, qualifier, payload and options of
//! <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>. Out: the function's answer or error with
//! Lambda's headers. A call that is cut off by its client goes on to its end, as in the cloud.

use super::functions::{self, FunctionName, Target};
use super::id::{request_id, trace_id};
use super::instance::Outcome;
use super::output::Output;
use super::refusal::Refusal;
use super::runtime_api::Event;
use super::scope::Scope;
use super::{Gateway, Shared, launch};
use crate::emulator::Caller;
use crate::http;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::sync::Arc;
use std::time::Instant;

/// The longest payload of a synchronous call, in bytes.
const LONGEST: usize = 6_291_456;
/// The longest payload of an asynchronous call, in bytes.
const LONGEST_EVENT: usize = 1_048_576;

/// `X-Amz-Invocation-Type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    RequestResponse,
    Event,
    DryRun,
}

/// What came of a call.
struct Ended {
    outcome: Outcome,
    /// The end of the log.
    tail: Vec<u8>,
}

/// What a function said to a call of the gateway's own.
pub(super) struct Invoked {
    pub(super) request_id: String,
    /// The version that ran.
    pub(super) version: String,
    pub(super) body: Bytes,
    /// Whether the body is the function's error.
    pub(super) failed: bool,
}

/// Invokes a function in the gateway's own name; the payload may depend on the version that runs.
pub(super) async fn run(
    gateway: &Arc<Gateway>,
    caller: Caller,
    wanted: &FunctionName,
    payload: impl FnOnce(&Target) -> Bytes,
) -> Result<Invoked, Refusal> {
    let target = functions::resolve(&gateway.known_functions, &caller, wanted).await?;
    let (request_id, version) = (request_id(), target.configuration.version.clone());
    let event = Event {
        id: request_id.clone(),
        payload: payload(&target),
        limit: target.configuration.limit(),
        arn: target.invoked_arn.clone(),
        trace: trace_id(),
        client_context: None,
    };
    let gateway = Arc::clone(gateway);
    // A task of its own: it ends its call even when the client goes away.
    let call = tokio::spawn(async move { call(&gateway, caller, target, event).await });
    let ended = call.await.map_err(|error| Refusal::service(error.to_string()))??;
    let (body, failed) = match ended.outcome {
        Outcome::Answer(body) => (body, false),
        Outcome::Failure { body, .. } => (body, true),
    };
    Ok(Invoked { request_id, version, body, failed })
}

/// Answers an Invoke.
pub(super) async fn invoke(State(gateway): Shared, Path(name): Path<String>, request: Request) -> Response {
    answer(gateway, &name, request).await.unwrap_or_else(IntoResponse::into_response)
}

async fn answer(gateway: Arc<Gateway>, name: &str, request: Request) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let pairs = http::query_pairs(parts.uri.query().unwrap_or_default());
    let parameter = pairs.iter().find(|(name, _)| name == "Qualifier").map(|(_, value)| value.as_str());
    let wanted = FunctionName::parse(name, parameter)?;
    let kind = kind(&parts.headers)?;
    let id = request_id();
    let authorization = text(&parts.headers, "authorization").ok_or_else(|| {
        let message = "Missing Authentication Token";
        Refusal::new(StatusCode::FORBIDDEN, "MissingAuthenticationTokenException", message)
    })?;
    let caller = caller(&gateway, authorization)?;
    let payload = payload(body, kind).await?;
    let client_context = client_context(&parts.headers)?;
    let target = functions::resolve(&gateway.known_functions, &caller, &wanted).await?;
    let version = target.configuration.version.clone();
    let respond = |status: StatusCode| {
        Response::builder()
            .status(status)
            .header("x-amzn-requestid", &id)
            .header("x-amz-executed-version", &version)
    };
    let built = |response: Result<Response, axum::http::Error>| {
        response.map_err(|error| Refusal::service(error.to_string()))
    };
    if kind == Kind::DryRun {
        return built(respond(StatusCode::NO_CONTENT).body(Body::empty()));
    }
    let trace = text(&parts.headers, "x-amzn-trace-id").map_or_else(trace_id, str::to_owned);
    let event = Event {
        id: id.clone(),
        payload,
        limit: target.configuration.limit(),
        arn: target.invoked_arn.clone(),
        trace: trace.clone(),
        client_context,
    };
    let tail_wanted = kind == Kind::RequestResponse && text(&parts.headers, "x-amz-log-type") == Some("Tail");
    // A task of its own: it ends its call even when the client goes away.
    let call = tokio::spawn(async move { call(&gateway, caller, target, event).await });
    if kind == Kind::Event {
        return built(respond(StatusCode::ACCEPTED).header("x-amzn-trace-id", trace).body(Body::empty()));
    }
    let ended = call.await.map_err(|error| Refusal::service(error.to_string()))??;
    let mut response = respond(StatusCode::OK)
        .header("x-amzn-trace-id", trace)
        .header(header::CONTENT_TYPE, "application/json");
    if tail_wanted {
        response = response.header("x-amz-log-result", BASE64_STANDARD.encode(&ended.tail));
    }
    built(match ended.outcome {
        Outcome::Answer(body) => response.body(Body::from(body)),
        // Lambda says `Handled` no more: https://docs.aws.amazon.com/lambda/latest/dg/invocation-retries.html
        Outcome::Failure { body, .. } => {
            response.header("x-amz-function-error", "Unhandled").body(Body::from(body))
        }
    })
}

/// Runs one event on an instance, a waiting or a new one.
async fn call(gateway: &Gateway, caller: Caller, target: Target, event: Event) -> Result<Ended, Refusal> {
    let key = format!("{}|{}|{}", caller.access_key_id, target.configuration.function_arn, target.digest);
    let memory = target.configuration.memory_size.unwrap_or(128);
    let version = target.configuration.version.clone();
    let id = event.id.clone();
    let (mut instance, place) = match gateway.pool.take(&key) {
        Some((instance, place)) => (instance, place),
        None => match launch::start(gateway, &caller, &target, &id).await? {
            Ok((instance, place)) => (instance, place),
            Err((output, outcome)) => return Ok(ended(&output, outcome)),
        },
    };
    let begun = Instant::now();
    let mut init = None;
    if !instance.ready {
        if let Err(outcome) = instance.initialised(&event, &gateway.stopping).await {
            instance.output.drain();
            let took = begun.elapsed().as_secs_f64() * 1000.0;
            instance
                .output
                .note(&format!("INIT_REPORT Init Duration: {took:.2} ms\tPhase: init\tStatus: error"));
            return Ok(ended(&instance.output, outcome));
        }
        init = Some(begun.elapsed());
    }
    instance.output.note(&format!("START RequestId: {id} Version: {version}"));
    let begun = Instant::now();
    let outcome = instance.invoke(event, &gateway.stopping).await;
    let took = begun.elapsed().as_secs_f64() * 1000.0;
    instance.output.drain();
    instance.output.note(&format!("END RequestId: {id}"));
    let peak = instance.peak_memory().unwrap_or_default();
    let init =
        init.map_or(String::new(), |init| format!("Init Duration: {:.2} ms\t", init.as_secs_f64() * 1000.0));
    instance.output.note(&format!(
        "REPORT RequestId: {id}\tDuration: {took:.2} ms\tBilled Duration: {:.0} ms\tMemory Size: {memory} MB\t\
         Max Memory Used: {peak} MB\t{init}",
        took.ceil(),
    ));
    let ended = ended(&instance.output, outcome);
    match ended.outcome {
        Outcome::Failure { fatal: true, .. } => {
            drop(instance);
            drop(place);
        }
        _ => gateway.pool.give_back(key, instance, place),
    }
    Ok(ended)
}

fn ended(output: &Output, outcome: Outcome) -> Ended {
    output.drain();
    Ended { outcome, tail: output.finish() }
}

fn kind(headers: &HeaderMap) -> Result<Kind, Refusal> {
    match text(headers, "x-amz-invocation-type") {
        None | Some("RequestResponse") => Ok(Kind::RequestResponse),
        Some("Event") => Ok(Kind::Event),
        Some("DryRun") => Ok(Kind::DryRun),
        Some(other) => Err(Refusal::parameter(format!(
            "`{other}` is no invocation type; allowed are RequestResponse, Event and DryRun"
        ))),
    }
}

/// Takes key and region from the caller's credential, as the emulator does.
fn caller(gateway: &Gateway, authorization: &str) -> Result<Caller, Refusal> {
    match Scope::parse(authorization) {
        Some(scope) => Ok(gateway.accounts.caller(&scope.access_key_id, &scope.region)),
        None => Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "IncompleteSignatureException",
            "Authorization header requires 'Credential' parameter.",
        )),
    }
}

async fn payload(body: Body, kind: Kind) -> Result<Bytes, Refusal> {
    let limit = if kind == Kind::Event { LONGEST_EVENT } else { LONGEST };
    let bytes = axum::body::to_bytes(body, limit).await.map_err(|_| {
        Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestTooLargeException",
            format!("Request must be smaller than {limit} bytes for the InvokeFunction operation"),
        )
    })?;
    if bytes.is_empty() {
        return Ok(Bytes::from_static(b"{}"));
    }
    match serde_json::from_slice::<serde::de::IgnoredAny>(&bytes) {
        Ok(_) => Ok(bytes),
        Err(error) => Err(Refusal::content(format!("Could not parse request body into json: {error}"))),
    }
}

fn client_context(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let Some(encoded) = text(headers, "x-amz-client-context") else {
        return Ok(None);
    };
    let decoded = BASE64_STANDARD.decode(encoded).ok().and_then(|bytes| {
        let value: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
        // Written anew it has no line breaks, and so fits into a header.
        value.is_object().then(|| value.to_string())
    });
    let message = "Client context must be a valid Base64-encoded JSON object.";
    decoded.map(Some).ok_or_else(|| Refusal::content(message))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_context_is_json_in_base64() {
        let with = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-amz-client-context", BASE64_STANDARD.encode(value).parse().unwrap());
            client_context(&headers)
        };
        assert_eq!(with("{\n\"custom\": {}}").unwrap().as_deref(), Some(r#"{"custom":{}}"#));
        assert!(with("[1]").is_err());
        assert!(with("nothing").is_err());
        assert_eq!(client_context(&HeaderMap::new()).unwrap(), None);
    }
}
