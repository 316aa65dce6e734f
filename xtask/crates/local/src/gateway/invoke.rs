//! Lambda's Invoke.
//!
//! In: name, qualifier, payload and options of
//! <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>. Out: the function's result or error with Lambda's
//! headers. A call whose client disconnects runs to its end, as in the cloud.

use super::accounts::Accounts;
use super::function_cache::FunctionCache;
use super::function_lookup::resolve;
use super::function_name::FunctionName;
use super::function_version::{Configuration, ResolvedFunction};
use super::instance::{Instance, InvocationResult};
use super::lambda_error::LambdaError;
use super::launch::{Launcher, Started};
use super::output::Output;
use super::pool::Pool;
use super::runtime_api::Invocation;
use super::scope::CredentialScope;
use crate::emulator::Caller;
use crate::http;
use crate::id::{request_id, trace_header};
use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// The longest payload of a synchronous call, in bytes.
const LONGEST: usize = 6_291_456;
/// The longest payload of an asynchronous call, in bytes.
const LONGEST_EVENT: usize = 1_048_576;

/// Runs functions.
pub(crate) struct Invoker {
    pub(super) accounts: Arc<Accounts>,
    pub(super) function_cache: Arc<FunctionCache>,
    pub(super) launcher: Launcher,
    pub(super) pool: Pool,
    /// Cancelled when the gateway stops.
    pub(super) stopping: CancellationToken,
}

/// `X-Amz-Invocation-Type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InvocationType {
    RequestResponse,
    Event,
    DryRun,
}

/// A call that has ended.
struct CompletedCall {
    result: InvocationResult,
    /// The end of the log.
    log_tail: Vec<u8>,
}

/// The result of a call that the gateway made itself.
pub(super) struct InvokeResult {
    pub(super) request_id: String,
    /// The version that ran.
    pub(super) version: String,
    pub(super) body: Bytes,
    /// Whether the body is the function's error.
    pub(super) failed: bool,
}

/// Invoke, over HTTP.
pub(super) async fn invoke(
    State(invoker): State<Arc<Invoker>>,
    Path(name): Path<String>,
    request: Request,
) -> Response {
    respond(invoker, &name, request).await.unwrap_or_else(IntoResponse::into_response)
}

async fn respond(invoker: Arc<Invoker>, name: &str, request: Request) -> Result<Response, LambdaError> {
    let (parts, body) = request.into_parts();
    let pairs = http::query_pairs(parts.uri.query().unwrap_or_default());
    let parameter = pairs.iter().find(|(name, _)| name == "Qualifier").map(|(_, value)| value.as_str());
    let name = FunctionName::parse(name, parameter)?;
    let invocation_type = invocation_type(&parts.headers)?;
    let id = request_id();
    let authorization =
        text(&parts.headers, "authorization").ok_or_else(LambdaError::missing_authentication)?;
    let caller = caller(&invoker.accounts, authorization)?;
    let payload = payload(body, invocation_type).await?;
    let client_context = client_context(&parts.headers)?;
    let function = resolve(&invoker.function_cache, &caller, &name).await?;
    let version = function.configuration.version.clone();
    let response = |status: StatusCode| {
        Response::builder()
            .status(status)
            .header("x-amzn-requestid", &id)
            .header("x-amz-executed-version", &version)
    };
    let built = |response: Result<Response, axum::http::Error>| {
        response.map_err(|error| LambdaError::service(error.to_string()))
    };
    if invocation_type == InvocationType::DryRun {
        return built(response(StatusCode::NO_CONTENT).body(Body::empty()));
    }
    let trace = text(&parts.headers, "x-amzn-trace-id").map_or_else(trace_header, str::to_owned);
    let invocation = Invocation {
        id: id.clone(),
        payload,
        time_limit: function.configuration.time_limit(),
        arn: function.invoked_arn.clone(),
        trace: trace.clone(),
        client_context,
    };
    let tail_wanted = invocation_type == InvocationType::RequestResponse
        && text(&parts.headers, "x-amz-log-type") == Some("Tail");
    // In a task of its own the call ends even if the client disconnects.
    let call = tokio::spawn(async move { invoker.call(caller, function, invocation).await });
    if invocation_type == InvocationType::Event {
        return built(response(StatusCode::ACCEPTED).header("x-amzn-trace-id", trace).body(Body::empty()));
    }
    let completed = call.await.map_err(|error| LambdaError::service(error.to_string()))??;
    let mut response = response(StatusCode::OK)
        .header("x-amzn-trace-id", trace)
        .header(header::CONTENT_TYPE, "application/json");
    if tail_wanted {
        response = response.header("x-amz-log-result", BASE64_STANDARD.encode(&completed.log_tail));
    }
    built(match completed.result {
        InvocationResult::Success(body) => response.body(Body::from(body)),
        // Lambda no longer uses `Handled`: https://docs.aws.amazon.com/lambda/latest/dg/invocation-retries.html
        InvocationResult::Failure { body, .. } => {
            response.header("x-amz-function-error", "Unhandled").body(Body::from(body))
        }
    })
}

