//! Publishing a version only if something changed since the newest one, as Lambda does.
//!
//! In: PublishVersion, and UpdateFunctionCode with `Publish`. Out: the emulator's response; or the newest version, if the
//! function's code and configuration are the same as its. The emulator publishes after every update, even one that changed
//! nothing. Publications of one function are serialized.
//! See <https://docs.aws.amazon.com/lambda/latest/api/API_PublishVersion.html>.

use super::client_call::ClientCall;
use super::function_name::{FunctionName, LATEST};
use super::image_functions::{ImageFunctions, with_configuration};
use super::lambda_error::{LambdaError, json_response};
use super::upstream::run_to_completion;
use crate::http;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use std::sync::Arc;

/// The longest request, in bytes.
const LONGEST: usize = 1 << 20;

/// Parts of a configuration that say nothing of what a version does.
const NOT_COMPARED: [&str; 12] = [
    "Version",
    "FunctionArn",
    "MasterArn",
    "Description",
    "LastModified",
    "RevisionId",
    "State",
    "StateReason",
    "StateReasonCode",
    "LastUpdateStatus",
    "LastUpdateStatusReason",
    "LastUpdateStatusReasonCode",
];

/// PublishVersion.
pub(super) async fn publish(
    State(functions): State<Arc<ImageFunctions>>,
    Path(function): Path<String>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, LONGEST).await else {
        return LambdaError::unreadable_request().into_response();
    };
    let work = async move {
        let _lock = functions.lock(&function).await;
        let versions = parts.uri.path().trim_end_matches('/');
        let path = versions.strip_suffix("/versions").unwrap_or(versions).to_owned();
        if let Some(newest) = functions.unchanged_version(&parts, &path).await {
            return json_response(StatusCode::CREATED, &newest);
        }
        let response = functions.upstream.forward(Request::from_parts(parts, Body::from(body))).await;
        functions.published(response).await
    };
    run_to_completion(work).await
}

/// UpdateFunctionCode.
pub(super) async fn update_code(
    State(functions): State<Arc<ImageFunctions>>,
    Path(function): Path<String>,
    request: Request,
) -> Response {
    let checked = match functions.checked_code(request).await {
        Ok(checked) => checked,
        Err(error) => return error.into_response(),
    };
    let requested = checked.requested.clone().unwrap_or_default();
    match requested["Publish"] == true && requested["DryRun"] != true {
        true => update_and_publish(functions, &function, checked.parts, requested).await,
        false => functions.forward(checked).await,
    }
}

/// Updates a function's code first and publishes then.
async fn update_and_publish(
    functions: Arc<ImageFunctions>,
    function: &str,
    parts: Parts,
    requested: Value,
) -> Response {
    let function = function.to_owned();
    let work = async move {
        let _lock = functions.lock(&function).await;
        let update = |publish: bool| {
            let mut requested = requested.clone();
            requested["Publish"] = publish.into();
            let body = Bytes::from(requested.to_string());
            let mut parts = parts.clone();
            parts.headers.remove(header::CONTENT_LENGTH);
            parts.headers.remove(header::TRANSFER_ENCODING);
            // The client's signature covers another body.
            functions.upstream.resign(&mut parts, &body);
            functions.upstream.forward(Request::from_parts(parts, Body::from(body)))
        };
        let updated = update(false).await;
        if !updated.status().is_success() {
            return updated;
        }
        let path = parts.uri.path();
        let path = path.strip_suffix("/code").unwrap_or(path).to_owned();
        match functions.unchanged_version(&parts, &path).await {
            Some(newest) => json_response(StatusCode::OK, &newest),
            None => functions.published(update(true).await).await,
        }
    };
    run_to_completion(work).await
}

impl ImageFunctions {
    async fn lock(&self, function: &str) -> Option<super::locks::LockGuard> {
        let name = FunctionName::parse(function, None).ok()?.name;
        Some(self.locks.lock(&name).await)
    }

    /// Returns the newest version if the function has not changed since; `None` as well if the client may not read it.
    async fn unchanged_version(&self, parts: &Parts, function: &str) -> Option<Value> {
        let call = ClientCall::new(&self.upstream, parts);
        let mut current = call.get_json(&format!("{function}/configuration")).await.ok()?;
        if self.hidden_changes.includes(&current) {
            return None;
        }
        let mut newest = newest_version(&call, function).await.ok()??;
        self.correct_document(&mut current);
        self.correct_document(&mut newest);
        is_same(&current, &newest).then_some(newest)
    }

    /// Corrects the response to a publication.
    async fn published(&self, response: Response) -> Response {
        let response = self.corrected_response(response, Some(&Value::Null)).await;
        with_configuration(response, |published| self.hidden_changes.clear(published)).await
    }
}

/// Returns the version with the highest number; `None` if there is none yet.
async fn newest_version(call: &ClientCall<'_>, function: &str) -> Result<Option<Value>, LambdaError> {
    let number = |version: &Value| version["Version"].as_str().and_then(|number| number.parse::<u64>().ok());
    let mut newest = None;
    let mut marker: Option<String> = None;
    loop {
        let query = marker.map_or(String::new(), |marker| format!("?Marker={}", http::encode(&marker)));
        let list = call.get_json(&format!("{function}/versions{query}")).await?;
        let versions = list["Versions"].as_array().cloned().unwrap_or_default();
        let published = versions.into_iter().filter(|version| version["Version"] != LATEST);
        newest = newest.into_iter().chain(published).max_by_key(number);
        marker = list["NextMarker"].as_str().filter(|marker| !marker.is_empty()).map(str::to_owned);
        if marker.is_none() {
            return Ok(newest);
        }
    }
}

/// Returns whether two configurations are the same but for what is not compared.
fn is_same(one: &Value, other: &Value) -> bool {
    let compared = |configuration: &Value| {
        let mut settings = configuration.as_object().cloned().unwrap_or_default();
        settings.retain(|name, _| !NOT_COMPARED.contains(&name.as_str()));
        settings
    };
    compared(one) == compared(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn version_is_compared_by_what_it_does() {
        let latest = json!({
            "FunctionArn": "arn:f", "Version": "$LATEST", "CodeSha256": "a", "MemorySize": 128, "Description": "x",
        });
        let version = |name: &str, value: Value| {
            let mut version = latest.clone();
            version["FunctionArn"] = "arn:f:1".into();
            version["Version"] = "1".into();
            version[name] = value;
            is_same(&latest, &version)
        };
        assert!(version("Description", json!("another")));
        assert!(!version("CodeSha256", json!("b")));
        assert!(!version("MemorySize", json!(256)));
        assert!(!version("Environment", json!({ "Variables": { "A": "b" } })));
    }
}
