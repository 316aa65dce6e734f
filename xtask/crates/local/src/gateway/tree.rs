//! A folder that is filled as the root of a file system.
//!
//! In: paths as seen from inside. Out: open folders within the tree, never outside of it: symlinks are followed with the
//! tree as the root, so `/` and any number of `..` end at its top. Errors: a path goes through a file, in a circle, or too
//! deep.

use rustix::fs::{AtFlags, Dir, Mode, OFlags};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

/// The deepest path. All folders of a path are open while it is followed.
const DEEPEST: usize = 200;
/// The number of symlinks that are followed in one path, as in Linux.
const MOST_LINKS: usize = 40;

/// The root folder.
pub(super) struct Tree {
    root: OwnedFd,
}

/// An open folder within the tree.
pub(super) struct Folder {
    open: OwnedFd,
    /// The path without symlinks, relative to the root.
    pub(super) path: PathBuf,
}

impl Tree {
    /// Opens a folder as a root.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        Ok(Self { root: rustix::fs::open(root, folder_flags(), Mode::empty())? })
    }

    /// Opens a folder; with `create`, missing folders are created with mode 0755.
    pub(super) fn folder(&self, path: &Path, create: bool) -> io::Result<Folder> {
        let mut opened: Vec<(OwnedFd, OsString)> = Vec::new();
        let mut rest: VecDeque<OsString> = names(path).collect();
        let mut links = 0;
        while let Some(name) = rest.pop_front() {
            if name == ".." {
                opened.pop();
                continue;
            }
            let here = opened.last().map_or(self.root.as_fd(), |(open, _)| open.as_fd());
            match open_child(here, &name, create) {
                Ok(_) if opened.len() == DEEPEST => return Err(Errno::NAMETOOLONG.into()),
                Ok(open) => opened.push((open, name)),
                Err(Errno::NOTDIR | Errno::LOOP) => {
                    // Anything that is neither a symlink nor a folder is an error.
                    let link = rustix::fs::readlinkat(here, &name, Vec::new()).map_err(|_| Errno::NOTDIR)?;
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(Errno::LOOP.into());
                    }
                    let link = PathBuf::from(OsString::from_vec(link.into_bytes()));
                    if link.is_absolute() {
                        opened.clear();
                    }
                    names(&link).collect::<Vec<_>>().into_iter().rev().for_each(|name| rest.push_front(name));
                }
                Err(error) => return Err(error.into()),
            }
        }
        let path = opened.iter().map(|(_, name)| name).collect();
        let open = match opened.pop() {
            Some((open, _)) => open,
            None => self.root.try_clone()?,
        };
        Ok(Folder { open, path })
    }
}

impl Folder {
    /// Opens a folder directly within this one. Creates it if it is missing, in place of a file or symlink.
    pub(super) fn replace_with_folder(&self, name: &OsStr) -> io::Result<OwnedFd> {
        match open_child(self.as_fd(), name, true) {
            Err(Errno::NOTDIR | Errno::LOOP) => {
                self.remove(name)?;
                Ok(open_child(self.as_fd(), name, true)?)
            }
            opened => Ok(opened?),
        }
    }

    /// Removes a file or a folder with its content, if it exists.
    pub(super) fn remove(&self, name: &OsStr) -> io::Result<()> {
        remove(self.as_fd(), name)
    }

    /// Removes everything in this folder except the paths for which `keep` returns `true`, recursively.
    ///
    /// `keep` gets paths without symlinks, relative to the root.
    pub(super) fn clear(&self, keep: &dyn Fn(&Path) -> bool) -> io::Result<()> {
        clear(self.as_fd(), &self.path, keep)
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.open.as_fd()
    }
}

fn open_child(here: BorrowedFd<'_>, name: &OsStr, create: bool) -> Result<OwnedFd, Errno> {
    let open = || rustix::fs::openat(here, name, folder_flags(), Mode::empty());
    match open() {
        Err(Errno::NOENT) if create => {
            rustix::fs::mkdirat(here, name, Mode::from_raw_mode(0o755))?;
            let opened = open()?;
            // mkdirat applies the umask.
            rustix::fs::fchmod(&opened, Mode::from_raw_mode(0o755))?;
            Ok(opened)
        }
        opened => opened,
    }
}

fn folder_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

/// Returns the names and `..` of a path, in order.
fn names(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

fn remove(here: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    match rustix::fs::unlinkat(here, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {
            let inner = rustix::fs::openat(here, name, folder_flags(), Mode::empty())?;
            clear(inner.as_fd(), Path::new(""), &|_| false)?;
            Ok(rustix::fs::unlinkat(here, name, AtFlags::REMOVEDIR)?)
        }
        Err(error) => Err(error.into()),
    }
}

fn clear(here: BorrowedFd<'_>, path: &Path, keep: &dyn Fn(&Path) -> bool) -> io::Result<()> {
    let mut names = Vec::new();
    for entry in Dir::read_from(here)? {
        let name = OsString::from_vec(entry?.file_name().to_bytes().to_vec());
        if name != "." && name != ".." {
            names.push(name);
        }
    }
    for name in names {
        let path = path.join(&name);
        if !keep(&path) {
            remove(here, &name)?;
        } else if let Ok(inner) = rustix::fs::openat(here, &name, folder_flags(), Mode::empty()) {
            clear(inner.as_fd(), &path, keep)?;
        }
    }
    Ok(())
}
