//! The tree to pack: named files with their executable bit, in memory or on disk.
//!
//! In: a folder, single files, bytes. Out: entries sorted bytewise by name. Names, links and file types are checked when an
//! entry is added; contents are read only when the tree is packed.

use std::fs::{self, Metadata};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

mod folder_links;
#[cfg(test)]
mod tests;

use crate::Error;
use crate::listing::{LINK_MODE, mode};
use crate::name::Names;
use crate::tree::folder_links::FolderLinks;

/// The files of an archive under sorted, unique names.
///
/// Folders are not stored, only the files below them: an empty folder is left out.
#[derive(Debug, Clone)]
pub struct Tree {
    files: Names<Content>,
}

/// One file of a [`Tree`].
#[derive(Debug, Clone, Copy)]
pub struct Entry<'tree> {
    name: &'tree str,
    content: &'tree Content,
}

/// The content of a file.
#[derive(Debug, Clone)]
struct Content {
    executable: bool,
    source: Source,
}

/// The source of a file's bytes.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    File(PathBuf),
    Bytes(Vec<u8>),
    /// A link to a folder of the tree: the target as the link has it.
    Link(String),
}

impl Tree {
    /// Creates a tree without files.
    pub const fn new() -> Self {
        Self { files: Names::new() }
    }

    /// Creates a tree of all files below a folder, named relative to it.
    ///
    /// A file is executable if its owner may execute it. A symbolic link to a file in the folder is stored as that file's
    /// content, and one to a folder in it as a link, because what is found from a file can depend on the folder that it
    /// really lies in: `node_modules` of pnpm are made of such links. A link to a folder without files is left out, as the
    /// folder is.
    ///
    /// # Errors
    /// The folder cannot be read; a link is broken or points outside; following links to folders would never end; an entry
    /// is not a file, folder or link; a name is refused or not UTF-8.
    pub fn from_folder(folder: &Path) -> Result<Self, Error> {
        let root = fs::canonicalize(folder).map_err(Error::io("read the folder", folder))?;
        let mut tree = Self::new();
        let mut links = FolderLinks::default();
        for found in WalkDir::new(&root).min_depth(1) {
            let found = found.map_err(|error| {
                let path = error.path().unwrap_or(&root).to_owned();
                Error::Io { action: "read the folder", path, source: error.into() }
            })?;
            let path = found.path();
            let kind = found.file_type();
            if kind.is_dir() {
                continue;
            }
            let source = if kind.is_symlink() { follow(path, &root)? } else { path.to_owned() };
            let name = name_below(&root, path)?;
            if kind.is_symlink() && source.is_dir() {
                links.add(name, name_below(&root, &source)?);
                continue;
            }
            let executable = is_executable(&regular_file(&source)?);
            tree.add(name, executable, Source::File(source))?;
        }
        links.refuse_cycles(&root)?;
        for (name, target) in links.with_files(&tree) {
            tree.add(&name, false, Source::Link(target))?;
        }
        Ok(tree)
    }

    /// Adds a file of the disk; its content is read when the tree is packed.
    ///
    /// # Errors
    /// The name is refused or exists, or `source` does not exist or is not a regular file. A link is followed: its target's
    /// content is stored.
    pub fn add_file(
        &mut self,
        name: &str,
        executable: bool,
        source: impl Into<PathBuf>,
    ) -> Result<(), Error> {
        let source = source.into();
        regular_file(&source)?;
        self.add(name, executable, Source::File(source))
    }

    /// Adds a file that exists only in memory.
    ///
    /// # Errors
    /// The name is refused or exists.
    pub fn add_bytes(&mut self, name: &str, executable: bool, bytes: Vec<u8>) -> Result<(), Error> {
        self.add(name, executable, Source::Bytes(bytes))
    }

    /// Splits the tree in two: the files whose names fit, and the others.
    pub fn partition(self, fits: impl Fn(&str) -> bool) -> (Self, Self) {
        let (mut fitting, mut others) = (Self::new(), Self::new());
        for (name, content) in self.files.iter() {
            let tree = if fits(name) { &mut fitting } else { &mut others };
            // Names that are unique in one tree are unique in each of two.
            let _ = tree.files.insert(name, content.clone());
        }
        (fitting, others)
    }

    /// Returns the files, sorted bytewise by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Entry<'_>> {
        self.files.iter().map(|(name, content)| Entry { name, content })
    }

    /// Returns the number of files.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Returns whether there are no files.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn add(&mut self, name: &str, executable: bool, source: Source) -> Result<(), Error> {
        self.files.insert(name, Content { executable, source })
    }
}

impl Default for Tree {
    fn default() -> Self {
        Self::new()
    }
}

impl<'tree> Entry<'tree> {
    /// Returns the name in the archive.
    pub fn name(&self) -> &'tree str {
        self.name
    }

    /// Returns whether the file is stored as executable.
    pub fn executable(&self) -> bool {
        self.content.executable
    }

    /// Returns the file's path on disk; `None` if it exists only in memory.
    pub fn path(&self) -> Option<&'tree Path> {
        match &self.content.source {
            Source::File(path) => Some(path),
            Source::Bytes(_) | Source::Link(_) => None,
        }
    }

    /// Returns the target of a link to a folder, relative to the link's own folder; `None` for a file.
    pub fn link(&self) -> Option<&'tree str> {
        match &self.content.source {
            Source::Link(target) => Some(target),
            Source::File(_) | Source::Bytes(_) => None,
        }
    }

    /// Returns the mode with which the entry is stored.
    pub(crate) fn mode(&self) -> u32 {
        if self.link().is_some() { LINK_MODE } else { mode(self.executable()) }
    }

    /// Returns the current length of the content, in bytes.
    ///
    /// # Errors
    /// The file no longer exists, or is no longer a regular file.
    pub fn size(&self) -> Result<u64, Error> {
        match &self.content.source {
            Source::File(path) => Ok(regular_file(path)?.len()),
            Source::Bytes(bytes) => Ok(bytes.len() as u64),
            Source::Link(target) => Ok(target.len() as u64),
        }
    }

    pub(crate) fn source(&self) -> &'tree Source {
        &self.content.source
    }
}

/// Returns the target of a link to a file or folder in `root`, a canonical path.
fn follow(link: &Path, root: &Path) -> Result<PathBuf, Error> {
    let target = fs::read_link(link).map_err(Error::io("read the link", link))?;
    let link = link.to_owned();
    match fs::canonicalize(&link) {
        Err(source) => Err(Error::LinkBroken { link, target, source }),
        Ok(file) if !file.starts_with(root) => Err(Error::LinkEscapes { link, target }),
        Ok(file) => Ok(file),
    }
}

/// Returns the name of a path below `root`.
fn name_below<'a>(root: &Path, path: &'a Path) -> Result<&'a str, Error> {
    let relative = path.strip_prefix(root).unwrap_or(path);
    let name = || relative.to_string_lossy().into_owned();
    relative.to_str().ok_or_else(|| Error::Name { name: name(), reason: "is not UTF-8" })
}

fn regular_file(path: &Path) -> Result<Metadata, Error> {
    let metadata = fs::metadata(path).map_err(Error::io("read", path))?;
    if metadata.is_file() { Ok(metadata) } else { Err(Error::NotAFile { path: path.to_owned() }) }
}

/// Returns whether the owner may execute a file. The other bits depend on the umask with which it was checked out.
fn is_executable(metadata: &Metadata) -> bool {
    metadata.permissions().mode() & 0o100 != 0
}
