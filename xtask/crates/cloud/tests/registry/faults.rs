//! Registries that break off, refuse, stay silent or lie, and files that are not what was promised.

use std::sync::Arc;
use std::time::{Duration, Instant};

use slipway_cloud::{Anonymous, CloudError, CloudErrorKind, Digest, Pushed, Registry, RegistryOptions};

use super::content::{Blob, OCI_MANIFEST, blob, image, options, registry};
use super::fake::{Act, Answer, Fake, Nature, Request, answer, refusal};

const MIB: usize = 1 << 20;

async fn push(fake: &Fake, layer: &Blob) -> Result<Pushed, CloudError> {
    let registry = registry(&fake.host);
    registry.push_blob("shop", layer.digest, layer.size, &layer.path, None, &|_| {}).await
}

/// Breaks off the first uploads in their middle.
fn breaking(times: usize) -> impl Fn(&Request, usize) -> Act {
    move |request, before| {
        if request.method == "PUT" && before < times { Act::Break(700_000) } else { Act::Pass }
    }
}

#[tokio::test]
async fn an_upload_that_breaks_off_is_begun_again_from_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let layer = blob(&folder, 8 * MIB, 1);
    let fake = Fake::start(Nature::default(), breaking(2));
    assert_eq!(push(&fake, &layer).await.unwrap(), Pushed::Uploaded);
    assert_eq!((fake.seen("PUT").len(), fake.seen("POST").len()), (3, 3));
    assert!(fake.has("shop", layer.digest));

    let fake = Fake::start(Nature::default(), breaking(usize::MAX));
    let error = push(&fake, &layer).await.unwrap_err();
    assert_eq!((error.kind, fake.seen("PUT").len()), (CloudErrorKind::Unreachable, 5));
    let text = error.to_string();
    assert!(text.contains(&fake.host) && text.contains(&layer.digest.to_string()), "{text}");
    assert!(!fake.has("shop", layer.digest));
}

#[tokio::test]
async fn an_upload_whose_answer_was_lost_is_found_to_be_done() {
    let folder = tempfile::tempdir().unwrap();
    let layer = blob(&folder, MIB, 2);
    let fake = Fake::start(Nature::default(), |request, before| match request.method.as_str() {
        "PUT" if before == 0 => Act::Change(|answer: &mut Answer| {
            (answer.body, answer.cut) = (b"lost".to_vec(), Some(0));
            answer.status = 500;
        }),
        _ => Act::Pass,
    });
    assert_eq!(push(&fake, &layer).await.unwrap(), Pushed::Existing);
    assert_eq!(fake.seen("PUT").len(), 1);
}

#[tokio::test]
async fn refusals_that_pass_are_waited_for_and_others_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let layer = blob(&folder, MIB, 3);
    // One of each, at each step of an upload.
    let fake = Fake::start(Nature::default(), |_, before| match before {
        0 => Act::Answer(refusal(503, "UNAVAILABLE", "one moment")),
        1 => Act::Answer(answer(500, "")),
        _ => Act::Pass,
    });
    let patient = RegistryOptions { attempts: 7, ..options() };
    let registry = Registry::new(&fake.host, Arc::new(Anonymous), patient).unwrap();
    let pushed = registry.push_blob("shop", layer.digest, layer.size, &layer.path, None, &|_| {}).await;
    assert_eq!(pushed.unwrap(), Pushed::Uploaded);

    let fake = Fake::start(Nature::default(), |request, before| match request.method.as_str() {
        "PUT" if before == 0 => {
            Act::Answer(refusal(429, "TOOMANYREQUESTS", "slower").with("Retry-After", "1"))
        }
        _ => Act::Pass,
    });
    let started = Instant::now();
    assert_eq!(push(&fake, &layer).await.unwrap(), Pushed::Uploaded);
    assert!(started.elapsed() >= Duration::from_secs(1), "{:?}", started.elapsed());

    let fake = Fake::start(Nature::default(), |request, _| match request.method.as_str() {
        "PUT" => Act::Answer(refusal(429, "TOOMANYREQUESTS", "slower")),
        _ => Act::Pass,
    });
    let error = push(&fake, &layer).await.unwrap_err();
    assert_eq!((error.kind, fake.seen("PUT").len()), (CloudErrorKind::Throttled, 5));

    let fake = Fake::start(Nature::default(), |request, _| match request.method.as_str() {
        "PUT" => Act::Answer(refusal(400, "SIZE_INVALID", "too large for us")),
        _ => Act::Pass,
    });
    let error = push(&fake, &layer).await.unwrap_err();
    assert_eq!((error.code.as_deref(), fake.seen("PUT").len()), (Some("SIZE_INVALID"), 1));
    let text = error.to_string();
    let subject = format!("{}/shop@{}", fake.host, layer.digest);
    assert!(text.contains("too large for us") && text.contains(&subject), "{text}");

    // The place to upload to is gone: another one is asked for.
    let fake = Fake::start(Nature::default(), |request, before| match request.method.as_str() {
        "PUT" if before == 0 => Act::Answer(refusal(404, "BLOB_UPLOAD_UNKNOWN", "gone")),
        _ => Act::Pass,
    });
    assert_eq!(push(&fake, &layer).await.unwrap(), Pushed::Uploaded);
}

