//! Published Lambda versions: those that no alias, no rollback and no state needs.

use std::collections::{BTreeMap, BTreeSet};

use super::{PruneItem, PrunePlan, PrunedKind, Pruner};
use crate::failure::Result;
use crate::ledger::Ended;
use crate::name::FunctionName;

impl Pruner<'_> {
    /// Adds the versions of a stack's functions, and returns the hashes of the code of those that stay.
    pub(super) async fn plan_versions(
        &self,
        history: &[Ended],
        last: &Ended,
        plan: &mut PrunePlan,
    ) -> Result<BTreeSet<String>> {
        let mut running = BTreeSet::new();
        for (function, serving) in &last.serves {
            let name = &serving.function_name;
            let alias = self.functions.alias(name, &serving.alias).await?;
            let mut spared: BTreeMap<String, String> = BTreeMap::new();
            let mut spare = |version: &str, why: String| {
                spared.entry(version.to_owned()).or_insert(why);
            };
            spare(&serving.lambda_version, "serves".into());
            for version in
                alias.iter().flat_map(|alias| std::iter::once(&alias.version).chain(alias.weights.keys()))
            {
                spare(version, format!("the alias `{}` points to it", serving.alias));
            }
            spare(&serving.newest_version, "is the one that Terraform knows".into());
            for wanted in
                last.unfinished_rollback().into_values().filter_map(|wanted| wanted.lambda_version.as_ref())
            {
                spare(wanted, "an unfinished rollback wants it".into());
            }
            for (version, deployment) in
                earlier_versions(history, function, &serving.lambda_version, self.keep)
            {
                spare(&version, format!("a rollback to deployment {deployment} may want it"));
            }
            let known = known_codes(history, function);
            for published in self.functions.versions(name).await? {
                let version = published.version;
                let (item_name, parts) = (format!("{name}:{version}"), vec![name.clone(), version.clone()]);
                let item =
                    |why: String| PruneItem { kind: PrunedKind::LambdaVersion, name: item_name, why, parts };
                let why = match spared.get(&version) {
                    Some(why) => why.clone(),
                    None if !known.contains(published.code_sha256.as_str()) => {
                        "no deployment knows its code: somebody else published it".into()
                    }
                    None => {
                        plan.remove.push(item(format!("not among the {} before the serving one", self.keep)));
                        continue;
                    }
                };
                plan.keep.push(item(why));
                running.insert(published.code_sha256);
            }
        }
        Ok(running)
    }
}

/// Returns the newest verified Lambda versions of a function before the serving one, each with the newest deployment that served it.
fn earlier_versions(
    history: &[Ended],
    function: &FunctionName,
    serves: &str,
    keep: usize,
) -> Vec<(String, u64)> {
    let mut found: Vec<(String, u64)> = Vec::new();
    for ended in history {
        let Some(serving) = ended.verified(function) else { continue };
        let version = &serving.lambda_version;
        if version != serves && found.len() < keep && found.iter().all(|(known, _)| known != version) {
            found.push((version.clone(), ended.deployment));
        }
    }
    found
}

/// Returns the hashes of all code that deployments served or wanted to serve.
fn known_codes<'a>(history: &'a [Ended], function: &FunctionName) -> BTreeSet<&'a str> {
    let serves = history.iter().filter_map(|ended| Some(ended.serves.get(function)?.code_sha256.as_str()));
    let wanted = history.iter().filter_map(|ended| Some(ended.will.get(function)?.code_sha256.as_str()));
    serves.chain(wanted).collect()
}
