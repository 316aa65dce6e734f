//! Brings a folder to the content of a zip: what is the same already is not written.
//!
//! In: a zip, a folder that may hold an earlier version of it, and the names that stay although the zip lacks them. Out:
//! the folder with exactly the zip's files. Contents are compared byte for byte, never by time or length alone, and in chunks:
//! no file is held in memory. A killed run leaves a folder that the next one repairs. Errors are those of unpacking.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, Read, Seek as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use walkdir::WalkDir;

use super::visit;
use crate::hashing::{CHUNK, chunks};
use crate::listing::LINK_MODE;
use crate::{Error, Listing};

/// Brings a folder, which is created if it does not exist, to the content of a zip; returns the zip's listing.
///
/// A zip with links is refused. Files that the zip lacks are removed unless `keep` returns true for their name, and so are links and empty folders.
///
/// # Errors
/// The zip cannot be read, is damaged, or has an entry that is refused; the folder cannot be written.
pub fn mirror_zip(zip: &Path, to: &Path, keep: &dyn Fn(&str) -> bool) -> Result<Listing, Error> {
    fs::create_dir_all(to).map_err(failed(to))?;
    let mut present = present(to)?;
    let listing = visit(zip, |entry, content| {
        if entry.mode == LINK_MODE {
            return Err(Error::LinkInZip { archive: zip.to_owned(), name: entry.path.clone() });
        }
        let known = present.remove(&entry.path);
        let mut place =
            Place { folder: to, path: Path::new(&entry.path), mode: entry.mode, same: None, out: None };
        place.same = place.readable(known.as_ref());
        let length =
            chunks(content, CHUNK, |chunk| place.take(chunk)).map_err(failed(&to.join(&entry.path)))?;
        place.end(length).map_err(failed(&to.join(&entry.path)))?;
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

/// A file's place in the folder, while the content that it is to have comes in chunk by chunk.
struct Place<'a> {
    folder: &'a Path,
    path: &'a Path,
    mode: u32,
    /// The file that is there, as long as it has the bytes that came so far, and their number.
    same: Option<(File, u64)>,
    /// The new file, since the one that is there differs.
    out: Option<File>,
}

impl Place<'_> {
    /// Opens the file that is there, if it may be the right one.
    fn readable(&self, known: Option<&Metadata>) -> Option<(File, u64)> {
        let known =
            known.filter(|known| known.is_file() && known.permissions().mode() & 0o777 == self.mode)?;
        let file = File::open(self.folder.join(self.path)).ok()?;
        // It may have been replaced since the folder was listed.
        let is_listed = file.metadata().is_ok_and(|found| found.is_file() && found.len() == known.len());
        is_listed.then_some((file, 0))
    }

    /// Compares the next bytes with those of the file that is there; writes them, once they differ.
    fn take(&mut self, chunk: &[u8]) -> io::Result<()> {
        if let Some((file, length)) = &mut self.same {
            let mut there = vec![0; chunk.len()];
            if file.read_exact(&mut there).is_ok() && there == chunk {
                *length += chunk.len() as u64;
                return Ok(());
            }
        }
        self.out()?.write_all(chunk)
    }

    /// Ends the file, which has this length.
    fn end(&mut self, length: u64) -> io::Result<()> {
        let is_same = self.same.as_ref().is_some_and(|(file, same)| {
            *same == length && file.metadata().is_ok_and(|found| found.len() == length)
        });
        if is_same {
            return Ok(());
        }
        let mode = self.mode;
        self.out()?.set_permissions(Permissions::from_mode(mode))
    }

    /// Returns the new file, which begins with the bytes that were the same.
    fn out(&mut self) -> io::Result<&mut File> {
        let out = match self.out.take() {
            Some(out) => out,
            None => {
                let mut out = create(self.folder, self.path)?;
                // The file that was there is gone from the folder, and still open.
                if let Some((mut same, length)) = self.same.take() {
                    same.rewind()?;
                    io::copy(&mut same.take(length), &mut out)?;
                }
                out
            }
        };
        Ok(self.out.insert(out))
    }
}

/// Creates a file below a folder; whatever stands in its place or in that of one of its folders is removed.
fn create(to: &Path, path: &Path) -> io::Result<File> {
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
    File::create_new(&file)
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
    fn files_of_several_chunks_are_replaced_from_where_they_differ() {
        let folder = tempfile::tempdir().expect("a folder");
        let to = folder.path().join("copy");
        let long = "x".repeat(3 * CHUNK);
        let late = format!("{}y", &long[1..]);
        let shorter = &long[..2 * CHUNK];
        for (before, after) in [
            (long.as_str(), late.as_str()),
            (&late, &long),
            (&long, shorter),
            (shorter, &long),
            ("", &long),
            (&long, ""),
        ] {
            mirror_zip(&zip(folder.path(), &[("a", false, before)]), &to, &|_| false).expect("a copy");
            mirror_zip(&zip(folder.path(), &[("a", false, after)]), &to, &|_| false).expect("a copy");
            assert_eq!(fs::read_to_string(to.join("a")).expect("a"), after);
        }
        let inode = || to.join("a").metadata().expect("a").ino();
        let last = zip(folder.path(), &[("a", false, &late)]);
        mirror_zip(&last, &to, &|_| false).expect("a copy");
        let first = inode();
        mirror_zip(&last, &to, &|_| false).expect("a copy");
        assert_eq!(inode(), first);
    }

    #[test]
    fn link_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let archive = folder.path().join("links.zip");
        let mut zip = zip::ZipWriter::new(File::create(&archive).expect("a zip"));
        zip.add_symlink("link", "target", zip::write::SimpleFileOptions::default()).expect("a link");
        zip.finish().expect("a zip");
        let error = mirror_zip(&archive, &folder.path().join("copy"), &|_| false).expect_err("a link");
        assert!(matches!(&error, Error::LinkInZip { name, .. } if name == "link"), "{error}");
    }

    #[test]
    fn damaged_zip_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("no.zip"), "no zip").expect("a file");
        assert!(mirror_zip(&folder.path().join("no.zip"), &folder.path().join("copy"), &|_| false).is_err());
    }
}
