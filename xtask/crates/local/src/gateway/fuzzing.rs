//! Reads any bytes as an artifact's zip and as a layer, for the fuzz targets `zip` and `layer`: `xtask/fuzz`.

use super::layer::Layers;
use super::root_file_system::unpack_tar;
use super::tree::Tree;
use flate2::read::MultiGzDecoder;
use std::fs;
use tempfile::TempDir;

/// The number of bytes that layers may have.
const LIMIT: u64 = 16 << 20;

/// Unpacks the zip of a function.
///
/// # Panics
/// Something was written beside its folder.
pub fn zip(bytes: &[u8]) {
    let scene = Scene::new();
    let work = scene.folder.path().join("inner");
    let ready = work.join("ready");
    if super::artifacts::unpack(bytes, &work, &ready).is_err() {
        assert!(!ready.exists());
        assert_eq!(work.read_dir().expect("the work folder").count(), 0);
    }
    scene.assert_outside_is_unchanged();
}

/// Applies a layer, compressed or not, twice: the second time everything exists.
///
/// # Panics
/// Something outside the image was changed.
pub fn layer(bytes: &[u8]) {
    let scene = Scene::new();
    let tree = Tree::open(&scene.folder.path().join("inner")).expect("a tree");
    let mut layers = Layers::new(&tree, LIMIT);
    for _ in 0..2 {
        // What is refused is refused: only a panic is wrong.
        let _ = match bytes.starts_with(&[0x1f, 0x8b]) {
            true => unpack_tar(&mut layers, MultiGzDecoder::new(bytes)).0,
            false => unpack_tar(&mut layers, bytes).0,
        };
    }
    scene.assert_outside_is_unchanged();
}

/// A folder to unpack into, and one beside it that must not change.
struct Scene {
    folder: TempDir,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["inner", "outside"] {
            fs::create_dir(folder.path().join(name)).expect(name);
        }
        fs::write(folder.path().join("outside/precious"), "mine").expect("a file");
        Self { folder }
    }

    fn assert_outside_is_unchanged(&self) {
        let count = |name: &str| self.folder.path().join(name).read_dir().expect(name).count();
        assert_eq!((count(""), count("outside")), (2, 1));
        let precious = self.folder.path().join("outside/precious");
        assert_eq!(fs::read_to_string(precious).expect("precious"), "mine");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn corpora_are_replayed_without_a_panic() {
        for (target, read) in [("layer", layer as fn(&[u8])), ("zip", zip)] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
            let (mut count, mut panicked) = (0, Vec::new());
            for entry in folder.read_dir().unwrap() {
                let path = entry.unwrap().path();
                let bytes = fs::read(&path).unwrap();
                if std::panic::catch_unwind(|| read(&bytes)).is_err() {
                    panicked.push(path);
                }
                count += 1;
            }
            assert!(panicked.is_empty(), "{panicked:?}");
            assert!(count > 0, "{target} has no corpus");
        }
    }
}
