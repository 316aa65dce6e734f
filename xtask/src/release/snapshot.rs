//! A snapshot of the catalogue for a run that looks at many functions: which releases exist, read in a few calls side by side,
//! and manifests that need no reading because they are proven.
//!
//! In: functions, and the releases that ledgers of this run name. Out: a catalogue that answers from the snapshot. The number of
//! round trips does not grow with the number of functions. A manifest is taken from this machine only if its bytes have the
//! digest that a ledger recorded, and the store lists the object with the mark that it had when those bytes were read: a
//! replaced object has another mark, is read again, and is then refused as any that is not the deployed one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::catalogue::Catalogue;
use super::manifest::Manifest;
use crate::digest::Digest;
use crate::failure::Result;
use crate::name::{FunctionName, Version};
use crate::ports::{Listed, side_by_side};

/// Releases that ledgers name, with the digests of their manifests, by function.
pub(crate) type RecordedReleases = BTreeMap<FunctionName, (Version, Digest)>;

/// How many keys a page of a listing has: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>.
const PAGE: usize = 1_000;

/// Up to so many functions are listed each by itself: the store may have very many others.
const FEW: usize = 8;

/// What the store lists of some functions, by key, and what is known of their manifests.
pub(super) struct Snapshot {
    keys: BTreeMap<FunctionName, BTreeMap<String, String>>,
    recorded: RecordedReleases,
    /// Where manifests are kept on this machine.
    folder: PathBuf,
}

impl Snapshot {
    /// Returns a function's keys, where the snapshot has them.
    pub(super) fn keys(&self, function: &FunctionName) -> Option<Vec<String>> {
        Some(self.keys.get(function)?.keys().cloned().collect())
    }

    /// Returns the bytes of a manifest, where this machine has those that the ledger and the store name.
    pub(super) fn proven(&self, function: &FunctionName, version: &Version) -> Option<Vec<u8>> {
        let (_, digest) = self.recorded.get(function).filter(|(recorded, _)| recorded == version)?;
        let bytes = std::fs::read(self.file(digest, self.mark(function, version)?)).ok()?;
        (Digest::of(&bytes) == *digest).then_some(bytes)
    }

    /// Keeps the bytes of a manifest that a ledger names. Where that fails, it is read again the next time.
    pub(super) fn keep(&self, function: &FunctionName, version: &Version, bytes: &[u8]) {
        let digest = Digest::of(bytes);
        let is_recorded =
            self.recorded.get(function).is_some_and(|recorded| *recorded == (version.clone(), digest));
        let Some(mark) = self.mark(function, version).filter(|_| is_recorded) else { return };
        let file = self.file(&digest, mark);
        let kept = std::fs::create_dir_all(&self.folder).and_then(|()| {
            // Another run may do the same: what is renamed is whole.
            let partial = self.folder.join(format!("{}.partial", std::process::id()));
            std::fs::write(&partial, bytes).and_then(|()| std::fs::rename(&partial, file))
        });
        drop(kept);
    }

    fn mark(&self, function: &FunctionName, version: &Version) -> Option<&str> {
        let mark = self.keys.get(function)?.get(&Manifest::key(function, version))?;
        (!mark.is_empty()).then_some(mark)
    }

    fn file(&self, digest: &Digest, mark: &str) -> PathBuf {
        self.folder.join(format!("{}-{}.json", digest.hex(), &Digest::of(mark).hex()[..16]))
    }
}

impl Catalogue {
    /// Returns this catalogue with a snapshot of some functions' releases. Refuses those of another project.
    pub(crate) async fn snapshot(
        &self,
        functions: &[FunctionName],
        recorded: &RecordedReleases,
        folder: &Path,
    ) -> Result<Self> {
        let keys = self.list_functions(functions).await?;
        for function in functions {
            let own: Vec<String> =
                keys.get(function).into_iter().flatten().map(|(key, _)| key.clone()).collect();
            self.check_keys(function, &own)?;
        }
        Ok(self.with_snapshot(Snapshot { keys, recorded: recorded.clone(), folder: folder.to_path_buf() }))
    }

