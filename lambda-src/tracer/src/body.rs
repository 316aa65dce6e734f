//! Request bodies, checked field by field.
//!
//! In: the bytes of a body. Out: [`NewTrace`], [`NewSpan`], [`Completion`], each with the digest of its content, which
//! distinguishes a repeated request from another one. What can go wrong: 400 with the field's name, for JSON that is
//! none, fields that are unknown, missing, of another type, too long or malformed. A field that is null counts as
//! absent.

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::event::LONGEST_BODY;
use crate::time::Time;
use http_function::ApiError;

/// The longest name, in characters.
const LONGEST_NAME: usize = 256;
/// The longest id, and the longest kind of a span, in characters.
const LONGEST_ID: usize = 128;
/// The longest text of an error, in characters.
const LONGEST_ERROR: usize = 4096;
/// The longest metadata, in bytes of JSON.
const LONGEST_METADATA: usize = 16 << 10;

/// The bounds of `ttl_seconds`: a minute and ten years.
const TTL_SECONDS: std::ops::RangeInclusive<u64> = 60..=315_360_000;

/// The body of `POST /api/traces`.
#[derive(Debug)]
pub(crate) struct NewTrace {
    pub(crate) trace_id: String,
    pub(crate) project_id: String,
    pub(crate) details: Details,
}

/// The body of `POST /api/traces/{trace_id}/spans`.
#[derive(Debug)]
pub(crate) struct NewSpan {
    pub(crate) span_id: String,
    pub(crate) trace_id: String,
    pub(crate) parent_span_id: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) details: Details,
}

/// The start of a trace or a span.
#[derive(Debug)]
pub(crate) struct Details {
    pub(crate) name: String,
    pub(crate) start_time: Time,
    pub(crate) input: Option<Value>,
    pub(crate) metadata: Option<Value>,
    /// When DynamoDB may delete it, in seconds since 1970; never where nothing was asked for.
    pub(crate) expires_at: Option<u64>,
    /// Of what was asked for, without what the function chose: ids and times that were left out.
    pub(crate) digest: String,
}

/// The completion of a trace or a span.
#[derive(Debug)]
pub(crate) struct Completion {
    pub(crate) status: &'static str,
    pub(crate) end_time: Time,
    pub(crate) output: Option<Value>,
    pub(crate) error: Option<String>,
    pub(crate) digest: String,
}

impl NewTrace {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let mut fields = Fields::parse(body)?;
        let given_id = fields.id("trace_id")?;
        let project_id = fields.id("project_id")?.ok_or_else(|| missing("project_id"))?;
        let asked = json!({ "trace_id": given_id, "project_id": project_id });
        let details = Details::take(fields, asked)?;
        Ok(Self { trace_id: given_id.unwrap_or_else(new_id), project_id, details })
    }
}

impl NewSpan {
    pub(crate) fn parse(trace_id: String, body: &[u8]) -> Result<Self, ApiError> {
        let mut fields = Fields::parse(body)?;
        let given_id = fields.id("span_id")?;
        let parent_span_id = fields.id("parent_span_id")?;
        let kind = fields.text("kind", LONGEST_ID)?;
        if given_id.is_some() && given_id == parent_span_id {
            return Err(ApiError::field("invalid_field", "parent_span_id", "a span is not its own parent"));
        }
        let asked = json!({ "span_id": given_id, "trace_id": trace_id, "parent_span_id": parent_span_id, "kind": kind });
        let details = Details::take(fields, asked)?;
        Ok(Self { span_id: given_id.unwrap_or_else(new_id), trace_id, parent_span_id, kind, details })
    }
}

impl Details {
    fn take(mut fields: Fields, mut asked: Value) -> Result<Self, ApiError> {
        let name = fields.text("name", LONGEST_NAME)?.ok_or_else(|| missing("name"))?;
        let start_time = fields.time("start_time")?;
        let input = fields.json("input", LONGEST_BODY)?;
        let metadata = fields.object("metadata", LONGEST_METADATA)?;
        let ttl = fields.whole("ttl_seconds", TTL_SECONDS)?;
        fields.finish()?;
        asked["name"] = json!(name);
        asked["start_time"] = json!(start_time.map(|time| time.to_string()));
        asked["input"] = json!(input);
        asked["metadata"] = json!(metadata);
        // A digest of before there was this field stays what it is.
        if let Some(ttl) = ttl {
            asked["ttl_seconds"] = json!(ttl);
        }
        let expires_at = ttl.map(|ttl| Time::now().seconds() + ttl);
        let start_time = start_time.unwrap_or_else(Time::now);
        Ok(Self { name, start_time, input, metadata, expires_at, digest: digest(&asked) })
    }
}

