//! Saved plans: those that expired and that no recent deployment names.

use std::collections::BTreeSet;

use super::{PruneItem, PrunePlan, PrunedKind, Pruner};
use crate::digest::Digest;
use crate::failure::Result;
use crate::saved_plans::{self, PREFIX};

impl Pruner<'_> {
    /// Adds the environment's saved plans; `used` are those of its newest deployments.
    pub(super) async fn plan_saved(&self, used: &BTreeSet<Digest>, plan: &mut PrunePlan) -> Result<()> {
        for digest in saved_plans::list(self.store, "").await? {
            let saved = match saved_plans::read(self.store, self.environment, digest).await {
                Ok(saved) => saved,
                Err(failure) => {
                    plan.untouched.push(format!("the saved plan {}: {failure}", digest.short()));
                    continue;
                }
            };
            let folder = format!("{PREFIX}{}/", digest.hex());
            let mut parts = self.store.list(&folder, None).await?;
            // The document last: until then the same command finds it again.
            parts.sort_by_key(|key| key.ends_with("/plan.json"));
            let item = |why: String| PruneItem {
                kind: PrunedKind::SavedPlan,
                name: saved.id.to_string(),
                why,
                parts: parts.clone(),
            };
            if saved.refuse_expired(self.now).is_ok() {
                plan.keep.push(item(format!("can be applied until {}", saved.document.expires)));
            } else if used.contains(&digest) {
                plan.keep.push(item("one of the newest deployments applied it".into()));
            } else {
                plan.remove.push(item(format!("expired at {}", saved.document.expires)));
            }
        }
        Ok(())
    }
}
