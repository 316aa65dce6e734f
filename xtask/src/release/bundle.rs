//! A Sigstore bundle beside a release: kept in the store and named, with the command that verifies it.
//!
//! In: the bundles that GitHub's `actions/attest-build-provenance` made. Out: `attestations/sha256/<artifact>.sigstore.json`,
//! written once, for each subject that is a stored artifact. Its signature is not verified here: docs/architecture.md says why.
//! Errors: it is not a bundle, it is about nothing that is stored, another object has its key. Format:
//! <https://docs.sigstore.dev/about/bundle/>.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::catalogue::Catalogue;
use super::manifest::artifact_key;
use crate::digest::Digest;
use crate::failure::{Failure, Result};
use crate::ports::{Put, side_by_side};

/// What the media type of a bundle begins with.
const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle";

/// The most subjects that a bundle is read with.
const MAX_SUBJECTS: usize = 1024;

/// What became of one subject of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct AttachedBundle {
    /// The subject's name, as the bundle has it.
    pub(crate) subject: String,
    /// The subject's SHA-256.
    pub(crate) sha256: Digest,
    /// The object with the bundle; `null` where the store has no such artifact.
    pub(crate) key: Option<String>,
    /// Whether it was written now. An earlier one stays as it is.
    pub(crate) new: bool,
}

/// A bundle that is stored beside a release. It is not verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct StoredBundle {
    /// The object.
    pub(crate) key: String,
    /// The command that verifies it.
    pub(crate) verify_with: String,
    /// The bytes.
    #[serde(skip)]
    #[schemars(skip)]
    pub(crate) bytes: Vec<u8>,
}

impl StoredBundle {
    /// Says what it is, and how it is verified.
    pub(crate) fn text(&self) -> String {
        format!("{}: kept, not verified by Slipway; this verifies it: {}", self.key, self.verify_with)
    }
}

/// Returns the key of an artifact's bundle.
fn key(artifact: &Digest) -> String {
    format!("attestations/sha256/{}.sigstore.json", artifact.hex())
}

/// Reads an artifact's bundle; nothing where none is stored. The inner error says why it is not one about the artifact.
pub(crate) async fn stored_bundle(
    catalogue: &Catalogue,
    artifact: &Digest,
    repository: Option<&str>,
) -> Result<Option<Result<StoredBundle, String>>> {
    let key = key(artifact);
    let Some(stored) = catalogue.store().get(&key).await? else { return Ok(None) };
    if let Err(why) = check_about(&stored.bytes, artifact) {
        return Ok(Some(Err(format!("{key}: {why}"))));
    }
    let repository = repository.and_then(owner_and_name).unwrap_or_else(|| "<owner>/<name>".to_owned());
    let verify_with = format!(
        "gh attestation verify artifact.zip --bundle {}.sigstore.json --repo {repository}",
        artifact.hex()
    );
    Ok(Some(Ok(StoredBundle { key, verify_with, bytes: stored.bytes })))
}

/// Returns owner and name of a repository's address, as `gh` takes them.
fn owner_and_name(address: &str) -> Option<String> {
    let path = address.trim_end_matches('/').trim_end_matches(".git");
    let mut parts = path.rsplit(['/', ':']);
    let (name, owner) = (parts.next()?, parts.next()?);
    let is_plain = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    (is_plain(owner) && is_plain(name)).then(|| format!("{owner}/{name}"))
}

