//! UploadOptions that were killed, dropped, or aborted by somebody else.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use slipway_cloud::{Call, CallOutcome, Digest, Put, Session, UploadOptions};

use super::content::{MIB, PARTS, bytes, file, observed, send, sha256};
use super::moto::{bucket, moto, moto_with_s3_semantics, operations, session, target};
use super::scripted::{Response, ScriptedServer, error_response, response};
use crate::require;

/// Starts an upload part by part and shuts its runtime down after the second part: nothing of it runs any more, as
/// after a kill.
fn start_and_kill_upload(endpoint: &str, name: &'static str, path: &Path, digest: Digest) {
    let (half_way, reached) = std::sync::mpsc::channel();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let sent = AtomicUsize::new(0);
    let stop: slipway_cloud::Observer = Arc::new(move |call: Call| {
        if call.operation == "UploadPart" && sent.fetch_add(1, Ordering::SeqCst) == 1 {
            half_way.send(()).unwrap();
            std::thread::sleep(Duration::from_secs(600));
        }
    });
    let (target, path) = (target(endpoint), path.to_owned());
    runtime.spawn(async move {
        let session = Session::open(target, Some(stop)).await.unwrap();
        let store = session.store(name, None).with_uploads(UploadOptions { parallel: 1, ..PARTS });
        store.put_new_file("artifact", &path, digest, &|_| {}).await.unwrap();
    });
    reached.recv_timeout(Duration::from_secs(60)).unwrap();
    runtime.shutdown_background();
}

#[tokio::test]
async fn killed_upload_is_resumed() {
    let moto = require!(moto());
    let folder = tempfile::tempdir().unwrap();
    let content = bytes(23 * MIB, 6);
    let path = file(&folder, "a.zip", &content);
    bucket(moto, "killed").await;
    let server = moto_with_s3_semantics(moto);
    start_and_kill_upload(&server.endpoint, "killed", &path, sha256(&content));

    let (store, seen) = observed(&server.endpoint, "killed").await;
    assert_eq!(store.head("artifact").await.unwrap(), None, "an unfinished upload is not an object");
    assert_eq!(send(&store, &path, &content).await, Put::Created);
    let operations = operations(&seen);
    let parts = operations.iter().filter(|name| **name == "UploadPart").count();
    assert_eq!(parts, 3, "two of five parts were uploaded before: {operations:?}");
    assert!(!operations.contains(&"CreateMultipartUpload"), "{operations:?}");
    assert_eq!(store.get("artifact").await.unwrap().unwrap().sha256, sha256(&content));
}

#[tokio::test]
async fn killed_upload_is_restarted_if_the_store_cannot_list_its_parts() {
    let moto = require!(moto());
    let folder = tempfile::tempdir().unwrap();
    let content = bytes(16 * MIB, 11);
    let path = file(&folder, "a.zip", &content);
    bucket(moto, "killed-anew").await;
    start_and_kill_upload(&moto.endpoint, "killed-anew", &path, sha256(&content));
    let (store, seen) = observed(&moto.endpoint, "killed-anew").await;
    assert_eq!(send(&store, &path, &content).await, Put::Created);
    assert!(operations(&seen).contains(&"CreateMultipartUpload"));
    assert_eq!(store.get("artifact").await.unwrap().unwrap().sha256, sha256(&content));
}

#[tokio::test]
async fn uploaded_part_is_reused_only_if_its_checksum_matches() {
    let content = bytes(11 * MIB, 12);
    let checksum = sha256(&content[..5 * MIB]).base64();
    let listed = "<ListMultipartUploadsResult><Upload><Key>artifact</Key><UploadId>u</UploadId>\
         <ChecksumAlgorithm>SHA256</ChecksumAlgorithm></Upload><Upload><Key>artifact</Key>\
         <UploadId>foreign</UploadId></Upload></ListMultipartUploadsResult>";
    let parts = listed_part(1, &checksum) + &listed_part(2, &checksum);
    let parts = format!("<ListPartsResult><IsTruncated>false</IsTruncated>{parts}</ListPartsResult>");
    let server =
        ScriptedServer::start(move |_, request| match (request.method.as_str(), request.path.as_str()) {
            ("HEAD", _) => response(404, ""),
            ("GET", path) if path.contains("uploads") => response(200, listed),
            ("GET", path) if path.contains("uploadId=u") => response(200, &parts),
            ("PUT", _) => Response { headers: vec![("ETag", "\"sent\"".into())], ..response(200, "") },
            ("POST", _) => response(200, "<CompleteMultipartUploadResult/>"),
            _ => response(500, ""),
        });
    let store = session(&server.endpoint).await.store("bucket", None).with_uploads(PARTS);
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(send(&store, &file(&folder, "a.zip", &content), &content).await, Put::Created);
    let seen = server.seen();
    let mut sent: Vec<_> = seen.iter().filter(|request| request.method == "PUT").collect();
    sent.sort_by_key(|request| request.path.clone());
    let paths: Vec<_> = sent.iter().map(|request| request.path.contains("partNumber=1")).collect();
    assert_eq!(paths, [false, false], "the first part is reused, the second has other bytes");
    let part = sha256(&content[5 * MIB..10 * MIB]).base64();
    assert_eq!(sent[0].header("x-amz-checksum-sha256"), Some(part.as_str()));
    let complete = seen.iter().find(|request| request.method == "POST").unwrap();
    let body = String::from_utf8(complete.body.clone()).unwrap();
    assert_eq!((body.matches("kept").count(), body.matches("sent").count()), (1, 2), "{body}");
    assert_eq!(complete.header("x-amz-mp-object-size"), Some("11534336"));
    let composite = complete.header("x-amz-checksum-sha256").unwrap();
    assert!(composite.ends_with("-3"), "{composite}");
}

