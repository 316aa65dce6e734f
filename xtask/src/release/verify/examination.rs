//! The examination of a release: every check, one after the other, each with its result.

use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;

use super::{AttestationStatus, TrustPolicy, attestation_key, attestation_status, stored_sbom};
use crate::digest::Digest;
use crate::failure::{FailureKind, Result};
use crate::name::{EnvironmentName, FunctionName, Version};
use crate::ports::DigestComparison;
use crate::release::bundle::stored_bundle;
use crate::release::catalogue::Catalogue;
use crate::release::cosign::{Tagged, stored_tags};
use crate::release::envelope::Envelope;
use crate::release::inputs_record::InputsRecord;
use crate::release::key::PublicKey;
use crate::release::manifest::Manifest;
use crate::release::provenance::Statement;
use crate::release::sbom;
use crate::settings::PackageType;

/// One check of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "Check")]
pub(crate) struct ReleaseCheck {
    /// What was checked.
    pub(crate) what: String,
    /// Whether it is right; nothing where there is nothing to check, and nothing is required.
    pub(crate) holds: Option<bool>,
    /// What was found.
    pub(crate) found: String,
}

/// All checks of a release.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "Examined")]
pub(crate) struct ReleaseExamination {
    /// The function.
    pub(crate) function: FunctionName,
    /// The version.
    pub(crate) version: Version,
    /// Whether all checks are right.
    pub(crate) holds: bool,
    /// The checks, in order.
    pub(crate) checks: Vec<ReleaseCheck>,
}

impl ReleaseExamination {
    fn add(&mut self, what: impl Into<String>, result: Result<String, String>) {
        let (holds, found) = match result {
            Ok(found) => (true, found),
            Err(found) => (false, found),
        };
        self.holds &= holds;
        self.checks.push(ReleaseCheck { what: what.into(), holds: Some(holds), found });
    }

    fn add_absent(&mut self, what: impl Into<String>, found: impl Into<String>) {
        self.checks.push(ReleaseCheck { what: what.into(), holds: None, found: found.into() });
    }
}

/// Checks everything about a release; the artifact is downloaded to the folder `scratch`.
///
/// A failed check is part of the result; an error means that something could not be read.
pub(crate) async fn examine(
    catalogue: &Catalogue,
    function: &FunctionName,
    version: &Version,
    environments: &[(EnvironmentName, TrustPolicy)],
    scratch: &Path,
) -> Result<ReleaseExamination> {
    let mut examination = ReleaseExamination {
        function: function.clone(),
        version: version.clone(),
        holds: true,
        checks: Vec::new(),
    };
    let stored = catalogue.store().get(&Manifest::key(function, version)).await?;
    let Some(stored) = stored else {
        // This failure lists the nearest versions.
        catalogue.manifest(function, version).await?;
        return Ok(examination);
    };
    let manifest = match Manifest::read(&stored.bytes, function, version) {
        Ok(manifest) => manifest,
        Err(failure) => {
            examination.add("manifest", Err(failure.message().to_owned()));
            return Ok(examination);
        }
    };
    examination.add("manifest", Ok(format!("{}, seal intact", Digest::of(&stored.bytes).short())));
    artifact(catalogue, &manifest, scratch, &mut examination).await?;
    sbom(catalogue, &manifest, &mut examination).await?;
    inputs(catalogue, &manifest, &mut examination).await?;
    attestation(catalogue, &manifest, &mut examination).await?;
    bundle(catalogue, &manifest, &mut examination).await?;
    trust(catalogue, &manifest, environments, &mut examination).await?;
    cosign(catalogue, &manifest, environments, &mut examination).await?;
    Ok(examination)
}

