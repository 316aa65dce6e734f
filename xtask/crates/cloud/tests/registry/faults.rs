//! Registries that disconnect, refuse, hang or send wrong bytes, and files that do not match their digest.

use std::sync::Arc;
use std::time::{Duration, Instant};

use slipway_cloud::{Anonymous, CloudError, CloudErrorKind, Digest, Pushed, Registry, RegistryOptions};

use super::content::{Blob, OCI_MANIFEST, blob, image, options, registry};
use super::fake::{Action, FakeRegistry, Features, Request, Response, error_response, response};

const MIB: usize = 1 << 20;

async fn push(fake: &FakeRegistry, layer: &Blob) -> Result<Pushed, CloudError> {
    let registry = registry(&fake.host);
    registry.push_blob("shop", layer.digest, layer.size, &layer.path, None, &|_| {}).await
}

/// Disconnects in the middle of the first uploads.
fn disconnect_uploads(times: usize) -> impl Fn(&Request, usize) -> Action {
    move |request, before| {
        if request.method == "PUT" && before < times { Action::Disconnect(700_000) } else { Action::Serve }
    }
}

#[tokio::test]
async fn interrupted_upload_is_restarted_from_the_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let layer = blob(&folder, 8 * MIB, 1);
    let fake = FakeRegistry::start(Features::default(), disconnect_uploads(2));
    assert_eq!(push(&fake, &layer).await.unwrap(), Pushed::Uploaded);
    assert_eq!((fake.seen("PUT").len(), fake.seen("POST").len()), (3, 3));
    assert!(fake.has("shop", layer.digest));

    let fake = FakeRegistry::start(Features::default(), disconnect_uploads(usize::MAX));
    let error = push(&fake, &layer).await.unwrap_err();
    assert_eq!((error.kind, fake.seen("PUT").len()), (CloudErrorKind::Unreachable, 5));
    let text = error.to_string();
    assert!(text.contains(&fake.host) && text.contains(&layer.digest.to_string()), "{text}");
    assert!(!fake.has("shop", layer.digest));
}

#[tokio::test]
async fn upload_with_a_lost_response_is_recognized_as_complete() {
    let folder = tempfile::tempdir().unwrap();
    let layer = blob(&folder, MIB, 2);
    let fake = FakeRegistry::start(Features::default(), |request, before| match request.method.as_str() {
        "PUT" if before == 0 => Action::Modify(|response: &mut Response| {
            (response.body, response.cut) = (b"lost".to_vec(), Some(0));
            response.status = 500;
        }),
        _ => Action::Serve,
    });
    assert_eq!(push(&fake, &layer).await.unwrap(), Pushed::Existing);
    assert_eq!(fake.seen("PUT").len(), 1);
}

#[tokio::test]
async fn temporary_refusals_are_retried_and_permanent_ones_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let layer = blob(&folder, MIB, 3);
    // One of each, before the steps of an upload.
    let fake = FakeRegistry::start(Features::default(), |_, before| match before {
        0 => Action::Respond(error_response(503, "UNAVAILABLE", "one moment")),
        1 => Action::Respond(response(500, "")),
        _ => Action::Serve,
    });
    let more_attempts = RegistryOptions { attempts: 7, ..options() };
    let registry = Registry::new(&fake.host, Arc::new(Anonymous), more_attempts).unwrap();
    let pushed = registry.push_blob("shop", layer.digest, layer.size, &layer.path, None, &|_| {}).await;
    assert_eq!(pushed.unwrap(), Pushed::Uploaded);

    let fake = FakeRegistry::start(Features::default(), |request, before| match request.method.as_str() {
        "PUT" if before == 0 => {
            Action::Respond(error_response(429, "TOOMANYREQUESTS", "slower").with("Retry-After", "1"))
        }
        _ => Action::Serve,
    });
    let started = Instant::now();
    assert_eq!(push(&fake, &layer).await.unwrap(), Pushed::Uploaded);
    assert!(started.elapsed() >= Duration::from_secs(1), "{:?}", started.elapsed());

    let fake = FakeRegistry::start(Features::default(), |request, _| match request.method.as_str() {
        "PUT" => Action::Respond(error_response(429, "TOOMANYREQUESTS", "slower")),
        _ => Action::Serve,
    });
    let error = push(&fake, &layer).await.unwrap_err();
    assert_eq!((error.kind, fake.seen("PUT").len()), (CloudErrorKind::Throttled, 5));

    let fake = FakeRegistry::start(Features::default(), |request, _| match request.method.as_str() {
        "PUT" => Action::Respond(error_response(400, "SIZE_INVALID", "too large for us")),
        _ => Action::Serve,
    });
    let error = push(&fake, &layer).await.unwrap_err();
    assert_eq!((error.code.as_deref(), fake.seen("PUT").len()), (Some("SIZE_INVALID"), 1));
    let text = error.to_string();
    let subject = format!("{}/shop@{}", fake.host, layer.digest);
    assert!(text.contains("too large for us") && text.contains(&subject), "{text}");

    // The upload has vanished: another one is started.
    let fake = FakeRegistry::start(Features::default(), |request, before| match request.method.as_str() {
        "PUT" if before == 0 => Action::Respond(error_response(404, "BLOB_UPLOAD_UNKNOWN", "gone")),
        _ => Action::Serve,
    });
    assert_eq!(push(&fake, &layer).await.unwrap(), Pushed::Uploaded);
}

