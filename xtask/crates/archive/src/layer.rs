//! Packs a tree into an image layer, a gzip-compressed tar, whose bytes depend on the tree, the prefix and the time
//! given alone.
//!
//! In: a [`Tree`], the folder of the image that it is meant for, a time, and the path of the layer. Out: the layer,
//! fsynced and renamed into place, with its digests. Entries stand in the bytewise order of their names, each folder
//! (with a slash at its end) before what lies in it; folders have mode 0755, files 0755 or 0644; all belong to user
//! and group 0, without names. The gzip header has neither time nor name, and there is one gzip member.
//!
//! What can go wrong: a name that would delete something of the image below, a file that changes or vanishes while
//! it is packed, a full disk. The final name then still holds what it held before.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use flate2::{Compression, GzBuilder};
use sha2::{Digest as _, Sha256};
use slipway_values::digest::Digest;
use tar::{EntryType, Header};

use crate::compressor::LEVEL;
use crate::listing::mode;
use crate::part::Part;
use crate::pouring::{Progress, pour};
use crate::{Error, Listing, Tree, name};

/// What marks a deletion in a layer
/// ([image-spec, layer.md](https://github.com/opencontainers/image-spec/blob/v1.1.1/layer.md#whiteouts)).
const WHITEOUT: &str = ".wh.";
/// The length that tar fills everything up to, in bytes.
const BLOCK: u64 = 512;
/// Longest time and length that a tar header holds in its octal digits: 33 bits.
const OCTAL: u64 = 1 << 33;

/// Describes a layer that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// The SHA-256 of the layer as it stands on the disk and in a registry: compressed.
    pub digest: Digest,
    /// The SHA-256 of the layer unpacked, as a tar: what an image's config calls `diff_id`.
    pub diff_id: Digest,
    /// The length of the compressed layer, in bytes.
    pub size: u64,
    /// The length of the layer unpacked, as a tar, in bytes.
    pub unpacked_size: u64,
    /// The files that the layer holds, by their names in the tree (without the prefix).
    pub listing: Listing,
}

impl Layer {
    /// Computes the identity of the files in the layer, which survives a new compressor.
    pub fn content_digest(&self) -> Digest {
        self.listing.content_digest()
    }
}

/// Packs a tree into a layer at `to`, replacing what is there.
///
/// `prefix` is the folder of the image that the tree's names are relative to, such as `var/task`, without a slash
/// at either end; empty for the root. `epoch_seconds` dates every entry, in seconds since 1970. `progress` is told
/// the unpacked bytes done so far.
///
/// # Errors
/// For a prefix or a name that is refused and a time that a tar can't hold; when a file can't be read or changes
/// meanwhile; when the layer can't be written. `to` is then as it was.
pub fn write_layer(
    tree: &Tree,
    prefix: &str,
    epoch_seconds: i64,
    to: &Path,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Layer, Error> {
    let time = u64::try_from(epoch_seconds)
        .ok()
        .filter(|time| *time < OCTAL)
        .ok_or(Error::Time { epoch_seconds })?;
    if !prefix.is_empty() {
        name::check(prefix)?;
    }
    let part = Part::beside(to)?;
    let progress = Progress::new(progress);
    let failed = |error| Error::io("write", to)(error);
    let file = Hashing::new(BufWriter::with_capacity(1 << 17, part.file()));
    let gzip = GzBuilder::new().write(file, Compression::new(LEVEL.into()));
    let mut tar = tar::Builder::new(Hashing::new(gzip));
    let mut folders = Folders { prefix, entered: String::new() };
    let mut listed = Vec::with_capacity(tree.len());
    if tree.is_empty() {
        folders.enter(&mut tar, prefix, time).map_err(failed)?;
    }
    for entry in tree.iter() {
        let name = name_in_layer(prefix, entry.name())?;
        let parent = name.rsplit_once('/').map_or("", |(parent, _)| parent);
        folders.enter(&mut tar, parent, time).map_err(failed)?;
        let size = entry.size()?;
        let header = header(EntryType::Regular, mode(entry.executable()), size, time);
        write_header(&mut tar, header, &name).map_err(failed)?;
        listed.push(pour(entry, size, to, &progress, |chunk| tar.get_mut().write_all(chunk))?);
        let padding = size.next_multiple_of(BLOCK) - size;
        tar.get_mut().write_all(&[0; BLOCK as usize][..padding as usize]).map_err(failed)?;
    }
    let unpacked = tar.into_inner().map_err(failed)?;
    let (gzip, diff_id, unpacked_size) = unpacked.finish();
    let (mut out, digest, size) = gzip.finish().map_err(failed)?.finish();
    out.flush().map_err(failed)?;
    drop(out);
    part.put_in_place()?;
    Ok(Layer { digest, diff_id, size, unpacked_size, listing: Listing::new(listed) })
}

/// Puts a name below the prefix, unless it would delete something there.
fn name_in_layer(prefix: &str, name: &str) -> Result<String, Error> {
    let whole = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
    if whole.split('/').any(|part| part.starts_with(WHITEOUT)) {
        let reason = "has a part that begins with `.wh.`, which deletes files in an image";
        return Err(Error::Name { name: whole, reason });
    }
    Ok(whole)
}

/// Keeps track of the folders that the tar already has on the way to the last entry.
struct Folders<'a> {
    prefix: &'a str,
    entered: String,
}

impl Folders<'_> {
    /// Writes what is missing of the folders down to `parent`. Names come sorted, so no folder is left and entered
    /// again.
    fn enter<W: Write>(&mut self, tar: &mut tar::Builder<W>, parent: &str, time: u64) -> io::Result<()> {
        debug_assert!(parent.starts_with(self.prefix));
        if parent.is_empty() {
            return Ok(());
        }
        let ends = parent.match_indices('/').map(|(end, _)| end).chain([parent.len()]);
        for folder in ends.map(|end| &parent[..end]) {
            let known = self.entered == folder
                || self.entered.strip_prefix(folder).is_some_and(|below| below.starts_with('/'));
            if !known {
                write_header(tar, header(EntryType::Directory, 0o755, 0, time), &format!("{folder}/"))?;
            }
        }
        parent.clone_into(&mut self.entered);
        Ok(())
    }
}

fn header(kind: EntryType, mode: u32, size: u64, time: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(size);
    header.set_mtime(time);
    header
}

/// Writes a header under a name, which goes into a pax record where ustar's fields can't hold it.
fn write_header<W: Write>(tar: &mut tar::Builder<W>, mut header: Header, name: &str) -> io::Result<()> {
    if header.set_path(name).is_err() {
        tar.append_pax_extensions([("path", name.as_bytes())])?;
        // Readers take the name from the record; those that know no records get one that can't clash by its length.
        let digest = Digest::of(name).hex();
        header.set_path(if name.ends_with('/') { format!("{digest}/") } else { digest })?;
    }
    header.set_cksum();
    tar.get_mut().write_all(header.as_bytes())
}

/// Hashes and counts what is written through it.
struct Hashing<W> {
    out: W,
    hash: Sha256,
    length: u64,
}

impl<W> Hashing<W> {
    fn new(out: W) -> Self {
        Self { out, hash: Sha256::new(), length: 0 }
    }

    fn finish(self) -> (W, Digest, u64) {
        (self.out, self.hash.into(), self.length)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests;
