//! The objects of one bucket.
//!
//! In: keys and bytes, or files. Out: stored objects, with SHA-256 digests that are computed here from the received
//! bytes. Every write has its SHA-256, which S3 compares before it stores the object. [`ObjectStore::put_new`] and
//! [`ObjectStore::put_new_file`] never overwrite: where an object exists, its bytes are compared. Errors besides the
//! network: the bucket does not exist, the credentials lack a permission, the bytes have another digest than expected.
//! A lost race against another writer is a value, not an error.

mod body;
mod bucket;
mod clock;
mod compare;
mod composite;
mod download;
mod listing;
mod multipart;
mod unfinished;
mod upload;

pub(crate) use body::with_progress;
pub(crate) use download::new_file;

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    BucketLocationConstraint, BucketVersioningStatus, ChecksumAlgorithm, ChecksumMode,
    CreateBucketConfiguration, ServerSideEncryption, VersioningConfiguration,
};
use slipway_values::digest::Digest;

use crate::call::{ServiceCalls, retry_throttled};
use crate::error::{CloudError, CloudErrorKind};
use crate::session::Shared;
pub use bucket::Ownership;
pub use listing::ListedObject;

/// Result of a write that never overwrites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// The object was created.
    Created,
    /// An object with the same bytes exists.
    Same,
    /// An object with other bytes exists; nothing was changed.
    Different,
}

/// An object with all its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The store's etag of this content, for [`ObjectStore::put_if_match`].
    pub etag: String,
    /// The digest of `bytes`.
    pub sha256: Digest,
    /// The version, where the bucket is versioned.
    pub version_id: Option<String>,
    /// How many seconds ago it was written, by the store's own clock; `None` where the store does not say.
    pub age: Option<i64>,
}

/// An object without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    /// The size in bytes.
    pub size: u64,
    /// The digest of the whole object, where the store has one.
    pub sha256: Option<Digest>,
    /// The store's etag of this content.
    pub etag: String,
}

/// How files are uploaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UploadOptions {
    /// Files larger than this, in bytes, are uploaded in parts.
    pub threshold: u64,
    /// The size of a part in bytes, at least 5 MiB in S3. Very large files get larger parts.
    pub part_size: u64,
    /// The number of parts that are uploaded at the same time; each is held in memory.
    pub parallel: usize,
}

impl Default for UploadOptions {
    fn default() -> Self {
        Self { threshold: 16 << 20, part_size: 8 << 20, parallel: 4 }
    }
}

/// The objects of one bucket.
#[derive(Clone)]
pub struct ObjectStore {
    shared: Arc<Shared>,
    calls: ServiceCalls,
    bucket: String,
    kms_key: Option<String>,
    uploads: UploadOptions,
}

/// How often a write is tried whose refusal does not show what is stored.
const RACE_ATTEMPTS: u32 = 5;

impl ObjectStore {
    pub(crate) fn new(shared: Arc<Shared>, bucket: &str, kms_key: Option<String>) -> Self {
        let calls = shared.calls("S3");
        Self { shared, calls, bucket: bucket.to_owned(), kms_key, uploads: UploadOptions::default() }
    }

    /// Returns the store with other options for uploads.
    #[must_use]
    pub fn with_uploads(mut self, uploads: UploadOptions) -> Self {
        self.uploads = uploads;
        self
    }

    /// Returns the bucket's name.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Creates an object, unless its key exists; then compares the bytes.
    ///
    /// # Errors
    /// [`CloudErrorKind::Conflict`] where others keep writing and deleting the key.
    pub async fn put_new(&self, key: &str, bytes: Vec<u8>, content_type: &str) -> Result<Put, CloudError> {
        let digest = Digest::of(&bytes);
        let bytes = bytes::Bytes::from(bytes);
        for race in 0..RACE_ATTEMPTS {
            let request = self.put_request(key, digest).content_type(content_type).if_none_match("*");
            let request = request.body(ByteStream::from(bytes.clone()));
            match self.calls.run("PutObject", &self.subject(key), request.send()).await {
                Ok(_) => return Ok(Put::Created),
                Err(error) if error.kind == CloudErrorKind::PreconditionFailed => {
                    if let Some(there) = self.get(key).await? {
                        return Ok(if there.sha256 == digest { Put::Same } else { Put::Different });
                    }
                }
                Err(error) if error.kind == CloudErrorKind::Conflict => {}
                Err(error) => return Err(error),
            }
            self.wait_after_race(race).await;
        }
        Err(self.contended(key))
    }

    /// Creates or overwrites an object and returns its etag.
    pub async fn put(&self, key: &str, bytes: Vec<u8>, content_type: &str) -> Result<String, CloudError> {
        let request = self.put_request(key, Digest::of(&bytes)).content_type(content_type);
        let request = request.body(ByteStream::from(bytes));
        let response = self.calls.run("PutObject", &self.subject(key), request.send()).await?;
        Ok(response.e_tag().unwrap_or_default().to_owned())
    }

