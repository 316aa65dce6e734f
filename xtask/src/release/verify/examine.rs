//! Examining a release: every check there is, one after the other, each with what was found.

use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;

use super::{Trust, Worth, attestation_key, stored_sbom, worth};
use crate::digest::Digest;
use crate::failure::Result;
use crate::name::{EnvironmentName, FunctionName, Version};
use crate::ports::Held;
use crate::release::catalogue::Catalogue;
use crate::release::envelope::Envelope;
use crate::release::manifest::Manifest;
use crate::release::provenance::Statement;
use crate::release::sbom;
use crate::settings::PackageType;

/// One check of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Check {
    /// What was looked at.
    pub(crate) what: String,
    /// Whether it holds; nothing where there was nothing to look at, and nothing had to be there.
    pub(crate) holds: Option<bool>,
    /// What was found.
    pub(crate) found: String,
}

/// All checks of a release.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Examined {
    /// The function.
    pub(crate) function: FunctionName,
    /// The version.
    pub(crate) version: Version,
    /// Whether everything holds.
    pub(crate) holds: bool,
    /// The checks, in order.
    pub(crate) checks: Vec<Check>,
}

impl Examined {
    fn note(&mut self, what: impl Into<String>, result: Result<String, String>) {
        let (holds, found) = match result {
            Ok(found) => (true, found),
            Err(found) => (false, found),
        };
        self.holds &= holds;
        self.checks.push(Check { what: what.into(), holds: Some(holds), found });
    }

    fn absent(&mut self, what: impl Into<String>, found: impl Into<String>) {
        self.checks.push(Check { what: what.into(), holds: None, found: found.into() });
    }
}

/// Checks everything about a release; `scratch` is where the artifact is downloaded to.
///
/// What does not hold is a check, not an error: an error means that it could not be looked at.
pub(crate) async fn examine(
    catalogue: &Catalogue,
    function: &FunctionName,
    version: &Version,
    environments: &[(EnvironmentName, Trust)],
    scratch: &Path,
) -> Result<Examined> {
    let mut examined =
        Examined { function: function.clone(), version: version.clone(), holds: true, checks: Vec::new() };
    let stored = catalogue.store().get(&Manifest::key(function, version)).await?;
    let Some(stored) = stored else {
        // With the nearest versions that exist.
        catalogue.manifest(function, version).await?;
        return Ok(examined);
    };
    let manifest = match Manifest::read(&stored.bytes, function, version) {
        Ok(manifest) => manifest,
        Err(failure) => {
            examined.note("manifest", Err(failure.message().to_owned()));
            return Ok(examined);
        }
    };
    examined.note("manifest", Ok(format!("{}, seal whole", Digest::of(&stored.bytes).short())));
    artifact(catalogue, &manifest, scratch, &mut examined).await?;
    sbom(catalogue, &manifest, &mut examined).await?;
    attestation(catalogue, &manifest, &mut examined).await?;
    trust(catalogue, &manifest, environments, &mut examined).await?;
    Ok(examined)
}

/// Reads the artifact again: its bytes, and what they hold.
async fn artifact(
    catalogue: &Catalogue,
    manifest: &Manifest,
    scratch: &Path,
    examined: &mut Examined,
) -> Result<()> {
    let record = &manifest.artifact;
    let file = scratch.join("artifact.zip");
    let held = catalogue.held(manifest, Some(&file)).await?;
    examined.note(
        "artifact",
        match held {
            Held::Same => Ok(format!("{}, {}", record.sha256.short(), crate::format::bytes(record.size))),
            Held::Missing => Err(format!("{} is missing", record.key)),
            Held::Other(found) => Err(format!("{found} instead of {}", record.sha256)),
        },
    );
    if held != Held::Same {
        examined.note("content", Err("not looked at: the artifact is not the release's".into()));
        return Ok(());
    }
    if manifest.package == PackageType::Image {
        let image = catalogue.image(manifest).await?;
        let checked = catalogue.images()?.check_blobs(record.repository(), &image, scratch).await?;
        let told = |bytes| format!("config and layers, {}", crate::format::bytes(bytes));
        examined.note("content", checked.map(told));
        return Ok(());
    }
    let listing = slipway_archive::read_zip(&file);
    examined.note(
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

/// Looks at the SBOM.
async fn sbom(catalogue: &Catalogue, manifest: &Manifest, examined: &mut Examined) -> Result<()> {
    let Some(wanted) = manifest.sbom else {
        examined.absent("sbom", "the release has none");
        return Ok(());
    };
    let sha256 = &manifest.artifact.sha256;
    let result = match stored_sbom(catalogue, manifest, &wanted).await? {
        None => Err(format!("{} is missing", sbom::key(sha256))),
        Some(bytes) if Digest::of(&bytes) != wanted => {
            Err(format!("{} instead of {wanted}", Digest::of(&bytes)))
        }
        Some(bytes) => sbom::check(&bytes, &manifest.function, sha256).map(|parts| {
            format!("{}, names the artifact and {}", wanted.short(), crate::format::plural(parts, "part"))
        }),
    };
    examined.note("sbom", result);
    Ok(())
}

/// Looks at the attestation as far as that needs no trust: that it is one, and of what it speaks.
async fn attestation(catalogue: &Catalogue, manifest: &Manifest, examined: &mut Examined) -> Result<()> {
    let Some(stored) = catalogue.store().get(&attestation_key(&manifest.digest()?)).await? else {
        examined.absent("envelope", "the release is not signed");
        return Ok(());
    };
    let read = Envelope::read(&stored.bytes).and_then(|envelope| {
        let payload = envelope.payload()?;
        Ok((envelope, payload))
    });
    let (envelope, payload) = match read {
        Ok(read) => read,
        Err(why) => {
            examined.note("envelope", Err(why));
            return Ok(());
        }
    };
    examined.note("envelope", Ok(format!("DSSE, signed by {}", crate::format::list(envelope.key_ids()))));
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
    examined.note("subjects", subjects);
    Ok(())
}

/// Holds the signature against each environment's keys and claims.
async fn trust(
    catalogue: &Catalogue,
    manifest: &Manifest,
    environments: &[(EnvironmentName, Trust)],
    examined: &mut Examined,
) -> Result<()> {
    for (environment, trust) in environments {
        let what = format!("signature for {environment}");
        match worth(catalogue, manifest, trust).await? {
            Ok(Worth::Trusted(key)) => examined.note(what, Ok(format!("by trusted key {key}"))),
            Ok(Worth::Unsigned) if trust.required => {
                examined.note(what, Err("there is none, and it is required".into()))
            }
            Ok(Worth::Unsigned) => examined.absent(what, "there is none, and none is required"),
            Ok(Worth::Unverified) => examined.absent(what, "not verified: the environment trusts no key"),
            Err(distrust) => {
                let seen = crate::format::list(&distrust.seen);
                let by = if seen.is_empty() { String::new() } else { format!(" (signed by {seen})") };
                examined.note(what, Err(format!("{}{by}", distrust.why)));
            }
        }
    }
    Ok(())
}
