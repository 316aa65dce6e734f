//! The CI run of a test: none, or one that a token proved.

use async_trait::async_trait;

use crate::failure::Result;
use crate::identity::{RunIdentity, VerifiedIdentity};

/// The identity of a test's run.
#[derive(Default)]
pub(crate) struct FakeIdentity(pub(crate) Option<VerifiedIdentity>);

#[async_trait]
impl RunIdentity for FakeIdentity {
    async fn verified(&self) -> Result<Option<VerifiedIdentity>> {
        Ok(self.0.clone())
    }
}
