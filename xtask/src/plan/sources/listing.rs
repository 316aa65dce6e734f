//! The project's files as git lists them: tracked, or new and not ignored; with links followed inside the project.
//!
//! In: a project's folder and paths below it. Out: files by the path under which Terraform reads them. Without a repository
//! all files on the disk count. Errors: a link that leaves the project, a broken link, a repository that cannot be read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use crate::failure::{self, Failure, Result};
use crate::source::Repository;

/// One file of a stack.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct SourceFile {
    /// The bytes on the disk.
    pub(crate) content: Vec<u8>,
    /// Whether it is packed with mode 755.
    pub(crate) executable: bool,
}

/// The files of a project.
pub(super) struct ProjectFiles {
    root: PathBuf,
    /// `None` without a repository.
    repository: Option<Repository>,
    /// Folders whose files are listed, relative to the project.
    listed: Vec<String>,
    /// Whether each file that git lists is executable, by its real path.
    known: BTreeMap<String, bool>,
    /// Real paths that differ from HEAD, deleted files among them.
    changed: BTreeSet<String>,
    /// Links that were followed.
    links: BTreeSet<String>,
    /// Real folders that were entered through a link.
    linked_folders: BTreeSet<String>,
}

/// A file that exists below the path under which it is asked for.
pub(super) struct FoundFile {
    /// The path under which Terraform reads it, relative to the project.
    pub(super) path: String,
    /// Its real path, relative to the project.
    pub(super) real: String,
    executable: bool,
}

impl ProjectFiles {
    /// Opens the project's files.
    pub(super) fn open(root: &Path) -> Result<Self> {
        let mut files = Self::on_the_disk(root)?;
        if files.root.ancestors().any(|folder| folder.join(".git").exists()) {
            files.repository = Some(Repository::open(&files.root)?);
        }
        Ok(files)
    }

    /// Opens the project's files without a repository: all files on the disk count.
    pub(super) fn on_the_disk(root: &Path) -> Result<Self> {
        let root = root.canonicalize().map_err(|error| failure::io("read", root, error))?;
        Ok(Self {
            root,
            repository: None,
            listed: Vec::new(),
            known: BTreeMap::new(),
            changed: BTreeSet::new(),
            links: BTreeSet::new(),
            linked_folders: BTreeSet::new(),
        })
    }

    /// Returns whether the project is in a repository.
    pub(super) fn has_repository(&self) -> bool {
        self.repository.is_some()
    }

    /// Returns the real path of a file or folder of the project, relative to the project; `None` if it does not exist.
    pub(super) fn real(&self, path: &str) -> Result<Option<String>> {
        let full = self.root.join(path);
        match full.canonicalize() {
            Ok(real) => match real.strip_prefix(&self.root) {
                Ok(relative) => Ok(Some(text(relative)?)),
                Err(_) => Err(self.leaves(path, &real)),
            },
            Err(error) if full.symlink_metadata().is_ok_and(|found| found.is_symlink()) => {
                Err(Failure::usage(format!("{path} is a broken link"))
                    .caused_by(error)
                    .unchanged("Nothing was changed.")
                    .hint("repair the link, or replace it by the file"))
            }
            Err(_) => Ok(None),
        }
    }

