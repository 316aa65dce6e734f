//! Brings a folder to the content of a zip: what is the same already is not written.
//!
//! In: a zip, a folder that may hold an earlier version of it, and the names that stay although the zip lacks them. Out:
//! the folder with exactly the zip's files. Contents are compared byte for byte, never by time or length alone. A killed run
//! leaves a folder that the next one repairs. Errors are those of unpacking.

use std::collections::BTreeMap;
use std::fs::{self, Metadata, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use walkdir::WalkDir;

use super::visit;
use crate::{Error, Listing};

/// Brings a folder, which is created if it does not exist, to the content of a zip; returns the zip's listing.
///
/// Files that the zip lacks are removed unless `keep` returns true for their name, and so are links and empty folders.
///
/// # Errors
/// The zip cannot be read, is damaged, or has an entry that is refused; the folder cannot be written.
pub fn mirror_zip(zip: &Path, to: &Path, keep: &dyn Fn(&str) -> bool) -> Result<Listing, Error> {
    fs::create_dir_all(to).map_err(failed(to))?;
    let mut present = present(to)?;
    let listing = visit(zip, |entry, content| {
        let mut bytes = Vec::new();
        let length = content.read_to_end(&mut bytes).map_err(Error::io("read", zip))? as u64;
        let path = Path::new(&entry.path);
        let known = present.remove(&entry.path);
        if !is_same(&to.join(path), known.as_ref(), &bytes, entry.mode) {
            write(to, path, &bytes, entry.mode).map_err(failed(&to.join(path)))?;
        }
        Ok(length)
    })?;
    for name in present.keys().filter(|name| !keep(name)) {
        let path = to.join(name);
        // Where a folder stood in a file's place, or the other way round, it is gone already.
        if path.symlink_metadata().is_ok_and(|found| !found.is_dir()) {
            fs::remove_file(&path).map_err(failed(&path))?;
        }
    }
    for folder in WalkDir::new(to).min_depth(1).contents_first(true).into_iter().flatten() {
        if folder.file_type().is_dir() {
            // A folder that is not empty stays.
            let _ = fs::remove_dir(folder.path());
        }
    }
    Ok(listing)
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> Error + '_ {
    Error::io("unpack into", path)
}

/// Returns the files and links below a folder, by name; links are not followed.
fn present(folder: &Path) -> Result<BTreeMap<String, Metadata>, Error> {
    let mut found = BTreeMap::new();
    for entry in WalkDir::new(folder).min_depth(1) {
        let at = |error: walkdir::Error| {
            let path = error.path().unwrap_or(folder).to_owned();
            Error::Io { action: "read the folder", path, source: error.into() }
        };
        let entry = entry.map_err(at)?;
        if !entry.file_type().is_dir() {
            let name = entry.path().strip_prefix(folder).unwrap_or(entry.path());
            found.insert(name.to_string_lossy().into_owned(), entry.metadata().map_err(at)?);
        }
    }
    Ok(found)
}

fn is_same(path: &Path, known: Option<&Metadata>, bytes: &[u8], mode: u32) -> bool {
    known.is_some_and(|known| {
        known.is_file()
            && known.len() == bytes.len() as u64
            && known.permissions().mode() & 0o777 == mode
            && fs::read(path).is_ok_and(|present| present == bytes)
    })
}

/// Writes a file below a folder; whatever stands in its place or in that of one of its folders is removed.
fn write(to: &Path, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut folder = to.to_path_buf();
    for part in path.parent().into_iter().flat_map(Path::components) {
        folder.push(part);
        if folder.symlink_metadata().is_ok_and(|found| !found.is_dir()) {
            fs::remove_file(&folder)?;
        }
    }
    fs::create_dir_all(&folder)?;
    let file = to.join(path);
    match file.symlink_metadata() {
        Ok(found) if found.is_dir() => fs::remove_dir_all(&file)?,
        // A link would be followed, and a file that may not be written is replaced.
        Ok(_) => fs::remove_file(&file)?,
        Err(_) => {}
    }
    fs::write(&file, bytes)?;
    fs::set_permissions(&file, Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, symlink};

    use super::*;
    use crate::{Tree, write_zip};

    fn zip(folder: &Path, files: &[(&str, bool, &str)]) -> std::path::PathBuf {
        let mut tree = Tree::new();
        for (name, executable, text) in files {
            tree.add_bytes(name, *executable, text.as_bytes().to_vec()).expect(name);
        }
        let zip = folder.join("files.zip");
        write_zip(&tree, &zip, &|_| {}).expect("a zip");
        zip
    }

    fn names(folder: &Path) -> Vec<String> {
        present(folder).expect("the folder").into_keys().collect()
    }

    #[test]
    fn folder_gets_exactly_the_files_of_the_zip_with_their_modes() {
        let folder = tempfile::tempdir().expect("a folder");
        let to = folder.path().join("copy");
        let first = zip(folder.path(), &[("a/b/run.sh", true, "run"), ("c", false, "c"), ("d", false, "d")]);
        mirror_zip(&first, &to, &|_| false).expect("a copy");
        let mode = |name: &str| to.join(name).metadata().expect(name).permissions().mode() & 0o777;
        assert_eq!((mode("a/b/run.sh"), mode("c")), (0o755, 0o644));

        fs::write(to.join("extra"), "x").expect("extra");
        fs::write(to.join("x.tfstate"), "x").expect("a file that stays");
        fs::write(to.join("c"), "C").expect("c");
        fs::remove_file(to.join("d")).expect("d");
        symlink(folder.path(), to.join("d")).expect("a link in place of a file");
        fs::set_permissions(to.join("a/b/run.sh"), Permissions::from_mode(0o644)).expect("mode");
        mirror_zip(&first, &to, &|name| name.ends_with(".tfstate")).expect("the same copy");
        assert_eq!(names(&to), ["a/b/run.sh", "c", "d", "x.tfstate"]);
        assert_eq!(fs::read_to_string(to.join("c")).expect("c"), "c");
        assert_eq!(mode("a/b/run.sh"), 0o755);
        assert!(to.join("d").symlink_metadata().expect("d").is_file());

        let second = zip(folder.path(), &[("a", false, "a file now"), ("c/d", false, "a folder now")]);
        mirror_zip(&second, &to, &|_| false).expect("another copy");
        assert_eq!(names(&to), ["a", "c/d"]);
        assert!(!to.join("x.tfstate").exists());
    }

    #[test]
    fn file_that_is_the_same_is_not_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let to = folder.path().join("copy");
        let first = zip(folder.path(), &[("a", false, "a"), ("b", false, "b")]);
        mirror_zip(&first, &to, &|_| false).expect("a copy");
        let inode = |name: &str| to.join(name).metadata().expect(name).ino();
        let a = inode("a");
        fs::hard_link(to.join("a"), folder.path().join("holds the inode")).expect("a link");
        let second = zip(folder.path(), &[("a", false, "a"), ("b", false, "B")]);
        mirror_zip(&second, &to, &|_| false).expect("a copy");
        assert_eq!(inode("a"), a);
        assert_eq!(fs::read_to_string(to.join("b")).expect("b"), "B");
    }

    #[test]
    fn damaged_zip_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("no.zip"), "no zip").expect("a file");
        assert!(mirror_zip(&folder.path().join("no.zip"), &folder.path().join("copy"), &|_| false).is_err());
    }
}
