//! What two artifacts hold differently: files added, removed and changed, with their sizes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;
use slipway_archive::{Listing, ListingEntry};

use crate::failure::{Failure, Result};
use crate::format::{bytes, signed_bytes};

/// What an artifact holds, as far as it is compared.
pub(crate) enum Content {
    /// The files of a zip.
    Zip(PathBuf),
    /// The layers that an image's manifest names.
    Image(Vec<u8>),
}

/// What the second of two artifacts holds that the first does not, and the other way round.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(crate) struct Difference {
    /// Only in the second.
    pub(crate) added: Vec<File>,
    /// Only in the first.
    pub(crate) removed: Vec<File>,
    /// In both, with other content or another mode.
    pub(crate) changed: Vec<Changed>,
}

/// A file of one artifact.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct File {
    /// Its name in the artifact.
    pub(crate) path: String,
    /// Bytes, unpacked.
    pub(crate) size: u64,
}

/// A file of both.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Changed {
    /// Its name in the artifact.
    pub(crate) path: String,
    /// Bytes in the first, unpacked.
    pub(crate) before: u64,
    /// Bytes in the second, unpacked.
    pub(crate) after: u64,
}

impl Difference {
    /// Compares two artifacts: zips by their files, images by their layers.
    pub(crate) fn between(first: &Content, second: &Content) -> Result<Self> {
        match (first, second) {
            (Content::Zip(first), Content::Zip(second)) => Ok(Self::of(&read(first)?, &read(second)?)),
            (Content::Image(first), Content::Image(second)) => Self::of_layers(first, second),
            _ => Err(Failure::usage("a zip and an image have nothing to compare")
                .hint("a function's package cannot change: an image is another function to Lambda")),
        }
    }

    /// Compares the config and the layers of two manifests by their digests.
    fn of_layers(first: &[u8], second: &[u8]) -> Result<Self> {
        let (first, second) = (blobs(first)?, blobs(second)?);
        let only = |here: &BTreeMap<String, u64>, there: &BTreeMap<String, u64>| {
            here.iter()
                .filter(|(name, _)| !there.contains_key(*name))
                .map(|(name, size)| File { path: name.clone(), size: *size })
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
                .map(|entry| File { path: entry.path.clone(), size: entry.size })
                .collect()
        };
        let changed = first
            .values()
            .filter_map(|before| {
                let after = second.get(&before.path)?;
                (before.sha256 != after.sha256 || before.mode != after.mode).then(|| Changed {
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
            lines.extend(rest(files.len(), limit, sign));
        }
        lines.extend(self.changed.iter().take(limit).map(|changed| {
            format!(
                "~ {}  {}  ({})",
                changed.path,
                bytes(changed.after),
                signed_bytes(changed.before, changed.after)
            )
        }));
        lines.extend(rest(self.changed.len(), limit, "~"));
        lines
    }
}

/// Lists what a manifest names: `config sha256:…` and `layer sha256:…`, with their sizes.
fn blobs(manifest: &[u8]) -> Result<BTreeMap<String, u64>> {
    let document: serde_json::Value = serde_json::from_slice(manifest)
        .map_err(|error| Failure::failed("an image's manifest is no JSON").caused_by(error))?;
    let layers = document["layers"].as_array().into_iter().flatten().map(|layer| ("layer", layer));
    Ok(std::iter::once(("config", &document["config"]))
        .chain(layers)
        .map(|(kind, blob)| {
            let digest = blob["digest"].as_str().unwrap_or_default();
            (format!("{kind} {digest}"), blob["size"].as_u64().unwrap_or_default())
        })
        .collect())
}

fn rest(count: usize, limit: usize, sign: &str) -> Option<String> {
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
            Content::Image(serde_json::json!({ "config": config, "layers": layers }).to_string().into_bytes())
        };
        let (first, second) =
            (manifest(&[("sha256:a", 5), ("sha256:b", 6)]), manifest(&[("sha256:a", 5), ("sha256:d", 7)]));
        let difference = Difference::between(&first, &second).unwrap();
        assert_eq!(difference.lines(9), ["+ layer sha256:d  7 B", "- layer sha256:b  6 B"]);
        assert!(Difference::between(&first, &Content::Zip("a.zip".into())).is_err());
    }

    #[test]
    fn every_kind_of_difference_is_told_with_its_size() {
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
