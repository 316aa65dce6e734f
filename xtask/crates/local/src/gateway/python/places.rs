//! Where this machine may have a Python of a version.
//!
//! In: the folders of the PATH and what version managers are told by variables. Out: programs that exist, the likeliest
//! first. Whether one runs, and which version it is, shows when it is asked. What cannot be read counts as empty.

use crate::process;
use std::cmp::Reverse;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Folders that hold interpreters, or folders of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Places {
    /// The folders of the PATH.
    pub(super) path: Vec<PathBuf>,
    /// Folders with one folder for each version: `3.13.1`, `cpython-3.13.1-linux-x86_64-gnu`, `cp313-cp313`.
    pub(super) versions: Vec<PathBuf>,
    /// Folders that systems put programs into, whatever the PATH says.
    pub(super) system: Vec<PathBuf>,
    /// Another folder with folders of versions, looked at after all.
    pub(super) optional: PathBuf,
}

impl Places {
    /// Finds those of this machine, and a folder of links before what version managers have.
    pub(super) fn of_this_machine(links: PathBuf) -> Self {
        let path: Vec<PathBuf> = std::env::split_paths(&process::search_path()).collect();
        let mut places = Self::of(path, process::variable);
        places.versions.insert(0, links);
        places
    }

    /// Lists all of these folders, in the order in which they are looked at.
    pub(super) fn all(&self) -> Vec<PathBuf> {
        let all = self.path.iter().chain(&self.versions).chain(&self.system).chain([&self.optional]);
        let mut folders: Vec<PathBuf> = Vec::new();
        for folder in all {
            if !folders.contains(folder) {
                folders.push(folder.clone());
            }
        }
        folders
    }

    fn of(path: Vec<PathBuf>, variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let folder = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = folder("HOME");
        // A shim finds its version manager by HOME or PYENV_ROOT, which may be another's here; the shim itself is there.
        let shims =
            path.iter().filter(|folder| folder.ends_with("shims")).filter_map(|folder| folder.parent());
        let roots = folder("PYENV_ROOT").into_iter().chain(shims.map(Path::to_owned));
        let pyenv =
            roots.chain(home.as_ref().map(|home| home.join(".pyenv"))).map(|root| root.join("versions"));
        let data = folder("XDG_DATA_HOME").or_else(|| home.as_ref().map(|home| home.join(".local/share")));
        let uv = folder("UV_PYTHON_INSTALL_DIR").or_else(|| data.map(|data| data.join("uv/python")));
        let mut versions: Vec<PathBuf> = pyenv.chain(uv).collect();
        versions.dedup();
        let system = ["/usr/local/bin", "/usr/bin"].map(PathBuf::from).into();
        Self { path, versions, system, optional: "/opt/python".into() }
    }

    /// Gives the programs that may be the Python of a version such as `3.13`.
    pub(super) fn of_version(&self, version: &str) -> Vec<PathBuf> {
        let program = format!("python{version}");
        let on_path = self.path.iter().map(|folder| folder.join(&program));
        let within = |folder: &Path| {
            newest_first(folder, version).into_iter().map(|folder| folder.join("bin").join(&program))
        };
        let managed = self.versions.iter().flat_map(|folder| within(folder));
        let system = self.system.iter().map(|folder| folder.join(&program));
        let all = on_path.chain(managed).chain(system).chain(within(&self.optional));
        all.filter(|program| program.is_file()).collect()
    }

    /// Gives the programs that are some Python 3.
    pub(super) fn of_any_version(&self) -> Vec<PathBuf> {
        let folders = self.path.iter().chain(&self.system);
        folders.map(|folder| folder.join("python3")).filter(|program| program.is_file()).collect()
    }
}

/// Lists the folders of a version within a folder, the newest patch first, what is no release last.
fn newest_first(folder: &Path, version: &str) -> Vec<PathBuf> {
    let mut found: Vec<(Option<u32>, PathBuf)> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let patch = patch(path.file_name()?.to_str()?, version)?;
            Some((patch, path))
        })
        .collect();
    found.sort_by_key(|(patch, path)| (Reverse(*patch), path.clone()));
    found.into_iter().map(|(_, path)| path).collect()
}

