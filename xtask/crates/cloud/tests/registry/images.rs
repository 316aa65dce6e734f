//! Pushing and reading blobs, manifests and whole images without faults.

use std::collections::BTreeMap;
use std::sync::Mutex;

use slipway_cloud::{BlobProgress, CloudErrorKind, Digest, Pushed, Put};

use super::content::{OCI_MANIFEST, blob, image, registry};
use super::fake::{Action, FakeRegistry, Features, error_response, response};

const MIB: usize = 1 << 20;

#[tokio::test]
async fn image_is_pushed_once_and_its_tag_never_moves() {
    let fake = FakeRegistry::start(Features { immutable: true, ..Features::default() }, |_, _| Action::Serve);
    let registry = registry(&fake.host);
    let folder = tempfile::tempdir().unwrap();
    let (base, code) = (blob(&folder, 3 * MIB, 1), blob(&folder, MIB + 17, 2));
    let first = image(&[&base, &code, &base]);
    let sent = Mutex::new(BTreeMap::new());
    let progress = |progress: BlobProgress| {
        assert!(progress.sent <= progress.size);
        sent.lock().unwrap().insert(progress.digest, progress.sent);
    };
    let pushed = registry.push_image("shop/hello", "1.0.0", &first, &progress).await.unwrap();
    assert_eq!((pushed.put, pushed.digest), (Put::Created, Digest::of(&first.manifest)));
    let uploaded: Vec<_> = pushed.blobs.iter().map(|(_, pushed)| *pushed).collect();
    assert_eq!(uploaded, [Pushed::Uploaded; 3], "a layer that is named twice is sent once");
    assert_eq!(sent.lock().unwrap()[&base.digest], base.size);
    assert_eq!(sent.lock().unwrap().len(), 3);
    for put in fake.seen("PUT") {
        assert!(put.length.is_some() && put.header("transfer-encoding").is_none(), "{put:?}");
    }
    assert!(fake.seen("PATCH").is_empty());
    let stored =
        fake.content.lock().unwrap().blobs[&("shop/hello".to_owned(), base.digest.to_string())].clone();
    assert!(stored == base.bytes);
    let last = fake.seen("PUT").pop().unwrap();
    assert!(last.path.contains("/manifests/1.0.0"), "the manifest is pushed last: {}", last.path);

    let writes = fake.seen("PUT").len() + fake.seen("POST").len();
    let again = registry.push_image("shop/hello", "1.0.0", &first, &|_| {}).await.unwrap();
    assert_eq!((again.put, again.blobs.len()), (Put::Same, 0));
    let other = image(&[&code]);
    let taken = registry.push_image("shop/hello", "1.0.0", &other, &|_| {}).await.unwrap();
    assert_eq!(taken.put, Put::Different);
    assert_eq!(fake.seen("PUT").len() + fake.seen("POST").len(), writes, "no request writes anything");
    let second = registry.push_image("shop/hello", "1.0.1", &other, &|_| {}).await.unwrap();
    assert_eq!(second.put, Put::Created);
    assert!(second.blobs.contains(&(code.digest, Pushed::Existing)), "{second:?}");

    let read = registry.manifest("shop/hello", "1.0.0").await.unwrap().unwrap();
    assert_eq!((read.bytes, read.media_type.as_str()), (first.manifest, OCI_MANIFEST));
    let by_digest = registry.manifest("shop/hello", &second.digest.to_string()).await.unwrap().unwrap();
    assert_eq!(by_digest.digest, second.digest);
    assert_eq!(registry.manifest("shop/hello", "9.9.9").await.unwrap(), None);
}

#[tokio::test]
async fn tag_pushed_by_another_client_first_is_compared() {
    let folder = tempfile::tempdir().unwrap();
    let code = blob(&folder, 1000, 3);
    for (theirs, expected) in [(image(&[&code]), Put::Same), (image(&[]), Put::Different)] {
        // Their push looks for the tag twice. Our lookup does not find it yet, and our push is then refused.
        let immutable = Features { immutable: true, ..Features::default() };
        let fake = FakeRegistry::start(immutable, |request, before| match request.method.as_str() {
            "GET" if before == 2 => Action::Respond(error_response(404, "MANIFEST_UNKNOWN", "not yet")),
            _ => Action::Serve,
        });
        let registry = registry(&fake.host);
        let ours = image(&[&code]);
        let pushed = registry.push_image("shop", "1", &theirs, &|_| {}).await.unwrap();
        fake.put_blob("shop", &code.bytes);
        put_config(&fake, &ours);
        let put = registry.push_manifest("shop", "1", &ours.manifest, OCI_MANIFEST).await.unwrap();
        assert_eq!(put, expected);
        let stored = registry.manifest("shop", "1").await.unwrap().unwrap();
        assert_eq!(stored.digest, pushed.digest);
        let refused = fake.seen("PUT").into_iter().filter(|put| put.path.ends_with("/manifests/1")).count();
        assert_eq!(refused, 2, "the second push was sent and refused");
    }
}

fn put_config(fake: &FakeRegistry, image: &slipway_cloud::ImageToPush) {
    for blob in &image.blobs {
        if let slipway_cloud::BlobSource::Bytes(bytes) = &blob.from {
            fake.put_blob("shop", bytes);
        }
    }
}

