//! Reads the output of a running program line by line, from pipes or from the files that it writes.
//!
//! A line is text as far as it is UTF-8: other bytes are replaced, and the program goes on. A longer line than [`LONGEST`] is
//! split, so that a program which never ends its line does not fill the memory.

use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Child;

use super::Stream;
use slipway_values::failure::{self, Result};

/// The longest line that is passed on as one, in bytes. Terraform writes all outputs of a stack in one line, and a saved plan's
/// values, too.
const LONGEST: usize = if cfg!(test) { 1 << 20 } else { 256 << 20 };

/// How many bytes are read at once.
const CHUNK: usize = 64 << 10;

type Pipe = Box<dyn AsyncRead + Send + Unpin>;

/// One pipe, and what was read of it and is not passed on yet.
struct Reader {
    pipe: Pipe,
    lines: LineSplitter,
}

/// The output of a running program.
pub(super) struct OutputLines {
    readers: [Option<Reader>; 2],
    followed: Vec<Followed>,
}

struct Followed {
    stream: Stream,
    file: std::fs::File,
    lines: LineSplitter,
}

impl OutputLines {
    pub(super) fn piped(child: &mut Child) -> Self {
        let reader = |pipe: Option<Pipe>| pipe.map(|pipe| Reader { pipe, lines: LineSplitter::default() });
        let out = child.stdout.take().map(|pipe| Box::new(pipe) as Pipe);
        let err = child.stderr.take().map(|pipe| Box::new(pipe) as Pipe);
        Self { readers: [reader(out), reader(err)], followed: Vec::new() }
    }

    pub(super) fn followed(out: &Path, err: &Path) -> Result<Self> {
        let open = |stream, path: &Path| {
            std::fs::File::open(path)
                .map(|file| Followed { stream, file, lines: LineSplitter::default() })
                .map_err(|error| failure::io("read", path, error))
        };
        Ok(Self { readers: [None, None], followed: vec![open(Stream::Out, out)?, open(Stream::Err, err)?] })
    }

    /// Waits for more output, and passes on the lines that it ends. Never returns once both pipes are closed.
    pub(super) async fn next(&mut self, on_line: &mut (dyn FnMut(Stream, &str) + Send)) {
        if !self.followed.is_empty() {
            tokio::time::sleep(Duration::from_millis(25)).await;
            self.followed.iter_mut().for_each(|followed| followed.read(on_line));
            return;
        }
        let [out, err] = &mut self.readers;
        let (stream, is_open) = tokio::select! {
            is_open = read(out) => (Stream::Out, is_open),
            is_open = read(err) => (Stream::Err, is_open),
        };
        let reader = &mut self.readers[usize::from(stream == Stream::Err)];
        if let Some(Reader { lines, .. }) = reader {
            let mut on_line = |line: &str| on_line(stream, line.trim_end_matches('\r'));
            lines.pass_on(&mut on_line);
            if !is_open {
                lines.end(&mut on_line);
                *reader = None;
            }
        }
    }

    /// Reads what is left after the program's end; waits two seconds at most for a grandchild that keeps a pipe open.
    pub(super) async fn drain(&mut self, on_line: &mut (dyn FnMut(Stream, &str) + Send)) {
        for followed in &mut self.followed {
            followed.read(on_line);
            followed.lines.end(&mut |line| on_line(followed.stream, line));
        }
        let _ = tokio::time::timeout(Duration::from_secs(2), async {
            while self.readers.iter().any(Option::is_some) {
                self.next(on_line).await;
            }
        })
        .await;
    }
}

/// Reads from a pipe, and returns whether more may come. What was read is kept even where nobody waits for it any more.
async fn read(reader: &mut Option<Reader>) -> bool {
    match reader {
        Some(Reader { pipe, lines }) => {
            lines.rest.reserve(CHUNK);
            pipe.read_buf(&mut lines.rest).await.is_ok_and(|length| length > 0)
        }
        None => std::future::pending().await,
    }
}

impl Followed {
    fn read(&mut self, on_line: &mut (dyn FnMut(Stream, &str) + Send)) {
        use std::io::Read as _;
        loop {
            // A file that cannot be read shows no lines; the exit code still decides.
            let read = self.file.by_ref().take(CHUNK as u64).read_to_end(&mut self.lines.rest).unwrap_or(0);
            self.lines.pass_on(&mut |line| on_line(self.stream, line.trim_end()));
            if read < CHUNK {
                return;
            }
        }
    }
}

/// Splits bytes into lines.
#[derive(Default)]
struct LineSplitter {
    /// The bytes that are not passed on yet.
    rest: Vec<u8>,
    /// How many of them are known to have no end of a line.
    searched: usize,
}

impl LineSplitter {
    /// Passes on the lines that are complete.
    fn pass_on(&mut self, on_line: &mut dyn FnMut(&str)) {
        let (mut begin, mut from) = (0, self.searched);
        while let Some(length) = self.rest[from..].iter().position(|byte| *byte == b'\n') {
            on_line(&String::from_utf8_lossy(&self.rest[begin..from + length]));
            begin = from + length + 1;
            from = begin;
        }
        self.rest.drain(..begin);
        if self.rest.len() > LONGEST {
            on_line(&String::from_utf8_lossy(&self.rest));
            self.rest.clear();
        }
        self.searched = self.rest.len();
    }

    /// Passes on the last line, which has no end.
    fn end(&mut self, on_line: &mut dyn FnMut(&str)) {
        if !self.rest.is_empty() {
            on_line(&String::from_utf8_lossy(&self.rest));
        }
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(pieces: &[&[u8]]) -> Vec<String> {
        let (mut lines, mut found) = (LineSplitter::default(), Vec::new());
        for piece in pieces {
            lines.rest.extend_from_slice(piece);
            lines.pass_on(&mut |line| found.push(line.to_owned()));
        }
        lines.end(&mut |line| found.push(line.to_owned()));
        found
    }

    #[test]
    fn lines_are_split_wherever_the_pieces_end() {
        assert_eq!(split(&[b"a\n\nb", b"", b"c\nd"]), ["a", "", "bc", "d"]);
        assert_eq!(split(&[b"a\n"]), ["a"]);
        assert_eq!(split(&[b"caf\xe9\n"]), ["caf\u{fffd}"]);
    }

    #[test]
    fn line_without_an_end_is_split_where_it_gets_too_long() {
        let piece = vec![b'x'; LONGEST / 2 + 1];
        let lengths: Vec<usize> = split(&[&piece, &piece, b"y\nz"]).iter().map(String::len).collect();
        assert_eq!(lengths, [LONGEST + 2, 1, 1]);
    }

    #[test]
    fn many_lines_at_once_take_no_longer_than_one_by_one() {
        // Shifting what is left for each line would take minutes.
        let many = b"x\n".repeat(1 << 20);
        let begun = std::time::Instant::now();
        assert_eq!(split(&[&many]).len(), 1 << 20);
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    }
}
