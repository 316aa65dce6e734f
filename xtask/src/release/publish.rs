//! Publishing: bytes first, by their digest; the manifest last, by its name. Killed at any point, it is run again.

use std::path::Path;

use super::catalogue::Catalogue;
use super::manifest::{Manifest, artifact_key};
use super::version::{Bump, bumped};
use crate::failure::{Failure, Outcome};
use crate::name::Version;
use crate::ports::Put;
use crate::progress::Step;

/// What publishing came to.
#[derive(Debug, Clone)]
pub(crate) enum Published {
    /// The manifest is new.
    New(Manifest),
    /// A release with the same artifact and inputs was there already.
    Existing(Manifest),
}

impl Published {
    /// Returns the release as the catalogue holds it.
    pub(crate) fn manifest(&self) -> &Manifest {
        match self {
            Self::New(manifest) | Self::Existing(manifest) => manifest,
        }
    }
}

/// How often the next number is tried when others take it first.
const RACES: usize = 20;

/// Publishes a release: the zip under its digest, then the manifest under its version.
///
/// Where the version is taken by other bytes: an error if exactly that version was asked for, else the next number.
pub(crate) async fn publish(
    catalogue: &Catalogue,
    manifest: Manifest,
    zip: &Path,
    asked: bool,
    step: &Step,
) -> Outcome<Published> {
    let store = catalogue.store();
    let digest = manifest.artifact.sha256;
    let key = artifact_key(&digest);
    let put = store.put_new_file(&key, zip, digest, &|sent| step.advance(sent)).await?;
    if matches!(put, Put::Different) {
        return Err(Failure::failed("the store holds other bytes under the name of this artifact")
            .detail("object", format!("{}/{key}", store.place()))
            .detail("built", digest.to_string())
            .unchanged("The release was not published; the object was left as it is.")
            .hint("somebody replaced or truncated that object: restore or delete it, then run the same command again"));
    }
    let mut manifest = manifest;
    for _ in 0..RACES {
        match store.put_new(&Manifest::key(&manifest.function, &manifest.version), manifest.bytes()?).await? {
            Put::Created => return Ok(Published::New(manifest)),
            Put::Same => return Ok(Published::Existing(manifest)),
            Put::Different => {}
        }
        let stored = catalogue.manifest(&manifest.function, &manifest.version).await?;
        if stored.artifact.sha256 == digest && stored.source.inputs_digest == manifest.source.inputs_digest {
            return Ok(Published::Existing(stored));
        }
        if asked || manifest.version.is_dirty() {
            return Err(taken(&manifest, &stored));
        }
        manifest.version = bumped(&manifest.version, Bump::Patch);
        manifest = manifest.sealed();
    }
    Err(Failure::failed(format!(
        "`{}`: {RACES} versions in a row were taken by others while this one was being published",
        manifest.function
    )))
}

fn taken(built: &Manifest, stored: &Manifest) -> Failure {
    let short = |commit: &str| commit.chars().take(7).collect::<String>();
    let (function, version): (_, &Version) = (&built.function, &built.version);
    Failure::refused(format!("`{function}` {version} already exists with other bytes"))
        .detail(
            "stored",
            format!(
                "{}   released {} from {} by {}",
                stored.artifact.sha256,
                stored.built.at.strftime("%Y-%m-%d %H:%M"),
                short(&stored.source.commit),
                stored.built.by
            ),
        )
        .detail("built", format!("{}   now, from {}", built.artifact.sha256, short(&built.source.commit)))
        .unchanged("Nothing was published. A version never changes once it is cut.")
        .hint(
            "leave out --version to cut the next free one, or look at what exists: cargo xtask releases "
                .to_owned()
                + function.as_str(),
        )
}
