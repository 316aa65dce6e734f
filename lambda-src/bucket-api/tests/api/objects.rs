//! Listing, paging and describing what is in the bucket; and what is refused.

use std::collections::BTreeSet;

use serde_json::json;

use crate::world::{World, request, send};

/// Keys that something on the way might garble, in the order of their bytes.
const ODD: [&str; 8] =
    ["odd/ b", "odd/%41", "odd/+c", "odd//a", "odd/<&>\"'", "odd/a?b#c", "odd/{x}", "odd/ä/ö"];

#[tokio::test]
async fn lists_objects_with_size_time_and_etag() {
    let Some(world) = World::new().await else { return };
    assert_eq!(world.get("/objects").await.ok(), json!({ "objects": [], "next_cursor": null }));
    world.put("2026/b.txt", "four").await;
    world.put("2026/a.txt", "").await;
    world.put("2025/c.txt", "old").await;
    let body = world.get("/objects?prefix=2026%2F").await.ok();
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
async fn pages_hold_everything_once() {
    let Some(world) = World::new().await else { return };
    for number in 0..7 {
        world.put(&format!("p/{number}"), "x").await;
    }
    world.put("q", "x").await;
    for limit in [1, 2, 3, 7, 8] {
        let (mut seen, mut pages, mut cursor) = (Vec::new(), 0, String::new());
        loop {
            let (keys, next) = world.page(&format!("/objects?prefix=p/&limit={limit}{cursor}")).await;
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
async fn what_is_written_and_deleted_between_two_pages_moves_nothing() {
    let Some(world) = World::new().await else { return };
    for key in ["b", "d", "f"] {
        world.put(key, "x").await;
    }
    let (keys, next) = world.page("/objects?limit=2").await;
    assert_eq!(keys, ["b", "d"]);
    world.put("a", "x").await;
    world.s3.delete_object().bucket(&world.settings.bucket).key("d").send().await.unwrap();
    let (keys, next) = world.page(&format!("/objects?limit=2&cursor={}", next.unwrap())).await;
    assert_eq!((keys, next), (vec!["f".to_owned()], None));
}

#[tokio::test]
async fn keys_come_back_as_they_were_put() {
    let Some(world) = World::new().await else { return };
    for key in ODD {
        world.put(key, "x").await;
    }
    let (keys, _) = world.page("/objects?prefix=odd/").await;
    assert_eq!(keys, ODD);
    let mut one_by_one = Vec::new();
    let mut cursor = String::new();
    for _ in ODD {
        let (keys, next) = world.page(&format!("/objects?limit=1{cursor}")).await;
        one_by_one.extend(keys);
        cursor = next.map(|next| format!("&cursor={next}")).unwrap_or_default();
    }
    assert_eq!(one_by_one, ODD);
    for key in ODD {
        let encoded = percent_encoding::utf8_percent_encode(key, percent_encoding::NON_ALPHANUMERIC);
        let by_url = world.get(&format!("/objects/{encoded}")).await.ok();
        assert_eq!(by_url["key"], key);
        // As an HTTP API sends it: the path decoded, the route's variable too.
        let mut event = request("GET", "/");
        event["rawPath"] = json!(format!("/objects/{key}"));
        event["routeKey"] = json!("GET /objects/{key+}");
        event["pathParameters"] = json!({ "key": key });
        assert_eq!(send(&world.api, &event).await.ok(), by_url);
    }
}

#[tokio::test]
async fn describes_one_object() {
    let Some(world) = World::new().await else { return };
    world.put("2026/a b.txt", "four").await;
    let answer = world.get("/objects/2026/a%20b.txt").await;
    assert_eq!(answer.header("x-request-id"), Some("request-1"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let mut body = answer.ok();
    assert!(body["last_modified"].take().as_str().is_some_and(|time| time.ends_with('Z')));
    let expected = json!({
        "key": "2026/a b.txt", "size": 4, "last_modified": null, "etag": "8cbad96aced40b3838dd9f07f6ef5772",
        "content_type": "text/plain", "version_id": null, "storage_class": "STANDARD",
        "metadata": { "origin": "tests" },
    });
    assert_eq!(body, expected);
    world.get("/objects/2026/a").await.is_error(404, "not_found", None);
    world.get("/objects/2026%2Fa%2520b.txt").await.is_error(404, "not_found", None);
}

#[tokio::test]
async fn refuses_what_it_does_not_know() {
    let Some(world) = World::new().await else { return };
    world.get("/objects?limit=0").await.is_error(400, "invalid_parameter", Some("limit"));
    world.get("/objects?limit=1001").await.is_error(400, "invalid_parameter", Some("limit"));
    world.get("/objects?cursor=AAAA").await.is_error(400, "invalid_cursor", Some("cursor"));
    world.get("/objects?delimiter=/").await.is_error(400, "unknown_parameter", Some("delimiter"));
    world.get("/objects/a?versionId=1").await.is_error(400, "unknown_parameter", Some("versionId"));
    world.get("/objects/").await.is_error(400, "invalid_key", Some("key"));
    world.get("/objects/%FF").await.is_error(400, "invalid_key", Some("key"));
    world.get("/").await.is_error(404, "not_found", None);
    for (method, path) in [("POST", "/objects"), ("DELETE", "/objects/a"), ("HEAD", "/health")] {
        let answer = send(&world.api, &request(method, path)).await;
        answer.is_error(405, "method_not_allowed", None);
        assert_eq!(answer.header("allow"), Some("GET"));
    }
    world.put("kept", "x").await;
    send(&world.api, &request("DELETE", "/objects/kept")).await.is_error(405, "method_not_allowed", None);
    world.get("/objects/kept").await.ok();
}
