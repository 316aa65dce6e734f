//! Tests of valid and invalid bodies.

use serde_json::{Value, json};

use super::{Completion, NewSpan, NewTrace, check_id};
use http_function::ApiError;

fn trace(body: &Value) -> Result<NewTrace, ApiError> {
    NewTrace::parse(body.to_string().as_bytes())
}

fn span(body: &Value) -> Result<NewSpan, ApiError> {
    NewSpan::parse("t1".to_owned(), body.to_string().as_bytes())
}

fn completion(body: &Value) -> Result<Completion, ApiError> {
    Completion::parse(body.to_string().as_bytes())
}

/// Returns status, code and field as a caller sees them.
fn seen(error: &ApiError) -> (u16, String, String) {
    let answer = serde_json::to_value(error.response("")).expect("JSON");
    let body: Value = serde_json::from_str(answer["body"].as_str().expect("a body")).expect("JSON");
    let text = |name: &str| body["error"][name].as_str().unwrap_or_default().to_owned();
    (error.status(), text("code"), text("field"))
}

fn with(base: &Value, name: &str, value: Value) -> Value {
    let mut body = base.clone();
    body[name] = value;
    body
}

#[test]
fn a_trace_needs_a_project_and_a_name() {
    let whole = trace(&json!({ "project_id": "shop", "name": "checkout" })).expect("a trace");
    assert!(check_id("trace_id", &whole.trace_id).is_ok());
    let other = trace(&json!({ "project_id": "shop", "name": "checkout" })).expect("a trace");
    assert_ne!(whole.trace_id, other.trace_id);
    for (body, field) in
        [(json!({ "name": "n" }), "project_id"), (json!({ "project_id": "p", "name": null }), "name")]
    {
        let error = trace(&body).expect_err(field);
        assert_eq!(seen(&error), (400, "missing_field".to_owned(), field.to_owned()));
    }
}

#[test]
fn each_field_is_checked_and_named() {
    let own_trace = json!({ "project_id": "p", "name": "n" });
    let own_span = json!({ "name": "n" });
    let long = |length| json!("x".repeat(length));
    let deep = json!({ "text": "x".repeat(16 << 10) });
    let refused = |error: ApiError, code: &str, field: &str| {
        assert_eq!(seen(&error), (400, code.to_owned(), field.to_owned()), "{error}");
    };
    for (field, value, code) in [
        ("trace_id", json!(""), "invalid_id"),
        ("trace_id", json!("a/b"), "invalid_id"),
        ("trace_id", json!(5), "invalid_field"),
        ("project_id", long(129), "invalid_id"),
        ("project_id", json!(["p"]), "invalid_field"),
        ("name", json!(" \t"), "invalid_field"),
        ("name", long(257), "field_too_long"),
        ("name", json!({}), "invalid_field"),
        ("start_time", json!("now"), "invalid_field"),
        ("start_time", json!(1_700_000_000), "invalid_field"),
        ("metadata", json!("text"), "invalid_field"),
        ("ttl_seconds", json!(59), "invalid_field"),
        ("ttl_seconds", json!(315_360_001_u64), "invalid_field"),
        ("ttl_seconds", json!(3600.5), "invalid_field"),
        ("ttl_seconds", json!("3600"), "invalid_field"),
        ("metadata", deep, "field_too_long"),
        ("span_id", json!("s"), "unknown_field"),
        ("end_time", json!("2026-11-22T10:00:00Z"), "unknown_field"),
    ] {
        refused(trace(&with(&own_trace, field, value)).expect_err(field), code, field);
    }
    for (field, value, code) in [
        ("span_id", json!("-s"), "invalid_id"),
        ("parent_span_id", json!("ö"), "invalid_id"),
        ("parent_span_id", json!(true), "invalid_field"),
        ("kind", json!(""), "invalid_field"),
        ("kind", long(129), "field_too_long"),
        ("trace_id", json!("t1"), "unknown_field"),
        ("project_id", json!("p"), "unknown_field"),
    ] {
        refused(span(&with(&own_span, field, value)).expect_err(field), code, field);
    }
    let own =
        span(&json!({ "name": "n", "span_id": "s", "parent_span_id": "s" })).expect_err("its own parent");
    refused(own, "invalid_field", "parent_span_id");
    for (field, value, code) in [
        ("status", json!("done"), "invalid_field"),
        ("status", json!(1), "invalid_field"),
        ("end_time", json!("2026"), "invalid_field"),
        ("error", long(4097), "field_too_long"),
        ("error", json!(["e"]), "invalid_field"),
        ("name", json!("n"), "unknown_field"),
    ] {
        refused(completion(&json!({ field: value })).expect_err(field), code, field);
    }
    let both = completion(&json!({ "status": "ok", "error": "e" })).expect_err("ok and an error");
    refused(both, "invalid_field", "error");
}

