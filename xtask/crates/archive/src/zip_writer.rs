//! Packs a tree into a zip whose bytes depend only on the tree.
//!
//! In: a [`Tree`] and the path of the zip. Out: the zip, synced and renamed to its path, its digest and its listing. Each
//! entry is deflated at a fixed level, or stored where deflating would not make it shorter; [`format`] describes the other
//! fields. There are no entries for folders.
//!
//! Errors: a file changes or disappears while it is packed, or the disk is full. The path then has its previous content. A
//! killed run leaves at most a `.slipway-*.part`.
//!
//! Why this is not the `zip` crate's writer: docs/architecture.md, decision 25.

use std::cell::RefCell;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::DeflateEncoder;
use libdeflater::{CompressionLvl, Compressor, Crc};
use slipway_values::digest::Digest;

use crate::atomic_file::AtomicFile;
use crate::compressor::LEVEL;
use crate::contents::{Progress, read_entry};
use crate::zip_writer::format::{Method, PackedEntry, ZipFile};
use crate::zip_writer::pipeline::{Piece, in_order};
use crate::{Entry, Error, Listing, ListingEntry, Tree, sha256_file};

mod format;
mod pipeline;

/// The memory, in bytes, for entries that are compressed ahead of the one that is written, unpacked and packed. It does
/// not depend on the tree's size.
pub const WINDOW: u64 = 64 * 1024 * 1024;

/// The largest file that libdeflate compresses in memory, in bytes. Larger ones are streamed through zlib-rs.
///
/// It decides which of the two compresses an entry, so it is one of the things that decide a zip's bytes.
pub(crate) const LARGEST_IN_MEMORY: u64 = WINDOW / 2;

/// A zip that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenZip {
    /// The SHA-256 of the zip file.
    pub sha256: Digest,
    /// The length of the zip file, in bytes.
    pub size: u64,
    /// The sum of the unpacked lengths, in bytes.
    pub unpacked_size: u64,
    /// The zip's files.
    pub listing: Listing,
}

/// Packs a tree into a zip at `to`, which is replaced if it exists.
///
/// `progress` gets the number of unpacked bytes done so far. It is called from several threads, but never from two at the
/// same time, and never with a smaller number than before.
///
/// # Errors
/// A file cannot be read or changes meanwhile, or the zip cannot be written; `to` is then unchanged.
pub fn write_zip(tree: &Tree, to: &Path, progress: &(dyn Fn(u64) + Sync)) -> Result<WrittenZip, Error> {
    write_within(tree, to, WINDOW, progress)
}

/// Packs like [`write_zip`] with another memory window, in bytes, on which the zip's bytes do not depend.
fn write_within(
    tree: &Tree,
    to: &Path,
    window: u64,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<WrittenZip, Error> {
    let part = AtomicFile::create_beside(to)?;
    let listing = pack(tree, part.file(), to, window, progress)?;
    let (sha256, size) = sha256_file(part.path())?;
    part.commit()?;
    Ok(WrittenZip { sha256, size, unpacked_size: listing.unpacked_size(), listing })
}

fn pack(
    tree: &Tree,
    out: &File,
    to: &Path,
    window: u64,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Listing, Error> {
    let progress = Progress::new(progress);
    let mut zip = ZipFile::new(BufWriter::new(out));
    let mut listed = Vec::with_capacity(tree.len());
    in_order(
        tree.iter(),
        window,
        |entry, size| compress(entry, size, to, &progress),
        |piece| {
            listed.push(match piece {
                Piece::Compressed(Compressed { entry, packed, bytes }) => {
                    zip.add(&entry.path, entry.mode, packed, &bytes).map_err(Error::io("write", to))?;
                    entry
                }
                Piece::TooLarge(entry, size) => stream(entry, size, to, &mut zip, &progress)?,
            });
            Ok(())
        },
    )?;
    zip.finish().map_err(Error::io("write", to))?;
    Ok(Listing::new(listed))
}

/// A file as it is stored in the zip.
struct Compressed {
    entry: ListingEntry,
    packed: PackedEntry,
    bytes: Vec<u8>,
}

thread_local! {
    /// A compressor keeps no state from one entry to the next; only its memory is reused.
    static COMPRESSOR: RefCell<Option<Compressor>> = const { RefCell::new(None) };
}

/// Compresses a file in memory.
fn compress(entry: Entry<'_>, size: u64, to: &Path, progress: &Progress<'_>) -> Result<Compressed, Error> {
    let is_link = entry.link().is_some();
    let mut content = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
    let entry = read_entry(entry, size, to, progress, |chunk| {
        content.extend_from_slice(chunk);
        Ok(())
    })?;
    let crc32 = libdeflater::crc32(&content);
    // A link is stored, as every zip program stores it.
    let deflated = if is_link { None } else { deflate(&content) };
    let (method, bytes) = match deflated {
        Some(deflated) => (Method::Deflated, deflated),
        None => (Method::Stored, content),
    };
    let packed = PackedEntry { method, crc32, size, packed_size: bytes.len() as u64 };
    Ok(Compressed { entry, packed, bytes })
}

/// Deflates bytes; `None` where that would not make them shorter.
fn deflate(content: &[u8]) -> Option<Vec<u8>> {
    let mut deflated = vec![0; content.len().checked_sub(1)?];
    let level = CompressionLvl::new(LEVEL.into()).unwrap_or_default();
    let length = COMPRESSOR.with_borrow_mut(|compressor| {
        compressor.get_or_insert_with(|| Compressor::new(level)).deflate_compress(content, &mut deflated).ok()
    })?;
    deflated.truncate(length);
    deflated.shrink_to_fit();
    Some(deflated)
}

/// Compresses a file into the zip without keeping it in memory.
fn stream<W: Write + std::io::Seek>(
    entry: Entry<'_>,
    size: u64,
    to: &Path,
    zip: &mut ZipFile<W>,
    progress: &Progress<'_>,
) -> Result<ListingEntry, Error> {
    let open = zip.begin(entry.name(), entry.mode(), size).map_err(Error::io("write", to))?;
    let mut encoder = DeflateEncoder::new(open, Compression::new(LEVEL.into()));
    let mut crc = Crc::new();
    let listed = read_entry(entry, size, to, progress, |chunk| {
        crc.update(chunk);
        encoder.write_all(chunk)
    })?;
    encoder.finish().and_then(|open| open.close(crc.sum())).map_err(Error::io("write", to))?;
    Ok(listed)
}

#[cfg(test)]
mod tests;
