//! How a zip is written: order, window, progress, and the file after a failure.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::Digest as _;
use slipway_values::digest::Digest;

use super::{LARGEST_IN_MEMORY, WINDOW, write_within, write_zip};
use crate::{Error, Tree, read_zip};

/// Bytes that deflate can shorten a little, different for each seed.
fn content(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        b'a' + (state % 23) as u8
    })
    .take(length)
    .collect()
}

fn varied_tree() -> Tree {
    let mut tree = Tree::new();
    for number in 0..60_u64 {
        let length = [0, 1, 100, 5_000, 70_000, 400_000][(number % 6) as usize];
        tree.add_bytes(&format!("part-{number}/file"), number % 2 == 0, content(number, length))
            .expect("added");
    }
    tree
}

fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn zip_bytes_do_not_depend_on_the_window() {
    let folder = tempfile::tempdir().expect("a folder");
    let tree = varied_tree();
    let pack = |window| {
        let to = folder.path().join(format!("{window}.zip"));
        let written = write_within(&tree, &to, window, &|_| ()).expect("written");
        assert_eq!(written.size, fs::metadata(&to).expect("a zip").len());
        (written, fs::read(&to).expect("a zip"))
    };
    let whole = pack(WINDOW);
    // At 1, one file is compressed at a time.
    for window in [1, 2_000, 100_000, 1_000_000] {
        assert!(pack(window) == whole, "the bytes differ with a window of {window}");
    }
}

#[test]
fn zip_is_written_on_a_pool_with_one_thread() {
    let folder = tempfile::tempdir().expect("a folder");
    let tree = varied_tree();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
    let alone =
        pool.install(|| write_zip(&tree, &folder.path().join("alone.zip"), &|_| ())).expect("written");
    let shared = write_zip(&tree, &folder.path().join("shared.zip"), &|_| ()).expect("written");
    assert_eq!(alone, shared);
}

#[test]
fn entries_ahead_use_no_more_memory_than_the_window() {
    const WINDOW: u64 = 1_000_000;
    let mut tree = Tree::new();
    for number in 0..40 {
        tree.add_bytes(&format!("{number:02}"), false, content(number, 200_000)).expect("added");
    }
    let (worked, delivered, most) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    super::in_order(
        tree.iter(),
        WINDOW,
        |_, size| {
            let worked = worked.fetch_add(size, Ordering::SeqCst) + size;
            most.fetch_max(worked.saturating_sub(delivered.load(Ordering::SeqCst)), Ordering::SeqCst);
            Ok(size)
        },
        |piece| {
            let super::Piece::Compressed(size) = piece else { panic!("no piece is too large") };
            // The slower the writer, the further the workers would run ahead.
            std::thread::sleep(std::time::Duration::from_millis(3));
            delivered.fetch_add(size, Ordering::SeqCst);
            Ok(())
        },
    )
    .expect("done");
    assert_eq!(delivered.into_inner(), 8_000_000);
    // Each is in memory twice: unpacked and packed.
    let most = 2 * most.into_inner();
    assert!(most <= WINDOW, "{most} bytes were ahead");
    assert!(most > WINDOW / 2, "the window was hardly used: {most} bytes");
}

#[test]
fn progress_grows_to_the_unpacked_size() {
    let folder = tempfile::tempdir().expect("a folder");
    let reported = Mutex::new(Vec::new());
    let written = write_zip(&varied_tree(), &folder.path().join("a.zip"), &|done| {
        reported.lock().expect("one at a time").push(done);
    })
    .expect("written");
    let reported = reported.into_inner().expect("one at a time");
    assert!(reported.windows(2).all(|pair| pair[0] < pair[1]), "progress decreased: {reported:?}");
    assert_eq!(reported.last(), Some(&written.unpacked_size));
    assert_eq!(written.unpacked_size, 10 * (1 + 100 + 5_000 + 70_000 + 400_000));
}

#[test]
#[should_panic(expected = "the listener failed")]
fn panic_in_progress_is_propagated() {
    let folder = tempfile::tempdir().expect("a folder");
    let _ = write_zip(&varied_tree(), &folder.path().join("a.zip"), &|_| panic!("the listener failed"));
}

#[test]
fn failed_zip_keeps_the_previous_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = folder.path().join("source");
    fs::write(&source, content(1, 1_000)).expect("a file");
    let to = folder.path().join("a.zip");
    fs::write(&to, "what was there").expect("a file");

    let mut tree = varied_tree();
    tree.add_file("vanishes", false, &source).expect("added");
    fs::remove_file(&source).expect("removed");
    let error = write_zip(&tree, &to, &|_| ()).expect_err("a file is gone");
    assert!(matches!(&error, Error::Io { path, .. } if *path == source), "{error}");

    assert_eq!(fs::read_to_string(&to).expect("a file"), "what was there");
    assert_eq!(names_in(folder.path()), ["a.zip"]);
}