impl Invoker {
    /// Invokes a function for the gateway itself; the payload may depend on the version that runs.
    pub(super) async fn invoke(
        self: &Arc<Self>,
        caller: Caller,
        name: &FunctionName,
        payload: impl FnOnce(&ResolvedFunction) -> Bytes,
    ) -> Result<InvokeResult, LambdaError> {
        let function = resolve(&self.function_cache, &caller, name).await?;
        let (request_id, version) = (request_id(), function.configuration.version.clone());
        let invocation = Invocation {
            id: request_id.clone(),
            payload: payload(&function),
            time_limit: function.configuration.time_limit(),
            arn: function.invoked_arn.clone(),
            trace: trace_header(),
            client_context: None,
        };
        let invoker = Arc::clone(self);
        // In a task of its own the call ends even if the client disconnects.
        let call = tokio::spawn(async move { invoker.call(caller, function, invocation).await });
        let completed = call.await.map_err(|error| LambdaError::service(error.to_string()))??;
        let (body, failed) = match completed.result {
            InvocationResult::Success(body) => (body, false),
            InvocationResult::Failure { body, .. } => (body, true),
        };
        Ok(InvokeResult { request_id, version, body, failed })
    }

    /// Returns a token that is cancelled when the gateway stops.
    pub(super) fn stopping_child(&self) -> CancellationToken {
        self.stopping.child_token()
    }

    /// Returns whether the gateway stops, so that running functions are killed.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// Ends instances that were idle too long, as long as the gateway serves.
    pub(super) async fn end_idle_instances(self: Arc<Self>) {
        loop {
            tokio::time::sleep(Duration::from_secs(5)).await;
            self.pool.end_idle();
        }
    }

    /// Ends all instances; waits up to `limit` for the busy ones.
    pub(super) async fn close(&self, limit: Duration) {
        self.pool.close(limit).await;
    }

    /// Runs one invocation on an idle or a new instance.
    async fn call(
        &self,
        caller: Caller,
        function: ResolvedFunction,
        invocation: Invocation,
    ) -> Result<CompletedCall, LambdaError> {
        let configuration = &function.configuration;
        let key = format!("{}|{}|{}", caller.access_key_id, configuration.function_arn, function.digest);
        let id = invocation.id.clone();
        let (mut instance, permit) = match self.pool.take(&key) {
            Some(idle) => idle,
            None => {
                let permit = self.pool.permit().await.ok_or_else(|| {
                    let error_type = "TooManyRequestsException";
                    LambdaError::new(StatusCode::TOO_MANY_REQUESTS, error_type, "Rate Exceeded.")
                })?;
                match self.launcher.start(&caller, &function, &id).await? {
                    Started::Running(instance) => (*instance, permit),
                    Started::Failed { output, result } => return Ok(completed(&output, result)),
                }
            }
        };
        let mut init = None;
        if !instance.ready {
            let begun = Instant::now();
            if let Err(result) = instance.wait_until_ready(&invocation, &self.stopping).await {
                instance.output.drain();
                let line = format!(
                    "INIT_REPORT Init Duration: {:.2} ms\tPhase: init\tStatus: error",
                    milliseconds(begun.elapsed())
                );
                instance.output.write_line(&line);
                return Ok(completed(&instance.output, result));
            }
            init = Some(begun.elapsed());
        }
        let completed = self.run(&mut instance, configuration, init, invocation).await;
        match completed.result {
            InvocationResult::Failure { fatal: true, .. } => {
                drop(instance);
                drop(permit);
            }
            _ => self.pool.give_back(key, instance, permit),
        }
        Ok(completed)
    }