    /// Returns the files of a folder and its sub-folders that git lists, in the order of their paths.
    ///
    /// `enter` is asked for each folder and file by its name, and leaves those out for which it returns false.
    pub(super) fn below(
        &mut self,
        folder: &str,
        enter: &dyn Fn(&str, bool) -> bool,
    ) -> Result<Vec<FoundFile>> {
        let mut found = Vec::new();
        let mut path = Vec::new();
        self.walk(folder, enter, &mut path, &mut found)?;
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    fn walk(
        &mut self,
        folder: &str,
        enter: &dyn Fn(&str, bool) -> bool,
        above: &mut Vec<String>,
        found: &mut Vec<FoundFile>,
    ) -> Result<()> {
        let Some(real) = self.real(folder)? else { return Ok(()) };
        if above.contains(&real) {
            return Err(Failure::usage(format!("{folder} is a link to a folder that contains it"))
                .unchanged("Nothing was changed.")
                .hint("remove the link"));
        }
        self.list(&real)?;
        if real != folder {
            self.linked_folders.insert(real.clone());
        }
        let place = self.root.join(&real);
        let entries = place.read_dir().map_err(|error| failure::io("read", &place, error))?;
        above.push(real.clone());
        for entry in entries {
            let entry = entry.map_err(|error| failure::io("read", &place, error))?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let (path, own) = (join(folder, name), join(&real, name));
            let kind = entry.file_type().map_err(|error| failure::io("read", &place, error))?;
            if kind.is_symlink() {
                let is_folder = self.root.join(&own).is_dir();
                // A link that git does not list is not followed.
                if !enter(name, is_folder) || !self.is_known(&own) {
                    continue;
                }
                self.links.insert(own);
                if is_folder {
                    self.walk(&path, enter, above, found)?;
                } else {
                    found.extend(self.file(&path)?);
                }
            } else if kind.is_dir() {
                if enter(name, true) {
                    self.walk(&path, enter, above, found)?;
                }
            } else if kind.is_file()
                && enter(name, false)
                && let Some(executable) = self.executable(&own)
            {
                found.push(FoundFile { path, real: own, executable });
            }
        }
        above.pop();
        Ok(())
    }

    /// Returns one file that git lists, with links followed; `None` if it does not exist or git ignores it.
    pub(super) fn file(&mut self, path: &str) -> Result<Option<FoundFile>> {
        let Some(real) = self.real(path)? else { return Ok(None) };
        if !self.root.join(&real).is_file() || !self.follow(path)? {
            return Ok(None);
        }
        self.list(&real)?;
        let executable = self.executable(&real);
        Ok(executable.map(|executable| FoundFile { path: path.to_owned(), real, executable }))
    }

    /// Records the links on the way to a path; returns false if git does not list one of them.
    pub(super) fn follow(&mut self, path: &str) -> Result<bool> {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        for end in ends.collect::<Vec<_>>() {
            let part = &path[..end];
            if !self.root.join(part).symlink_metadata().is_ok_and(|found| found.is_symlink()) {
                continue;
            }
            let folder = self.real(parent(part))?.unwrap_or_default();
            let link = join(&folder, file_name(part));
            self.list(&link)?;
            if !self.is_known(&link) {
                return Ok(false);
            }
            self.links.insert(link);
        }
        Ok(true)
    }

    /// Reads a file.
    pub(super) fn read(&self, file: &FoundFile) -> Result<SourceFile> {
        let path = self.root.join(&file.real);
        let content = std::fs::read(&path).map_err(|error| failure::io("read", &path, error))?;
        Ok(SourceFile { content, executable: file.executable })
    }

    /// Returns the names in a folder on the disk, whether git lists them or not.
    pub(super) fn names_on_disk(&self, folder: &str) -> Vec<String> {
        let entries = self.root.join(folder).read_dir().into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    /// Returns whether a path of the project is a file, and whether it is a folder.
    pub(super) fn on_disk(&self, path: &str) -> (bool, bool) {
        let full = self.root.join(path);
        (full.is_file(), full.is_dir())
    }

    /// Returns a changed path, deleted or new, that is a link that was followed, in a folder behind one, or for which
    /// `is_of_stack` returns true.
    pub(super) fn changed(&self, is_of_stack: impl Fn(&str) -> bool) -> Option<&str> {
        let mut changed = self.changed.iter().map(String::as_str);
        changed.find(|path| {
            self.links.contains(*path) || self.linked_folders.contains(parent(path)) || is_of_stack(path)
        })
    }

    /// Lists the files below some folders, by their real paths, at once.
    pub(super) fn list_all(&mut self, folders: &[&str]) -> Result<()> {
        let Some(repository) = &self.repository else { return Ok(()) };
        let folders: Vec<String> = folders.iter().map(|folder| (*folder).to_owned()).collect();
        let tree = repository.work_tree(&folders)?;
        tree.refuse_unknown_content("a stack is planned from it")?;
        self.known.extend(tree.files.into_iter().map(|(path, file)| (path, file.executable())));
        self.changed.extend(tree.changed);
        self.listed.extend(folders);
        Ok(())
    }

    /// Lists the files below a folder, by its real path, once.
    fn list(&mut self, folder: &str) -> Result<()> {
        let is_listed = |listed: &String| {
            listed.is_empty()
                || folder == listed
                || folder.strip_prefix(listed.as_str()).is_some_and(|rest| rest.starts_with('/'))
        };
        if self.listed.iter().any(is_listed) {
            return Ok(());
        }
        self.list_all(&[folder])
    }

    fn is_known(&self, path: &str) -> bool {
        self.repository.is_none() || self.known.contains_key(path)
    }

    fn executable(&self, real: &str) -> Option<bool> {
        use std::os::unix::fs::PermissionsExt as _;
        match &self.repository {
            Some(_) => self.known.get(real).copied(),
            None => {
                let metadata = self.root.join(real).metadata().ok()?;
                Some(metadata.permissions().mode() & 0o100 != 0)
            }
        }
    }

    fn leaves(&self, path: &str, real: &Path) -> Failure {
        // The link is the last part of the path that leads outside.
        let mut link = PathBuf::new();
        for part in Path::new(path).components() {
            link.push(part);
            if self.root.join(&link).symlink_metadata().is_ok_and(|found| found.is_symlink()) {
                break;
            }
        }
        Failure::usage(format!("{} is a link that leaves the project", link.display()))
            .detail("leads to", real.display().to_string())
            .unchanged("Nothing was changed.")
            .hint("a rollback could not have that file: replace the link by a copy of what it points to")
    }
}

/// Resolves `.` and `..` in a path below the project, as Terraform does: by its text. `None` if it leaves the project.
pub(super) fn clean(path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => parts.push(name.to_str()?),
            Component::ParentDir => {
                parts.pop()?;
            }
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    Some(parts.join("/"))
}

/// Returns the path that leads from a folder of the project to another path of it, such as `../../policies`.
pub(super) fn relative_to(folder: &str, path: &str) -> String {
    let parts =
        |path: &str| path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    let (from, to) = (parts(folder), parts(path));
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n("..".to_owned(), from.len() - common);
    up.chain(to[common..].iter().cloned()).collect::<Vec<_>>().join("/")
}

pub(super) fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

pub(super) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

pub(super) fn file_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

fn text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).ok_or_else(|| Failure::usage(format!("{} is not UTF-8", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_resolved_by_their_text_and_may_not_leave_the_project() {
        assert_eq!(clean("terraform/stacks/s/../../modules/a").as_deref(), Some("terraform/modules/a"));
        assert_eq!(clean("terraform/stacks/s/./x").as_deref(), Some("terraform/stacks/s/x"));
        assert_eq!(clean("terraform/stacks/s/../../../../x"), None);
        assert_eq!(relative_to("terraform/stacks/s", "terraform/policies/a.json"), "../../policies/a.json");
        assert_eq!(relative_to("terraform/stacks/s", "terraform/stacks/s/b"), "b");
        assert_eq!(relative_to("a/b", "c"), "../../c");
    }
}