/// Checks the artifact's bytes and content.
async fn artifact(
    catalogue: &Catalogue,
    manifest: &Manifest,
    scratch: &Path,
    examination: &mut ReleaseExamination,
) -> Result<()> {
    let record = &manifest.artifact;
    let file = scratch.join("artifact.zip");
    let stored = catalogue.compare_artifact(manifest, Some(&file)).await?;
    examination.add(
        "artifact",
        match stored {
            DigestComparison::Same => {
                Ok(format!("{}, {}", record.sha256.short(), crate::format::bytes(record.size)))
            }
            DigestComparison::Missing => Err(format!("{} is missing", record.key)),
            DigestComparison::Other(found) => Err(format!("{found} instead of {}", record.sha256)),
        },
    );
    if stored != DigestComparison::Same {
        examination.add("content", Err("not checked: the artifact is not that of the release".into()));
        return Ok(());
    }
    if manifest.package == PackageType::Image {
        let image = catalogue.image_manifest(manifest).await?;
        let checked = catalogue.images()?.check_blobs(record.repository(), &image, scratch).await?;
        let text = |bytes| format!("config and layers, {}", crate::format::bytes(bytes));
        examination.add("content", checked.map(text));
        return Ok(());
    }
    let listing = slipway_archive::read_zip(&file);
    examination.add(
        "content",
        match &listing {
            Err(error) => Err(error.to_string()),
            Ok(listing) => {
                let found = listing.content_digest();
                if found != record.content_digest {
                    Err(format!("{found} instead of {}", record.content_digest))
                } else if listing.unpacked_size() != record.unpacked_size {
                    Err(format!(
                        "{} bytes unpacked instead of {}",
                        listing.unpacked_size(),
                        record.unpacked_size
                    ))
                } else {
                    Ok(format!(
                        "{}, {}",
                        found.short(),
                        crate::format::plural(listing.entries().len(), "file")
                    ))
                }
            }
        },
    );
    Ok(())
}

/// Checks the SBOM.
async fn sbom(
    catalogue: &Catalogue,
    manifest: &Manifest,
    examination: &mut ReleaseExamination,
) -> Result<()> {
    let Some(wanted) = manifest.sbom else {
        examination.add_absent("sbom", "the release has none");
        return Ok(());
    };
    let sha256 = &manifest.artifact.sha256;
    let result = match stored_sbom(catalogue, manifest, &wanted).await? {
        None => Err(format!("{} is missing", sbom::key(sha256))),
        Some(bytes) if Digest::of(&bytes) != wanted => {
            Err(format!("{} instead of {wanted}", Digest::of(&bytes)))
        }
        Some(bytes) => sbom::component_count(&bytes, &manifest.function, sha256).map(|count| {
            let components = crate::format::plural(count, "component");
            format!("{}, names the artifact and {components}", wanted.short())
        }),
    };
    examination.add("sbom", result);
    Ok(())
}

/// Checks the record of the inputs by the digest that the manifest names.
async fn inputs(
    catalogue: &Catalogue,
    manifest: &Manifest,
    examination: &mut ReleaseExamination,
) -> Result<()> {
    let digest = manifest.source.inputs_digest;
    match InputsRecord::find(catalogue, &digest).await {
        Ok(Some(record)) => {
            let files = crate::format::plural(record.files.len(), "file");
            examination.add("inputs", Ok(format!("{}, {files}", digest.short())));
        }
        // Releases of before there were records have none.
        Ok(None) => examination.add_absent("inputs", "the store has no record of them"),
        Err(failure) if failure.kind() == FailureKind::Failed => {
            examination.add("inputs", Err(failure.message().to_owned()));
        }
        Err(failure) => return Err(failure),
    }
    Ok(())
}

