//! Listing by project and time, and paging.

use futures::future::join_all;
use serde_json::{Value, json};

use crate::fixture::Fixture;
use crate::require;

fn ids(page: &Value, of: &str, id: &str) -> Vec<String> {
    page[of].as_array().unwrap().iter().map(|record| record[id].as_str().unwrap().to_owned()).collect()
}

async fn create_traces(fixture: &Fixture, project: &str, count: usize) {
    let make = |n: usize| {
        let id = format!("{project}-{n:02}");
        let start = format!("2026-11-22T10:00:{n:02}Z");
        fixture.post(
            "/api/traces",
            json!({ "trace_id": id, "project_id": project, "name": "n", "start_time": start }),
        )
    };
    for response in join_all((0..count).map(make)).await {
        response.ok(201);
    }
}

/// Follows the cursors from page to page.
async fn read_all_pages(fixture: &Fixture, path: &str, of: &str, id: &str) -> (Vec<String>, usize) {
    let (mut all, mut pages, mut cursor) = (Vec::new(), 0, String::new());
    loop {
        let page = fixture.get(&format!("{path}{cursor}")).await.ok(200);
        all.extend(ids(&page, of, id));
        pages += 1;
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return (all, pages),
        }
    }
}

#[tokio::test]
async fn project_traces_are_listed_newest_first_in_pages() {
    let fixture = require!(Fixture::new().await);
    create_traces(&fixture, "shop", 10).await;
    create_traces(&fixture, "other", 2).await;
    let newest_first: Vec<String> = (0..10).rev().map(|n| format!("shop-{n:02}")).collect();
    let whole = fixture.get("/api/projects/shop/traces").await.ok(200);
    assert_eq!(ids(&whole, "traces", "trace_id"), newest_first);
    assert_eq!(whole["next_cursor"], Value::Null);
    for (limit, expected_pages) in [(1, 10), (3, 4), (5, 2), (10, 1), (11, 1)] {
        let path = format!("/api/projects/shop/traces?limit={limit}");
        let (all, pages) = read_all_pages(&fixture, &path, "traces", "trace_id").await;
        assert_eq!((all, pages), (newest_first.clone(), expected_pages), "limit {limit}");
    }
    let bounds = "/api/projects/shop/traces?from=2026-11-22T10:00:02Z&to=2026-11-22T10:00:05Z&limit=3";
    let (all, pages) = read_all_pages(&fixture, bounds, "traces", "trace_id").await;
    assert_eq!((all, pages), (newest_first[4..8].to_vec(), 2), "both bounds are included");
    let offset = "/api/projects/shop/traces?from=2026-11-22T12:00:09%2B02:00";
    assert_eq!(ids(&fixture.get(offset).await.ok(200), "traces", "trace_id"), ["shop-09"]);
    let nobody = fixture.get("/api/projects/nobody/traces").await.ok(200);
    assert_eq!(nobody, json!({ "traces": [], "next_cursor": null }));
}

#[tokio::test]
async fn traces_with_the_same_start_time_are_all_listed() {
    let fixture = require!(Fixture::new().await);
    for n in 0..5 {
        let body = json!({ "trace_id": format!("t{n}"), "project_id": "shop", "name": "n",
            "start_time": "2026-11-22T10:00:00Z" });
        fixture.post("/api/traces", body).await.ok(201);
    }
    let (mut all, pages) =
        read_all_pages(&fixture, "/api/projects/shop/traces?limit=2", "traces", "trace_id").await;
    all.sort();
    assert_eq!((all, pages), (vec!["t0".into(), "t1".into(), "t2".into(), "t3".into(), "t4".into()], 3));
}

#[tokio::test]
async fn cursor_is_valid_only_for_its_own_listing() {
    let fixture = require!(Fixture::new().await);
    create_traces(&fixture, "shop", 3).await;
    let page = fixture.get("/api/projects/shop/traces?limit=1").await.ok(200);
    let cursor = page["next_cursor"].as_str().unwrap();
    for path in [
        format!("/api/projects/other/traces?cursor={cursor}"),
        format!("/api/traces/shop-00?cursor={cursor}"),
        format!("/api/projects/shop/traces?cursor={cursor}&to=2026-11-22T10:00:01Z"),
        format!("/api/projects/shop/traces?cursor=x{cursor}"),
    ] {
        fixture.get(&path).await.assert_error(400, "invalid_cursor", Some("cursor"));
    }
    for (query, field) in [("limit=1000", "limit"), ("from=x", "from"), ("limit=1&limit=1", "limit")] {
        let response = fixture.get(&format!("/api/projects/shop/traces?{query}")).await;
        response.assert_error(400, "invalid_parameter", Some(field));
    }
    let unknown = fixture.get("/api/traces/shop-00?from=2026-11-22T10:00:00Z").await;
    unknown.assert_error(400, "unknown_parameter", Some("from"));
}

#[tokio::test]
async fn trace_spans_are_listed_in_pages_below_the_size_limit() {
    let fixture = require!(Fixture::new().await);
    create_traces(&fixture, "shop", 1).await;
    // Twenty spans of 140 kB exceed the size limit of one Lambda response.
    for n in 0..20 {
        let start = format!("2026-11-22T10:01:{n:02}Z");
        let body = json!({ "span_id": format!("s{n:02}"), "name": "n", "start_time": start, "input": "\"".repeat(70_000) });
        fixture.post("/api/traces/shop-00/spans", body).await.ok(201);
    }
    let oldest_first: Vec<String> = (0..20).map(|n| format!("s{n:02}")).collect();
    let (all, pages) = read_all_pages(&fixture, "/api/traces/shop-00?limit=7", "spans", "span_id").await;
    assert_eq!((all, pages), (oldest_first.clone(), 3));
    let (all, pages) = read_all_pages(&fixture, "/api/traces/shop-00?limit=1000", "spans", "span_id").await;
    assert_eq!(all, oldest_first);
    assert!(pages > 1, "a page ends before it exceeds Lambda's limit");
}
