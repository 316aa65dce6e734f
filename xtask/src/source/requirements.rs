//! A Python function's requirements, and the lock that pins them.
//!
//! In: a function's folder with `pyproject.toml` (and the `uv.lock` beside it) or `requirements.in`, and its lock. Out:
//! [`PythonRequirements`], the digest of what is required and the indexes that it names, and [`PythonLock`], pinned and
//! hashed. Goes wrong: both files have requirements, a file cannot be read, a file beside them asks for packages and nothing
//! reads it, the lock is missing, was made from other requirements or has a line that pins nothing.

mod indexes;
mod lock;
mod unread;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use toml::Value;

pub(crate) use indexes::PackageIndexes;
pub(crate) use lock::{DEFAULT_LOCK, PythonLock};

use super::{text_file, toml_file};
use crate::digest::{Digest, DigestBuilder};
use crate::failure::{self, Failure, Result};
use crate::name::FunctionName;
use crate::runtime::Runtime;

/// The packages that a function requires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PythonRequirements {
    /// `pyproject.toml` or `requirements.in`, in the function's folder.
    pub(crate) file: &'static str,
    /// Digest of the requirements and of the Python version that they are for.
    pub(crate) digest: Digest,
    /// Whether a `uv.lock` beside `pyproject.toml` has chosen the versions: the lock is exported from it.
    pub(crate) chosen_by_uv: bool,
    /// The indexes that the requirements name.
    pub(crate) indexes: PackageIndexes,
}

/// The requirements in one file.
struct FoundRequirements {
    /// What decides which packages are chosen.
    text: String,
    indexes: PackageIndexes,
    /// All files that were read.
    files: BTreeSet<PathBuf>,
}

