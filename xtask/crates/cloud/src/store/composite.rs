//! Composite checksums: the SHA-256 that S3 keeps of objects uploaded in parts.

use sha2::{Digest as _, Sha256};
use slipway_values::digest::Digest;

/// Returns the checksum of checksums that S3 stores for an object uploaded in parts, `<base64>-<parts>`.
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html>
pub(super) fn composite_checksum(parts: &[Digest]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part.bytes());
    }
    format!("{}-{}", Digest::from(hasher).base64(), parts.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn composite_checksums_are_not_taken_for_digests() {
        let composite = composite_checksum(&[Digest::of("hello"), Digest::of("world")]);
        assert!(composite.ends_with("=-2"), "{composite}");
        assert_eq!(Digest::from_base64(&composite), None);
    }
}
