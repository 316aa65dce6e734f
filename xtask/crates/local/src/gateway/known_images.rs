//! Which image a function's CodeSha256 in the emulator stands for.
//!
//! The emulator takes the SHA-256 of the URI's text for the code's digest. In: URIs as functions are given them, with
//! the digest of the manifest that they meant at that moment. Out: both, by the emulator's hash. They lie beside the
//! images, so that a gateway that is started anew knows them.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

/// An image that a function was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KnownImage {
    /// As it was given.
    pub(super) image_uri: String,
    /// Of its manifest, `sha256:<hex>`.
    pub(super) digest: String,
}

/// The images that functions were given.
pub(crate) struct KnownImages {
    folder: PathBuf,
}

impl KnownImages {
    pub(crate) fn open(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        Ok(Self { folder })
    }

    /// Notes down what an URI means now.
    pub(super) fn add(&self, known: &KnownImage) -> io::Result<()> {
        let hash = hex::encode(Sha256::digest(&known.image_uri));
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(&serde_json::to_vec(known)?)?;
        file.persist(self.folder.join(hash)).map(drop).map_err(|error| error.error)
    }

    /// Finds an image by the emulator's hash.
    pub(super) fn find(&self, hash: &str) -> Option<KnownImage> {
        let hexadecimal = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        let content = fs::read(self.folder.join(hash)).ok().filter(|_| hexadecimal)?;
        serde_json::from_slice(&content).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_known_by_the_emulators_hash_also_to_the_next_gateway() {
        let folder = tempfile::tempdir().unwrap();
        let known = KnownImage { image_uri: "host/a:1".to_owned(), digest: "sha256:00".to_owned() };
        let hash = hex::encode(Sha256::digest("host/a:1"));
        KnownImages::open(folder.path().to_owned()).unwrap().add(&known).unwrap();
        let images = KnownImages::open(folder.path().to_owned()).unwrap();
        assert_eq!(images.find(&hash), Some(known));
        assert_eq!(images.find(&"0".repeat(64)), None);
        assert_eq!(images.find("../etc/passwd"), None);
    }
}
