//! How a zip is written: order, window, progress, and what stands there after a failure.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{WINDOW, write_within, write_zip};
use crate::{Error, Tree};

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
fn the_window_does_not_show_in_the_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let tree = varied_tree();
    let pack = |window| {
        let to = folder.path().join(format!("{window}.zip"));
        let written = write_within(&tree, &to, window, &|_| ()).expect("written");
        assert_eq!(written.size, fs::metadata(&to).expect("a zip").len());
        (written, fs::read(&to).expect("a zip"))
    };
    let whole = pack(WINDOW);
    // At 1, all but two kinds of files are longer than the window and are streamed.
    for window in [1, 2_000, 100_000, 1_000_000] {
        assert!(pack(window) == whole, "the bytes differ with a window of {window}");
    }
}

#[test]
fn works_on_a_thread_of_a_pool_that_has_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let tree = varied_tree();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
    let alone =
        pool.install(|| write_zip(&tree, &folder.path().join("alone.zip"), &|_| ())).expect("written");
    let shared = write_zip(&tree, &folder.path().join("shared.zip"), &|_| ()).expect("written");
    assert_eq!(alone, shared);
}

#[test]
fn compresses_no_further_ahead_than_the_window() {
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
            let super::Piece::Ready(size) = piece else { panic!("no piece is longer than the window") };
            // The slower the writer, the further the workers would run ahead.
            std::thread::sleep(std::time::Duration::from_millis(3));
            delivered.fetch_add(size, Ordering::SeqCst);
            Ok(())
        },
    )
    .expect("done");
    assert_eq!(delivered.into_inner(), 8_000_000);
    let most = most.into_inner();
    assert!(most <= WINDOW, "{most} bytes were ahead");
    assert!(most > WINDOW / 2, "the window was hardly used: {most} bytes");
}

#[test]
fn progress_grows_to_the_unpacked_size() {
    let folder = tempfile::tempdir().expect("a folder");
    let told = Mutex::new(Vec::new());
    let written = write_zip(&varied_tree(), &folder.path().join("a.zip"), &|done| {
        told.lock().expect("one at a time").push(done);
    })
    .expect("written");
    let told = told.into_inner().expect("one at a time");
    assert!(told.windows(2).all(|pair| pair[0] < pair[1]), "progress went back: {told:?}");
    assert_eq!(told.last(), Some(&written.unpacked_size));
    assert_eq!(written.unpacked_size, 10 * (1 + 100 + 5_000 + 70_000 + 400_000));
}

#[test]
#[should_panic(expected = "the listener failed")]
fn a_panic_of_the_listener_is_passed_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let _ = write_zip(&varied_tree(), &folder.path().join("a.zip"), &|_| panic!("the listener failed"));
}

#[test]
fn a_failure_leaves_what_was_there() {
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
fn a_file_that_grows_meanwhile_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = folder.path().join("growing");
    fs::write(&source, content(1, 200_000)).expect("a file");
    let mut tree = Tree::new();
    tree.add_file("growing", false, &source).expect("added");
    // Progress is reported between two reads of the file.
    let grow = |_| {
        let mut file = fs::OpenOptions::new().append(true).open(&source).expect("the source");
        std::io::Write::write_all(&mut file, b"more").expect("appended");
    };
    for window in [WINDOW, 1] {
        let to = folder.path().join("a.zip");
        let error = write_within(&tree, &to, window, &grow).expect_err("it grew");
        assert!(matches!(&error, Error::Changed { path, .. } if *path == source), "{error}");
        assert!(!to.exists());
    }
}

#[test]
fn replaces_what_was_there_and_reports_its_digest() {
    let folder = tempfile::tempdir().expect("a folder");
    let to = folder.path().join("a.zip");
    fs::write(&to, "old").expect("a file");
    let mut tree = Tree::new();
    tree.add_bytes("greeting", false, b"hello".to_vec()).expect("added");
    let written = write_zip(&tree, &to, &|_| ()).expect("written");
    let bytes = fs::read(&to).expect("a zip");
    let digest: [u8; 32] =
        sha2::Digest::finalize(sha2::Digest::chain_update(sha2::Sha256::default(), &bytes)).into();
    assert_eq!((written.sha256, written.size), (digest, bytes.len() as u64));

    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(bytes)).expect("a zip");
    let mut text = String::new();
    zip.by_name("greeting").expect("an entry").read_to_string(&mut text).expect("text");
    assert_eq!(text, "hello");
}

#[test]
fn a_missing_folder_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let to = folder.path().join("missing/a.zip");
    let error = write_zip(&Tree::new(), &to, &|_| ()).expect_err("no such folder");
    assert!(error.to_string().contains("missing"), "{error}");
}
