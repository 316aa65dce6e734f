//! The API: one event, one response, one log line.
//!
//! In: an event of an HTTP API or a function URL. Out: a [`Response`], also where the caller or AWS is at fault. What
//! can go wrong: an event that is no request is a function error. Who may call was decided before: by the API, which
//! requires a signed request.

use std::time::Instant;

use function_log::metrics::{self, Metric, Unit};
use http_function::{ApiError, InvalidEvent, Response, known};
use lambda_runtime::LambdaEvent;
use lambda_runtime::tracing::{error, info, warn};
use serde_json::{Value, json};

use crate::aws;
use crate::event::Request;
use crate::objects::Objects;
use crate::query::ListQuery;
use crate::route::{PathMatch, Route};
use crate::settings::Settings;

/// Handles events.
#[derive(Debug)]
pub struct Api {
    objects: Objects,
}

impl Api {
    /// Creates the client; nothing is sent yet.
    pub fn new(settings: Settings) -> Self {
        Self { objects: Objects::new(aws::client(&settings.aws), settings.bucket) }
    }

    /// Handles one event.
    pub async fn handle(&self, event: LambdaEvent<Value>) -> Result<Response, InvalidEvent> {
        let began = Instant::now();
        let (event, context) = event.into_parts();
        let request = Request::parse(event)?;
        let route = PathMatch::at(&request.path).map_or("none", PathMatch::template);
        let (mut response, failure) = match self.answer(&request).await {
            Ok(body) => (Response::json(200, &body), None),
            Err(failure) => (failure.response(&context.request_id), Some(failure)),
        };
        response.set("x-request-id", context.request_id.as_str());

        let method = known(&request.method);
        let status = response.status();
        let duration_ms = began.elapsed().as_secs_f64() * 1000.0;
        let code = failure.as_ref().map_or("", ApiError::code);
        match failure.as_ref().and_then(ApiError::cause) {
            Some(cause) => error!(method, route, status, duration_ms, code, cause, "answered"),
            None if status >= 400 => warn!(method, route, status, duration_ms, code, "answered"),
            None => info!(method, route, status, duration_ms, "answered"),
        }
        measure(&context.env_config.function_name, route, status, duration_ms);
        Ok(response)
    }

    async fn answer(&self, request: &Request) -> Result<Value, ApiError> {
        match Route::find(request)? {
            // Says that the instance started with all its settings; asks nobody.
            Route::Health => {
                ListQuery::none(&request.query)?;
                Ok(json!({ "status": "ok" }))
            }
            Route::List => self.objects.list(&ListQuery::parse(&request.query)?).await,
            Route::Describe { key } => {
                ListQuery::none(&request.query)?;
                self.objects.describe(&key).await
            }
        }
    }
}

/// Writes a request's metrics. The log has every status; of the metrics each combination is paid, so that they have three.
fn measure(function: &str, route: &str, status: u16, duration_ms: f64) {
    let outcome = match status {
        500.. => "fault",
        400.. => "refused",
        _ => "answered",
    };
    metrics::write(
        "BucketApi",
        &[("FunctionName", function), ("Route", route), ("Outcome", outcome)],
        &[
            Metric { name: "Requests", value: 1.0, unit: Unit::Count },
            Metric { name: "Duration", value: duration_ms, unit: Unit::Milliseconds },
        ],
    );
}
