//! Reads the output of a running program line by line, from pipes or from the files that it writes.

use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::Child;

use super::Stream;
use slipway_values::failure::{self, Result};

type Reader = tokio::io::Lines<BufReader<Box<dyn AsyncRead + Send + Unpin>>>;

/// The output of a running program.
pub(super) struct OutputLines {
    readers: [Option<Reader>; 2],
    followed: Vec<Followed>,
}

struct Followed {
    stream: Stream,
    file: std::fs::File,
    rest: Vec<u8>,
}

impl OutputLines {
    pub(super) fn piped(child: &mut Child) -> Self {
        let lines = |reader: Option<Box<dyn AsyncRead + Send + Unpin>>| {
            reader.map(|reader| BufReader::new(reader).lines())
        };
        let out = child.stdout.take().map(|reader| Box::new(reader) as Box<dyn AsyncRead + Send + Unpin>);
        let err = child.stderr.take().map(|reader| Box::new(reader) as Box<dyn AsyncRead + Send + Unpin>);
        Self { readers: [lines(out), lines(err)], followed: Vec::new() }
    }

    pub(super) fn followed(out: &Path, err: &Path) -> Result<Self> {
        let open = |stream, path: &Path| {
            std::fs::File::open(path)
                .map(|file| Followed { stream, file, rest: Vec::new() })
                .map_err(|error| failure::io("read", path, error))
        };
        Ok(Self { readers: [None, None], followed: vec![open(Stream::Out, out)?, open(Stream::Err, err)?] })
    }

    /// Waits for the next line, or reads what the files grew by. Never returns once both pipes are closed.
    pub(super) async fn next(&mut self, on_line: &mut (dyn FnMut(Stream, &str) + Send)) {
        if !self.followed.is_empty() {
            tokio::time::sleep(Duration::from_millis(25)).await;
            self.followed.iter_mut().for_each(|followed| followed.read(on_line));
            return;
        }
        let [out, err] = &mut self.readers;
        let (stream, line) = tokio::select! {
            line = next_line(out) => (Stream::Out, line),
            line = next_line(err) => (Stream::Err, line),
        };
        match line {
            Some(line) => on_line(stream, line.trim_end_matches('\r')),
            None => self.readers[usize::from(stream == Stream::Err)] = None,
        }
    }

    /// Reads what is left after the program's end; waits two seconds at most for a grandchild that keeps a pipe open.
    pub(super) async fn drain(&mut self, on_line: &mut (dyn FnMut(Stream, &str) + Send)) {
        for followed in &mut self.followed {
            followed.read(on_line);
            if !followed.rest.is_empty() {
                on_line(followed.stream, &String::from_utf8_lossy(&followed.rest));
            }
        }
        let _ = tokio::time::timeout(Duration::from_secs(2), async {
            while self.readers.iter().any(Option::is_some) {
                self.next(on_line).await;
            }
        })
        .await;
    }
}

async fn next_line(reader: &mut Option<Reader>) -> Option<String> {
    match reader {
        Some(reader) => reader.next_line().await.ok().flatten(),
        None => std::future::pending().await,
    }
}

impl Followed {
    fn read(&mut self, on_line: &mut (dyn FnMut(Stream, &str) + Send)) {
        use std::io::Read as _;
        // A file that cannot be read shows no lines; the exit code still decides.
        let _ = self.file.read_to_end(&mut self.rest);
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            on_line(self.stream, String::from_utf8_lossy(&line).trim_end());
        }
    }
}
