//! The components of a Python function: the distributions in its artifact, with the hashes of its lock.
//!
//! In: a zip with `*.dist-info/METADATA` of each, and the lock's text. Out: [`SbomComponents`]. Goes wrong: a distribution
//! has no name or version. Rule: <https://packaging.python.org/en/latest/specifications/core-metadata/>.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{SbomComponent, SbomComponents};
use crate::failure::{self, Failure, Result};
use crate::source::PythonLock;

/// Lists the components of a Python function: the distributions in its artifact.
pub(crate) fn python_components(artifact: &Path, lock: Option<&str>) -> Result<SbomComponents> {
    let scratch = tempfile::tempdir()
        .map_err(|error| Failure::failed("no temporary folder can be made").caused_by(error))?;
    let unpacked = scratch.path().join("artifact");
    slipway_archive::unpack_zip(artifact, &unpacked)
        .map_err(|error| Failure::failed("the artifact cannot be unpacked").caused_by(error))?;
    installed_components(&unpacked, lock)
}

/// Lists the distributions that are installed in a folder.
fn installed_components(installed: &Path, lock: Option<&str>) -> Result<SbomComponents> {
    let hashes = locked_hashes(lock.unwrap_or_default());
    let mut distributions = Vec::new();
    let entries = installed.read_dir().map_err(|error| failure::io("read", installed, error))?;
    for entry in entries {
        let entry = entry.map_err(|error| failure::io("read", installed, error))?;
        let folder = entry.path();
        if folder.extension().is_none_or(|extension| extension != "dist-info") {
            continue;
        }
        let file = folder.join("METADATA");
        // The specification says UTF-8; a single wrong byte in a name is no reason to fail.
        let text = std::fs::read(&file).map_err(|error| failure::io("read", &file, error))?;
        distributions.push(Distribution::read(&String::from_utf8_lossy(&text), &file)?);
    }
    let ids: BTreeMap<String, String> =
        distributions.iter().map(|found| (normalised(&found.name), found.id())).collect();
    let mut components = SbomComponents::default();
    for found in &distributions {
        let known = hashes.get(&(normalised(&found.name), found.version.clone()));
        let (sha256, possible_sha256) = match known.map(Vec::as_slice) {
            Some([one]) => (Some(one.clone()), Vec::new()),
            // The lock pins the wheels of all platforms; which of them was installed is not recorded.
            Some(several) => (None, several.to_vec()),
            None => (None, Vec::new()),
        };
        components.all.push(SbomComponent {
            id: found.id(),
            name: normalised(&found.name),
            version: found.version.clone(),
            registry: Some("pypi"),
            sha256,
            possible_sha256,
            licence: found.licence.clone(),
            shipped: true,
            // A requirement that is not installed belongs to an extra or another platform.
            dependencies: found.requires.iter().filter_map(|name| ids.get(name).cloned()).collect(),
            ..SbomComponent::default()
        });
    }
    components.all.sort_by(|a, b| a.id.cmp(&b.id));
    let indirect: Vec<&String> =
        components.all.iter().flat_map(|component| &component.dependencies).collect();
    let ids = components.all.iter().map(|component| &component.id);
    components.direct = ids.filter(|id| !indirect.contains(id)).cloned().collect();
    Ok(components)
}

struct Distribution {
    name: String,
    version: String,
    licence: Option<String>,
    requires: Vec<String>,
}

impl Distribution {
    fn read(text: &str, file: &Path) -> Result<Self> {
        let headers = headers(text);
        let all = |wanted: &str| {
            let wanted = wanted.to_owned();
            headers.iter().filter(move |(name, _)| name.eq_ignore_ascii_case(&wanted)).map(|(_, value)| value)
        };
        let one = |name: &str| all(name).next().filter(|value| !value.is_empty()).cloned();
        let required = |name: &str| {
            one(name).ok_or_else(|| Failure::failed(format!("{} has no {name}", file.display())))
        };
        let classified = || {
            let mut names: Vec<&str> = all("Classifier")
                .filter(|value| value.starts_with("License ::"))
                .filter_map(|value| value.rsplit(" :: ").next())
                .filter(|name| *name != "OSI Approved")
                .collect();
            names.sort_unstable();
            Some(names.join(", ")).filter(|names| !names.is_empty())
        };
        let mut requires: Vec<String> = all("Requires-Dist")
            .filter(|value| !value.contains("extra =="))
            .map(|value| {
                let end = value.find(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c));
                normalised(&value[..end.unwrap_or(value.len())])
            })
            .collect();
        requires.sort();
        requires.dedup();
        Ok(Self {
            name: required("Name")?,
            version: required("Version")?,
            // `License` sometimes has the whole text of the licence: then the classifier is the better name.
            licence: one("License-Expression")
                .or_else(|| {
                    one("License")
                        .filter(|text| !text.contains('\n') && text.len() < 100 && text != "UNKNOWN")
                })
                .or_else(classified),
            requires,
        })
    }

    fn id(&self) -> String {
        format!("pypi:{}@{}", normalised(&self.name), self.version)
    }
}

