//! Locks: requirements files in which every package is pinned, with hashes.
//!
//! A line of the lock that begins with [`HEADER`] has the digest of the requirements. A lock that another tool made has no
//! such line; it is accepted where no file beside it has requirements. A line that pins nothing (`-r other.txt`, `-e ./lib`,
//! a package without a hash) is refused: an installation would pass it over, or install something else the next time.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::PythonRequirements;
use super::indexes::has_credentials;
use super::text_file;
use crate::failure::{self, Failure, Result};
use crate::name::FunctionName;

/// Begins the line of a lock that has the digest of the requirements.
const HEADER: &str = "# slipway.lock/1 ";
/// The lock's name where the settings name none.
pub(crate) const DEFAULT_LOCK: &str = "requirements.lock";
/// Options of a lock that name no package: where packages come from, and which files of them are taken.
const OPTIONS: [&str; 11] = [
    "--index-url",
    "-i",
    "--extra-index-url",
    "--find-links",
    "-f",
    "--no-index",
    "--only-binary",
    "--trusted-host",
    "--require-hashes",
    "--prefer-binary",
    "--pre",
];

/// A lock file.
#[derive(Debug, Clone)]
pub(crate) struct PythonLock {
    /// The file.
    pub(crate) path: PathBuf,
    /// Its text.
    pub(crate) text: String,
}

/// A package that a lock pins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PinnedPackage {
    /// The name, as the lock writes it.
    pub(crate) name: String,
    /// The version; of a wheel by URL or path, that in the wheel's name.
    pub(crate) version: String,
    /// The SHA-256 of each file that may be installed, in hex.
    pub(crate) sha256: Vec<String>,
    /// Whether it is installed on every platform and Python.
    pub(crate) everywhere: bool,
}

/// Why a line of a lock pins nothing, and what to do.
#[derive(Debug, PartialEq, Eq)]
struct LineMistake {
    why: &'static str,
    hint: &'static str,
}

