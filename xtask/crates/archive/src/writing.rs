//! Packs a tree into a zip whose bytes depend on the tree alone.
//!
//! In: a [`Tree`] and the path of the zip. Out: the zip, fsynced and renamed into place, its digest and its
//! listing. Each entry is deflated at a fixed level, dated 1980-01-01 (the earliest a zip can say), marked as
//! made on Unix with mode 0755 or 0644, and carries no extra field unless it needs zip64. There are no entries
//! for folders.
//!
//! What can go wrong: a file changes or vanishes while it is packed, or the disk is full. The final name then
//! still holds what it held before. A killed run leaves at most a `.slipway-*.part` beside it.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use zip::write::{SimpleFileOptions, ZipFileBuilder};
use zip::{CompressionMethod, DateTime, PreparedZipFile, System, ZipWriter};

use crate::compressor::LEVEL;
use crate::digest::{CHUNK, chunks};
use crate::listing::mode;
use crate::tree::Source;
use crate::writing::pipeline::{Piece, in_order};
use crate::writing::until_failure::UntilFailure;
use crate::{Entry, Error, Listing, ListingEntry, Tree, sha256_file};

mod pipeline;
mod until_failure;

/// Unpacked bytes that are compressed ahead of what is written: it bounds the memory, whatever the tree's size.
///
/// A file longer than this is compressed straight into the zip, without being held.
pub const WINDOW: u64 = 64 * 1024 * 1024;

/// From this length on a file gets zip64 sizes: 16 MiB short of 4 GiB, since deflate can lengthen what does not
/// compress.
const ZIP64_FROM: u64 = (1 << 32) - (16 << 20);

/// Describes a zip that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The SHA-256 of the zip file.
    pub sha256: [u8; 32],
    /// The length of the zip file, in bytes.
    pub size: u64,
    /// The sum of the unpacked lengths, in bytes.
    pub unpacked_size: u64,
    /// What the zip holds.
    pub listing: Listing,
}

/// Packs a tree into a zip at `to`, replacing what is there.
///
/// `progress` is told the unpacked bytes done so far, from several threads but never from two at once, and never
/// a smaller number than before.
///
/// # Errors
/// When a file can't be read or changes meanwhile, or when the zip can't be written; `to` is then as it was.
pub fn write_zip(tree: &Tree, to: &Path, progress: &(dyn Fn(u64) + Sync)) -> Result<Written, Error> {
    write_within(tree, to, WINDOW, progress)
}

/// Packs like [`write_zip`] with another memory window, in unpacked bytes; the zip's bytes don't depend on it.
fn write_within(
    tree: &Tree,
    to: &Path,
    window: u64,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Written, Error> {
    let folder = match to.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let part = tempfile::Builder::new()
        .prefix(".slipway-")
        .suffix(".part")
        .permissions(fs::Permissions::from_mode(0o666)) // less the umask, like any new file
        .tempfile_in(folder)
        .map_err(Error::io("create a temporary file in", folder))?;
    let listing = pack(tree, part.as_file(), to, window, progress)?;
    let (sha256, size) = sha256_file(part.path())?;
    put_in_place(part, to, folder)?;
    Ok(Written { sha256, size, unpacked_size: listing.unpacked_size(), listing })
}

fn pack(
    tree: &Tree,
    out: &File,
    to: &Path,
    window: u64,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Listing, Error> {
    let progress = Progress { report: progress, done: Mutex::new(0) };
    let mut zip = ZipWriter::new(UntilFailure::new(BufWriter::new(out)));
    let mut listed = Vec::with_capacity(tree.len());
    in_order(
        tree.iter(),
        window,
        |entry, size| compress(entry, size, to, &progress),
        |piece| {
            let entry = match piece {
                Piece::Ready((entry, prepared)) => {
                    zip.add_prepared_file(prepared).map_err(Error::zip("write", to))?;
                    entry
                }
                Piece::TooLong(entry, size) => {
                    zip.start_file(entry.name(), options(entry.executable(), size))
                        .map_err(Error::zip("write", to))?;
                    pour(entry, size, to, &mut zip, &progress)?
                }
            };
            listed.push(entry);
            Ok(())
        },
    )?;
    let mut buffered = zip.finish().map_err(Error::zip("write", to))?;
    buffered.flush().map_err(Error::io("write", to))?;
    out.sync_all().map_err(Error::io("write", to))?;
    Ok(Listing::new(listed))
}

/// Compresses a file into memory.
fn compress(
    entry: Entry<'_>,
    size: u64,
    to: &Path,
    progress: &Progress<'_>,
) -> Result<(ListingEntry, PreparedZipFile), Error> {
    let mut builder = ZipFileBuilder::new(entry.name(), options(entry.executable(), size))
        .map_err(Error::zip("write", to))?;
    let listed = pour(entry, size, to, &mut builder, progress)?;
    Ok((listed, builder.finish().map_err(Error::zip("write", to))?))
}

fn options(executable: bool, size: u64) -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(LEVEL.into()))
        .last_modified_time(DateTime::DEFAULT) // 1980-01-01 00:00:00
        .unix_permissions(mode(executable))
        .system(System::Unix)
        .large_file(size >= ZIP64_FROM)
}

/// Pours a file's content into a compressor, hashing it on the way, and checks that it kept its length.
fn pour(
    entry: Entry<'_>,
    size: u64,
    to: &Path,
    into: &mut impl Write,
    progress: &Progress<'_>,
) -> Result<ListingEntry, Error> {
    let mut hash = Sha256::new();
    let mut failed_writing = false;
    let mut each = |chunk: &[u8]| {
        hash.update(chunk);
        into.write_all(chunk).inspect_err(|_| failed_writing = true)?;
        progress.advance(chunk.len() as u64);
        Ok(())
    };
    let (path, length) = match entry.source() {
        Source::File(path) => {
            let mut file = File::open(path).map_err(Error::io("open", path))?;
            // One byte more than expected, so that the end of the file shows in a short read.
            let portion = CHUNK.min(usize::try_from(size).unwrap_or(CHUNK).saturating_add(1));
            (path.as_path(), chunks(&mut file, portion, &mut each))
        }
        Source::Bytes(bytes) => (Path::new(entry.name()), chunks(&mut bytes.as_slice(), CHUNK, &mut each)),
    };
    let length = length.map_err(|source| {
        if failed_writing { Error::io("write", to)(source) } else { Error::io("read", path)(source) }
    })?;
    if length != size {
        return Err(Error::Changed { path: path.to_owned(), expected: size });
    }
    Ok(ListingEntry {
        path: entry.name().to_owned(),
        mode: mode(entry.executable()),
        size: length,
        sha256: hash.finalize().into(),
    })
}

/// Renames the finished file to its final name and makes the renaming itself survive a power cut.
fn put_in_place(part: NamedTempFile, to: &Path, folder: &Path) -> Result<(), Error> {
    part.persist(to).map_err(|error| Error::io("write", to)(error.error))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::io("write", folder))
}

/// Adds up what several threads have done and reports it, one at a time.
struct Progress<'a> {
    report: &'a (dyn Fn(u64) + Sync),
    done: Mutex<u64>,
}

impl Progress<'_> {
    fn advance(&self, bytes: u64) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        *done += bytes;
        (self.report)(*done);
    }
}

#[cfg(test)]
mod tests;
