//! Manifests that were edited, and manifests of several schemas side by side.

use super::format::{FORMATS, ManifestFormat, read, write};
use super::*;
use crate::failure::FailureKind;

/// Makes the manifest of a release that nobody built.
pub(crate) fn sample(function: &str, version: &str) -> Manifest {
    let sha256 = Digest::of(format!("{function} {version}"));
    Manifest {
        schema: format::NEWEST.into(),
        function: function.parse().unwrap(),
        version: version.parse().unwrap(),
        package: PackageType::Zip,
        architecture: Architecture::X86_64,
        runtime: Runtime::ProvidedAl2023,
        handler: "bootstrap".into(),
        artifact: ArtifactRecord::of_zip(sha256, 3, 5, Digest::of("c")),
        source: SourceRecord {
            repository: None,
            commit: "3f2a91c0".repeat(5),
            dirty: false,
            committed_at: "2026-11-01T00:00:00Z".parse().unwrap(),
            inputs_digest: Digest::of(format!("inputs of {function} {version}")),
        },
        built: BuildRecord {
            tools: BTreeMap::new(),
            by: "test".into(),
            at: "2026-11-01T00:00:01Z".parse().unwrap(),
            run_url: None,
        },
        sbom: None,
        smoke: Vec::new(),
        seal: None,
    }
    .sealed()
}

#[test]
fn seal_is_the_digest_of_the_manifest_with_64_zeros_in_its_place() {
    let manifest = sample("hello", "1.2.3");
    let mut document = serde_json::to_value(&manifest).unwrap();
    document["seal"] = format!("sha256:{}", "0".repeat(64)).into();
    assert_eq!(manifest.seal, Some(Digest::of(document.to_string())));
    let mut unsealed = serde_json::to_vec_pretty(&document).unwrap();
    unsealed.push(b'\n');
    let failure = Manifest::read(&unsealed, &manifest.function, &manifest.version).unwrap_err();
    assert!(failure.message().contains("does not match its seal"), "{failure}");
}

#[test]
fn numbers_of_smoke_events_are_read_as_they_were_sealed() {
    let mut manifest = sample("hello", "1.2.3");
    // Numbers that a parser without `float_roundtrip` reads as their neighbours.
    let event: Vec<f64> = vec![3.319150565573652e-13, 1.4871246581474053e-10, -2.0857911055846513e-10];
    manifest.smoke.push(SmokeRecord {
        name: "measures".into(),
        event: event.into(),
        request: None,
        expect: None,
        expect_error: None,
        capture: BTreeMap::new(),
        within_ms: 3_000,
        safe: true,
    });
    let manifest = manifest.sealed();
    let bytes = manifest.bytes().unwrap();
    assert_eq!(Manifest::read(&bytes, &manifest.function, &manifest.version).unwrap(), manifest);
}

#[test]
fn edited_manifest_is_refused() {
    let manifest = sample("hello", "1.2.3");
    let bytes = manifest.bytes().unwrap();
    let (function, version) = (&manifest.function, &manifest.version);
    assert_eq!(Manifest::read(&bytes, function, version).unwrap(), manifest);
    let text = String::from_utf8(bytes.clone()).unwrap();
    for (from, to) in [
        ("\"handler\": \"bootstrap\"", "\"handler\": \"other\""),
        ("\"size\": 3", "\"size\": 4"),
        ("\"dirty\": false", "\"dirty\": true"),
    ] {
        let edited = text.replace(from, to);
        assert_ne!(edited, text);
        let failure = Manifest::read(edited.as_bytes(), function, version).unwrap_err();
        assert!(failure.message().contains("was edited"), "{failure}");
    }
    assert!(Manifest::read(&bytes, function, &"1.2.4".parse().unwrap()).is_err());
    assert!(Manifest::read(b"{}", function, version).is_err());
    let compact = serde_json::to_vec(&manifest).unwrap();
    let failure = Manifest::read(&compact, function, version).unwrap_err();
    assert!(failure.message().contains("not those that were written"), "{failure}");
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        assert!(Manifest::read(&flipped, function, version).is_err(), "byte {at}");
    }
}

#[test]
fn manifest_with_an_unlisted_runtime_is_read_and_keeps_its_bytes() {
    let listed = sample("hello", "1.2.3");
    assert_eq!(serde_json::to_value(&listed).unwrap()["runtime"], "provided.al2023");
    assert_eq!(serde_json::to_value(&listed).unwrap()["architecture"], "x86_64");
    let manifest = Manifest { runtime: "java99".into(), ..listed }.sealed();
    let bytes = manifest.bytes().unwrap();
    let read = Manifest::read(&bytes, &manifest.function, &manifest.version).unwrap();
    assert_eq!(read.runtime, Runtime::Unlisted("java99".into()));
    assert_eq!(read.bytes().unwrap(), bytes);
}

/// A second schema, which exists in these tests alone: the handler is named `entry_point`, and the file is compact.
const SECOND: ManifestFormat =
    ManifestFormat { schema: "slipway.release/2", read: read_second, write: write_second };

fn read_second(bytes: &[u8]) -> serde_json::Result<Manifest> {
    let mut document: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(bytes)?;
    if let Some(handler) = document.remove("entry_point") {
        document.insert("handler".into(), handler);
    }
    serde_json::from_value(document.into())
}

fn write_second(manifest: &Manifest) -> serde_json::Result<Vec<u8>> {
    Ok(serde_json::to_string(manifest)?.replacen("\"handler\":", "\"entry_point\":", 1).into_bytes())
}

#[test]
fn second_schema_is_read_beside_the_first() {
    let both = [FORMATS[0], SECOND];
    let first = sample("hello", "1.2.3");
    let second = Manifest { schema: SECOND.schema.into(), ..sample("hello", "2.0.0") }.sealed();
    for manifest in [&first, &second] {
        let bytes = write(&both, manifest).unwrap();
        let stored = read(&both, &bytes, &manifest.function, &manifest.version).unwrap();
        assert_eq!(&stored, manifest);
        // A digest names the stored bytes: they must not become those of the newer schema.
        assert_eq!(write(&both, &stored).unwrap(), bytes);
    }
    let bytes = write(&both, &second).unwrap();
    assert!(String::from_utf8_lossy(&bytes).contains("\"entry_point\":\"bootstrap\""));
    assert_eq!(write(&both, &first).unwrap(), first.bytes().unwrap(), "the first schema is as it was");
}

#[test]
fn unknown_schema_is_named_with_the_newest_known_one() {
    let manifest = Manifest { schema: SECOND.schema.into(), ..sample("hello", "2.0.0") }.sealed();
    let bytes = write(&[FORMATS[0], SECOND], &manifest).unwrap();
    let failure = Manifest::read(&bytes, &manifest.function, &manifest.version).unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Failed);
    assert_eq!(
        failure.message(),
        "the manifest of `hello` 2.0.0 has the schema slipway.release/2; the newest that this Slipway reads is slipway.release/1"
    );
    assert!(failure.report().hint.is_some_and(|hint| hint.contains("version of Slipway")));
}
