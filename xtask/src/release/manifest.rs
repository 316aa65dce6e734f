//! The release manifest, `slipway.release/1`: holds digests and keys, never buckets or hosts.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::architecture::Architecture;
use crate::digest::Digest;
use crate::failure::{Failure, Result};
use crate::name::{FunctionName, Version};
use crate::runtime::Runtime;
use crate::settings::{PackageType, SmokeTest};

/// The name of this layout.
pub(crate) const SCHEMA: &str = "slipway.release/1";

/// A release, as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    /// `slipway.release/1`.
    pub(crate) schema: String,
    /// The function.
    pub(crate) function: FunctionName,
    /// The version.
    pub(crate) version: Version,
    /// Zip or image.
    pub(crate) package: PackageType,
    /// `x86_64` or `arm64`.
    pub(crate) architecture: Architecture,
    /// Lambda's runtime identifier.
    pub(crate) runtime: Runtime,
    /// Lambda's handler.
    pub(crate) handler: String,
    /// The bytes.
    pub(crate) artifact: ArtifactRecord,
    /// Where they came from.
    pub(crate) source: SourceRecord,
    /// How they were made.
    pub(crate) built: Built,
    /// SHA-256 of the SBOM; releases of earlier times have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sbom: Option<Digest>,
    /// What the release must answer before it serves.
    #[serde(default)]
    pub(crate) smoke: Vec<SmokeRecord>,
    /// SHA-256 of this manifest as compact JSON with 64 zeros as its seal: it shows whether the manifest was edited.
    #[serde(with = "seal")]
    #[schemars(with = "Digest")]
    pub(crate) seal: Option<Digest>,
}

/// Reads and writes a seal. A manifest without one, which is what the seal is computed of, says 64 zeros.
mod seal {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de::Error as _};

    use crate::digest::Digest;

    const NONE: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

    pub(super) fn serialize<S: Serializer>(seal: &Option<Digest>, to: S) -> Result<S::Ok, S::Error> {
        match seal {
            Some(digest) => digest.serialize(to),
            None => NONE.serialize(to),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Digest>, D::Error> {
        match String::deserialize(from)?.as_str() {
            NONE => Ok(None),
            text => text.parse().map(Some).map_err(D::Error::custom),
        }
    }
}

/// A release's bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ArtifactRecord {
    /// SHA-256 of the zip, or of the image's manifest.
    pub(crate) sha256: Digest,
    /// The hash as Lambda reports it: base64 for a zip, hex for an image.
    pub(crate) code_sha256: String,
    /// Bytes.
    pub(crate) size: u64,
    /// Bytes after unpacking.
    pub(crate) unpacked_size: u64,
    /// Digest of the canonical listing (path, mode, content), which survives a new compressor.
    pub(crate) content_digest: Digest,
    /// A zip's key in the store; an image's `<repository>@sha256:<hex>` below the place that the settings name.
    pub(crate) key: String,
}

impl ArtifactRecord {
    /// Describes an image in a repository.
    pub(crate) fn of_image(self, repository: &str, digest: Digest) -> Self {
        Self { sha256: digest, code_sha256: digest.hex(), key: format!("{repository}@{digest}"), ..self }
    }

    /// Returns an image's repository.
    pub(crate) fn repository(&self) -> &str {
        self.key.split('@').next().unwrap_or_default()
    }

    /// Tells whether the digests agree with each other and with the kind of package.
    fn agrees(&self, package: PackageType) -> bool {
        match package {
            PackageType::Zip => {
                self.code_sha256 == self.sha256.base64() && self.key == artifact_key(&self.sha256)
            }
            PackageType::Image => {
                self.code_sha256 == self.sha256.hex()
                    && self.key.split_once('@').is_some_and(|(repository, digest)| {
                        !repository.is_empty() && digest == self.sha256.to_string()
                    })
            }
        }
    }
}

/// A release's source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SourceRecord {
    /// The remote's address, without credentials.
    pub(crate) repository: Option<String>,
    /// 40 hex characters.
    pub(crate) commit: String,
    /// Whether inputs differed from the commit.
    pub(crate) dirty: bool,
    /// The commit's time.
    #[schemars(with = "String")]
    pub(crate) committed_at: jiff::Timestamp,
    /// The digest of all that decides the bytes.
    pub(crate) inputs_digest: Digest,
}

/// How a release was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Built {
    /// Tools and compressor with their versions.
    pub(crate) tools: BTreeMap<String, String>,
    /// Who made it.
    pub(crate) by: String,
    /// When.
    #[schemars(with = "String")]
    pub(crate) at: jiff::Timestamp,
    /// The CI run.
    pub(crate) run_url: Option<String>,
}

/// A smoke event, as the release carries it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SmokeRecord {
    /// What it shows.
    pub(crate) name: String,
    /// The event.
    pub(crate) event: serde_json::Value,
    /// The request that the event is made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) request: Option<RequestRecord>,
    /// A subset of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expect: Option<serde_json::Value>,
    /// The `errorType` of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expect_error: Option<String>,
    /// Values kept for those that follow: JSON pointers into the answer, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) capture: BTreeMap<String, String>,
    /// Milliseconds within which the answer must come.
    pub(crate) within_ms: u64,
    /// Whether it may run in protected environments.
    pub(crate) safe: bool,
}

