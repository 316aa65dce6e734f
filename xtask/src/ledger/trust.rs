//! The settings that decide which releases an environment trusts, as a deployment found them.
//!
//! They are in each ledger entry, so that the next deployment sees whether they accept more than before. "Weaker" is defined
//! field by field ([`TrustRecord::weaker_than`]): whatever lets something be deployed that was refused before.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::{Digest, DigestBuilder};

/// The settings that decide which releases an environment trusts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct TrustRecord {
    /// The digest of the settings.
    pub(crate) digest: Digest,
    /// Whether the environment is protected.
    pub(crate) protected: bool,
    /// Whether a release must have a valid signature.
    pub(crate) signatures_required: bool,
    /// The ids of the trusted keys, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) keys: Vec<String>,
    /// The claims that a release's provenance must make: name -> text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) provenance: BTreeMap<String, String>,
    /// What was weaker than at the deployment before, and accepted with `--accept-weaker-trust`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) accepted_weaker: Vec<String>,
}

impl TrustRecord {
    /// Describes an environment's settings.
    pub(crate) fn new(
        protected: bool,
        signatures_required: bool,
        mut keys: Vec<String>,
        provenance: BTreeMap<String, String>,
    ) -> Self {
        keys.sort();
        keys.dedup();
        let mut digest = DigestBuilder::new("slipway.trust/1");
        digest.part("protected", protected.to_string());
        digest.part("signatures_required", signatures_required.to_string());
        keys.iter().for_each(|key| digest.part("key", key));
        provenance.iter().for_each(|(name, text)| digest.part(name, text));
        let digest = digest.finish();
        Self { digest, protected, signatures_required, keys, provenance, accepted_weaker: Vec::new() }
    }

    /// Lists in what these settings accept more than earlier ones did.
    pub(crate) fn weaker_than(&self, before: &Self) -> Vec<String> {
        let mut weaker = Vec::new();
        if before.protected && !self.protected {
            weaker.push("protected = true before, now false".to_owned());
        }
        if before.signatures_required && !self.signatures_required {
            weaker.push("signatures = \"required\" before, now \"optional\"".to_owned());
        }
        // With a trusted key, a signature by another one is refused, even where none is required.
        if !before.keys.is_empty() {
            let added = self.keys.iter().filter(|key| !before.keys.contains(key));
            weaker.extend(added.map(|key| format!("the key {key} is trusted now and was not before")));
            if self.keys.is_empty() {
                weaker.push("trusted_keys had a key before, now none: any signature is accepted".to_owned());
            }
        }
        // Claims are proven by required signatures alone.
        if !before.signatures_required || !self.signatures_required {
            return weaker;
        }
        for (name, wanted) in &before.provenance {
            match self.provenance.get(name) {
                Some(now) if now == wanted => {}
                Some(now) => {
                    weaker.push(format!("[provenance] {name} = \"{wanted}\" before, now \"{now}\""));
                }
                None => weaker.push(format!("[provenance] {name} = \"{wanted}\" before, now not required")),
            }
        }
        weaker
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(protected: bool, required: bool, keys: &[&str], provenance: &[(&str, &str)]) -> TrustRecord {
        let keys = keys.iter().map(|key| (*key).to_owned()).collect();
        let provenance =
            provenance.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        TrustRecord::new(protected, required, keys, provenance)
    }

    #[test]
    fn settings_are_weaker_where_they_accept_what_was_refused_before() {
        let claims = [("ref", "refs/heads/main"), ("repository", "acme/shop")];
        let strict = record(true, true, &["b", "a"], &claims);
        assert_eq!(strict.weaker_than(&strict), Vec::<String>::new());
        for (now, expected) in [
            (record(false, true, &["a", "b"], &claims), vec!["protected = true before, now false"]),
            (
                record(true, false, &["a", "b"], &[]),
                vec!["signatures = \"required\" before, now \"optional\""],
            ),
            (record(true, true, &["a", "c"], &claims), vec!["the key c is trusted now and was not before"]),
            (
                record(true, true, &["a"], &[("repository", "acme/other")]),
                vec![
                    "[provenance] ref = \"refs/heads/main\" before, now not required",
                    "[provenance] repository = \"acme/shop\" before, now \"acme/other\"",
                ],
            ),
            // Fewer keys and further claims accept less.
            (record(true, true, &["a"], &[claims[0], claims[1], ("workflow", "release.yml")]), vec![]),
        ] {
            assert_eq!(now.weaker_than(&strict), expected);
            assert!(expected.is_empty() || strict.weaker_than(&now) != expected, "not in both directions");
        }
        let open = record(false, false, &[], &[]);
        assert!(strict.weaker_than(&open).is_empty(), "keys and claims that are new with the requirement");
        let one = record(false, false, &["a"], &[]);
        assert!(one.weaker_than(&open).is_empty(), "a first key refuses other signatures");
        assert_eq!(open.weaker_than(&one).len(), 1, "without a key any signature is accepted");
        assert_eq!(record(false, true, &["a", "b"], &[]).weaker_than(&one).len(), 1, "signatures by b");
    }

    #[test]
    fn digest_covers_each_setting_and_not_the_order_of_the_keys() {
        let strict = record(true, true, &["a", "b"], &[("ref", "x")]);
        assert_eq!(strict.digest, record(true, true, &["b", "a", "a"], &[("ref", "x")]).digest);
        for other in [
            record(false, true, &["a", "b"], &[("ref", "x")]),
            record(true, false, &["a", "b"], &[("ref", "x")]),
            record(true, true, &["a"], &[("ref", "x")]),
            record(true, true, &["a", "b"], &[("ref", "y")]),
        ] {
            assert_ne!(strict.digest, other.digest);
        }
    }
}
