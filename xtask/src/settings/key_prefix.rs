//! Prefixes of object keys and tags, with which projects share a bucket or a repository.

use serde::Deserialize;

/// First parts of keys that Slipway itself uses: below them a prefix could be mistaken for another project's keys.
const OWN_PARTS: [&str; 9] = [
    "artifacts",
    "attestations",
    "configurations",
    "inputs",
    "leases",
    "ledger",
    "plans",
    "releases",
    "sbom",
];

/// Reads a prefix of object keys; a slash is added at its end.
pub(super) fn key_prefix<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    prefix(deserializer, |first| !OWN_PARTS.contains(&first))
}

/// Reads a prefix of tags; a slash is added at its end.
pub(super) fn tag_prefix<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    prefix(deserializer, |_| true)
}

fn prefix<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
    may_begin: fn(&str) -> bool,
) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let parts: Vec<&str> = text.trim_end_matches('/').split('/').collect();
    // Letters, digits and hyphens are safe in keys, in policies and in names of references.
    let fits = |part: &&str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    if !parts.iter().all(fits) {
        return Err(serde::de::Error::custom(format!(
            "`{text}` is not a valid prefix: letters, digits, `-` and `_`, with `/` between its parts, as in \"shop/\""
        )));
    }
    if !parts.first().is_some_and(|first| may_begin(first)) {
        return Err(serde::de::Error::custom(format!(
            "`{text}` is not a valid prefix: Slipway's own keys begin with {}",
            OWN_PARTS.join(", ")
        )));
    }
    Ok(format!("{}/", parts.join("/")))
}

#[cfg(test)]
mod tests {
    use serde::de::IntoDeserializer as _;
    use serde::de::value::{Error, StrDeserializer};

    use super::*;

    fn key(text: &str) -> Result<String, Error> {
        let deserializer: StrDeserializer<'_, Error> = text.into_deserializer();
        key_prefix(deserializer)
    }

    #[test]
    fn prefix_ends_with_one_slash_and_is_not_one_of_slipways_own() {
        assert_eq!(key("shop").unwrap(), "shop/");
        assert_eq!(key("teams/shop/").unwrap(), "teams/shop/");
        for wrong in ["", "/", "/shop", "shop//dev", "../shop", "shop dev/", "ledger/", "releases"] {
            assert!(key(wrong).is_err(), "{wrong:?}");
        }
        let deserializer: StrDeserializer<'_, Error> = "releases".into_deserializer();
        assert_eq!(tag_prefix(deserializer).unwrap(), "releases/");
    }
}
