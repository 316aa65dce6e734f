//! Smoke events: each is sent, timed and judged; a request may use what earlier answers held.
//!
//! In: the events of a release, and where they go. Out: a finding for each. Goes wrong: only an output that a request needs
//! and the stack does not put out; an answer that is not as it should be is a finding, and so is a secret without its value.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::request::{self, Request};
use super::values::Values;
use super::{Clients, Endpoint, Finding, Subject, differs, fine};
use crate::failure::{Failure, FailureKind, Result};
use crate::ports::HttpRequest;
use crate::release::{RequestRecord, SmokeRecord};

/// The smoke events of one verification, in their order.
pub(super) struct Trial<'a> {
    reach: &'a Clients<'a>,
    subject: &'a Subject<'a>,
    values: Values<'a>,
    /// Names that an event should have captured and did not.
    missing: Vec<String>,
}

/// What an event came to.
struct Answered {
    answer: Value,
    error: Option<String>,
    log: Vec<String>,
    executed: Option<String>,
    took: Duration,
}

impl<'a> Trial<'a> {
    /// Begins with nothing captured.
    pub(super) fn new(reach: &'a Clients<'a>, subject: &'a Subject<'a>) -> Self {
        let values = Values::new(subject.outputs, reach.services);
        Self { reach, subject, values, missing: Vec::new() }
    }

    /// Tries one event.
    pub(super) async fn run(&mut self, smoke: &SmokeRecord) -> Result<Finding> {
        let begun = Instant::now();
        let what = format!("smoke \"{}\"", smoke.name);
        if let Some(name) = self.missing.iter().find(|name| uses(smoke, name)).cloned() {
            // What this one would have captured is missing as well.
            self.missing.extend(smoke.capture.keys().cloned());
            return Ok(differs(
                &what,
                "an answer",
                &format!("not tried: an earlier one gave no {name}"),
                begun,
            ));
        }
        let (expect, request) = match self.filled(smoke).await {
            Ok(filled) => filled,
            Err(failure) if failure.kind() == FailureKind::VerificationFailed => {
                self.missing.extend(smoke.capture.keys().cloned());
                let finding = differs(&what, "what the request needs", failure.message(), begun);
                return Ok(Finding { hint: failure.report().hint, ..finding });
            }
            Err(failure) => return Err(failure),
        };
        let smoke = &SmokeRecord { expect, ..smoke.clone() };
        let within = Duration::from_millis(smoke.within_ms);
        let answered = match &request {
            None => self.invoke(&smoke.event, within).await,
            Some(request) => self.request(request, within).await,
        };
        let finding = match answered {
            Ok(answered) => self.told(&what, smoke, within, answered, begun),
            Err(failure) => {
                let expected = format!("an answer within {}", crate::format::seconds(within));
                self.missing.extend(smoke.capture.keys().cloned());
                differs(&what, &expected, &reason(&failure), begun)
            }
        };
        Ok(finding)
    }

    fn told(
        &mut self,
        what: &str,
        smoke: &SmokeRecord,
        within: Duration,
        answered: Answered,
        begun: Instant,
    ) -> Finding {
        let mut finding = judge(what, smoke, answered.error.as_deref(), &answered.answer, begun);
        if finding.passed && answered.took > within {
            let expected = format!("an answer within {}", crate::format::seconds(within));
            finding = differs(what, &expected, &crate::format::seconds(answered.took), begun);
        }
        for (name, pointer) in &smoke.capture {
            match answered.answer.pointer(pointer) {
                Some(value) => self.values.set(name, value),
                None => {
                    self.missing.push(name.clone());
                    if finding.passed {
                        let got = format!("nothing there in {}", cut(&answered.answer.to_string()));
                        finding = differs(what, &format!("a value at {pointer}"), &got, begun);
                    }
                }
            }
        }
        if !finding.passed {
            finding.log = answered.log;
        }
        let version = self.subject.version;
        if let Some(executed) = answered.executed.filter(|executed| executed != version) {
            let got = format!("version {executed} answered");
            finding = differs(what, &format!("version {version}"), &got, begun);
        }
        finding
    }

    async fn invoke(&self, event: &Value, within: Duration) -> Result<Answered> {
        let Subject { function_name, version, .. } = *self.subject;
        let event = serde_json::to_vec(event)
            .map_err(|error| Failure::defect("a smoke event cannot be written as JSON").caused_by(error))?;
        let patience = within + Duration::from_secs(1);
        let invocation = self.reach.functions.invoke(function_name, version, &event, patience).await?;
        let answer: Value = serde_json::from_slice(&invocation.payload)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&invocation.payload).into_owned()));
        Ok(Answered {
            answer,
            error: invocation.function_error,
            log: invocation.log_tail,
            executed: invocation.executed_version,
            took: invocation.took,
        })
    }

    async fn request(&self, request: &Request, within: Duration) -> Result<Answered> {
        let (address, signed_for) = match self.subject.door {
            Endpoint::Version => {
                let mut answered = self.invoke(&request.event(), within).await?;
                if answered.error.is_none() {
                    answered.answer = request::of_function(&answered.answer);
                }
                return Ok(answered);
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
        let answer = self.reach.services.send(&message, signed_for, patience).await?;
        Ok(Answered {
            answer: request::of_url(&answer),
            error: None,
            log: Vec::new(),
            executed: None,
            took: answer.took,
        })
    }

    /// Puts values in their places, in what is expected and in the request; an event of its own is sent as it is.
    async fn filled(&mut self, smoke: &SmokeRecord) -> Result<(Option<Value>, Option<Request>)> {
        let Some(request) = &smoke.request else { return Ok((smoke.expect.clone(), None)) };
        let expect = match &smoke.expect {
            Some(expected) => Some(self.values.fill_json(expected).await?),
            None => None,
        };
        Ok((expect, Some(self.filled_request(request).await?)))
    }

    async fn filled_request(&mut self, record: &RequestRecord) -> Result<Request> {
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
        Ok(Request { method: record.method.clone(), path, headers, body })
    }
}

/// Tells whether a request has this name in it.
fn uses(smoke: &SmokeRecord, name: &str) -> bool {
    let text = serde_json::to_string(&smoke.request).unwrap_or_default();
    text.contains(&format!("${{{name}}}"))
}

pub(super) fn judge(
    what: &str,
    smoke: &SmokeRecord,
    error: Option<&str>,
    answer: &Value,
    begun: Instant,
) -> Finding {
    let shown = cut(&answer.to_string());
    match (&smoke.expect, &smoke.expect_error, error) {
        (_, Some(wanted), Some(_)) if answer.get("errorType").and_then(Value::as_str) == Some(wanted) => {
            fine(what, begun)
        }
        (_, Some(wanted), _) => differs(what, &format!("the error {wanted}"), &shown, begun),
        (_, None, Some(error)) => differs(what, "an answer", &format!("{error} error {shown}"), begun),
        (Some(expected), None, None) if !is_subset(expected, answer) => {
            differs(what, &cut(&expected.to_string()), &shown, begun)
        }
        _ => fine(what, begun),
    }
}

/// Tells whether every member of `expected` is in `got`; lists must agree element by element.
pub(super) fn is_subset(expected: &Value, got: &Value) -> bool {
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
