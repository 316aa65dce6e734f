//! SHA-256 in the forms that S3 uses.
//!
//! In: bytes, or a checksum header. Out: 32 bytes, or base64. A header that is no plain SHA-256 is `None`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest as _, Sha256};

/// Hashes bytes that are all there.
pub(crate) fn of(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Writes a digest as S3's headers carry it.
pub(crate) fn base64(digest: &[u8; 32]) -> String {
    BASE64.encode(digest)
}

/// Reads a checksum of a whole object or part; a composite one (`…-3`) is `None`.
pub(crate) fn from_base64(text: &str) -> Option<[u8; 32]> {
    BASE64.decode(text).ok()?.try_into().ok()
}

/// Computes the checksum of checksums that S3 gives an object uploaded in parts, `<base64>-<parts>`.
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html>
pub(crate) fn composite(parts: &[[u8; 32]]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    format!("{}-{}", BASE64.encode(hasher.finalize()), parts.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_back_and_a_composite_one_is_not_taken_for_a_digest() {
        let digest = of(b"hello");
        assert_eq!(hex::encode(digest), "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
        assert_eq!(from_base64(&base64(&digest)), Some(digest));
        let composite = composite(&[digest, of(b"world")]);
        assert!(composite.ends_with("=-2"), "{composite}");
        assert_eq!(from_base64(&composite), None);
    }
}
