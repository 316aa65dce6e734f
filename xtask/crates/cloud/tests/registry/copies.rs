//! Blobs copied from one registry to another without a file.

use slipway_cloud::{BlobSource, BlobToPush, CloudErrorKind, Pushed, Put};

use super::content::{blob, image, registry};
use super::fake::{Action, FakeRegistry, Features};

const MIB: usize = 1 << 20;

#[tokio::test]
async fn blob_of_another_registry_is_copied_without_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let (base, code) = (blob(&folder, 5 * MIB + 3, 1), blob(&folder, 1000, 2));
    let (public, ours) = (FakeRegistry::plain(), FakeRegistry::plain());
    public.put_blob("lambda/python", &base.bytes);
    std::fs::remove_file(&base.path).unwrap();
    let mut image = image(&[&base, &code]);
    image.blobs[0] = BlobToPush {
        from: BlobSource::Registry { registry: registry(&public.host), repository: "lambda/python".into() },
        ..image.blobs[0].clone()
    };
    let pushed = registry(&ours.host).push_image("shop", "1", &image, &|_| {}).await.unwrap();
    assert_eq!((pushed.put, pushed.blobs[0].1), (Put::Created, Pushed::Uploaded));
    let key = ("shop".to_owned(), base.digest.to_string());
    assert!(ours.content.lock().unwrap().blobs[&key] == base.bytes);
    assert_eq!(public.seen("GET").len(), 1);

    // Within one registry the blob is mounted.
    let mounting =
        FakeRegistry::start(Features { mounts: true, ..Features::default() }, |_, _| Action::Serve);
    mounting.put_blob("base", &base.bytes);
    let registry = registry(&mounting.host);
    let copied = registry.copy_blob("shop", base.digest, base.size, &registry, "base", &|_| {}).await;
    assert_eq!(copied.unwrap(), Pushed::Mounted);
    assert!(mounting.seen("GET").is_empty());
}

#[tokio::test]
async fn interrupted_source_is_read_again_and_wrong_bytes_are_not_stored() {
    let folder = tempfile::tempdir().unwrap();
    let base = blob(&folder, 2 * MIB, 3);
    let interrupting =
        FakeRegistry::start(Features::default(), |request, before| match request.method.as_str() {
            "GET" if before < 2 => Action::Modify(|response| response.cut = Some(1 << 20)),
            _ => Action::Serve,
        });
    let corrupting = FakeRegistry::start(Features::default(), |request, _| match request.method.as_str() {
        "GET" => Action::Modify(|response| response.body[7] ^= 1),
        _ => Action::Serve,
    });
    let absent = FakeRegistry::plain();
    let ours = FakeRegistry::plain();
    let copy = async |from: &FakeRegistry, size: u64| {
        let to = registry(&ours.host);
        to.copy_blob("shop", base.digest, size, &registry(&from.host), "base", &|_| {}).await
    };
    corrupting.put_blob("base", &base.bytes);
    let error = copy(&corrupting, base.size).await.unwrap_err();
    assert!(matches!(error.kind, CloudErrorKind::WrongBytes { .. }), "{error}");
    assert!(
        error.subject.starts_with(&corrupting.host),
        "the error names the registry with the wrong bytes: {error}"
    );
    let error = copy(&absent, base.size).await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::NotFound);
    assert!(error.subject.starts_with(&absent.host), "{error}");
    interrupting.put_blob("base", &base.bytes);
    assert!(!ours.has("shop", base.digest));
    assert_eq!(copy(&interrupting, base.size).await.unwrap(), Pushed::Uploaded);
    assert_eq!(interrupting.seen("GET").len(), 3);
    assert!(ours.has("shop", base.digest));
}
