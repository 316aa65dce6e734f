//! Creating, completing and reading traces and spans; repeated requests; concurrent requests.

use std::collections::BTreeMap;

use futures::future::join_all;
use serde_json::{Value, json};

use crate::fixture::{Fixture, request, send};
use crate::require;
use crate::serialization::serialized;

const START: &str = "2026-11-22T10:00:00.000000Z";

async fn create_trace(fixture: &Fixture, id: &str) -> Value {
    let body = json!({ "trace_id": id, "project_id": "shop", "name": "checkout", "start_time": START });
    fixture.post("/api/traces", body).await.ok(201)
}

#[tokio::test]
async fn trace_with_spans_is_created_completed_and_read() {
    let fixture = require!(Fixture::new().await);
    let made = fixture
        .post(
            "/api/traces",
            json!({ "project_id": "shop", "name": "checkout", "metadata": { "user": "u1" } }),
        )
        .await
        .ok(201);
    let id = made["trace_id"].as_str().unwrap().to_owned();
    assert_eq!((&made["status"], &made["metadata"]), (&json!("running"), &json!({ "user": "u1" })));

    let spans = format!("/api/traces/{id}/spans");
    let later = json!({ "span_id": format!("{id}-b"), "name": "response", "start_time": "2026-11-22T10:00:02Z",
        "parent_span_id": format!("{id}-a"), "kind": "llm", "input": { "prompt": "…", "n": 1 } });
    fixture.post(&spans, later).await.ok(201);
    let earlier =
        json!({ "span_id": format!("{id}-a"), "name": "search", "start_time": "2026-11-22T10:00:01Z" });
    let earlier = fixture.post(&spans, earlier).await.ok(201);
    assert_eq!(earlier["trace_id"], json!(id));

    let end = json!({ "end_time": "2026-11-22T10:00:01.25Z", "output": ["hit", 2.5] });
    let span = fixture.patch(&format!("/api/spans/{id}-a/complete"), end).await.ok(200);
    assert_eq!((&span["status"], &span["duration_ms"]), (&json!("ok"), &json!(250.0)));
    assert_eq!(span["output"], json!(["hit", 2.5]));
    let end = json!({ "error": "no response" });
    let whole = fixture.patch(&format!("/api/traces/{id}/complete"), end).await.ok(200);
    assert_eq!((&whole["status"], &whole["error"]), (&json!("error"), &json!("no response")));

    let read = fixture.get(&format!("/api/traces/{id}")).await.ok(200);
    let names: Vec<&Value> = read["spans"].as_array().unwrap().iter().map(|span| &span["name"]).collect();
    assert_eq!(names, ["search", "response"], "oldest first");
    assert_eq!((&read["trace_id"], &read["status"]), (&json!(id), &json!("error")));
    assert_eq!(read["spans"][0], span);
    assert_eq!(read["spans"][1]["input"], json!({ "prompt": "…", "n": 1 }));
    assert_eq!(read["next_cursor"], Value::Null);
    assert!(read["spans"][1].get("end_time").is_none() && read["spans"][1]["status"] == "running");
    assert!(!read.to_string().contains("digest"), "internal attributes are returned: {read}");
}

#[tokio::test]
async fn repeated_request_changes_nothing() {
    let fixture = require!(Fixture::new().await);
    // Without a start time: the function chooses one, and the second request finds it.
    let body =
        json!({ "trace_id": "t1", "project_id": "shop", "name": "checkout", "input": { "a": 1, "b": 2 } });
    let made = fixture.post("/api/traces", body).await.ok(201);
    let reordered =
        json!({ "input": { "b": 2, "a": 1 }, "name": "checkout", "project_id": "shop", "trace_id": "t1" });
    assert_eq!(fixture.post("/api/traces", reordered).await.ok(200), made);
    let other = json!({ "trace_id": "t1", "project_id": "shop", "name": "another" });
    fixture.post("/api/traces", other).await.assert_error(409, "conflict", None);

    let span = json!({ "span_id": "s1", "name": "search" });
    let made_span = fixture.post("/api/traces/t1/spans", span.clone()).await.ok(201);
    assert_eq!(fixture.post("/api/traces/t1/spans", span.clone()).await.ok(200), made_span);
    create_trace(&fixture, "t2").await;
    fixture.post("/api/traces/t2/spans", span).await.assert_error(409, "conflict", None);

    let end = json!({ "output": { "n": 1 } });
    let ended = fixture.patch("/api/spans/s1/complete", end.clone()).await.ok(200);
    assert_eq!(fixture.patch("/api/spans/s1/complete", end).await.ok(200), ended);
    fixture.patch("/api/spans/s1/complete", json!({ "output": 2 })).await.assert_error(409, "conflict", None);
    let read = fixture.get("/api/traces/t1").await.ok(200);
    assert_eq!(read["spans"], json!([ended]));
    // A late repetition finds the current trace.
    let ended = fixture.patch("/api/traces/t1/complete", json!({})).await.ok(200);
    let body =
        json!({ "trace_id": "t1", "project_id": "shop", "name": "checkout", "input": { "a": 1, "b": 2 } });
    assert_eq!(fixture.post("/api/traces", body).await.ok(200), ended);
}