/// Reads the patch number from a folder's name; the outer `None` is another version, the inner one no release.
fn patch(name: &str, version: &str) -> Option<Option<u32>> {
    if let Some(tags) = name.strip_prefix("cp") {
        // `cp313-cp313` of the images that build wheels; `cp313-cp313t` is of another ABI.
        let tag = version.replace('.', "");
        if tags == format!("{tag}-cp{tag}") {
            return Some(None);
        }
    }
    let rest = name.strip_prefix("cpython-").unwrap_or(name).strip_prefix(version)?;
    let Some(rest) = rest.strip_prefix('.') else {
        // `3.1` is no `3.13`.
        return (rest.is_empty() || rest.starts_with('-')).then_some(None);
    };
    let end = rest.find(|char: char| !char.is_ascii_digit()).unwrap_or(rest.len());
    let (patch, rest) = rest.split_at(end);
    let release = rest.is_empty() || rest.starts_with('-');
    Some(patch.parse().ok().filter(|_| release))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_folders_name_tells_its_version() {
        for (name, expected) in [
            ("3.13.2", Some(Some(2))),
            ("cpython-3.13.10-linux-x86_64-gnu", Some(Some(10))),
            ("cpython-3.13-linux-x86_64-gnu", Some(None)),
            ("3.13", Some(None)),
            ("3.13-dev", Some(None)),
            ("3.13.0rc1", Some(None)),
            ("cp313-cp313", Some(None)),
            ("cp313-cp313t", None),
            ("3.1.3", None),
            ("3.130.1", None),
            ("pypy3.13-7.3", None),
        ] {
            assert_eq!(patch(name, "3.13"), expected, "{name}");
        }
        assert_eq!(patch("3.13.2", "3.1"), None);
    }

    #[test]
    fn variables_and_shims_lead_to_version_managers() {
        let places = |path: &[&str], variables: &'static [(&str, &str)]| {
            let variable = |name: &str| {
                variables.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
            };
            Places::of(path.iter().map(PathBuf::from).collect(), variable).versions
        };
        let paths = |paths: &[&str]| paths.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert_eq!(
            places(&["/bin", "/p/shims"], &[("HOME", "/h")]),
            paths(&["/p/versions", "/h/.pyenv/versions", "/h/.local/share/uv/python"])
        );
        assert_eq!(
            places(&["/bin"], &[("PYENV_ROOT", "/q"), ("XDG_DATA_HOME", "/d"), ("HOME", "")]),
            paths(&["/q/versions", "/d/uv/python"])
        );
        let own = &[("UV_PYTHON_INSTALL_DIR", "/u"), ("XDG_DATA_HOME", "/d")];
        assert_eq!(places(&["/bin"], own), paths(&["/u"]));
        assert_eq!(places(&["/bin"], &[]), paths(&[]));
    }

    #[test]
    fn the_path_comes_first_and_the_newest_patch_next() {
        let root = tempfile::tempdir().unwrap();
        let at = |place: &str| root.path().join(place);
        let make = |place: &str| {
            fs::create_dir_all(at(place).parent().unwrap()).unwrap();
            fs::write(at(place), "").unwrap();
        };
        let expected = [
            "bin/python3.13",
            "versions/3.13.10/bin/python3.13",
            "versions/3.13.9/bin/python3.13",
            "versions/3.13.11rc1/bin/python3.13",
            "uv/cpython-3.13.1-linux-x86_64-gnu/bin/python3.13",
            "system/python3.13",
            "optional/cp313-cp313/bin/python3.13",
        ];
        expected.iter().for_each(|place| make(place));
        make("versions/3.12.1/bin/python3.12");
        make("versions/3.1.3/bin/python3.1");
        make("system/python3");
        // A version without a program counts for nothing.
        fs::create_dir_all(at("versions/3.13.99/bin")).unwrap();
        let places = Places {
            path: vec![at("absent"), at("bin")],
            versions: vec![at("versions"), at("uv"), at("none")],
            system: vec![at("system")],
            optional: at("optional"),
        };
        assert_eq!(places.of_version("3.13"), expected.map(at));
        assert_eq!(places.of_any_version(), [at("system/python3")]);
    }
}
