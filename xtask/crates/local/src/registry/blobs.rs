//! Downloads of blobs: whole, a range, or only the size.
//!
//! In: a digest and a `Range`. Out: the bytes, streamed from the disk. Errors: the repository does not hold the blob, or
//! the range begins after its end.

use super::error::RegistryError;
use super::name::{Digest, Repository};
use super::store::Registry;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Response as Builder, StatusCode, header};
use axum::response::Response;
use std::io::SeekFrom;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

/// How much of a file is read at once.
const CHUNK: usize = 256 << 10;

/// Responds to GET and HEAD.
pub(super) async fn read(
    registry: &Registry,
    repository: &Repository,
    digest: &Digest,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, RegistryError> {
    let name = repository.as_str();
    let length = registry.blob_size(repository, digest)?.ok_or_else(|| {
        RegistryError::not_found(
            "BLOB_UNKNOWN",
            format!("the repository {name} does not hold the blob {digest}"),
        )
    })?;
    let range = headers.get(header::RANGE).and_then(|range| range.to_str().ok());
    let wanted = match range.and_then(parse_range) {
        Some(range) => Some(range.within(length).ok_or_else(|| {
            let message = format!("the blob {digest} has {length} bytes");
            RegistryError::new(StatusCode::RANGE_NOT_SATISFIABLE, "SIZE_INVALID", message)
        })?),
        None => None,
    };
    let (first, count) = wanted.unwrap_or((0, length));
    let mut response = Builder::builder()
        .header(header::CONTENT_TYPE, "application/octet-stream")
        .header(header::CONTENT_LENGTH, count)
        .header(header::ACCEPT_RANGES, "bytes")
        .header("docker-content-digest", digest.to_string());
    if wanted.is_some() {
        let last = first + count - 1;
        response = response
            .status(StatusCode::PARTIAL_CONTENT)
            .header(header::CONTENT_RANGE, format!("bytes {first}-{last}/{length}"));
    }
    let body = match *method {
        Method::HEAD => Body::empty(),
        _ => {
            let mut file = File::open(registry.blob_path(digest)).await?;
            file.seek(SeekFrom::Start(first)).await?;
            Body::from_stream(ReaderStream::with_capacity(file.take(count), CHUNK))
        }
    };
    response.body(body).map_err(|error| RegistryError::bad_request("UNKNOWN", error.to_string()))
}

/// A requested range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Range {
    From { first: u64, last: Option<u64> },
    End { count: u64 },
}

impl Range {
    /// Returns the first byte and the number of bytes; `None` if the blob has none of them.
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

/// Reads one range. A malformed range, or several, count as none (RFC 9110, 14.2).
fn parse_range(value: &str) -> Option<Range> {
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
    fn range_is_limited_to_the_blob() {
        let within = |value: &str| parse_range(value).map(|range| range.within(10));
        assert_eq!(within("bytes=0-3"), Some(Some((0, 4))));
        assert_eq!(within("bytes=4-"), Some(Some((4, 6))));
        assert_eq!(within("bytes=-3"), Some(Some((7, 3))));
        assert_eq!(within("bytes=-30"), Some(Some((0, 10))));
        assert_eq!(within("bytes=8-99"), Some(Some((8, 2))));
        assert_eq!(within("bytes=10-"), Some(None));
        assert_eq!(within("bytes=-0"), Some(None));
        for ignored in ["bytes=3-1", "bytes=1-2,4-5", "lines=1-2", "bytes=a-b"] {
            assert_eq!(parse_range(ignored), None, "{ignored}");
        }
    }
}
