//! The tests of a function that is deployed: smoke tests of a new version, and the suite of a whole deployment.
//!
//! A smoke test sends an event or an HTTP request. A request may use values captured from earlier responses.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;

use super::super::file;
use super::super::project::CommandLines;

/// One smoke test: an event or request that every new version gets before it serves, and the expected response.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SmokeTest {
    /// What it tests, in a few words.
    pub(crate) name: String,
    /// The event: TOML that is sent as JSON.
    #[serde(default = "empty")]
    pub(crate) event: serde_json::Value,
    /// An HTTP request instead of an event.
    pub(crate) request: Option<SmokeRequest>,
    /// A subset of the JSON that the response must contain.
    pub(crate) expect: Option<serde_json::Value>,
    /// The `errorType` that the function must return.
    pub(crate) expect_error: Option<String>,
    /// Values for the requests that follow: name = JSON pointer into the response.
    #[serde(default)]
    pub(crate) capture: BTreeMap<String, String>,
    /// The time limit of the response.
    #[serde(deserialize_with = "file::duration", default = "three_seconds")]
    pub(crate) within: Duration,
    /// Whether it may run in protected environments.
    #[serde(default)]
    pub(crate) safe: bool,
}

/// An HTTP request, sent as the event that a function URL or HTTP API makes of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SmokeRequest {
    /// The method.
    #[serde(default = "get")]
    pub(crate) method: String,
    /// The path, with its query.
    pub(crate) path: String,
    /// Headers.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    /// The body: a text as it is, any other value as JSON.
    pub(crate) body: Option<serde_json::Value>,
}

/// The test suite of a whole deployment, which `cargo xtask verify --full` runs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeploymentTests {
    /// The command, or several, split by a shell's quoting rules and run without a shell.
    pub(crate) run: CommandLines,
    /// The time limit of all commands together.
    #[serde(deserialize_with = "file::duration", default = "ten_minutes")]
    pub(crate) within: Duration,
    /// Environment variables; their values may use what requests may use, and `${url}`.
    #[serde(default)]
    pub(crate) env: BTreeMap<String, String>,
    /// Whether it may run in protected environments.
    #[serde(default)]
    pub(crate) safe: bool,
}

/// Returns the first mistake in a function's smoke tests.
pub(super) fn mistake(smokes: &[SmokeTest]) -> Option<String> {
    let mut known: BTreeSet<&str> = BTreeSet::from(["random"]);
    for smoke in smokes {
        let name = &smoke.name;
        if smoke.expect.is_some() && smoke.expect_error.is_some() {
            return Some(format!(
                "the smoke event `{name}` has both `expect` and `expect_error`: keep one of them"
            ));
        }
        if let Some(request) = &smoke.request {
            if smoke.event != empty() {
                return Some(format!("the smoke event `{name}` has both `event` and `request`"));
            }
            if smoke.expect_error.is_some() {
                return Some(format!(
                    "the smoke event `{name}` is a request: write `expect = {{ status = … }}` instead of `expect_error`"
                ));
            }
            if !request.path.starts_with('/') {
                return Some(format!(
                    "the smoke event `{name}`: `path = \"{}\"` must begin with /",
                    request.path
                ));
            }
            let texts = request.headers.values().cloned().chain([request.path.clone()]);
            let body = request.body.as_ref().map(ToString::to_string);
            for text in texts.chain(body) {
                if let Some(unknown) = placeholders(&text).into_iter().find(|name| {
                    !known.contains(name.as_str())
                        && !name.starts_with("output.")
                        && !name.starts_with("secret.")
                }) {
                    return Some(format!(
                        "the smoke event `{name}` uses ${{{unknown}}}, which no earlier smoke event captures"
                    ));
                }
            }
        }
        if let Some((captured, pointer)) = smoke.capture.iter().find(|(_, pointer)| !pointer.starts_with('/'))
        {
            return Some(format!(
                "the smoke event `{name}`: `{captured} = \"{pointer}\"` must be a JSON pointer such as /body/id"
            ));
        }
        known.extend(smoke.capture.keys().map(String::as_str));
    }
    None
}

/// Returns the names between `${` and `}` in a text.
pub(crate) fn placeholders(text: &str) -> Vec<String> {
    text.split("${").skip(1).filter_map(|rest| Some(rest.split_once('}')?.0.to_owned())).collect()
}

fn empty() -> serde_json::Value {
    serde_json::json!({})
}

fn three_seconds() -> Duration {
    Duration::from_secs(3)
}

fn ten_minutes() -> Duration {
    Duration::from_secs(600)
}

fn get() -> String {
    "GET".to_owned()
}