#[test]
fn zip_is_not_written_if_a_file_changes() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = folder.path().join("changing");
    let to = folder.path().join("a.zip");
    // Held in memory the one, streamed the other; a multiple of the portions' size, and not.
    for length in [200_000, 4 * 64 * 1024, LARGEST_IN_MEMORY as usize + 1] {
        for change in [0, 2, 70_000] {
            fs::write(&source, content(1, length)).expect("a file");
            let mut tree = Tree::new();
            tree.add_file("changing", false, &source).expect("added");
            // Progress is reported between two reads of the file.
            let resize = |_| {
                let file = fs::OpenOptions::new().write(true).open(&source).expect("the source");
                file.set_len(length as u64 - 1 + change).expect("another length");
            };
            let error = write_zip(&tree, &to, &resize).expect_err("it changed");
            assert!(matches!(&error, Error::Changed { path, .. } if *path == source), "{error}");
            assert_eq!(names_in(folder.path()), ["changing"]);
        }
    }
}

#[test]
fn incompressible_entries_are_stored() {
    let folder = tempfile::tempdir().expect("a folder");
    let to = folder.path().join("a.zip");
    let mut tree = Tree::new();
    let noise: Vec<u8> = (0..40_000_u64).flat_map(|n| sha2::Sha256::digest(n.to_le_bytes())).collect();
    for (name, bytes) in [
        ("empty", Vec::new()),
        ("letter", b"a".to_vec()),
        ("noise", noise.clone()),
        ("text", content(1, 9_000)),
    ] {
        tree.add_bytes(name, false, bytes).expect("added");
    }
    write_zip(&tree, &to, &|_| ()).expect("written");
    let mut zip = zip::ZipArchive::new(fs::File::open(&to).expect("a zip")).expect("a zip");
    let methods: Vec<_> = (0..zip.len())
        .map(|index| {
            let entry = zip.by_index(index).expect("an entry");
            (
                entry.name().expect("a name").into_owned(),
                entry.compression(),
                entry.compressed_size() <= entry.size(),
            )
        })
        .collect();
    let (stored, deflated) = (zip::CompressionMethod::Stored, zip::CompressionMethod::Deflated);
    let expected = [("empty", stored), ("letter", stored), ("noise", stored), ("text", deflated)];
    assert_eq!(methods, expected.map(|(name, method)| (name.to_owned(), method, true)));
    let mut unpacked = Vec::new();
    zip.by_name("noise").expect("noise").read_to_end(&mut unpacked).expect("read");
    assert!(unpacked == noise, "the noise came back changed");
}

#[test]
fn large_entries_are_streamed() {
    let folder = tempfile::tempdir().expect("a folder");
    let to = folder.path().join("a.zip");
    let mut tree = Tree::new();
    tree.add_bytes("before", false, content(1, 1_000)).expect("added");
    tree.add_bytes("long", true, content(2, LARGEST_IN_MEMORY as usize + 1)).expect("added");
    tree.add_bytes("then", false, content(3, 1_000)).expect("added");
    let written = write_zip(&tree, &to, &|_| ()).expect("written");
    assert!(written.size < LARGEST_IN_MEMORY, "the long file was not deflated");
    assert_eq!(read_zip(&to).expect("read"), written.listing);
    assert_eq!(
        written.sha256.hex(),
        "7889cdb15e82ef1c8a2efbb23199dbac40ae38cbdd06a013a7f8e52c0211de08",
        "another compressor than {}?",
        crate::compressor()
    );
}

#[test]
fn zip_replaces_the_previous_file_and_has_the_reported_digest() {
    let folder = tempfile::tempdir().expect("a folder");
    let to = folder.path().join("a.zip");
    fs::write(&to, "old").expect("a file");
    let mut tree = Tree::new();
    tree.add_bytes("greeting", false, b"hello".to_vec()).expect("added");
    let written = write_zip(&tree, &to, &|_| ()).expect("written");
    let bytes = fs::read(&to).expect("a zip");
    assert_eq!((written.sha256, written.size), (Digest::of(&bytes), bytes.len() as u64));

    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(bytes)).expect("a zip");
    let mut text = String::new();
    zip.by_name("greeting").expect("an entry").read_to_string(&mut text).expect("text");
    assert_eq!(text, "hello");
}

#[test]
fn missing_folder_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let to = folder.path().join("missing/a.zip");
    let error = write_zip(&Tree::new(), &to, &|_| ()).expect_err("no such folder");
    assert!(error.to_string().contains("missing"), "{error}");
}