/// A request of a smoke event; `${…}` in it is filled in when it is made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RequestRecord {
    /// The method.
    pub(crate) method: String,
    /// The path, with its query.
    pub(crate) path: String,
    /// Headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) headers: BTreeMap<String, String>,
    /// The body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) body: Option<serde_json::Value>,
}

impl From<&SmokeTest> for SmokeRecord {
    fn from(smoke: &SmokeTest) -> Self {
        Self {
            name: smoke.name.clone(),
            event: smoke.event.clone(),
            request: smoke.request.as_ref().map(|request| RequestRecord {
                method: request.method.clone(),
                path: request.path.clone(),
                headers: request.headers.clone(),
                body: request.body.clone(),
            }),
            capture: smoke.capture.clone(),
            expect: smoke.expect.clone(),
            expect_error: smoke.expect_error.clone(),
            within_ms: u64::try_from(smoke.within.as_millis()).unwrap_or(u64::MAX),
            safe: smoke.safe,
        }
    }
}

impl Manifest {
    /// Returns the key of a release's manifest.
    pub(crate) fn key(function: &FunctionName, version: &Version) -> String {
        format!("releases/{function}/{version}.json")
    }

    /// Returns the manifest with its seal set.
    pub(crate) fn sealed(mut self) -> Self {
        self.seal = Some(self.compute_seal());
        self
    }

    /// Returns the manifest's bytes as they are stored.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(self).map_err(|error| {
            Failure::defect("a release manifest cannot be written as JSON").caused_by(error)
        })?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Returns runtime and handler as Lambda knows them: those of an image are the image's own
    /// (<https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html>, PackageType).
    pub(crate) fn managed(&self) -> Option<(&Runtime, &str)> {
        (self.package == PackageType::Zip).then_some((&self.runtime, &self.handler))
    }

    /// Returns the digest by which ledgers and plans name this manifest.
    pub(crate) fn digest(&self) -> Result<Digest> {
        Ok(Digest::of(self.bytes()?))
    }

    /// Reads a manifest and refuses one that was edited or lies under another name.
    pub(crate) fn read(bytes: &[u8], function: &FunctionName, version: &Version) -> Result<Self> {
        let edited = |what: &str| {
            Failure::failed(format!("the manifest of `{function}` {version} was edited: {what}"))
                .unchanged("It was not used; nothing was changed.")
                .hint("restore the object's first version in the store: a manifest never changes once it is written")
        };
        let manifest: Self = serde_json::from_slice(bytes).map_err(|error| {
            edited("it is no manifest that this version of Slipway knows").caused_by(error)
        })?;
        if manifest.schema != SCHEMA {
            return Err(Failure::failed(format!(
                "the manifest of `{function}` {version} has the layout {}, this Slipway reads {SCHEMA}",
                manifest.schema
            ))
            .hint("use the version of Slipway that the project pins"));
        }
        if manifest.seal != Some(manifest.compute_seal()) {
            return Err(edited("its content does not match its seal"));
        }
        // The signature covers the stored bytes: what only looks the same is something else.
        if manifest.bytes()? != bytes {
            return Err(edited("its bytes are not those that were written"));
        }
        if manifest.function != *function || manifest.version != *version {
            return Err(edited(&format!("it is that of `{}` {}", manifest.function, manifest.version)));
        }
        if !manifest.artifact.agrees(manifest.package) {
            return Err(edited("its digests do not agree with each other"));
        }
        Ok(manifest)
    }

    fn compute_seal(&self) -> Digest {
        let unsealed = Self { seal: None, ..self.clone() };
        // A manifest is plain data: writing it cannot fail, and a failure would only break the seal's comparison.
        Digest::of(serde_json::to_vec(&unsealed).unwrap_or_default())
    }
}

/// Returns the content-addressed key of a zip.
pub(crate) fn artifact_key(sha256: &Digest) -> String {
    format!("artifacts/sha256/{}.zip", sha256.hex())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn sample(function: &str, version: &str) -> Manifest {
        let sha256 = Digest::of(format!("{function} {version}"));
        Manifest {
            schema: SCHEMA.into(),
            function: function.parse().unwrap(),
            version: version.parse().unwrap(),
            package: PackageType::Zip,
            architecture: Architecture::X86_64,
            runtime: Runtime::ProvidedAl2023,
            handler: "bootstrap".into(),
            artifact: ArtifactRecord {
                sha256,
                code_sha256: sha256.base64(),
                size: 3,
                unpacked_size: 5,
                content_digest: Digest::of("c"),
                key: artifact_key(&sha256),
            },
            source: SourceRecord {
                repository: None,
                commit: "3f2a91c0".repeat(5),
                dirty: false,
                committed_at: "2026-11-01T00:00:00Z".parse().unwrap(),
                inputs_digest: Digest::of(format!("inputs of {function} {version}")),
            },
            built: Built {
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
        let unsealed = serde_json::to_vec_pretty(&document).unwrap();
        let failure = Manifest::read(&unsealed, &manifest.function, &manifest.version).unwrap_err();
        assert!(failure.message().contains("does not match its seal"), "{failure}");
    }

    #[test]
    fn an_edited_manifest_is_refused() {
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
}