impl PythonLock {
    /// Reads a function's lock: the named one, which must exist, or the default one where there is one.
    pub(crate) fn read(folder: &Path, named: Option<&str>) -> Result<Option<Self>> {
        let path = folder.join(named.unwrap_or(DEFAULT_LOCK));
        match text_file::read(&path) {
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

    /// Refuses a lock with a line that pins nothing, and one that was made from other requirements than those that are there
    /// now.
    pub(crate) fn check(
        &self,
        function: &FunctionName,
        requirements: Option<&PythonRequirements>,
    ) -> Result<()> {
        self.check_lines(function)?;
        let Some(requirements) = requirements else { return Ok(()) };
        let name = self.file_name();
        let why = match self.requirements_digest() {
            Some(digest) if digest == requirements.digest.hex() => return Ok(()),
            Some(_) => format!(
                "lambda-src/{function}/{name} is out of date: {} or the runtime changed since it was made",
                if requirements.chosen_by_uv { "uv.lock, pyproject.toml" } else { requirements.file }
            ),
            None => format!(
                "lambda-src/{function}/{name} has no digest of its requirements, so it may be out of date with {}",
                requirements.file
            ),
        };
        Err(Failure::usage(why).unchanged("Nothing was built.").hint(format!("cargo xtask lock {function}")))
    }

    /// Refuses a line that pins nothing.
    pub(crate) fn check_lines(&self, function: &FunctionName) -> Result<()> {
        let mistake = self.lines().find_map(|line| package(&line).err().map(|mistake| (line, mistake)));
        let Some((line, LineMistake { why, hint })) = mistake else { return Ok(()) };
        // A URL may have credentials in it.
        let line = match has_credentials(&line) {
            true => line.split(['@', ' ']).next().unwrap_or_default().to_owned(),
            false => line.split(" --hash").next().unwrap_or_default().to_owned(),
        };
        Err(Failure::usage(format!("lambda-src/{function}/{}: `{line}` {why}", self.file_name()))
            .unchanged("Nothing was built or locked.")
            .hint(hint))
    }

    /// Lists the packages that are pinned, in the lock's order; several of one name differ by platform or Python version.
    pub(crate) fn packages(&self) -> Vec<PinnedPackage> {
        self.lines().filter_map(|line| package(&line).ok().flatten()).collect()
    }

    /// Lists the pinned packages: name -> versions; several where they differ by platform or Python version.
    pub(crate) fn pins(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut pins: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for PinnedPackage { name, version, .. } in self.packages() {
            pins.entry(name).or_default().insert(version);
        }
        pins
    }

    /// Returns the digest of the requirements that the lock was made from, in hex.
    fn requirements_digest(&self) -> Option<&str> {
        let line = self.text.lines().find_map(|line| line.strip_prefix(HEADER))?;
        line.split_whitespace().find_map(|word| word.strip_prefix("sha256:"))
    }

    fn file_name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Lists the lines as an installer reads them: without comments, and continued lines as one.
    fn lines(&self) -> impl Iterator<Item = String> {
        let mut lines = Vec::new();
        let mut line = String::new();
        for part in self.text.lines() {
            let part = if part.trim_start().starts_with('#') { "" } else { part };
            let part = part.split(" #").next().unwrap_or_default().trim();
            match part.strip_suffix('\\') {
                Some(part) => {
                    line.push_str(part.trim());
                    line.push(' ');
                }
                None => {
                    line.push_str(part);
                    lines.push(std::mem::take(&mut line));
                }
            }
        }
        lines.push(line);
        lines.into_iter().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty())
    }
}

/// Reads a line of a lock: the package that it pins; nothing where it is an option that names none.
fn package(line: &str) -> Result<Option<PinnedPackage>, LineMistake> {
    if line.starts_with('-') {
        let option = line.split([' ', '=', '\t']).next().unwrap_or_default();
        return if OPTIONS.contains(&option) {
            Ok(None)
        } else {
            Err(LineMistake {
                why: "pins no package",
                hint: "a lock has only pinned packages with hashes: write what it includes into requirements.in; share code of the project by `sources = [\"/folder/of/the/package\"]`",
            })
        };
    }
    let (requirement, hashes) = line.split_once(" --hash").unwrap_or((line, ""));
    let (requirement, everywhere) = match requirement.split_once(';') {
        // In a URL a semicolon belongs to it unless a blank stands before it.
        Some((before, _)) if before.ends_with(' ') || !before.contains("://") => (before, false),
        _ => (requirement, true),
    };
    let requirement = requirement.trim();
    let found = if let Some((name, url)) = requirement.split_once('@')
        && !name.contains(['/', ':', '='])
    {
        wheel(url.trim()).map(|(_, version)| (name.trim().to_owned(), version))
    } else if let Some((name, version)) = requirement.split_once("==") {
        let version = version.trim_start_matches('=').trim().to_owned();
        Ok((name.trim().to_owned(), version))
    } else if requirement.contains('/') || requirement.ends_with(".whl") {
        wheel(requirement)
    } else {
        Err(LineMistake {
            why: "pins no version",
            hint: "cargo xtask lock pins packages; a lock of another tool needs name==version and a hash for each",
        })
    }?;
    if hashes.is_empty() {
        return Err(LineMistake {
            why: "has no hash, so what it installs could change",
            hint: "a package needs a wheel, from an index or a URL; share code of the project by `sources = [\"/folder/of/the/package\"]`",
        });
    }
    let name = found.0.split('[').next().unwrap_or_default().trim().to_owned();
    let sha256 =
        hashes.split("--hash").filter_map(|hash| hash.trim_matches(['=', ' ']).strip_prefix("sha256:"));
    let sha256 = sha256.map(str::to_owned).collect();
    Ok(Some(PinnedPackage { name, version: found.1, sha256, everywhere }))
}

/// Returns name and version of a wheel by its URL or path.
///
/// Source: <https://packaging.python.org/en/latest/specifications/binary-distribution-format/#file-name-convention>.
fn wheel(place: &str) -> Result<(String, String), LineMistake> {
    if has_credentials(place) {
        return Err(LineMistake {
            why: "has credentials in its URL",
            hint: "write the URL without them: uv takes credentials from a netrc file, or as ${NAME} from an environment variable",
        });
    }
    if place.starts_with("file:///") || place.starts_with('/') {
        return Err(LineMistake {
            why: "is a path of this machine",
            hint: "write it relative to the function's folder, as in ./wheels/name-1.0-py3-none-any.whl",
        });
    }
    let file = place.split(['?', '#']).next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
    let parts: Vec<&str> = file.strip_suffix(".whl").unwrap_or_default().split('-').collect();
    match parts.as_slice() {
        [name, version, _, .., _] if parts.len() >= 5 => {
            Ok(((*name).to_owned(), version.replace("%2B", "+")))
        }
        _ => Err(LineMistake {
            why: "is not a wheel",
            hint: "nothing is compiled from source: name a wheel (.whl) or a package of an index; share code of the project by `sources = [\"/folder/of/the/package\"]`",
        }),
    }
}

/// Drops the comments before the first package, so that the same packages give the same file.
fn without_leading_comments(resolved: &str) -> &str {
    let comments: usize =
        resolved.split_inclusive('\n').take_while(|line| line.starts_with('#')).map(str::len).sum();
    &resolved[comments..]
}

#[cfg(test)]
mod tests {
    use super::super::tests::folder;
    use super::*;
    use crate::digest::Digest;
    use crate::runtime::Runtime;

    const HASH: &str = "--hash=sha256:00";

    fn lock(text: &str) -> PythonLock {
        PythonLock { path: "requirements.lock".into(), text: text.into() }
    }

