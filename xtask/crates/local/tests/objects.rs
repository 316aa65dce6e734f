//! S3 through the gateway, which gives guarantees of S3 that the emulator does not.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use axum::body::{Body, Bytes};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Duration;
use support::{Account, BUCKET, Response, between, shared};

/// The number of clients, and of rounds: enough for their writes to overlap.
const WRITERS: usize = 8;
const ROUNDS: usize = 10;

async fn s3(account: &Account, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
    let url = format!("{}/{BUCKET}/{path}", account.gateway);
    let body = Bytes::copy_from_slice(body);
    account.call("s3", method, &url, headers, body).await
}

/// Lets all writers write one key; returns the number of the one that succeeded, and the object afterwards.
async fn race(account: &Arc<Account>, key: &str, condition: (&'static str, String)) -> (Vec<usize>, String) {
    let barrier = Arc::new(tokio::sync::Barrier::new(WRITERS));
    let writers = (0..WRITERS).map(|number| {
        let (account, barrier, key) = (Arc::clone(account), Arc::clone(&barrier), key.to_owned());
        let condition = condition.clone();
        tokio::spawn(async move {
            barrier.wait().await;
            let headers = [(condition.0, condition.1.as_str())];
            let body = format!("by {number}");
            s3(&account, "PUT", &key, &headers, body.as_bytes()).await.status
        })
    });
    let mut won = Vec::new();
    for (number, writer) in writers.collect::<Vec<_>>().into_iter().enumerate() {
        match writer.await.unwrap() {
            200 => won.push(number),
            status => assert_eq!(status, 412),
        }
    }
    (won, s3(account, "GET", key, &[], b"").await.text())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_conditional_writes_one_wins() {
    let Some(shared) = shared().await else { return };
    let account = Arc::new(Account::enter(&shared.state, "110000000001").await);
    account.store("there", b"").await;
    for round in 0..ROUNDS {
        let key = format!("race/{round}");
        let new = ("if-none-match", "*".to_owned());
        let (won, there) = race(&account, &key, new).await;
        assert_eq!((won.len(), there), (1, format!("by {}", won[0])), "{key}");

        let head = s3(&account, "HEAD", &key, &[], b"").await;
        let etag = head.header("etag").unwrap().to_owned();
        // A writer may write the existing bytes; the tag does not change then, and another writer may succeed as well.
        s3(&account, "PUT", &key, &[("if-match", &etag)], b"before").await;
        let etag = s3(&account, "HEAD", &key, &[], b"").await;
        let etag = etag.header("etag").unwrap().to_owned();
        let (won, there) = race(&account, &key, ("if-match", etag)).await;
        assert_eq!((won.len(), there), (1, format!("by {}", won[0])), "{key}");
    }
}

#[tokio::test]
async fn a_slow_body_keeps_nobody_waiting() {
    let Some(shared) = shared().await else { return };
    let account = Account::enter(&shared.state, "110000000002").await;
    account.store("there", b"").await;
    let (mut pipe, body) = tokio::io::duplex(64);
    let body = Body::from_stream(tokio_util::io::ReaderStream::new(body));
    let url = format!("{}/{BUCKET}/slow", account.gateway);
    let authorization = account.authorization("s3");
    let slow = tokio::spawn(async move {
        let headers = [("authorization", authorization.as_str()), ("if-none-match", "*")];
        support::send("PUT", &url, &headers, body).await
    });
    tokio::io::AsyncWriteExt::write_all(&mut pipe, b"begun").await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let headers = [("if-none-match", "*")];
    let quick = s3(&account, "PUT", "slow", &headers, b"quick");
    let quick = tokio::time::timeout(Duration::from_secs(5), quick).await.unwrap();
    assert_eq!(quick.status, 200, "{}", quick.text());
    drop(pipe);
    let slow = slow.await.unwrap();
    assert_eq!(slow.status, 412, "{}", slow.text());
    assert!(slow.text().contains("<Code>PreconditionFailed</Code>"), "{}", slow.text());
    assert_eq!(s3(&account, "GET", "slow", &[], b"").await.text(), "quick");
}

#[tokio::test]
async fn other_bytes_than_the_digest_says_are_never_written() {
    let Some(shared) = shared().await else { return };
    let account = Account::enter(&shared.state, "110000000003").await;
    account.store("there", b"").await;
    let long = vec![7; 9 << 20];
    for (key, body) in [("short", b"some bytes".as_slice()), ("long", &long)] {
        let right = Sha256::digest(body);
        let (checksum, content) = (BASE64_STANDARD.encode(right), hex::encode(right));
        let wrong = Sha256::digest(b"others");
        let (other, foreign) = (BASE64_STANDARD.encode(wrong), hex::encode(wrong));
        for (name, value, code) in [
            ("x-amz-checksum-sha256", other.as_str(), "BadDigest"),
            ("x-amz-content-sha256", &foreign, "XAmzContentSHA256Mismatch"),
            ("x-amz-checksum-sha256", "AAAA", "InvalidRequest"),
        ] {
            let response = s3(&account, "PUT", key, &[(name, value)], body).await;
            assert_eq!(response.status, 400, "{name}");
            assert_eq!(between(&response.text(), "<Code>", "</Code>"), code);
            assert_eq!(s3(&account, "HEAD", key, &[], b"").await.status, 404, "{name}");
        }
        let both = [
            ("x-amz-checksum-sha256", checksum.as_str()),
            ("x-amz-content-sha256", &content),
            ("x-amz-sdk-checksum-algorithm", "SHA256"),
            ("if-none-match", "*"),
        ];
        let response = s3(&account, "PUT", key, &both, body).await;
        assert_eq!(response.status, 200, "{}", response.text());
        assert!(s3(&account, "GET", key, &[], b"").await.body == body);
    }
    // For a body in chunks, the header is not the digest of the body.
    let chunked =
        b"3\r\nabc\r\n0\r\nx-amz-checksum-sha256:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=\r\n\r\n";
    let headers = [
        ("content-encoding", "aws-chunked"),
        ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
        ("x-amz-decoded-content-length", "3"),
        ("x-amz-trailer", "x-amz-checksum-sha256"),
    ];
    let response = s3(&account, "PUT", "chunked", &headers, chunked).await;
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(s3(&account, "GET", "chunked", &[], b"").await.text(), "abc");
}

#[tokio::test]
async fn an_upload_in_parts_is_told_compared_and_completed_once() {
    let Some(shared) = shared().await else { return };
    let account = Account::enter(&shared.state, "110000000004").await;
    account.store("there", b"").await;
    let begin = async || {
        let begun = s3(&account, "POST", "parts?uploads", &[], b"").await.text();
        between(&begun, "<UploadId>", "</UploadId>").to_owned()
    };
    let (id, other) = (begin().await, begin().await);
    let sha256 = |bytes: &[u8]| BASE64_STANDARD.encode(Sha256::digest(bytes));
    for (id, content) in [(&id, b"first".as_slice()), (&other, b"second")] {
        let part = format!("parts?partNumber=1&uploadId={id}");
        let wrong = [("x-amz-checksum-sha256", &*sha256(b"x"))];
        let response = s3(&account, "PUT", &part, &wrong, content).await;
        assert_eq!((response.status, between(&response.text(), "<Code>", "</Code>")), (400, "BadDigest"));
        let list = s3(&account, "GET", &format!("parts?uploadId={id}"), &[], b"").await.text();
        assert!(!list.contains("<PartNumber>"), "{list}");
        let right = [("x-amz-checksum-sha256", &*sha256(content))];
        assert_eq!(s3(&account, "PUT", &part, &right, content).await.status, 200);
    }

    let list = s3(&account, "GET", &format!("parts?uploadId={id}&max-parts=9"), &[], b"").await;
    assert_eq!(list.status, 200);
    let text = list.text();
    let text = between(&text, "<ListPartsResult", "</ListPartsResult>");
    assert_eq!(between(text, "<PartNumber>", "</PartNumber>"), "1");
    assert_eq!(between(text, "<Size>", "</Size>"), "5");
    assert_eq!(s3(&account, "GET", "parts?uploadId=absent", &[], b"").await.status, 404);

    let complete = async |id: &str, content: &[u8]| {
        let etag = hex::encode(md5(&account, content).await);
        let list = format!(
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>\"{etag}\"</ETag></Part></CompleteMultipartUpload>"
        );
        // The checksum of the parts' checksums is not that of the list.
        let composite = BASE64_STANDARD.encode(Sha256::digest(Sha256::digest(content)));
        let headers = [("if-none-match", "*"), ("x-amz-checksum-sha256", &*composite)];
        s3(&account, "POST", &format!("parts?uploadId={id}"), &headers, list.as_bytes()).await
    };
    let (one, two) = tokio::join!(complete(&id, b"first"), complete(&other, b"second"));
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412], "{} {}", one.text(), two.text());
    let there = s3(&account, "GET", "parts", &[], b"").await.text();
    assert_eq!(there, if one.status == 200 { "first" } else { "second" });
}

