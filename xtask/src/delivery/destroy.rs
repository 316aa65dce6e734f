//! Destroying a stack: planned from the configuration that is applied, guarded, and recorded in the ledger.
//!
//! In: a site, and the names that were typed ahead. Out: what was removed. Goes wrong: a protected environment or address
//! whose name nobody typed, locks, what Terraform or AWS refuse to delete; what is left is still in the state then, and the
//! same command carries on.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use super::back::applied_configuration;
use super::{Site, record_failure, settle, show};
use crate::failure::{Failure, Outcome};
use crate::graph::{self, Node};
use crate::interrupt::Interrupt;
use crate::ledger::{Ended, Kind, OutcomeWord};
use crate::name::{EnvironmentName, FunctionName, StackName, Version};
use crate::plan::{self, Change};
use crate::release::Manifest;

/// How many stacks are destroyed at the same time.
const AT_ONCE: usize = 4;

/// What destroying a stack came to.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Destroyed {
    /// The environment.
    pub(crate) environment: EnvironmentName,
    /// The stack.
    pub(crate) stack: StackName,
    /// The number that the ledger gave it.
    pub(crate) deployment: u64,
    /// What was removed.
    pub(crate) changes: Vec<Change>,
}

/// Destroys stacks, each before those that it needs; results come in the order of the sites.
pub(crate) async fn destroy_all(
    sites: &[Site],
    confirmed: &BTreeSet<String>,
    interrupt: &Interrupt,
) -> Vec<(StackName, graph::End<Option<Destroyed>>)> {
    let nodes = sites
        .iter()
        .map(|site| {
            let needs_it = sites.iter().filter(|other| other.stack_settings.upstream().contains(&site.stack));
            let after = needs_it.map(|other| other.stack.to_string()).collect();
            Node::new(site.stack.to_string(), after, destroy(site, confirmed))
        })
        .collect();
    let ends = graph::run(nodes, AT_ONCE, interrupt).await;
    sites.iter().map(|site| site.stack.clone()).zip(ends.into_iter().map(|(_, end)| end)).collect()
}

/// Destroys what a stack's state holds; nothing where it holds nothing.
async fn destroy(site: &Site, confirmed: &BTreeSet<String>) -> Outcome<Option<Destroyed>> {
    settle(site).await?;
    let lock = site.lock_work().await?;
    let last = settle(site).await?;
    if !holds_resources(site).await? {
        return Ok(None);
    }
    let releases = releases(site, last.as_ref()).await?;
    let configuration = match &last {
        Some(last) => applied_configuration(site, &lock, last, &releases).await?,
        None => site.configure(&lock, &site.root, &releases, site.inputs(&site.root).await?)?,
    };
    let planned = site.infrastructure.plan_destroy(&configuration).await?;
    show(site, &planned);
    let agreed = named(site, &planned, confirmed).and_then(|()| {
        let what = crate::words::plural(planned.changes.len(), "resource");
        site.approver.approve(&format!("Destroy {what} of {} in {}?", site.stack, site.environment))
    });
    match agreed {
        Ok(true) => {}
        refused => {
            let _ = std::fs::remove_file(&planned.file);
            let failure = refused.err().unwrap_or_else(|| Failure::refused("not approved"));
            return Err(failure.unchanged(format!("Nothing of {} was destroyed.", site.stack)));
        }
    }
    let started = site.started(Kind::Destroy, last.as_ref(), BTreeMap::new());
    site.ledger.begin(&started).await?;
    let lease = site.keep_lease(started.deployment);
    let result = site.infrastructure.apply(&configuration, &planned).await;
    drop(lease);
    if let Err(failure) = result {
        return Err(record_failure(site, &started, last.as_ref(), failure).await);
    }
    let mut ended = Ended::of(&started, last.as_ref(), OutcomeWord::Destroyed, site.clock.now());
    ended.was_destroyed();
    ended.state = plan::state_mark(site.store.as_ref(), &site.stack).await?.map(|(mark, _)| mark);
    site.ledger.end(&ended).await?;
    Ok(Some(Destroyed {
        environment: site.environment.clone(),
        stack: site.stack.clone(),
        deployment: started.deployment,
        changes: planned.changes,
    }))
}

/// Tells whether a stack's state holds anything.
pub(crate) async fn holds_resources(site: &Site) -> Outcome<bool> {
    let state = plan::state_mark(site.store.as_ref(), &site.stack).await?.map(|(_, state)| state);
    let resources = state.as_ref().and_then(|state| state.get("resources")?.as_array());
    Ok(resources.is_some_and(|resources| !resources.is_empty()))
}

/// Returns a release for each function of the stack: the variables' validations want one, whatever is destroyed.
async fn releases(site: &Site, last: Option<&Ended>) -> Outcome<BTreeMap<FunctionName, Manifest>> {
    let mut versions: BTreeMap<&FunctionName, &Version> = BTreeMap::new();
    if let Some(last) = last {
        versions.extend(last.will.iter().map(|(function, choice)| (function, &choice.release)));
        versions.extend(last.serves.iter().map(|(function, serving)| (function, &serving.release)));
    }
    let mut releases = BTreeMap::new();
    for function in &site.stack_settings.functions {
        let manifest = match versions.get(function) {
            Some(version) => Some(site.catalogue.manifest(function, version).await?),
            None => site.catalogue.newest(function).await?,
        };
        releases.extend(manifest.map(|manifest| (function.clone(), manifest)));
    }
    Ok(releases)
}

/// Demands the names of what is protected: of the environment, and of each protected address that would go.
fn named(site: &Site, planned: &plan::Planned, confirmed: &BTreeSet<String>) -> Outcome<()> {
    let environment = site.settings.protected.then(|| site.environment.to_string());
    let addresses = if matches!(site.settings.place, crate::settings::Place::Emulated) {
        Vec::new()
    } else {
        plan::protected(&site.stack, &site.stack_settings.protect, planned)?
    };
    for name in environment.into_iter().chain(addresses) {
        if confirmed.contains(&name) {
            continue;
        }
        match site.approver.typed(&name) {
            Ok(true) => {}
            Ok(false) => return Err(Failure::refused(format!("`{name}` is protected and was not typed"))),
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}
