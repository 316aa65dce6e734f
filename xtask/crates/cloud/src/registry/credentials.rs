//! Whose name a registry is spoken to in.
//!
//! In: a registry's host. Out: a [`Login`]. What can go wrong: whoever keeps the credentials has none, or can't
//! be asked; the error names the host.

use async_trait::async_trait;

use crate::error::CloudError;

/// What a registry, or the token server it names, is shown.
#[derive(Clone, PartialEq, Eq)]
pub enum Login {
    /// Nothing.
    Anonymous,
    /// A name and a password.
    Basic {
        /// The name, `AWS` for Amazon's registry.
        username: String,
        /// The password.
        password: String,
    },
    /// A token that the token server takes instead of a password.
    IdentityToken(String),
}

/// Knows the logins of registries.
#[async_trait]
pub trait RegistryCredentials: Send + Sync {
    /// Gives the login for a host. `refused` says that the last one given was turned away: a kept one is to be
    /// thrown away and a new one fetched.
    async fn login(&self, host: &str, refused: bool) -> Result<Login, CloudError>;
}

/// Shows nothing to anybody: for public registries.
#[derive(Clone, Copy, Debug)]
pub struct Anonymous;

#[async_trait]
impl RegistryCredentials for Anonymous {
    async fn login(&self, _: &str, _: bool) -> Result<Login, CloudError> {
        Ok(Login::Anonymous)
    }
}

/// One login for every host.
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
