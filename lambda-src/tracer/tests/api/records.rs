//! Making, completing and reading traces and spans; the same request again; requests at the same time.

use std::collections::BTreeMap;

use futures::future::join_all;
use serde_json::{Value, json};

use crate::turns::one_at_a_time;
use crate::world::{World, request, send};

const START: &str = "2026-11-22T10:00:00.000000Z";

async fn trace(world: &World, id: &str) -> Value {
    let body = json!({ "trace_id": id, "project_id": "shop", "name": "checkout", "start_time": START });
    world.post("/api/traces", body).await.ok(201)
}

#[tokio::test]
async fn a_trace_with_its_spans_from_beginning_to_end() {
    let Some(world) = World::new().await else { return };
    let made = world
        .post(
            "/api/traces",
            json!({ "project_id": "shop", "name": "checkout", "metadata": { "user": "u1" } }),
        )
        .await
        .ok(201);
    let id = made["trace_id"].as_str().unwrap().to_owned();
    assert_eq!((&made["status"], &made["metadata"]), (&json!("running"), &json!({ "user": "u1" })));

    let spans = format!("/api/traces/{id}/spans");
    let later = json!({ "span_id": format!("{id}-b"), "name": "answer", "start_time": "2026-11-22T10:00:02Z",
        "parent_span_id": format!("{id}-a"), "kind": "llm", "input": { "prompt": "…", "n": 1 } });
    world.post(&spans, later).await.ok(201);
    let earlier =
        json!({ "span_id": format!("{id}-a"), "name": "search", "start_time": "2026-11-22T10:00:01Z" });
    let earlier = world.post(&spans, earlier).await.ok(201);
    assert_eq!(earlier["trace_id"], json!(id));

    let end = json!({ "end_time": "2026-11-22T10:00:01.25Z", "output": ["hit", 2.5] });
    let span = world.patch(&format!("/api/spans/{id}-a/complete"), end).await.ok(200);
    assert_eq!((&span["status"], &span["duration_ms"]), (&json!("ok"), &json!(250.0)));
    assert_eq!(span["output"], json!(["hit", 2.5]));
    let end = json!({ "error": "no answer" });
    let whole = world.patch(&format!("/api/traces/{id}/complete"), end).await.ok(200);
    assert_eq!((&whole["status"], &whole["error"]), (&json!("error"), &json!("no answer")));

    let read = world.get(&format!("/api/traces/{id}")).await.ok(200);
    let names: Vec<&Value> = read["spans"].as_array().unwrap().iter().map(|span| &span["name"]).collect();
    assert_eq!(names, ["search", "answer"], "oldest first");
    assert_eq!((&read["trace_id"], &read["status"]), (&json!(id), &json!("error")));
    assert_eq!(read["spans"][0], span);
    assert_eq!(read["spans"][1]["input"], json!({ "prompt": "…", "n": 1 }));
    assert_eq!(read["next_cursor"], Value::Null);
    assert!(read["spans"][1].get("end_time").is_none() && read["spans"][1]["status"] == "running");
    assert!(!read.to_string().contains("digest"), "what is stored beside is not shown: {read}");
}

#[tokio::test]
async fn the_same_request_again_changes_nothing() {
    let Some(world) = World::new().await else { return };
    // Without a time of its own: the function chose one, and the second request finds that.
    let body =
        json!({ "trace_id": "t1", "project_id": "shop", "name": "checkout", "input": { "a": 1, "b": 2 } });
    let made = world.post("/api/traces", body).await.ok(201);
    let turned =
        json!({ "input": { "b": 2, "a": 1 }, "name": "checkout", "project_id": "shop", "trace_id": "t1" });
    assert_eq!(world.post("/api/traces", turned).await.ok(200), made);
    let other = json!({ "trace_id": "t1", "project_id": "shop", "name": "another" });
    world.post("/api/traces", other).await.is_error(409, "conflict", None);

    let span = json!({ "span_id": "s1", "name": "search" });
    let made_span = world.post("/api/traces/t1/spans", span.clone()).await.ok(201);
    assert_eq!(world.post("/api/traces/t1/spans", span.clone()).await.ok(200), made_span);
    trace(&world, "t2").await;
    world.post("/api/traces/t2/spans", span).await.is_error(409, "conflict", None);

    let end = json!({ "output": { "n": 1 } });
    let ended = world.patch("/api/spans/s1/complete", end.clone()).await.ok(200);
    assert_eq!(world.patch("/api/spans/s1/complete", end).await.ok(200), ended);
    world.patch("/api/spans/s1/complete", json!({ "output": 2 })).await.is_error(409, "conflict", None);
    let read = world.get("/api/traces/t1").await.ok(200);
    assert_eq!(read["spans"], json!([ended]));
    // A request that was repeated late finds the trace as it is by now.
    let ended = world.patch("/api/traces/t1/complete", json!({})).await.ok(200);
    let body =
        json!({ "trace_id": "t1", "project_id": "shop", "name": "checkout", "input": { "a": 1, "b": 2 } });
    assert_eq!(world.post("/api/traces", body).await.ok(200), ended);
}