impl Completion {
    /// Parses a completion. An empty body means: ended now, with the status ok.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let mut fields = if body.trim_ascii().is_empty() { Fields::default() } else { Fields::parse(body)? };
        let status = fields.text("status", LONGEST_ID)?;
        let end_time = fields.time("end_time")?;
        let output = fields.json("output", LONGEST_BODY)?;
        let error = fields.text("error", LONGEST_ERROR)?;
        fields.finish()?;
        let status = match (status.as_deref(), &error) {
            (None | Some("ok"), None) => "ok",
            (None | Some("error"), Some(_)) | (Some("error"), None) => "error",
            (Some("ok"), Some(_)) => {
                let message = "a completion with the status ok has no error";
                return Err(ApiError::field("invalid_field", "error", message));
            }
            (Some(_), _) => {
                return Err(ApiError::field("invalid_field", "status", "must be `ok` or `error`"));
            }
        };
        let end = end_time.map(|time| time.to_string());
        let asked = json!({ "status": status, "end_time": end, "output": output, "error": error });
        let end_time = end_time.unwrap_or_else(Time::now);
        Ok(Self { status, end_time, output, error, digest: digest(&asked) })
    }
}

/// Checks an id: 1 to 128 letters, digits and `._:-`, the first a letter or a digit. Such an id stands in a path as
/// it is.
pub(crate) fn check_id(field: &str, id: &str) -> Result<(), ApiError> {
    let first = id.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    let others = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte));
    if first && others && id.len() <= LONGEST_ID {
        return Ok(());
    }
    let message = format!(
        "must be 1 to {LONGEST_ID} letters, digits and `._:-`, the first of them a letter or a digit"
    );
    Err(ApiError::field("invalid_id", field, message))
}

fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

fn missing(field: &str) -> ApiError {
    ApiError::field("missing_field", field, "is missing")
}

/// Returns a digest of JSON that does not depend on the order of members.
fn digest(value: &Value) -> String {
    let mut sorted = value.clone();
    sorted.sort_all_objects();
    hex::encode(Sha256::digest(sorted.to_string()))
}

/// The members of a body that are not read yet.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let value: Value = serde_json::from_slice(body).map_err(|error| {
            // Not the error's own words: they may hold a piece of the body, which must not reach a log.
            let (line, column) = (error.line(), error.column());
            ApiError::invalid("invalid_json", format!("the body is no JSON: line {line}, column {column}"))
        })?;
        match value {
            Value::Object(members) => Ok(Self(members)),
            _ => Err(ApiError::invalid("invalid_body", "the body must be a JSON object")),
        }
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        self.0.shift_remove(name).filter(|value| !value.is_null())
    }

    fn string(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(ApiError::field("invalid_field", name, "must be a string")),
        }
    }

    fn text(&mut self, name: &str, longest: usize) -> Result<Option<String>, ApiError> {
        let Some(text) = self.string(name)? else { return Ok(None) };
        if text.trim().is_empty() {
            return Err(ApiError::field("invalid_field", name, "must not be blank"));
        }
        if text.chars().count() > longest {
            let message = format!("must have at most {longest} characters");
            return Err(ApiError::field("field_too_long", name, message));
        }
        Ok(Some(text))
    }

    fn id(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        let id = self.string(name)?;
        if let Some(id) = &id {
            check_id(name, id)?;
        }
        Ok(id)
    }

    fn whole(&mut self, name: &str, bounds: std::ops::RangeInclusive<u64>) -> Result<Option<u64>, ApiError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        value.as_u64().filter(|number| bounds.contains(number)).map(Some).ok_or_else(|| {
            let message = format!("must be a whole number from {} to {}", bounds.start(), bounds.end());
            ApiError::field("invalid_field", name, message)
        })
    }

    fn time(&mut self, name: &str) -> Result<Option<Time>, ApiError> {
        let Some(text) = self.string(name)? else { return Ok(None) };
        Time::parse(&text).map(Some).map_err(|why| ApiError::field("invalid_field", name, why))
    }

    fn json(&mut self, name: &str, longest: usize) -> Result<Option<Value>, ApiError> {
        let value = self.take(name);
        // As it will be stored: `1e9` in the body is longer there.
        if value.as_ref().is_some_and(|value| value.to_string().len() > longest) {
            let message = format!("must have at most {longest} bytes of JSON");
            return Err(ApiError::field("field_too_long", name, message));
        }
        Ok(value)
    }

    fn object(&mut self, name: &str, longest: usize) -> Result<Option<Value>, ApiError> {
        let value = self.json(name, longest)?;
        if value.as_ref().is_some_and(|value| !value.is_object()) {
            return Err(ApiError::field("invalid_field", name, "must be an object"));
        }
        Ok(value)
    }

    fn finish(self) -> Result<(), ApiError> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(unknown) => {
                let shown: String = unknown.chars().take(LONGEST_ID).collect();
                Err(ApiError::field("unknown_field", &shown, "is not known here"))
            }
        }
    }
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
