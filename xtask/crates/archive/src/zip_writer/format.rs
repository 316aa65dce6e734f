//! The structure of a zip: headers, sizes and the directory at its end. Each field has one fixed value or rule.
//!
//! In: entries in order, compressed already or written piece by piece. Out: a zip whose only date is 1980-01-01 (the
//! earliest in a zip), made on Unix, with modes 0755 or 0644 (links: 0777), and without extra fields except zip64's where a size or an
//! offset needs them. Errors: writing fails. Nothing may be written after that.
//!
//! Source of every field: [APPNOTE 6.3.10](https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT).

use std::io::{self, Seek, SeekFrom, Write};

/// 1980-01-01 in the format of MS-DOS: year since 1980, month, day.
const DATE: u16 = (1 << 5) | 1;
/// Bit 11 of the flags: the name is UTF-8.
const UTF8: u16 = 1 << 11;
const UNIX: u16 = 3 << 8;
/// The file type of a regular file, in the upper bits of a mode.
const REGULAR: u32 = 0o100_000;
/// Versions of the format: 2.0 has deflate, 4.5 zip64.
const VERSION_DEFLATE: u16 = 20;
const VERSION_ZIP64: u16 = 45;
const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const ZIP64_END: u32 = 0x0606_4b50;
const ZIP64_LOCATOR: u32 = 0x0706_4b50;
/// The value of a field with 32 or 16 bits where the number is in zip64's fields.
const IN_ZIP64: u32 = u32::MAX;
const IN_ZIP64_16: u16 = u16::MAX;
/// The offset of the checksum in a local header.
const CRC_OFFSET: u64 = 14;

/// From this length on, in bytes, a file gets zip64 sizes: 16 MiB less than 4 GiB, because deflate makes incompressible
/// content longer.
pub(super) const ZIP64_FROM: u64 = (1 << 32) - (16 << 20);

/// The compression method of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Stored = 0,
    Deflated = 8,
}

/// Method, checksum and lengths of an entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct PackedEntry {
    pub(super) method: Method,
    pub(super) crc32: u32,
    /// Length of the content, in bytes.
    pub(super) size: u64,
    /// Length in the zip, in bytes.
    pub(super) packed_size: u64,
}

/// A zip that is being written; entries are stored in the order in which they are added.
pub(super) struct ZipFile<W> {
    out: W,
    position: u64,
    directory: Vec<u8>,
    entries: u64,
}

/// An entry whose header is written and whose bytes are being written.
pub(super) struct OpenEntry<'a, W> {
    zip: &'a mut ZipFile<W>,
    name: &'a str,
    mode: u32,
    header_offset: u64,
    packed: PackedEntry,
}

impl<W: Write + Seek> ZipFile<W> {
    pub(super) const fn new(out: W) -> Self {
        Self { out, position: 0, directory: Vec::new(), entries: 0 }
    }

    /// Writes an entry with its bytes.
    pub(super) fn add(&mut self, name: &str, mode: u32, packed: PackedEntry, bytes: &[u8]) -> io::Result<()> {
        let header_offset = self.position;
        self.put(&local(name, packed))?;
        self.put(bytes)?;
        self.add_to_directory(name, mode, packed, header_offset);
        Ok(())
    }

    /// Starts an entry of `size` bytes that are deflated while they are written.
    pub(super) fn begin<'a>(
        &'a mut self,
        name: &'a str,
        mode: u32,
        size: u64,
    ) -> io::Result<OpenEntry<'a, W>> {
        let packed = PackedEntry { method: Method::Deflated, crc32: 0, size, packed_size: 0 };
        let header_offset = self.position;
        self.put(&local(name, packed))?;
        Ok(OpenEntry { zip: self, name, mode, header_offset, packed })
    }

    /// Writes the directory and returns the underlying writer.
    pub(super) fn finish(mut self) -> io::Result<W> {
        let directory_offset = self.position;
        let directory = std::mem::take(&mut self.directory);
        self.put(&directory)?;
        let end = end(self.entries, directory.len() as u64, directory_offset);
        self.put(&end)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.position += bytes.len() as u64;
        Ok(())
    }

    /// Adds an entry to the directory.
    fn add_to_directory(&mut self, name: &str, mode: u32, packed: PackedEntry, header_offset: u64) {
        let large = packed.size >= ZIP64_FROM;
        let far = header_offset >= u64::from(IN_ZIP64);
        let mut extra = Vec::new();
        if large {
            extra.extend(packed.size.to_le_bytes());
            extra.extend(packed.packed_size.to_le_bytes());
        }
        if far {
            extra.extend(header_offset.to_le_bytes());
        }
        let extra = zip64_extra(&extra);
        let version = if extra.is_empty() { VERSION_DEFLATE } else { VERSION_ZIP64 };
        let mut fields = Fields(&mut self.directory);
        fields.u32(CENTRAL).u16(UNIX | version).u16(version);
        fields.common(name, packed, large, extra.len());
        fields.u16(0).u16(0).u16(0); // no comment, first disk, no internal attributes
        let file_type = if mode > 0o777 { 0 } else { REGULAR };
        fields.u32((file_type | mode) << 16);
        fields.u32(low_32(header_offset));
        self.directory.extend(name.as_bytes());
        self.directory.extend(extra);
        self.entries += 1;
    }
}