/// Checks the attestation as far as that needs no trusted key: its format, and the release that it is about.
async fn attestation(
    catalogue: &Catalogue,
    manifest: &Manifest,
    examination: &mut ReleaseExamination,
) -> Result<()> {
    let Some(stored) = catalogue.store().get(&attestation_key(&manifest.digest()?)).await? else {
        examination.add_absent("envelope", "the release is not signed");
        return Ok(());
    };
    let read = Envelope::read(&stored.bytes).and_then(|envelope| {
        let payload = envelope.payload()?;
        Ok((envelope, payload))
    });
    let (envelope, payload) = match read {
        Ok(read) => read,
        Err(why) => {
            examination.add("envelope", Err(why));
            return Ok(());
        }
    };
    examination.add("envelope", Ok(format!("DSSE, signed by {}", crate::format::list(envelope.key_ids()))));
    let subjects = match Statement::read(&payload) {
        Err(why) => Err(why),
        Ok(statement) => match statement.differences(manifest)? {
            wrong if wrong.is_empty() => Ok(format!(
                "{}, built by {}",
                if manifest.sbom.is_some() { "artifact, manifest and SBOM" } else { "artifact and manifest" },
                statement.builder()
            )),
            wrong => Err(wrong.join("; ")),
        },
    };
    examination.add("subjects", subjects);
    if let Ok(statement) = Statement::read(&payload) {
        match statement.identity() {
            Some(identity) => examination.add("builder", Ok(identity.text())),
            None => examination
                .add_absent("builder", "its claims are unverified: no token of a CI system proves them"),
        }
    }
    Ok(())
}

/// Names a Sigstore bundle that is stored beside the release.
async fn bundle(
    catalogue: &Catalogue,
    manifest: &Manifest,
    examination: &mut ReleaseExamination,
) -> Result<()> {
    let repository = manifest.source.repository.as_deref();
    match stored_bundle(catalogue, &manifest.artifact.sha256, repository).await? {
        Some(Ok(bundle)) => examination.add_absent("bundle", bundle.text()),
        Some(Err(why)) => examination.add("bundle", Err(why)),
        None => {}
    }
    Ok(())
}

/// Checks the signature with each environment's keys and claims.
async fn trust(
    catalogue: &Catalogue,
    manifest: &Manifest,
    environments: &[(EnvironmentName, TrustPolicy)],
    examination: &mut ReleaseExamination,
) -> Result<()> {
    for (environment, policy) in environments {
        let what = format!("signature for {environment}");
        match attestation_status(catalogue, manifest, policy).await? {
            Ok(AttestationStatus::Trusted(key)) => examination.add(what, Ok(format!("by trusted key {key}"))),
            Ok(AttestationStatus::Unsigned) if policy.required => {
                examination.add(what, Err("there is none, and it is required".into()))
            }
            Ok(AttestationStatus::Unsigned) => {
                examination.add_absent(what, "there is none, and none is required")
            }
            Ok(AttestationStatus::Unverified) => {
                examination.add_absent(what, "not verified: the environment trusts no key")
            }
            Err(failure) => {
                let keys = crate::format::list(&failure.signed_by);
                let by = if keys.is_empty() { String::new() } else { format!(" (signed by {keys})") };
                examination.add(what, Err(format!("{}{by}", failure.reason)));
            }
        }
    }
    Ok(())
}

/// Checks what cosign would find beside an image, with the keys that any of the environments trusts.
async fn cosign(
    catalogue: &Catalogue,
    manifest: &Manifest,
    environments: &[(EnvironmentName, TrustPolicy)],
    examination: &mut ReleaseExamination,
) -> Result<()> {
    if manifest.package != PackageType::Image {
        return Ok(());
    }
    let keys: Vec<PublicKey> = environments.iter().flat_map(|(_, policy)| policy.keys.clone()).collect();
    for (document, found) in stored_tags(catalogue, manifest, &keys).await? {
        let what = format!("cosign's {document}");
        match found {
            Tagged::Right => examination.add(what, Ok("of this image, by a trusted key".into())),
            Tagged::Nothing => examination.add_absent(what, "there is none beside the image"),
            Tagged::Other if keys.is_empty() => {
                examination.add_absent(what, "not verified: no environment trusts a key")
            }
            Tagged::Other => examination.add(what, Err("not of this image by a trusted key".into())),
        }
    }
    Ok(())
}