#[tokio::test]
async fn silence_is_noticed_and_a_slow_upload_is_not_silence() {
    let folder = tempfile::tempdir().unwrap();
    let layer = blob(&folder, MIB, 4);
    let impatient = RegistryOptions { attempts: 2, read_timeout: Duration::from_millis(800), ..options() };
    for silent in ["HEAD", "PUT"] {
        let fake =
            Fake::start(
                Nature::default(),
                move |request, _| {
                    if request.method == silent { Act::Silence } else { Act::Pass }
                },
            );
        let registry = Registry::new(&fake.host, Arc::new(Anonymous), impatient.clone()).unwrap();
        let started = Instant::now();
        let error = registry.push_blob("shop", layer.digest, layer.size, &layer.path, None, &|_| {}).await;
        let error = error.unwrap_err();
        assert_eq!((error.kind, fake.seen(silent).len()), (CloudErrorKind::TimedOut, 2), "{error}");
        assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
        assert!(error.to_string().contains(&fake.host), "{error}");
    }
    let fake = Fake::plain();
    let source = SlowSource::start(layer.bytes.clone());
    let registry = Registry::new(&fake.host, Arc::new(Anonymous), impatient.clone()).unwrap();
    let slow = Registry::new(&source, Arc::new(Anonymous), impatient).unwrap();
    let started = Instant::now();
    let copied = registry.copy_blob("shop", layer.digest, layer.size, &slow, "base", &|_| {}).await;
    assert_eq!(copied.unwrap(), Pushed::Uploaded);
    assert!(started.elapsed() > Duration::from_millis(1200), "{:?}", started.elapsed());
}

/// A registry whose blob comes in pieces with pauses, in all longer than the time limit.
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
async fn a_registry_that_lies_about_a_digest_is_told_so_with_both() {
    let folder = tempfile::tempdir().unwrap();
    let layer = blob(&folder, MIB, 5);
    let flip = |answer: &mut Answer| {
        if let Some(first) = answer.body.first_mut() {
            *first ^= 1;
        }
    };
    let wrong_header = |answer: &mut Answer| {
        answer.headers.retain(|(name, _)| name != "Docker-Content-Digest");
        answer.headers.push(("Docker-Content-Digest".into(), Digest::of(b"other").to_string()));
    };
    let is_wrong = |error: CloudError, digest: Digest| {
        assert!(matches!(error.kind, CloudErrorKind::WrongBytes { .. }), "{error}");
        assert_eq!(
            error.to_string().matches("sha256:").count(),
            error.subject.matches("sha256:").count() + 2
        );
        assert!(error.to_string().contains(&digest.hex()), "{error}");
    };

    let fake = Fake::start(Nature::default(), move |request, _| match request.method.as_str() {
        "GET" => Act::Change(flip),
        _ => Act::Pass,
    });
    fake.put_blob("shop", &layer.bytes);
    let to = folder.path().join("fetched");
    let client = registry(&fake.host);
    is_wrong(
        client.fetch_blob("shop", layer.digest, layer.size, &to, &|_| {}).await.unwrap_err(),
        layer.digest,
    );
    assert!(!to.exists());
    assert_eq!(fake.seen("GET").len(), 1, "a lie is not asked for twice");
    let manifest = image(&[]).manifest;
    let digest = Digest::of(&manifest);
    let stored = (OCI_MANIFEST.to_owned(), manifest.clone());
    fake.content.lock().unwrap().manifests.insert(("shop".into(), digest.to_string()), stored.clone());
    is_wrong(client.manifest("shop", &digest.to_string()).await.unwrap_err(), digest);

    let fake = Fake::start(Nature::default(), move |_, _| Act::Change(wrong_header));
    fake.content.lock().unwrap().manifests.insert(("shop".into(), digest.to_string()), stored);
    let client = registry(&fake.host);
    is_wrong(client.manifest("shop", &digest.to_string()).await.unwrap_err(), digest);
    is_wrong(push(&fake, &layer).await.unwrap_err(), layer.digest);
}

#[tokio::test]
async fn a_file_that_is_not_what_was_promised_is_not_stored() {
    let folder = tempfile::tempdir().unwrap();
    let fake = Fake::plain();
    let changed = blob(&folder, 2 * MIB, 6);
    let mut bytes = changed.bytes.clone();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&changed.path, &bytes).unwrap();
    let error = push(&fake, &changed).await.unwrap_err();
    assert!(matches!(error.kind, CloudErrorKind::WrongBytes { .. }), "{error}");
    assert!(error.to_string().contains(&changed.path.display().to_string()), "{error}");
    assert_eq!(fake.seen("HEAD").len(), 1, "it is not tried again");

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
async fn a_blob_that_breaks_off_on_its_way_here_is_fetched_again() {
    let folder = tempfile::tempdir().unwrap();
    let layer = blob(&folder, 2 * MIB, 7);
    let fake = Fake::start(Nature::default(), |request, before| match request.method.as_str() {
        "GET" if before < 2 => Act::Change(|answer| answer.cut = Some(1 << 20)),
        _ => Act::Pass,
    });
    fake.put_blob("shop", &layer.bytes);
    let to = folder.path().join("fetched");
    registry(&fake.host).fetch_blob("shop", layer.digest, layer.size, &to, &|_| {}).await.unwrap();
    assert!(std::fs::read(&to).unwrap() == layer.bytes);
    assert_eq!(fake.seen("GET").len(), 3);
    // Another size than the manifest says.
    let error = registry(&fake.host).fetch_blob("shop", layer.digest, layer.size - 1, &to, &|_| {}).await;
    assert!(matches!(error.unwrap_err().kind, CloudErrorKind::WrongBytes { .. }));
}

#[tokio::test]
async fn a_registry_that_is_not_there_is_named() {
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
