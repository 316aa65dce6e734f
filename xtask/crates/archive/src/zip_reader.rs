//! Lists and unpacks an existing zip, which is not trusted.
//!
//! In: the path of any zip. Out: its canonical listing, or its files in a folder. Errors name the entry: one that would be
//! unpacked outside the folder, twice, or on top of another; a symbolic link that could lead outside; a wrong size or
//! checksum. A zip that would be larger unpacked than [`LARGEST`] is refused, and one whose entries share their bytes, before
//! anything is unpacked. Folder entries are ignored, because folders are created for the files below them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use zip::ZipArchive;

use crate::hashing::{CHUNK, chunks};
use crate::listing::{LINK_MODE, mode};
use crate::name::{self, Names};
use crate::{Error, Listing, ListingEntry};

mod mirror;

pub use mirror::mirror_zip;

/// The largest zip that is read, in bytes unpacked: four times what Lambda unpacks of all its layers together
/// (<https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>, 250 MB).
pub(crate) const LARGEST: u64 = 1 << 30;

/// Returns the listing of an existing zip; every content is read and hashed.
///
/// # Errors
/// The zip cannot be read, is damaged, or has an entry that is refused.
pub fn read_zip(path: &Path) -> Result<Listing, Error> {
    visit(path, |entry, content| {
        if entry.mode == LINK_MODE {
            return link_target(entry, content, path).map(|target| target.len() as u64);
        }
        chunks(content, CHUNK, |_| Ok(())).map_err(Error::io("read", path))
    })
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
    let mut links = Vec::new();
    visit(path, |entry, content| {
        if entry.mode == LINK_MODE {
            let target = link_target(entry, content, path)?;
            let length = target.len() as u64;
            links.push((entry.path.clone(), target));
            return Ok(length);
        }
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
    // Last, so that no file is written through a link.
    for (name, target) in links {
        let link = part.path().join(&name);
        let failed = |error| Error::io("unpack into", &to.join(&name))(error);
        if let Some(folder) = link.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        symlink(target, &link).map_err(failed)?;
    }
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

/// The longest target of a link that is read, in bytes: Linux has no longer paths.
const LONGEST_TARGET: u64 = 4096;

/// Reads a link's target, which must be below the folder that the zip is unpacked into: a relative path that goes up no
/// further than to that folder, and only at its beginning.
fn link_target(entry: &ZipEntry, content: &mut dyn Read, archive: &Path) -> Result<String, Error> {
    let refused = || Error::LinkInZip { archive: archive.to_owned(), name: entry.path.clone() };
    let mut target = String::new();
    content.take(LONGEST_TARGET + 1).read_to_string(&mut target).map_err(|_| refused())?;
    let depth = entry.path.matches('/').count();
    let up = target.split('/').take_while(|part| *part == "..").count();
    let below = target.split('/').skip(up).collect::<Vec<_>>().join("/");
    // `..` alone, as the target of a link, leads to a folder that contains the link.
    if target.len() as u64 > LONGEST_TARGET || up > depth || name::check(&below).is_err() {
        return Err(refused());
    }
    Ok(target)
}

/// Checks every name, then passes each file's content to `each`, which reads all of it and returns its length.
fn visit(
    archive: &Path,
    mut each: impl FnMut(&ZipEntry, &mut dyn Read) -> Result<u64, Error>,
) -> Result<Listing, Error> {
    let file = File::open(archive).map_err(Error::io("open", archive))?;
    let mut zip = ZipArchive::new(BufReader::new(file)).map_err(Error::zip("read", archive))?;
    let files = checked_names(&mut zip, archive)?;
    check_size(&mut zip, archive)?;
    let mut listed = Vec::with_capacity(files.len());
    for (name, &index) in files.iter() {
        let mut entry = zip.by_index(index).map_err(Error::zip("read", archive))?;
        let size = entry.size();
        let executable = entry.unix_mode().is_some_and(|mode| mode & 0o100 != 0);
        let mode = if entry.is_symlink() { LINK_MODE } else { mode(executable) };
        let found = ZipEntry { path: name.to_owned(), mode };
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
        match name.strip_suffix('/') {
            Some(folder) => name::check(folder).map_err(refused)?,
            None => files.insert(name, index).map_err(refused)?,
        }
    }
    Ok(files)
}

/// Refuses a zip that could become much larger than a zip of its length usually does. An entry has at most the length that the
/// directory declares: a longer one is refused where it is read.
fn check_size(zip: &mut ZipArchive<BufReader<File>>, archive: &Path) -> Result<(), Error> {
    if zip.has_overlapping_files().map_err(Error::zip("read", archive))? {
        return Err(Error::Overlapping { archive: archive.to_owned() });
    }
    let mut left = LARGEST;
    for index in 0..zip.len() {
        let size = zip.by_index_raw(index).map_err(Error::zip("read", archive))?.size();
        left = left
            .checked_sub(size)
            .ok_or_else(|| Error::TooLarge { archive: archive.to_owned(), limit: LARGEST })?;
    }
    Ok(())
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
