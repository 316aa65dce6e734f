//! Fixes the exact bytes of a zip. A failure here means that releases would get other digests than before.
//!
//! If the compressor was changed on purpose, `compressor()` names the new one and the zip's hash is renewed. The
//! content digest must stay: it is the identity that survives a new compressor.

use std::fs;

use slipway_archive::{Tree, compressor, write_zip};

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

#[test]
fn the_bytes_of_a_zip_never_change() {
    let mut tree = Tree::new();
    tree.add_bytes("bootstrap", true, sample(1_000_000)).expect("added");
    tree.add_bytes("lib/größe.py", false, sample(70_000)).expect("added");
    tree.add_bytes("lib/__init__.py", false, Vec::new()).expect("added");
    tree.add_bytes("zeros", false, vec![0; 300_000]).expect("added");

    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("golden.zip");
    let written = write_zip(&tree, &path, &|_| ()).expect("written");

    assert_eq!(
        hex::encode(written.listing.content_digest()),
        "bd61ed453d0a61d019b80358d3a0a7b29321b09675d9056a6b303d2dea2a9da3",
        "the canonical listing must never change"
    );
    assert_eq!(
        hex::encode(written.sha256),
        "b3b199cb109566ed50548f874dc4675c0df78c84bed6727cfdcba31a775a76fe",
        "another compressor than {}?",
        compressor()
    );
    assert_eq!(written.size, fs::metadata(&path).expect("a zip").len());
}