#[test]
fn limits_count_characters_and_stored_bytes() {
    let own = json!({ "project_id": "p", "name": "n" });
    assert!(trace(&with(&own, "name", json!("ö".repeat(256)))).is_ok());
    // 5 bytes sent, 10 stored: `1e6` comes back as `1000000.0`.
    let numbers = format!(r#"{{"project_id":"p","name":"n","input":[{}1]}}"#, "1e6,".repeat(25_000));
    let error = NewTrace::parse(numbers.as_bytes()).expect_err("too long");
    assert_eq!(seen(&error), (400, "field_too_long".to_owned(), "input".to_owned()));
}

#[test]
fn what_is_no_json_object_is_refused_without_being_quoted() {
    for (body, code) in [
        (&b"{\"project_id\": hush}"[..], "invalid_json"),
        (b"", "invalid_json"),
        (b"\xff\xfe", "invalid_json"),
        (b"[]", "invalid_body"),
        (b"\"hush\"", "invalid_body"),
        (b"null", "invalid_body"),
    ] {
        let error = NewTrace::parse(body).expect_err(code);
        assert_eq!(seen(&error), (400, code.to_owned(), String::new()));
        assert!(!error.to_string().contains("hush"), "{error}");
    }
    let deep = [b"[".repeat(10_000), b"]".repeat(10_000)].concat();
    assert_eq!(NewTrace::parse(&deep).expect_err("too deep").code(), "invalid_json");
}

#[test]
fn a_digest_tells_requests_apart_by_their_content() {
    let digest = |body: Value| trace(&body).expect("a trace").details.digest;
    let body = json!({ "project_id": "p", "name": "n", "trace_id": "t", "input": { "a": 1, "b": [{ "c": 1, "d": 2 }] } });
    let same = json!({ "input": { "b": [{ "d": 2, "c": 1 }], "a": 1 }, "trace_id": "t", "name": "n", "project_id": "p" });
    assert_eq!(digest(body.clone()), digest(same));
    let null = with(&body, "metadata", Value::Null);
    assert_eq!(digest(body.clone()), digest(null));
    for (field, value) in [
        ("name", json!("m")),
        ("project_id", json!("q")),
        ("start_time", json!("2026-11-22T10:00:00Z")),
        ("input", json!({ "a": 2 })),
        ("metadata", json!({})),
        ("ttl_seconds", json!(60)),
    ] {
        assert_ne!(digest(body.clone()), digest(with(&body, field, value)), "{field}");
    }
    let time = |text: &str| digest(with(&body, "start_time", json!(text)));
    assert_eq!(time("2026-11-22T10:00:00Z"), time("2026-11-22T11:00:00+01:00"));
    let of = |body: &Value| span(body).expect("a span").details.digest;
    assert_ne!(of(&json!({ "name": "n" })), of(&json!({ "name": "n", "kind": "llm" })));
    let of = |body: &Value| completion(body).expect("a completion").digest;
    assert_eq!(of(&json!({})), of(&json!({ "status": "ok" })));
    assert_ne!(of(&json!({})), of(&json!({ "output": 1 })));
}

#[test]
fn an_empty_completion_ended_well_and_an_error_did_not() {
    let empty = Completion::parse(b" \n").expect("a completion");
    assert_eq!((empty.status, empty.error), ("ok", None));
    let failed = completion(&json!({ "error": "timed out" })).expect("a completion");
    assert_eq!((failed.status, failed.error.as_deref()), ("error", Some("timed out")));
    assert_eq!(completion(&json!({ "status": "error" })).expect("a completion").status, "error");
}
