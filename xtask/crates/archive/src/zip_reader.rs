//! Lists and unpacks an existing zip, which is not trusted.
//!
//! In: the path of any zip. Out: its canonical listing, or its files in a folder. Errors name the entry: one that would be
//! unpacked outside the folder, twice, or on top of another; a symbolic link; a wrong size or checksum. Folder entries
//! are ignored, because folders are created for the files below them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use zip::ZipArchive;

use crate::hashing::{CHUNK, chunks};
use crate::listing::mode;
use crate::name::{self, Names};
use crate::{Error, Listing, ListingEntry};

mod mirror;

pub use mirror::mirror_zip;

/// Returns the listing of an existing zip; every content is read and hashed.
///
/// # Errors
/// The zip cannot be read, is damaged, or has an entry that is refused.
pub fn read_zip(path: &Path) -> Result<Listing, Error> {
    visit(path, |_, content| chunks(content, CHUNK, |_| Ok(())).map_err(Error::io("read", path)))
}

/// Unpacks a zip into a folder that is empty or does not exist; its parent must exist.
///
/// Files get mode 0755 or 0644, independently of the umask. They appear all at once: they are unpacked into a temporary
/// folder, which is then renamed. A killed run leaves at most a `.slipway-*.part`.
///
/// # Errors
/// The zip cannot be read, is damaged, or has an entry that is refused; the folder is not empty; the disk is full. The
/// folder is then unchanged.
pub fn unpack_zip(path: &Path, to: &Path) -> Result<(), Error> {
    let to = &empty_folder(to)?;
    let parent = match to.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let part = tempfile::Builder::new()
        .prefix(".slipway-")
        .suffix(".part")
        .permissions(fs::Permissions::from_mode(0o755))
        .tempdir_in(parent)
        .map_err(Error::io("create a temporary folder in", parent))?;
    visit(path, |entry, content| {
        let file = part.path().join(&entry.path);
        let action = "unpack into";
        let final_name = to.join(&entry.path);
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder).map_err(Error::io(action, &final_name))?;
        }
        let mut out = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&file)
            .map_err(Error::io(action, &final_name))?;
        let length =
            chunks(content, CHUNK, |chunk| out.write_all(chunk)).map_err(Error::io(action, &final_name))?;
        out.set_permissions(fs::Permissions::from_mode(entry.mode))
            .map_err(Error::io(action, &final_name))?;
        Ok(length)
    })?;
    fs::rename(part.path(), to).map_err(Error::io("unpack into", to))?;
    // The folder was renamed: nothing is left to delete under its old name.
    let _ = part.keep();
    Ok(())
}

/// Returns the path of a folder that does not exist or is empty, with links resolved.
fn empty_folder(folder: &Path) -> Result<PathBuf, Error> {
    match fs::read_dir(folder).map(|mut entries| entries.next().is_none()) {
        Ok(true) => fs::canonicalize(folder).map_err(Error::io("unpack into", folder)),
        Ok(false) => Err(Error::Occupied { path: folder.to_owned() }),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound => Ok(folder.to_owned()),
            io::ErrorKind::NotADirectory => Err(Error::Occupied { path: folder.to_owned() }),
            _ => Err(Error::io("unpack into", folder)(error)),
        },
    }
}

/// An entry that is being read.
struct ZipEntry {
    path: String,
    mode: u32,
}

/// Checks every name, then passes each file's content to `each`, which reads all of it and returns its length.
fn visit(
    archive: &Path,
    mut each: impl FnMut(&ZipEntry, &mut dyn Read) -> Result<u64, Error>,
) -> Result<Listing, Error> {
    let file = File::open(archive).map_err(Error::io("open", archive))?;
    let mut zip = ZipArchive::new(BufReader::new(file)).map_err(Error::zip("read", archive))?;
    let files = checked_names(&mut zip, archive)?;
    let mut listed = Vec::with_capacity(files.len());
    for (name, &index) in files.iter() {
        let mut entry = zip.by_index(index).map_err(Error::zip("read", archive))?;
        let size = entry.size();
        let executable = entry.unix_mode().is_some_and(|mode| mode & 0o100 != 0);
        let found = ZipEntry { path: name.to_owned(), mode: mode(executable) };
        // One byte more than the declared length shows that the length is wrong.
        let from = (&mut entry).take(size.saturating_add(1));
        let mut content = HashingReader { from, hash: Sha256::new(), failed: false };
        let length = each(&found, &mut content).map_err(|error| match error {
            Error::Io { source, .. } if content.failed => {
                Error::DamagedEntry { archive: archive.to_owned(), name: name.to_owned(), source }
            }
            other => other,
        })?;
        if length != size {
            let archive = archive.to_owned();
            return Err(Error::WrongSize { archive, name: found.path, expected: size });
        }
        let sha256 = content.hash.into();
        listed.push(ListingEntry { path: found.path, mode: found.mode, size, sha256 });
    }
    Ok(Listing::new(listed))
}

/// Returns the names of all files with their indexes in the zip.
fn checked_names(zip: &mut ZipArchive<BufReader<File>>, archive: &Path) -> Result<Names<usize>, Error> {
    let refused = |source| Error::RefusedEntry { archive: archive.to_owned(), source: Box::new(source) };
    if zip.has_duplicate_names() {
        let source = zip::result::ZipError::InvalidArchive("two entries have the same name".into());
        return Err(Error::zip("read", archive)(source));
    }
    let mut files = Names::new();
    for index in 0..zip.len() {
        let entry = zip.by_index_raw(index).map_err(Error::zip("read", archive))?;
        let name = std::str::from_utf8(entry.name_raw()).map_err(|_| {
            let name = String::from_utf8_lossy(entry.name_raw()).into_owned();
            refused(Error::Name { name, reason: "is not UTF-8" })
        })?;
        if entry.is_symlink() {
            return Err(Error::LinkInZip { archive: archive.to_owned(), name: name.to_owned() });
        }
        match name.strip_suffix('/') {
            Some(folder) => name::check(folder).map_err(refused)?,
            None => files.insert(name, index).map_err(refused)?,
        }
    }
    Ok(files)
}

/// Hashes the bytes read through it, and records whether reading failed.
struct HashingReader<R> {
    from: R,
    hash: Sha256,
    failed: bool,
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer).inspect_err(|_| self.failed = true)?;
        self.hash.update(&buffer[..read]);
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