#[tokio::test]
async fn manifest_by_digest_must_match_the_digest() {
    let fake = FakeRegistry::plain();
    let registry = registry(&fake.host);
    let image = image(&[]);
    put_config(&fake, &image);
    let digest = Digest::of(&image.manifest).to_string();
    let put = |reference: String| {
        let (registry, bytes) = (registry.clone(), image.manifest.clone());
        async move { registry.push_manifest("shop", &reference, &bytes, OCI_MANIFEST).await }
    };
    assert_eq!(put(digest.clone()).await.unwrap(), Put::Created);
    assert_eq!(put(digest.clone()).await.unwrap(), Put::Same);
    let other = Digest::of(b"other").to_string();
    let error = put(other.clone()).await.unwrap_err().to_string();
    assert!(error.contains(&other) && error.contains(&digest), "{error}");
    for (repository, reference) in [("shop", "../x"), ("Shop", "1"), ("shop/../../x", "1"), ("", "1")] {
        let error = registry.manifest(repository, reference).await.unwrap_err().to_string();
        assert!(error.contains("this "), "{repository} {reference}: {error}");
    }
}

#[tokio::test]
async fn blob_is_mounted_if_the_registry_allows_it() {
    let folder = tempfile::tempdir().unwrap();
    let layer = blob(&folder, MIB, 4);
    let push = async |fake: &FakeRegistry| {
        fake.put_blob("base", &layer.bytes);
        let registry = registry(&fake.host);
        let done = std::sync::atomic::AtomicU64::new(0);
        let progress = |sent| done.store(sent, std::sync::atomic::Ordering::Relaxed);
        let pushed =
            registry.push_blob("shop", layer.digest, layer.size, &layer.path, Some("base"), &progress);
        let pushed = pushed.await.unwrap();
        assert_eq!(done.into_inner(), layer.size);
        assert!(fake.has("shop", layer.digest));
        pushed
    };
    let allowed = FakeRegistry::start(Features { mounts: true, ..Features::default() }, |_, _| Action::Serve);
    assert_eq!(push(&allowed).await, Pushed::Mounted);
    assert!(allowed.seen("PUT").is_empty());
    let mount = &allowed.seen("POST")[0];
    assert_eq!(mount.query("mount"), Some(layer.digest.to_string()));
    assert_eq!(mount.query("from").as_deref(), Some("base"));
    assert_eq!(push(&allowed).await, Pushed::Existing);

    let ignored = FakeRegistry::plain();
    assert_eq!(push(&ignored).await, Pushed::Uploaded);
    assert_eq!(ignored.seen("POST").len(), 1, "the upload continues at the location of the 202");

    let refused = FakeRegistry::start(Features::default(), |request, _| {
        let mount = request.query("mount").is_some();
        if mount { Action::Respond(error_response(403, "DENIED", "no")) } else { Action::Serve }
    });
    assert_eq!(push(&refused).await, Pushed::Uploaded);
}

#[tokio::test]
async fn blob_redirect_is_followed_without_the_login() {
    let folder = tempfile::tempdir().unwrap();
    let layer = blob(&folder, MIB, 5);
    let storage = FakeRegistry::plain();
    storage.put_blob("elsewhere", &layer.bytes);
    let location = format!("http://{}/v2/elsewhere/blobs/{}", storage.host, layer.digest);
    let fake =
        FakeRegistry::start(Features::default(), move |request, _| match request.header("authorization") {
            None => Action::Respond(response(401, "").with("WWW-Authenticate", "Basic realm=\"x\"")),
            Some(_) => Action::Respond(response(307, "").with("Location", &location)),
        });
    let login = slipway_cloud::Login::Basic { username: "AWS".into(), password: "secret".into() };
    let registry = super::content::registry_with(&fake.host, std::sync::Arc::new(login));
    let to = folder.path().join("fetched");
    registry.fetch_blob("base", layer.digest, layer.size, &to, &|_| {}).await.unwrap();
    assert!(std::fs::read(&to).unwrap() == layer.bytes);
    assert_eq!(fake.seen("GET")[1].header("authorization"), Some("Basic QVdTOnNlY3JldA=="));
    assert_eq!(storage.seen("GET")[0].header("authorization"), None);
    assert!(registry.has_blob("base", layer.digest).await.unwrap());

    let error = super::content::registry(&storage.host);
    let missing = error.fetch_blob("base", layer.digest, layer.size, &to, &|_| {}).await.unwrap_err();
    assert_eq!(missing.kind, CloudErrorKind::NotFound);
    assert!(missing.to_string().contains(&format!("{}/base@{}", storage.host, layer.digest)), "{missing}");
}

#[tokio::test]
async fn calls_can_run_in_spawned_tasks() {
    let fake = FakeRegistry::plain();
    let registry = registry(&fake.host);
    let folder = tempfile::tempdir().unwrap();
    let layer = blob(&folder, MIB, 6);
    let work = async move {
        let image = image(&[&layer]);
        let pushed = registry.push_image("shop", "1", &image, &|_| {}).await.unwrap();
        registry.fetch_blob("shop", layer.digest, layer.size, &layer.path, &|_| {}).await.unwrap();
        pushed.put
    };
    assert_eq!(tokio::spawn(work).await.unwrap(), Put::Created);
}
