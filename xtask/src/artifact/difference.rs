//! Compares two artifacts: files added, removed and changed, with their sizes; tools of other versions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;
use slipway_archive::{Listing, ListingEntry};

use crate::failure::{Failure, Result};
use crate::format::{bytes, signed_bytes};

/// The part of an artifact that is compared.
pub(crate) enum ArtifactContent {
    /// The path of a zip; its files are compared.
    Zip(PathBuf),
    /// The manifest of an image; config and layers are compared.
    Image(Vec<u8>),
}

/// The difference between two artifacts.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(crate) struct Difference {
    /// Only in the second.
    pub(crate) added: Vec<ArtifactFile>,
    /// Only in the first.
    pub(crate) removed: Vec<ArtifactFile>,
    /// In both, with other content or another mode.
    pub(crate) changed: Vec<ChangedFile>,
}

/// A file of one artifact.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "File")]
pub(crate) struct ArtifactFile {
    /// Its name in the artifact.
    pub(crate) path: String,
    /// Bytes, unpacked.
    pub(crate) size: u64,
}

/// A file of both artifacts that differs.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Changed")]
pub(crate) struct ChangedFile {
    /// Its name in the artifact.
    pub(crate) path: String,
    /// Bytes in the first, unpacked.
    pub(crate) before: u64,
    /// Bytes in the second, unpacked.
    pub(crate) after: u64,
}

impl Difference {
    /// Compares two artifacts: zips by their files, images by their layers.
    pub(crate) fn between(first: &ArtifactContent, second: &ArtifactContent) -> Result<Self> {
        match (first, second) {
            (ArtifactContent::Zip(first), ArtifactContent::Zip(second)) => {
                Ok(Self::of(&read(first)?, &read(second)?))
            }
            (ArtifactContent::Image(first), ArtifactContent::Image(second)) => Self::of_layers(first, second),
            _ => Err(Failure::usage("a zip and an image cannot be compared").hint(
                "`package` of a function cannot change: Lambda takes a zip and an image for two functions",
            )),
        }
    }

    /// Compares the config and the layers of two manifests by their digests.
    fn of_layers(first: &[u8], second: &[u8]) -> Result<Self> {
        let (first, second) = (blobs(first)?, blobs(second)?);
        let only = |here: &BTreeMap<String, u64>, there: &BTreeMap<String, u64>| {
            here.iter()
                .filter(|(name, _)| !there.contains_key(*name))
                .map(|(name, size)| ArtifactFile { path: name.clone(), size: *size })
                .collect()
        };
        Ok(Self { added: only(&second, &first), removed: only(&first, &second), changed: Vec::new() })
    }

    /// Compares two listings.
    pub(crate) fn of(first: &Listing, second: &Listing) -> Self {
        let by_path = |listing: &Listing| -> BTreeMap<String, ListingEntry> {
            listing.entries().iter().map(|entry| (entry.path.clone(), entry.clone())).collect()
        };
        let (first, second) = (by_path(first), by_path(second));
        let only = |here: &BTreeMap<String, ListingEntry>, there: &BTreeMap<String, ListingEntry>| {
            here.values()
                .filter(|entry| !there.contains_key(&entry.path))
                .map(|entry| ArtifactFile { path: entry.path.clone(), size: entry.size })
                .collect()
        };
        let changed = first
            .values()
            .filter_map(|before| {
                let after = second.get(&before.path)?;
                (before.sha256 != after.sha256 || before.mode != after.mode).then(|| ChangedFile {
                    path: before.path.clone(),
                    before: before.size,
                    after: after.size,
                })
            })
            .collect();
        Self { added: only(&second, &first), removed: only(&first, &second), changed }
    }

    /// Writes one line for each file, at most `limit` of each kind.
    pub(crate) fn lines(&self, limit: usize) -> Vec<String> {
        let mut lines = Vec::new();
        for (sign, files) in [("+", &self.added), ("-", &self.removed)] {
            lines.extend(
                files.iter().take(limit).map(|file| format!("{sign} {}  {}", file.path, bytes(file.size))),
            );
            lines.extend(omitted(files.len(), limit, sign));
        }
        lines.extend(self.changed.iter().take(limit).map(|changed| {
            format!(
                "~ {}  {}  ({})",
                changed.path,
                bytes(changed.after),
                signed_bytes(changed.before, changed.after)
            )
        }));
        lines.extend(omitted(self.changed.len(), limit, "~"));
        lines
    }
}

