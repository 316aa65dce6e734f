//! Reads any bytes as a zip, for the fuzz target `zip`: `xtask/fuzz`.

use std::fs;

use crate::{mirror_zip, read_zip, unpack_zip};

/// Lists, unpacks and mirrors a zip.
///
/// # Panics
/// The three disagree about what it holds, or something was written beside the folders that were named.
pub fn zip(bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder");
    let archive = folder.path().join("a.zip");
    fs::write(&archive, bytes).expect("a file");
    let (unpacked, mirrored) = (folder.path().join("unpacked"), folder.path().join("mirrored"));
    let listing = read_zip(&archive);
    let unpacking = unpack_zip(&archive, &unpacked);
    let mirroring = mirror_zip(&archive, &mirrored, &|_| false);
    if unpacking.is_ok() {
        let listing = listing.as_ref().expect("a zip that can be unpacked");
        for entry in listing.entries() {
            let found = unpacked.join(&entry.path).symlink_metadata().expect("a file that is listed");
            assert_eq!(found.len(), entry.size, "{}", entry.path);
        }
    }
    if let Ok(mirrored) = mirroring {
        assert_eq!(mirrored, listing.expect("a zip that can be mirrored"));
    }
    for entry in folder.path().read_dir().expect("the folder") {
        let name = entry.expect("an entry").file_name();
        assert!(["a.zip", "unpacked", "mirrored"].iter().any(|known| name == *known), "{name:?}");
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn corpus_is_replayed_without_a_panic() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/zip");
        let (mut listed, mut panicked) = (0, Vec::new());
        for entry in folder.read_dir().expect("the corpus") {
            let path = entry.expect("an entry").path();
            let bytes = fs::read(&path).expect("a file");
            if std::panic::catch_unwind(|| zip(&bytes)).is_err() {
                panicked.push(path.clone());
            }
            listed += usize::from(read_zip(&path).is_ok());
        }
        assert!(panicked.is_empty(), "{panicked:?}");
        assert!(listed > 0, "the corpus has no zip that is accepted");
    }
}