/// Reads a METADATA, for `crate::fuzzing`.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz_metadata(text: &str) {
    if let Ok(found) = Distribution::read(text, Path::new("METADATA")) {
        assert!(!found.name.is_empty() && !found.id().is_empty());
    }
}

/// Reads the headers before the first empty line; a line that begins with a space continues the one before it.
fn headers(text: &str) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in text.lines().take_while(|line| !line.is_empty()) {
        if let (true, Some((_, value))) = (line.starts_with([' ', '\t']), headers.last_mut()) {
            value.push('\n');
            value.push_str(line.trim());
        } else if let Some((name, value)) = line.split_once(':') {
            headers.push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }
    headers
}

/// Reads the hashes of a lock's packages, by normalised name and version.
fn locked_hashes(lock: &str) -> BTreeMap<(String, String), Vec<String>> {
    let lock = PythonLock { path: PathBuf::new(), text: lock.to_owned() };
    let pins = lock.packages().into_iter();
    pins.map(|pin| ((normalised(&pin.name), pin.version), pin.sha256)).collect()
}

/// Returns a name in the form in which indexes compare names: <https://packaging.python.org/en/latest/specifications/name-normalization/>.
fn normalised(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        match c {
            '-' | '_' | '.' if out.ends_with('-') => {}
            '-' | '_' | '.' => out.push('-'),
            c => out.push(c.to_ascii_lowercase()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn install(folder: &Path, name: &str, metadata: &str) {
        let folder = folder.join(format!("{name}.dist-info"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("METADATA"), metadata).unwrap();
    }

    #[test]
    fn installed_distributions_are_listed_with_the_hashes_of_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("pydantic_core")).unwrap();
        install(
            folder.path(),
            "pydantic_core-2.41.5",
            "Metadata-Version: 2.4\nName: pydantic_core\nVersion: 2.41.5\nClassifier: License :: OSI Approved :: MIT License\nLicense-Expression: MIT\nRequires-Dist: typing-extensions>=4.14.1\n\nLicense: of the text\n",
        );
        install(
            folder.path(),
            "typing_extensions-4.15.0",
            "Name: typing_extensions\nVersion: 4.15.0\nLicense: PSF-2.0\nRequires-Dist: absent; extra == 'x'\n",
        );
        install(
            folder.path(),
            "six-1.17.0",
            "Name: six\nVersion: 1.17.0\nLicense: first line\n  second line\nClassifier: License :: OSI Approved :: MIT License\n",
        );
        let lock = "# comment\npydantic-core==2.41.5 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n    # via pydantic\nTyping.Extensions==4.15.0 ; python_version >= '3.9' \\\n    --hash=sha256:cc\nsix @ https://example.com/six-1.17.0-py3-none-any.whl --hash=sha256:dd\n";
        let components = installed_components(folder.path(), Some(lock)).unwrap();
        let ids: Vec<&str> = components.all.iter().map(|component| component.id.as_str()).collect();
        assert_eq!(ids, ["pypi:pydantic-core@2.41.5", "pypi:six@1.17.0", "pypi:typing-extensions@4.15.0"]);
        let [core, six, typing] = components.all.as_slice() else { panic!("{components:?}") };
        assert_eq!(core.licence.as_deref(), Some("MIT"));
        assert_eq!((&core.sha256, &core.possible_sha256), (&None, &vec!["aa".to_owned(), "bb".to_owned()]));
        assert_eq!(core.dependencies, ["pypi:typing-extensions@4.15.0"]);
        assert_eq!((six.licence.as_deref(), six.sha256.as_deref()), (Some("MIT License"), Some("dd")));
        assert_eq!((typing.licence.as_deref(), typing.sha256.as_deref()), (Some("PSF-2.0"), Some("cc")));
        assert!(typing.dependencies.is_empty());
        assert_eq!(components.direct, ["pypi:pydantic-core@2.41.5", "pypi:six@1.17.0"]);
    }

    #[test]
    fn distribution_without_a_name_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        install(folder.path(), "x-1", "Version: 1\n");
        let failure = installed_components(folder.path(), None).unwrap_err();
        assert!(failure.message().contains("x-1.dist-info/METADATA has no Name"), "{failure}");
    }
}
