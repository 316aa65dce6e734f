//! Reading objects.
//!
//! In: a key; for files also the SHA-256 that is expected. Out: bytes with their digest, or a file that
//! appears under its name only when it is whole and right. A transfer that breaks off is begun again.

use std::path::Path;

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use sha2::{Digest as _, Sha256};
use slipway_values::digest::Digest;
use tokio::io::AsyncWriteExt as _;

use super::compare::Stored;
use super::{Object, ObjectStore};
use crate::error::{CloudError, Kind};

/// How often a transfer is begun that breaks off.
const TRANSFERS: u32 = 3;

impl ObjectStore {
    /// Reads an object; `None` if there is none.
    ///
    /// # Errors
    /// [`Kind::WrongBytes`] if the store keeps a SHA-256 of it and these are not its bytes;
    /// [`Kind::NotFound`] if the bucket is missing.
    pub async fn get(&self, key: &str) -> Result<Option<Object>, CloudError> {
        let subject = self.subject(key);
        let origin = self.calls.origin("GetObject", &subject);
        let mut transfer = 1;
        loop {
            let Some(answer) = self.begin_get(key).await? else {
                return Ok(None);
            };
            let etag = answer.e_tag().unwrap_or_default().to_owned();
            let promised = Stored::new(0, &etag, answer.checksum_sha256()).head.sha256;
            let version_id = answer.version_id().map(str::to_owned);
            match answer.body.collect().await {
                Ok(bytes) => {
                    let bytes = bytes.to_vec();
                    let sha256 = Digest::of(&bytes);
                    return match promised {
                        Some(promised) if promised != sha256 => {
                            Err(CloudError::wrong_bytes(&origin, promised, sha256))
                        }
                        _ => Ok(Some(Object { bytes, etag, sha256, version_id })),
                    };
                }
                Err(_) if transfer < TRANSFERS => transfer += 1,
                Err(error) => return Err(CloudError::body(&origin, &error)),
            }
        }
    }

    /// Writes an object to a file, replacing what is there; `false` if there is no such object.
    ///
    /// `progress` is told how many bytes arrived so far; it goes back when a transfer is begun again. The
    /// bytes go to a temporary file beside `to`, which takes its name when the digest was found right.
    ///
    /// # Errors
    /// [`Kind::WrongBytes`] if the digest is another one, and `to` is as it was.
    pub async fn get_file(
        &self,
        key: &str,
        to: &Path,
        sha256: Digest,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<bool, CloudError> {
        let subject = self.subject(key);
        let origin = self.calls.origin("GetObject", &subject);
        let failed = |error: &std::io::Error| CloudError::file(&origin, to, error);
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let mut transfer = 1;
        let (temporary, got) = loop {
            let Some(answer) = self.begin_get(key).await? else {
                return Ok(false);
            };
            let temporary = new_file(folder).map_err(|error| failed(&error))?;
            let file = temporary.reopen().map_err(|error| failed(&error))?;
            match receive(answer, Some(tokio::fs::File::from_std(file)), progress).await {
                Ok(digest) => break (temporary, digest),
                Err(Broken::File(error)) => return Err(failed(&error)),
                Err(Broken::Transfer(_)) if transfer < TRANSFERS => transfer += 1,
                Err(Broken::Transfer(error)) => return Err(CloudError::body(&origin, &error)),
            }
        };
        if got != sha256 {
            return Err(CloudError::wrong_bytes(&origin, sha256, got));
        }
        temporary.persist(to).map_err(|error| failed(&error.error))?;
        Ok(true)
    }

    /// Downloads an object only to hash it.
    pub(super) async fn digest_of_stored(&self, key: &str) -> Result<Digest, CloudError> {
        let subject = self.subject(key);
        let origin = self.calls.origin("GetObject", &subject);
        let mut transfer = 1;
        loop {
            let Some(answer) = self.begin_get(key).await? else {
                return Err(CloudError::at(&origin, Kind::NotFound, "there is no such object"));
            };
            match receive(answer, None, &|_| {}).await {
                Ok(digest) => return Ok(digest),
                Err(Broken::File(error)) => return Err(CloudError::body(&origin, &error)),
                Err(Broken::Transfer(_)) if transfer < TRANSFERS => transfer += 1,
                Err(Broken::Transfer(error)) => return Err(CloudError::body(&origin, &error)),
            }
        }
    }

    async fn begin_get(&self, key: &str) -> Result<Option<GetObjectOutput>, CloudError> {
        let request = self.shared.s3().get_object().bucket(&self.bucket).key(key);
        // Asked for in the header and not in the SDK's words: the SDK would hash the bytes a second time.
        let send = request.customize().mutate_request(|request| {
            request.headers_mut().insert("x-amz-checksum-mode", "ENABLED");
        });
        match self.calls.run("GetObject", &self.subject(key), send.send()).await {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if error.kind == Kind::NotFound && error.code.as_deref() != Some("NoSuchBucket") => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

enum Broken {
    Transfer(aws_sdk_s3::primitives::ByteStreamError),
    File(std::io::Error),
}

/// Hashes a body, and writes it where there is a file.
async fn receive(
    answer: GetObjectOutput,
    mut file: Option<tokio::fs::File>,
    progress: &(dyn Fn(u64) + Send + Sync),
) -> Result<Digest, Broken> {
    let mut body = answer.body;
    let mut hasher = Sha256::new();
    let mut arrived = 0;
    while let Some(bytes) = body.next().await {
        let bytes = bytes.map_err(Broken::Transfer)?;
        hasher.update(&bytes);
        if let Some(file) = &mut file {
            file.write_all(&bytes).await.map_err(Broken::File)?;
        }
        arrived += bytes.len() as u64;
        progress(arrived);
    }
    if let Some(file) = &mut file {
        file.flush().await.map_err(Broken::File)?;
    }
    Ok(hasher.into())
}

/// The permissions are those of any new file: what was downloaded is no secret of this user's.
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
