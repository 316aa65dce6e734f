//! What a function writes to stdout and stderr: one pipe, so that the order is kept, cut into lines.
//!
//! A line goes to the function's log file, to CloudWatch Logs in the emulator, and to the tail that Invoke returns.

use super::log_stream::LogStream;
use jiff::Timestamp;
use std::fs::File;
use std::io::{self, PipeReader, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::unix::pipe::Receiver;

/// Invoke returns so many bytes of the log's end.
const TAIL: usize = 4096;
/// A line longer than this is cut: CloudWatch's limit for an event.
const LONGEST_LINE: usize = 256 << 10;

/// One instance's output.
pub(crate) struct Output {
    pipe: Receiver,
    lines: Mutex<Lines>,
}

struct Lines {
    partial: Vec<u8>,
    tail: Vec<u8>,
    file: Option<File>,
    stream: LogStream,
}

impl Output {
    /// Reads from a pipe until its last writer is gone.
    pub(crate) fn follow(pipe: PipeReader, log: &Path, stream: LogStream) -> io::Result<Arc<Self>> {
        let pipe = Receiver::from_owned_fd(OwnedFd::from(pipe))?;
        // A log that cannot be written must not keep the function from running.
        let file = File::options().create(true).append(true).open(log).ok();
        let lines = Lines { partial: Vec::new(), tail: Vec::new(), file, stream };
        let output = Arc::new(Self { pipe, lines: Mutex::new(lines) });
        let pumped = Arc::clone(&output);
        tokio::spawn(async move {
            // tokio's own read, because it takes note when there is nothing more.
            while pumped.pipe.readable().await.is_ok() && pumped.read(|buffer| pumped.pipe.try_read(buffer)) {
            }
        });
        Ok(output)
    }

    /// Adds a line of the platform's own: START, END, REPORT.
    pub(crate) fn note(&self, line: &str) {
        self.lock().line(line.as_bytes());
    }

    /// Takes in all that was written until now, also a last line without an end; gives the tail and begins the next.
    ///
    /// A function writes before it answers, so after its answer this is everything it wrote.
    pub(crate) fn finish(&self) -> Vec<u8> {
        let mut lines = self.lock();
        let partial = std::mem::take(&mut lines.partial);
        if !partial.is_empty() {
            lines.line(&partial);
        }
        std::mem::take(&mut lines.tail)
    }

    /// Reads what there is without waiting; `false` at the end of the pipe.
    ///
    /// It asks the pipe itself and not what tokio last knew of it, so it misses nothing that was written before.
    pub(crate) fn drain(&self) -> bool {
        self.read(|buffer| Ok(rustix::io::read(&self.pipe, buffer)?))
    }

    fn read(&self, read: impl Fn(&mut [u8]) -> io::Result<usize>) -> bool {
        let mut lines = self.lock();
        let mut buffer = [0; 16 << 10];
        loop {
            match read(&mut buffer) {
                Ok(0) => return false,
                Ok(length) => lines.take(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    fn take(&mut self, bytes: &[u8]) {
        self.partial.extend_from_slice(bytes);
        while let Some(end) = self.partial.iter().position(|byte| *byte == b'\n') {
            let rest = self.partial.split_off(end + 1);
            let line = std::mem::replace(&mut self.partial, rest);
            self.line(&line[..end]);
        }
        if self.partial.len() > LONGEST_LINE {
            let line = std::mem::take(&mut self.partial);
            self.line(&line);
        }
    }

    fn line(&mut self, line: &[u8]) {
        let mut whole = line.to_vec();
        whole.push(b'\n');
        if let Some(file) = &mut self.file {
            // One write for each line, so that instances of one function do not mix theirs.
            let _ = file.write_all(&whole);
        }
        self.tail.extend_from_slice(&whole);
        let surplus = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..surplus);
        self.stream.push(Timestamp::now(), String::from_utf8_lossy(line).into_owned());
    }
}

/// Names a function's log file.
pub(crate) fn log_file(folder: &Path, function: &str) -> PathBuf {
    folder.join(format!("{function}.log"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_kept_in_order_and_the_tail_is_short() {
        let folder = tempfile::tempdir().unwrap();
        let log = log_file(folder.path(), "f");
        let (reader, mut writer) = io::pipe().unwrap();
        let output = Output::follow(reader, &log, LogStream::nowhere()).unwrap();
        output.note("START");
        writer.write_all(b"one\ntwo\nthr").unwrap();
        output.drain();
        writer.write_all(b"ee").unwrap();
        output.drain();
        assert_eq!(output.finish(), b"START\none\ntwo\nthree\n");
        writer.write_all("x".repeat(5000).as_bytes()).unwrap();
        output.drain();
        output.note("END");
        let tail = output.finish();
        assert_eq!(tail.len(), TAIL);
        assert!(tail.ends_with(b"x\n"));
        drop(writer);
        assert!(!output.drain());
        assert_eq!(std::fs::read_to_string(&log).unwrap().lines().count(), 6);
    }
}
