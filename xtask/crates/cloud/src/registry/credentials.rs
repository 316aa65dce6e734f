//! Logins for registries.
//!
//! In: a registry's host. Out: a [`Login`]. Errors: there are no credentials for the host, or their source fails; the error
//! names the host.

use async_trait::async_trait;

use crate::error::CloudError;

/// A login for a registry, or for the token server that it names.
#[derive(Clone, PartialEq, Eq)]
pub enum Login {
    /// No login.
    Anonymous,
    /// A name and a password.
    Basic {
        /// The name, `AWS` for ECR.
        username: String,
        /// The password.
        password: String,
    },
    /// A token that the token server accepts instead of a password.
    IdentityToken(String),
}

/// A source of logins for registries.
#[async_trait]
pub trait RegistryCredentials: Send + Sync {
    /// Returns the login for a host. With `rejected`, the registry rejected the last one: a cached login must be fetched
    /// again.
    async fn login(&self, host: &str, rejected: bool) -> Result<Login, CloudError>;
}

/// No login, for public registries.
#[derive(Clone, Copy, Debug)]
pub struct Anonymous;

#[async_trait]
impl RegistryCredentials for Anonymous {
    async fn login(&self, _: &str, _: bool) -> Result<Login, CloudError> {
        Ok(Login::Anonymous)
    }
}

/// The same login for every host.
#[async_trait]
impl RegistryCredentials for Login {
    async fn login(&self, _: &str, _: bool) -> Result<Login, CloudError> {
        Ok(self.clone())
    }
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Anonymous => f.write_str("Anonymous"),
            Self::Basic { username, .. } => {
                f.debug_struct("Basic").field("username", username).finish_non_exhaustive()
            }
            Self::IdentityToken(_) => f.write_str("IdentityToken(..)"),
        }
    }
}
