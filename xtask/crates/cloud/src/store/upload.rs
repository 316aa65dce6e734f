//! Sending a file to a key that must be new.
//!
//! In: a key, a file and the SHA-256 that it is to have. Out: [`Put`]. The file is read once, hashed while it
//! is read, and nothing becomes visible under the key before the digest was found to be right: a file that
//! changed meanwhile is an error, and leaves the store as it was. Small files go in one request, large ones
//! in parts (see `multipart`).

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use slipway_values::digest::Digest;

use super::body::{counted, telling};
use super::{ObjectStore, Put, RACES};
use crate::error::{CloudError, Kind, Origin};
use crate::session::transport::upload_timeouts;

const CONTENT_TYPE: &str = "application/octet-stream";

impl ObjectStore {
    /// Writes a file's bytes under a key unless it is taken; then says whether the bytes there are the same.
    ///
    /// `progress` is told how many bytes are there so far, of the file's size; it may go back when a request
    /// is repeated. Where the object is already there, nothing is sent.
    ///
    /// A process that was killed leaves its unfinished parts behind: the next call for the key goes on with an
    /// upload that has the file's first part, keeps the parts whose SHA-256 (or, where the store keeps none,
    /// MD5) is that of the file's, and compares the checksum of the whole at the end. Where the store does not
    /// tell its parts (moto does not, in words that a client reads), all is sent again. Two processes that send
    /// the same file at once may meet in one upload, which does no harm. An upload that fails or is dropped is aborted, as far as that is
    /// still possible; one that lost the connection is left for the next call. Unfinished uploads that nobody
    /// goes on with are the bucket's lifecycle rule's to clear away.
    ///
    /// # Errors
    /// [`Kind::WrongBytes`] names the file if it does not have this digest; [`Kind::File`] if it can't be read.
    pub async fn put_new_file(
        &self,
        key: &str,
        path: &Path,
        sha256: Digest,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<Put, CloudError> {
        let subject = self.subject(key);
        let origin = self.calls.origin("PutObject", &subject);
        let metadata = tokio::fs::metadata(path).await;
        let size = metadata.map_err(|error| CloudError::file(&origin, path, &error))?.len();
        for race in 0..RACES {
            let put = if let Some(stored) = self.stored(key).await? {
                self.compare(key, &stored, path, size, sha256).await?
            } else if size > self.uploads.threshold {
                self.put_in_parts(key, path, size, sha256, progress).await?
            } else {
                self.put_in_one(key, path, size, sha256, progress).await?
            };
            if let Some(put) = put {
                if put == Put::Same {
                    progress(size);
                }
                return Ok(put);
            }
            self.after_race(race).await;
        }
        Err(self.unsettled(key))
    }

    /// `None`: something is there by now, or was for a moment.
    async fn put_in_one(
        &self,
        key: &str,
        path: &Path,
        size: u64,
        digest: Digest,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<Option<Put>, CloudError> {
        let mut reader = self.open(key, path, size.max(1)).await?;
        let bytes = reader.next_part().await?.map_or_else(Bytes::new, |part| part.bytes);
        reader.finish(size, digest)?;
        let sent = Arc::new(AtomicU64::new(0));
        let request = self.put_request(key, digest).content_type(CONTENT_TYPE).if_none_match("*");
        let request = request.content_length(size as i64).body(counted(bytes, &sent));
        let long = aws_sdk_s3::config::Config::builder().timeout_config(upload_timeouts());
        let subject = self.subject(key);
        let send = self.calls.run("PutObject", &subject, request.customize().config_override(long).send());
        match telling(progress, || sent.load(Ordering::Relaxed), send).await {
            Ok(_) => Ok(Some(Put::Created)),
            Err(error) if matches!(error.kind, Kind::PreconditionFailed | Kind::Conflict) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn open(&self, key: &str, path: &Path, part: u64) -> Result<PartReader, CloudError> {
        let mut reader = PartReader {
            path: path.to_owned(),
            subject: self.subject(key),
            endpoint: self.calls.endpoint.clone(),
            part,
            state: None,
            read: 0,
        };
        let path = path.to_owned();
        let file = tokio::task::spawn_blocking(move || File::open(path)).await;
        let file = file.map_err(std::io::Error::other).and_then(|opened| opened);
        reader.state = Some((file.map_err(|error| reader.failed(&error))?, Sha256::new()));
        Ok(reader)
    }
}

/// A piece of a file, in memory.
pub(super) struct Part {
    pub(super) bytes: Bytes,
    pub(super) sha256: Digest,
}

/// Reads a file from its start in pieces, and hashes each and the whole.
pub(super) struct PartReader {
    path: PathBuf,
    subject: String,
    endpoint: String,
    part: u64,
    state: Option<(File, Sha256)>,
    read: u64,
}

impl PartReader {
    /// Reads the next piece; `None` at the end.
    pub(super) async fn next_part(&mut self) -> Result<Option<Part>, CloudError> {
        let Some((mut file, mut whole)) = self.state.take() else {
            return Ok(None);
        };
        let part = self.part;
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = Vec::new();
            file.by_ref().take(part).read_to_end(&mut bytes)?;
            whole.update(&bytes);
            let sha256 = Digest::of(&bytes);
            Ok((file, whole, Part { bytes: Bytes::from(bytes), sha256 }))
        });
        let read = read.await.map_err(std::io::Error::other).and_then(|read: std::io::Result<_>| read);
        let (file, whole, part) = read.map_err(|error| self.failed(&error))?;
        self.state = Some((file, whole));
        self.read += part.bytes.len() as u64;
        Ok((!part.bytes.is_empty()).then_some(part))
    }

    /// Compares what was read with what was promised.
    pub(super) fn finish(&mut self, size: u64, expected: Digest) -> Result<(), CloudError> {
        let Some((_, whole)) = self.state.take() else {
            return Err(self.failed(&std::io::Error::other("it was not read to its end")));
        };
        let got = Digest::from(whole);
        if got == expected && self.read == size {
            return Ok(());
        }
        let path = self.path.display().to_string();
        let origin = Origin { subject: &path, ..self.origin() };
        Err(CloudError::wrong_bytes(&origin, expected, got))
    }

    fn failed(&self, error: &std::io::Error) -> CloudError {
        CloudError::file(&self.origin(), &self.path, error)
    }

    fn origin(&self) -> Origin<'_> {
        Origin { service: "S3", operation: "PutObject", subject: &self.subject, endpoint: &self.endpoint }
    }
}
