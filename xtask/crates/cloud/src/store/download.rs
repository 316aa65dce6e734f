//! Downloads objects.
//!
//! In: a key; for files also the expected SHA-256. Out: bytes with their digest, or a file that gets its name only when
//! it is complete and has the digest. A transfer that is cut off is started again.

use std::path::Path;

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use sha2::{Digest as _, Sha256};
use slipway_values::digest::Digest;
use tokio::io::AsyncWriteExt as _;

use super::clock::ResponseDate;
use super::compare::StoredObject;
use super::{Object, ObjectStore};
use crate::error::{CloudError, CloudErrorKind};

/// How often a transfer is started.
const TRANSFERS: u32 = 3;

impl ObjectStore {
    /// Returns an object; `None` if there is none.
    ///
    /// # Errors
    /// [`CloudErrorKind::WrongBytes`] if the store has a SHA-256 of it, and the bytes have another;
    /// [`CloudErrorKind::NotFound`] if the bucket does not exist.
    pub async fn get(&self, key: &str) -> Result<Option<Object>, CloudError> {
        let subject = self.subject(key);
        let context = self.calls.context("GetObject", &subject);
        let mut transfer = 1;
        loop {
            let date = ResponseDate::default();
            let Some(response) = self.start_get(key, &date).await? else {
                return Ok(None);
            };
            let age = date.age_of(response.last_modified());
            let etag = response.e_tag().unwrap_or_default().to_owned();
            let expected = StoredObject::new(0, &etag, response.checksum_sha256()).info.sha256;
            let version_id = response.version_id().map(str::to_owned);
            match response.body.collect().await {
                Ok(bytes) => {
                    let bytes = bytes.to_vec();
                    let sha256 = Digest::of(&bytes);
                    return match expected {
                        Some(expected) if expected != sha256 => {
                            Err(CloudError::wrong_bytes(&context, expected, sha256))
                        }
                        _ => Ok(Some(Object { bytes, etag, sha256, version_id, age })),
                    };
                }
                Err(_) if transfer < TRANSFERS => transfer += 1,
                Err(error) => return Err(CloudError::body(&context, &error)),
            }
        }
    }

    /// Downloads an object to a file, which is replaced if it exists; `false` if there is no such object.
    ///
    /// `progress` gets the number of bytes received so far; it starts at 0 again when a transfer is started again. The
    /// bytes go to a temporary file beside `to`, which is renamed when it has the digest.
    ///
    /// # Errors
    /// [`CloudErrorKind::WrongBytes`] if the digest differs; `to` is then unchanged.
    pub async fn get_file(
        &self,
        key: &str,
        to: &Path,
        sha256: Digest,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<bool, CloudError> {
        let subject = self.subject(key);
        let context = self.calls.context("GetObject", &subject);
        let failed = |error: &std::io::Error| CloudError::file(&context, to, error);
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let mut transfer = 1;
        let (temporary, got) = loop {
            let Some(response) = self.start_get(key, &ResponseDate::default()).await? else {
                return Ok(false);
            };
            let temporary = new_file(folder).map_err(|error| failed(&error))?;
            let file = temporary.reopen().map_err(|error| failed(&error))?;
            match receive(response, Some(tokio::fs::File::from_std(file)), progress).await {
                Ok(digest) => break (temporary, digest),
                Err(DownloadError::File(error)) => return Err(failed(&error)),
                Err(DownloadError::Transfer(_)) if transfer < TRANSFERS => transfer += 1,
                Err(DownloadError::Transfer(error)) => return Err(CloudError::body(&context, &error)),
            }
        };
        if got != sha256 {
            return Err(CloudError::wrong_bytes(&context, sha256, got));
        }
        temporary.persist(to).map_err(|error| failed(&error.error))?;
        Ok(true)
    }

    /// Returns the digest of an object, which is downloaded for it.
    pub(super) async fn digest_of_stored(&self, key: &str) -> Result<Digest, CloudError> {
        let subject = self.subject(key);
        let context = self.calls.context("GetObject", &subject);
        let mut transfer = 1;
        loop {
            let Some(response) = self.start_get(key, &ResponseDate::default()).await? else {
                return Err(CloudError::at(&context, CloudErrorKind::NotFound, "the object does not exist"));
            };
            match receive(response, None, &|_| {}).await {
                Ok(digest) => return Ok(digest),
                Err(DownloadError::File(error)) => return Err(CloudError::body(&context, &error)),
                Err(DownloadError::Transfer(_)) if transfer < TRANSFERS => transfer += 1,
                Err(DownloadError::Transfer(error)) => return Err(CloudError::body(&context, &error)),
            }
        }
    }

    async fn start_get(&self, key: &str, date: &ResponseDate) -> Result<Option<GetObjectOutput>, CloudError> {
        let request = self.shared.s3().get_object().bucket(&self.bucket).key(key);
        // Set as a header and not through the SDK's builder, with which the SDK would hash the bytes a second time.
        let send = request.customize().mutate_request(|request| {
            request.headers_mut().insert("x-amz-checksum-mode", "ENABLED");
        });
        let send = send.interceptor(date.clone());
        match self.calls.run("GetObject", &self.subject(key), send.send()).await {
            Ok(response) => Ok(Some(response)),
            Err(error)
                if error.kind == CloudErrorKind::NotFound
                    && error.code.as_deref() != Some("NoSuchBucket") =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

enum DownloadError {
    Transfer(aws_sdk_s3::primitives::ByteStreamError),
    File(std::io::Error),
}

/// Hashes a body, and writes it to the file if there is one.
async fn receive(
    response: GetObjectOutput,
    mut file: Option<tokio::fs::File>,
    progress: &(dyn Fn(u64) + Send + Sync),
) -> Result<Digest, DownloadError> {
    let mut body = response.body;
    let mut hasher = Sha256::new();
    let mut arrived = 0;
    while let Some(bytes) = body.next().await {
        let bytes = bytes.map_err(DownloadError::Transfer)?;
        hasher.update(&bytes);
        if let Some(file) = &mut file {
            file.write_all(&bytes).await.map_err(DownloadError::File)?;
        }
        arrived += bytes.len() as u64;
        progress(arrived);
    }
    if let Some(file) = &mut file {
        file.flush().await.map_err(DownloadError::File)?;
    }
    Ok(hasher.into())
}

/// Creates a temporary file with the permissions of any new file: a download is not this user's secret.
pub(crate) fn new_file(folder: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".download-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}
