//! Receives a request's body completely before it is forwarded.
//!
//! In: a streaming body, and a folder. Out: the bytes, to be forwarded, and their SHA-256. Short bodies stay in memory;
//! long ones go to an unnamed file that ends with its handle. Errors: the client disconnects, or the disk is full.

use axum::body::{Body, Bytes};
use http_body_util::BodyExt;
use sha2::{Digest as _, Sha256};
use slipway_values::digest::Digest;
use std::io::SeekFrom;
use std::path::Path;
use tokio::fs::File;
use tokio::io::{AsyncSeekExt, AsyncWriteExt};
use tokio_util::io::ReaderStream;

/// The longest body that is kept in memory, in bytes.
const IN_MEMORY: usize = 8 << 20;
/// How much of a file is read at once, in bytes.
const CHUNK: usize = 256 << 10;

/// Why a body was not received.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpoolError {
    /// The client disconnected.
    #[error("the request's body is incomplete")]
    Client(#[source] axum::Error),
    /// The file cannot be written.
    #[error("the request's body cannot be written to a file")]
    File(#[from] std::io::Error),
}

/// A complete body.
pub(crate) struct SpooledBody {
    bytes: Bytes,
    file: Option<File>,
    /// In bytes.
    pub(crate) length: u64,
    pub(crate) sha256: Digest,
}

/// Receives a body completely.
pub(crate) async fn spool(mut body: Body, folder: &Path) -> Result<SpooledBody, SpoolError> {
    let mut memory = Vec::new();
    let mut file = None;
    let mut length = 0;
    let mut digest = Sha256::new();
    while let Some(frame) = body.frame().await {
        // S3 ignores HTTP trailers: its trailing checksums are inside the body.
        let Ok(data) = frame.map_err(SpoolError::Client)?.into_data() else {
            continue;
        };
        digest.update(&data);
        length += data.len() as u64;
        if file.is_none() && memory.len() + data.len() > IN_MEMORY {
            let mut long = File::from_std(tempfile::tempfile_in(folder)?);
            long.write_all(&std::mem::take(&mut memory)).await?;
            file = Some(long);
        }
        match &mut file {
            Some(file) => file.write_all(&data).await?,
            None => memory.extend_from_slice(&data),
        }
    }
    if let Some(file) = &mut file {
        file.flush().await?;
        file.seek(SeekFrom::Start(0)).await?;
    }
    Ok(SpooledBody { bytes: memory.into(), file, length, sha256: digest.into() })
}

impl SpooledBody {
    /// Returns the body, to be forwarded.
    pub(crate) fn into_body(self) -> Body {
        match self.file {
            Some(file) => Body::from_stream(ReaderStream::with_capacity(file, CHUNK)),
            None => Body::from(self.bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn spooled_body_is_unchanged_at_any_length() {
        let folder = tempfile::tempdir().unwrap();
        for length in [0, 1, IN_MEMORY, IN_MEMORY + 1, 3 * IN_MEMORY] {
            let bytes: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let source = ReaderStream::new(std::io::Cursor::new(bytes.clone()));
            let spooled = spool(Body::from_stream(source), folder.path()).await.unwrap();
            assert_eq!((spooled.length, spooled.file.is_some()), (length as u64, length > IN_MEMORY));
            assert_eq!(spooled.sha256, Digest::of(&bytes));
            let back = axum::body::to_bytes(spooled.into_body(), usize::MAX).await.unwrap();
            assert!(back == bytes);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
