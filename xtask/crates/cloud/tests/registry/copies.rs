//! Blobs that go from one registry to another without a file.

use slipway_cloud::{BlobSource, BlobToPush, CloudErrorKind, Pushed, Put};

use super::content::{blob, image, registry};
use super::fake::{Act, Fake, Nature};

const MIB: usize = 1 << 20;

#[tokio::test]
async fn a_base_that_is_not_here_goes_straight_through() {
    let folder = tempfile::tempdir().unwrap();
    let (base, code) = (blob(&folder, 5 * MIB + 3, 1), blob(&folder, 1000, 2));
    let (public, ours) = (Fake::plain(), Fake::plain());
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

    // Within one registry it is mounted.
    let mounting = Fake::start(Nature { mounts: true, ..Nature::default() }, |_, _| Act::Pass);
    mounting.put_blob("base", &base.bytes);
    let registry = registry(&mounting.host);
    let copied = registry.copy_blob("shop", base.digest, base.size, &registry, "base", &|_| {}).await;
    assert_eq!(copied.unwrap(), Pushed::Mounted);
    assert!(mounting.seen("GET").is_empty());
}

#[tokio::test]
async fn a_source_that_breaks_off_is_read_again_and_one_that_lies_stores_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let base = blob(&folder, 2 * MIB, 3);
    let breaking = Fake::start(Nature::default(), |request, before| match request.method.as_str() {
        "GET" if before < 2 => Act::Change(|answer| answer.cut = Some(1 << 20)),
        _ => Act::Pass,
    });
    let lying = Fake::start(Nature::default(), |request, _| match request.method.as_str() {
        "GET" => Act::Change(|answer| answer.body[7] ^= 1),
        _ => Act::Pass,
    });
    let absent = Fake::plain();
    let ours = Fake::plain();
    let copy = async |from: &Fake, size: u64| {
        let to = registry(&ours.host);
        to.copy_blob("shop", base.digest, size, &registry(&from.host), "base", &|_| {}).await
    };
    lying.put_blob("base", &base.bytes);
    let error = copy(&lying, base.size).await.unwrap_err();
    assert!(matches!(error.kind, CloudErrorKind::WrongBytes { .. }), "{error}");
    assert!(error.subject.starts_with(&lying.host), "it names who lied: {error}");
    let error = copy(&absent, base.size).await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::NotFound);
    assert!(error.subject.starts_with(&absent.host), "{error}");
    breaking.put_blob("base", &base.bytes);
    assert!(!ours.has("shop", base.digest));
    assert_eq!(copy(&breaking, base.size).await.unwrap(), Pushed::Uploaded);
    assert_eq!(breaking.seen("GET").len(), 3);
    assert!(ours.has("shop", base.digest));
}