impl PythonRequirements {
    /// Reads the requirements in a function's folder; nothing where there are none. `lock` is the lock that the settings
    /// name.
    pub(crate) fn read(folder: &Path, runtime: &Runtime, lock: Option<&str>) -> Result<Option<Self>> {
        let project = folder.join("pyproject.toml");
        let project = if project.is_file() { requirements_of_project(&project)? } else { None };
        let list = folder.join("requirements.in");
        let list = if list.is_file() { requirements_of_list(&list)? } else { None };
        let (file, found) = match (project, list) {
            (Some(_), Some(_)) => {
                return Err(Failure::usage(format!(
                    "{} has requirements twice: in pyproject.toml, [project] dependencies, and in requirements.in",
                    folder.display()
                ))
                .hint("keep one of the two"));
            }
            (Some(found), None) => ("pyproject.toml", Some(found)),
            (None, Some(found)) => ("requirements.in", Some(found)),
            (None, None) => ("", None),
        };
        unread::refuse(folder, lock, found.as_ref().map(|found| (file, &found.files)))?;
        let Some(found) = found else { return Ok(None) };
        let mut digest = DigestBuilder::new("slipway.requirements/1");
        digest.part("python", runtime.as_str());
        digest.part(file, found.text);
        let uv_lock = folder.join("uv.lock");
        let chosen_by_uv = file == "pyproject.toml" && uv_lock.is_file();
        if chosen_by_uv {
            let text = text_file::read(&uv_lock).map_err(|error| failure::io("read", &uv_lock, error))?;
            digest.part("uv.lock", text);
        }
        Ok(Some(Self { file, digest: digest.finish(), chosen_by_uv, indexes: found.indexes }))
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

/// Reads the part of `pyproject.toml` that decides which packages are chosen; nothing where it has no dependencies.
fn requirements_of_project(path: &Path) -> Result<Option<FoundRequirements>> {
    let table = toml_file::read(path)?;
    let project = table.get("project");
    let dependencies = project.and_then(|project| project.get("dependencies")).and_then(Value::as_array);
    let Some(dependencies) = dependencies.filter(|list| !list.is_empty()) else { return Ok(None) };
    let mut text = dependencies.iter().map(|entry| format!("{entry}\n")).collect::<String>();
    let python = project.and_then(|project| project.get("requires-python"));
    let uv = table.get("tool").and_then(|tool| tool.get("uv"));
    for decides in [python, uv].into_iter().flatten() {
        text.push_str(&format!("{decides}\n"));
    }
    let indexes = PackageIndexes::of_project(path, uv)?;
    Ok(Some(FoundRequirements { text, indexes, files: BTreeSet::from([path.to_path_buf()]) }))
}

/// Reads the requirements of a list and of the lists that it includes; nothing where there are none.
fn requirements_of_list(path: &Path) -> Result<Option<FoundRequirements>> {
    let (mut text, mut files, mut queue) = (String::new(), BTreeSet::new(), vec![path.to_path_buf()]);
    let mut indexes = PackageIndexes::default();
    // A file has any number of names, such as `x/../a`: two lists may include each other by a new one each time.
    let mut seen = BTreeSet::new();
    while let Some(path) = queue.pop() {
        let failed = |error| failure::io("read", &path, error);
        let is_new = seen.insert(path.canonicalize().map_err(failed)?);
        files.insert(path.clone());
        if !is_new {
            continue;
        }
        let content = text_file::read(&path).map_err(failed)?;
        for line in content.lines() {
            // As pip reads it: a comment begins a line or follows a blank.
            let line = if line.trim_start().starts_with('#') { "" } else { line };
            let line = line.split(" #").next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            text.push_str(line);
            text.push('\n');
            let folder = path.parent().unwrap_or(Path::new(""));
            if let Some(included) = value_of(line, &["-r", "--requirement", "-c", "--constraint"])
                .filter(|name| !name.contains("://"))
            {
                queue.push(folder.join(included));
            }
            indexes.read_line(line, folder);
        }
    }
    Ok((!text.is_empty()).then_some(FoundRequirements { text, indexes, files }))
}

/// Returns the value of a line with one of these options, as `--option value` or `--option=value`; `-rfile` as well.
fn value_of<'a>(line: &'a str, options: &[&str]) -> Option<&'a str> {
    options.iter().find_map(|option| {
        let rest = line.strip_prefix(option)?;
        let short = option.len() == 2 && !rest.is_empty();
        (short || rest.starts_with([' ', '=', '\t'])).then(|| rest.trim_start_matches(['=', ' ', '\t']))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::FailureKind;

    pub(super) fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    fn read(files: &[(&str, &str)], lock: Option<&str>) -> Result<Option<PythonRequirements>> {
        PythonRequirements::read(folder(files).path(), &Runtime::Python313, lock)
    }

    fn digest(files: &[(&str, &str)]) -> Option<Digest> {
        read(files, None).unwrap().map(|requirements| requirements.digest)
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
        assert_ne!(list("a\n-rmore.in\n", "b"), list("a\n-rmore.in\n", "c"));
        let here = folder(&[("requirements.in", "a\n")]);
        let runtime =
            |runtime| PythonRequirements::read(here.path(), &runtime, None).unwrap().unwrap().digest;
        assert_ne!(runtime(Runtime::Python312), runtime(Runtime::Python313));
    }

    #[test]
    fn lists_that_include_each_other_by_other_names_are_read_once() {
        let here = folder(&[
            ("requirements.in", "a\n-r x/../more.in\n"),
            ("more.in", "-r x/../requirements.in\nb\n"),
        ]);
        std::fs::create_dir(here.path().join("x")).unwrap();
        let found = requirements_of_list(&here.path().join("requirements.in")).unwrap().unwrap();
        assert_eq!(found.text, "a\n-r x/../more.in\n-r x/../requirements.in\nb\n");
        let failure = read(&[("requirements.in", "-r /dev/zero\n")], None).unwrap_err();
        assert!(failure.message().contains("/dev/zero"), "{failure}");
    }

    #[test]
    fn requirements_in_two_files_are_refused() {
        let failure = read(
            &[("requirements.in", "a\n"), ("pyproject.toml", "[project]\ndependencies = [\"b\"]\n")],
            None,
        )
        .unwrap_err();
        assert!(failure.message().contains("has requirements twice"), "{failure}");
    }

    #[test]
    fn uv_lock_of_a_project_is_part_of_the_digest() {
        let project = ("pyproject.toml", "[project]\ndependencies = [\"b\"]\n");
        let plain = read(&[project], None).unwrap().unwrap();
        let one = read(&[project, ("uv.lock", "version = 1\n")], None).unwrap().unwrap();
        let two = read(&[project, ("uv.lock", "version = 2\n")], None).unwrap().unwrap();
        assert_eq!((plain.chosen_by_uv, one.chosen_by_uv), (false, true));
        assert_ne!(plain.digest, one.digest);
        assert_ne!(one.digest, two.digest);
    }

    #[test]
    fn files_that_nothing_reads_are_refused_by_name() {
        let dependencies = ("pyproject.toml", "[project]\ndependencies = [\"a\"]\n");
        let list = ("requirements.in", "a\n");
        for (files, lock, file, hint) in [
            (vec![("requirements.txt", "a\n")], None, "requirements.txt", "git mv"),
            (vec![("requirements.txt", "a\n"), list], None, "requirements.txt", "requirements.in"),
            (
                vec![("requirements.txt", "a\n"), dependencies],
                Some("other.lock"),
                "requirements.txt",
                "pyproject.toml",
            ),
            (vec![("Pipfile", "[packages]\na = \"*\"\n")], None, "Pipfile", "requirements.in"),
            (
                vec![("pyproject.toml", "[tool.poetry.dependencies]\npython = \"^3.13\"\na = \"1\"\n")],
                None,
                "[tool.poetry.dependencies] in pyproject.toml",
                "[project] dependencies",
            ),
            (
                vec![("pyproject.toml", "[project]\ndynamic = [\"dependencies\"]\n")],
                None,
                "dynamic = [\"dependencies\"] in pyproject.toml",
                "[project] dependencies",
            ),
            (
                vec![("uv.lock", "version = 1\n"), ("pyproject.toml", "[project]\n")],
                None,
                "uv.lock",
                "[project] dependencies",
            ),
            (vec![("uv.lock", "version = 1\n"), list], None, "uv.lock", "[project] dependencies"),
            (vec![("poetry.lock", "\n")], None, "poetry.lock", "[project] dependencies"),
            (
                vec![("setup.cfg", "[options]\ninstall_requires =\n  a\n")],
                None,
                "setup.cfg",
                "requirements.in",
            ),
        ] {
            let failure = read(&files, lock).expect_err(file);
            assert_eq!(failure.kind(), FailureKind::Usage);
            assert!(failure.message().contains(&format!("{file} ")), "{file}: {failure}");
            let report = failure.report();
            assert!(report.hint.as_ref().is_some_and(|said| said.contains(hint)), "{file}: {report:?}");
        }
        for (files, lock) in [
            (vec![("requirements.txt", "a==1\n")], Some("requirements.txt")),
            (vec![("requirements.txt", "a\n"), ("requirements.in", "-r requirements.txt\n")], None),
            (vec![("requirements.txt", "# none\n\n")], None),
            (vec![("poetry.lock", "\n"), dependencies], None),
            (vec![("pyproject.toml", "[tool.poetry.dependencies]\npython = \"^3.13\"\n")], None),
            (
                vec![(
                    "pyproject.toml",
                    "[project]\ndependencies = [\"a\"]\n[tool.poetry.dependencies]\na = \"1\"\n",
                )],
                None,
            ),
            (vec![("setup.cfg", "[flake8]\n")], None),
        ] {
            read(&files, lock).unwrap_or_else(|failure| panic!("{files:?}: {failure}"));
        }
    }

    #[test]
    fn indexes_of_lists_and_projects_are_read() {
        let list = read(
            &[
                ("requirements.in", "--index-url=https://a.example/simple\n-r more.in\na\n"),
                (
                    "more.in",
                    "--extra-index-url https://${TOKEN}@b.example/simple\n--find-links wheels\n--no-index\n-f https://c.example/\n",
                ),
            ],
            None,
        );
        let lines = list.unwrap().unwrap().indexes.lines;
        assert_eq!(
            lines[..2],
            ["--index-url https://a.example/simple", "--extra-index-url https://${TOKEN}@b.example/simple"]
        );
        // A folder is relative to its file, and uv runs elsewhere.
        assert!(lines[2].starts_with("--find-links /") && lines[2].ends_with("/wheels"), "{lines:?}");
        assert_eq!(lines[3..], ["--no-index", "--find-links https://c.example/"]);

        let project = |more: &str| {
            read(&[("pyproject.toml", &format!("[project]\ndependencies = [\"a\"]\n{more}"))], None)
        };
        let found = project(
            "[[tool.uv.index]]\nname = \"ours\"\nurl = \"https://a.example/simple\"\nexplicit = true\n[[tool.uv.index]]\nurl = \"https://b.example/simple\"\ndefault = true\n",
        );
        assert_eq!(
            found.unwrap().unwrap().indexes.options,
            ["--index", "ours=https://a.example/simple", "--default-index", "https://b.example/simple"]
        );
        assert_eq!(project("").unwrap().unwrap().indexes, PackageIndexes::default());
        let failure =
            project("[[tool.uv.index]]\nname = \"my-own\"\nurl = \"https://me:token@a.example/simple\"\n")
                .unwrap_err();
        assert!(failure.message().contains("has credentials"), "{failure}");
        assert!(!format!("{:?}", failure.report()).contains("token"), "{:?}", failure.report());
        assert!(failure.report().hint.unwrap().contains("UV_INDEX_MY_OWN_PASSWORD"));
    }
}
