//! Locks: a Python function's packages, pinned with hashes, resolved from its pyproject.toml or requirements.in, or exported
//! from its uv.lock.
//!
//! In: the function's settings and requirements, and the old lock. Out: a new lock file, if it differs from the old one, and
//! what changed ([`LockUpdate`]). Goes wrong: the function has no requirements, uv cannot resolve them, one of them
//! cannot be pinned with a hash.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;

use crate::failure::{Failure, Result};
use crate::format;
use crate::name::FunctionName;
use crate::progress::Progress;
use crate::settings::{BuildSettings, Project};
use crate::source::{DEFAULT_LOCK, PythonLock, PythonRequirements};
use crate::tools::uv::Uv;

/// The result of updating a function's lock.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Report")]
pub(crate) struct LockUpdate {
    /// The function.
    pub(crate) function: FunctionName,
    /// The lock, relative to the project.
    pub(crate) lock: PathBuf,
    /// How many packages it pins.
    pub(crate) packages: usize,
    /// Whether the file was written.
    pub(crate) written: bool,
    /// Packages that are new in it: name -> versions.
    pub(crate) added: BTreeMap<String, String>,
    /// Packages that are no longer in it: name -> versions.
    pub(crate) removed: BTreeMap<String, String>,
    /// Packages with other versions than before.
    pub(crate) changed: BTreeMap<String, VersionChange>,
}

/// A package's versions before and after an update.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "Change")]
pub(crate) struct VersionChange {
    /// Before.
    pub(crate) from: String,
    /// Now.
    pub(crate) to: String,
}

/// The versions that a lock pins for each package.
type Pins = BTreeMap<String, BTreeSet<String>>;

/// Resolves a function's requirements and writes its lock; `upgrade` takes the newest versions instead of keeping those that
/// still fit.
pub(crate) async fn update_lock(
    project: &Project,
    function: &FunctionName,
    uv: &Uv,
    upgrade: bool,
    progress: &Progress,
) -> Result<LockUpdate> {
    let settings = project.function(function)?;
    let BuildSettings::Python { lock: named, .. } = &settings.build else {
        return Err(Failure::usage(format!("`{function}` is not a Python function"))
            .hint("a lock is for functions with [build] with = \"python\""));
    };
    let folder = project.root.join(&settings.folder);
    let requirements =
        PythonRequirements::read(&folder, &settings.runtime, named.as_deref())?.ok_or_else(|| {
            Failure::usage(format!("`{function}` requires no package"))
                .unchanged("No lock was written.")
                .hint(format!(
                    "name packages in {}/requirements.in, or in pyproject.toml under [project] dependencies",
                    settings.folder.display()
                ))
        })?;
    if upgrade && requirements.chosen_by_uv {
        let folder = settings.folder.display();
        return Err(Failure::usage(format!("the versions of `{function}` are chosen in {folder}/uv.lock"))
            .unchanged("The lock was not changed.")
            .hint(format!("uv lock --upgrade --directory {folder}, then cargo xtask lock {function}")));
    }
    let name = named.as_deref().unwrap_or(DEFAULT_LOCK);
    let path = folder.join(name);
    // The lock that the settings name may not exist yet: this makes it.
    let old = if path.is_file() { PythonLock::read(&folder, Some(name))? } else { None };
    let previous = old.as_ref().filter(|_| !upgrade).map(|lock| lock.text.as_str());
    let python = settings.runtime.python_version().unwrap_or_default();
    let file = if requirements.chosen_by_uv { "uv.lock" } else { requirements.file };
    let step = progress.slow_step("lock", format!("{function}  {file} for Python {python}"));
    let compiled = match requirements.chosen_by_uv {
        true => uv.export(&folder, &step).await,
        false => uv.compile(&folder.join(requirements.file), python, previous, &step).await,
    };
    let compiled = match compiled {
        Ok(compiled) => compiled,
        Err(failure) => {
            step.failed("failed");
            return Err(failure.unchanged("The lock was not changed."));
        }
    };
    let new = PythonLock::of(path, function, &requirements, python, &compiled);
    if let Err(failure) = new.check_lines(function) {
        step.failed("failed");
        return Err(failure.unchanged("The lock was not changed."));
    }
    let written = old.as_ref().is_none_or(|old| old.text != new.text);
    if written {
        new.write()?;
    }
    let (before, now) = (old.map(|lock| lock.pins()).unwrap_or_default(), new.pins());
    step.done(format::plural(now.len(), "package"));
    Ok(LockUpdate {
        function: function.clone(),
        lock: settings.folder.join(name),
        packages: now.len(),
        written,
        added: only_in(&now, &before),
        removed: only_in(&before, &now),
        changed: version_changes(&before, &now),
    })
}

fn only_in(these: &Pins, others: &Pins) -> BTreeMap<String, String> {
    let new = these.iter().filter(|(name, _)| !others.contains_key(*name));
    new.map(|(name, found)| (name.clone(), versions(found))).collect()
}

fn version_changes(before: &Pins, now: &Pins) -> BTreeMap<String, VersionChange> {
    let change = |(name, to): (&String, &BTreeSet<String>)| {
        let from = before.get(name).filter(|from| *from != to)?;
        Some((name.clone(), VersionChange { from: versions(from), to: versions(to) }))
    };
    now.iter().filter_map(change).collect()
}

fn versions(found: &BTreeSet<String>) -> String {
    found.iter().cloned().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_added_removed_or_changed_between_two_locks() {
        let pins = |text: &str| {
            PythonLock { path: PathBuf::new(), text: text.replace('H', "--hash=sha256:0") }.pins()
        };
        let (before, now) = (pins("a==1 H\nb==1 H\nc==1 H\n"), pins("a==1 H\nb==2 H\nd==1 H\n"));
        assert_eq!(only_in(&now, &before), [("d".to_owned(), "1".to_owned())].into());
        assert_eq!(only_in(&before, &now), [("c".to_owned(), "1".to_owned())].into());
        let changed = VersionChange { from: "1".into(), to: "2".into() };
        assert_eq!(version_changes(&before, &now), [("b".to_owned(), changed)].into());
    }
}
