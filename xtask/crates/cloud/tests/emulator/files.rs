//! Files: one request or parts, races, wrong bytes.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use slipway_cloud::{CloudErrorKind, Put, UploadOptions};

use super::content::{MIB, PARTS, bytes, file, observed, send, sha256};
use super::moto::{as_s3_would, bucket, moto, operations, session};
use super::scripted::{Answer, Scripted, answer};

#[tokio::test]
async fn a_small_file_goes_in_one_request_and_comes_back() {
    let Some(moto) = moto() else { return };
    bucket(moto, "small").await;
    let (store, seen) = observed(&moto.endpoint, "small").await;
    let folder = tempfile::tempdir().unwrap();
    let content = bytes(300_000, 1);
    let path = file(&folder, "a.zip", &content);
    let told = AtomicU64::new(0);
    let tell = |done| told.store(done, Ordering::Relaxed);
    let put = store.put_new_file("artifact", &path, sha256(&content), &tell).await.unwrap();
    assert_eq!(put, Put::Created);
    assert_eq!(told.load(Ordering::Relaxed), 300_000);
    assert_eq!(operations(&seen), ["HeadObject", "PutObject"]);

    assert_eq!(send(&store, &path, &content).await, Put::Same);
    assert_eq!(operations(&seen).len(), 3, "HEAD is enough to know that it is the same");
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
async fn a_large_file_goes_in_parts() {
    let Some(moto) = moto() else { return };
    bucket(moto, "large").await;
    let (store, seen) = observed(&moto.endpoint, "large").await;
    let folder = tempfile::tempdir().unwrap();
    let content = bytes(17 * MIB + 5, 3);
    let path = file(&folder, "a.zip", &content);
    let told = Mutex::new(Vec::new());
    let tell = |done| told.lock().unwrap().push(done);
    let put = store.put_new_file("artifact", &path, sha256(&content), &tell).await.unwrap();
    assert_eq!(put, Put::Created);
    let told = told.into_inner().unwrap();
    assert_eq!(told.last(), Some(&(content.len() as u64)));
    assert!(told.len() > 2 && told.is_sorted(), "{told:?}");
    let operations_of_first = operations(&seen);
    assert_eq!(operations_of_first.iter().filter(|name| **name == "UploadPart").count(), 4);
    assert_eq!(store.get("artifact").await.unwrap().unwrap().sha256, sha256(&content));
    let head = store.head("artifact").await.unwrap().unwrap();
    assert_eq!(head.sha256, None, "a checksum of parts is not taken for the digest");

    seen.lock().unwrap().clear();
    assert_eq!(send(&store, &path, &content).await, Put::Same);
    assert_eq!(operations(&seen), ["HeadObject"], "the checksum of the parts proves it");
    // Cut otherwise, only the bytes can prove it.
    let otherwise = store.clone().with_uploads(UploadOptions { part_size: 6 << 20, ..PARTS });
    seen.lock().unwrap().clear();
    assert_eq!(send(&otherwise, &path, &content).await, Put::Same);
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
async fn of_three_large_uploads_one_wins() {
    let Some(moto) = moto() else { return };
    bucket(moto, "large-race").await;
    let server = as_s3_would(moto);
    let store = session(&server.endpoint).await.store("large-race", None).with_uploads(PARTS);
    let folder = tempfile::tempdir().unwrap();
    // Two with the same bytes, which may meet in one upload, and one with others.
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
    let there = store.get("artifact").await.unwrap().unwrap().sha256;
    for (result, content) in results.iter().zip(&contents) {
        assert_eq!(*result == Put::Different, sha256(content) != there, "{results:?}");
    }
    assert!(results.contains(&Put::Created), "{results:?}");
}

#[tokio::test]
async fn a_file_that_is_not_what_was_promised_never_becomes_an_object() {
    let Some(moto) = moto() else { return };
    bucket(moto, "changed").await;
    let (store, seen) = observed(&moto.endpoint, "changed").await;
    let folder = tempfile::tempdir().unwrap();
    for length in [1000, 12 * MIB] {
        let path = file(&folder, "changed.zip", &bytes(length, 8));
        let promised = sha256(&bytes(length, 9));
        let error = store.put_new_file("artifact", &path, promised, &|_| {}).await.unwrap_err();
        assert_eq!(
            error.kind,
            CloudErrorKind::WrongBytes { expected: promised, got: sha256(&bytes(length, 8)) }
        );
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
async fn a_download_with_other_bytes_leaves_the_old_file() {
    let Some(moto) = moto() else { return };
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
async fn without_a_checksum_in_the_store_the_bytes_are_fetched_and_hashed() {
    for (stored, expected) in [("stored", Put::Same), ("st0red", Put::Different)] {
        let server = Scripted::start(move |_, _| Answer {
            headers: vec![("ETag", "\"1\"".into())],
            ..answer(200, stored)
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
