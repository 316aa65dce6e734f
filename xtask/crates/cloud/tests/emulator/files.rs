//! Files: uploads in one request or in parts, concurrent uploads, wrong bytes.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use slipway_cloud::{CloudErrorKind, Put, UploadOptions};

use super::content::{MIB, PARTS, bytes, file, observed, send, sha256};
use super::moto::{bucket, moto, moto_with_s3_semantics, operations, session};
use super::scripted::{Response, ScriptedServer, response};
use crate::require;

#[tokio::test]
async fn small_file_is_uploaded_in_one_request_and_downloaded() {
    let moto = require!(moto());
    bucket(moto, "small").await;
    let (store, seen) = observed(&moto.endpoint, "small").await;
    let folder = tempfile::tempdir().unwrap();
    let content = bytes(300_000, 1);
    let path = file(&folder, "a.zip", &content);
    let progress = AtomicU64::new(0);
    let report = |done| progress.store(done, Ordering::Relaxed);
    let put = store.put_new_file("artifact", &path, sha256(&content), &report).await.unwrap();
    assert_eq!(put, Put::Created);
    assert_eq!(progress.load(Ordering::Relaxed), 300_000);
    assert_eq!(operations(&seen), ["HeadObject", "PutObject"]);

    assert_eq!(send(&store, &path, &content).await, Put::Same);
    assert_eq!(operations(&seen).len(), 3, "HEAD is enough to recognize the same object");
    let other = bytes(300_000, 2);
    assert_eq!(send(&store, &file(&folder, "b.zip", &other), &other).await, Put::Different);
    assert_eq!(store.get("artifact").await.unwrap().unwrap().bytes, content);

    let to = folder.path().join("back.zip");
    assert!(store.get_file("artifact", &to, sha256(&content), &|_| {}).await.unwrap());
    assert_eq!(std::fs::read(&to).unwrap(), content);
    assert!(!store.get_file("absent", &to, sha256(&content), &|_| {}).await.unwrap());
    let empty = file(&folder, "empty", b"");
    assert_eq!(store.put_new_file("empty", &empty, sha256(b""), &|_| {}).await.unwrap(), Put::Created);
    assert_eq!(store.get("empty").await.unwrap().unwrap().bytes, b"");
}

