//! Whether a stored object has the bytes of a local file.
//!
//! In: the response to HEAD, the expected SHA-256, and the file. Out: [`Put::Same`] or [`Put::Different`]. `Same` needs
//! proof: the digest of the whole object, or a composite checksum that the file has when it is split as we split it.
//! Without either, the object is downloaded and hashed.

use std::path::Path;

use slipway_values::digest::Digest;

use super::composite::composite_checksum;
use super::{ObjectInfo, ObjectStore, Put};
use crate::error::{CloudError, CloudErrorKind};

/// An object as HEAD describes it.
pub(super) struct StoredObject {
    pub(super) info: ObjectInfo,
    /// The checksum of its parts' checksums, `<base64>-<parts>`, where it was uploaded in parts.
    pub(super) composite: Option<String>,
}

impl StoredObject {
    /// Reads size, etag and checksum. An etag that ends in a number of parts means that the checksum is a composite one:
    /// S3 has no other SHA-256 for such objects, and moto leaves out the number of parts in the checksum.
    pub(super) fn new(size: u64, etag: &str, checksum: Option<&str>) -> Self {
        let in_parts = parts_of(etag.trim_matches('"'));
        let composite = checksum.and_then(|checksum| match (parts_of(checksum), in_parts) {
            (Some(_), _) => Some(checksum.to_owned()),
            (None, Some(parts)) => Some(format!("{checksum}-{parts}")),
            (None, None) => None,
        });
        let sha256 = if composite.is_none() { checksum.and_then(Digest::from_base64) } else { None };
        Self { info: ObjectInfo { size, sha256, etag: etag.to_owned() }, composite }
    }
}

/// Returns the number of parts in `<checksum or etag>-<parts>`.
fn parts_of(text: &str) -> Option<u64> {
    text.rsplit_once('-')?.1.parse().ok()
}

impl ObjectStore {
    /// Compares an object with a file, with as few transfers as possible; `None` where the object no longer exists.
    pub(super) async fn compare(
        &self,
        key: &str,
        stored: &StoredObject,
        path: &Path,
        size: u64,
        expected: Digest,
    ) -> Result<Option<Put>, CloudError> {
        let put = |same| Ok(Some(if same { Put::Same } else { Put::Different }));
        if stored.info.size != size {
            return put(false);
        }
        if let Some(digest) = stored.info.sha256 {
            return put(digest == expected);
        }
        let part_size = self.part_size(size);
        if stored.composite.as_deref().and_then(parts_of) == Some(size.div_ceil(part_size)) {
            let mut reader = self.open(key, path, part_size).await?;
            let mut digests = Vec::new();
            while let Some(part) = reader.next_part().await? {
                digests.push(part.sha256);
            }
            reader.finish(size, expected)?;
            if stored.composite.as_deref() == Some(&composite_checksum(&digests)) {
                return put(true);
            }
        }
        match self.digest_of_stored(key).await {
            Ok(digest) => put(digest == expected),
            // It was deleted meanwhile.
            Err(error) if error.kind == CloudErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn composite_checksum_is_never_taken_for_a_digest() {
        let digest = Digest::of("x");
        let plain = digest.base64();
        let one = StoredObject::new(1, "\"9dd4\"", Some(&plain));
        assert_eq!((one.info.sha256, one.composite), (Some(digest), None));
        let numbered = format!("{plain}-3");
        for (etag, checksum) in [("\"9dd4-3\"", &numbered), ("\"9dd4-3\"", &plain), ("\"kms\"", &numbered)] {
            let parts = StoredObject::new(1, etag, Some(checksum));
            assert_eq!((parts.info.sha256, parts.composite.as_ref()), (None, Some(&numbered)), "{etag}");
        }
        let unknown = StoredObject::new(1, "\"9dd4-3\"", None);
        assert_eq!((unknown.info.sha256, unknown.composite), (None, None));
    }
}
