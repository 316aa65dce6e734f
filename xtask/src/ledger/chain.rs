//! The chain of a ledger: each deployment's entries hold the digest of the end of the deployment before.
//!
//! In: ended deployments in order. Out: [`BrokenLink`]s: an end that was written over, or removed, since a later deployment
//! began. Entries of before there was a chain have no digest, and are believed by the order of their keys alone.

use crate::digest::Digest;
use crate::failure::Failure;

use super::{Ended, Ledger, Started};

/// The digest of an entry as it was stored. Two entries with the same content are equal, whether it is known or not.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct StoredDigest(pub(crate) Option<Digest>);

impl PartialEq for StoredDigest {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// A place at which the chain is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BrokenLink {
    /// The deployment that began after another entry than is stored now.
    pub(crate) deployment: u64,
    /// The digest of the end of the deployment before, as that one found it.
    pub(crate) recorded: Digest,
    /// Its digest now; nothing where the entry is missing.
    pub(crate) found: Option<Digest>,
}

/// Lists where the chain of ended deployments, the newest first, is broken. The oldest one's predecessor is not among them.
pub(super) fn broken_links(history: &[&Ended]) -> Vec<BrokenLink> {
    let pairs = history.windows(2).filter_map(|pair| match pair {
        [newer, older] => broken(newer.deployment, newer.previous, older),
        _ => None,
    });
    pairs.collect()
}

/// Compares a deployment's record of the one before with the newest end before it.
fn broken(deployment: u64, recorded: Option<Digest>, before: &Ended) -> Option<BrokenLink> {
    let (recorded, StoredDigest(found)) = (recorded?, before.stored);
    let found = found.filter(|_| before.deployment + 1 == deployment);
    (found != Some(recorded)).then_some(BrokenLink { deployment, recorded, found })
}

impl Ledger {
    /// Refuses an open deployment that began after another end than is stored now.
    pub(super) fn check_open(&self, open: &Started, last: Option<&Ended>) -> Result<(), Failure> {
        match last.and_then(|last| broken(open.deployment, open.previous, last)) {
            Some(link) => Err(self.broken_chain(&link)),
            None => Ok(()),
        }
    }

    /// Says that a key among the entries is none, and is ignored.
    pub(crate) fn ignored_text(&self, key: &str) -> String {
        let shown = key.chars().map(|char| if char.is_control() { '?' } else { char });
        let shown: String = shown.take(200).collect();
        format!("the ledger of {} ignores {shown}, which is no entry: find out who wrote it", self.name())
    }

    /// Returns the refusal of a ledger whose chain is broken.
    pub(crate) fn broken_chain(&self, link: &BrokenLink) -> Failure {
        let before = link.deployment.saturating_sub(1);
        let key = self.key(before, "ended");
        let what = if link.found.is_some() { "was changed" } else { "is missing" };
        Failure::refused(format!(
            "the ledger of {} is broken: the end of deployment {before} {what} since deployment {} began",
            self.name(),
            link.deployment
        ))
        .detail("entry", format!("{}/{key}", self.store.place()))
        .detail("recorded", link.recorded.to_string())
        .detail("found", link.found.map_or_else(|| "nothing".to_owned(), |found| found.to_string()))
        .unchanged("Nothing was changed.")
        .hint("an entry is never written twice: restore the object's first version")
    }
}
