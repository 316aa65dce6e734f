//! The blobs of a repository: layers, configurations, attachments.
//!
//! In: a digest and a size, with a file, bytes or another registry that has them. Out: how the blob got there
//! ([`Pushed`]), or a file that gets its name only when it is complete and has the digest. A blob that exists is not
//! sent. One that another repository has is mounted where the registry allows it. Others are sent in one PUT. Errors:
//! bytes with another digest, here or at a registry; a registry that keeps refusing or cutting off.

use std::path::Path;
use std::sync::Arc;

use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use futures::FutureExt as _;
use sha2::{Digest as _, Sha256};
use slipway_values::digest::Digest;
use tokio::io::AsyncWriteExt as _;

use super::Registry;
use super::body::{self, ExpectedContent};
use super::client::{BodyMonitor, RegistryRequest, RequestBody};
use super::response::{AttemptError, Response};
use crate::error::{CloudError, CloudErrorKind};
use crate::store::{new_file, with_progress};

/// How a blob got into a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// It existed.
    Existing,
    /// It was mounted from another repository of the registry.
    Mounted,
    /// Its bytes were uploaded.
    Uploaded,
}

/// The source of a blob's bytes.
pub(super) enum Source<'a> {
    File(&'a Path),
    Bytes(&'a Bytes),
    Registry(&'a Registry, &'a str),
}

/// Error codes that say that the upload no longer exists, so that a new one has to be started.
const UPLOAD_GONE: [&str; 2] = ["BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID"];

impl Registry {
    /// Returns whether a repository has a blob.
    pub async fn has_blob(&self, repository: &str, digest: Digest) -> Result<bool, CloudError> {
        self.client.with_retries(|| self.head_blob(repository, digest)).await
    }

    /// Downloads a blob to a file, which is replaced if it exists.
    ///
    /// `progress` gets the number of bytes received so far; it starts at 0 again when a transfer is started again. The bytes
    /// go to a temporary file beside `to`, which is renamed when size and digest are the expected ones.
    ///
    /// # Errors
    /// [`CloudErrorKind::WrongBytes`] names both digests, and `to` is unchanged; [`CloudErrorKind::NotFound`] if there is
    /// no such blob.
    pub async fn fetch_blob(
        &self,
        repository: &str,
        digest: Digest,
        size: u64,
        to: &Path,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<(), CloudError> {
        self.client.with_retries(|| self.fetch_once(repository, digest, size, to, progress)).await
    }

    /// Pushes a file as a blob to a repository, unless the blob exists.
    ///
    /// With `mount_from`, another repository of this registry, the blob is mounted from there where the registry allows
    /// it. `progress` gets the number of bytes sent so far; it starts at 0 again when the upload is started again.
    ///
    /// # Errors
    /// [`CloudErrorKind::WrongBytes`] names the file if it does not have this digest, [`CloudErrorKind::File`] if it cannot
    /// be read or has another size. The registry has not stored it then.
    pub async fn push_blob(
        &self,
        repository: &str,
        digest: Digest,
        size: u64,
        from: &Path,
        mount_from: Option<&str>,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<Pushed, CloudError> {
        self.push(repository, digest, size, Source::File(from), mount_from, progress).await
    }

    /// Copies a blob from another registry, or from another repository of this one. The bytes are streamed, without a
    /// file.
    ///
    /// # Errors
    /// As [`Registry::push_blob`]; the error names the registry that failed.
    pub async fn copy_blob(
        &self,
        repository: &str,
        digest: Digest,
        size: u64,
        from: &Registry,
        from_repository: &str,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<Pushed, CloudError> {
        let source = Source::Registry(from, from_repository);
        self.push(repository, digest, size, source, None, progress).await
    }

    pub(super) async fn push(
        &self,
        repository: &str,
        digest: Digest,
        size: u64,
        source: Source<'_>,
        mount_from: Option<&str>,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<Pushed, CloudError> {
        let same_registry = match source {
            Source::Registry(from, repository) if from.host() == self.host() => Some(repository),
            _ => None,
        };
        let mount_from = mount_from.or(same_registry).filter(|other| *other != repository);
        let monitor = Arc::new(BodyMonitor::default());
        let upload = Upload { registry: self, repository, digest, size, source, monitor: &monitor };
        let pushing = self.client.with_retries(|| upload.attempt(mount_from));
        let pushed = with_progress(progress, || monitor.sent(), pushing).await?;
        if pushed != Pushed::Uploaded {
            progress(size);
        }
        Ok(pushed)
    }

    async fn head_blob(&self, repository: &str, digest: Digest) -> Result<bool, AttemptError> {
        let request = self.blob_request("HeadBlob", "HEAD", repository, digest)?;
        let response = self.client.send(&request).await?;
        match response.status {
            200 => Ok(true),
            404 => Ok(false),
            _ => Err(response.into_error(&request.context(&self.client)).await),
        }
    }

    /// Starts the download of a blob.
    async fn open_blob(&self, repository: &str, digest: Digest) -> Result<Response, AttemptError> {
        let request = self.blob_request("GetBlob", "GET", repository, digest)?;
        let response = self.client.send(&request).await?;
        match response.status {
            200 => Ok(response),
            _ => Err(response.into_error(&request.context(&self.client)).await),
        }
    }

    async fn fetch_once(
        &self,
        repository: &str,
        digest: Digest,
        size: u64,
        to: &Path,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<(), AttemptError> {
        let subject = self.client.subject(repository, '@', &digest.to_string());
        let context = self.client.context("GetBlob", &subject);
        let failed = |error: &std::io::Error| CloudError::file(&context, to, error);
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
        let mut response = self.open_blob(repository, digest).await?;
        let temporary = new_file(folder.unwrap_or(Path::new("."))).map_err(|error| failed(&error))?;
        let file = temporary.reopen().map_err(|error| failed(&error))?;
        let mut file = tokio::fs::File::from_std(file);
        let (mut hasher, mut arrived) = (Sha256::new(), 0);
        while let Some(bytes) = response.next_chunk(&context).await? {
            hasher.update(&bytes);
            file.write_all(&bytes).await.map_err(|error| failed(&error))?;
            arrived += bytes.len() as u64;
            if arrived > size {
                break;
            }
            progress(arrived);
        }
        file.flush().await.map_err(|error| failed(&error))?;
        if arrived < size {
            let message = format!("{subject} ended after {arrived} of {size} bytes");
            return Err(CloudError::at(&context, CloudErrorKind::Unreachable, message).into());
        }
        let got = hasher.into();
        if arrived > size || got != digest {
            return Err(CloudError::wrong_bytes(&context, digest, got).into());
        }
        temporary.persist(to).map_err(|error| failed(&error.error))?;
        Ok(())
    }

    fn blob_request(
        &self,
        operation: &'static str,
        method: &'static str,
        repository: &str,
        digest: Digest,
    ) -> Result<RegistryRequest<'static>, CloudError> {
        Ok(RegistryRequest {
            operation,
            subject: self.client.subject(repository, '@', &digest.to_string()),
            method,
            url: self.client.url(repository, &format!("blobs/{digest}"))?,
            headers: Vec::new(),
            payload: RequestBody::Empty,
            scope: pull(repository),
        })
    }
}

/// The push of one blob.
struct Upload<'a> {
    registry: &'a Registry,
    repository: &'a str,
    digest: Digest,
    size: u64,
    source: Source<'a>,
    monitor: &'a Arc<BodyMonitor>,
}

impl Upload<'_> {
    /// Checks whether the blob exists, then mounts or sends it. Each attempt checks again, because the lost response may
    /// have been that of a successful upload.
    async fn attempt(&self, mount_from: Option<&str>) -> Result<Pushed, AttemptError> {
        self.monitor.set_sent(0);
        if self.registry.head_blob(self.repository, self.digest).await? {
            return Ok(Pushed::Existing);
        }
        let started = match mount_from {
            Some(other) => match self.start(Some(other)).await {
                // Not every registry responds with 202 where it does not mount.
                Err(attempt)
                    if matches!(
                        attempt.error.kind,
                        CloudErrorKind::AccessDenied | CloudErrorKind::NotFound
                    ) =>
                {
                    self.start(None).await?
                }
                started => started?,
            },
            None => self.start(None).await?,
        };
        match started {
            None => Ok(Pushed::Mounted),
            Some(location) => self.send(location).await.map_err(|mut attempt| {
                let code = attempt.error.code.as_deref().unwrap_or_default();
                attempt.retryable |= UPLOAD_GONE.contains(&code);
                attempt
            }),
        }
    }

    /// Starts an upload and returns its URL; `None` where the blob was mounted instead.
    async fn start(&self, mount_from: Option<&str>) -> Result<Option<url::Url>, AttemptError> {
        let client = &self.registry.client;
        let mut url = client.url(self.repository, "blobs/uploads/")?;
        let mut scope = push(self.repository);
        let mut operation = "StartUpload";
        if let Some(other) = mount_from {
            operation = "MountBlob";
            url.query_pairs_mut().append_pair("mount", &self.digest.to_string()).append_pair("from", other);
            scope = format!("{scope} {}", pull(other));
        }
        let request = self.request(operation, "POST", url, Vec::new(), RequestBody::Empty, scope);
        let response = client.send(&request).await?;
        match response.status {
            201 if mount_from.is_some() => {
                self.compare(&request, &response)?;
                Ok(None)
            }
            202 => Ok(Some(client.location(&response, &request)?)),
            _ => Err(response.into_error(&request.context(client)).await),
        }
    }

    /// Sends the bytes in one request.
    async fn send(&self, mut location: url::Url) -> Result<Pushed, AttemptError> {
        let client = &self.registry.client;
        location.query_pairs_mut().append_pair("digest", &self.digest.to_string());
        let headers = vec![("content-type", "application/octet-stream".to_owned())];
        let open = || self.open().boxed();
        let payload = RequestBody::Stream { size: self.size, open: &open, monitor: self.monitor };
        let request = self.request("PutBlob", "PUT", location, headers, payload, push(self.repository));
        let response = client.send(&request).await?;
        match response.status {
            201 | 204 => {
                self.compare(&request, &response)?;
                Ok(Pushed::Uploaded)
            }
            _ => Err(response.into_error(&request.context(client)).await),
        }
    }

    async fn open(&self) -> Result<SdkBody, AttemptError> {
        let expected = |subject: String, host: &str| ExpectedContent {
            digest: self.digest,
            size: self.size,
            subject,
            host: host.to_owned(),
        };
        let host = self.registry.host();
        match self.source {
            Source::File(path) => {
                let expected = expected(path.display().to_string(), host);
                Ok(body::from_file(path, expected, self.monitor).await?)
            }
            Source::Bytes(bytes) => {
                let subject = self.registry.client.subject(self.repository, '@', &self.digest.to_string());
                Ok(body::from_bytes(bytes.clone(), expected(subject, host), self.monitor))
            }
            Source::Registry(from, repository) => {
                let response = from.open_blob(repository, self.digest).await?.into_body();
                let subject = from.client.subject(repository, '@', &self.digest.to_string());
                Ok(body::from_response(response, expected(subject, from.host()), self.monitor))
            }
        }
    }

    /// Compares the digest that the registry reports with the expected one.
    fn compare(&self, request: &RegistryRequest<'_>, response: &Response) -> Result<(), CloudError> {
        super::manifests::compare_digest(&request.context(&self.registry.client), response, self.digest)
    }

    fn request<'b>(
        &self,
        operation: &'static str,
        method: &'static str,
        url: url::Url,
        headers: Vec<(&'static str, String)>,
        payload: RequestBody<'b>,
        scope: String,
    ) -> RegistryRequest<'b> {
        let subject = self.registry.client.subject(self.repository, '@', &self.digest.to_string());
        RegistryRequest { operation, subject, method, url, headers, payload, scope }
    }
}

/// Returns the token scope for reading.
pub(super) fn pull(repository: &str) -> String {
    format!("repository:{repository}:pull")
}

/// Returns the token scope for deleting.
pub(super) fn delete(repository: &str) -> String {
    format!("repository:{repository}:delete,pull")
}

/// Returns the token scope for writing.
pub(super) fn push(repository: &str) -> String {
    format!("repository:{repository}:pull,push")
}
