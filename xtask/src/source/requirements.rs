//! What a Python function asks for, and the lock that answers it.
//!
//! In: a function's folder with `pyproject.toml` or `requirements.in`, and its lock. Out: [`Wanted`], the digest of what is
//! asked for, and [`Lock`], pinned and hashed. Goes wrong: both files ask, a file cannot be read, the lock is missing or was
//! made from something else.
//!
//! A line of the lock that begins with [`HEADER`] holds the digest that it was made from. A lock of somebody else's, which
//! has no such line, stands where nothing beside it asks for anything.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use crate::digest::{Digest, DigestBuilder};
use crate::failure::{self, Failure, Result};
use crate::name::FunctionName;
use crate::runtime::Runtime;

/// Begins the line of a lock that says what it was made from.
pub(crate) const HEADER: &str = "# slipway.lock/1 ";

/// What a function asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// `pyproject.toml` or `requirements.in`, in the function's folder.
    pub(crate) file: &'static str,
    /// Digest of the requirements and of the Python version that they are for.
    pub(crate) digest: Digest,
}

/// A lock.
#[derive(Debug, Clone)]
pub(crate) struct Lock {
    /// Where it lies.
    pub(crate) path: PathBuf,
    /// All of it.
    pub(crate) text: String,
}

/// The lock's name where the settings name none.
pub(crate) const DEFAULT_LOCK: &str = "requirements.lock";

/// Reads what a function's folder asks for; nothing where it asks for nothing.
pub(crate) fn wanted(folder: &Path, runtime: &Runtime) -> Result<Option<Wanted>> {
    let project = folder.join("pyproject.toml");
    let project = if project.is_file() { asked_by_project(&project)? } else { None };
    let list = folder.join("requirements.in");
    let list = if list.is_file() { asked_by_list(&list)? } else { None };
    let (file, text) = match (project, list) {
        (Some(_), Some(_)) => {
            return Err(Failure::usage(format!(
                "{} asks for packages twice: in pyproject.toml, [project] dependencies, and in requirements.in",
                folder.display()
            ))
            .hint("keep one of the two"));
        }
        (Some(text), None) => ("pyproject.toml", text),
        (None, Some(text)) => ("requirements.in", text),
        (None, None) => return Ok(None),
    };
    let mut digest = DigestBuilder::new("slipway.requirements/1");
    digest.part("python", runtime.as_str());
    digest.part(file, text);
    Ok(Some(Wanted { file, digest: digest.finish() }))
}

/// Reads a function's lock: the named one, which must exist, or the one with the usual name where there is one.
pub(crate) fn lock(folder: &Path, named: Option<&str>) -> Result<Option<Lock>> {
    let path = folder.join(named.unwrap_or(DEFAULT_LOCK));
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(Lock { path, text })),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(Failure::usage(format!(
            "function.toml names the lock {}, which does not exist",
            path.display()
        ))
        .hint("make it with cargo xtask lock, or take the key `lock` out of function.toml")),
        Err(error) => Err(failure::io("read", &path, error)),
    }
}

impl Wanted {
    /// Refuses what is asked for without a lock.
    pub(crate) fn without_lock(&self, function: &FunctionName) -> Failure {
        Failure::usage(format!(
            "lambda-src/{function}/{} asks for packages, and there is no {DEFAULT_LOCK} beside it",
            self.file
        ))
        .unchanged("Nothing was built.")
        .hint(format!("cargo xtask lock {function}"))
    }
}

impl Lock {
    /// Refuses a lock that was made from something else than what is asked for now.
    pub(crate) fn check(&self, function: &FunctionName, wanted: Option<&Wanted>) -> Result<()> {
        let Some(wanted) = wanted else { return Ok(()) };
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let why = match self.made_from() {
            Some(digest) if digest == wanted.digest.hex() => return Ok(()),
            Some(_) => format!(
                "lambda-src/{function}/{name} is out of date: {} or the runtime changed since it was made",
                wanted.file
            ),
            None => format!(
                "lambda-src/{function}/{name} does not say what it was made from, so it may be out of date against {}",
                wanted.file
            ),
        };
        Err(Failure::usage(why).unchanged("Nothing was built.").hint(format!("cargo xtask lock {function}")))
    }

    /// Returns the digest of what the lock was made from.
    fn made_from(&self) -> Option<&str> {
        let line = self.text.lines().find_map(|line| line.strip_prefix(HEADER))?;
        line.split_whitespace().find_map(|word| word.strip_prefix("sha256:"))
    }

    /// Lists what is pinned: name -> versions; several where they differ by platform or Python version.
    pub(crate) fn pins(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut pins: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for line in self.text.lines().filter(|line| !line.starts_with([' ', '\t', '#', '-'])) {
            if let Some((name, rest)) = line.split_once("==") {
                let version = rest.split([' ', ';', '\\']).next().unwrap_or_default();
                let name = name.split('[').next().unwrap_or_default().trim();
                pins.entry(name.to_owned()).or_default().insert(version.to_owned());
            }
        }
        pins
    }
}