/// Returns the MD5 of bytes, which the emulator computes as an object's tag.
async fn md5(account: &Account, content: &[u8]) -> Vec<u8> {
    let key = format!("md5/{}", hex::encode(content));
    let response = s3(account, "PUT", &key, &[], content).await;
    hex::decode(response.header("etag").unwrap().trim_matches('"')).unwrap()
}

#[tokio::test]
async fn many_deletions_wait_for_the_objects_of_their_bucket() {
    let Some(shared) = shared().await else { return };
    let account = Account::enter(&shared.state, "110000000005").await;
    account.store("one", b"1").await;
    account.store("two", b"2").await;
    let list = b"<Delete><Object><Key>one</Key></Object><Object><Key>two</Key></Object></Delete>";
    let url = format!("{}/{BUCKET}?delete", account.gateway);
    let response = account.call("s3", "POST", &url, &[], Bytes::from_static(list)).await;
    assert_eq!(response.status, 200, "{}", response.text());
    for key in ["one", "two"] {
        assert_eq!(s3(&account, "HEAD", key, &[], b"").await.status, 404, "{key}");
    }
    assert_eq!(s3(&account, "PUT", "one", &[("if-none-match", "*")], b"3").await.status, 200);
    assert_eq!(s3(&account, "DELETE", "one", &[], b"").await.status, 204);
}
