//! Applies the layers of an image to a folder, one after the other.
//!
//! In: a tar of files, folders, links and whiteouts, see
//! <https://github.com/opencontainers/image-spec/blob/v1.1.0/layer.md>. Out: its entries in a [`Tree`], with modes (without
//! set-user-id) and times; owners are ignored, and devices are left out. Errors: a name points outside, a hard link to a
//! missing file, too many bytes, in the tar or in files. Nothing outside the tree changes, whatever the tar holds.

mod bounded;

use self::bounded::{Bounded, Bounds};
use super::tree::{Folder, Tree};
use rustix::fs::{AtFlags, Mode, OFlags, Timespec, Timestamps};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use tar::{Archive, Entry, EntryType};

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// Why a layer cannot be applied.
#[derive(Debug, thiserror::Error)]
pub(super) enum LayerError {
    /// It is not a tar, or is incomplete.
    #[error("it is not a complete tar")]
    Tar(#[source] io::Error),
    /// An entry cannot be written.
    #[error("its entry `{0}`")]
    Entry(String, #[source] io::Error),
    /// An entry's name, or the target of its hard link, is outside of the image.
    #[error("its entry `{0}` points outside of the image")]
    Outside(String),
    /// Lambda's limit is exceeded.
    #[error("the image has more than {0} bytes unpacked")]
    TooLarge(u64),
}

/// Applies layers.
pub(super) struct Layers<'a> {
    tree: &'a Tree,
    limit: u64,
    /// The number of bytes in the tars so far.
    read: u64,
    /// The number of bytes in files so far: a sparse file has more than its tar.
    written: u64,
}

impl<'a> Layers<'a> {
    /// Starts with an empty tree; `limit` is the number of bytes that the tars of all layers, and their files, may have.
    pub(super) fn new(tree: &'a Tree, limit: u64) -> Self {
        Self { tree, limit, read: 0, written: 0 }
    }

    /// Applies the next layer. All bytes are read, also those after its end mark.
    pub(super) fn add(&mut self, tar: impl Read) -> Result<(), LayerError> {
        let bounds = Bounds::new(self.limit - self.read);
        let added = self.entries(Bounded::new(tar, &bounds), &bounds);
        self.read += bounds.read();
        if bounds.is_exceeded() { Err(LayerError::TooLarge(self.limit)) } else { added }
    }

    fn entries(&mut self, tar: Bounded<'_, impl Read>, bounds: &Bounds) -> Result<(), LayerError> {
        let mut archive = Archive::new(tar);
        // The paths of this layer, with their parents: its whiteouts do not hide them.
        let mut own = Paths::default();
        for entry in archive.entries().map_err(LayerError::Tar)? {
            let mut entry = entry.map_err(LayerError::Tar)?;
            // A sparse file has fewer bytes in the tar.
            let is_sparse = entry.header().entry_type().is_gnu_sparse();
            let stored = if is_sparse { entry.header().entry_size() } else { Ok(entry.size()) };
            bounds.begin_content(stored.map_err(LayerError::Tar)?);
            let shown = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let path = inside(&entry.path_bytes()).ok_or_else(|| LayerError::Outside(shown.clone()))?;
            self.entry(&mut entry, &path, &mut own).map_err(|error| match error {
                EntryError::File(error) => LayerError::Entry(shown, error),
                EntryError::Outside => LayerError::Outside(shown),
                EntryError::TooLarge => LayerError::TooLarge(self.limit),
            })?;
        }
        bounds.begin_content(u64::MAX);
        io::copy(&mut archive.into_inner(), &mut io::sink()).map(drop).map_err(LayerError::Tar)
    }

