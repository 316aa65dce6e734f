//! Whether a stored object has the bytes of a local file.
//!
//! In: what HEAD says, the expected SHA-256, and the file. Out: [`Put::Same`] or [`Put::Different`], and the
//! first only on proof. A digest of the whole object is one. So is a composite checksum, where cutting the
//! file as we cut it gives the same one. Anything else is downloaded and hashed.

use std::path::Path;

use slipway_values::digest::Digest;

use super::{Head, ObjectStore, Put};
use crate::error::{CloudError, Kind};
use crate::sha256;

/// An object as HEAD describes it.
pub(super) struct Stored {
    pub(super) head: Head,
    /// The checksum of its parts' checksums, `<base64>-<parts>`, where it was uploaded in parts.
    pub(super) composite: Option<String>,
}

impl Stored {
    /// Takes in what HEAD answers. A tag that ends in a number of parts tells that the checksum, whatever it
    /// looks like, is one of parts: S3 has no other SHA-256 for such objects, and moto leaves out the number.
    pub(super) fn new(size: u64, etag: &str, checksum: Option<&str>) -> Self {
        let in_parts = parts_of(etag.trim_matches('"'));
        let composite = checksum.and_then(|checksum| match (parts_of(checksum), in_parts) {
            (Some(_), _) => Some(checksum.to_owned()),
            (None, Some(parts)) => Some(format!("{checksum}-{parts}")),
            (None, None) => None,
        });
        let sha256 = if composite.is_none() { checksum.and_then(Digest::from_base64) } else { None };
        Self { head: Head { size, sha256, etag: etag.to_owned() }, composite }
    }
}

/// Reads the number in `<checksum or etag>-<parts>`.
fn parts_of(text: &str) -> Option<u64> {
    text.rsplit_once('-')?.1.parse().ok()
}

impl ObjectStore {
    /// Compares an object with a file, sending as little as proves it.
    pub(super) async fn compare(
        &self,
        key: &str,
        stored: &Stored,
        path: &Path,
        size: u64,
        expected: Digest,
    ) -> Result<Option<Put>, CloudError> {
        let answer = |same| Ok(Some(if same { Put::Same } else { Put::Different }));
        if stored.head.size != size {
            return answer(false);
        }
        if let Some(digest) = stored.head.sha256 {
            return answer(digest == expected);
        }
        let part_size = self.part_size(size);
        if stored.composite.as_deref().and_then(parts_of) == Some(size.div_ceil(part_size)) {
            let mut reader = self.open(key, path, part_size).await?;
            let mut digests = Vec::new();
            while let Some(part) = reader.next_part().await? {
                digests.push(part.sha256);
            }
            reader.finish(size, expected)?;
            if stored.composite.as_deref() == Some(&sha256::composite(&digests)) {
                return answer(true);
            }
        }
        match self.digest_of_stored(key).await {
            Ok(digest) => answer(digest == expected),
            // Deleted meanwhile.
            Err(error) if error.kind == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_of_parts_is_never_taken_for_a_digest() {
        let digest = Digest::of("x");
        let plain = digest.base64();
        let one = Stored::new(1, "\"9dd4\"", Some(&plain));
        assert_eq!((one.head.sha256, one.composite), (Some(digest), None));
        let numbered = format!("{plain}-3");
        for (etag, checksum) in [("\"9dd4-3\"", &numbered), ("\"9dd4-3\"", &plain), ("\"kms\"", &numbered)] {
            let parts = Stored::new(1, etag, Some(checksum));
            assert_eq!((parts.head.sha256, parts.composite.as_ref()), (None, Some(&numbered)), "{etag}");
        }
        let unknown = Stored::new(1, "\"9dd4-3\"", None);
        assert_eq!((unknown.head.sha256, unknown.composite), (None, None));
    }
}
