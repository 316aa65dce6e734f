//! The project that a function's releases belong to: markers `releases/<function>/project.<name>.json` beside the manifests.
//!
//! The key has the project's name, so that the listing of versions says whose they are without another call. Two projects that
//! begin at the same moment leave two markers, and both are refused until one replaces the other: objects of a store are never
//! changed, so that this is another marker, `project.<name>.replaces.<other>.json`.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::catalogue::Catalogue;
use super::manifest::Manifest;
use crate::failure::{Failure, Result};
use crate::format;
use crate::name::FunctionName;
use crate::ownership::{Marker, ProjectIdentity, Traces};

/// What is known of a function's owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Its releases have no marker.
    Unmarked,
    /// They have none, and a manifest shows that they are this project's.
    Shown,
    /// They have this project's marker.
    Marked,
}

/// The project that releases have to belong to, and what is known so far, by function.
pub(super) struct Owner {
    project: ProjectIdentity,
    known: Mutex<BTreeMap<FunctionName, Standing>>,
}

impl Owner {
    pub(super) fn new(project: ProjectIdentity) -> Self {
        Self { project, known: Mutex::new(BTreeMap::new()) }
    }

    fn standing(&self, function: &FunctionName) -> Option<Standing> {
        self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get(function).copied()
    }

    fn remember(&self, function: &FunctionName, standing: Standing) {
        let mut known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        known.insert(function.clone(), standing);
    }
}

impl Catalogue {
    /// Returns the project's name, where the catalogue has to belong to one.
    pub(super) fn project(&self) -> Option<&str> {
        self.owner.as_deref().map(|owner| owner.project.project.as_str())
    }

    /// Refuses the releases of another project, by the keys of a function's folder.
    pub(super) fn check_keys(&self, function: &FunctionName, keys: &[String]) -> Result<()> {
        let Some(owner) = self.owner.as_deref().filter(|owner| owner.standing(function).is_none()) else {
            return Ok(());
        };
        let markers = Markers::of(function, &owner.project.project, keys);
        if !markers.others.is_empty() {
            return Err(self.foreign(&owner.project, function, &markers.others));
        }
        owner.remember(function, if markers.own { Standing::Marked } else { Standing::Unmarked });
        Ok(())
    }

    /// Refuses the releases of another project, by a listing of its own.
    pub(super) async fn check_listing(&self, function: &FunctionName) -> Result<()> {
        if self.owner.as_deref().is_none_or(|owner| owner.standing(function).is_some()) {
            return Ok(());
        }
        let keys = self.store().list(&marker_start(function), None).await?;
        self.check_keys(function, &keys)
    }

    /// Refuses a release that neither a marker nor its own source shows to be this project's.
    pub(super) fn check_manifest(&self, manifest: &Manifest) -> Result<()> {
        let Some(owner) = self.owner.as_deref() else { return Ok(()) };
        if owner.standing(&manifest.function) != Some(Standing::Unmarked) {
            return Ok(());
        }
        let traces = Traces {
            commits: vec![&manifest.source.commit],
            repository: manifest.source.repository.as_deref(),
            function_names: Vec::new(),
        };
        if owner.project.wrote(&traces) {
            owner.remember(&manifest.function, Standing::Shown);
            return Ok(());
        }
        Err(self.unproven(&owner.project, manifest))
    }

    /// Writes this project's marker before a function's release, where there is none.
    pub(super) async fn mark(&self, function: &FunctionName) -> Result<()> {
        let Some(owner) = self.owner.as_deref() else { return Ok(()) };
        self.check_listing(function).await?;
        if owner.standing(function) == Some(Standing::Unmarked) {
            // Reading a manifest checks whose it is.
            self.newest(function).await?;
        }
        if owner.standing(function) != Some(Standing::Marked) {
            self.write_marker(owner, function).await?;
        }
        Ok(())
    }

