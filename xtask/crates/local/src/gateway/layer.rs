//! One layer of an image, laid over those below it.
//!
//! In: a tar of files, folders, links and whiteouts, see
//! <https://github.com/opencontainers/image-spec/blob/v1.1.0/layer.md>. Out: the same in a [`Tree`], with modes (without
//! set-user-id) and times; owners are not kept, and devices are left out. What can go wrong: a name leads out, a hard
//! link to nothing, too many bytes. Nothing outside the tree is touched whatever the tar holds.

use super::tree::{Folder, Tree};
use rustix::fs::{AtFlags, Mode, OFlags, Timespec, Timestamps};
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use tar::{Archive, Entry, EntryType};

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// Why a layer is not laid down.
#[derive(Debug, thiserror::Error)]
pub(super) enum LayerError {
    /// It is not a tar, or breaks off.
    #[error("it is not a whole tar")]
    Tar(#[source] io::Error),
    /// An entry cannot be written.
    #[error("its entry `{0}`")]
    Entry(String, #[source] io::Error),
    /// An entry's name, or the file that it links to, leads out of the image.
    #[error("its entry `{0}` leads out of the image")]
    Outside(String),
    /// Lambda's limit.
    #[error("the image has more than {0} bytes unpacked")]
    Large(u64),
}

/// Lays one layer after the other.
pub(super) struct Layers<'a> {
    tree: &'a Tree,
    limit: u64,
    written: u64,
}

impl<'a> Layers<'a> {
    /// Begins with a tree and the bytes that may be written to it.
    pub(super) fn new(tree: &'a Tree, limit: u64) -> Self {
        Self { tree, limit, written: 0 }
    }

    /// Lays the next layer.
    pub(super) fn lay(&mut self, tar: impl Read) -> Result<(), LayerError> {
        let mut archive = Archive::new(tar);
        // What this layer brought, and the folders that lead there: its whiteouts mean only what was there before.
        let mut own: HashSet<PathBuf> = HashSet::new();
        for entry in archive.entries().map_err(LayerError::Tar)? {
            let mut entry = entry.map_err(LayerError::Tar)?;
            let shown = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let path = inside(&entry.path_bytes()).ok_or_else(|| LayerError::Outside(shown.clone()))?;
            self.entry(&mut entry, &path, &mut own).map_err(|failure| match failure {
                Failure::File(error) => LayerError::Entry(shown, error),
                Failure::Outside => LayerError::Outside(shown),
                Failure::Large => LayerError::Large(self.limit),
            })?;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        entry: &mut Entry<'_, impl Read>,
        path: &Path,
        own: &mut HashSet<PathBuf>,
    ) -> Result<(), Failure> {
        // The root itself is there.
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(());
        };
        if let Some(hidden) = name.as_bytes().strip_prefix(WHITEOUT) {
            return self.whiteout(parent, name, OsStr::from_bytes(hidden), own);
        }
        let kind = entry.header().entry_type();
        let known = kind.is_dir()
            || kind.is_symlink()
            || kind.is_hard_link()
            || matches!(kind, EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse);
        if !known {
            return Ok(());
        }
        let folder = self.tree.folder(parent, true)?;
        let place = folder.path.join(name);
        let mode = entry.header().mode()?;
        if kind.is_dir() {
            let made = folder.replace_with_folder(name)?;
            // Ours to fill and to remove, whatever the image says.
            rustix::fs::fchmod(&made, Mode::from_raw_mode((mode & 0o1777) | 0o700))
                .map_err(io::Error::from)?;
        } else if kind.is_symlink() {
            let link = entry.link_name_bytes().ok_or(Failure::Outside)?.into_owned();
            folder.remove(name)?;
            rustix::fs::symlinkat(&link[..], &folder, name).map_err(io::Error::from)?;
        } else if kind.is_hard_link() {
            let link = entry.link_name_bytes().ok_or(Failure::Outside)?.into_owned();
            self.hard_link(&link, &folder, name)?;
        } else {
            self.file(entry, &folder, name, mode)?;
        }
        own.extend(place.ancestors().map(Path::to_owned));
        Ok(())
    }

    fn whiteout(
        &self,
        parent: &Path,
        name: &OsStr,
        hidden: &OsStr,
        own: &HashSet<PathBuf>,
    ) -> Result<(), Failure> {
        if hidden.is_empty() || hidden == "." || hidden == ".." {
            return Err(Failure::Outside);
        }
        let folder = match self.tree.folder(parent, false) {
            Ok(folder) => folder,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if name.as_bytes() == OPAQUE {
            return Ok(folder.clear(&|path| own.contains(path))?);
        }
        // Other names with two prefixes are aufs's own.
        if !hidden.as_bytes().starts_with(WHITEOUT) && !own.contains(&folder.path.join(hidden)) {
            folder.remove(hidden)?;
        }
        Ok(())
    }

    fn hard_link(&self, link: &[u8], folder: &Folder, name: &OsStr) -> Result<(), Failure> {
        let target = inside(link).ok_or(Failure::Outside)?;
        let (Some(parent), Some(file)) = (target.parent(), target.file_name()) else {
            return Err(Failure::Outside);
        };
        let from = self.tree.folder(parent, false)?;
        if from.path.join(file) == folder.path.join(name) {
            return Ok(());
        }
        folder.remove(name)?;
        // Without following: a link to a symlink is that symlink, so it leads nowhere else.
        rustix::fs::linkat(&from, file, folder, name, AtFlags::empty()).map_err(io::Error::from)?;
        Ok(())
    }

    fn file(
        &mut self,
        entry: &mut Entry<'_, impl Read>,
        folder: &Folder,
        name: &OsStr,
        mode: u32,
    ) -> Result<(), Failure> {
        // Never into a file that is there: it may be another name's as well.
        folder.remove(name)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file =
            rustix::fs::openat(folder, name, flags, Mode::from_raw_mode(0o600)).map_err(io::Error::from)?;
        let mut file = File::from(file);
        let left = self.limit - self.written;
        let length = io::copy(&mut entry.by_ref().take(left + 1), &mut file)?;
        if length > left {
            return Err(Failure::Large);
        }
        self.written += length;
        let seconds =
            entry.header().mtime().ok().and_then(|seconds| i64::try_from(seconds).ok()).unwrap_or(0);
        // Python compares its compiled files with the time of the source.
        let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
        let times = Timestamps { last_access: time, last_modification: time };
        rustix::fs::futimens(file.as_fd(), &times).map_err(io::Error::from)?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode & 0o777)).map_err(io::Error::from)?;
        Ok(())
    }
}

enum Failure {
    File(io::Error),
    Outside,
    Large,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

/// Takes a name of a tar as a path from the root; `None` where it has a `..`.
fn inside(name: &[u8]) -> Option<PathBuf> {
    let mut path = PathBuf::new();
    for component in Path::new(OsStr::from_bytes(name)).components() {
        match component {
            Component::Normal(name) => path.push(OsString::from(name)),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    Some(path)
}

#[cfg(test)]
#[path = "layer/tests.rs"]
mod tests;