/// Takes out of `pyproject.toml` what decides a resolution; nothing where it names no dependency.
fn asked_by_project(path: &Path) -> Result<Option<String>> {
    let text = std::fs::read_to_string(path).map_err(|error| failure::io("read", path, error))?;
    let table: Table = text.parse().map_err(|error: toml::de::Error| {
        Failure::usage(format!("{} cannot be read as TOML", path.display())).caused_by(error)
    })?;
    let project = table.get("project");
    let dependencies = project.and_then(|project| project.get("dependencies")).and_then(Value::as_array);
    let Some(dependencies) = dependencies.filter(|list| !list.is_empty()) else { return Ok(None) };
    let mut text = dependencies.iter().map(|entry| format!("{entry}\n")).collect::<String>();
    let python = project.and_then(|project| project.get("requires-python"));
    let uv = table.get("tool").and_then(|tool| tool.get("uv"));
    for decides in [python, uv].into_iter().flatten() {
        text.push_str(&format!("{decides}\n"));
    }
    Ok(Some(text))
}

/// Takes the requirements out of a list and of the lists that it includes; nothing where there are none.
fn asked_by_list(path: &Path) -> Result<Option<String>> {
    let (mut text, mut seen, mut queue) = (String::new(), BTreeSet::new(), vec![path.to_path_buf()]);
    while let Some(path) = queue.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        let content = std::fs::read_to_string(&path).map_err(|error| failure::io("read", &path, error))?;
        for line in content.lines() {
            // As pip reads it: a comment begins a line or follows a blank.
            let line = if line.trim_start().starts_with('#') { "" } else { line };
            let line = line.split(" #").next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            text.push_str(line);
            text.push('\n');
            let included = ["-r", "--requirement", "-c", "--constraint"].iter().find_map(|option| {
                let rest = line.strip_prefix(option)?;
                rest.starts_with([' ', '=', '\t']).then(|| rest.trim_start_matches(['=', ' ', '\t']))
            });
            if let Some(included) = included.filter(|name| !name.contains("://")) {
                queue.push(path.parent().unwrap_or(Path::new("")).join(included));
            }
        }
    }
    Ok((!text.is_empty()).then_some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    fn digest(files: &[(&str, &str)]) -> Option<Digest> {
        wanted(folder(files).path(), &Runtime::Python313).unwrap().map(|wanted| wanted.digest)
    }

    #[test]
    fn only_what_decides_a_resolution_is_asked_for() {
        let project = |text: &str| digest(&[("pyproject.toml", text)]);
        let plain = project("[project]\ndependencies = [\"pydantic>=2\"]\n");
        assert!(plain.is_some());
        assert_eq!(
            plain,
            project("[project]\nversion = \"2\"\ndependencies = [ \"pydantic>=2\" ] # a\n[tool.ruff]\n")
        );
        assert_ne!(plain, project("[project]\ndependencies = [\"pydantic>=3\"]\n"));
        assert_ne!(
            plain,
            project("[project]\ndependencies = [\"pydantic>=2\"]\nrequires-python = \">=3.13\"\n")
        );
        assert_eq!(project("[project]\ndependencies = []\n"), None);
        assert_eq!(project("[tool.ruff]\n"), None);

        let list = |text: &str, more: &str| digest(&[("requirements.in", text), ("more.in", more)]);
        assert_eq!(list("# nothing\n\n", ""), None);
        assert_eq!(list("a # why\n", ""), list("\n# x\na\n", ""));
        assert_ne!(list("a\n-r more.in\n", "b"), list("a\n-r more.in\n", "c"));
        let here = folder(&[("requirements.in", "a\n")]);
        let runtime = |runtime| wanted(here.path(), &runtime).unwrap().unwrap().digest;
        assert_ne!(runtime(Runtime::Python312), runtime(Runtime::Python313));
    }

    #[test]
    fn two_files_that_ask_are_refused() {
        let both =
            folder(&[("requirements.in", "a\n"), ("pyproject.toml", "[project]\ndependencies = [\"b\"]\n")]);
        let failure = wanted(both.path(), &Runtime::Python313).unwrap_err();
        assert!(failure.message().contains("asks for packages twice"), "{failure}");
    }

    #[test]
    fn a_lock_that_was_made_from_something_else_is_refused() {
        let function = "ingest".parse().unwrap();
        let here = folder(&[("requirements.in", "a\n")]);
        let wanted = wanted(here.path(), &Runtime::Python313).unwrap().unwrap();
        let lock =
            |header: &str| Lock { path: "requirements.lock".into(), text: format!("{header}\na==1 \\\n") };
        let fresh = lock(&format!("{HEADER}{} of requirements.in", wanted.digest));
        fresh.check(&function, Some(&wanted)).unwrap();
        fresh.check(&function, None).unwrap();
        let stale = lock(&format!("{HEADER}{}", Digest::of("other")));
        let failure = stale.check(&function, Some(&wanted)).unwrap_err();
        assert!(
            failure.message().starts_with("lambda-src/ingest/requirements.lock is out of date"),
            "{failure}"
        );
        assert_eq!(failure.report().hint.as_deref(), Some("cargo xtask lock ingest"));
        let foreign = lock("").check(&function, Some(&wanted)).unwrap_err();
        assert!(foreign.message().contains("does not say what it was made from"), "{foreign}");
        lock("").check(&function, None).unwrap();
    }

    #[test]
    fn pins_are_read_with_extras_and_markers() {
        let text = "# c\na==1.0 \\\n    --hash=sha256:0\nb[x,y]==2 ; sys_platform == 'linux' \\\nb==3 ; sys_platform == 'win32'\n    # via a==9\n";
        let lock = Lock { path: PathBuf::new(), text: text.into() };
        let versions = |name: &str| lock.pins()[name].iter().cloned().collect::<Vec<_>>().join(" ");
        assert_eq!((versions("a"), versions("b"), lock.pins().len()), ("1.0".into(), "2 3".into(), 2));
    }
}