/// Keeps the bundles in a file, each beside the artifacts that it is about. The file has one or more JSON documents, as the
/// output `bundle-path` of `actions/attest-build-provenance` names it.
pub(crate) async fn attach_bundles(catalogue: &Catalogue, file: &[u8]) -> Result<Vec<AttachedBundle>> {
    let refused = |why: String| Failure::refused(why).unchanged("Nothing was stored.");
    let bundles = serde_json::Deserializer::from_slice(file).into_iter::<Value>();
    let bundles: Vec<Value> = bundles
        .collect::<Result<_, _>>()
        .map_err(|error| refused("the file has no Sigstore bundle".into()).caused_by(error))?;
    let mut subjects = Vec::new();
    for bundle in &bundles {
        let bytes = serde_json::to_vec(bundle)
            .map_err(|error| Failure::defect("a bundle cannot be written as JSON").caused_by(error))?;
        for subject in read(bundle).map_err(refused)? {
            subjects.push((subject, bytes.clone()));
        }
    }
    if subjects.is_empty() {
        return Err(refused("the file has no Sigstore bundle".into()));
    }
    let exists = subjects
        .iter()
        .map(async |((_, digest), _)| Ok(catalogue.store().head(&artifact_key(digest)).await?.is_some()));
    let exists = side_by_side(exists).await?;
    if !exists.contains(&true) {
        let mut failure =
            refused(format!("the bundle is about nothing that is stored in {}", catalogue.store().place()));
        for ((name, digest), _) in subjects.iter().take(5) {
            failure = failure.detail("subject", format!("{name} {digest}"));
        }
        return Err(failure.hint(
            "attest the artifacts that this run released, target/slipway/artifacts/*/*/*.zip, after release",
        ));
    }
    let kept = subjects.into_iter().zip(exists).map(async |(((subject, sha256), bytes), exists)| {
        let (key, new) = match exists {
            true => (Some(key(&sha256)), keep(catalogue, &sha256, bytes).await?),
            false => (None, false),
        };
        Ok(AttachedBundle { subject, sha256, key, new })
    });
    side_by_side(kept).await
}

/// Writes an artifact's bundle, and returns whether it is new. One of an earlier run stays: each run makes another.
async fn keep(catalogue: &Catalogue, artifact: &Digest, bytes: Vec<u8>) -> Result<bool> {
    let (store, key) = (catalogue.store(), key(artifact));
    match store.put_new(&key, bytes).await? {
        Put::Created => return Ok(true),
        Put::Same => return Ok(false),
        Put::Different => {}
    }
    let stored = store.get(&key).await?.map(|stored| stored.bytes).unwrap_or_default();
    check_about(&stored, artifact).map(|()| false).map_err(|why| {
        Failure::failed("the store has another object under the name of this bundle")
            .detail("object", format!("{}/{key}", store.place()))
            .detail("found", why)
            .unchanged("The object was not changed.")
            .hint("somebody put that object: delete it, then run the same command again")
    })
}

/// Checks that bytes are a bundle about an artifact; the error says why they are not.
fn check_about(bytes: &[u8], artifact: &Digest) -> Result<(), String> {
    let bundle: Value =
        serde_json::from_slice(bytes).map_err(|error| format!("it is not a Sigstore bundle: {error}"))?;
    match read(&bundle)?.iter().any(|(_, digest)| digest == artifact) {
        true => Ok(()),
        false => Err("it is about other bytes than this release's".into()),
    }
}

