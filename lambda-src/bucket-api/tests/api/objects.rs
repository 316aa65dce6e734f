//! Listing, paging and describing objects, and refused requests.

use std::collections::BTreeSet;

use serde_json::json;

use crate::fixture::{Fixture, request, send};
use crate::require;

/// Keys that may get garbled on the way, in the order of their bytes.
const UNUSUAL: [&str; 8] =
    ["odd/ b", "odd/%41", "odd/+c", "odd//a", "odd/<&>\"'", "odd/a?b#c", "odd/{x}", "odd/ä/ö"];

#[tokio::test]
async fn listing_has_size_time_and_etag() {
    let fixture = require!(Fixture::new().await);
    assert_eq!(fixture.get("/objects").await.ok(), json!({ "objects": [], "next_cursor": null }));
    fixture.put("2026/b.txt", "four").await;
    fixture.put("2026/a.txt", "").await;
    fixture.put("2025/c.txt", "old").await;
    let body = fixture.get("/objects?prefix=2026%2F").await.ok();
    assert_eq!(body["next_cursor"], json!(null));
    let objects = body["objects"].as_array().unwrap();
    assert_eq!(objects.len(), 2, "{body}");
    assert_eq!(objects[0]["key"], "2026/a.txt");
    assert_eq!((&objects[1]["key"], &objects[1]["size"]), (&json!("2026/b.txt"), &json!(4)));
    // MD5 of "four".
    assert_eq!(objects[1]["etag"], "8cbad96aced40b3838dd9f07f6ef5772");
    let time = objects[1]["last_modified"].as_str().unwrap();
    assert!(time.len() >= 20 && time.as_bytes()[10] == b'T' && time.ends_with('Z'), "{time}");
    let members: BTreeSet<&String> = objects[1].as_object().unwrap().keys().collect();
    assert_eq!(members.len(), 4, "{members:?}");
}

#[tokio::test]
async fn pages_contain_every_object_once() {
    let fixture = require!(Fixture::new().await);
    for number in 0..7 {
        fixture.put(&format!("p/{number}"), "x").await;
    }
    fixture.put("q", "x").await;
    for limit in [1, 2, 3, 7, 8] {
        let (mut seen, mut pages, mut cursor) = (Vec::new(), 0, String::new());
        loop {
            let (keys, next) = fixture.page(&format!("/objects?prefix=p/&limit={limit}{cursor}")).await;
            assert!(keys.len() <= limit && !keys.is_empty(), "{keys:?}");
            seen.extend(keys);
            pages += 1;
            assert!(pages <= 8, "the listing does not end");
            let Some(next) = next else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(seen, (0..7).map(|number| format!("p/{number}")).collect::<Vec<_>>(), "limit {limit}");
        assert_eq!(pages, 7_usize.div_ceil(limit), "limit {limit}");
    }
}

#[tokio::test]
async fn writes_and_deletions_between_pages_do_not_shift_the_listing() {
    let fixture = require!(Fixture::new().await);
    for key in ["b", "d", "f"] {
        fixture.put(key, "x").await;
    }
    let (keys, next) = fixture.page("/objects?limit=2").await;
    assert_eq!(keys, ["b", "d"]);
    fixture.put("a", "x").await;
    fixture.s3.delete_object().bucket(&fixture.settings.bucket).key("d").send().await.unwrap();
    let (keys, next) = fixture.page(&format!("/objects?limit=2&cursor={}", next.unwrap())).await;
    assert_eq!((keys, next), (vec!["f".to_owned()], None));
}

#[tokio::test]
async fn keys_are_returned_unchanged() {
    let fixture = require!(Fixture::new().await);
    for key in UNUSUAL {
        fixture.put(key, "x").await;
    }
    let (keys, _) = fixture.page("/objects?prefix=odd/").await;
    assert_eq!(keys, UNUSUAL);
    let mut one_by_one = Vec::new();
    let mut cursor = String::new();
    for _ in UNUSUAL {
        let (keys, next) = fixture.page(&format!("/objects?limit=1{cursor}")).await;
        one_by_one.extend(keys);
        cursor = next.map(|next| format!("&cursor={next}")).unwrap_or_default();
    }
    assert_eq!(one_by_one, UNUSUAL);
    for key in UNUSUAL {
        let encoded = percent_encoding::utf8_percent_encode(key, percent_encoding::NON_ALPHANUMERIC);
        let by_url = fixture.get(&format!("/objects/{encoded}")).await.ok();
        assert_eq!(by_url["key"], key);
        // As an HTTP API sends it: path and path parameter are decoded.
        let mut event = request("GET", "/");
        event["rawPath"] = json!(format!("/objects/{key}"));
        event["routeKey"] = json!("GET /objects/{key+}");
        event["pathParameters"] = json!({ "key": key });
        assert_eq!(send(&fixture.api, &event).await.ok(), by_url);
    }
}

#[tokio::test]
async fn object_is_described() {
    let fixture = require!(Fixture::new().await);
    fixture.put("2026/a b.txt", "four").await;
    let response = fixture.get("/objects/2026/a%20b.txt").await;
    assert_eq!(response.header("x-request-id"), Some("request-1"));
    assert_eq!(response.header("cache-control"), Some("no-store"));
    let mut body = response.ok();
    assert!(body["last_modified"].take().as_str().is_some_and(|time| time.ends_with('Z')));
    let expected = json!({
        "key": "2026/a b.txt", "size": 4, "last_modified": null, "etag": "8cbad96aced40b3838dd9f07f6ef5772",
        "content_type": "text/plain", "version_id": null, "storage_class": "STANDARD",
        "metadata": { "origin": "tests" },
    });
    assert_eq!(body, expected);
    fixture.get("/objects/2026/a").await.assert_error(404, "not_found", None);
    fixture.get("/objects/2026%2Fa%2520b.txt").await.assert_error(404, "not_found", None);
}

#[tokio::test]
async fn unknown_parameters_paths_and_methods_are_refused() {
    let fixture = require!(Fixture::new().await);
    fixture.get("/objects?limit=0").await.assert_error(400, "invalid_parameter", Some("limit"));
    fixture.get("/objects?limit=1001").await.assert_error(400, "invalid_parameter", Some("limit"));
    fixture.get("/objects?cursor=AAAA").await.assert_error(400, "invalid_cursor", Some("cursor"));
    fixture.get("/objects?delimiter=/").await.assert_error(400, "unknown_parameter", Some("delimiter"));
    fixture.get("/objects/a?versionId=1").await.assert_error(400, "unknown_parameter", Some("versionId"));
    fixture.get("/objects/").await.assert_error(400, "invalid_key", Some("key"));
    fixture.get("/objects/%FF").await.assert_error(400, "invalid_key", Some("key"));
    fixture.get("/").await.assert_error(404, "not_found", None);
    for (method, path) in [("POST", "/objects"), ("DELETE", "/objects/a"), ("HEAD", "/health")] {
        let response = send(&fixture.api, &request(method, path)).await;
        response.assert_error(405, "method_not_allowed", None);
        assert_eq!(response.header("allow"), Some("GET"));
    }
    fixture.put("kept", "x").await;
    send(&fixture.api, &request("DELETE", "/objects/kept")).await.assert_error(
        405,
        "method_not_allowed",
        None,
    );
    fixture.get("/objects/kept").await.ok();
}
