//! The structure of a zip: headers, sizes and the directory at its end, each field with one fixed value or rule.
//!
//! In: entries in order, compressed already or poured in by their packer. Out: a zip without any date but
//! 1980-01-01 (the earliest that a zip can say), made on Unix, with modes 0755 or 0644, and without extra fields
//! but zip64's where a size or a place needs them. What can go wrong: writing fails. Nothing may be written after
//! that.
//!
//! Source of every field: [APPNOTE 6.3.10](https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT).

use std::io::{self, Seek, SeekFrom, Write};

/// The day 1980-01-01 as MS-DOS counts: year since 1980, month, day.
const DATE: u16 = (1 << 5) | 1;
/// Bit 11 of the flags: the name is UTF-8.
const UTF8: u16 = 1 << 11;
const UNIX: u16 = 3 << 8;
/// Versions of the format: 2.0 knows deflate, 4.5 zip64.
const PLAIN: u16 = 20;
const ZIP64: u16 = 45;
const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const ZIP64_END: u32 = 0x0606_4b50;
const ZIP64_LOCATOR: u32 = 0x0706_4b50;
/// What a field of 32 or 16 bits says where zip64's stands for it.
const ELSEWHERE: u32 = u32::MAX;
const ELSEWHERE_16: u16 = u16::MAX;
/// Where in a local header the checksum stands.
const CRC_AT: u64 = 14;

/// From this length on a file gets zip64 sizes: 16 MiB short of 4 GiB, since deflate can lengthen what does not
/// compress.
pub(super) const ZIP64_FROM: u64 = (1 << 32) - (16 << 20);

/// How an entry's bytes stand in the zip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Stored = 0,
    Deflated = 8,
}

/// What a zip says about an entry's bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packed {
    pub(super) method: Method,
    pub(super) crc32: u32,
    /// Length of the content, in bytes.
    pub(super) size: u64,
    /// Length in the zip, in bytes.
    pub(super) packed_size: u64,
}

/// A zip that is being written; entries stand in it in the order of their arrival.
pub(super) struct ZipFile<W> {
    out: W,
    position: u64,
    directory: Vec<u8>,
    entries: u64,
}

/// An entry whose header is written and whose bytes are poured in.
pub(super) struct Open<'a, W> {
    zip: &'a mut ZipFile<W>,
    name: &'a str,
    mode: u32,
    header_at: u64,
    packed: Packed,
}

impl<W: Write + Seek> ZipFile<W> {
    pub(super) const fn new(out: W) -> Self {
        Self { out, position: 0, directory: Vec::new(), entries: 0 }
    }

    /// Writes an entry whose bytes are at hand.
    pub(super) fn add(&mut self, name: &str, mode: u32, packed: Packed, bytes: &[u8]) -> io::Result<()> {
        let header_at = self.position;
        self.put(&local(name, packed))?;
        self.put(bytes)?;
        self.enter(name, mode, packed, header_at);
        Ok(())
    }

    /// Begins an entry of `size` bytes that are deflated as they come.
    pub(super) fn begin<'a>(&'a mut self, name: &'a str, mode: u32, size: u64) -> io::Result<Open<'a, W>> {
        let packed = Packed { method: Method::Deflated, crc32: 0, size, packed_size: 0 };
        let header_at = self.position;
        self.put(&local(name, packed))?;
        Ok(Open { zip: self, name, mode, header_at, packed })
    }

    /// Writes the directory and gives back what was written to.
    pub(super) fn finish(mut self) -> io::Result<W> {
        let directory_at = self.position;
        let directory = std::mem::take(&mut self.directory);
        self.put(&directory)?;
        let end = end(self.entries, directory.len() as u64, directory_at);
        self.put(&end)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.position += bytes.len() as u64;
        Ok(())
    }

    /// Notes an entry for the directory.
    fn enter(&mut self, name: &str, mode: u32, packed: Packed, header_at: u64) {
        let large = packed.size >= ZIP64_FROM;
        let far = header_at >= u64::from(ELSEWHERE);
        let mut extra = Vec::new();
        if large {
            extra.extend(packed.size.to_le_bytes());
            extra.extend(packed.packed_size.to_le_bytes());
        }
        if far {
            extra.extend(header_at.to_le_bytes());
        }
        let extra = zip64_extra(&extra);
        let version = if extra.is_empty() { PLAIN } else { ZIP64 };
        let mut fields = Fields(&mut self.directory);
        fields.four(CENTRAL).two(UNIX | version).two(version);
        fields.common(name, packed, large, extra.len());
        fields.two(0).two(0).two(0); // no comment, first disk, no internal attributes
        fields.four((0o100_000 | mode) << 16);
        fields.four(low(header_at));
        self.directory.extend(name.as_bytes());
        self.directory.extend(extra);
        self.entries += 1;
    }
}