/// Reads the subjects of a bundle, each with its SHA-256; the error says why it is not one.
fn read(bundle: &Value) -> Result<Vec<(String, Digest)>, String> {
    if !bundle["mediaType"].as_str().is_some_and(|kind| kind.starts_with(MEDIA_TYPE)) {
        return Err(format!("it is not a Sigstore bundle: its media type does not begin with {MEDIA_TYPE}"));
    }
    let payload = bundle.pointer("/dsseEnvelope/payload").and_then(Value::as_str);
    let payload = payload.ok_or("it has no attestation")?;
    let payload =
        BASE64_STANDARD.decode(payload).map_err(|error| format!("its payload is not base64: {error}"))?;
    let statement: Value = serde_json::from_slice(&payload)
        .map_err(|error| format!("its payload is not a statement: {error}"))?;
    let subjects = statement["subject"].as_array().map(Vec::as_slice).unwrap_or_default();
    if subjects.is_empty() || subjects.len() > MAX_SUBJECTS {
        return Err(format!("its statement has {} subjects", subjects.len()));
    }
    subjects
        .iter()
        .map(|subject| {
            let name = subject["name"].as_str().unwrap_or_default().to_owned();
            let digest = subject["digest"]["sha256"].as_str().unwrap_or_default();
            let digest = format!("sha256:{digest}").parse();
            Ok((name, digest.map_err(|_| "a subject of its statement has no SHA-256".to_owned())?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::fakes::{FakeStore, Faults};

    fn bundle(kind: &str, subjects: &[Digest]) -> String {
        let subject =
            |digest: &Digest| serde_json::json!({ "name": "a.zip", "digest": { "sha256": digest.hex() } });
        let subjects: Vec<Value> = subjects.iter().map(subject).collect();
        let payload = BASE64_STANDARD.encode(serde_json::json!({ "subject": subjects }).to_string());
        serde_json::json!({ "mediaType": kind, "dsseEnvelope": { "payload": payload } }).to_string()
    }

    fn of(subjects: &[Digest]) -> String {
        bundle(&format!("{MEDIA_TYPE}.v0.3+json"), subjects)
    }

    #[tokio::test]
    async fn bundle_is_kept_once_beside_each_stored_artifact_that_it_is_about() {
        let store = FakeStore::new("artifacts", Arc::new(Faults::default()));
        let catalogue = Catalogue::new(store.clone());
        let [one, two, other] = ["one", "two", "other"].map(Digest::of);
        for artifact in [&one, &two] {
            store.set(&artifact_key(artifact), b"zip".to_vec());
        }
        // Two documents in a file, the second of several lines.
        let pretty: Value = serde_json::from_str(&of(&[two, other])).unwrap();
        let file = format!("{}\n{pretty:#}\n", of(&[one]));
        let attached = attach_bundles(&catalogue, file.as_bytes()).await.unwrap();
        assert_eq!(attached.iter().map(|one| one.new).collect::<Vec<_>>(), [true, true, false]);
        assert_eq!(attached[2].key, None, "it is not stored");
        let kept = stored_bundle(&catalogue, &one, Some("git@github.com:acme/shop.git")).await.unwrap();
        let kept = kept.unwrap().unwrap();
        assert!(kept.text().contains("not verified by Slipway"), "{kept:?}");
        assert!(kept.verify_with.ends_with("--repo acme/shop"), "{kept:?}");
        assert!(stored_bundle(&catalogue, &other, None).await.unwrap().is_none());

        // Another run's is not taken for it, and changes nothing.
        let again = attach_bundles(&catalogue, of(&[one, two]).as_bytes()).await.unwrap();
        assert!(again.iter().all(|one| !one.new && one.key.is_some()), "{again:?}");
        let stored = stored_bundle(&catalogue, &one, None).await.unwrap().unwrap().unwrap();
        assert_eq!(stored.bytes, kept.bytes);

        let before = store.objects("");
        let failure = attach_bundles(&catalogue, of(&[other]).as_bytes()).await.unwrap_err();
        assert!(failure.message().contains("about nothing that is stored"), "{failure}");
        store.set(&key(&two), b"planted".to_vec());
        let failure = attach_bundles(&catalogue, of(&[two]).as_bytes()).await.unwrap_err();
        assert!(failure.message().contains("another object under the name"), "{failure}");
        store.set(&key(&two), of(&[other]).into_bytes());
        assert!(attach_bundles(&catalogue, of(&[two]).as_bytes()).await.is_err());
        assert_eq!(store.objects("").len(), before.len());
    }

    #[tokio::test]
    async fn what_is_not_a_bundle_about_the_artifact_is_refused_with_the_reason() {
        let artifact = Digest::of("artifact");
        let kind = format!("{MEDIA_TYPE}.v0.3+json");
        check_about(of(&[artifact]).as_bytes(), &artifact).unwrap();
        for (wrong, why) in [
            (of(&[Digest::of("other")]), "other bytes"),
            (bundle("application/json", &[artifact]), "media type"),
            (of(&[]), "0 subjects"),
            (format!("{{\"mediaType\":\"{kind}\"}}"), "no attestation"),
            ("x".to_owned(), "not a Sigstore bundle"),
        ] {
            let error = check_about(wrong.as_bytes(), &artifact).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        let catalogue = Catalogue::new(FakeStore::new("artifacts", Arc::new(Faults::default())));
        for wrong in ["", "{}", "x"] {
            let failure = attach_bundles(&catalogue, wrong.as_bytes()).await.unwrap_err();
            assert_eq!(failure.report().unchanged.as_deref(), Some("Nothing was stored."));
        }
    }

    #[test]
    fn repository_is_named_as_gh_takes_it() {
        for address in
            ["https://github.com/acme/shop.git", "git@github.com:acme/shop", "https://github.com/acme/shop/"]
        {
            assert_eq!(owner_and_name(address).as_deref(), Some("acme/shop"), "{address}");
        }
        assert_eq!(owner_and_name("https://x/a b/c;d"), None);
    }
}
