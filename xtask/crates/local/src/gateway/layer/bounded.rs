//! Bounds the bytes that are read of a tar: all of them, and those that describe one entry.
//!
//! Long names and pax records are held in memory, and a tar of a few kilobytes can unpack to any number of them. In: a tar
//! that is read in order. Out: the same bytes. Errors: more bytes than the bounds allow.

use std::cell::Cell;
use std::io::{self, Read};

/// The largest description of an entry, in bytes: header, names, pax records, the map of a sparse file.
const DESCRIPTION: u64 = 1 << 20;
/// The block size of a tar, in bytes.
const BLOCK: u64 = 512;

/// The bounds, and the number of bytes that were read.
pub(super) struct Bounds {
    read: Cell<u64>,
    /// Where the next entry must be described.
    described: Cell<u64>,
    /// The length of the longest tar that is read.
    all: u64,
    exceeded: Cell<bool>,
}

impl Bounds {
    /// Allows `all` bytes, and at first the description of one entry.
    pub(super) fn new(all: u64) -> Self {
        Self { read: Cell::new(0), described: Cell::new(DESCRIPTION), all, exceeded: Cell::new(false) }
    }

    /// Allows the content of an entry that was described, and the description of the next.
    pub(super) fn begin_content(&self, length: u64) {
        let end = self.read.get().saturating_add(length);
        self.described.set(end.saturating_add(BLOCK + DESCRIPTION));
    }

    /// Returns the number of bytes that were read.
    pub(super) fn read(&self) -> u64 {
        self.read.get()
    }

    /// Returns whether the tar has more than all bytes.
    pub(super) fn is_exceeded(&self) -> bool {
        self.exceeded.get()
    }
}

/// A reader that stops with an error at its bounds.
pub(super) struct Bounded<'a, R> {
    inner: R,
    bounds: &'a Bounds,
}

impl<'a, R> Bounded<'a, R> {
    pub(super) fn new(inner: R, bounds: &'a Bounds) -> Self {
        Self { inner, bounds }
    }
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Bounds { read, described, all, exceeded } = self.bounds;
        let left = described.get().min(*all) - read.get();
        if left == 0 && !buffer.is_empty() {
            // A tar may end exactly here.
            if self.inner.read(&mut [0])? == 0 {
                return Ok(0);
            }
            exceeded.set(read.get() == *all);
            return Err(io::Error::other(format!("an entry is described by more than {DESCRIPTION} bytes")));
        }
        let length = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let length = self.inner.read(&mut buffer[..length])?;
        read.set(read.get() + length as u64);
        Ok(length)
    }
}