    fn entry(
        &mut self,
        entry: &mut Entry<'_, impl Read>,
        path: &Path,
        own: &mut Paths,
    ) -> Result<(), EntryError> {
        // The root itself exists.
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
            // The owner's permissions are needed to fill the folder and to remove it.
            rustix::fs::fchmod(&made, Mode::from_raw_mode((mode & 0o1777) | 0o700))
                .map_err(io::Error::from)?;
        } else if kind.is_symlink() {
            let link = entry.link_name_bytes().ok_or(EntryError::Outside)?.into_owned();
            folder.remove(name)?;
            rustix::fs::symlinkat(&link[..], &folder, name).map_err(io::Error::from)?;
        } else if kind.is_hard_link() {
            let link = entry.link_name_bytes().ok_or(EntryError::Outside)?.into_owned();
            self.hard_link(&link, &folder, name)?;
        } else {
            self.file(entry, &folder, name, mode)?;
        }
        own.insert(&place);
        Ok(())
    }

    fn whiteout(&self, parent: &Path, name: &OsStr, hidden: &OsStr, own: &Paths) -> Result<(), EntryError> {
        if hidden.is_empty() || hidden == "." || hidden == ".." {
            return Err(EntryError::Outside);
        }
        let folder = match self.tree.folder(parent, false) {
            Ok(folder) => folder,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if name.as_bytes() == OPAQUE {
            return Ok(folder.clear(&|path| own.contains(path))?);
        }
        // Other names with two prefixes are metadata of aufs.
        if !hidden.as_bytes().starts_with(WHITEOUT) && !own.contains(&folder.path.join(hidden)) {
            folder.remove(hidden)?;
        }
        Ok(())
    }

    fn hard_link(&self, link: &[u8], folder: &Folder, name: &OsStr) -> Result<(), EntryError> {
        let target = inside(link).ok_or(EntryError::Outside)?;
        let (Some(parent), Some(file)) = (target.parent(), target.file_name()) else {
            return Err(EntryError::Outside);
        };
        let from = self.tree.folder(parent, false)?;
        if from.path.join(file) == folder.path.join(name) {
            return Ok(());
        }
        folder.remove(name)?;
        // A symlink is not followed: the link is then to the symlink itself.
        rustix::fs::linkat(&from, file, folder, name, AtFlags::empty()).map_err(io::Error::from)?;
        Ok(())
    }

    fn file(
        &mut self,
        entry: &mut Entry<'_, impl Read>,
        folder: &Folder,
        name: &OsStr,
        mode: u32,
    ) -> Result<(), EntryError> {
        // An existing file is removed, not overwritten: it may have other names.
        folder.remove(name)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file =
            rustix::fs::openat(folder, name, flags, Mode::from_raw_mode(0o600)).map_err(io::Error::from)?;
        let mut file = File::from(file);
        let left = self.limit - self.written;
        let length = io::copy(&mut entry.by_ref().take(left + 1), &mut file)?;
        if length > left {
            return Err(EntryError::TooLarge);
        }
        self.written += length;
        let seconds =
            entry.header().mtime().ok().and_then(|seconds| i64::try_from(seconds).ok()).unwrap_or(0);
        // Python compares the time of a source file with its compiled file.
        let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
        let times = Timestamps { last_access: time, last_modification: time };
        rustix::fs::futimens(file.as_fd(), &times).map_err(io::Error::from)?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode & 0o777)).map_err(io::Error::from)?;
        Ok(())
    }
}

/// A set of paths and their parents. Each name is stored once, however deep the paths below it are.
#[derive(Default)]
struct Paths(BTreeMap<OsString, Paths>);

impl Paths {
    fn insert(&mut self, path: &Path) {
        path.iter().fold(self, |at, name| at.0.entry(name.to_owned()).or_default());
    }

    fn contains(&self, path: &Path) -> bool {
        path.iter().try_fold(self, |at, name| at.0.get(name)).is_some()
    }
}

enum EntryError {
    File(io::Error),
    Outside,
    TooLarge,
}

impl From<io::Error> for EntryError {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

/// Returns a name in a tar as a path from the root; `None` if it contains `..`.
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
