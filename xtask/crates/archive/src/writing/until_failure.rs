//! A writer that goes quiet after its first failure.
//!
//! In: writes and seeks. Out: the same, until one fails; from then on nothing is passed on and everything is said
//! to succeed. Whoever writes must therefore heed the first failure. `ZipWriter` does, but when it is dropped
//! afterwards it tries to finish the zip, and would print that this fails too.

use std::io::{self, ErrorKind, Seek, SeekFrom, Write};

pub(super) struct UntilFailure<W> {
    out: W,
    /// Where the next byte goes, or would go.
    position: u64,
    failed: bool,
}

impl<W> UntilFailure<W> {
    pub(super) const fn new(out: W) -> Self {
        Self { out, position: 0, failed: false }
    }

    fn note<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        self.failed |= result.as_ref().is_err_and(|error| error.kind() != ErrorKind::Interrupted);
        result
    }
}

impl<W: Write> Write for UntilFailure<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = if self.failed {
            bytes.len()
        } else {
            let result = self.out.write(bytes);
            self.note(result)?
        };
        self.position += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.failed {
            return Ok(());
        }
        let result = self.out.flush();
        self.note(result)
    }
}

impl<W: Seek> Seek for UntilFailure<W> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        if !self.failed {
            let result = self.out.seek(to);
            self.position = self.note(result)?;
        } else if let SeekFrom::Start(position) = to {
            self.position = position;
        }
        Ok(self.position)
    }
}
