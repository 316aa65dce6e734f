//! A folder that stands for the root of a file system while it is filled.
//!
//! In: paths as they would be seen from inside. Out: open folders within the tree, and no others: a symlink is followed
//! as if the tree were all there is, so `/` and any number of `..` end at its top. What can go wrong: a path leads
//! through a file, in circles, or too deep.

use rustix::fs::{AtFlags, Dir, Mode, OFlags};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

/// Folders within folders; each of a path is open while the path is followed.
const DEEPEST: usize = 200;
/// As many symlinks as Linux itself follows in one path.
const LINKS: usize = 40;

/// The tree.
pub(super) struct Tree {
    root: OwnedFd,
}

/// A folder within it.
pub(super) struct Folder {
    open: OwnedFd,
    /// Where it really is, relative to the root.
    pub(super) path: PathBuf,
}

impl Tree {
    /// Opens a folder as a root.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        Ok(Self { root: rustix::fs::open(root, folder_flags(), Mode::empty())? })
    }

    /// Opens a folder; with `make`, what is missing of it is made with mode 0755.
    pub(super) fn folder(&self, path: &Path, make: bool) -> io::Result<Folder> {
        let mut way: Vec<(OwnedFd, OsString)> = Vec::new();
        let mut rest: VecDeque<OsString> = steps(path).collect();
        let mut links = 0;
        while let Some(name) = rest.pop_front() {
            if name == ".." {
                way.pop();
                continue;
            }
            let here = way.last().map_or(self.root.as_fd(), |(open, _)| open.as_fd());
            match step(here, &name, make) {
                Ok(_) if way.len() == DEEPEST => return Err(Errno::NAMETOOLONG.into()),
                Ok(open) => way.push((open, name)),
                Err(Errno::NOTDIR | Errno::LOOP) => {
                    // What is no link and no folder is not to be gone through.
                    let link = rustix::fs::readlinkat(here, &name, Vec::new()).map_err(|_| Errno::NOTDIR)?;
                    links += 1;
                    if links > LINKS {
                        return Err(Errno::LOOP.into());
                    }
                    let link = PathBuf::from(OsString::from_vec(link.into_bytes()));
                    if link.is_absolute() {
                        way.clear();
                    }
                    steps(&link).collect::<Vec<_>>().into_iter().rev().for_each(|name| rest.push_front(name));
                }
                Err(error) => return Err(error.into()),
            }
        }
        let path = way.iter().map(|(_, name)| name).collect();
        let open = match way.pop() {
            Some((open, _)) => open,
            None => self.root.try_clone()?,
        };
        Ok(Folder { open, path })
    }
}

impl Folder {
    /// Opens a folder right in this one that is no symlink; made where it is missing, instead of anything else there.
    pub(super) fn replace_with_folder(&self, name: &OsStr) -> io::Result<OwnedFd> {
        match step(self.as_fd(), name, true) {
            Err(Errno::NOTDIR | Errno::LOOP) => {
                self.remove(name)?;
                Ok(step(self.as_fd(), name, true)?)
            }
            opened => Ok(opened?),
        }
    }

    /// Removes what is there under a name, with all that is in it; nothing there is as well.
    pub(super) fn remove(&self, name: &OsStr) -> io::Result<()> {
        remove(self.as_fd(), name)
    }

    /// Removes everything in this folder that `keep` does not say yes to; of folders that it keeps, the same of what
    /// is in them. It is asked by where things really are.
    pub(super) fn clear(&self, keep: &dyn Fn(&Path) -> bool) -> io::Result<()> {
        clear(self.as_fd(), &self.path, keep)
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.open.as_fd()
    }
}

fn step(here: BorrowedFd<'_>, name: &OsStr, make: bool) -> Result<OwnedFd, Errno> {
    let open = || rustix::fs::openat(here, name, folder_flags(), Mode::empty());
    match open() {
        Err(Errno::NOENT) if make => {
            rustix::fs::mkdirat(here, name, Mode::from_raw_mode(0o755))?;
            let opened = open()?;
            // Whatever our own umask is.
            rustix::fs::fchmod(&opened, Mode::from_raw_mode(0o755))?;
            Ok(opened)
        }
        opened => opened,
    }
}

fn folder_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

/// The names of a path and its `..`, in order.
fn steps(path: &Path) -> impl Iterator<Item = OsString> {
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