#[tokio::test]
async fn unknown_ids_and_ends_before_the_start_are_refused() {
    let fixture = require!(Fixture::new().await);
    fixture.get("/api/traces/nobody").await.assert_error(404, "not_found", None);
    fixture.patch("/api/traces/nobody/complete", json!({})).await.assert_error(404, "not_found", None);
    fixture.patch("/api/spans/nobody/complete", json!({})).await.assert_error(404, "not_found", None);
    let span = fixture.post("/api/traces/nobody/spans", json!({ "span_id": "s1", "name": "search" })).await;
    span.assert_error(404, "not_found", None);
    create_trace(&fixture, "t1").await;
    let early = json!({ "end_time": "2026-11-22T09:59:59.999999Z" });
    fixture.patch("/api/traces/t1/complete", early).await.assert_error(
        400,
        "invalid_field",
        Some("end_time"),
    );
    let same = fixture.patch("/api/traces/t1/complete", json!({ "end_time": START })).await.ok(200);
    assert_eq!(same["duration_ms"], 0.0);
}

#[tokio::test]
async fn concurrent_requests_have_one_winner() {
    let mut fixture = require!(Fixture::new().await);
    let moto = fixture.settings.aws.dynamodb_endpoint.clone().unwrap();
    fixture.api = fixture.with_tables_at(&serialized(&moto));
    let fixture = &fixture;
    let create = |name: &'static str| {
        fixture.post("/api/traces", json!({ "trace_id": "t1", "project_id": "shop", "name": name }))
    };
    let same = join_all((0..8).map(|_| create("checkout"))).await;
    let statuses: Vec<u16> = same.iter().map(|response| response.status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 7, "{statuses:?}");
    assert!(same.iter().all(|response| response.body == same[0].body), "all get the same response");

    // They complete with two different outputs; a different time is not a conflict.
    let complete = |n: usize| fixture.patch("/api/traces/t1/complete", json!({ "output": n % 2 }));
    let responses = join_all((0..8).map(complete)).await;
    let mut outcomes: BTreeMap<(u16, String), usize> = BTreeMap::new();
    for response in &responses {
        *outcomes.entry((response.status, response.body["output"].to_string())).or_default() += 1;
    }
    let winner = fixture.get("/api/traces/t1").await.ok(200)["output"].to_string();
    let expected = BTreeMap::from([((200, winner), 4), ((409, "null".to_owned()), 4)]);
    assert_eq!(outcomes, expected);
    let ends: Vec<&Value> = responses
        .iter()
        .filter(|response| response.status == 200)
        .map(|response| &response.body["end_time"])
        .collect();
    assert!(ends.iter().all(|end| *end == ends[0]), "{ends:?}");
}

#[tokio::test]
async fn base64_bodies_are_accepted_up_to_the_size_limit() {
    let fixture = require!(Fixture::new().await);
    // {"trace_id":"t1","project_id":"shop","name":"é"}
    let encoded = "eyJ0cmFjZV9pZCI6InQxIiwicHJvamVjdF9pZCI6InNob3AiLCJuYW1lIjoiw6kifQ==";
    let mut event = request("POST", "/api/traces", Some(encoded.to_owned()));
    event["isBase64Encoded"] = json!(true);
    assert_eq!(send(&fixture.api, &event).await.ok(201)["name"], "é");

    let body = |length: usize| json!({ "trace_id": "t2", "project_id": "p", "name": "n", "input": "x".repeat(length) });
    let around = body(0).to_string().len();
    fixture.post("/api/traces", body(tracer::LONGEST_BODY - around + 1)).await.assert_error(
        413,
        "too_large",
        None,
    );
    fixture.post("/api/traces", body(tracer::LONGEST_BODY - around)).await.ok(201);
    // Two of the longest fit into one item.
    let end = json!({ "output": "x".repeat(tracer::LONGEST_BODY - 100) });
    let ended = fixture.patch("/api/traces/t2/complete", end).await.ok(200);
    assert_eq!(ended["output"].as_str().unwrap().len(), tracer::LONGEST_BODY - 100);
}