#[tokio::test]
async fn large_file_is_uploaded_in_parts() {
    let moto = require!(moto());
    bucket(moto, "large").await;
    let (store, seen) = observed(&moto.endpoint, "large").await;
    let folder = tempfile::tempdir().unwrap();
    let content = bytes(17 * MIB + 5, 3);
    let path = file(&folder, "a.zip", &content);
    let progress = Mutex::new(Vec::new());
    let report = |done| progress.lock().unwrap().push(done);
    let put = store.put_new_file("artifact", &path, sha256(&content), &report).await.unwrap();
    assert_eq!(put, Put::Created);
    let progress = progress.into_inner().unwrap();
    assert_eq!(progress.last(), Some(&(content.len() as u64)));
    assert!(progress.len() > 2 && progress.is_sorted(), "{progress:?}");
    let operations_of_first = operations(&seen);
    assert_eq!(operations_of_first.iter().filter(|name| **name == "UploadPart").count(), 4);
    assert_eq!(store.get("artifact").await.unwrap().unwrap().sha256, sha256(&content));
    let head = store.head("artifact").await.unwrap().unwrap();
    assert_eq!(head.sha256, None, "a checksum of parts is not used as the digest");

    seen.lock().unwrap().clear();
    assert_eq!(send(&store, &path, &content).await, Put::Same);
    assert_eq!(operations(&seen), ["HeadObject"], "the checksum of the parts proves it");
    // With another part size only the bytes can prove it.
    let other_parts = store.clone().with_uploads(UploadOptions { part_size: 6 << 20, ..PARTS });
    seen.lock().unwrap().clear();
    assert_eq!(send(&other_parts, &path, &content).await, Put::Same);
    assert_eq!(operations(&seen), ["HeadObject", "GetObject"]);
    let mut other = content.clone();
    other[9 * MIB] ^= 1;
    assert_eq!(send(&store, &file(&folder, "b.zip", &other), &other).await, Put::Different);
    assert_eq!(store.get("artifact").await.unwrap().unwrap().sha256, sha256(&content));

    let to = folder.path().join("back.zip");
    assert!(store.get_file("artifact", &to, sha256(&content), &|_| {}).await.unwrap());
    assert_eq!(std::fs::read(&to).unwrap(), content);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_large_uploads_have_one_winner() {
    let moto = require!(moto());
    bucket(moto, "large-race").await;
    let server = moto_with_s3_semantics(moto);
    let store = session(&server.endpoint).await.store("large-race", None).with_uploads(PARTS);
    let folder = tempfile::tempdir().unwrap();
    // Two with the same bytes, which may share one upload, and one with other bytes.
    let contents = [bytes(11 * MIB, 4), bytes(11 * MIB, 4), bytes(11 * MIB, 5)];
    let mut uploads = Vec::new();
    for (number, content) in contents.iter().enumerate() {
        let path = file(&folder, &number.to_string(), content);
        let (store, digest) = (store.clone(), sha256(content));
        let put = async move { store.put_new_file("artifact", &path, digest, &|_| {}).await.unwrap() };
        uploads.push(tokio::spawn(put));
    }
    let mut results = Vec::new();
    for upload in uploads {
        results.push(upload.await.unwrap());
    }
    let stored = store.get("artifact").await.unwrap().unwrap().sha256;
    for (result, content) in results.iter().zip(&contents) {
        assert_eq!(*result == Put::Different, sha256(content) != stored, "{results:?}");
    }
    assert!(results.contains(&Put::Created), "{results:?}");
}

#[tokio::test]
async fn file_with_a_wrong_digest_never_becomes_an_object() {
    let moto = require!(moto());
    bucket(moto, "changed").await;
    let (store, seen) = observed(&moto.endpoint, "changed").await;
    let folder = tempfile::tempdir().unwrap();
    for length in [1000, 12 * MIB] {
        let path = file(&folder, "changed.zip", &bytes(length, 8));
        let expected = sha256(&bytes(length, 9));
        let error = store.put_new_file("artifact", &path, expected, &|_| {}).await.unwrap_err();
        assert_eq!(error.kind, CloudErrorKind::WrongBytes { expected, got: sha256(&bytes(length, 8)) });
        assert!(error.subject.ends_with("changed.zip"), "{}", error.subject);
        assert_eq!(store.head("artifact").await.unwrap(), None);
    }
    assert!(operations(&seen).contains(&"AbortMultipartUpload"));
    assert!(!operations(&seen).contains(&"CompleteMultipartUpload"));
    let error =
        store.put_new_file("x", &folder.path().join("absent"), sha256(b"absent"), &|_| {}).await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::File);
    assert!(error.to_string().contains("absent"), "{error}");
}

#[tokio::test]
async fn download_with_wrong_bytes_keeps_the_old_file() {
    let moto = require!(moto());
    let store = bucket(moto, "wrong").await;
    store.put("artifact", b"other".to_vec(), "text/plain").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let to = file(&folder, "kept", b"before");
    let error = store.get_file("artifact", &to, sha256(b"wanted"), &|_| {}).await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::WrongBytes { expected: sha256(b"wanted"), got: sha256(b"other") });
    assert_eq!(error.subject, "wrong/artifact");
    assert_eq!(std::fs::read(&to).unwrap(), b"before");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
}

#[tokio::test]
async fn object_without_a_checksum_is_downloaded_and_hashed() {
    for (stored, expected) in [("stored", Put::Same), ("st0red", Put::Different)] {
        let server = ScriptedServer::start(move |_, _| Response {
            headers: vec![("ETag", "\"1\"".into())],
            ..response(200, stored)
        });
        let store = session(&server.endpoint).await.store("bucket", None);
        let folder = tempfile::tempdir().unwrap();
        let path = file(&folder, "a.zip", b"stored");
        let put = store.put_new_file("artifact", &path, sha256(b"stored"), &|_| {}).await.unwrap();
        assert_eq!(put, expected);
        let methods: Vec<_> = server.seen().into_iter().map(|request| request.method).collect();
        assert_eq!(methods, ["HEAD", "GET"]);
    }
}
