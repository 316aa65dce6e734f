//! The folders on this machine that may hold Python interpreters.
//!
//! In: the PATH, and the variables of version managers. Out: existing programs, the most likely ones first. Whether a
//! program runs, and its version, are known only after running it. A folder that cannot be read counts as empty.

use crate::programs;
use std::cmp::Reverse;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Folders with interpreters, and folders with one folder for each version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SearchPath {
    /// The folders of the PATH.
    pub(super) path: Vec<PathBuf>,
    /// Folders with one folder for each version: `3.13.1`, `cpython-3.13.1-linux-x86_64-gnu`, `cp313-cp313`.
    pub(super) versions: Vec<PathBuf>,
    /// System folders, which may be missing in the PATH.
    pub(super) system: Vec<PathBuf>,
    /// Another folder with one folder for each version, searched last.
    pub(super) optional: PathBuf,
}

impl SearchPath {
    /// Returns the search path of this machine; `links` comes before the folders of version managers.
    pub(super) fn of_this_machine(links: PathBuf) -> Self {
        let path: Vec<PathBuf> = std::env::split_paths(&programs::search_path()).collect();
        let mut search_path = Self::of(path, programs::variable);
        search_path.versions.insert(0, links);
        search_path
    }

    /// Returns all folders, in the order in which they are searched.
    pub(super) fn folders(&self) -> Vec<PathBuf> {
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
        // Shims tell where a version manager is even if HOME or PYENV_ROOT does not.
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

    /// Returns the programs that may be the Python of a version such as `3.13`.
    pub(super) fn programs_of_version(&self, version: &str) -> Vec<PathBuf> {
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

    /// Returns the programs that may be any Python 3.
    pub(super) fn programs_of_any_version(&self) -> Vec<PathBuf> {
        let folders = self.path.iter().chain(&self.system);
        folders.map(|folder| folder.join("python3")).filter(|program| program.is_file()).collect()
    }
}

/// Returns the folders of a version within a folder, the newest patch first, prereleases last.
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

/// Returns the patch number in a folder's name; the outer `None` means another version, the inner one no release.
fn patch(name: &str, version: &str) -> Option<Option<u32>> {
    if let Some(tags) = name.strip_prefix("cp") {
        // `cp313-cp313` is a folder in the images for building wheels; `cp313-cp313t` has another ABI.
        let tag = version.replace('.', "");
        if tags == format!("{tag}-cp{tag}") {
            return Some(None);
        }
    }
    let rest = name.strip_prefix("cpython-").unwrap_or(name).strip_prefix(version)?;
    let Some(rest) = rest.strip_prefix('.') else {
        // `3.1` is not `3.13`.
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
    fn patch_number_is_read_from_the_folders_name() {
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
    fn version_managers_are_found_by_variables_and_shims() {
        let versions = |path: &[&str], variables: &'static [(&str, &str)]| {
            let variable = |name: &str| {
                variables.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
            };
            SearchPath::of(path.iter().map(PathBuf::from).collect(), variable).versions
        };
        let paths = |paths: &[&str]| paths.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert_eq!(
            versions(&["/bin", "/p/shims"], &[("HOME", "/h")]),
            paths(&["/p/versions", "/h/.pyenv/versions", "/h/.local/share/uv/python"])
        );
        assert_eq!(
            versions(&["/bin"], &[("PYENV_ROOT", "/q"), ("XDG_DATA_HOME", "/d"), ("HOME", "")]),
            paths(&["/q/versions", "/d/uv/python"])
        );
        let own = &[("UV_PYTHON_INSTALL_DIR", "/u"), ("XDG_DATA_HOME", "/d")];
        assert_eq!(versions(&["/bin"], own), paths(&["/u"]));
        assert_eq!(versions(&["/bin"], &[]), paths(&[]));
    }

    #[test]
    fn path_is_searched_before_version_managers_with_the_newest_patch_first() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        let create = |name: &str| {
            fs::create_dir_all(at(name).parent().unwrap()).unwrap();
            fs::write(at(name), "").unwrap();
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
        expected.iter().for_each(|name| create(name));
        create("versions/3.12.1/bin/python3.12");
        create("versions/3.1.3/bin/python3.1");
        create("system/python3");
        // A folder of a version without the program is ignored.
        fs::create_dir_all(at("versions/3.13.99/bin")).unwrap();
        let search_path = SearchPath {
            path: vec![at("absent"), at("bin")],
            versions: vec![at("versions"), at("uv"), at("none")],
            system: vec![at("system")],
            optional: at("optional"),
        };
        assert_eq!(search_path.programs_of_version("3.13"), expected.map(at));
        assert_eq!(search_path.programs_of_any_version(), [at("system/python3")]);
    }
}
