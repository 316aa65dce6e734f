//! A bucket as a whole: whose it is, and the one that nothing but an SDK makes, which Terraform's first state needs.
//!
//! In: the bucket of an [`ObjectStore`]. Out: whose it is; the bucket, versioned, encrypted, closed to the public. What can
//! go wrong: the name belongs to another account, where nothing is touched.

use aws_sdk_s3::types::{
    PublicAccessBlockConfiguration, ServerSideEncryption, ServerSideEncryptionByDefault,
    ServerSideEncryptionConfiguration, ServerSideEncryptionRule,
};

use super::ObjectStore;
use crate::error::{CloudError, Kind};

/// Whose a bucket is, as far as an account's credentials can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// The account's own.
    Own,
    /// Another account's, which lets these credentials in.
    Another,
    /// Nobody can tell: these credentials may not use it.
    Closed,
    /// It does not exist.
    Missing,
}

impl ObjectStore {
    /// Finds out whether the bucket is an account's, so that nothing is written where somebody else reads it.
    ///
    /// S3 judges by the [expected owner](https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-owner-condition.html);
    /// at an address of its own, where an emulator may not, the account's list of buckets is asked as well, if it may be.
    pub async fn ownership(&self, account: &str) -> Result<Ownership, CloudError> {
        let request = self.shared.s3().head_bucket().bucket(&self.bucket).expected_bucket_owner(account);
        match self.calls.run("HeadBucket", &self.bucket, request.send()).await {
            Ok(_) if self.shared.has_endpoint() => match self.owned().await {
                Ok(false) => Ok(Ownership::Another),
                Ok(true) => Ok(Ownership::Own),
                Err(error) if error.kind == Kind::AccessDenied => Ok(Ownership::Own),
                Err(error) => Err(error),
            },
            Ok(_) => Ok(Ownership::Own),
            Err(error) if error.kind == Kind::NotFound => Ok(Ownership::Missing),
            Err(error) if error.kind == Kind::AccessDenied => self.closed_or_another().await,
            Err(error) => Err(error),
        }
    }

    /// Tells a bucket that is another account's from one whose policy refuses to say anything of it as a whole.
    async fn closed_or_another(&self) -> Result<Ownership, CloudError> {
        let denied = |error: CloudError| if error.kind == Kind::AccessDenied { Ok(()) } else { Err(error) };
        match self.bucket_exists().await {
            Ok(true) => return Ok(Ownership::Another),
            Ok(false) => return Ok(Ownership::Missing),
            Err(error) => denied(error)?,
        }
        // Who may list below a prefix alone is refused the look at the whole, and can work there all the same.
        match self.list("ledger/", Some(1)).await {
            Ok(_) => Ok(Ownership::Own),
            Err(error) => denied(error).map(|()| Ownership::Closed),
        }
    }

    /// Makes the bucket unless it exists, has it keep versions, encrypt with S3's own keys and refuse every public access;
    /// says whether it is new. What is set again is what was set before.
    ///
    /// # Errors
    /// [`Kind::AccessDenied`] where the bucket is another account's: nothing is touched then.
    pub async fn create_closed_bucket(&self) -> Result<bool, CloudError> {
        if self.bucket_exists().await? && !self.owned().await? {
            let origin = self.calls.origin("ListBuckets", &self.bucket);
            return Err(CloudError::at(&origin, Kind::AccessDenied, "the bucket is another account's"));
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

    /// Asks whether the bucket is this account's own. That it may be used is no answer: a policy can let others in.
    pub async fn owned(&self) -> Result<bool, CloudError> {
        let mut token = None;
        loop {
            let request = self.shared.s3().list_buckets().prefix(&self.bucket).max_buckets(1000);
            let request = request.set_continuation_token(token);
            let answer = self.calls.run("ListBuckets", &self.bucket, request.send()).await?;
            if answer.buckets().iter().any(|bucket| bucket.name() == Some(&self.bucket)) {
                return Ok(true);
            }
            token = answer.continuation_token().map(str::to_owned);
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
            let origin = self.calls.origin("PutBucketEncryption", &self.bucket);
            CloudError::at(&origin, Kind::Other, error.to_string())
        })
    }
}
