//! SHA-256 of files and streams.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest as _, Sha256};
use slipway_values::digest::Digest;

use crate::Error;

/// Bytes that are read, hashed and compressed at a time.
///
/// A deflate encoder may answer differently to the same bytes in other portions, so the portions are always
/// full, whatever the system's reads return, and their size is part of what fixes a zip's bytes.
pub(crate) const CHUNK: usize = 64 * 1024;

/// Hashes a file: its SHA-256 and its length in bytes.
///
/// # Errors
/// When the file can't be opened or read.
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

/// Hands a stream's bytes to `each` in portions of `size` (the last may be shorter); returns their number.
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

    /// Returns three bytes at a time, however many are asked for.
    struct Dribble<'a>(&'a [u8]);

    impl Read for Dribble<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let length = buffer.len().min(3);
            self.0.read(&mut buffer[..length])
        }
    }

    #[test]
    fn portions_are_full_whatever_the_reads_return() {
        let mut seen = Vec::new();
        let length = chunks(&mut Dribble(&[7; 20]), 8, |chunk| {
            seen.push(chunk.len());
            Ok(())
        })
        .expect("reads");
        assert_eq!((seen, length), (vec![8, 8, 4], 20));
    }

    #[test]
    fn hashes_a_file() {
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
