//! The bucket itself: which account owns it, and the creation of the one that Terraform's first state needs.
//!
//! In: the bucket of an [`ObjectStore`]. Out: its [`Ownership`]; a bucket that is versioned, encrypted and closed to the
//! public. Errors: the bucket belongs to another account, and nothing is changed there.

use aws_sdk_s3::types::{
    PublicAccessBlockConfiguration, ServerSideEncryption, ServerSideEncryptionByDefault,
    ServerSideEncryptionConfiguration, ServerSideEncryptionRule,
};

use super::ObjectStore;
use crate::error::{CloudError, CloudErrorKind};

/// The account that owns a bucket, as far as these credentials can find out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// This account.
    ThisAccount,
    /// Another account, which gives these credentials access.
    OtherAccount,
    /// Unknown: these credentials may not use the bucket.
    Undetermined,
    /// It does not exist.
    Missing,
}

impl ObjectStore {
    /// Returns whether an account owns the bucket, so that nothing is written where somebody else reads it.
    ///
    /// S3 compares the [expected owner](https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-owner-condition.html).
    /// An emulator may not, so at a configured endpoint the account's list of buckets is read as well, if it may be.
    pub async fn ownership(&self, account: &str) -> Result<Ownership, CloudError> {
        let request = self.shared.s3().head_bucket().bucket(&self.bucket).expected_bucket_owner(account);
        match self.calls.run("HeadBucket", &self.bucket, request.send()).await {
            Ok(_) if self.shared.has_endpoint() => match self.is_own().await {
                Ok(false) => Ok(Ownership::OtherAccount),
                Ok(true) => Ok(Ownership::ThisAccount),
                Err(error) if error.kind == CloudErrorKind::AccessDenied => Ok(Ownership::ThisAccount),
                Err(error) => Err(error),
            },
            Ok(_) => Ok(Ownership::ThisAccount),
            Err(error) if error.kind == CloudErrorKind::NotFound => Ok(Ownership::Missing),
            Err(error) if error.kind == CloudErrorKind::AccessDenied => self.ownership_after_denial().await,
            Err(error) => Err(error),
        }
    }

    /// Distinguishes another account's bucket from one whose policy denies HeadBucket.
    async fn ownership_after_denial(&self) -> Result<Ownership, CloudError> {
        let denied =
            |error: CloudError| if error.kind == CloudErrorKind::AccessDenied { Ok(()) } else { Err(error) };
        match self.bucket_exists().await {
            Ok(true) => return Ok(Ownership::OtherAccount),
            Ok(false) => return Ok(Ownership::Missing),
            Err(error) => denied(error)?,
        }
        // Credentials that may list only below a prefix are denied HeadBucket, but can use the bucket.
        match self.list("ledger/", Some(1)).await {
            Ok(_) => Ok(Ownership::ThisAccount),
            Err(error) => denied(error).map(|()| Ownership::Undetermined),
        }
    }

    /// Creates the bucket unless it exists, and enables versioning, encryption with S3's own keys and the block of public
    /// access; returns whether it is new. Repeating it changes nothing.
    ///
    /// # Errors
    /// [`CloudErrorKind::AccessDenied`] where the bucket belongs to another account; nothing is changed then.
    pub async fn create_private_bucket(&self) -> Result<bool, CloudError> {
        if self.bucket_exists().await? && !self.is_own().await? {
            let context = self.calls.context("ListBuckets", &self.bucket);
            return Err(CloudError::at(
                &context,
                CloudErrorKind::AccessDenied,
                "the bucket belongs to another account",
            ));
        }
        let created = self.create_bucket(true).await?;
        let encryption = ServerSideEncryptionByDefault::builder().sse_algorithm(ServerSideEncryption::Aes256);
        let rule = ServerSideEncryptionRule::builder()
            .apply_server_side_encryption_by_default(self.built(encryption.build())?)
            .build();
        let encryption = self.built(ServerSideEncryptionConfiguration::builder().rules(rule).build())?;
        let request = self.shared.s3().put_bucket_encryption().bucket(&self.bucket);
        let request = request.server_side_encryption_configuration(encryption);
        self.calls.run("PutBucketEncryption", &self.bucket, request.send()).await?;
        let closed = PublicAccessBlockConfiguration::builder()
            .block_public_acls(true)
            .block_public_policy(true)
            .ignore_public_acls(true)
            .restrict_public_buckets(true)
            .build();
        let request = self.shared.s3().put_public_access_block().bucket(&self.bucket);
        let request = request.public_access_block_configuration(closed);
        self.calls.run("PutPublicAccessBlock", &self.bucket, request.send()).await?;
        Ok(created)
    }

    /// Returns whether this account owns the bucket. Access alone does not show that: a policy can allow other accounts.
    pub async fn is_own(&self) -> Result<bool, CloudError> {
        let mut token = None;
        loop {
            let request = self.shared.s3().list_buckets().prefix(&self.bucket).max_buckets(1000);
            let request = request.set_continuation_token(token);
            let response = self.calls.run("ListBuckets", &self.bucket, request.send()).await?;
            if response.buckets().iter().any(|bucket| bucket.name() == Some(&self.bucket)) {
                return Ok(true);
            }
            token = response.continuation_token().map(str::to_owned);
            if token.is_none() {
                return Ok(false);
            }
        }
    }

    fn built<T>(
        &self,
        part: Result<T, aws_smithy_types::error::operation::BuildError>,
    ) -> Result<T, CloudError> {
        part.map_err(|error| {
            let context = self.calls.context("PutBucketEncryption", &self.bucket);
            CloudError::at(&context, CloudErrorKind::Other, error.to_string())
        })
    }
}
