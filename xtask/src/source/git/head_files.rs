//! Whether the commit that is checked out holds exactly the files that a command read.
//!
//! This asks neither the index nor `git status`: flags of the index and ignore rules say what git shows, not what is in the
//! commit. Links count with their own text and with what they lead to.

use std::path::{Component, Path, PathBuf};

use git2::{ErrorClass, ErrorCode, ObjectType, Oid};

use super::Repository;
use crate::failure::{self, Failure, Result};

/// Why the commit does not hold a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotCommitted {
    /// The commit has other content.
    Changed,
    /// The commit has it, and it is gone.
    Deleted,
    /// The commit does not have it.
    New,
    /// The commit does not have it, and git ignores it.
    Ignored,
    /// It is outside the repository.
    Outside,
}

/// How many links one path may follow.
const MAX_LINKS: usize = 20;

impl Repository {
    /// Returns why HEAD's commit does not hold exactly a file, given relative to the project; nothing if it does, or if neither
    /// has it.
    pub(crate) fn not_committed(&self, path: &str) -> Result<Option<NotCommitted>> {
        let tree = self.head_tree()?;
        let mut place = normal(&PathBuf::from(&self.prefix).join(path));
        for _ in 0..MAX_LINKS {
            let Some(current) = place else { return Ok(Some(NotCommitted::Outside)) };
            // The first component that is a link decides where the rest is.
            let link = current.ancestors().filter(|part| !part.as_os_str().is_empty()).filter(|part| {
                self.on_disk(part).symlink_metadata().is_ok_and(|metadata| metadata.is_symlink())
            });
            let Some(link) = link.last().map(Path::to_path_buf) else {
                return self.file_not_committed(&tree, &current);
            };
            let full = self.on_disk(&link);
            let text =
                std::fs::read_link(&full).map_err(|error| failure::io("read the link", &full, error))?;
            let id = Oid::hash_object(ObjectType::Blob, text.as_os_str().as_encoded_bytes())
                .map_err(|error| unreadable(&link, error))?;
            if let Some(why) = self.compare(&tree, &link, Some(id))? {
                return Ok(Some(why));
            }
            let rest = current.strip_prefix(&link).unwrap_or(Path::new(""));
            place = match text.is_absolute() {
                true => None,
                false => normal(&link.parent().unwrap_or(Path::new("")).join(&text).join(rest)),
            };
        }
        Ok(Some(NotCommitted::Outside))
    }

    /// Reads a file of HEAD's commit, given relative to the project; nothing where the commit does not have it.
    pub(crate) fn file_in_head(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let tree = self.head_tree()?;
        let path = PathBuf::from(format!("{}{path}", self.prefix));
        let Some(id) = self.id_in(&tree, &path)? else { return Ok(None) };
        let blob = self.git.find_blob(id).map_err(|error| unreadable(&path, error))?;
        Ok(Some(blob.content().to_vec()))
    }

    fn file_not_committed(&self, tree: &git2::Tree<'_>, path: &Path) -> Result<Option<NotCommitted>> {
        let full = self.on_disk(path);
        let bytes = match std::fs::read(&full) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(failure::io("read", &full, error)),
        };
        let Some(bytes) = bytes else { return self.compare(tree, path, None) };
        let hash =
            |bytes: &[u8]| Oid::hash_object(ObjectType::Blob, bytes).map_err(|error| unreadable(path, error));
        let found = self.compare(tree, path, Some(hash(&bytes)?))?;
        if found != Some(NotCommitted::Changed) {
            return Ok(found);
        }
        // Git may convert line endings on checkout, which changes nothing in these files.
        let text = String::from_utf8_lossy(&bytes).replace("\r\n", "\n");
        self.compare(tree, path, Some(hash(text.as_bytes())?))
    }

    fn compare(
        &self,
        tree: &git2::Tree<'_>,
        path: &Path,
        found: Option<Oid>,
    ) -> Result<Option<NotCommitted>> {
        Ok(match (self.id_in(tree, path)?, found) {
            (None, None) => None,
            (Some(committed), Some(found)) if committed == found => None,
            (Some(_), Some(_)) => Some(NotCommitted::Changed),
            (Some(_), None) => Some(NotCommitted::Deleted),
            (None, Some(_)) if self.git.is_path_ignored(path).map_err(|error| unreadable(path, error))? => {
                Some(NotCommitted::Ignored)
            }
            (None, Some(_)) => Some(NotCommitted::New),
        })
    }

    fn id_in(&self, tree: &git2::Tree<'_>, path: &Path) -> Result<Option<Oid>> {
        match tree.get_path(path) {
            Ok(entry) => Ok(Some(entry.id())),
            Err(error) if error.class() == ErrorClass::Tree && error.code() == ErrorCode::NotFound => {
                Ok(None)
            }
            Err(error) => Err(unreadable(path, error)),
        }
    }

    fn head_tree(&self) -> Result<git2::Tree<'_>> {
        self.git.head().and_then(|head| head.peel_to_tree()).map_err(|error| {
            Failure::failed("the commit that is checked out cannot be read").caused_by(error)
        })
    }
}

fn unreadable(path: &Path, error: git2::Error) -> Failure {
    Failure::failed(format!("git cannot say whether {} is committed", path.display())).caused_by(error)
}

/// Resolves `.` and `..`; nothing where the path leaves the repository.
fn normal(path: &Path) -> Option<PathBuf> {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => out.push(name),
            Component::CurDir => {}
            Component::ParentDir if out.pop() => {}
            _ => return None,
        }
    }
    Some(out)
}
