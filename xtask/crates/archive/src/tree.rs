//! The tree to pack: named files with their executable bit, in memory or on disk.
//!
//! In: a folder, single files, bytes. Out: entries sorted bytewise by name. Names, links and file types are checked when an
//! entry is added; contents are read only when the tree is packed.

use std::fs::{self, Metadata};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

mod folder_links;

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

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;

    use tempfile::TempDir;

    use super::Tree;
    use crate::Error;

    fn folder() -> TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(folder.path().join("lib/empty")).expect("folders");
        fs::write(folder.path().join("lib/b.py"), "b").expect("b.py");
        fs::write(folder.path().join("run"), "run").expect("run");
        let executable = fs::Permissions::from_mode(0o700);
        fs::set_permissions(folder.path().join("run"), executable).expect("mode");
        folder
    }

    fn described(tree: &Tree) -> Vec<(&str, bool, u64)> {
        tree.iter().map(|entry| (entry.name(), entry.executable(), entry.size().expect("a size"))).collect()
    }

    #[test]
    fn tree_of_a_folder_is_sorted_and_has_no_folders() {
        let folder = folder();
        let tree = Tree::from_folder(folder.path()).expect("a tree");
        assert_eq!(described(&tree), [("lib/b.py", false, 1), ("run", true, 3)]);
        assert_eq!((tree.len(), tree.is_empty()), (2, false));
    }

    #[test]
    fn links_to_files_in_the_tree_are_stored_as_their_content() {
        let folder = folder();
        symlink("../run", folder.path().join("lib/also")).expect("a link");
        symlink("lib/also", folder.path().join("link-to-link")).expect("a link");
        let tree = Tree::from_folder(folder.path()).expect("a tree");
        assert_eq!(
            described(&tree),
            [("lib/also", true, 3), ("lib/b.py", false, 1), ("link-to-link", true, 3), ("run", true, 3)]
        );
    }

    #[test]
    fn folder_may_be_given_as_a_link() {
        let folder = folder();
        let outside = tempfile::tempdir().expect("a folder");
        let alias = outside.path().join("alias");
        symlink(folder.path(), &alias).expect("a link");
        assert_eq!(Tree::from_folder(&alias).expect("a tree").len(), 2);
    }

    #[test]
    fn links_that_leave_or_are_broken_are_refused_by_name() {
        let outside = tempfile::tempdir().expect("a folder");
        fs::write(outside.path().join("secret"), "secret").expect("a file");

        let escaping = folder();
        symlink(outside.path().join("secret"), escaping.path().join("lib/leak")).expect("a link");
        let error = Tree::from_folder(escaping.path()).expect_err("escapes");
        assert!(matches!(error, Error::LinkEscapes { .. }), "{error}");
        assert!(error.to_string().contains("lib/leak"), "{error}");
        assert!(error.to_string().contains("secret"), "{error}");

        let broken = folder();
        symlink("nowhere", broken.path().join("gone")).expect("a link");
        let error = Tree::from_folder(broken.path()).expect_err("broken");
        assert!(matches!(error, Error::LinkBroken { .. }), "{error}");
        assert!(error.to_string().contains("gone"), "{error}");

        let looping = folder();
        symlink("..", looping.path().join("lib/up")).expect("a link");
        let error = Tree::from_folder(looping.path()).expect_err("a folder");
        assert!(matches!(error, Error::LinkCycle { .. }), "{error}");
        assert!(error.to_string().contains("lib/up"), "{error}");
    }

    #[test]
    fn links_to_folders_stay_links_as_pnpm_makes_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let modules = folder.path().join("node_modules");
        for package in ["a@1/node_modules/a", "b@1/node_modules/b"] {
            fs::create_dir_all(modules.join(".pnpm").join(package)).expect("folders");
            fs::write(modules.join(".pnpm").join(package).join("index.js"), package).expect("a file");
        }
        fs::create_dir(modules.join("empty")).expect("a folder");
        for (target, link) in [
            (".pnpm/a@1/node_modules/a", "a"),
            ("../../b@1/node_modules/b", ".pnpm/a@1/node_modules/b"),
            ("../../a@1/node_modules/a", ".pnpm/b@1/node_modules/a"),
            ("empty", "to-nothing"),
        ] {
            symlink(target, modules.join(link)).expect("a link");
        }
        // An absolute link is stored as a relative one: its target has another path in Lambda.
        symlink(modules.join(".pnpm/b@1/node_modules/b"), folder.path().join("absolute")).expect("a link");
        let tree = Tree::from_folder(folder.path()).expect("a tree");
        let links: Vec<_> = tree.iter().filter_map(|entry| Some((entry.name(), entry.link()?))).collect();
        assert_eq!(
            links,
            [
                ("absolute", "node_modules/.pnpm/b@1/node_modules/b"),
                ("node_modules/.pnpm/a@1/node_modules/b", "../../b@1/node_modules/b"),
                ("node_modules/.pnpm/b@1/node_modules/a", "../../a@1/node_modules/a"),
                ("node_modules/a", ".pnpm/a@1/node_modules/a"),
            ]
        );
        assert_eq!(tree.len(), 6);
    }

    #[test]
    fn folders_that_contain_themselves_through_links_are_refused() {
        let folder = folder();
        fs::create_dir(folder.path().join("other")).expect("a folder");
        symlink("../other", folder.path().join("lib/there")).expect("a link");
        assert!(Tree::from_folder(folder.path()).is_ok());
        symlink("../lib", folder.path().join("other/back")).expect("a link");
        let error = Tree::from_folder(folder.path()).expect_err("a circle");
        assert!(matches!(&error, Error::LinkCycle { link, .. } if link.ends_with("lib/there")), "{error}");
    }

    #[test]
    fn link_circles_and_names_that_are_not_utf8_are_refused() {
        let round = folder();
        symlink("there", round.path().join("here")).expect("a link");
        symlink("here", round.path().join("there")).expect("a link");
        let error = Tree::from_folder(round.path()).expect_err("round and round");
        assert!(matches!(error, Error::LinkBroken { .. }), "{error}");
        assert!(error.to_string().contains("here"), "{error}");

        let odd = folder();
        fs::write(odd.path().join(OsStr::from_bytes(b"lib/caf\xe9")), "").expect("a file");
        let error = Tree::from_folder(odd.path()).expect_err("Latin-1");
        assert!(error.to_string().contains("lib/caf\u{fffd}"), "{error}");
        assert!(error.to_string().contains("not UTF-8"), "{error}");
    }

    #[test]
    fn sockets_and_folders_are_refused_as_files() {
        let with_socket = folder();
        let _listener = UnixListener::bind(with_socket.path().join("socket")).expect("a socket");
        let error = Tree::from_folder(with_socket.path()).expect_err("a socket");
        assert!(matches!(&error, Error::NotAFile { path } if path.ends_with("socket")), "{error}");

        let mut tree = Tree::new();
        let error = tree.add_file("x", false, with_socket.path()).expect_err("a folder");
        assert!(matches!(error, Error::NotAFile { .. }), "{error}");
        let missing = with_socket.path().join("missing");
        assert!(matches!(tree.add_file("x", false, missing), Err(Error::Io { .. })));
        assert!(tree.is_empty());
    }

    #[test]
    fn unsafe_and_duplicate_names_are_refused() {
        let mut tree = Tree::default();
        tree.add_bytes("a/b", false, vec![]).expect("added");
        assert!(matches!(tree.add_bytes("/a", false, vec![]), Err(Error::Name { .. })));
        assert!(matches!(tree.add_bytes("a/b", true, vec![]), Err(Error::Duplicate { .. })));
        assert!(matches!(tree.add_bytes("a", true, vec![]), Err(Error::FileIsFolder { .. })));

        let folder = folder();
        fs::write(folder.path().join("back\\slash"), "").expect("a file");
        let error = Tree::from_folder(folder.path()).expect_err("a backslash");
        assert!(error.to_string().contains("backslash"), "{error}");
    }
}
