//! Reads an entry's content once: for its hash, for the progress and for the archive.
//!
//! In: an entry and the length that it had when it was listed. Out: its line of the listing, and its bytes, chunk by
//! chunk, passed to the archive's writer. Errors: the file cannot be read, or has another length now; the writer fails,
//! which is reported as a failure to write the archive.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

use crate::hashing::{CHUNK, chunks};
use crate::tree::Source;
use crate::{Entry, Error, ListingEntry};

/// Passes an entry's content to `into`, hashes it, and checks that its length has not changed.
///
/// `to` is the archive that the error names where `into` fails.
pub(crate) fn read_entry(
    entry: Entry<'_>,
    size: u64,
    to: &Path,
    progress: &Progress<'_>,
    mut into: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<ListingEntry, Error> {
    let mut hash = Sha256::new();
    let mut failed_writing = false;
    let mut read = 0;
    let mut each = |chunk: &[u8]| {
        read += chunk.len() as u64;
        if read > size {
            return Ok(()); // the file grew: the length shows it below
        }
        hash.update(chunk);
        into(chunk).inspect_err(|_| failed_writing = true)?;
        progress.advance(chunk.len() as u64);
        Ok(())
    };
    let (path, length) = match entry.source() {
        Source::File(path) => {
            let file = File::open(path).map_err(Error::io("open", path))?;
            // One byte more than expected, so that a short read shows the end of the file.
            let chunk = CHUNK.min(usize::try_from(size).unwrap_or(CHUNK).saturating_add(1));
            let mut file = io::Read::take(file, size.saturating_add(1));
            (path.as_path(), chunks(&mut file, chunk, &mut each))
        }
        Source::Link(target) => (Path::new(entry.name()), chunks(&mut target.as_bytes(), CHUNK, &mut each)),
        Source::Bytes(bytes) => (Path::new(entry.name()), chunks(&mut bytes.as_slice(), CHUNK, &mut each)),
    };
    let length = length.map_err(|source| {
        if failed_writing { Error::io("write", to)(source) } else { Error::io("read", path)(source) }
    })?;
    if length != size {
        return Err(Error::Changed { path: path.to_owned(), expected: size });
    }
    Ok(ListingEntry { path: entry.name().to_owned(), mode: entry.mode(), size: length, sha256: hash.into() })
}

/// Adds up the progress of several threads and reports it, one at a time.
pub(crate) struct Progress<'a> {
    report: &'a (dyn Fn(u64) + Sync),
    done: Mutex<u64>,
}

impl<'a> Progress<'a> {
    pub(crate) fn new(report: &'a (dyn Fn(u64) + Sync)) -> Self {
        Self { report, done: Mutex::new(0) }
    }

    fn advance(&self, bytes: u64) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        *done += bytes;
        (self.report)(*done);
    }
}