    fn requirements(folder: &Path) -> PythonRequirements {
        PythonRequirements::read(folder, &Runtime::Python313, None).unwrap().unwrap()
    }

    #[test]
    fn lock_of_other_requirements_is_refused() {
        let function = "ingest".parse().unwrap();
        let here = folder(&[("requirements.in", "a\n")]);
        let requirements = requirements(here.path());
        let lock = |header: &str| lock(&format!("{header}\na==1 \\\n    {HASH}\n"));
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
        let text = format!(
            "# c\na==1.0 \\\n    {HASH}\nb[x,y]==2 ; sys_platform == 'linux' \\\n  {HASH}\nb==3 ; sys_platform == 'win32' {HASH}\n    # via a==9\n"
        );
        let lock = lock(&text);
        let versions = |name: &str| lock.pins()[name].iter().cloned().collect::<Vec<_>>().join(" ");
        assert_eq!((versions("a"), versions("b"), lock.pins().len()), ("1.0".into(), "2 3".into(), 2));
        assert_eq!(lock.packages().iter().filter(|found| found.everywhere).count(), 1);
    }

    #[test]
    fn wheels_by_url_and_path_are_pins() {
        let wheel = "marsh_mallow-4.4.0-py3-none-any.whl";
        for line in [
            format!("marsh-mallow @ https://example.com/x/{wheel} {HASH}"),
            format!("marsh-mallow[x] @ https://example.com/x/{wheel}#egg=1 ; sys_platform == 'linux' {HASH}"),
            format!("marsh-mallow@https://${{USER}}:${{TOKEN}}@example.com/{wheel} \\\n    {HASH}"),
            format!("./wheels/{wheel} {HASH}"),
            format!("https://example.com/{wheel} {HASH}"),
        ] {
            let lock = lock(&line);
            lock.check_lines(&"ingest".parse().unwrap()).unwrap();
            let found = lock.packages().remove(0);
            assert_eq!(found.name.replace('_', "-"), "marsh-mallow", "{line}");
            assert_eq!(found.version, "4.4.0", "{line}");
        }
        let build = lock(&format!("t @ https://e.com/torch-2.5%2Bcpu-1-cp313-cp313-linux_x86_64.whl {HASH}"));
        assert_eq!(build.packages()[0].version, "2.5+cpu");
    }

    #[test]
    fn line_that_pins_nothing_is_refused_by_name() {
        for (line, said) in [
            ("-e ./lib", "`-e ./lib` pins no package"),
            ("-r more.txt", "`-r more.txt` pins no package"),
            ("./lib", "`./lib` is not a wheel"),
            ("lib @ file:///home/ada/lib", "`lib @ file:///home/ada/lib` is a path of this machine"),
            ("lib @ git+https://example.com/lib@1234", "is not a wheel"),
            ("lib @ https://example.com/lib-1.0.tar.gz --hash=sha256:0", "is not a wheel"),
            ("lib @ https://example.com/lib-1.0-py3-none-any.whl", "has no hash"),
            ("a==1", "`a==1` has no hash"),
            ("a>=1 --hash=sha256:0", "`a>=1` pins no version"),
            ("a", "`a` pins no version"),
            (
                "lib @ https://ada:secret@example.com/lib-1.0-py3-none-any.whl --hash=sha256:0",
                "has credentials",
            ),
        ] {
            let text = format!("# c\n--index-url https://example.com\nb==1 {HASH}\n{line}\n    # via x\n");
            let failure = lock(&text).check_lines(&"ingest".parse().unwrap()).expect_err(line);
            assert!(failure.message().starts_with("lambda-src/ingest/requirements.lock: `"), "{failure}");
            assert!(failure.message().contains(said), "{line}: {failure}");
            assert!(!failure.message().contains("secret"), "{failure}");
            assert!(failure.report().hint.is_some(), "{line}");
        }
    }

    #[test]
    fn lock_text_has_no_comments_of_the_resolver_before_the_first_package() {
        assert_eq!(without_leading_comments("# x\n# y\na==1\n    # via b\n"), "a==1\n    # via b\n");
        let here = folder(&[("requirements.in", "a\n")]);
        let requirements = requirements(here.path());
        let (function, path) = ("ingest".parse().unwrap(), here.path().join("requirements.lock"));
        let resolved = format!("# x\na==1 {HASH}\n");
        let lock = PythonLock::of(path, &function, &requirements, "3.13", &resolved);
        lock.check(&function, Some(&requirements)).unwrap();
        lock.write().unwrap();
        let read = PythonLock::read(here.path(), None).unwrap().unwrap();
        assert_eq!(read.text, lock.text);
        assert!(read.text.ends_with(&format!(
            "for python3.13\n# Made by `cargo xtask lock ingest`; do not edit.\na==1 {HASH}\n"
        )));
    }
}