    /// Overwrites an object if it still has this etag, and returns the new etag; `None` where somebody else changed or
    /// deleted it first.
    ///
    /// It is retried only where S3 throttled it: after a lost response, a retry would find its own etag and take it for
    /// somebody else's. After any other failure, read the object again.
    pub async fn put_if_match(
        &self,
        key: &str,
        bytes: Vec<u8>,
        etag: &str,
    ) -> Result<Option<String>, CloudError> {
        let digest = Digest::of(&bytes);
        let bytes = bytes::Bytes::from(bytes);
        let result = retry_throttled(|| {
            let request = self.put_request(key, digest).if_match(etag);
            let request = request.body(ByteStream::from(bytes.clone()));
            let once = aws_sdk_s3::config::retry::RetryConfig::disabled();
            let once = aws_sdk_s3::config::Config::builder().retry_config(once);
            async move {
                let send = request.customize().config_override(once).send();
                self.calls.run("PutObject", &self.subject(key), send).await
            }
        })
        .await;
        match result {
            Ok(response) => Ok(Some(response.e_tag().unwrap_or_default().to_owned())),
            Err(error)
                if matches!(error.kind, CloudErrorKind::PreconditionFailed | CloudErrorKind::Conflict) =>
            {
                Ok(None)
            }
            // The object was deleted. A deleted bucket is an error.
            Err(error) if error.code.as_deref() == Some("NoSuchKey") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns an object's size, digest and etag; `None` if there is no such object, or no such bucket.
    pub async fn head(&self, key: &str) -> Result<Option<ObjectInfo>, CloudError> {
        Ok(self.stored(key).await?.map(|stored| stored.info))
    }

    /// Deletes an object; a missing object is not an error. A versioned bucket keeps the old versions.
    pub async fn delete(&self, key: &str) -> Result<(), CloudError> {
        let request = self.shared.s3().delete_object().bucket(&self.bucket).key(key);
        self.calls.run("DeleteObject", &self.subject(key), request.send()).await?;
        Ok(())
    }

    /// Returns whether the bucket exists.
    ///
    /// # Errors
    /// [`CloudErrorKind::AccessDenied`] where it exists and these credentials may not use it.
    pub async fn bucket_exists(&self) -> Result<bool, CloudError> {
        let request = self.shared.s3().head_bucket().bucket(&self.bucket);
        match self.calls.run("HeadBucket", &self.bucket, request.send()).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind == CloudErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Creates the bucket unless it exists; returns whether it is new. For emulators: in AWS, Terraform creates the
    /// buckets.
    pub async fn create_bucket(&self, versioned: bool) -> Result<bool, CloudError> {
        let mut created = false;
        if !self.bucket_exists().await? {
            let mut request = self.shared.s3().create_bucket().bucket(&self.bucket);
            let region = self.shared.region();
            if region != "us-east-1" {
                let location = BucketLocationConstraint::from(region);
                let location = CreateBucketConfiguration::builder().location_constraint(location).build();
                request = request.create_bucket_configuration(location);
            }
            match self.calls.run("CreateBucket", &self.bucket, request.send()).await {
                Ok(_) => created = true,
                Err(error) if error.code.as_deref() == Some("BucketAlreadyOwnedByYou") => {}
                Err(error) => return Err(error),
            }
        }
        if versioned {
            let on = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
            let request = self.shared.s3().put_bucket_versioning().bucket(&self.bucket);
            let request = request.versioning_configuration(on);
            self.calls.run("PutBucketVersioning", &self.bucket, request.send()).await?;
        }
        Ok(created)
    }

    async fn wait_after_race(&self, race: u32) {
        tokio::time::sleep(Duration::from_millis(50 << race)).await;
    }

    fn contended(&self, key: &str) -> CloudError {
        let subject = self.subject(key);
        let context = self.calls.context("PutObject", &subject);
        CloudError::at(&context, CloudErrorKind::Conflict, "others keep writing and deleting it")
    }

    fn put_request(
        &self,
        key: &str,
        digest: Digest,
    ) -> aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder {
        let request = self.shared.s3().put_object().bucket(&self.bucket).key(key);
        let request = match &self.kms_key {
            Some(kms_key) => {
                request.server_side_encryption(ServerSideEncryption::AwsKms).ssekms_key_id(kms_key)
            }
            None => request,
        };
        request.checksum_algorithm(ChecksumAlgorithm::Sha256).checksum_sha256(digest.base64())
    }

    async fn stored(&self, key: &str) -> Result<Option<compare::StoredObject>, CloudError> {
        let request = self.shared.s3().head_object().bucket(&self.bucket).key(key);
        let request = request.checksum_mode(ChecksumMode::Enabled);
        match self.calls.run("HeadObject", &self.subject(key), request.send()).await {
            Ok(response) => {
                let size = response.content_length().unwrap_or_default().try_into().unwrap_or_default();
                let etag = response.e_tag().unwrap_or_default();
                Ok(Some(compare::StoredObject::new(size, etag, response.checksum_sha256())))
            }
            Err(error) if error.kind == CloudErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn subject(&self, key: &str) -> String {
        format!("{}/{key}", self.bucket)
    }
}

impl std::fmt::Debug for ObjectStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectStore").field("bucket", &self.bucket).finish_non_exhaustive()
    }
}
