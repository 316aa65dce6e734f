//! The output of a function: stdout and stderr through one pipe, so that their order is kept, split into lines.
//!
//! Each line goes to the function's log file, to CloudWatch Logs in the emulator, and to the tail that Invoke returns.

use super::log_stream::LogStream;
use jiff::Timestamp;
use std::fs::File;
use std::io::{self, PipeReader, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::unix::pipe::Receiver;

/// How much of the log's end Invoke returns, in bytes.
const TAIL: usize = 4096;
/// A longer line is split: CloudWatch's limit for an event, in bytes.
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
    /// Reads from a pipe in the background until its last writer has closed it.
    pub(crate) fn follow(pipe: PipeReader, log: &Path, stream: LogStream) -> io::Result<Arc<Self>> {
        let pipe = Receiver::from_owned_fd(OwnedFd::from(pipe))?;
        // The function runs even if its log cannot be written.
        let file = File::options().create(true).append(true).open(log).ok();
        let lines = Lines { partial: Vec::new(), tail: Vec::new(), file, stream };
        let output = Arc::new(Self { pipe, lines: Mutex::new(lines) });
        let reader = Arc::clone(&output);
        tokio::spawn(async move {
            // With tokio's own read, `readable` waits again once the pipe is empty.
            while reader.pipe.readable().await.is_ok() && reader.read(|buffer| reader.pipe.try_read(buffer)) {
            }
        });
        Ok(output)
    }

    /// Adds a line of the platform, such as START, END or REPORT.
    pub(crate) fn write_line(&self, line: &str) {
        self.lock().line(line.as_bytes());
    }

    /// Ends a last line without a line break, returns the tail, and begins the next one.
    ///
    /// A function writes before it responds, so after its response and [`Output::drain`] this is everything it wrote.
    pub(crate) fn finish(&self) -> Vec<u8> {
        let mut lines = self.lock();
        let partial = std::mem::take(&mut lines.partial);
        if !partial.is_empty() {
            lines.line(&partial);
        }
        std::mem::take(&mut lines.tail)
    }

    /// Reads everything in the pipe without waiting; `false` at the end of the pipe.
    ///
    /// It reads the pipe directly, because tokio may not know yet that there is something to read.
    pub(crate) fn drain(&self) -> bool {
        self.read(|buffer| Ok(rustix::io::read(&self.pipe, buffer)?))
    }

    fn read(&self, read: impl Fn(&mut [u8]) -> io::Result<usize>) -> bool {
        let mut lines = self.lock();
        let mut buffer = [0; 16 << 10];
        loop {
            match read(&mut buffer) {
                Ok(0) => return false,
                Ok(length) => lines.append(&buffer[..length]),
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
    fn append(&mut self, bytes: &[u8]) {
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
            // One write for each line keeps the lines of several instances apart.
            let _ = file.write_all(&whole);
        }
        self.tail.extend_from_slice(&whole);
        let surplus = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..surplus);
        self.stream.push(Timestamp::now(), String::from_utf8_lossy(line).into_owned());
    }
}

/// Returns the path of a function's log file.
pub(crate) fn log_file(folder: &Path, function: &str) -> PathBuf {
    folder.join(format!("{function}.log"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn output_lines_are_in_order_and_the_tail_is_limited() {
        let folder = tempfile::tempdir().unwrap();
        let log = log_file(folder.path(), "f");
        let (reader, mut writer) = io::pipe().unwrap();
        let output = Output::follow(reader, &log, LogStream::discarding()).unwrap();
        output.write_line("START");
        writer.write_all(b"one\ntwo\nthr").unwrap();
        output.drain();
        writer.write_all(b"ee").unwrap();
        output.drain();
        assert_eq!(output.finish(), b"START\none\ntwo\nthree\n");
        writer.write_all("x".repeat(5000).as_bytes()).unwrap();
        output.drain();
        output.write_line("END");
        let tail = output.finish();
        assert_eq!(tail.len(), TAIL);
        assert!(tail.ends_with(b"x\n"));
        drop(writer);
        assert!(!output.drain());
        assert_eq!(std::fs::read_to_string(&log).unwrap().lines().count(), 6);
    }
}
