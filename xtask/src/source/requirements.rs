//! A Python function's requirements, and the lock that pins them.
//!
//! In: a function's folder with `pyproject.toml` or `requirements.in`, and its lock. Out: [`PythonRequirements`], the digest
//! of what is required, and [`PythonLock`], pinned and hashed. Goes wrong: both files have requirements, a file cannot be
//! read, the lock is missing or was made from other requirements.
//!
//! A line of the lock that begins with [`HEADER`] has the digest of the requirements. A lock that another tool made has no
//! such line; it is accepted where no file beside it has requirements.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use crate::digest::{Digest, DigestBuilder};
use crate::failure::{self, Failure, Result};
use crate::name::FunctionName;
use crate::runtime::Runtime;

/// Begins the line of a lock that has the digest of the requirements.
const HEADER: &str = "# slipway.lock/1 ";

/// The packages that a function requires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PythonRequirements {
    /// `pyproject.toml` or `requirements.in`, in the function's folder.
    pub(crate) file: &'static str,
    /// Digest of the requirements and of the Python version that they are for.
    pub(crate) digest: Digest,
}

/// A lock file.
#[derive(Debug, Clone)]
pub(crate) struct PythonLock {
    /// The file.
    pub(crate) path: PathBuf,
    /// Its text.
    pub(crate) text: String,
}

/// The lock's name where the settings name none.
pub(crate) const DEFAULT_LOCK: &str = "requirements.lock";

