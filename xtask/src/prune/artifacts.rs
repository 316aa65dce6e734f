//! The zips and images of releases that no environment needs. The manifests stay, so that a version always means one thing.

use std::collections::{BTreeMap, BTreeSet};

use super::{Needed, PruneItem, PrunePlan, PrunedKind, Pruner};
use crate::failure::{Failure, Result};
use crate::name::FunctionName;
use crate::release::Manifest;
use crate::settings::PackageType;

impl Pruner<'_> {
    /// Adds the zips and images of the functions that the environment runs; `needed` is what every environment needs, `running`
    /// the hashes of the code of its Lambda versions that stay: Lambda copies a zip, and fetches an image again.
    pub(super) async fn plan_artifacts(
        &self,
        needed: &Needed,
        running: &BTreeSet<String>,
        plan: &mut PrunePlan,
    ) -> Result<()> {
        let functions: BTreeSet<FunctionName> =
            needed.releases.keys().map(|(function, _)| function.clone()).collect();
        let (mut kept, mut removed): (BTreeMap<String, PruneItem>, BTreeMap<String, PruneItem>) =
            Default::default();
        for function in &functions {
            let versions = self.catalogue.versions(function).await?;
            let newest: BTreeSet<_> = {
                let mut sorted = versions.clone();
                sorted.sort();
                sorted.into_iter().rev().take(self.keep.max(1)).collect()
            };
            for version in versions {
                let Some(manifest) = self.catalogue.find(function, &version).await? else { continue };
                let is_image = manifest.package == PackageType::Image;
                let why = needed.releases.get(&(function.clone(), version.clone())).cloned();
                let why = why
                    .or_else(|| newest.contains(&version).then(|| "one of the newest releases".to_owned()));
                let runs = is_image && running.contains(&manifest.artifact.code_sha256);
                let why = why.or_else(|| runs.then(|| "a Lambda version that stays runs it".to_owned()));
                let key = manifest.artifact.key.clone();
                match why {
                    Some(why) => drop(kept.insert(key.clone(), item(&manifest, why))),
                    None => drop(removed.insert(
                        key,
                        item(&manifest, "no environment serves, wants, holds or may go back to it".into()),
                    )),
                }
            }
        }
        // Several releases may have the same bytes.
        removed.retain(|key, _| !kept.contains_key(key));
        for (key, item) in removed {
            // One that is gone already is not removed again.
            let exists = match item.parts.as_slice() {
                [repository, digest] if item.kind == PrunedKind::Image => {
                    let digest =
                        digest.parse().map_err(|_| Failure::defect("an image without its digest"))?;
                    self.catalogue.images()?.manifest(repository, &digest).await?.is_some()
                }
                _ => self.catalogue.store().head(&key).await?.is_some(),
            };
            if exists {
                plan.remove.push(item);
            }
        }
        plan.keep.extend(kept.into_values());
        Ok(())
    }
}

fn item(manifest: &Manifest, why: String) -> PruneItem {
    let artifact = &manifest.artifact;
    let (kind, parts) = match manifest.package {
        PackageType::Zip => (PrunedKind::Artifact, vec![artifact.key.clone()]),
        PackageType::Image => {
            (PrunedKind::Image, vec![artifact.repository().to_owned(), artifact.sha256.to_string()])
        }
    };
    PruneItem { kind, name: format!("{} {}", manifest.function, manifest.version), why, parts }
}
