//! The objects of one bucket.
//!
//! In: keys and bytes, or files. Out: what is stored, with SHA-256 digests that were computed here from the
//! bytes received. Everything is written with its SHA-256, which S3 compares before it stores a byte.
//! [`ObjectStore::put_new`] and [`ObjectStore::put_new_file`] never overwrite; what they find in the way is
//! compared, not trusted. What can go wrong besides the network: the bucket is missing, the credentials lack
//! a permission, somebody else was faster (a value, not an error), bytes that are not the promised ones.

mod body;
mod bucket;
mod compare;
mod download;
mod listing;
mod multipart;
mod unfinished;
mod upload;

pub(crate) use body::telling;
pub(crate) use download::new_file;

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    BucketLocationConstraint, BucketVersioningStatus, ChecksumAlgorithm, ChecksumMode,
    CreateBucketConfiguration, ServerSideEncryption, VersioningConfiguration,
};
use slipway_values::digest::Digest;

use crate::call::{Calls, unless_throttled};
use crate::error::{CloudError, Kind};
use crate::session::Shared;
pub use bucket::Ownership;
pub use listing::Listed;

/// What became of a write that never overwrites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// The object is new.
    Created,
    /// The same bytes were already there.
    Same,
    /// Other bytes are there; nothing was changed.
    Different,
}

/// An object that was read whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The store's tag of this content, for [`ObjectStore::put_if_match`].
    pub etag: String,
    /// The digest of `bytes`.
    pub sha256: Digest,
    /// The version, where the bucket keeps versions.
    pub version_id: Option<String>,
}

/// What the store says of an object without sending it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The size in bytes.
    pub size: u64,
    /// The digest of the whole object, where the store keeps one.
    pub sha256: Option<Digest>,
    /// The store's tag of this content.
    pub etag: String,
}

/// How files are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uploads {
    /// Files above this size, in bytes, are sent in parts.
    pub threshold: u64,
    /// The size of a part in bytes; S3 allows no less than 5 MiB. Very large files get larger parts.
    pub part_size: u64,
    /// How many parts are under way at once; each is held in memory.
    pub parallel: usize,
}

impl Default for Uploads {
    fn default() -> Self {
        Self { threshold: 16 << 20, part_size: 8 << 20, parallel: 4 }
    }
}

/// Access to the objects of one bucket.
#[derive(Clone)]
pub struct ObjectStore {
    shared: Arc<Shared>,
    calls: Calls,
    bucket: String,
    kms_key: Option<String>,
    uploads: Uploads,
}

/// How often a write is tried whose refusal left open what is there.
const RACES: u32 = 5;

impl ObjectStore {
    pub(crate) fn new(shared: Arc<Shared>, bucket: &str, kms_key: Option<String>) -> Self {
        let calls = shared.calls("S3");
        Self { shared, calls, bucket: bucket.to_owned(), kms_key, uploads: Uploads::default() }
    }

    /// Changes how files are sent.
    #[must_use]
    pub fn with_uploads(mut self, uploads: Uploads) -> Self {
        self.uploads = uploads;
        self
    }

    /// Names the bucket.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Writes an object unless its key is taken; then says whether the bytes there are the same.
    ///
    /// # Errors
    /// [`Kind::Conflict`] where others kept writing and deleting the key.
    pub async fn put_new(&self, key: &str, bytes: Vec<u8>, content_type: &str) -> Result<Put, CloudError> {
        let digest = Digest::of(&bytes);
        let bytes = bytes::Bytes::from(bytes);
        for race in 0..RACES {
            let request = self.put_request(key, digest).content_type(content_type).if_none_match("*");
            let request = request.body(ByteStream::from(bytes.clone()));
            match self.calls.run("PutObject", &self.subject(key), request.send()).await {
                Ok(_) => return Ok(Put::Created),
                Err(error) if error.kind == Kind::PreconditionFailed => {
                    if let Some(there) = self.get(key).await? {
                        return Ok(if there.sha256 == digest { Put::Same } else { Put::Different });
                    }
                }
                Err(error) if error.kind == Kind::Conflict => {}
                Err(error) => return Err(error),
            }
            self.after_race(race).await;
        }
        Err(self.unsettled(key))
    }