#[tokio::test]
async fn dropped_upload_is_aborted() {
    let moto = require!(moto());
    bucket(moto, "dropped").await;
    let (store, seen) = observed(&moto.endpoint, "dropped").await;
    let folder = tempfile::tempdir().unwrap();
    let content = bytes(30 * MIB, 7);
    let path = file(&folder, "a.zip", &content);
    let upload = tokio::spawn({
        let store = store.clone();
        async move { store.put_new_file("artifact", &path, sha256(&content), &|_| {}).await }
    });
    while !operations(&seen).contains(&"UploadPart") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    upload.abort();
    assert!(upload.await.unwrap_err().is_cancelled());
    let aborted = |seen: &Mutex<Vec<Call>>| {
        let seen = seen.lock().unwrap();
        seen.iter()
            .any(|call| call.operation == "AbortMultipartUpload" && call.outcome == CallOutcome::Succeeded)
    };
    let started = std::time::Instant::now();
    while !aborted(&seen) {
        assert!(started.elapsed().as_secs() < 10, "no abort was seen: {:?}", operations(&seen));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(store.head("artifact").await.unwrap(), None);
}

/// A part in S3's listing.
fn listed_part(number: u32, checksum: &str) -> String {
    format!(
        "<Part><PartNumber>{number}</PartNumber><ETag>&quot;kept&quot;</ETag><Size>5242880</Size>\
         <ChecksumSHA256>{checksum}</ChecksumSHA256></Part>"
    )
}

/// A store with one unfinished upload, `old`, whose first part has this checksum, and which vanishes when a part is
/// sent to it.
fn server_with_vanishing_upload(checksum: &str) -> ScriptedServer {
    let begun = "<InitiateMultipartUploadResult><UploadId>new</UploadId></InitiateMultipartUploadResult>";
    let listed = "<ListMultipartUploadsResult><Upload><Key>artifact</Key><UploadId>old</UploadId>\
         <ChecksumAlgorithm>SHA256</ChecksumAlgorithm></Upload></ListMultipartUploadsResult>";
    let part = listed_part(1, checksum);
    let parts = format!("<ListPartsResult><IsTruncated>false</IsTruncated>{part}</ListPartsResult>");
    let gone = AtomicUsize::new(0);
    ScriptedServer::start(move |_, request| {
        let exists = gone.load(Ordering::SeqCst) == 0;
        match (request.method.as_str(), request.path.as_str()) {
            ("HEAD", _) => response(404, ""),
            ("GET", path) if path.contains("uploads") && exists => response(200, listed),
            ("GET", path) if path.contains("uploads") => response(200, "<ListMultipartUploadsResult/>"),
            ("GET", _) => response(200, &parts),
            ("PUT", path) if path.contains("uploadId=old") => {
                gone.fetch_add(1, Ordering::SeqCst);
                error_response(404, "NoSuchUpload")
            }
            ("PUT", _) => Response { headers: vec![("ETag", "\"1\"".into())], ..response(200, "") },
            ("POST", path) if path.contains("uploads") => response(200, begun),
            ("POST", path) if path.contains("uploadId=new") => {
                response(200, "<CompleteMultipartUploadResult/>")
            }
            _ => response(204, ""),
        }
    })
}

#[tokio::test]
async fn vanished_upload_is_restarted() {
    let content = bytes(6 * MIB, 10);
    let server = server_with_vanishing_upload(&sha256(&content[..5 * MIB]).base64());
    let store = session(&server.endpoint).await.store("bucket", None).with_uploads(PARTS);
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(send(&store, &file(&folder, "a.zip", &content), &content).await, Put::Created);
    let seen = server.seen();
    let sent_to = |id: &str| {
        let puts = seen.iter().filter(|request| request.method == "PUT");
        puts.filter(|request| request.path.contains(id)).count()
    };
    assert_eq!((sent_to("uploadId=old"), sent_to("uploadId=new")), (1, 2));
    let complete =
        seen.iter().find(|request| request.method == "POST" && request.path.contains("uploadId=new"));
    assert_eq!(complete.unwrap().header("if-none-match"), Some("*"));
}

#[tokio::test]
async fn upload_of_other_bytes_is_not_touched() {
    let content = bytes(6 * MIB, 13);
    let server = server_with_vanishing_upload(&sha256(b"other").base64());
    let store = session(&server.endpoint).await.store("bucket", None).with_uploads(PARTS);
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(send(&store, &file(&folder, "a.zip", &content), &content).await, Put::Created);
    let touched = server.seen().into_iter().filter(|request| request.method != "GET");
    let touched: Vec<_> = touched.filter(|request| request.path.contains("uploadId=old")).collect();
    assert_eq!(touched.len(), 0, "neither written to nor aborted");
}
