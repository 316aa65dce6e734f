//! The account and region that a call is about.

use super::accounts::Accounts;
use super::lambda_error::LambdaError;
use super::scope::CredentialScope;
use axum::http::request::Parts;

/// An account and a region.
pub(super) struct Owner {
    pub(super) account: String,
    pub(super) region: String,
}

impl Owner {
    /// Returns the account and region of the caller's credential.
    pub(super) async fn of(accounts: &Accounts, request: &Parts) -> Result<Self, LambdaError> {
        let scope = CredentialScope::of(&request.headers, &request.uri)
            .ok_or_else(LambdaError::missing_authentication)?;
        let account = accounts.identity(&scope.access_key_id).await?.account;
        Ok(Self { account, region: scope.region })
    }
}
