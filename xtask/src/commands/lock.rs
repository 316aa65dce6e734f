//! `lock`: pin a Python function's packages, with hashes, from what its pyproject.toml or requirements.in asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

use super::Answer;
use crate::app::AppContext;
use crate::failure::{self, Failure, Result};
use crate::format;
use crate::name::FunctionName;
use crate::settings::BuildSettings;
use crate::source::{self, HEADER, Lock};

/// Arguments of `lock`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The Python function.
    function: FunctionName,
    /// Take the newest versions that are asked for, instead of keeping those that still fit.
    #[arg(long)]
    upgrade: bool,
}

/// What locking changed.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
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
    pub(crate) changed: BTreeMap<String, Change>,
}

/// One package's versions.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Change {
    /// Before.
    pub(crate) from: String,
    /// Now.
    pub(crate) to: String,
}

/// Runs the command.
pub(crate) async fn run(app: &AppContext, arguments: Arguments) -> Result<Answer> {
    let function = arguments.function;
    let settings = app.project.function(&function)?;
    let BuildSettings::Python { lock: named, .. } = &settings.build else {
        return Err(Failure::usage(format!("`{function}` is no Python function"))
            .hint("a lock is for functions with [build] with = \"python\""));
    };
    let folder = app.project.root.join(&settings.folder);
    let wanted = source::wanted(&folder, &settings.runtime)?.ok_or_else(|| {
        Failure::usage(format!("`{function}` asks for no package")).unchanged("No lock was written.").hint(
            format!(
                "name packages in {}/requirements.in, or in pyproject.toml under [project] dependencies",
                settings.folder.display()
            ),
        )
    })?;
    let name = named.as_deref().unwrap_or("requirements.lock");
    let path = folder.join(name);
    // The named lock may not exist yet: this is the command that makes it.
    let old = if path.is_file() { source::lock(&folder, Some(name))? } else { None };
    let previous = old.as_ref().filter(|_| !arguments.upgrade).map(|lock| lock.text.as_str());
    let python = settings.runtime.python_version().unwrap_or_default();
    let step = app.progress.slow_step("lock", format!("{function}  {} for Python {python}", wanted.file));
    let compiled = app.uv().compile(&folder.join(wanted.file), python, previous, &step).await;
    let compiled = match compiled {
        Ok(compiled) => compiled,
        Err(failure) => {
            step.failed("failed");
            return Err(failure.unchanged("The lock was left as it is."));
        }
    };
    let text = format!(
        "{HEADER}{} of {} for python{python}\n# Made by `cargo xtask lock {function}`; do not edit.\n{}",
        wanted.digest,
        wanted.file,
        without_comments_before(&compiled)
    );
    let written = old.as_ref().is_none_or(|old| old.text != text);
    let new = Lock { path: path.clone(), text };
    if written {
        replace(&path, &new.text)?;
    }
    let before = old.map(|lock| lock.pins()).unwrap_or_default();
    let pins = new.pins();
    let report = Report {
        function,
        lock: settings.folder.join(name),
        packages: pins.len(),
        written,
        added: only_in(&pins, &before),
        removed: only_in(&before, &pins),
        changed: pins
            .iter()
            .filter_map(|(name, to)| {
                let from = before.get(name).filter(|from| *from != to)?;
                Some((name.clone(), Change { from: versions(from), to: versions(to) }))
            })
            .collect(),
    };
    step.done(format::plural(report.packages, "package"));
    Answer::new(&report, text_of(&report))
}

fn text_of(report: &Report) -> String {
    let mut text = String::new();
    report.added.iter().for_each(|(name, version)| text.push_str(&format!("+ {name} {version}\n")));
    report.removed.iter().for_each(|(name, version)| text.push_str(&format!("- {name} {version}\n")));
    let changed = report.changed.iter();
    changed.for_each(|(name, change)| text.push_str(&format!("~ {name} {} -> {}\n", change.from, change.to)));
    let lock = report.lock.display();
    let packages = format::plural(report.packages, "package");
    text.push_str(&match (report.written, text.is_empty()) {
        (false, _) => format!("{lock} is up to date: {packages}.\n"),
        (true, true) => format!("{lock} pins the same {packages} as before.\n"),
        (true, false) => format!("{lock} pins {packages}. Commit it.\n"),
    });
    text
}

fn only_in(
    these: &BTreeMap<String, BTreeSet<String>>,
    others: &BTreeMap<String, BTreeSet<String>>,
) -> BTreeMap<String, String> {
    let new = these.iter().filter(|(name, _)| !others.contains_key(*name));
    new.map(|(name, found)| (name.clone(), versions(found))).collect()
}

fn versions(found: &BTreeSet<String>) -> String {
    found.iter().cloned().collect::<Vec<_>>().join(", ")
}

/// Drops what a resolver writes before the first package, so that the same packages give the same file.
fn without_comments_before(compiled: &str) -> &str {
    let comments: usize =
        compiled.split_inclusive('\n').take_while(|line| line.starts_with('#')).map(str::len).sum();
    &compiled[comments..]
}

/// Writes a file at once or not at all.
fn replace(path: &Path, text: &str) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = path.parent().unwrap_or(Path::new("."));
    let failed = |error| failure::io("write", path, error);
    let mut file = tempfile::Builder::new()
        .prefix(".requirements-")
        .permissions(std::fs::Permissions::from_mode(0o666)) // less the umask, like any new file
        .tempfile_in(folder)
        .map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    file.persist(path).map(drop).map_err(|error| failed(error.error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_is_told_by_package() {
        let pins = |text: &str| Lock { path: PathBuf::new(), text: text.into() }.pins();
        let (before, now) = (pins("a==1\nb==1\nc==1\n"), pins("a==1\nb==2\nd==1\n"));
        assert_eq!(only_in(&now, &before), [("d".to_owned(), "1".to_owned())].into());
        assert_eq!(only_in(&before, &now), [("c".to_owned(), "1".to_owned())].into());
        let report = Report {
            function: "ingest".parse().unwrap(),
            lock: "lambda-src/ingest/requirements.lock".into(),
            packages: 3,
            written: true,
            added: only_in(&now, &before),
            removed: only_in(&before, &now),
            changed: [("b".to_owned(), Change { from: "1".into(), to: "2".into() })].into(),
        };
        insta::assert_snapshot!(text_of(&report), @r"
        + d 1
        - c 1
        ~ b 1 -> 2
        lambda-src/ingest/requirements.lock pins 3 packages. Commit it.
        ");
        assert_eq!(without_comments_before("# x\n# y\na==1\n    # via b\n"), "a==1\n    # via b\n");
    }
}
