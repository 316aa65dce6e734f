//! Runs smoke events: each is sent, timed and compared with its expectation; a request may use values of earlier responses.
//!
//! In: the smoke events of a release and their endpoint. Out: a check for each. Errors: only a request that needs an output
//! that the stack does not have. An unexpected response is a failed check, and so is a secret without a value.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::mask::SecretMask;
use super::request::{self, FunctionRequest};
use super::values::Values;
use super::{Check, Clients, Endpoint, VersionUnderTest, differs, passed};
use crate::failure::{Failure, FailureKind, Result};
use crate::ports::HttpRequest;
use crate::release::{RequestRecord, SmokeRecord};

/// The smoke events of one verification, in their order.
pub(super) struct SmokeRun<'a> {
    clients: &'a Clients<'a>,
    tested: &'a VersionUnderTest<'a>,
    values: Values<'a>,
    /// Names that an event should have captured but did not.
    missing: Vec<String>,
}

/// The result of an event.
struct SmokeResult {
    answer: Value,
    error: Option<String>,
    log: Vec<String>,
    executed: Option<String>,
    took: Duration,
}

impl<'a> SmokeRun<'a> {
    /// Begins without captured values.
    pub(super) fn new(clients: &'a Clients<'a>, tested: &'a VersionUnderTest<'a>) -> Self {
        let values = Values::new(tested.outputs, clients.services);
        Self { clients, tested, values, missing: Vec::new() }
    }

    /// Runs one event.
    pub(super) async fn run(&mut self, smoke: &SmokeRecord) -> Result<Check> {
        let begun = Instant::now();
        let what = format!("smoke \"{}\"", smoke.name);
        if let Some(name) = self.missing.iter().find(|name| uses(smoke, name)).cloned() {
            // The values that this one would have captured are missing, too.
            self.missing.extend(smoke.capture.keys().cloned());
            return Ok(differs(
                &what,
                "a response",
                &format!("not run: an earlier event captured no {name}"),
                begun,
            ));
        }
        let (expect, request) = match self.filled(smoke).await {
            Ok(filled) => filled,
            Err(failure) if failure.kind() == FailureKind::VerificationFailed => {
                self.missing.extend(smoke.capture.keys().cloned());
                let check = differs(&what, "the values that the request needs", failure.message(), begun);
                return Ok(Check { hint: failure.report().hint, ..check });
            }
            Err(failure) => return Err(failure),
        };
        let smoke = &SmokeRecord { expect, ..smoke.clone() };
        let within = Duration::from_millis(smoke.within_ms);
        let is_invocation = request.is_none() || matches!(self.tested.endpoint, Endpoint::Version);
        let result = match &request {
            None => self.invoke(&smoke.event, within).await,
            Some(request) => self.request(request, within).await,
        };
        let check = match result {
            Ok(result) => self.check_of(&what, smoke, within, result, begun),
            // A service that failed says nothing about the function.
            Err(failure) if failure.kind() != FailureKind::VerificationFailed && is_invocation => {
                return Err(failure);
            }
            Err(failure) => {
                let expected = format!("a response within {}", crate::format::seconds(within));
                self.missing.extend(smoke.capture.keys().cloned());
                differs(&what, &expected, &reason(&failure), begun)
            }
        };
        Ok(check.masked(self.values.secrets()))
    }

    fn check_of(
        &mut self,
        what: &str,
        smoke: &SmokeRecord,
        within: Duration,
        result: SmokeResult,
        begun: Instant,
    ) -> Check {
        // Before anything of the response is shown: what it gives in return for a secret is secret as well.
        let request = serde_json::to_string(&smoke.request).unwrap_or_default();
        let is_secret = self.values.names_secret(&request);
        for (name, pointer) in &smoke.capture {
            match result.answer.pointer(pointer) {
                Some(value) if is_secret => self.values.set_secret(name, value),
                Some(value) => self.values.set(name, value),
                None => self.missing.push(name.clone()),
            }
        }
        let secrets = self.values.secrets();
        let mut check =
            compare_response(what, smoke, result.error.as_deref(), &result.answer, secrets, begun);
        if check.passed && result.took > within {
            let expected = format!("a response within {}", crate::format::seconds(within));
            check = differs(what, &expected, &crate::format::seconds(result.took), begun);
        }
        for (name, pointer) in &smoke.capture {
            if check.passed && self.missing.contains(name) {
                let got = format!("no such value in {}", cut(&secrets.mask(&result.answer.to_string())));
                check = differs(what, &format!("a value at {pointer}"), &got, begun);
            }
        }
        if !check.passed {
            check.log = result.log;
        }
        let version = self.tested.version;
        if let Some(executed) = result.executed.filter(|executed| executed != version) {
            let got = format!("version {executed} responded");
            check = differs(what, &format!("version {version}"), &got, begun);
        }
        check
    }