    /// Writes an object, over whatever is there, and gives its etag.
    pub async fn put(&self, key: &str, bytes: Vec<u8>, content_type: &str) -> Result<String, CloudError> {
        let request = self.put_request(key, Digest::of(&bytes)).content_type(content_type);
        let request = request.body(ByteStream::from(bytes));
        let answer = self.calls.run("PutObject", &self.subject(key), request.send()).await?;
        Ok(answer.e_tag().unwrap_or_default().to_owned())
    }

    /// Overwrites an object if it still has this etag, and gives the new one; `None` where the race was lost,
    /// to a change or to a deletion.
    ///
    /// It is repeated only where the service says that it did nothing: a repetition after a lost answer would
    /// find its own etag and call it a lost race. After any other failure, read the object again.
    pub async fn put_if_match(
        &self,
        key: &str,
        bytes: Vec<u8>,
        etag: &str,
    ) -> Result<Option<String>, CloudError> {
        let digest = Digest::of(&bytes);
        let bytes = bytes::Bytes::from(bytes);
        let result = unless_throttled(|| {
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
            Ok(answer) => Ok(Some(answer.e_tag().unwrap_or_default().to_owned())),
            Err(error) if matches!(error.kind, Kind::PreconditionFailed | Kind::Conflict) => Ok(None),
            // The object is gone; the bucket being gone is an error.
            Err(error) if error.code.as_deref() == Some("NoSuchKey") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Asks for an object's size, digest and etag. A missing bucket looks like a missing object here.
    pub async fn head(&self, key: &str) -> Result<Option<Head>, CloudError> {
        Ok(self.stored(key).await?.map(|stored| stored.head))
    }

    /// Deletes an object; one that is not there is no error. A versioned bucket keeps the old versions.
    pub async fn delete(&self, key: &str) -> Result<(), CloudError> {
        let request = self.shared.s3().delete_object().bucket(&self.bucket).key(key);
        self.calls.run("DeleteObject", &self.subject(key), request.send()).await?;
        Ok(())
    }

    /// Asks whether the bucket exists and may be used.
    ///
    /// # Errors
    /// [`Kind::AccessDenied`] where it exists and belongs to somebody else.
    pub async fn bucket_exists(&self) -> Result<bool, CloudError> {
        let request = self.shared.s3().head_bucket().bucket(&self.bucket);
        match self.calls.run("HeadBucket", &self.bucket, request.send()).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind == Kind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Makes the bucket unless it exists; says whether it is new. For emulators: in an account of the cloud
    /// Terraform makes the buckets.
    pub async fn create_bucket(&self, versioned: bool) -> Result<bool, CloudError> {
        let mut created = false;
        if !self.bucket_exists().await? {
            let mut request = self.shared.s3().create_bucket().bucket(&self.bucket);
            let region = self.shared.region();
            if region != "us-east-1" {
                let place = BucketLocationConstraint::from(region);
                let place = CreateBucketConfiguration::builder().location_constraint(place).build();
                request = request.create_bucket_configuration(place);
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

    async fn after_race(&self, race: u32) {
        tokio::time::sleep(Duration::from_millis(50 << race)).await;
    }

    fn unsettled(&self, key: &str) -> CloudError {
        let subject = self.subject(key);
        let origin = self.calls.origin("PutObject", &subject);
        CloudError::at(&origin, Kind::Conflict, "others keep writing and deleting it")
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

    async fn stored(&self, key: &str) -> Result<Option<compare::Stored>, CloudError> {
        let request = self.shared.s3().head_object().bucket(&self.bucket).key(key);
        let request = request.checksum_mode(ChecksumMode::Enabled);
        match self.calls.run("HeadObject", &self.subject(key), request.send()).await {
            Ok(answer) => {
                let size = answer.content_length().unwrap_or_default().try_into().unwrap_or_default();
                let etag = answer.e_tag().unwrap_or_default();
                Ok(Some(compare::Stored::new(size, etag, answer.checksum_sha256())))
            }
            Err(error) if error.kind == Kind::NotFound => Ok(None),
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