impl PythonRequirements {
    /// Reads the requirements in a function's folder; nothing where there are none.
    pub(crate) fn read(folder: &Path, runtime: &Runtime) -> Result<Option<Self>> {
        let project = folder.join("pyproject.toml");
        let project = if project.is_file() { requirements_of_project(&project)? } else { None };
        let list = folder.join("requirements.in");
        let list = if list.is_file() { requirements_of_list(&list)? } else { None };
        let (file, text) = match (project, list) {
            (Some(_), Some(_)) => {
                return Err(Failure::usage(format!(
                    "{} has requirements twice: in pyproject.toml, [project] dependencies, and in requirements.in",
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
        Ok(Some(Self { file, digest: digest.finish() }))
    }

    /// Makes the failure of requirements without a lock.
    pub(crate) fn missing_lock(&self, function: &FunctionName) -> Failure {
        Failure::usage(format!(
            "lambda-src/{function}/{} has requirements, but there is no {DEFAULT_LOCK} beside it",
            self.file
        ))
        .unchanged("Nothing was built.")
        .hint(format!("cargo xtask lock {function}"))
    }
}

impl PythonLock {
    /// Reads a function's lock: the named one, which must exist, or the default one where there is one.
    pub(crate) fn read(folder: &Path, named: Option<&str>) -> Result<Option<Self>> {
        let path = folder.join(named.unwrap_or(DEFAULT_LOCK));
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(Self { path, text })),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => Ok(None),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(Failure::usage(format!(
                "function.toml names the lock {}, which does not exist",
                path.display()
            ))
            .hint("make it with cargo xtask lock, or remove the key `lock` from function.toml")),
            Err(error) => Err(failure::io("read", &path, error)),
        }
    }

    /// Makes the lock of requirements from what the resolver wrote; `python` is a version such as `3.13`.
    pub(crate) fn of(
        path: PathBuf,
        function: &FunctionName,
        requirements: &PythonRequirements,
        python: &str,
        resolved: &str,
    ) -> Self {
        let text = format!(
            "{HEADER}{} of {} for python{python}\n# Made by `cargo xtask lock {function}`; do not edit.\n{}",
            requirements.digest,
            requirements.file,
            without_leading_comments(resolved)
        );
        Self { path, text }
    }

    /// Writes the file completely or not at all.
    pub(crate) fn write(&self) -> Result<()> {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let failed = |error| failure::io("write", &self.path, error);
        let mut file = tempfile::Builder::new()
            .prefix(".requirements-")
            .permissions(std::fs::Permissions::from_mode(0o666)) // less the umask, like any new file
            .tempfile_in(folder)
            .map_err(failed)?;
        file.write_all(self.text.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
        file.persist(&self.path).map(drop).map_err(|error| failed(error.error))
    }

    /// Refuses a lock that was made from other requirements than those that are there now.
    pub(crate) fn check(
        &self,
        function: &FunctionName,
        requirements: Option<&PythonRequirements>,
    ) -> Result<()> {
        let Some(requirements) = requirements else { return Ok(()) };
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let why = match self.requirements_digest() {
            Some(digest) if digest == requirements.digest.hex() => return Ok(()),
            Some(_) => format!(
                "lambda-src/{function}/{name} is out of date: {} or the runtime changed since it was made",
                requirements.file
            ),
            None => format!(
                "lambda-src/{function}/{name} has no digest of its requirements, so it may be out of date with {}",
                requirements.file
            ),
        };
        Err(Failure::usage(why).unchanged("Nothing was built.").hint(format!("cargo xtask lock {function}")))
    }

    /// Returns the digest of the requirements that the lock was made from, in hex.
    fn requirements_digest(&self) -> Option<&str> {
        let line = self.text.lines().find_map(|line| line.strip_prefix(HEADER))?;
        line.split_whitespace().find_map(|word| word.strip_prefix("sha256:"))
    }

    /// Lists the pinned packages: name -> versions; several where they differ by platform or Python version.
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

/// Drops the comments before the first package, so that the same packages give the same file.
fn without_leading_comments(resolved: &str) -> &str {
    let comments: usize =
        resolved.split_inclusive('\n').take_while(|line| line.starts_with('#')).map(str::len).sum();
    &resolved[comments..]
}

/// Reads the part of `pyproject.toml` that decides which packages are chosen; nothing where it has no dependencies.
fn requirements_of_project(path: &Path) -> Result<Option<String>> {
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

/// Reads the requirements of a list and of the lists that it includes; nothing where there are none.
fn requirements_of_list(path: &Path) -> Result<Option<String>> {
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
        let requirements = PythonRequirements::read(folder(files).path(), &Runtime::Python313).unwrap();
        requirements.map(|requirements| requirements.digest)
    }

    #[test]
    fn requirements_digest_depends_only_on_what_decides_the_packages() {
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
        let runtime = |runtime| PythonRequirements::read(here.path(), &runtime).unwrap().unwrap().digest;
        assert_ne!(runtime(Runtime::Python312), runtime(Runtime::Python313));
    }

    #[test]
    fn requirements_in_two_files_are_refused() {
        let both =
            folder(&[("requirements.in", "a\n"), ("pyproject.toml", "[project]\ndependencies = [\"b\"]\n")]);
        let failure = PythonRequirements::read(both.path(), &Runtime::Python313).unwrap_err();
        assert!(failure.message().contains("has requirements twice"), "{failure}");
    }

    #[test]
    fn lock_of_other_requirements_is_refused() {
        let function = "ingest".parse().unwrap();
        let here = folder(&[("requirements.in", "a\n")]);
        let requirements = PythonRequirements::read(here.path(), &Runtime::Python313).unwrap().unwrap();
        let lock = |header: &str| PythonLock {
            path: "requirements.lock".into(),
            text: format!("{header}\na==1 \\\n"),
        };
        let fresh = lock(&format!("{HEADER}{} of requirements.in", requirements.digest));
        fresh.check(&function, Some(&requirements)).unwrap();
        fresh.check(&function, None).unwrap();
        let stale = lock(&format!("{HEADER}{}", Digest::of("other")));
        let failure = stale.check(&function, Some(&requirements)).unwrap_err();
        assert!(
            failure.message().starts_with("lambda-src/ingest/requirements.lock is out of date"),
            "{failure}"
        );
        assert_eq!(failure.report().hint.as_deref(), Some("cargo xtask lock ingest"));
        let foreign = lock("").check(&function, Some(&requirements)).unwrap_err();
        assert!(foreign.message().contains("has no digest of its requirements"), "{foreign}");
        lock("").check(&function, None).unwrap();
    }

    #[test]
    fn pins_with_extras_and_markers_are_read() {
        let text = "# c\na==1.0 \\\n    --hash=sha256:0\nb[x,y]==2 ; sys_platform == 'linux' \\\nb==3 ; sys_platform == 'win32'\n    # via a==9\n";
        let lock = PythonLock { path: PathBuf::new(), text: text.into() };
        let versions = |name: &str| lock.pins()[name].iter().cloned().collect::<Vec<_>>().join(" ");
        assert_eq!((versions("a"), versions("b"), lock.pins().len()), ("1.0".into(), "2 3".into(), 2));
    }

    #[test]
    fn lock_text_has_no_comments_of_the_resolver_before_the_first_package() {
        assert_eq!(without_leading_comments("# x\n# y\na==1\n    # via b\n"), "a==1\n    # via b\n");
        let here = folder(&[("requirements.in", "a\n")]);
        let requirements = PythonRequirements::read(here.path(), &Runtime::Python313).unwrap().unwrap();
        let (function, path) = ("ingest".parse().unwrap(), here.path().join("requirements.lock"));
        let lock = PythonLock::of(path, &function, &requirements, "3.13", "# x\na==1\n");
        lock.check(&function, Some(&requirements)).unwrap();
        lock.write().unwrap();
        let read = PythonLock::read(here.path(), None).unwrap().unwrap();
        assert_eq!(read.text, lock.text);
        assert!(
            read.text.ends_with("for python3.13\n# Made by `cargo xtask lock ingest`; do not edit.\na==1\n")
        );
    }
}
