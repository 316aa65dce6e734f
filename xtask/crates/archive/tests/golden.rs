//! Fixes the exact bytes of a zip, a layer and an image. A failure here means that releases would get other digests than before.
//!
//! Where the compressor was changed on purpose, `compressor()` names the new one and the hash here is updated. The
//! content digest must stay the same: it identifies the content whatever the compressor.

use std::fs;

use slipway_archive::image::{Architecture, ConfigEdit, compose};
use slipway_archive::{Tree, compressor, layer_compressor, write_layer, write_zip};

/// Text, numbers and noise from a fixed generator (SplitMix64), so that the encoder meets matches and literals.
fn sample(length: usize) -> Vec<u8> {
    let words = ["release", "artifact", "digest", "alias", "ledger", "Lambda", "ärger", "\n", "0123456789"];
    let mut state = 0x5113_u64;
    let mut bytes = Vec::with_capacity(length + 16);
    while bytes.len() < length {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = state;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^= number >> 31;
        if number.is_multiple_of(11) {
            bytes.extend(number.to_le_bytes());
        } else {
            bytes.extend(words[(number % words.len() as u64) as usize].bytes());
        }
    }
    bytes.truncate(length);
    bytes
}

fn sample_tree() -> Tree {
    let mut tree = Tree::new();
    tree.add_bytes("bootstrap", true, sample(1_000_000)).expect("added");
    tree.add_bytes("lib/größe.py", false, sample(70_000)).expect("added");
    tree.add_bytes("lib/__init__.py", false, Vec::new()).expect("added");
    tree.add_bytes("zeros", false, vec![0; 300_000]).expect("added");
    tree
}

#[test]
fn zip_bytes_never_change() {
    let tree = sample_tree();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("golden.zip");
    let written = write_zip(&tree, &path, &|_| ()).expect("written");

    assert_eq!(
        written.listing.content_digest().hex(),
        "bd61ed453d0a61d019b80358d3a0a7b29321b09675d9056a6b303d2dea2a9da3",
        "the canonical listing must never change"
    );
    assert_eq!(
        written.sha256.hex(),
        "e9b2c135da2bbaf3033ac0add7a56fd865a80d9b7fbc47dbfbda074e41e59886",
        "another compressor than {}?",
        compressor()
    );
    assert_eq!(written.size, fs::metadata(&path).expect("a zip").len());
}

#[test]
fn layer_and_image_bytes_never_change() {
    const TIME: i64 = 1_700_000_000;
    let folder = tempfile::tempdir().expect("a folder");
    let to = folder.path().join("layer.tar.gz");
    let mut tree = sample_tree();
    let long = format!("{}/{}", "d".repeat(150), "f".repeat(150));
    tree.add_bytes(&long, false, b"a name that needs a pax record".to_vec()).expect("added");
    let layer = write_layer(&tree, "var/task", TIME, &to, &|_| ()).expect("written");
    assert_eq!(
        layer.diff_id.hex(),
        "59816b71a7cb21d03a2ec7646d82b693664de9d77b8a3d4d5ca1ff7a420d9a73",
        "the unpacked layer must never change: layers of a base would be uploaded again"
    );
    assert_eq!(
        layer.digest.hex(),
        "d28bb59231286d36096fba04accc71fb8d8bb0f254ad3122ce8c4ccbbf531a37",
        "another compressor than {}?",
        layer_compressor()
    );

    let edit = ConfigEdit {
        entrypoint: Some(vec!["/var/task/bootstrap".into()]),
        labels: [("org.opencontainers.image.version".to_owned(), "1.4.2".to_owned())].into(),
        env: [("LANG".to_owned(), "C.UTF-8".to_owned())].into(),
        ..ConfigEdit::new(Architecture::X86_64, TIME)
    };
    let image = compose(None, &[(&layer, "code")], &edit).expect("made");
    assert_eq!(
        image.digest.hex(),
        "aaff0af1fed69d0b6239c9d13e02443dc0f939f55b930757e5cdc9af87db4adb",
        "{}",
        String::from_utf8_lossy(&image.manifest)
    );
}
