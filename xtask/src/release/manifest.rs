//! The release manifest, `slipway.release/1`: digests and keys, never buckets or hosts.
//!
//! In: an artifact and its source; or stored bytes. Out: a sealed [`Manifest`]; its bytes. Goes wrong: a manifest that was
//! edited, that is stored under another name, or whose schema is unknown. [`format`] has the readers and writers.

mod format;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::architecture::Architecture;
use crate::digest::Digest;
use crate::failure::Result;
use crate::name::{FunctionName, Version};
use crate::runtime::Runtime;
use crate::settings::{FunctionSettings, PackageType, SmokeTest};
use crate::source::Source;

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
    /// The source that they were built from.
    pub(crate) source: SourceRecord,
    /// How they were built.
    pub(crate) built: BuildRecord,
    /// SHA-256 of the SBOM; the earliest releases have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sbom: Option<Digest>,
    /// The smoke events that a new version must pass before it serves.
    #[serde(default)]
    pub(crate) smoke: Vec<SmokeRecord>,
    /// SHA-256 of this manifest as compact JSON with 64 zeros as its seal; it reveals edits.
    #[serde(with = "format::optional_seal")]
    #[schemars(with = "Digest")]
    pub(crate) seal: Option<Digest>,
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
    /// A zip's key in the store; for an image `<repository>@sha256:<hex>`, below the registry that the settings name.
    pub(crate) key: String,
}

impl ArtifactRecord {
    /// Describes a zip.
    pub(crate) fn of_zip(sha256: Digest, size: u64, unpacked_size: u64, content_digest: Digest) -> Self {
        let (code_sha256, key) = (sha256.base64(), artifact_key(&sha256));
        Self { sha256, code_sha256, size, unpacked_size, content_digest, key }
    }

    /// Describes an image in a repository, with the sizes of this record.
    pub(crate) fn into_image(self, repository: &str, digest: Digest) -> Self {
        Self { sha256: digest, code_sha256: digest.hex(), key: format!("{repository}@{digest}"), ..self }
    }

    /// Returns an image's repository.
    pub(crate) fn repository(&self) -> &str {
        self.key.split('@').next().unwrap_or_default()
    }

    /// Returns whether digests and key match each other and the kind of package.
    fn is_consistent(&self, package: PackageType) -> bool {
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
    /// The digest of everything that decides the bytes.
    pub(crate) inputs_digest: Digest,
}

impl From<&Source> for SourceRecord {
    fn from(source: &Source) -> Self {
        Self {
            repository: source.repository.clone(),
            commit: source.commit.clone(),
            dirty: source.dirty,
            committed_at: source.committed_at,
            inputs_digest: source.inputs_digest,
        }
    }
}

/// How a release was built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Built")]
pub(crate) struct BuildRecord {
    /// Tools and compressor with their versions.
    pub(crate) tools: BTreeMap<String, String>,
    /// Who built it.
    pub(crate) by: String,
    /// When.
    #[schemars(with = "String")]
    pub(crate) at: jiff::Timestamp,
    /// The CI run.
    pub(crate) run_url: Option<String>,
}

/// A smoke event, as a release stores it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SmokeRecord {
    /// What it tests.
    pub(crate) name: String,
    /// The event.
    pub(crate) event: serde_json::Value,
    /// The HTTP request that the event is made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) request: Option<RequestRecord>,
    /// The expected response, or a part of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expect: Option<serde_json::Value>,
    /// The expected `errorType` of the response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expect_error: Option<String>,
    /// Values for the events that follow: JSON pointers into the response, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) capture: BTreeMap<String, String>,
    /// The time limit of the response, in milliseconds.
    pub(crate) within_ms: u64,
    /// Whether it may run in protected environments.
    pub(crate) safe: bool,
}

/// The HTTP request of a smoke event; each `${…}` is replaced when the request is sent.
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
    /// Makes the manifest of a new release, sealed.
    pub(crate) fn new(
        function: &FunctionName,
        version: &Version,
        settings: &FunctionSettings,
        artifact: ArtifactRecord,
        source: SourceRecord,
        built: BuildRecord,
    ) -> Self {
        let unsealed = Self {
            schema: format::NEWEST.into(),
            function: function.clone(),
            version: version.clone(),
            package: settings.package,
            architecture: settings.architecture,
            runtime: settings.runtime.clone(),
            handler: settings.handler.clone(),
            artifact,
            source,
            built,
            sbom: None,
            smoke: settings.smoke.iter().map(SmokeRecord::from).collect(),
            seal: None,
        };
        unsealed.sealed()
    }

    /// Returns the key of a release's manifest.
    pub(crate) fn key(function: &FunctionName, version: &Version) -> String {
        format!("releases/{function}/{version}.json")
    }

    /// Returns the manifest with its seal set.
    pub(crate) fn sealed(mut self) -> Self {
        self.seal = Some(format::seal(&self));
        self
    }

    /// Returns the manifest's bytes as they are stored.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>> {
        format::write(format::FORMATS, self)
    }

    /// Returns runtime and handler as Lambda knows them: those of an image are the image's own
    /// (<https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html>, PackageType).
    pub(crate) fn managed(&self) -> Option<(&Runtime, &str)> {
        (self.package == PackageType::Zip).then_some((&self.runtime, &self.handler))
    }

    /// Returns the labels of the release's image:
    /// <https://github.com/opencontainers/image-spec/blob/v1.1.0/annotations.md>.
    pub(crate) fn image_labels(&self) -> BTreeMap<String, String> {
        let label = |name: &str, value: &str| (format!("org.opencontainers.image.{name}"), value.to_owned());
        [label("version", &self.version.to_string()), label("revision", &self.source.commit)]
            .into_iter()
            .chain(self.source.repository.as_deref().map(|address| label("source", address)))
            .collect()
    }

    /// Returns the digest by which ledgers and plans name this manifest.
    pub(crate) fn digest(&self) -> Result<Digest> {
        Ok(Digest::of(self.bytes()?))
    }

    /// Reads a manifest; refuses one that was edited or is stored under another name.
    pub(crate) fn read(bytes: &[u8], function: &FunctionName, version: &Version) -> Result<Self> {
        format::read(format::FORMATS, bytes, function, version)
    }
}

/// Returns the content-addressed key of a zip.
pub(crate) fn artifact_key(sha256: &Digest) -> String {
    format!("artifacts/sha256/{}.zip", sha256.hex())
}

#[cfg(test)]
pub(crate) mod tests;