    /// Makes a function's releases this project's, whatever they show. Another project's are taken over only if `from` names
    /// it. Returns whether a marker was written.
    pub(crate) async fn claim(&self, function: &FunctionName, from: Option<&str>) -> Result<bool> {
        let Some(owner) = self.owner.as_deref() else { return Ok(false) };
        let own = &owner.project.project;
        let keys = self.store().list(&marker_start(function), None).await?;
        let markers = Markers::of(function, own, &keys);
        if markers.own && markers.others.is_empty() {
            return Ok(false);
        }
        if markers.others.iter().any(|other| Some(other.as_str()) != from) {
            return Err(self.foreign(&owner.project, function, &markers.others));
        }
        self.write_marker(owner, function).await?;
        for other in markers.others {
            let marker = Marker { replaces: vec![other.clone()], ..owner.project.marker(None) };
            self.store().put_new(&replacing_key(function, own, &other), marker.bytes()?).await?;
        }
        Ok(true)
    }

    async fn write_marker(&self, owner: &Owner, function: &FunctionName) -> Result<()> {
        let bytes = owner.project.marker(None).bytes()?;
        // One that exists has this project's name in its key, and perhaps another address of its repository.
        self.store().put_new(&marker_key(function, &owner.project.project), bytes).await?;
        owner.remember(function, Standing::Marked);
        Ok(())
    }

    fn foreign(&self, project: &ProjectIdentity, function: &FunctionName, others: &[String]) -> Failure {
        let other = others.first().map(String::as_str).unwrap_or_default();
        Failure::refused(format!(
            "the releases of `{function}` in {} belong to the project {}, and this is {}",
            self.store().place(),
            format::list(others),
            project.project
        ))
        .detail("this project", project.describe())
        .detail("marker", format!("{}/{}", self.store().place(), marker_key(function, other)))
        .unchanged("Nothing was built, published or deployed.")
        .hint(format!(
            "prefix = \"{0}/\" under [store] in pipelines/project.toml gives this project keys of its own; \
             if the project was renamed: cargo xtask claim --function {function} --from {other}",
            project.project
        ))
    }

    fn unproven(&self, project: &ProjectIdentity, manifest: &Manifest) -> Failure {
        let Manifest { function, version, source, .. } = manifest;
        Failure::refused(format!(
            "the releases of `{function}` in {} may be another project's: neither the commit nor the repository of {version} \
             is known to be of {}",
            self.store().place(),
            project.project
        ))
        .detail("commit", source.commit.clone())
        .detail("repository", source.repository.clone().unwrap_or_else(|| "unknown".to_owned()))
        .detail("this project", project.describe())
        .unchanged("Nothing was built, published or deployed.")
        .hint(format!(
            "if they are this project's: cargo xtask claim --function {function}; if they are another's: prefix = \"{}/\" \
             under [store] in pipelines/project.toml gives this project keys of its own",
            project.project
        ))
    }
}

/// The markers of a function's releases, by their keys.
struct Markers {
    /// Whether this project has one.
    own: bool,
    /// The other projects that have one, without those that this project replaces.
    others: Vec<String>,
}

impl Markers {
    fn of(function: &FunctionName, own: &str, keys: &[String]) -> Self {
        let start = marker_start(function);
        let names = || keys.iter().filter_map(|key| key.strip_prefix(&start)?.strip_suffix(".json"));
        let replaced: Vec<&str> =
            names().filter_map(|name| name.strip_prefix(own)?.strip_prefix(REPLACES)).collect();
        // A project's name has no dot.
        let owners = names().filter(|name| !name.contains('.'));
        let others = owners.filter(|name| *name != own && !replaced.contains(name)).map(str::to_owned);
        Self { others: others.collect(), own: names().any(|name| name == own) }
    }
}

/// What is between two projects' names in the key of a marker with which one replaces the other.
const REPLACES: &str = ".replaces.";

fn replacing_key(function: &FunctionName, own: &str, other: &str) -> String {
    format!("{}{own}{REPLACES}{other}.json", marker_start(function))
}

fn marker_start(function: &FunctionName) -> String {
    format!("releases/{function}/project.")
}

fn marker_key(function: &FunctionName, project: &str) -> String {
    format!("{}{project}.json", marker_start(function))
}