/// Lists the tools whose versions differ: name, before, after; `-` where a build did not use the tool.
pub(crate) fn tool_differences(
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) -> Vec<(String, String, String)> {
    let version = |tools: &BTreeMap<String, String>, name: &str| {
        tools.get(name).cloned().unwrap_or_else(|| "-".to_owned())
    };
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    names
        .into_iter()
        .filter(|name| before.get(*name) != after.get(*name))
        .map(|name| (name.clone(), version(before, name), version(after, name)))
        .collect()
}

/// Lists the blobs that a manifest names, `config sha256:…` and `layer sha256:…`, with their sizes.
fn blobs(manifest: &[u8]) -> Result<BTreeMap<String, u64>> {
    let document: serde_json::Value = serde_json::from_slice(manifest)
        .map_err(|error| Failure::failed("an image's manifest is not JSON").caused_by(error))?;
    let layers = document["layers"].as_array().into_iter().flatten().map(|layer| ("layer", layer));
    Ok(std::iter::once(("config", &document["config"]))
        .chain(layers)
        .map(|(kind, blob)| {
            let digest = blob["digest"].as_str().unwrap_or_default();
            (format!("{kind} {digest}"), blob["size"].as_u64().unwrap_or_default())
        })
        .collect())
}

fn omitted(count: usize, limit: usize, sign: &str) -> Option<String> {
    (count > limit).then(|| format!("{sign} …{} more", count - limit))
}

fn read(zip: &Path) -> Result<Listing> {
    slipway_archive::read_zip(zip)
        .map_err(|error| Failure::failed(format!("{} cannot be read", zip.display())).caused_by(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(files: &[(&str, bool, &str)]) -> Listing {
        let folder = tempfile::tempdir().unwrap();
        let mut tree = slipway_archive::Tree::new();
        for (name, executable, content) in files {
            tree.add_bytes(name, *executable, content.as_bytes().to_vec()).unwrap();
        }
        let zip = folder.path().join("a.zip");
        slipway_archive::write_zip(&tree, &zip, &|_| ()).unwrap();
        read(&zip).unwrap()
    }

    #[test]
    fn images_differ_by_layer() {
        let manifest = |layers: &[(&str, u64)]| {
            let layers: Vec<_> = layers
                .iter()
                .map(|(digest, size)| serde_json::json!({ "digest": digest, "size": size }))
                .collect();
            let config = serde_json::json!({ "digest": "sha256:c", "size": 9 });
            ArtifactContent::Image(
                serde_json::json!({ "config": config, "layers": layers }).to_string().into_bytes(),
            )
        };
        let (first, second) =
            (manifest(&[("sha256:a", 5), ("sha256:b", 6)]), manifest(&[("sha256:a", 5), ("sha256:d", 7)]));
        let difference = Difference::between(&first, &second).unwrap();
        assert_eq!(difference.lines(9), ["+ layer sha256:d  7 B", "- layer sha256:b  6 B"]);
        assert!(Difference::between(&first, &ArtifactContent::Zip("a.zip".into())).is_err());
    }

    #[test]
    fn difference_lines_show_every_kind_with_its_size() {
        let first =
            listing(&[("a", false, "1"), ("b", false, "22"), ("mode", false, "x"), ("same", true, "s")]);
        let second =
            listing(&[("b", false, "2222"), ("c", true, "333"), ("mode", true, "x"), ("same", true, "s")]);
        let difference = Difference::of(&first, &second);
        assert_eq!(
            difference.lines(9),
            ["+ c  3 B", "- a  1 B", "~ b  4 B  (+2 B)", "~ mode  1 B  (same size)"]
        );
        assert_eq!(difference.lines(0), ["+ …1 more", "- …1 more", "~ …2 more"]);
        assert!(Difference::of(&first, &first).lines(9).is_empty());
    }
}