    /// Lists the keys of functions, with their marks: a page of all releases; then, side by side, the ranges that it left out;
    /// then each function that has more than a page by itself.
    async fn list_functions(
        &self,
        functions: &[FunctionName],
    ) -> Result<BTreeMap<FunctionName, BTreeMap<String, String>>> {
        let mut found = BTreeMap::new();
        let mut left: Vec<&FunctionName> = functions.iter().collect::<BTreeSet<_>>().into_iter().collect();
        // In the order of their keys, which is not that of their names: `a-b/` comes before `a/`.
        left.sort_by_key(|function| folder(function));
        if left.len() > FEW {
            let page = self.store().list_after("releases/", "releases/", PAGE).await?;
            left.retain(|function| !take(&mut found, function, &page));
            let folders: BTreeSet<&str> = page.iter().filter_map(|one| one.key.split('/').nth(1)).collect();
            // As many functions as half a page has, so that most ranges fit into one.
            let some = (PAGE / 2 * folders.len().max(1) / page.len().max(1)).max(1);
            let ranges: Vec<Vec<&FunctionName>> = left.chunks(some).map(<[_]>::to_vec).collect();
            let pages = side_by_side(ranges.iter().map(async |range| {
                let first = range.first().map(|function| folder(function)).unwrap_or_default();
                self.store().list_after("releases/", &first, PAGE).await
            }));
            for (range, page) in ranges.iter().zip(pages.await?) {
                for function in range {
                    take(&mut found, function, &page);
                }
            }
            left.retain(|function| !found.contains_key(*function));
        }
        let alone = side_by_side(left.iter().map(async |function| {
            let own = folder(function);
            self.store().list_after(&own, &own, usize::MAX).await
        }));
        for (function, page) in left.iter().zip(alone.await?) {
            let keys = page.into_iter().map(|listed| (listed.key, listed.mark)).collect();
            found.insert((*function).clone(), keys);
        }
        Ok(found)
    }
}

/// Takes a function's keys from a page, if that has all of them. Returns whether it has.
fn take(
    found: &mut BTreeMap<FunctionName, BTreeMap<String, String>>,
    function: &FunctionName,
    page: &[Listed],
) -> bool {
    let folder = folder(function);
    // `0` is the character after `/`: no key of the function comes after this.
    let end = format!("{}0", folder.trim_end_matches('/'));
    let is_whole = page.len() < PAGE || page.last().is_some_and(|last| last.key >= end);
    if is_whole {
        let first = page.partition_point(|listed| listed.key < folder);
        let own = page[first..].iter().take_while(|listed| listed.key.starts_with(&folder));
        let keys = own.map(|listed| (listed.key.clone(), listed.mark.clone())).collect();
        found.insert(function.clone(), keys);
    }
    is_whole
}

fn folder(function: &FunctionName) -> String {
    format!("releases/{function}/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fakes::FakeStore;

    #[tokio::test]
    async fn listing_of_many_functions_has_every_key_in_a_few_calls() {
        for (functions, versions) in [(3, 2), (40, 5), (400, 3), (1_000, 2), (12, 1_200)] {
            let faults = std::sync::Arc::default();
            let store = FakeStore::new("store", std::sync::Arc::clone(&faults));
            let mut names: Vec<FunctionName> =
                (0..functions).map(|number| format!("f{number:04}").parse().unwrap()).collect();
            // A name that begins like another's comes before it in the order of keys.
            names.extend(["f0001-b", "f0001b", "unreleased"].map(|name| name.parse().unwrap()));
            for name in names.iter().filter(|name| name.as_str() != "unreleased") {
                for version in 0..versions {
                    store.set(&Manifest::key(name, &Version::new(0, 1, version)), *b"x");
                }
            }
            store.set("releases/another/project.other.json", *b"x");
            let found = Catalogue::new(store.clone()).list_functions(&names).await.unwrap();
            for name in &names {
                let expected: Vec<String> = store.objects(&folder(name)).into_keys().collect();
                let keys: Vec<String> = found[name].keys().cloned().collect();
                assert_eq!(keys, expected, "{name} of {functions}");
            }
            let most = if versions > 1_000 { 40 } else { 12 };
            assert!(faults.calls() <= most, "{} calls for {functions} functions", faults.calls());
        }
    }
}
