//! The blobs of a repository: layers, configurations, attachments.
//!
//! In: a digest and a size, with a file, bytes or another registry that has them. Out: what had to be done,
//! [`Pushed`], or a file that appears under its name only when it is whole and right. A blob that is there is not
//! sent, one that another repository has is mounted where the registry allows it, and the rest goes in one PUT.
//! What can go wrong: bytes that are not the promised ones, here or at a registry; a registry that keeps refusing
//! or breaking off.

use std::path::Path;
use std::sync::Arc;

use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use futures::FutureExt as _;
use sha2::{Digest as _, Sha256};
use slipway_values::digest::Digest;
use tokio::io::AsyncWriteExt as _;

use super::Registry;
use super::body::{self, Promise};
use super::client::{Outgoing, Payload, Watch};
use super::response::{Response, Trouble};
use crate::error::{CloudError, Kind};
use crate::store::{new_file, telling};

/// What it took to have a blob in a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// It was there.
    Existing,
    /// The registry took it from another of its repositories.
    Mounted,
    /// Its bytes were sent.
    Uploaded,
}

/// Where a blob's bytes come from.
pub(super) enum Source<'a> {
    File(&'a Path),
    Bytes(&'a Bytes),
    Registry(&'a Registry, &'a str),
}

/// Where errors of an upload may say that the place for it is gone, so that another one is to be asked for.
const UPLOAD_GONE: [&str; 2] = ["BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID"];

impl Registry {
    /// Asks whether a repository has a blob.
    pub async fn has_blob(&self, repository: &str, digest: Digest) -> Result<bool, CloudError> {
        self.client.persist(|| self.head_blob(repository, digest)).await
    }

    /// Writes a blob to a file, replacing what is there.
    ///
    /// `progress` is told how many bytes arrived so far; it goes back when a transfer is begun again. The bytes go
    /// to a temporary file beside `to`, which takes its name when size and digest were found right.
    ///
    /// # Errors
    /// [`Kind::WrongBytes`] names both digests, and `to` is as it was; [`Kind::NotFound`] if there is no such blob.
    pub async fn fetch_blob(
        &self,
        repository: &str,
        digest: Digest,
        size: u64,
        to: &Path,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<(), CloudError> {
        self.client.persist(|| self.fetch_once(repository, digest, size, to, progress)).await
    }

    /// Has a file's bytes in a repository as a blob, and says what it took.
    ///
    /// With `mount_from`, another repository of this registry, the bytes are taken from there where the registry
    /// allows it. `progress` is told how many bytes are there so far; it goes back when the upload is begun again.
    ///
    /// # Errors
    /// [`Kind::WrongBytes`] names the file if it does not have this digest, [`Kind::File`] if it can't be read or
    /// has another size; the registry then has not stored it.
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

    /// Has a blob of another registry, or of another repository of this one, in a repository. The bytes go
    /// straight through, without a file.
    ///
    /// # Errors
    /// As [`Registry::push_blob`]; what the other registry did wrong is said of it.
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
        let near = match source {
            Source::Registry(from, repository) if from.host() == self.host() => Some(repository),
            _ => None,
        };
        let mount_from = mount_from.or(near).filter(|other| *other != repository);
        let watch = Arc::new(Watch::default());
        let upload = Upload { registry: self, repository, digest, size, source, watch: &watch };
        let pushing = self.client.persist(|| upload.attempt(mount_from));
        let pushed = telling(progress, || watch.sent(), pushing).await?;
        if pushed != Pushed::Uploaded {
            progress(size);
        }
        Ok(pushed)
    }

    async fn head_blob(&self, repository: &str, digest: Digest) -> Result<bool, Trouble> {
        let request = self.blob_request("HeadBlob", "HEAD", repository, digest)?;
        let response = self.client.send(&request).await?;
        match response.status {
            200 => Ok(true),
            404 => Ok(false),
            _ => Err(response.refusal(&request.origin(&self.client)).await),
        }
    }

    /// Begins to read a blob.
    async fn open_blob(&self, repository: &str, digest: Digest) -> Result<Response, Trouble> {
        let request = self.blob_request("GetBlob", "GET", repository, digest)?;
        let response = self.client.send(&request).await?;
        match response.status {
            200 => Ok(response),
            _ => Err(response.refusal(&request.origin(&self.client)).await),
        }
    }

    async fn fetch_once(
        &self,
        repository: &str,
        digest: Digest,
        size: u64,
        to: &Path,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<(), Trouble> {
        let subject = self.client.subject(repository, '@', &digest.to_string());
        let origin = self.client.origin("GetBlob", &subject);
        let failed = |error: &std::io::Error| CloudError::file(&origin, to, error);
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
        let mut response = self.open_blob(repository, digest).await?;
        let temporary = new_file(folder.unwrap_or(Path::new("."))).map_err(|error| failed(&error))?;
        let file = temporary.reopen().map_err(|error| failed(&error))?;
        let mut file = tokio::fs::File::from_std(file);
        let (mut hasher, mut arrived) = (Sha256::new(), 0);
        while let Some(bytes) = response.next(&origin).await? {
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
            return Err(CloudError::at(&origin, Kind::Unreachable, message).into());
        }
        let got = hasher.into();
        if arrived > size || got != digest {
            return Err(CloudError::wrong_bytes(&origin, digest, got).into());
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
    ) -> Result<Outgoing<'static>, CloudError> {
        Ok(Outgoing {
            operation,
            subject: self.client.subject(repository, '@', &digest.to_string()),
            method,
            url: self.client.url(repository, &format!("blobs/{digest}"))?,
            headers: Vec::new(),
            payload: Payload::Empty,
            scope: pull(repository),
        })
    }
}

/// One blob on its way into a repository.
struct Upload<'a> {
    registry: &'a Registry,
    repository: &'a str,
    digest: Digest,
    size: u64,
    source: Source<'a>,
    watch: &'a Arc<Watch>,
}

impl Upload<'_> {
    /// Looks, mounts or sends. Each attempt looks again: the answer that was lost may have said that it is done.
    async fn attempt(&self, mount_from: Option<&str>) -> Result<Pushed, Trouble> {
        self.watch.set(0);
        if self.registry.head_blob(self.repository, self.digest).await? {
            return Ok(Pushed::Existing);
        }
        let begun = match mount_from {
            Some(other) => match self.begin(Some(other)).await {
                // Not every registry answers 202 where it does not mount.
                Err(trouble) if matches!(trouble.error.kind, Kind::AccessDenied | Kind::NotFound) => {
                    self.begin(None).await?
                }
                begun => begun?,
            },
            None => self.begin(None).await?,
        };
        match begun {
            None => Ok(Pushed::Mounted),
            Some(location) => self.send(location).await.map_err(|mut trouble| {
                let code = trouble.error.code.as_deref().unwrap_or_default();
                trouble.again |= UPLOAD_GONE.contains(&code);
                trouble
            }),
        }
    }

    /// Asks for a place to upload to; `None` where the blob was mounted instead.
    async fn begin(&self, mount_from: Option<&str>) -> Result<Option<url::Url>, Trouble> {
        let client = &self.registry.client;
        let mut url = client.url(self.repository, "blobs/uploads/")?;
        let mut scope = push(self.repository);
        let mut operation = "StartUpload";
        if let Some(other) = mount_from {
            operation = "MountBlob";
            url.query_pairs_mut().append_pair("mount", &self.digest.to_string()).append_pair("from", other);
            scope = format!("{scope} {}", pull(other));
        }
        let request = self.request(operation, "POST", url, Vec::new(), Payload::Empty, scope);
        let response = client.send(&request).await?;
        match response.status {
            201 if mount_from.is_some() => {
                self.compare(&request, &response)?;
                Ok(None)
            }
            202 => Ok(Some(client.location(&response, &request)?)),
            _ => Err(response.refusal(&request.origin(client)).await),
        }
    }

    /// Sends the bytes in one request.
    async fn send(&self, mut location: url::Url) -> Result<Pushed, Trouble> {
        let client = &self.registry.client;
        location.query_pairs_mut().append_pair("digest", &self.digest.to_string());
        let headers = vec![("content-type", "application/octet-stream".to_owned())];
        let open = || self.open().boxed();
        let payload = Payload::Stream { size: self.size, open: &open, watch: self.watch };
        let request = self.request("PutBlob", "PUT", location, headers, payload, push(self.repository));
        let response = client.send(&request).await?;
        match response.status {
            201 | 204 => {
                self.compare(&request, &response)?;
                Ok(Pushed::Uploaded)
            }
            _ => Err(response.refusal(&request.origin(client)).await),
        }
    }

    async fn open(&self) -> Result<SdkBody, Trouble> {
        let promise = |subject: String, host: &str| Promise {
            digest: self.digest,
            size: self.size,
            subject,
            host: host.to_owned(),
        };
        let host = self.registry.host();
        match self.source {
            Source::File(path) => {
                let promise = promise(path.display().to_string(), host);
                Ok(body::of_file(path, promise, self.watch).await?)
            }
            Source::Bytes(bytes) => {
                let subject = self.registry.client.subject(self.repository, '@', &self.digest.to_string());
                Ok(body::of_bytes(bytes.clone(), promise(subject, host), self.watch))
            }
            Source::Registry(from, repository) => {
                let answer = from.open_blob(repository, self.digest).await?.into_body();
                let subject = from.client.subject(repository, '@', &self.digest.to_string());
                Ok(body::of_answer(answer, promise(subject, from.host()), self.watch))
            }
        }
    }

    /// Compares what the registry says it stored with what it was to store.
    fn compare(&self, request: &Outgoing<'_>, response: &Response) -> Result<(), CloudError> {
        super::manifests::compare_digest(&request.origin(&self.registry.client), response, self.digest)
    }

    fn request<'b>(
        &self,
        operation: &'static str,
        method: &'static str,
        url: url::Url,
        headers: Vec<(&'static str, String)>,
        payload: Payload<'b>,
        scope: String,
    ) -> Outgoing<'b> {
        let subject = self.registry.client.subject(self.repository, '@', &self.digest.to_string());
        Outgoing { operation, subject, method, url, headers, payload, scope }
    }
}

/// What a token must allow for reading.
pub(super) fn pull(repository: &str) -> String {
    format!("repository:{repository}:pull")
}

/// What a token must allow for writing.
pub(super) fn push(repository: &str) -> String {
    format!("repository:{repository}:pull,push")
}