#[tokio::test]
async fn silent_registry_times_out_and_a_slow_transfer_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let layer = blob(&folder, MIB, 4);
    let short_timeout =
        RegistryOptions { attempts: 2, read_timeout: Duration::from_millis(800), ..options() };
    for silent in ["HEAD", "PUT"] {
        let fake = FakeRegistry::start(Features::default(), move |request, _| {
            if request.method == silent { Action::Hang } else { Action::Serve }
        });
        let registry = Registry::new(&fake.host, Arc::new(Anonymous), short_timeout.clone()).unwrap();
        let started = Instant::now();
        let error = registry.push_blob("shop", layer.digest, layer.size, &layer.path, None, &|_| {}).await;
        let error = error.unwrap_err();
        assert_eq!((error.kind, fake.seen(silent).len()), (CloudErrorKind::TimedOut, 2), "{error}");
        assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
        assert!(error.to_string().contains(&fake.host), "{error}");
    }
    let fake = FakeRegistry::plain();
    let source = SlowSource::start(layer.bytes.clone());
    let registry = Registry::new(&fake.host, Arc::new(Anonymous), short_timeout.clone()).unwrap();
    let slow = Registry::new(&source, Arc::new(Anonymous), short_timeout).unwrap();
    let started = Instant::now();
    let copied = registry.copy_blob("shop", layer.digest, layer.size, &slow, "base", &|_| {}).await;
    assert_eq!(copied.unwrap(), Pushed::Uploaded);
    assert!(started.elapsed() > Duration::from_millis(1200), "{:?}", started.elapsed());
}

/// A registry that sends its blob in pieces with pauses; the whole takes longer than the time limit.
struct SlowSource;

impl SlowSource {
    fn start(bytes: Vec<u8>) -> String {
        use std::io::{Read as _, Write as _};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let _head = stream.read(&mut [0; 4096]).unwrap();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", bytes.len());
                stream.write_all(head.as_bytes()).unwrap();
                for piece in bytes.chunks(bytes.len() / 6) {
                    std::thread::sleep(Duration::from_millis(220));
                    stream.write_all(piece).unwrap();
                }
            }
        });
        host
    }
}

