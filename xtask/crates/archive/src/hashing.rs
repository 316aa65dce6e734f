//! SHA-256 of files, and streams read in chunks.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest as _, Sha256};
use slipway_values::digest::Digest;

use crate::Error;

/// The number of bytes that are read, hashed and compressed at a time.
///
/// A deflate encoder may compress the same bytes differently in other chunks. So chunks are always full, even where the
/// system's reads are short, and their size is one of the things that decide a zip's bytes.
pub(crate) const CHUNK: usize = 64 * 1024;

/// Returns a file's SHA-256 and its length in bytes.
///
/// # Errors
/// The file cannot be opened or read.
pub fn sha256_file(path: &Path) -> Result<(Digest, u64), Error> {
    let mut file = File::open(path).map_err(Error::io("open", path))?;
    let mut hash = Sha256::new();
    let length = chunks(&mut file, CHUNK, |chunk| {
        hash.update(chunk);
        Ok(())
    })
    .map_err(Error::io("read", path))?;
    Ok((hash.into(), length))
}

/// Passes a stream's bytes to `each` in chunks of `size` (the last may be shorter); returns the number of bytes.
pub(crate) fn chunks(
    from: &mut (impl Read + ?Sized),
    size: usize,
    mut each: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<u64> {
    let mut buffer = vec![0; size];
    let mut length = 0;
    loop {
        let filled = fill(from, &mut buffer)?;
        if filled > 0 {
            each(&buffer[..filled])?;
            length += filled as u64;
        }
        if filled < buffer.len() {
            return Ok(length);
        }
    }
}

/// Reads until the buffer is full or the stream ends.
fn fill(from: &mut (impl Read + ?Sized), buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::{chunks, sha256_file};

    /// Returns three bytes at a time at most.
    struct ShortReads<'a>(&'a [u8]);

    impl Read for ShortReads<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let length = buffer.len().min(3);
            self.0.read(&mut buffer[..length])
        }
    }

    #[test]
    fn chunks_are_full_even_where_reads_are_short() {
        let mut seen = Vec::new();
        let length = chunks(&mut ShortReads(&[7; 20]), 8, |chunk| {
            seen.push(chunk.len());
            Ok(())
        })
        .expect("reads");
        assert_eq!((seen, length), (vec![8, 8, 4], 20));
    }

    #[test]
    fn file_digest_is_that_of_the_standard() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("abc");
        std::fs::write(&path, "abc").expect("written");
        let (digest, length) = sha256_file(&path).expect("hashed");
        // FIPS 180-2, appendix B.1.
        assert_eq!(digest.hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(length, 3);

        let missing = folder.path().join("missing");
        let error = sha256_file(&missing).expect_err("no such file");
        assert!(error.to_string().contains(&missing.display().to_string()), "{error}");
    }
}