impl<W: Write + Seek> OpenEntry<'_, W> {
    /// Writes checksum and lengths into the header, and adds the entry to the directory.
    pub(super) fn close(mut self, crc32: u32) -> io::Result<()> {
        self.packed.crc32 = crc32;
        let header = local(self.name, self.packed);
        let at = usize::try_from(CRC_OFFSET).unwrap_or_default();
        self.zip.out.seek(SeekFrom::Start(self.header_offset + CRC_OFFSET))?;
        self.zip.out.write_all(&header[at..])?;
        self.zip.out.seek(SeekFrom::Start(self.zip.position))?;
        self.zip.add_to_directory(self.name, self.mode, self.packed, self.header_offset);
        Ok(())
    }
}

impl<W: Write + Seek> Write for OpenEntry<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.zip.put(bytes)?;
        self.packed.packed_size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns the header before an entry's bytes.
fn local(name: &str, packed: PackedEntry) -> Vec<u8> {
    let large = packed.size >= ZIP64_FROM;
    let mut extra = Vec::new();
    if large {
        extra.extend(packed.size.to_le_bytes());
        extra.extend(packed.packed_size.to_le_bytes());
    }
    let extra = zip64_extra(&extra);
    let mut header = Vec::with_capacity(30 + name.len() + extra.len());
    let mut fields = Fields(&mut header);
    fields.u32(LOCAL).u16(if large { VERSION_ZIP64 } else { VERSION_DEFLATE });
    fields.common(name, packed, large, extra.len());
    header.extend(name.as_bytes());
    header.extend(extra);
    header
}

/// Returns zip64's extra field; empty without values.
fn zip64_extra(values: &[u8]) -> Vec<u8> {
    let mut extra = Vec::new();
    if !values.is_empty() {
        Fields(&mut extra).u16(1).u16(low_16(values.len() as u64));
        extra.extend(values);
    }
    extra
}

/// Returns the end of the directory, with zip64's end before it where a number needs it.
fn end(entries: u64, size: u64, at: u64) -> Vec<u8> {
    let mut end = Vec::new();
    let mut fields = Fields(&mut end);
    if entries >= u64::from(IN_ZIP64_16) || size >= u64::from(IN_ZIP64) || at >= u64::from(IN_ZIP64) {
        fields.u32(ZIP64_END).u64(44).u16(UNIX | VERSION_ZIP64).u16(VERSION_ZIP64).u32(0).u32(0);
        fields.u64(entries).u64(entries).u64(size).u64(at);
        fields.u32(ZIP64_LOCATOR).u32(0).u64(at + size).u32(1);
    }
    let entries = low_16(entries);
    fields.u32(END).u16(0).u16(0).u16(entries).u16(entries).u32(low_32(size)).u32(low_32(at)).u16(0);
    end
}

/// Returns a number with 32 bits, or the value that refers to zip64's fields.
fn low_32(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(IN_ZIP64)
}

fn low_16(number: u64) -> u16 {
    u16::try_from(number).unwrap_or(IN_ZIP64_16)
}

/// Appends little-endian numbers.
struct Fields<'a>(&'a mut Vec<u8>);

impl Fields<'_> {
    fn u16(&mut self, number: u16) -> &mut Self {
        self.0.extend(number.to_le_bytes());
        self
    }

    fn u32(&mut self, number: u32) -> &mut Self {
        self.0.extend(number.to_le_bytes());
        self
    }

    fn u64(&mut self, number: u64) -> &mut Self {
        self.0.extend(number.to_le_bytes());
        self
    }

    /// Appends the fields that a local header and the directory share: flags, method, date, checksum, lengths.
    fn common(&mut self, name: &str, packed: PackedEntry, large: bool, extra: usize) {
        let flags = if name.is_ascii() { 0 } else { UTF8 };
        let size = |size| if large { IN_ZIP64 } else { low_32(size) };
        self.u16(flags).u16(packed.method as u16).u16(0).u16(DATE).u32(packed.crc32);
        self.u32(size(packed.packed_size)).u32(size(packed.size));
        self.u16(low_16(name.len() as u64)).u16(low_16(extra as u64));
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, SeekFrom};

    use super::{Method, PackedEntry, ZipFile};

    #[test]
    fn zip_offsets_may_exceed_four_gibibytes() {
        const BEFORE: u64 = 5 << 30;
        let mut file = tempfile::tempfile().expect("a file");
        // A hole replaces the earlier entries: offsets count from the start of the file.
        file.seek(SeekFrom::Start(BEFORE)).expect("a sparse file");
        let mut zip = ZipFile { position: BEFORE, ..ZipFile::new(&file) };
        let content = b"far away";
        let length = content.len() as u64;
        let crc32 = libdeflater::crc32(content);
        let packed = PackedEntry { method: Method::Stored, crc32, size: length, packed_size: length };
        zip.add("far", 0o644, packed, content).expect("written");
        zip.finish().expect("written");

        let mut archive = zip::ZipArchive::new(&file).expect("a zip");
        let mut entry = archive.by_name("far").expect("an entry");
        assert_eq!(entry.header_start(), BEFORE);
        let mut found = Vec::new();
        entry.read_to_end(&mut found).expect("read");
        assert_eq!(found, content);
    }
}
