//! Packs a tree into an image layer, a gzip-compressed tar, whose bytes depend only on the tree, the prefix and the time.
//!
//! In: a [`Tree`], its folder in the image, a time, and the path of the layer. Out: the layer, synced and renamed to its
//! path, with its digests. Entries are sorted bytewise by name, each folder (with a slash at its end) before its entries.
//! Folders have mode 0755, files 0755 or 0644, links 0777. All belong to user and group 0, without names. The gzip header has neither
//! time nor name, and there is one gzip member.
//!
//! Errors: a name that would delete a file of a lower layer, a file that changes or disappears while it is packed, a full
//! disk. The path then has its previous content.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use flate2::{Compression, GzBuilder};
use sha2::{Digest as _, Sha256};
use slipway_values::digest::Digest;
use tar::{EntryType, Header};

use crate::atomic_file::AtomicFile;
use crate::compressor::LEVEL;
use crate::contents::{Progress, read_entry};
use crate::{Error, Listing, Tree, name};

/// The prefix of a name that deletes a file in a layer
/// ([image-spec, layer.md](https://github.com/opencontainers/image-spec/blob/v1.1.1/layer.md#whiteouts)).
const WHITEOUT: &str = ".wh.";
/// The block size of a tar, in bytes.
const BLOCK: u64 = 512;
/// The limit of times and lengths in a tar header, whose octal digits have 33 bits.
const OCTAL_LIMIT: u64 = 1 << 33;

/// A layer that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// The SHA-256 of the compressed layer, as on disk and in a registry.
    pub digest: Digest,
    /// The SHA-256 of the uncompressed tar: `diff_id` in an image's config.
    pub diff_id: Digest,
    /// The length of the compressed layer, in bytes.
    pub size: u64,
    /// The length of the uncompressed tar, in bytes.
    pub unpacked_size: u64,
    /// The layer's files, by their names in the tree (without the prefix).
    pub listing: Listing,
}

impl Layer {
    /// Returns the digest of the listing, which does not depend on the compressor.
    pub fn content_digest(&self) -> Digest {
        self.listing.content_digest()
    }
}

/// Packs a tree into a layer at `to`, which is replaced if it exists.
///
/// `prefix` is the folder in the image that the tree's names are relative to, such as `var/task`, without a slash at
/// either end; empty for the root. `epoch_seconds` is the time of every entry, in seconds since 1970. `progress` gets the
/// number of unpacked bytes done so far.
///
/// # Errors
/// The prefix or a name is refused, a tar cannot store the time, a file cannot be read or changes meanwhile, or the layer
/// cannot be written. `to` is then unchanged.
pub fn write_layer(
    tree: &Tree,
    prefix: &str,
    epoch_seconds: i64,
    to: &Path,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Layer, Error> {
    let time = u64::try_from(epoch_seconds)
        .ok()
        .filter(|time| *time < OCTAL_LIMIT)
        .ok_or(Error::Time { epoch_seconds })?;
    if !prefix.is_empty() {
        name::check(prefix)?;
    }
    let part = AtomicFile::create_beside(to)?;
    let progress = Progress::new(progress);
    let failed = |error| Error::io("write", to)(error);
    let file = HashingWriter::new(BufWriter::with_capacity(1 << 17, part.file()));
    let gzip = GzBuilder::new().write(file, Compression::new(LEVEL.into()));
    let mut tar = tar::Builder::new(HashingWriter::new(gzip));
    let mut folders = Folders { prefix, current: String::new() };
    let mut listed = Vec::with_capacity(tree.len());
    if tree.is_empty() {
        folders.write_missing(&mut tar, prefix, time).map_err(failed)?;
    }
    for entry in tree.iter() {
        let name = name_in_layer(prefix, entry.name())?;
        let parent = name.rsplit_once('/').map_or("", |(parent, _)| parent);
        folders.write_missing(&mut tar, parent, time).map_err(failed)?;
        let size = entry.size()?;
        if let Some(target) = entry.link() {
            let header = header(EntryType::Symlink, 0o777, 0, time);
            write_header(&mut tar, header, &name, Some(target)).map_err(failed)?;
            listed.push(read_entry(entry, size, to, &progress, |_| Ok(()))?);
            continue;
        }
        let header = header(EntryType::Regular, entry.mode(), size, time);
        write_header(&mut tar, header, &name, None).map_err(failed)?;
        listed.push(read_entry(entry, size, to, &progress, |chunk| tar.get_mut().write_all(chunk))?);
        let padding = size.next_multiple_of(BLOCK) - size;
        tar.get_mut().write_all(&[0; BLOCK as usize][..padding as usize]).map_err(failed)?;
    }
    let unpacked = tar.into_inner().map_err(failed)?;
    let (gzip, diff_id, unpacked_size) = unpacked.finish();
    let (mut out, digest, size) = gzip.finish().map_err(failed)?.finish();
    out.flush().map_err(failed)?;
    drop(out);
    part.commit()?;
    Ok(Layer { digest, diff_id, size, unpacked_size, listing: Listing::new(listed) })
}

/// Returns a name below the prefix, unless it would delete a file.
fn name_in_layer(prefix: &str, name: &str) -> Result<String, Error> {
    let whole = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
    if whole.split('/').any(|part| part.starts_with(WHITEOUT)) {
        let reason = "has a part that begins with `.wh.`, which deletes files in an image";
        return Err(Error::Name { name: whole, reason });
    }
    Ok(whole)
}

/// The folders of the last entry, which the tar has already.
struct Folders<'a> {
    prefix: &'a str,
    current: String,
}