    /// Runs one invocation on an instance that is ready, with the log lines of the platform.
    async fn run(
        &self,
        instance: &mut Instance,
        configuration: &Configuration,
        init: Option<Duration>,
        invocation: Invocation,
    ) -> CompletedCall {
        let id = invocation.id.clone();
        instance.output.write_line(&format!("START RequestId: {id} Version: {}", configuration.version));
        let begun = Instant::now();
        let result = instance.invoke(invocation, &self.stopping).await;
        let took = milliseconds(begun.elapsed());
        instance.output.drain();
        instance.output.write_line(&format!("END RequestId: {id}"));
        let memory = configuration.memory_size.unwrap_or(128);
        let peak = instance.peak_memory().unwrap_or_default();
        let init =
            init.map_or(String::new(), |init| format!("Init Duration: {:.2} ms\t", milliseconds(init)));
        instance.output.write_line(&format!(
            "REPORT RequestId: {id}\tDuration: {took:.2} ms\tBilled Duration: {:.0} ms\tMemory Size: {memory} MB\t\
             Max Memory Used: {peak} MB\t{init}",
            took.ceil(),
        ));
        completed(&instance.output, result)
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn completed(output: &Output, result: InvocationResult) -> CompletedCall {
    output.drain();
    CompletedCall { result, log_tail: output.finish() }
}

fn invocation_type(headers: &HeaderMap) -> Result<InvocationType, LambdaError> {
    match text(headers, "x-amz-invocation-type") {
        None | Some("RequestResponse") => Ok(InvocationType::RequestResponse),
        Some("Event") => Ok(InvocationType::Event),
        Some("DryRun") => Ok(InvocationType::DryRun),
        Some(other) => Err(LambdaError::invalid_parameter(format!(
            "`{other}` is not an invocation type; allowed are RequestResponse, Event and DryRun"
        ))),
    }
}

/// Returns a client with the key and region of the caller's credential, as the emulator reads them.
fn caller(accounts: &Accounts, authorization: &str) -> Result<Caller, LambdaError> {
    match CredentialScope::parse(authorization) {
        Some(scope) => Ok(accounts.caller(&scope.access_key_id, &scope.region)),
        None => Err(LambdaError::new(
            StatusCode::FORBIDDEN,
            "IncompleteSignatureException",
            "Authorization header requires 'Credential' parameter.",
        )),
    }
}

async fn payload(body: Body, invocation_type: InvocationType) -> Result<Bytes, LambdaError> {
    let limit = if invocation_type == InvocationType::Event { LONGEST_EVENT } else { LONGEST };
    let bytes = axum::body::to_bytes(body, limit).await.map_err(|_| {
        LambdaError::new(
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
        Err(error) => {
            Err(LambdaError::invalid_content(format!("Could not parse request body into json: {error}")))
        }
    }
}

fn client_context(headers: &HeaderMap) -> Result<Option<String>, LambdaError> {
    let Some(encoded) = text(headers, "x-amz-client-context") else {
        return Ok(None);
    };
    let decoded = BASE64_STANDARD.decode(encoded).ok().and_then(|bytes| {
        let value: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
        // Serialized again it has no line breaks, so that it fits into a header.
        value.is_object().then(|| value.to_string())
    });
    let message = "Client context must be a valid Base64-encoded JSON object.";
    decoded.map(Some).ok_or_else(|| LambdaError::invalid_content(message))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_context_is_json_in_base64() {
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