#[tokio::test]
async fn what_is_unknown_or_ends_before_it_began_is_refused() {
    let Some(world) = World::new().await else { return };
    world.get("/api/traces/nobody").await.is_error(404, "not_found", None);
    world.patch("/api/traces/nobody/complete", json!({})).await.is_error(404, "not_found", None);
    world.patch("/api/spans/nobody/complete", json!({})).await.is_error(404, "not_found", None);
    let span = world.post("/api/traces/nobody/spans", json!({ "span_id": "s1", "name": "search" })).await;
    span.is_error(404, "not_found", None);
    trace(&world, "t1").await;
    let early = json!({ "end_time": "2026-11-22T09:59:59.999999Z" });
    world.patch("/api/traces/t1/complete", early).await.is_error(400, "invalid_field", Some("end_time"));
    let same = world.patch("/api/traces/t1/complete", json!({ "end_time": START })).await.ok(200);
    assert_eq!(same["duration_ms"], 0.0);
}

#[tokio::test]
async fn of_many_at_the_same_time_one_wins() {
    let Some(mut world) = World::new().await else { return };
    let moto = world.settings.aws.dynamodb_endpoint.clone().unwrap();
    world.api = world.with_tables_at(&one_at_a_time(&moto));
    let world = &world;
    let create = |name: &'static str| {
        world.post("/api/traces", json!({ "trace_id": "t1", "project_id": "shop", "name": name }))
    };
    let same = join_all((0..8).map(|_| create("checkout"))).await;
    let statuses: Vec<u16> = same.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 7, "{statuses:?}");
    assert!(same.iter().all(|answer| answer.body == same[0].body), "all are told the same");

    // Each says something else of how it ended; the clock alone is no difference.
    let complete = |n: usize| world.patch("/api/traces/t1/complete", json!({ "output": n % 2 }));
    let answers = join_all((0..8).map(complete)).await;
    let mut outcomes: BTreeMap<(u16, String), usize> = BTreeMap::new();
    for answer in &answers {
        *outcomes.entry((answer.status, answer.body["output"].to_string())).or_default() += 1;
    }
    let winner = world.get("/api/traces/t1").await.ok(200)["output"].to_string();
    let expected = BTreeMap::from([((200, winner), 4), ((409, "null".to_owned()), 4)]);
    assert_eq!(outcomes, expected);
    let ends: Vec<&Value> =
        answers.iter().filter(|answer| answer.status == 200).map(|answer| &answer.body["end_time"]).collect();
    assert!(ends.iter().all(|end| *end == ends[0]), "{ends:?}");
}

#[tokio::test]
async fn bodies_may_be_base64_and_stay_below_their_limit() {
    let Some(world) = World::new().await else { return };
    // {"trace_id":"t1","project_id":"shop","name":"é"}
    let encoded = "eyJ0cmFjZV9pZCI6InQxIiwicHJvamVjdF9pZCI6InNob3AiLCJuYW1lIjoiw6kifQ==";
    let mut event = request("POST", "/api/traces", Some(encoded.to_owned()));
    event["isBase64Encoded"] = json!(true);
    assert_eq!(send(&world.api, &event).await.ok(201)["name"], "é");

    let body = |length: usize| json!({ "trace_id": "t2", "project_id": "p", "name": "n", "input": "x".repeat(length) });
    let around = body(0).to_string().len();
    world.post("/api/traces", body(tracer::LONGEST_BODY - around + 1)).await.is_error(413, "too_large", None);
    world.post("/api/traces", body(tracer::LONGEST_BODY - around)).await.ok(201);
    // Two of the longest fit into one item.
    let end = json!({ "output": "x".repeat(tracer::LONGEST_BODY - 100) });
    let ended = world.patch("/api/traces/t2/complete", end).await.ok(200);
    assert_eq!(ended["output"].as_str().unwrap().len(), tracer::LONGEST_BODY - 100);
}
