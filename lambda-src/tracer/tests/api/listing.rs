//! Listing by project and time, and paging.

use futures::future::join_all;
use serde_json::{Value, json};

use crate::world::World;

fn ids(page: &Value, of: &str, id: &str) -> Vec<String> {
    page[of].as_array().unwrap().iter().map(|record| record[id].as_str().unwrap().to_owned()).collect()
}

async fn traces(world: &World, project: &str, count: usize) {
    let make = |n: usize| {
        let id = format!("{project}-{n:02}");
        let start = format!("2026-11-22T10:00:{n:02}Z");
        world.post(
            "/api/traces",
            json!({ "trace_id": id, "project_id": project, "name": "n", "start_time": start }),
        )
    };
    for answer in join_all((0..count).map(make)).await {
        answer.ok(201);
    }
}

/// Follows the cursors from page to page.
async fn walk(world: &World, path: &str, of: &str, id: &str) -> (Vec<String>, usize) {
    let (mut all, mut pages, mut cursor) = (Vec::new(), 0, String::new());
    loop {
        let page = world.get(&format!("{path}{cursor}")).await.ok(200);
        all.extend(ids(&page, of, id));
        pages += 1;
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return (all, pages),
        }
    }
}

#[tokio::test]
async fn a_project_lists_its_traces_newest_first_page_by_page() {
    let Some(world) = World::new().await else { return };
    traces(&world, "shop", 10).await;
    traces(&world, "other", 2).await;
    let newest_first: Vec<String> = (0..10).rev().map(|n| format!("shop-{n:02}")).collect();
    let whole = world.get("/api/projects/shop/traces").await.ok(200);
    assert_eq!(ids(&whole, "traces", "trace_id"), newest_first);
    assert_eq!(whole["next_cursor"], Value::Null);
    for (limit, expected_pages) in [(1, 10), (3, 4), (5, 2), (10, 1), (11, 1)] {
        let path = format!("/api/projects/shop/traces?limit={limit}");
        let (all, pages) = walk(&world, &path, "traces", "trace_id").await;
        assert_eq!((all, pages), (newest_first.clone(), expected_pages), "limit {limit}");
    }
    let bounds = "/api/projects/shop/traces?from=2026-11-22T10:00:02Z&to=2026-11-22T10:00:05Z&limit=3";
    let (all, pages) = walk(&world, bounds, "traces", "trace_id").await;
    assert_eq!((all, pages), (newest_first[4..8].to_vec(), 2), "both bounds are included");
    let offset = "/api/projects/shop/traces?from=2026-11-22T12:00:09%2B02:00";
    assert_eq!(ids(&world.get(offset).await.ok(200), "traces", "trace_id"), ["shop-09"]);
    let nobody = world.get("/api/projects/nobody/traces").await.ok(200);
    assert_eq!(nobody, json!({ "traces": [], "next_cursor": null }));
}

#[tokio::test]
async fn traces_that_began_at_once_are_all_listed() {
    let Some(world) = World::new().await else { return };
    for n in 0..5 {
        let body = json!({ "trace_id": format!("t{n}"), "project_id": "shop", "name": "n",
            "start_time": "2026-11-22T10:00:00Z" });
        world.post("/api/traces", body).await.ok(201);
    }
    let (mut all, pages) = walk(&world, "/api/projects/shop/traces?limit=2", "traces", "trace_id").await;
    all.sort();
    assert_eq!((all, pages), (vec!["t0".into(), "t1".into(), "t2".into(), "t3".into(), "t4".into()], 3));
}

#[tokio::test]
async fn a_cursor_holds_for_its_own_listing_alone() {
    let Some(world) = World::new().await else { return };
    traces(&world, "shop", 3).await;
    let page = world.get("/api/projects/shop/traces?limit=1").await.ok(200);
    let cursor = page["next_cursor"].as_str().unwrap();
    for path in [
        format!("/api/projects/other/traces?cursor={cursor}"),
        format!("/api/traces/shop-00?cursor={cursor}"),
        format!("/api/projects/shop/traces?cursor={cursor}&to=2026-11-22T10:00:01Z"),
        format!("/api/projects/shop/traces?cursor=x{cursor}"),
    ] {
        world.get(&path).await.is_error(400, "invalid_cursor", Some("cursor"));
    }
    for (query, field) in [("limit=1000", "limit"), ("from=x", "from"), ("limit=1&limit=1", "limit")] {
        let answer = world.get(&format!("/api/projects/shop/traces?{query}")).await;
        answer.is_error(400, "invalid_parameter", Some(field));
    }
    let unknown = world.get("/api/traces/shop-00?from=2026-11-22T10:00:00Z").await;
    unknown.is_error(400, "unknown_parameter", Some("from"));
}

#[tokio::test]
async fn a_trace_lists_its_spans_page_by_page_and_big_ones_in_small_pages() {
    let Some(world) = World::new().await else { return };
    traces(&world, "shop", 1).await;
    // Twenty of 140 kB are more than one answer of Lambda may hold.
    for n in 0..20 {
        let start = format!("2026-11-22T10:01:{n:02}Z");
        let body = json!({ "span_id": format!("s{n:02}"), "name": "n", "start_time": start, "input": "\"".repeat(70_000) });
        world.post("/api/traces/shop-00/spans", body).await.ok(201);
    }
    let oldest_first: Vec<String> = (0..20).map(|n| format!("s{n:02}")).collect();
    let (all, pages) = walk(&world, "/api/traces/shop-00?limit=7", "spans", "span_id").await;
    assert_eq!((all, pages), (oldest_first.clone(), 3));
    let (all, pages) = walk(&world, "/api/traces/shop-00?limit=1000", "spans", "span_id").await;
    assert_eq!(all, oldest_first);
    assert!(pages > 1, "an answer ends before it outgrows Lambda's limit");
}
