//! The API: one event, one response, one log line.
//!
//! In: an event of a function URL or an HTTP API. Out: a [`Response`], also where the caller or AWS is at fault. What
//! can go wrong: an event that is no request is a function error. The order of the checks: path and method, key, ids
//! and query, body, storage. So a caller without a key learns nothing but the paths.

use std::time::Instant;

use http_function::{ApiError, InvalidEvent, Response, known};
use lambda_runtime::LambdaEvent;
use lambda_runtime::tracing::{error, info, warn};
use serde_json::{Value, json};

use crate::aws;
use crate::body::{Completion, NewSpan, NewTrace, check_id};
use crate::cors::Origins;
use crate::event::Request;
use crate::keys::{ApiKeys, Projects};
use crate::query::{ListQuery, Sizes};
use crate::record::{Kind, Record, SPAN, TRACE};
use crate::route::Route;
use crate::settings::Settings;
use crate::store::{Page, Put, Store, unknown};

/// The number of traces on a page.
const TRACES: Sizes = Sizes { usual: 50, most: 200 };
/// The number of spans on a page.
const SPANS: Sizes = Sizes { usual: 500, most: 1000 };

/// Handles events.
#[derive(Debug)]
pub struct Api {
    keys: ApiKeys,
    store: Store,
    origins: Origins,
}

impl Api {
    /// Creates the clients; nothing is sent yet.
    pub fn new(settings: Settings) -> Self {
        let (tables, secrets) = aws::clients(&settings.aws);
        Self {
            keys: ApiKeys::new(secrets, settings.api_keys_secret, settings.pace),
            store: Store::new(tables, settings.traces_table, settings.spans_table),
            origins: settings.origins,
        }
    }

    /// Handles one event.
    pub async fn handle(&self, event: LambdaEvent<Value>) -> Result<Response, InvalidEvent> {
        let began = Instant::now();
        let (event, context) = event.into_parts();
        let request = Request::parse(event)?;
        let found = Route::at(&request.path);
        let template = found.as_ref().map_or("none", Route::template);
        let answer = if let (Ok(route), true) = (&found, self.origins.is_preflight(&request)) {
            Ok(self.origins.preflight(&request, route.method()))
        } else {
            self.answer(&request).await
        };
        let (mut response, failure) = match answer {
            Ok(response) => (response, None),
            Err(failure) => (failure.response(&context.request_id), Some(failure)),
        };
        self.origins.mark(&request, &mut response);
        response.set("x-request-id", context.request_id.as_str());

        let method = known(&request.method);
        let status = response.status();
        let duration_ms = began.elapsed().as_secs_f64() * 1000.0;
        let code = failure.as_ref().map_or("", ApiError::code);
        match failure.as_ref().and_then(ApiError::cause) {
            Some(cause) => error!(method, route = template, status, duration_ms, code, cause, "answered"),
            None if status >= 400 => warn!(method, route = template, status, duration_ms, code, "answered"),
            None => info!(method, route = template, status, duration_ms, "answered"),
        }
        Ok(response)
    }

    async fn answer(&self, request: &Request) -> Result<Response, ApiError> {
        let route = Route::find(&request.method, &request.path)?;
        if route == Route::Health {
            // Says that the instance started with all its settings; asks nobody.
            return Ok(Response::json(200, &json!({ "status": "ok" })));
        }
        let projects = self.keys.admit(request.header("x-api-key")).await?;
        match route {
            Route::Health => unreachable!("answered above"),
            Route::CreateTrace => {
                let trace = NewTrace::parse(&request.body()?)?;
                may_use(&projects, &trace.project_id)?;
                self.store.add_trace(&trace).await.map(put)
            }
            Route::AddSpan { trace_id } => {
                check_id("trace_id", &trace_id)?;
                let span = NewSpan::parse(trace_id, &request.body()?)?;
                self.may_see(&projects, &span.trace_id).await?;
                self.store.add_span(&span).await.map(put)
            }
            Route::CompleteTrace { trace_id } => {
                check_id(TRACE.id, &trace_id)?;
                let completion = Completion::parse(&request.body()?)?;
                self.may_see(&projects, &trace_id).await?;
                self.complete(TRACE, &trace_id, &completion).await
            }
            Route::CompleteSpan { span_id } => {
                check_id(SPAN.id, &span_id)?;
                let completion = Completion::parse(&request.body()?)?;
                if projects != Projects::All {
                    let span = self.store.get(SPAN, &span_id).await?.ok_or_else(|| unknown(SPAN))?;
                    self.may_see(&projects, span.partition()).await.map_err(|error| {
                        match error.status() {
                            404 => unknown(SPAN),
                            _ => error,
                        }
                    })?;
                }
                self.complete(SPAN, &span_id, &completion).await
            }
            Route::ReadTrace { trace_id } => {
                check_id("trace_id", &trace_id)?;
                let query = ListQuery::parse(&request.query, SPAN, &trace_id, SPANS, false)?;
                let (trace, spans) = tokio::try_join!(
                    self.store.get(TRACE, &trace_id),
                    query.page(&self.store, SPAN, &trace_id, false)
                )?;
                let trace = trace.filter(|trace| projects.include(trace.partition()));
                Ok(listed(trace.ok_or_else(|| unknown(TRACE))?.shown(), SPAN, &spans))
            }
            Route::ListTraces { project_id } => {
                check_id("project_id", &project_id)?;
                may_use(&projects, &project_id)?;
                let query = ListQuery::parse(&request.query, TRACE, &project_id, TRACES, true)?;
                let traces = query.page(&self.store, TRACE, &project_id, true).await?;
                Ok(listed(json!({}), TRACE, &traces))
            }
        }
    }

    async fn complete(&self, kind: Kind, id: &str, completion: &Completion) -> Result<Response, ApiError> {
        let record = self.store.complete(kind, id, completion).await?;
        Ok(Response::json(200, &record.shown()))
    }

    /// Refuses a trace of a project that the caller's key is not for, as if it did not exist. A trace never changes its project.
    async fn may_see(&self, projects: &Projects, trace_id: &str) -> Result<(), ApiError> {
        if *projects == Projects::All {
            return Ok(());
        }
        let trace = self.store.get(TRACE, trace_id).await?;
        trace.filter(|trace| projects.include(trace.partition())).map(drop).ok_or_else(|| unknown(TRACE))
    }
}

/// Refuses a project that the caller named, and whose key this is not.
fn may_use(projects: &Projects, project: &str) -> Result<(), ApiError> {
    if projects.include(project) {
        Ok(())
    } else {
        Err(ApiError::forbidden("this key is not for this project"))
    }
}

fn put(put: Put) -> Response {
    match put {
        Put::Created(record) => Response::json(201, &record.shown()),
        Put::Same(record) => Response::json(200, &record.shown()),
    }
}

fn listed(mut around: Value, kind: Kind, page: &Page) -> Response {
    around[kind.listing] = page.records.iter().map(Record::shown).collect();
    around["next_cursor"] = json!(page.next.as_ref().map(|next| next.encode(kind.listing)));
    Response::json(200, &around)
}
