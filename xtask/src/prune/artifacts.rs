//! The zips of releases that no environment needs. The manifests stay, so that a version always means one thing.

use std::collections::{BTreeMap, BTreeSet};

use super::{Needed, PruneItem, PrunePlan, PrunedKind, Pruner};
use crate::failure::Result;
use crate::name::FunctionName;
use crate::release::Manifest;
use crate::settings::PackageType;

impl Pruner<'_> {
    /// Adds the zips of the functions that the environment runs; `needed` is what every environment needs.
    pub(super) async fn plan_artifacts(&self, needed: &Needed, plan: &mut PrunePlan) -> Result<()> {
        let functions: BTreeSet<FunctionName> =
            needed.releases.keys().map(|(function, _)| function.clone()).collect();
        let (mut kept, mut removed): (BTreeMap<String, PruneItem>, BTreeMap<String, PruneItem>) =
            Default::default();
        let mut images = BTreeSet::new();
        for function in &functions {
            let versions = self.catalogue.versions(function).await?;
            let newest: BTreeSet<_> = {
                let mut sorted = versions.clone();
                sorted.sort();
                sorted.into_iter().rev().take(self.keep.max(1)).collect()
            };
            for version in versions {
                let Some(manifest) = self.catalogue.find(function, &version).await? else { continue };
                if manifest.package == PackageType::Image {
                    images.insert(function.to_string());
                    continue;
                }
                let why = needed.releases.get(&(function.clone(), version.clone())).cloned();
                let why = why
                    .or_else(|| newest.contains(&version).then(|| "one of the newest releases".to_owned()));
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
            if self.catalogue.store().head(&key).await?.is_some() {
                plan.remove.push(item);
            }
        }
        plan.keep.extend(kept.into_values());
        plan.untouched.extend(images.into_iter().map(|function| {
            format!("the images of {function}: remove those in the registry that no release here names")
        }));
        Ok(())
    }
}

fn item(manifest: &Manifest, why: String) -> PruneItem {
    PruneItem {
        kind: PrunedKind::Artifact,
        name: format!("{} {}", manifest.function, manifest.version),
        why,
        parts: vec![manifest.artifact.key.clone()],
    }
}
