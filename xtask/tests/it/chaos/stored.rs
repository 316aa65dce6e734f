//! Objects of the project's buckets that are spoilt: of each kind, in each way.

use super::super::support::account::{Account, Objects};

/// The kinds of objects that Slipway and Terraform store, by their key.
pub const KINDS: [(&str, &str); 8] = [
    ("state", ".tfstate"),
    ("started", ".started.json"),
    ("ended", ".ended.json"),
    ("manifest", "releases/"),
    ("artifact", "artifacts/"),
    ("configuration", "configurations/"),
    ("inputs record", "inputs/"),
    ("lease", "leases/"),
];

/// What is done to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    Deleted,
    Emptied,
    Halved,
    /// Another byte in its middle: the same length.
    OtherByte,
    /// Another object of the same kind, where there is one.
    Sibling,
    NotOurs,
}

impl Way {
    pub const ALL: [Self; 6] =
        [Self::Deleted, Self::Emptied, Self::Halved, Self::OtherByte, Self::Sibling, Self::NotOurs];
}

/// An object that was spoilt, and what it was.
pub struct Spoilt {
    bucket: String,
    key: String,
    kept: Vec<u8>,
    /// `None` where it was deleted.
    now: Option<Vec<u8>>,
}

impl Spoilt {
    /// Spoils one object of a kind; `None` where there is none, or where this way changes nothing.
    pub fn one(account: &Account, kind: &str, way: Way, random: &mut fastrand::Rng) -> Option<Self> {
        let objects = account.objects();
        let (_, text) = KINDS.iter().find(|(name, _)| *name == kind)?;
        let of_kind: Objects = objects
            .into_iter()
            .filter(|((_, key), _)| key.contains(text) && !key.ends_with(".tflock"))
            .collect();
        let chosen = random.usize(..of_kind.len().max(1));
        let ((bucket, key), kept) = of_kind.iter().nth(chosen)?;
        let now = match way {
            Way::Deleted => None,
            Way::Emptied => Some(Vec::new()),
            Way::Halved => Some(kept[..kept.len() / 2].to_vec()),
            Way::OtherByte => {
                let mut bytes = kept.clone();
                let middle = bytes.len() / 2;
                *bytes.get_mut(middle)? ^= 1;
                Some(bytes)
            }
            Way::Sibling => Some(of_kind.values().find(|bytes| *bytes != kept)?.clone()),
            Way::NotOurs => Some(b"{\"hello\": \"world\"}".to_vec()),
        };
        match &now {
            Some(bytes) => account.put(bucket, key, bytes),
            None => account.delete(bucket, key),
        }
        Some(Self { bucket: bucket.clone(), key: key.clone(), kept: kept.clone(), now })
    }

    pub fn name(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.key)
    }

    /// Puts it back, unless somebody wrote it anew; returns whether it was put back.
    pub fn restore(self, account: &Account) -> bool {
        let now = account.objects().remove(&(self.bucket.clone(), self.key.clone()));
        let untouched = now == self.now;
        if untouched {
            account.put(&self.bucket, &self.key, &self.kept);
        }
        untouched
    }
}