impl Folders<'_> {
    /// Writes the folders down to `parent` that the tar does not have yet. Names are sorted, so each folder is written
    /// once.
    fn write_missing<W: Write>(
        &mut self,
        tar: &mut tar::Builder<W>,
        parent: &str,
        time: u64,
    ) -> io::Result<()> {
        debug_assert!(parent.starts_with(self.prefix));
        if parent.is_empty() {
            return Ok(());
        }
        let ends = parent.match_indices('/').map(|(end, _)| end).chain([parent.len()]);
        for folder in ends.map(|end| &parent[..end]) {
            let known = self.current == folder
                || self.current.strip_prefix(folder).is_some_and(|below| below.starts_with('/'));
            if !known {
                let header = header(EntryType::Directory, 0o755, 0, time);
                write_header(tar, header, &format!("{folder}/"), None)?;
            }
        }
        parent.clone_into(&mut self.current);
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

/// Writes a header; a name or a link's target that is too long for ustar's fields goes into a pax record.
fn write_header<W: Write>(
    tar: &mut tar::Builder<W>,
    mut header: Header,
    name: &str,
    link: Option<&str>,
) -> io::Result<()> {
    let mut records = Vec::new();
    let short_name = header.set_path(name).is_err().then(|| {
        records.push(("path", name.as_bytes()));
        // Readers use the name in the record. Readers without support for records get a unique short name.
        let digest = Digest::of(name).hex();
        if name.ends_with('/') { format!("{digest}/") } else { digest }
    });
    if let Some(link) = link
        && header.set_link_name_literal(link).is_err()
    {
        records.push(("linkpath", link.as_bytes()));
    }
    if !records.is_empty() {
        tar.append_pax_extensions(records)?;
    }
    if let Some(name) = short_name {
        header.set_path(name)?;
    }
    header.set_cksum();
    tar.get_mut().write_all(header.as_bytes())
}

/// Hashes and counts the bytes written through it.
struct HashingWriter<W> {
    out: W,
    hash: Sha256,
    length: u64,
}

impl<W> HashingWriter<W> {
    fn new(out: W) -> Self {
        Self { out, hash: Sha256::new(), length: 0 }
    }

    fn finish(self) -> (W, Digest, u64) {
        (self.out, self.hash.into(), self.length)
    }
}

impl<W: Write> Write for HashingWriter<W> {
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
