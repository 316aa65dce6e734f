//! The images behind the CodeSha256 values of the emulator.
//!
//! The emulator takes the SHA-256 of the image URI's text for the code's digest. In: the image URIs of functions, and the
//! digest of the manifest that each named at that moment. Out: both, by the emulator's hash. They are stored beside the
//! images, so that the next gateway knows them.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

/// The image of a function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KnownImage {
    /// As the client gave it.
    pub(super) image_uri: String,
    /// The digest of the manifest, `sha256:<hex>`.
    pub(super) digest: String,
}

/// The images of functions.
pub(crate) struct KnownImages {
    folder: PathBuf,
}

impl KnownImages {
    pub(crate) fn open(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        Ok(Self { folder })
    }

    /// Records which manifest an image URI names now.
    pub(super) fn add(&self, image: &KnownImage) -> io::Result<()> {
        let hash = hex::encode(Sha256::digest(&image.image_uri));
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(&serde_json::to_vec(image)?)?;
        file.persist(self.folder.join(hash)).map(drop).map_err(|error| error.error)
    }

    /// Returns an image by the emulator's hash.
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
    fn images_are_known_to_the_next_gateway_by_the_emulators_hash() {
        let folder = tempfile::tempdir().unwrap();
        let image = KnownImage { image_uri: "host/a:1".to_owned(), digest: "sha256:00".to_owned() };
        let hash = hex::encode(Sha256::digest("host/a:1"));
        KnownImages::open(folder.path().to_owned()).unwrap().add(&image).unwrap();
        let images = KnownImages::open(folder.path().to_owned()).unwrap();
        assert_eq!(images.find(&hash), Some(image));
        assert_eq!(images.find(&"0".repeat(64)), None);
        assert_eq!(images.find("../etc/passwd"), None);
    }
}
