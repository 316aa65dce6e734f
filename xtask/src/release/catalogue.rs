//! The catalogue: the manifests in a store. It decides which versions exist.

use std::path::Path;
use std::sync::Arc;

use super::manifest::Manifest;
use super::owner::Owner;
use super::snapshot::Snapshot;
use crate::digest::Digest;
use crate::failure::{Failure, Result};
use crate::name::{FunctionName, Version};
use crate::ownership::ProjectIdentity;
use crate::ports::{DigestComparison, Images, ObjectHead, Store};
use crate::settings::PackageType;

/// The releases in a store.
#[derive(Clone)]
pub(crate) struct Catalogue {
    store: Arc<dyn Store>,
    images: Option<Arc<dyn Images>>,
    /// The project that releases have to belong to; tests of other things leave it out.
    pub(super) owner: Option<Arc<Owner>>,
    tag_prefix: String,
    /// What was read of many functions at once.
    snapshot: Option<Arc<Snapshot>>,
}

impl Catalogue {
    /// Reads releases from a store.
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, images: None, owner: None, tag_prefix: String::new(), snapshot: None }
    }

    /// Requires that releases belong to a project: each function's are compared once, before one is used or published.
    pub(crate) fn of_project(self, project: &ProjectIdentity) -> Self {
        Self { owner: Some(Arc::new(Owner::new(project.clone()))), ..self }
    }

    /// Sets what the names of the tags that mirror it begin with.
    pub(crate) fn with_tag_prefix(self, prefix: &str) -> Self {
        Self { tag_prefix: prefix.to_owned(), ..self }
    }

    /// Answers from what was read of many functions at once.
    pub(super) fn with_snapshot(&self, snapshot: Snapshot) -> Self {
        Self { snapshot: Some(Arc::new(snapshot)), ..self.clone() }
    }

    /// Returns what the names of its tags begin with.
    pub(super) fn tag_prefix(&self) -> &str {
        &self.tag_prefix
    }

    /// Adds the registry of images.
    pub(crate) fn with_images(self, images: Option<Arc<dyn Images>>) -> Self {
        Self { images, ..self }
    }

    /// Returns the registry of images.
    pub(crate) fn images(&self) -> Result<&dyn Images> {
        self.images.as_deref().ok_or_else(|| {
            Failure::usage("pipelines/project.toml names no registry for images")
                .unchanged("Nothing was published.")
                .hint("add it under [store], as in repositories = \"111111111111.dkr.ecr.eu-central-1.amazonaws.com/shop\"")
        })
    }

    /// Returns the store.
    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Lists a function's versions, newest first.
    pub(crate) async fn versions(&self, function: &FunctionName) -> Result<Vec<Version>> {
        let prefix = format!("releases/{function}/");
        let keys = match self.snapshot.as_ref().and_then(|snapshot| snapshot.keys(function)) {
            Some(keys) => keys,
            None => self.store.list(&prefix, None).await?,
        };
        self.check_keys(function, &keys)?;
        let mut versions: Vec<Version> = keys
            .iter()
            .filter_map(|key| key.strip_prefix(&prefix)?.strip_suffix(".json")?.parse().ok())
            .collect();
        versions.sort_by(|a, b| b.cmp(a));
        Ok(versions)
    }

    /// Reads a release's manifest, where it exists.
    pub(crate) async fn find(&self, function: &FunctionName, version: &Version) -> Result<Option<Manifest>> {
        let snapshot = self.snapshot.as_deref();
        if let Some(bytes) = snapshot.and_then(|snapshot| snapshot.proven(function, version)) {
            let manifest = Manifest::read(&bytes, function, version)?;
            self.check_manifest(&manifest)?;
            return Ok(Some(manifest));
        }
        let key = Manifest::key(function, version);
        // Whose the releases are is asked at the same time.
        let (stored, ()) = futures::try_join!(self.store.get(&key), self.check_listing(function))?;
        let Some(stored) = stored else { return Ok(None) };
        let manifest = Manifest::read(&stored.bytes, function, version)?;
        self.check_manifest(&manifest)?;
        snapshot.iter().for_each(|snapshot| snapshot.keep(function, version, &stored.bytes));
        Ok(Some(manifest))
    }

    /// Reads a release's manifest; an unknown version lists the nearest ones that exist.
    pub(crate) async fn manifest(&self, function: &FunctionName, version: &Version) -> Result<Manifest> {
        if let Some(manifest) = self.find(function, version).await? {
            return Ok(manifest);
        }
        let versions = self.versions(function).await?;
        let failure = Failure::usage(format!("`{function}` has no release {version}"))
            .unchanged("Nothing was changed.");
        if versions.is_empty() {
            return Err(failure.hint(format!(
                "{} has no release of `{function}` yet: cargo xtask release creates the first",
                self.store.place()
            )));
        }
        let near = nearest(version, &versions, 5);
        Err(failure.hint(format!(
            "the nearest versions that exist: {}",
            near.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        )))
    }

    /// Reads the manifest of the highest version that was not built from a dirty tree.
    pub(crate) async fn newest(&self, function: &FunctionName) -> Result<Option<Manifest>> {
        match self.versions(function).await?.into_iter().find(|version| !version.is_dirty()) {
            Some(version) => self.find(function, &version).await,
            None => Ok(None),
        }
    }

    /// Compares a release's stored bytes with the digest in its manifest; a zip that matches is written to `to`.
    ///
    /// An image is only looked up: its manifest names its blobs by digest, and a registry serves no other bytes for a digest.
    pub(crate) async fn compare_artifact(
        &self,
        manifest: &Manifest,
        to: Option<&Path>,
    ) -> Result<DigestComparison> {
        let artifact = &manifest.artifact;
        match manifest.package {
            PackageType::Zip => self.store.compare(&artifact.key, artifact.sha256, to).await,
            PackageType::Image => {
                let found = self.images()?.manifest(artifact.repository(), &artifact.sha256).await?.is_some();
                Ok(if found { DigestComparison::Same } else { DigestComparison::Missing })
            }
        }
    }

    /// Returns the address of a release's bytes, for messages.
    pub(crate) fn artifact_address(&self, manifest: &Manifest) -> String {
        let place = match (manifest.package, &self.images) {
            (PackageType::Image, Some(images)) => images.place(),
            _ => self.store.place(),
        };
        format!("{place}/{}", manifest.artifact.key)
    }

    /// Reads the manifest of a release's image.
    pub(crate) async fn image_manifest(&self, manifest: &Manifest) -> Result<Vec<u8>> {
        let artifact = &manifest.artifact;
        self.images()?.manifest(artifact.repository(), &artifact.sha256).await?.ok_or_else(|| {
            Failure::failed(format!(
                "the image of `{}` {} is not in the registry",
                manifest.function, manifest.version
            ))
            .detail("image", self.artifact_address(manifest))
        })
    }

    /// Downloads a release's zip to a file.
    pub(crate) async fn download_zip(&self, manifest: &Manifest, to: &Path) -> Result<()> {
        let what = format!("the bytes of `{}` {}", manifest.function, manifest.version);
        match self.compare_artifact(manifest, Some(to)).await? {
            DigestComparison::Same => Ok(()),
            DigestComparison::Missing => Err(Failure::failed(format!("{what} are not in the store"))
                .detail("object", self.artifact_address(manifest))),
            DigestComparison::Other(found) => {
                Err(Failure::failed(format!("{what} in the store are not those that were released"))
                    .detail("object", self.artifact_address(manifest))
                    .detail("released", manifest.artifact.sha256.to_string())
                    .detail("found", found.to_string())
                    .hint("restore the object's first version in the store, or create a new release"))
            }
        }
    }

    /// Lists the paths of the files in a release's zip.
    pub(crate) async fn zip_paths(&self, manifest: &Manifest) -> Result<Vec<String>> {
        let temporary = tempfile::tempdir()
            .map_err(|error| Failure::failed("no temporary folder can be made").caused_by(error))?;
        let zip = temporary.path().join("artifact.zip");
        self.download_zip(manifest, &zip).await?;
        let listing = slipway_archive::read_zip(&zip)
            .map_err(|error| Failure::failed(format!("{} cannot be read", zip.display())).caused_by(error))?;
        Ok(listing.entries().iter().map(|entry| entry.path.clone()).collect())
    }

    /// Refuses a release whose bytes are missing, or do not have the digest that its manifest states.
    ///
    /// The store's own digest counts: S3 compares it with the bytes when it stores them. Where it has none, the bytes are read.
    pub(crate) async fn check_artifact(&self, manifest: &Manifest) -> Result<()> {
        let artifact = &manifest.artifact;
        let mismatch = |what: String| {
            Failure::refused(format!(
                "the bytes of `{}` {} do not match its manifest: {what}",
                manifest.function, manifest.version
            ))
            .detail("object", self.artifact_address(manifest))
            .unchanged("Nothing was deployed.")
            .hint("restore the object's first version in the store, or create a new release")
        };
        if manifest.package == PackageType::Image {
            let found = self.images()?.manifest(artifact.repository(), &artifact.sha256).await?.is_some();
            return if found { Ok(()) } else { Err(mismatch("the image is missing".into())) };
        }
        let other = |found: Digest| {
            mismatch(format!("the object was replaced, its digest is {found} instead of {}", artifact.sha256))
        };
        match self.store.head(&artifact.key).await? {
            None => Err(mismatch("the object is missing".into())),
            Some(ObjectHead { size, .. }) if size != artifact.size => {
                Err(mismatch(format!("{size} bytes instead of {}", artifact.size)))
            }
            Some(ObjectHead { sha256: Some(found), .. }) if found == artifact.sha256 => Ok(()),
            Some(ObjectHead { sha256: Some(found), .. }) => Err(other(found)),
            Some(ObjectHead { sha256: None, .. }) => match self.compare_artifact(manifest, None).await? {
                DigestComparison::Same => Ok(()),
                DigestComparison::Missing => Err(mismatch("the object is missing".into())),
                DigestComparison::Other(found) => Err(other(found)),
            },
        }
    }
}

/// Returns the versions nearest to a wanted one: by distance of their numbers, newest first among equals.
fn nearest(wanted: &Version, known: &[Version], limit: usize) -> Vec<Version> {
    let distance = |version: &Version| {
        let ((a, b, c), (x, y, z)) = (wanted.numbers(), version.numbers());
        (a.abs_diff(x), b.abs_diff(y), c.abs_diff(z))
    };
    let mut sorted = known.to_vec();
    sorted.sort_by(|a, b| distance(a).cmp(&distance(b)).then(b.cmp(a)));
    sorted.truncate(limit);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_versions_are_near_by_number_not_by_spelling() {
        let known: Vec<Version> =
            ["2.0.0", "1.10.0", "1.4.3", "1.4.1", "1.3.0"].iter().map(|text| text.parse().unwrap()).collect();
        let near: Vec<String> =
            nearest(&"1.4.2".parse().unwrap(), &known, 3).iter().map(ToString::to_string).collect();
        assert_eq!(near, ["1.4.3", "1.4.1", "1.3.0"]);
    }
}
