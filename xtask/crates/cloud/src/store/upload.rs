//! Uploads a file to a new key.
//!
//! In: a key, a file and its expected SHA-256. Out: [`Put`]. The file is read once and hashed while it is read. The object
//! becomes visible only if the file has the digest: a file that changed meanwhile is an error, and the store is
//! unchanged. Small files are uploaded in one request, large ones in parts (see `multipart`).

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use slipway_values::digest::Digest;

use super::body::{counting_body, with_progress};
use super::{ObjectStore, Put, RACE_ATTEMPTS};
use crate::error::{CallContext, CloudError, CloudErrorKind};
use crate::session::transport::upload_timeouts;

const CONTENT_TYPE: &str = "application/octet-stream";

impl ObjectStore {
    /// Uploads a file to a key, unless the key exists; then compares the bytes.
    ///
    /// `progress` gets the number of bytes sent so far; it may decrease when a request is retried. Where the object exists,
    /// nothing is sent.
    ///
    /// A killed process leaves an unfinished upload. The next call for the key continues an upload that has the file's
    /// first part. It keeps the parts that have the SHA-256 of the file's parts (their MD5, where the store has no
    /// SHA-256), and compares the checksum of the whole object at the end. Where the store does not list parts (moto's
    /// list cannot be read), all parts are sent again. Two processes that upload the same file may share one upload,
    /// which is harmless. An upload that fails or is dropped is aborted if possible; after a lost connection it is left
    /// for the next call. The bucket's lifecycle rule removes unfinished uploads that nobody continues.
    ///
    /// # Errors
    /// [`CloudErrorKind::WrongBytes`] names the file if it does not have this digest; [`CloudErrorKind::File`] if it cannot
    /// be read.
    pub async fn put_new_file(
        &self,
        key: &str,
        path: &Path,
        sha256: Digest,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<Put, CloudError> {
        let subject = self.subject(key);
        let context = self.calls.context("PutObject", &subject);
        let metadata = tokio::fs::metadata(path).await;
        let size = metadata.map_err(|error| CloudError::file(&context, path, &error))?.len();
        for race in 0..RACE_ATTEMPTS {
            let put = if let Some(stored) = self.stored(key).await? {
                self.compare(key, &stored, path, size, sha256).await?
            } else if size > self.uploads.threshold {
                self.put_multipart(key, path, size, sha256, progress).await?
            } else {
                self.put_single(key, path, size, sha256, progress).await?
            };
            if let Some(put) = put {
                if put == Put::Same {
                    progress(size);
                }
                return Ok(put);
            }
            self.wait_after_race(race).await;
        }
        Err(self.contended(key))
    }

    /// Uploads a file in one request; `None` where the key exists by now, or existed for a moment.
    async fn put_single(
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
        let request = request.content_length(size as i64).body(counting_body(bytes, &sent));
        let long = aws_sdk_s3::config::Config::builder().timeout_config(upload_timeouts());
        let subject = self.subject(key);
        let send = self.calls.run("PutObject", &subject, request.customize().config_override(long).send());
        match with_progress(progress, || sent.load(Ordering::Relaxed), send).await {
            Ok(_) => Ok(Some(Put::Created)),
            Err(error)
                if matches!(error.kind, CloudErrorKind::PreconditionFailed | CloudErrorKind::Conflict) =>
            {
                Ok(None)
            }
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

/// A part of a file, in memory.
pub(super) struct Part {
    pub(super) bytes: Bytes,
    pub(super) sha256: Digest,
}

/// Reads a file in parts, and hashes each part and the whole file.
pub(super) struct PartReader {
    path: PathBuf,
    subject: String,
    endpoint: String,
    part: u64,
    state: Option<(File, Sha256)>,
    read: u64,
}

impl PartReader {
    /// Returns the next part; `None` at the end.
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

    /// Compares size and digest of the whole file with the expected ones.
    pub(super) fn finish(&mut self, size: u64, expected: Digest) -> Result<(), CloudError> {
        let Some((_, whole)) = self.state.take() else {
            return Err(self.failed(&std::io::Error::other("it was not read to its end")));
        };
        let got = Digest::from(whole);
        if got == expected && self.read == size {
            return Ok(());
        }
        let path = self.path.display().to_string();
        let context = CallContext { subject: &path, ..self.context() };
        Err(CloudError::wrong_bytes(&context, expected, got))
    }

    fn failed(&self, error: &std::io::Error) -> CloudError {
        CloudError::file(&self.context(), &self.path, error)
    }

    fn context(&self) -> CallContext<'_> {
        CallContext {
            service: "S3",
            operation: "PutObject",
            subject: &self.subject,
            endpoint: &self.endpoint,
        }
    }
}
