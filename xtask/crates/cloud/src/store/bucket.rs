//! A bucket that nothing but an SDK makes: the one that Terraform's first state needs.
//!
//! In: the bucket of an [`ObjectStore`]. Out: the bucket, versioned, encrypted, closed to the public. What can go wrong:
//! the name belongs to another account, where nothing is touched.

use aws_sdk_s3::types::{
    PublicAccessBlockConfiguration, ServerSideEncryption, ServerSideEncryptionByDefault,
    ServerSideEncryptionConfiguration, ServerSideEncryptionRule,
};

use super::ObjectStore;
use crate::error::{CloudError, Kind};

impl ObjectStore {
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