#[tokio::test]
async fn wrong_digest_is_reported_with_both_digests() {
    let folder = tempfile::tempdir().unwrap();
    let layer = blob(&folder, MIB, 5);
    let flip = |response: &mut Response| {
        if let Some(first) = response.body.first_mut() {
            *first ^= 1;
        }
    };
    let wrong_header = |response: &mut Response| {
        response.headers.retain(|(name, _)| name != "Docker-Content-Digest");
        response.headers.push(("Docker-Content-Digest".into(), Digest::of(b"other").to_string()));
    };
    let assert_wrong_bytes = |error: CloudError, digest: Digest| {
        assert!(matches!(error.kind, CloudErrorKind::WrongBytes { .. }), "{error}");
        assert_eq!(
            error.to_string().matches("sha256:").count(),
            error.subject.matches("sha256:").count() + 2
        );
        assert!(error.to_string().contains(&digest.hex()), "{error}");
    };

    let fake = FakeRegistry::start(Features::default(), move |request, _| match request.method.as_str() {
        "GET" => Action::Modify(flip),
        _ => Action::Serve,
    });
    fake.put_blob("shop", &layer.bytes);
    let to = folder.path().join("fetched");
    let client = registry(&fake.host);
    assert_wrong_bytes(
        client.fetch_blob("shop", layer.digest, layer.size, &to, &|_| {}).await.unwrap_err(),
        layer.digest,
    );
    assert!(!to.exists());
    assert_eq!(fake.seen("GET").len(), 1, "wrong bytes are not requested again");
    let manifest = image(&[]).manifest;
    let digest = Digest::of(&manifest);
    let stored = (OCI_MANIFEST.to_owned(), manifest.clone());
    fake.content.lock().unwrap().manifests.insert(("shop".into(), digest.to_string()), stored.clone());
    assert_wrong_bytes(client.manifest("shop", &digest.to_string()).await.unwrap_err(), digest);

    let fake = FakeRegistry::start(Features::default(), move |_, _| Action::Modify(wrong_header));
    fake.content.lock().unwrap().manifests.insert(("shop".into(), digest.to_string()), stored);
    let client = registry(&fake.host);
    assert_wrong_bytes(client.manifest("shop", &digest.to_string()).await.unwrap_err(), digest);
    assert_wrong_bytes(push(&fake, &layer).await.unwrap_err(), layer.digest);
}

#[tokio::test]
async fn file_with_a_wrong_digest_is_not_stored() {
    let folder = tempfile::tempdir().unwrap();
    let fake = FakeRegistry::plain();
    let changed = blob(&folder, 2 * MIB, 6);
    let mut bytes = changed.bytes.clone();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&changed.path, &bytes).unwrap();
    let error = push(&fake, &changed).await.unwrap_err();
    assert!(matches!(error.kind, CloudErrorKind::WrongBytes { .. }), "{error}");
    assert!(error.to_string().contains(&changed.path.display().to_string()), "{error}");
    assert_eq!(fake.seen("HEAD").len(), 1, "it is not retried");

    std::fs::write(&changed.path, &bytes[1..]).unwrap();
    let error = push(&fake, &changed).await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::File);
    assert!(error.to_string().contains("2097151 bytes instead of 2097152"), "{error}");
    std::fs::remove_file(&changed.path).unwrap();
    let error = push(&fake, &changed).await.unwrap_err();
    assert_eq!((error.kind, error.subject.as_str()), (CloudErrorKind::File, changed.path.to_str().unwrap()));
    assert!(fake.content.lock().unwrap().blobs.is_empty());
}

#[tokio::test]
async fn interrupted_blob_download_is_retried() {
    let folder = tempfile::tempdir().unwrap();
    let layer = blob(&folder, 2 * MIB, 7);
    let fake = FakeRegistry::start(Features::default(), |request, before| match request.method.as_str() {
        "GET" if before < 2 => Action::Modify(|response| response.cut = Some(1 << 20)),
        _ => Action::Serve,
    });
    fake.put_blob("shop", &layer.bytes);
    let to = folder.path().join("fetched");
    registry(&fake.host).fetch_blob("shop", layer.digest, layer.size, &to, &|_| {}).await.unwrap();
    assert!(std::fs::read(&to).unwrap() == layer.bytes);
    assert_eq!(fake.seen("GET").len(), 3);
    // Another size than in the manifest.
    let error = registry(&fake.host).fetch_blob("shop", layer.digest, layer.size - 1, &to, &|_| {}).await;
    assert!(matches!(error.unwrap_err().kind, CloudErrorKind::WrongBytes { .. }));
}

#[tokio::test]
async fn unreachable_registry_is_named_in_the_error() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = registry(&free.to_string()).manifest("shop", "1").await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::Unreachable);
    let text = error.to_string();
    assert!(text.contains(&free.to_string()) && text.contains("refused"), "{text}");
    for wrong in ["", "http://x", "a/b", "user@host", "a b"] {
        let error = Registry::new(wrong, Arc::new(Anonymous), options()).unwrap_err();
        assert!(error.to_string().contains("a registry is named by its host"), "{error}");
    }
}
