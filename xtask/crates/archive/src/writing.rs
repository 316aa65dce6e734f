//! Packs a tree into a zip whose bytes depend on the tree alone.
//!
//! In: a [`Tree`] and the path of the zip. Out: the zip, fsynced and renamed into place, its digest and its
//! listing. Each entry is deflated at a fixed level, or stored where that would not make it shorter; [`format`]
//! says what else stands in the zip. There are no entries for folders.
//!
//! What can go wrong: a file changes or vanishes while it is packed, or the disk is full. The final name then
//! still holds what it held before. A killed run leaves at most a `.slipway-*.part` beside it.

use std::cell::RefCell;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::DeflateEncoder;
use libdeflater::{CompressionLvl, Compressor, Crc};
use slipway_values::digest::Digest;

use crate::compressor::LEVEL;
use crate::listing::mode;
use crate::part::Part;
use crate::pouring::{Progress, pour};
use crate::writing::format::{Method, Packed, ZipFile};
use crate::writing::pipeline::{Piece, in_order};
use crate::{Entry, Error, Listing, ListingEntry, Tree, sha256_file};

mod format;
mod pipeline;

/// Bytes that may be held, unpacked and packed, by what is compressed ahead of what is written: it bounds the
/// memory, whatever the tree's size.
pub const WINDOW: u64 = 64 * 1024 * 1024;

/// Longest file that is compressed in memory, by libdeflate, in bytes. Longer ones are streamed through zlib-rs.
///
/// It decides which of the two makes an entry's bytes, so it is part of what fixes a zip's bytes.
pub(crate) const LONGEST_HELD: u64 = WINDOW / 2;

/// Describes a zip that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The SHA-256 of the zip file.
    pub sha256: Digest,
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

/// Packs like [`write_zip`] with another memory window, in bytes; the zip's bytes don't depend on it.
fn write_within(
    tree: &Tree,
    to: &Path,
    window: u64,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Written, Error> {
    let part = Part::beside(to)?;
    let listing = pack(tree, part.file(), to, window, progress)?;
    let (sha256, size) = sha256_file(part.path())?;
    part.put_in_place()?;
    Ok(Written { sha256, size, unpacked_size: listing.unpacked_size(), listing })
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
                Piece::Ready(Ready { entry, packed, bytes }) => {
                    zip.add(&entry.path, entry.mode, packed, &bytes).map_err(Error::io("write", to))?;
                    entry
                }
                Piece::TooLong(entry, size) => stream(entry, size, to, &mut zip, &progress)?,
            });
            Ok(())
        },
    )?;
    zip.finish().map_err(Error::io("write", to))?;
    Ok(Listing::new(listed))
}

/// A file as it stands in the zip.
struct Ready {
    entry: ListingEntry,
    packed: Packed,
    bytes: Vec<u8>,
}

thread_local! {
    /// A compressor starts afresh with each entry; only its memory is used again.
    static COMPRESSOR: RefCell<Option<Compressor>> = const { RefCell::new(None) };
}

/// Compresses a file in memory.
fn compress(entry: Entry<'_>, size: u64, to: &Path, progress: &Progress<'_>) -> Result<Ready, Error> {
    let mut content = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
    let entry = pour(entry, size, to, progress, |chunk| {
        content.extend_from_slice(chunk);
        Ok(())
    })?;
    let crc32 = libdeflater::crc32(&content);
    let (method, bytes) = match deflate(&content) {
        Some(deflated) => (Method::Deflated, deflated),
        None => (Method::Stored, content),
    };
    let packed = Packed { method, crc32, size, packed_size: bytes.len() as u64 };
    Ok(Ready { entry, packed, bytes })
}

/// Deflates bytes, unless that would not make them shorter.
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

/// Compresses a file straight into the zip, without holding it.
fn stream<W: Write + std::io::Seek>(
    entry: Entry<'_>,
    size: u64,
    to: &Path,
    zip: &mut ZipFile<W>,
    progress: &Progress<'_>,
) -> Result<ListingEntry, Error> {
    let open = zip.begin(entry.name(), mode(entry.executable()), size).map_err(Error::io("write", to))?;
    let mut encoder = DeflateEncoder::new(open, Compression::new(LEVEL.into()));
    let mut crc = Crc::new();
    let listed = pour(entry, size, to, progress, |chunk| {
        crc.update(chunk);
        encoder.write_all(chunk)
    })?;
    encoder.finish().and_then(|open| open.close(crc.sum())).map_err(Error::io("write", to))?;
    Ok(listed)
}

#[cfg(test)]
mod tests;
