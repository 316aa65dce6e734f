//! The query of a registry request.

use super::error::RegistryError;
use super::name::Digest;
use crate::http;

/// The parameters of a query, decoded.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(query: &str) -> Self {
        Self(http::query_pairs(query))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Returns a parameter that must be a digest; `None` if it is missing.
    pub(super) fn digest(&self, name: &str) -> Result<Option<Digest>, RegistryError> {
        self.get(name).map(parse_digest).transpose()
    }
}

/// Reads a digest of a path or query.
pub(super) fn parse_digest(text: &str) -> Result<Digest, RegistryError> {
    text.parse().map_err(|_| {
        let message = format!("`{text}` is not a digest of the form sha256:<64 hexadecimal digits>");
        RegistryError::bad_request("DIGEST_INVALID", message)
    })
}
