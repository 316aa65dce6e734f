//! Stands in for `cargo-lambda-remote` 1.9.2 while a function is built.
//!
//! What comes in: `[package.metadata.lambda]` tables and command lines that cargo-lambda-metadata parses.
//! What goes out: the same values, in types of the same names, fields and serialised form.
//! What can go wrong: an item that a newer cargo-lambda uses is missing; that fails to compile, so the version
//! is pinned exactly. Nothing here speaks to AWS: `deploy`, `invoke` and `watch`, which would, are no part of
//! the builder.

use clap::Args;
use serde::{Deserialize, Serialize, ser::SerializeStruct};

pub mod aws_sdk_iam;
pub mod aws_sdk_lambda;
pub mod tls;

/// Says which account and region a deployment would go to.
#[derive(Args, Clone, Debug, Default, Deserialize, Serialize)]
pub struct RemoteConfig {
    /// AWS configuration profile to use for authorization.
    #[arg(short, long)]
    #[serde(default)]
    pub profile: Option<String>,
    /// AWS region to deploy to.
    #[arg(short, long)]
    #[serde(default)]
    pub region: Option<String>,
    /// AWS Lambda alias of the function.
    #[arg(short, long, alias = "qualifier")]
    #[serde(default)]
    pub alias: Option<String>,
    /// Number of attempts for failed operations.
    #[arg(long, default_value = "1")]
    #[serde(default)]
    pub retry_attempts: Option<u32>,
    /// Endpoint URL other than AWS's own.
    #[arg(long)]
    #[serde(default)]
    pub endpoint_url: Option<String>,
}

impl RemoteConfig {
    /// Counts the fields that [`Self::serialize_fields`] writes.
    pub fn count_fields(&self) -> usize {
        usize::from(self.profile.is_some())
            + usize::from(self.region.is_some())
            + usize::from(self.alias.is_some())
            + usize::from(self.retry_attempts.is_some())
            + usize::from(self.endpoint_url.is_some())
    }

    /// Writes the fields that are set into an outer struct.
    pub fn serialize_fields<S: serde::Serializer>(
        &self,
        state: &mut S::SerializeStruct,
    ) -> Result<(), S::Error> {
        serialize_some::<S, _>(state, "profile", &self.profile)?;
        serialize_some::<S, _>(state, "region", &self.region)?;
        serialize_some::<S, _>(state, "alias", &self.alias)?;
        serialize_some::<S, _>(state, "retry_attempts", &self.retry_attempts)?;
        serialize_some::<S, _>(state, "endpoint_url", &self.endpoint_url)
    }
}

pub(crate) fn serialize_some<S: serde::Serializer, T: Serialize>(
    state: &mut S::SerializeStruct,
    name: &'static str,
    value: &Option<T>,
) -> Result<(), S::Error> {
    match value {
        Some(value) => state.serialize_field(name, value),
        None => Ok(()),
    }
}
