//! Blobs on their way out: whole, in part, or their size alone.
//!
//! In: a digest and a `Range`. Out: the bytes as they are read from the disk. What can go wrong: the repository does not
//! hold the blob, or the range lies behind its end.

use super::Registry;
use super::fault::Fault;
use super::name::{Digest, Repository};
use axum::body::Body;
use axum::http::{HeaderMap, Method, Response as Builder, StatusCode, header};
use axum::response::Response;
use std::io::SeekFrom;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

/// How much of a file is read at once.
const CHUNK: usize = 256 << 10;

/// Answers GET and HEAD.
pub(super) async fn read(
    registry: &Registry,
    repository: &Repository,
    digest: &Digest,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, Fault> {
    let name = repository.as_str();
    let length = registry.held(repository, digest)?.ok_or_else(|| {
        Fault::missing("BLOB_UNKNOWN", format!("the repository {name} does not hold the blob {digest}"))
    })?;
    let range = headers.get(header::RANGE).and_then(|range| range.to_str().ok());
    let wanted = match range.and_then(ranged) {
        Some(range) => Some(range.within(length).ok_or_else(|| {
            let message = format!("the blob {digest} has {length} bytes");
            Fault::new(StatusCode::RANGE_NOT_SATISFIABLE, "SIZE_INVALID", message)
        })?),
        None => None,
    };
    let (first, count) = wanted.unwrap_or((0, length));
    let mut answer = Builder::builder()
        .header(header::CONTENT_TYPE, "application/octet-stream")
        .header(header::CONTENT_LENGTH, count)
        .header(header::ACCEPT_RANGES, "bytes")
        .header("docker-content-digest", digest.to_string());
    if wanted.is_some() {
        let last = first + count - 1;
        answer = answer
            .status(StatusCode::PARTIAL_CONTENT)
            .header(header::CONTENT_RANGE, format!("bytes {first}-{last}/{length}"));
    }
    let body = match *method {
        Method::HEAD => Body::empty(),
        _ => {
            let mut file = File::open(registry.blob(digest)).await?;
            file.seek(SeekFrom::Start(first)).await?;
            Body::from_stream(ReaderStream::with_capacity(file.take(count), CHUNK))
        }
    };
    answer.body(body).map_err(|error| Fault::bad("UNKNOWN", error.to_string()))
}

/// A range as it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Range {
    From { first: u64, last: Option<u64> },
    End { count: u64 },
}

impl Range {
    /// Gives first byte and number of bytes; `None` where the blob has none of them.
    fn within(self, length: u64) -> Option<(u64, u64)> {
        let (first, end) = match self {
            Self::From { first, last } => {
                (first, last.map_or(length, |last| length.min(last.saturating_add(1))))
            }
            Self::End { count } => (length.saturating_sub(count), length),
        };
        (first < end).then(|| (first, end - first))
    }
}

/// Reads one range; what is malformed, or more than one, counts as none (RFC 9110, 14.2).
fn ranged(value: &str) -> Option<Range> {
    let (first, last) = value.strip_prefix("bytes=")?.trim().split_once('-')?;
    let number = |text: &str| text.parse::<u64>().ok();
    match (first, last) {
        ("", count) => Some(Range::End { count: number(count)? }),
        (first, "") => Some(Range::From { first: number(first)?, last: None }),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Range::From { first, last: Some(last) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_to_what_is_there() {
        let within = |value: &str| ranged(value).map(|range| range.within(10));
        assert_eq!(within("bytes=0-3"), Some(Some((0, 4))));
        assert_eq!(within("bytes=4-"), Some(Some((4, 6))));
        assert_eq!(within("bytes=-3"), Some(Some((7, 3))));
        assert_eq!(within("bytes=-30"), Some(Some((0, 10))));
        assert_eq!(within("bytes=8-99"), Some(Some((8, 2))));
        assert_eq!(within("bytes=10-"), Some(None));
        assert_eq!(within("bytes=-0"), Some(None));
        for ignored in ["bytes=3-1", "bytes=1-2,4-5", "lines=1-2", "bytes=a-b"] {
            assert_eq!(ranged(ignored), None, "{ignored}");
        }
    }
}
