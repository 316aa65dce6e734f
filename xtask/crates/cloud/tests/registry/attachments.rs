//! Attachments of an image, in registries with and without the referrers API.

use std::collections::BTreeMap;

use slipway_cloud::{Attachment, Descriptor, Digest, Put, Registry};

use super::content::{OCI_MANIFEST, image, registry};
use super::fake::{Action, FakeRegistry, Features};

const SBOM: &str = "application/vnd.cyclonedx+json";
const PROVENANCE: &str = "application/vnd.in-toto+json";

async fn subject(registry: &Registry) -> Descriptor {
    let image = image(&[]);
    registry.push_image("shop", "1", &image, &|_| {}).await.unwrap();
    let size = image.manifest.len() as u64;
    Descriptor { media_type: OCI_MANIFEST.to_owned(), digest: Digest::of(&image.manifest), size }
}

/// Attaches and lists, with the same result in every registry; returns the image's digest.
pub async fn attach_and_list(registry: &Registry) -> Digest {
    let subject = subject(registry).await;
    let (none, noted) = (BTreeMap::new(), BTreeMap::from([("made-by".to_owned(), "test".to_owned())]));
    let attach = async |artifact_type: &str, bytes: &[u8], annotations: &BTreeMap<String, String>| {
        let attachment = Attachment { artifact_type, media_type: artifact_type, bytes, annotations };
        registry.attach("shop", &subject, attachment).await.unwrap()
    };
    assert!(registry.referrers("shop", subject.digest, None).await.unwrap().is_empty());
    assert_eq!(attach(SBOM, b"{\"a\":1}", &none).await, Put::Created);
    assert_eq!(attach(SBOM, b"{\"a\":1}", &none).await, Put::Same);
    assert_eq!(
        attach(SBOM, b"{\"a\":1}", &noted).await,
        Put::Same,
        "annotations do not make it another attachment"
    );
    assert_eq!(attach(SBOM, b"{\"a\":2}", &none).await, Put::Created);
    assert_eq!(attach(PROVENANCE, b"{\"a\":1}", &noted).await, Put::Created);
    let all = registry.referrers("shop", subject.digest, None).await.unwrap();
    assert_eq!(all.len(), 3);
    assert_eq!(registry.referrers("shop", subject.digest, Some(SBOM)).await.unwrap().len(), 2);
    let provenance = registry.referrers("shop", subject.digest, Some(PROVENANCE)).await.unwrap();
    assert_eq!((provenance.len(), &provenance[0].annotations), (1, &noted));
    let manifest = registry.manifest("shop", &provenance[0].descriptor.digest.to_string()).await.unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest.unwrap().bytes).unwrap();
    assert_eq!(manifest["subject"]["digest"], subject.digest.to_string());
    assert_eq!(manifest["layers"][0]["digest"], Digest::of(b"{\"a\":1}").to_string());
    assert_eq!(registry.referrers("shop", Digest::of(b"other"), None).await.unwrap(), []);
    subject.digest
}

fn has_referrers_tag(fake: &FakeRegistry, subject: Digest) -> bool {
    let key = ("shop".to_owned(), format!("sha256-{}", subject.hex()));
    fake.content.lock().unwrap().tags.contains_key(&key)
}

#[tokio::test]
async fn referrers_api_is_used_where_supported() {
    let fake = FakeRegistry::start(Features { subjects: true, ..Features::default() }, |_, _| Action::Serve);
    let subject = attach_and_list(&registry(&fake.host)).await;
    assert!(!has_referrers_tag(&fake, subject));
}

#[tokio::test]
async fn referrers_tag_is_used_without_the_referrers_api() {
    let fake = FakeRegistry::plain();
    let subject = attach_and_list(&registry(&fake.host)).await;
    assert!(has_referrers_tag(&fake, subject));
}

#[tokio::test]
async fn interrupted_attachment_is_indexed_by_the_next_attempt() {
    let fake = FakeRegistry::start(Features::default(), |request, before| {
        let index = request.method == "PUT" && request.path.contains("/manifests/sha256-");
        if index && before < 9 { Action::Respond(super::fake::response(400, "")) } else { Action::Serve }
    });
    let registry = registry(&fake.host);
    let subject = subject(&registry).await;
    let none = BTreeMap::new();
    let sbom = Attachment { artifact_type: SBOM, media_type: SBOM, bytes: b"{}", annotations: &none };
    let mut failed = 0;
    while registry.attach("shop", &subject, sbom).await.is_err() {
        failed += 1;
        assert!(failed < 10);
    }
    assert!(failed > 0);
    assert_eq!(registry.referrers("shop", subject.digest, Some(SBOM)).await.unwrap().len(), 1);
    assert_eq!(registry.attach("shop", &subject, sbom).await.unwrap(), Put::Same);
}

#[tokio::test]
async fn concurrent_attachments_both_stay_in_the_index() {
    let fake = FakeRegistry::plain();
    let one = registry(&fake.host);
    let two = one.clone();
    let subject = subject(&one).await;
    let none = BTreeMap::new();
    let attachment = |artifact_type: &'static str| Attachment {
        artifact_type,
        media_type: artifact_type,
        bytes: b"{}",
        annotations: &none,
    };
    let both = tokio::join!(
        one.attach("shop", &subject, attachment(SBOM)),
        two.attach("shop", &subject, attachment(PROVENANCE))
    );
    assert_eq!((both.0.unwrap(), both.1.unwrap()), (Put::Created, Put::Created));
    assert_eq!(one.referrers("shop", subject.digest, None).await.unwrap().len(), 2);
}