    async fn invoke(&self, event: &Value, within: Duration) -> Result<SmokeResult> {
        let VersionUnderTest { function_name, version, .. } = *self.tested;
        let event = serde_json::to_vec(event)
            .map_err(|error| Failure::defect("a smoke event cannot be written as JSON").caused_by(error))?;
        let patience = within + Duration::from_secs(1);
        let invocation = self.clients.functions.invoke(function_name, version, &event, patience).await?;
        let answer: Value = serde_json::from_slice(&invocation.payload)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&invocation.payload).into_owned()));
        Ok(SmokeResult {
            answer,
            error: invocation.function_error,
            log: invocation.log_tail,
            executed: invocation.executed_version,
            took: invocation.took,
        })
    }

    async fn request(&self, request: &FunctionRequest, within: Duration) -> Result<SmokeResult> {
        let (address, signed_for) = match self.tested.endpoint {
            Endpoint::Version => {
                let mut result = self.invoke(&request.event(), within).await?;
                if result.error.is_none() {
                    result.answer = request::response_of_function(&result.answer);
                }
                return Ok(result);
            }
            Endpoint::Url { address, signed_for } => (address, signed_for),
        };
        let message = HttpRequest {
            method: request.method.clone(),
            url: format!("{}{}", address.trim_end_matches('/'), request.path),
            headers: request.headers.clone().into_iter().collect(),
            body: request.body.clone().unwrap_or_default().into_bytes(),
        };
        let patience = within + Duration::from_secs(1);
        let answer = self.clients.services.send(&message, signed_for, patience).await?;
        Ok(SmokeResult {
            answer: request::response_of_url(&answer),
            error: None,
            log: Vec::new(),
            executed: None,
            took: answer.took,
        })
    }

    /// Fills placeholders in the expectation and in the request; a plain event is sent unchanged.
    async fn filled(&mut self, smoke: &SmokeRecord) -> Result<(Option<Value>, Option<FunctionRequest>)> {
        let Some(request) = &smoke.request else { return Ok((smoke.expect.clone(), None)) };
        let expect = match &smoke.expect {
            Some(expected) => Some(self.values.fill_json(expected).await?),
            None => None,
        };
        Ok((expect, Some(self.filled_request(request).await?)))
    }

    async fn filled_request(&mut self, record: &RequestRecord) -> Result<FunctionRequest> {
        let mut headers = std::collections::BTreeMap::new();
        for (name, value) in &record.headers {
            headers.insert(name.to_ascii_lowercase(), self.values.fill(value).await?);
        }
        let body = match &record.body {
            None => None,
            Some(Value::String(text)) => Some(self.values.fill(text).await?),
            Some(document) => {
                headers.entry("content-type".to_owned()).or_insert_with(|| "application/json".to_owned());
                Some(self.values.fill_json(document).await?.to_string())
            }
        };
        let path = self.values.fill(&record.path).await?;
        Ok(FunctionRequest { method: record.method.clone(), path, headers, body })
    }
}

/// Returns whether a request uses this value.
fn uses(smoke: &SmokeRecord, name: &str) -> bool {
    let text = serde_json::to_string(&smoke.request).unwrap_or_default();
    text.contains(&format!("${{{name}}}"))
}

pub(super) fn compare_response(
    what: &str,
    smoke: &SmokeRecord,
    error: Option<&str>,
    answer: &Value,
    secrets: &SecretMask,
    begun: Instant,
) -> Check {
    // Masked before it is cut: a part of a secret cannot be recognised.
    let shown = cut(&secrets.mask(&answer.to_string()));
    match (&smoke.expect, &smoke.expect_error, error) {
        (_, Some(wanted), Some(_)) if answer.get("errorType").and_then(Value::as_str) == Some(wanted) => {
            passed(what, begun)
        }
        (_, Some(wanted), _) => differs(what, &format!("the error {wanted}"), &shown, begun),
        (_, None, Some(error)) => differs(what, "a response", &format!("{error} error {shown}"), begun),
        (Some(expected), None, None) if !is_subset(expected, answer) => {
            differs(what, &cut(&secrets.mask(&expected.to_string())), &shown, begun)
        }
        _ => passed(what, begun),
    }
}

/// Returns whether every member of `expected` is in `got`; lists must agree element by element.
pub(crate) fn is_subset(expected: &Value, got: &Value) -> bool {
    match (expected, got) {
        (Value::Object(expected), Value::Object(got)) => {
            expected.iter().all(|(name, value)| got.get(name).is_some_and(|other| is_subset(value, other)))
        }
        (Value::Array(expected), Value::Array(got)) => {
            expected.len() == got.len() && expected.iter().zip(got).all(|(a, b)| is_subset(a, b))
        }
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (a, b) => a == b,
    }
}

fn reason(failure: &Failure) -> String {
    let report = failure.report();
    std::iter::once(report.message).chain(report.causes).collect::<Vec<_>>().join(": ")
}

fn cut(text: &str) -> String {
    if text.chars().count() > 400 {
        format!("{}…", text.chars().take(400).collect::<String>())
    } else {
        text.to_owned()
    }
}
