//! What is tried on a new version before it serves: events, or requests that follow each other with values captured on the
//! way; and the suite that a whole deployment is tested with.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;

use super::super::file;
use super::super::project::CommandLines;

/// One thing that is tried on every new version before it serves.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SmokeTest {
    /// What it shows, in a few words.
    pub(crate) name: String,
    /// The event, as TOML for JSON.
    #[serde(default = "empty")]
    pub(crate) event: serde_json::Value,
    /// An HTTP request instead of an event.
    pub(crate) request: Option<SmokeRequest>,
    /// A JSON subset that the answer must hold.
    pub(crate) expect: Option<serde_json::Value>,
    /// The `errorType` that the function must answer with.
    pub(crate) expect_error: Option<String>,
    /// Values kept for those that follow: name = JSON pointer into the answer.
    #[serde(default)]
    pub(crate) capture: BTreeMap<String, String>,
    /// How long the answer may take.
    #[serde(deserialize_with = "file::duration", default = "three_seconds")]
    pub(crate) within: Duration,
    /// Whether it may run in protected environments.
    #[serde(default)]
    pub(crate) safe: bool,
}

/// An HTTP request, as the function's URL or HTTP API hands it on.
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
    /// The body: text as it is, anything else as JSON.
    pub(crate) body: Option<serde_json::Value>,
}

/// The suite that a whole deployment is tested with: `cargo xtask verify --full`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeploymentTests {
    /// The command, or several, split by a shell's quoting rules and run without a shell.
    pub(crate) run: CommandLines,
    /// The time limit of all of them results.
    #[serde(deserialize_with = "file::duration", default = "ten_minutes")]
    pub(crate) within: Duration,
    /// Environment variables; values as in requests, and `${url}`.
    #[serde(default)]
    pub(crate) env: BTreeMap<String, String>,
}

/// A function's words for what does not fit in its smoke events.
pub(super) fn mistake(smokes: &[SmokeTest]) -> Option<String> {
    let mut known: BTreeSet<&str> = BTreeSet::from(["random"]);
    for smoke in smokes {
        let name = &smoke.name;
        if smoke.expect.is_some() && smoke.expect_error.is_some() {
            return Some(format!(
                "the smoke event `{name}` has both `expect` and `expect_error`; an answer is one or the other"
            ));
        }
        if let Some(request) = &smoke.request {
            if smoke.event != empty() {
                return Some(format!("the smoke event `{name}` has both `event` and `request`"));
            }
            if smoke.expect_error.is_some() {
                return Some(format!(
                    "the smoke event `{name}` is a request, which answers with a status: `expect = {{ status = … }}`"
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
                        "the smoke event `{name}` uses ${{{unknown}}}, which nothing before it captures"
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

/// Lists the names between `${` and `}` in a text.
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
