//! Small objects: written once, compared, listed.

use slipway_cloud::{CloudErrorKind, Digest, Put};

use super::moto::{bucket, moto, moto_with_s3_semantics, session};
use super::scripted::{Response, ScriptedServer, error_response, response};
use crate::require;

const JSON: &str = "application/json";

fn sha256(bytes: &[u8]) -> Digest {
    Digest::of(bytes)
}

fn base64(bytes: &[u8]) -> String {
    sha256(bytes).base64()
}

#[tokio::test]
async fn object_is_written_once_and_compared_afterwards() {
    let moto = require!(moto());
    let store = bucket(moto, "once").await;
    assert_eq!(store.get("a/b.json").await.unwrap(), None);
    assert_eq!(store.head("a/b.json").await.unwrap(), None);
    assert_eq!(store.put_new("a/b.json", b"one".to_vec(), JSON).await.unwrap(), Put::Created);
    assert_eq!(store.put_new("a/b.json", b"one".to_vec(), JSON).await.unwrap(), Put::Same);
    assert_eq!(store.put_new("a/b.json", b"two".to_vec(), JSON).await.unwrap(), Put::Different);
    let object = store.get("a/b.json").await.unwrap().unwrap();
    assert_eq!(object.bytes, b"one");
    assert_eq!(object.sha256, sha256(b"one"));
    assert!(object.version_id.is_some());
    let head = store.head("a/b.json").await.unwrap().unwrap();
    assert_eq!((head.size, head.sha256, head.etag), (3, Some(sha256(b"one")), object.etag));
    store.delete("a/b.json").await.unwrap();
    store.delete("a/b.json").await.unwrap();
    assert_eq!(store.get("a/b.json").await.unwrap(), None);
    assert_eq!(store.put_new("a/b.json", b"two".to_vec(), JSON).await.unwrap(), Put::Created);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_writers_have_one_winner() {
    let moto = require!(moto());
    bucket(moto, "race").await;
    let server = moto_with_s3_semantics(moto);
    let store = session(&server.endpoint).await.store("race", None);
    for round in 0..5 {
        let key = format!("round/{round}");
        let writers: Vec<_> = (0..8)
            .map(|writer| {
                let (store, key) = (store.clone(), key.clone());
                tokio::spawn(async move { store.put_new(&key, vec![writer; 100], JSON).await.unwrap() })
            })
            .collect();
        let mut results = Vec::new();
        for writer in writers {
            results.push(writer.await.unwrap());
        }
        let winners: Vec<_> = (0..8_u8).filter(|&n| results[usize::from(n)] == Put::Created).collect();
        assert_eq!(winners.len(), 1, "{results:?}");
        assert_eq!(results.iter().filter(|put| **put == Put::Different).count(), 7, "{results:?}");
        assert_eq!(store.get(&key).await.unwrap().unwrap().bytes, vec![winners[0]; 100]);
    }
}

#[tokio::test]
async fn overwrite_needs_the_current_etag() {
    let moto = require!(moto());
    let store = bucket(moto, "swap").await;
    let first = store.put("lease", b"1".to_vec(), JSON).await.unwrap();
    let second = store.put_if_match("lease", b"2".to_vec(), &first).await.unwrap().unwrap();
    assert_ne!(first, second);
    assert_eq!(store.put_if_match("lease", b"3".to_vec(), &first).await.unwrap(), None);
    assert_eq!(store.get("lease").await.unwrap().unwrap().bytes, b"2");
    store.delete("lease").await.unwrap();
    assert_eq!(store.put_if_match("lease", b"3".to_vec(), &second).await.unwrap(), None);
}

#[tokio::test]
async fn listing_continues_after_a_thousand_keys() {
    let moto = require!(moto());
    let store = bucket(moto, "many").await;
    let keys: Vec<String> = (0..1005).map(|n| format!("ledger/{n:04}.json")).collect();
    for batch in keys.chunks(50) {
        let puts = batch.iter().map(|key| store.put(key, b"{}".to_vec(), JSON));
        for put in futures::future::join_all(puts).await {
            put.unwrap();
        }
    }
    store.put("other", b"{}".to_vec(), JSON).await.unwrap();
    let listed = store.list("ledger/", None).await.unwrap();
    let found: Vec<_> = listed.iter().map(|object| object.key.clone()).collect();
    assert_eq!(found, keys);
    assert_eq!(listed[0].size, 2);
    assert!(listed[0].modified_epoch > 1_700_000_000);
    assert_eq!(store.list("ledger/", Some(1)).await.unwrap().len(), 1);
    assert_eq!(store.list("ledger/", Some(1002)).await.unwrap().len(), 1002);
    assert_eq!(store.list("nothing/", None).await.unwrap(), []);
}

#[tokio::test]
async fn folder_listing_ends_at_the_next_slash() {
    let moto = require!(moto());
    let store = bucket(moto, "folders").await;
    for key in
        ["releases/hello/1.0.0.json", "releases/hello/1.1.0.json", "releases/api/0.1.0.json", "releases/x"]
    {
        store.put(key, b"{}".to_vec(), JSON).await.unwrap();
    }
    assert_eq!(store.list_folders("releases/").await.unwrap(), ["api", "hello"]);
    assert_eq!(store.list_folders("").await.unwrap(), ["releases"]);
}

#[tokio::test]
async fn missing_bucket_is_an_error_unlike_a_missing_object() {
    let moto = require!(moto());
    let store = session(&moto.endpoint).await.store("nowhere", None);
    assert!(!store.bucket_exists().await.unwrap());
    let error = store.get("key").await.unwrap_err();
    assert_eq!((error.kind, error.code.as_deref()), (CloudErrorKind::NotFound, Some("NoSuchBucket")));
    assert!(error.to_string().starts_with("`nowhere/key` was not found: "), "{error}");
    assert_eq!(store.put_new("key", vec![1], JSON).await.unwrap_err().kind, CloudErrorKind::NotFound);
    assert_eq!(store.put_if_match("key", vec![1], "\"x\"").await.unwrap_err().kind, CloudErrorKind::NotFound);
    assert_eq!(store.list("", None).await.unwrap_err().kind, CloudErrorKind::NotFound);

    let store = session(&moto.endpoint).await.store("somewhere", None);
    assert!(store.create_bucket(true).await.unwrap());
    assert!(!store.create_bucket(true).await.unwrap());
    assert!(store.bucket_exists().await.unwrap());
}

#[tokio::test]
async fn conflict_is_retried_with_the_same_condition() {
    let server = ScriptedServer::start(|before, _| match before {
        0 | 1 => error_response(409, "ConditionalRequestConflict"),
        _ => response(200, ""),
    });
    let store = session(&server.endpoint).await.store("bucket", None);
    assert_eq!(store.put_new("key", b"one".to_vec(), JSON).await.unwrap(), Put::Created);
    let seen = server.seen();
    assert_eq!(seen.len(), 3);
    for request in seen {
        assert_eq!(request.path.split('?').next(), Some("/bucket/key"));
        assert_eq!(request.header("if-none-match"), Some("*"));
        assert_eq!(request.header("x-amz-checksum-sha256"), Some(base64(b"one").as_str()));
    }
}

#[tokio::test]
async fn conditional_overwrite_is_not_retried_after_a_lost_response() {
    let server = ScriptedServer::start(|_, _| error_response(500, "InternalError"));
    let store = session(&server.endpoint).await.store("bucket", None);
    let error = store.put_if_match("key", b"one".to_vec(), "\"1\"").await.unwrap_err();
    assert_eq!(error.code.as_deref(), Some("InternalError"));
    assert_eq!(server.seen().len(), 1);
}

/// A year that this machine's clock does not know, in the response and in the object.
#[tokio::test]
async fn age_of_an_object_is_the_difference_of_two_times_of_the_store() {
    for (date, modified, age) in [
        ("Sun, 01 Jan 2051 00:02:10 GMT", "Sun, 01 Jan 2051 00:00:00 GMT", Some(130)),
        ("Sun, 01 Jan 2051 00:00:00 GMT", "Sun, 01 Jan 2051 00:00:09 GMT", Some(-9)),
        ("yesterday", "Sun, 01 Jan 2051 00:00:00 GMT", None),
    ] {
        let server = ScriptedServer::start(move |_, _| {
            let headers =
                vec![("Date", date.into()), ("Last-Modified", modified.into()), ("ETag", "\"1\"".into())];
            Response { headers, ..response(200, "two") }
        });
        let store = session(&server.endpoint).await.store("bucket", None);
        assert_eq!(store.get("key").await.unwrap().unwrap().age, age, "{date}, {modified}");
    }
    let moto = require!(moto());
    let store = bucket(moto, "age").await;
    store.put("key", b"one".to_vec(), JSON).await.unwrap();
    let age = store.get("key").await.unwrap().unwrap().age.unwrap();
    assert!((0..60).contains(&age), "{age} s");
}

#[tokio::test]
async fn object_with_a_wrong_checksum_is_refused() {
    let promised = base64(b"one");
    let server = ScriptedServer::start(move |_, request| {
        assert_eq!(request.header("x-amz-checksum-mode"), Some("ENABLED"));
        let headers = vec![("x-amz-checksum-sha256", promised.clone()), ("ETag", "\"1\"".into())];
        Response { headers, ..response(200, "two") }
    });
    let store = session(&server.endpoint).await.store("bucket", None);
    let error = store.get("key").await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::WrongBytes { expected: sha256(b"one"), got: sha256(b"two") });
    assert!(
        error.to_string().starts_with("`bucket/key` has other bytes than expected: sha256:3fc4"),
        "{error}"
    );
}

#[tokio::test]
async fn interrupted_download_is_restarted() {
    let server = ScriptedServer::start(|before, _| {
        let cut = (before == 0).then_some(2);
        Response { cut, ..response(200, "three") }
    });
    let store = session(&server.endpoint).await.store("bucket", None);
    assert_eq!(store.get("key").await.unwrap().unwrap().bytes, b"three");
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn objects_are_encrypted_with_the_key_of_the_store() {
    let server = ScriptedServer::start(|_, _| response(200, ""));
    let store = session(&server.endpoint).await.store("bucket", Some("alias/release".into()));
    store.put("key", b"one".to_vec(), JSON).await.unwrap();
    let seen = server.seen();
    assert_eq!(seen[0].header("x-amz-server-side-encryption"), Some("aws:kms"));
    assert_eq!(seen[0].header("x-amz-server-side-encryption-aws-kms-key-id"), Some("alias/release"));
    assert_eq!(seen[0].header("content-type"), Some(JSON));
}