impl<W: Write + Seek> Open<'_, W> {
    /// Writes the checksum and the lengths, now known, into the header and notes the entry.
    pub(super) fn close(mut self, crc32: u32) -> io::Result<()> {
        self.packed.crc32 = crc32;
        let header = local(self.name, self.packed);
        let at = usize::try_from(CRC_AT).unwrap_or_default();
        self.zip.out.seek(SeekFrom::Start(self.header_at + CRC_AT))?;
        self.zip.out.write_all(&header[at..])?;
        self.zip.out.seek(SeekFrom::Start(self.zip.position))?;
        self.zip.enter(self.name, self.mode, self.packed, self.header_at);
        Ok(())
    }
}

impl<W: Write + Seek> Write for Open<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.zip.put(bytes)?;
        self.packed.packed_size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Makes the header that stands before an entry's bytes.
fn local(name: &str, packed: Packed) -> Vec<u8> {
    let large = packed.size >= ZIP64_FROM;
    let mut extra = Vec::new();
    if large {
        extra.extend(packed.size.to_le_bytes());
        extra.extend(packed.packed_size.to_le_bytes());
    }
    let extra = zip64_extra(&extra);
    let mut header = Vec::with_capacity(30 + name.len() + extra.len());
    let mut fields = Fields(&mut header);
    fields.four(LOCAL).two(if large { ZIP64 } else { PLAIN });
    fields.common(name, packed, large, extra.len());
    header.extend(name.as_bytes());
    header.extend(extra);
    header
}

/// Makes zip64's extra field, unless there is nothing to say in it.
fn zip64_extra(values: &[u8]) -> Vec<u8> {
    let mut extra = Vec::new();
    if !values.is_empty() {
        Fields(&mut extra).two(1).two(low_16(values.len() as u64));
        extra.extend(values);
    }
    extra
}

/// Makes the end of the directory, with zip64's own before it where a number needs it.
fn end(entries: u64, size: u64, at: u64) -> Vec<u8> {
    let mut end = Vec::new();
    let mut fields = Fields(&mut end);
    if entries >= u64::from(ELSEWHERE_16) || size >= u64::from(ELSEWHERE) || at >= u64::from(ELSEWHERE) {
        fields.four(ZIP64_END).eight(44).two(UNIX | ZIP64).two(ZIP64).four(0).four(0);
        fields.eight(entries).eight(entries).eight(size).eight(at);
        fields.four(ZIP64_LOCATOR).four(0).eight(at + size).four(1);
    }
    let entries = low_16(entries);
    fields.four(END).two(0).two(0).two(entries).two(entries).four(low(size)).four(low(at)).two(0);
    end
}

/// Takes a number to 32 bits, or to the value that points to zip64's fields.
fn low(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(ELSEWHERE)
}

fn low_16(number: u64) -> u16 {
    u16::try_from(number).unwrap_or(ELSEWHERE_16)
}

/// Appends little-endian numbers.
struct Fields<'a>(&'a mut Vec<u8>);

impl Fields<'_> {
    fn two(&mut self, number: u16) -> &mut Self {
        self.0.extend(number.to_le_bytes());
        self
    }

    fn four(&mut self, number: u32) -> &mut Self {
        self.0.extend(number.to_le_bytes());
        self
    }

    fn eight(&mut self, number: u64) -> &mut Self {
        self.0.extend(number.to_le_bytes());
        self
    }

    /// Writes what a local header and the directory say alike: flags, method, date, checksum, lengths.
    fn common(&mut self, name: &str, packed: Packed, large: bool, extra: usize) {
        let flags = if name.is_ascii() { 0 } else { UTF8 };
        let size = |size| if large { ELSEWHERE } else { low(size) };
        self.two(flags).two(packed.method as u16).two(0).two(DATE).four(packed.crc32);
        self.four(size(packed.packed_size)).four(size(packed.size));
        self.two(low_16(name.len() as u64)).two(low_16(extra as u64));
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, SeekFrom};

    use super::{Method, Packed, ZipFile};

    #[test]
    fn places_beyond_four_gibibytes() {
        const BEFORE: u64 = 5 << 30;
        let mut file = tempfile::tempfile().expect("a file");
        // A hole stands for what lies before: places count from the file's beginning.
        file.seek(SeekFrom::Start(BEFORE)).expect("a sparse file");
        let mut zip = ZipFile { position: BEFORE, ..ZipFile::new(&file) };
        let content = b"far away";
        let length = content.len() as u64;
        let crc32 = libdeflater::crc32(content);
        let packed = Packed { method: Method::Stored, crc32, size: length, packed_size: length };
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
