//! Zips of other tools that are refused, of which nothing is unpacked.

use std::fs;
use std::io::{Cursor, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::{read_zip, unpack_zip};
use crate::{Error, Tree, write_zip};

type Zip = ZipWriter<Cursor<Vec<u8>>>;

fn foreign(build: impl FnOnce(&mut Zip)) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    build(&mut zip);
    zip.finish().expect("a zip").into_inner()
}

fn file(zip: &mut Zip, name: &str, content: &str) {
    zip.start_file(name, SimpleFileOptions::default()).expect(name);
    zip.write_all(content.as_bytes()).expect(name);
}

/// Writes the bytes as a zip and checks that neither reading nor unpacking accepts them.
fn refusal(bytes: &[u8]) -> Error {
    let folder = tempfile::tempdir().expect("a folder");
    let archive = folder.path().join("foreign.zip");
    fs::write(&archive, bytes).expect("a zip");
    let to = folder.path().join("inner/out");
    fs::create_dir_all(to.parent().expect("a parent")).expect("a folder");

    let unpacking = unpack_zip(&archive, &to).expect_err("unpacking");
    assert_eq!(names_below(folder.path()), ["foreign.zip", "inner"], "after {unpacking}");
    let reading = read_zip(&archive).expect_err("reading");
    assert_eq!(reading.to_string(), unpacking.to_string());
    assert!(reading.to_string().contains("foreign.zip"), "{reading}");
    reading
}

fn names_below(folder: &Path) -> Vec<String> {
    walkdir::WalkDir::new(folder)
        .min_depth(1)
        .sort_by_file_name()
        .into_iter()
        .map(|entry| {
            let entry = entry.expect("an entry");
            entry.path().strip_prefix(folder).expect("below").display().to_string()
        })
        .collect()
}

fn replaced(mut bytes: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let places: Vec<usize> = bytes
        .windows(from.len())
        .enumerate()
        .filter(|(_, window)| *window == from)
        .map(|(at, _)| at)
        .collect();
    assert!(!places.is_empty(), "nothing to replace");
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
    bytes
}

#[test]
fn entries_that_leave_the_folder_are_refused() {
    for name in ["../evil", "/tmp/evil", "a/../../evil", "..\\evil", "a//b", "./a"] {
        let error = refusal(&foreign(|zip| {
            file(zip, "good", "good");
            file(zip, name, "evil");
        }));
        assert!(matches!(error, Error::RefusedEntry { .. }), "{error}");
        assert!(error.to_string().contains("cannot be stored"), "{error}");
    }
    let error = refusal(&foreign(|zip| {
        zip.add_directory("../evil", SimpleFileOptions::default()).expect("a folder entry");
    }));
    assert!(error.to_string().contains("`..`"), "{error}");
}

#[test]
fn duplicate_names_and_files_that_are_folders_are_refused() {
    let twice = foreign(|zip| {
        file(zip, "name-1", "one");
        file(zip, "name-2", "two");
    });
    let error = refusal(&replaced(twice, b"name-2", b"name-1"));
    assert!(error.to_string().contains("same name"), "{error}");

    let error = refusal(&foreign(|zip| {
        file(zip, "a", "file");
        file(zip, "a/b", "below a file");
    }));
    assert!(error.to_string().contains("\"a/b\" is below it"), "{error}");
}

#[test]
fn symbolic_links_that_could_lead_outside_are_refused() {
    for (name, target) in [
        ("link", "/etc/passwd"),
        ("link", ".."),
        ("a/link", "../../etc"),
        ("a/link", "b/../../.."),
        ("link", "a//b"),
        ("link", "."),
        ("link", ""),
    ] {
        let error = refusal(&foreign(|zip| {
            zip.add_symlink(name, target, SimpleFileOptions::default()).expect("a link");
        }));
        assert!(matches!(&error, Error::LinkInZip { name: found, .. } if found == name), "{target}: {error}");
    }
}

#[test]
fn links_to_folders_are_written_read_and_unpacked_as_links() {
    let folder = tempfile::tempdir().expect("a folder");
    let from = folder.path().join("from");
    std::fs::create_dir_all(from.join("m/.pnpm/a/m/a")).expect("folders");
    std::fs::write(from.join("m/.pnpm/a/m/a/index.js"), "x").expect("a file");
    std::os::unix::fs::symlink(".pnpm/a/m/a", from.join("m/a")).expect("a link");
    let tree = crate::Tree::from_folder(&from).expect("a tree");
    let path = folder.path().join("a.zip");
    let written = crate::write_zip(&tree, &path, &|_| {}).expect("a zip");
    assert_eq!(read_zip(&path).expect("read"), written.listing);
    let modes: Vec<u32> = written.listing.entries().iter().map(|entry| entry.mode).collect();
    assert_eq!(modes, [0o644, 0o120_777]);
    let to = folder.path().join("to");
    unpack_zip(&path, &to).expect("unpacked");
    assert_eq!(std::fs::read_link(to.join("m/a")).expect("a link"), std::path::Path::new(".pnpm/a/m/a"));
    assert_eq!(std::fs::read_to_string(to.join("m/a/index.js")).expect("a file"), "x");
}

#[test]
fn contents_with_wrong_size_or_checksum_are_refused() {
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let good = foreign(|zip| {
        zip.start_file("text", stored).expect("text");
        zip.write_all(b"the content").expect("text");
    });
    let error = refusal(&replaced(good, b"the content", b"The content"));
    assert!(matches!(&error, Error::DamagedEntry { name, .. } if name == "text"), "{error}");

    let long = foreign(|zip| file(zip, "zeros", &"0".repeat(1_000)));
    let declaring = |length: u32| replaced(long.clone(), &1_000_u32.to_le_bytes(), &length.to_le_bytes());
    let error = refusal(&declaring(999));
    assert!(matches!(&error, Error::DamagedEntry { name, .. } if name == "zeros"), "{error}");
    let error = refusal(&declaring(1_001));
    assert!(matches!(&error, Error::WrongSize { expected: 1_001, .. }), "{error}");

    let error = refusal(b"not a zip at all");
    assert!(matches!(error, Error::Zip { .. }), "{error}");
}

#[test]
fn zips_that_would_become_many_times_larger_are_refused() {
    let shared = foreign(|zip| {
        file(zip, "zeros", &"0".repeat(1_000));
        zip.shallow_copy_file("zeros", "again").expect("again");
    });
    let error = refusal(&shared);
    assert!(matches!(error, Error::Overlapping { .. }), "{error}");

    // The directory declares 2 GiB, and nothing is read.
    let long = foreign(|zip| file(zip, "zeros", &"0".repeat(1_000)));
    let error = refusal(&replaced(long, &1_000_u32.to_le_bytes(), &(1_u32 << 31).to_le_bytes()));
    assert!(matches!(error, Error::TooLarge { limit: super::LARGEST, .. }), "{error}");
}

#[test]
fn folder_entries_and_other_modes_are_ignored() {
    let folder = tempfile::tempdir().expect("a folder");
    let archive = folder.path().join("foreign.zip");
    let bytes = foreign(|zip| {
        zip.add_directory("bin", SimpleFileOptions::default()).expect("a folder entry");
        zip.start_file("bin/run", SimpleFileOptions::default().unix_permissions(0o700)).expect("run");
        zip.start_file("bin/read", SimpleFileOptions::default().unix_permissions(0o600)).expect("read");
    });
    fs::write(&archive, bytes).expect("a zip");
    let listing = read_zip(&archive).expect("read");
    let modes: Vec<_> = listing.entries().iter().map(|entry| (entry.path.as_str(), entry.mode)).collect();
    assert_eq!(modes, [("bin/read", 0o644), ("bin/run", 0o755)]);
}

fn packed() -> (TempDir, PathBuf, crate::Listing) {
    let folder = tempfile::tempdir().expect("a folder");
    let archive = folder.path().join("a.zip");
    let mut tree = Tree::new();
    tree.add_bytes("bootstrap", true, vec![0x7f; 100_000]).expect("added");
    tree.add_bytes("data/wörds.txt", false, b"words".to_vec()).expect("added");
    tree.add_bytes("data/empty", false, vec![]).expect("added");
    let written = write_zip(&tree, &archive, &|_| ()).expect("written");
    (folder, archive, written.listing)
}

#[test]
fn unpacked_files_keep_content_and_executable_bit() {
    let (folder, archive, listing) = packed();
    assert_eq!(read_zip(&archive).expect("read"), listing);

    let to = folder.path().join("out");
    unpack_zip(&archive, &to).expect("unpacked");
    assert_eq!(names_below(&to), ["bootstrap", "data", "data/empty", "data/wörds.txt"]);
    assert_eq!(fs::read(to.join("data/wörds.txt")).expect("a file"), b"words");
    let mode = |name: &str| fs::metadata(to.join(name)).expect(name).permissions().mode() & 0o7777;
    assert_eq!((mode("bootstrap"), mode("data/wörds.txt")), (0o755, 0o644));

    let again = folder.path().join("again.zip");
    let written = write_zip(&Tree::from_folder(&to).expect("a tree"), &again, &|_| ()).expect("written");
    assert_eq!(written.listing, listing);
    assert_eq!(fs::read(again).expect("a zip"), fs::read(archive).expect("a zip"));
}

#[test]
fn zip_is_unpacked_only_into_an_empty_folder() {
    let (folder, archive, _) = packed();
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).expect("a folder");
    unpack_zip(&archive, &empty).expect("unpacked");
    assert!(empty.join("bootstrap").is_file());

    let error = unpack_zip(&archive, &empty).expect_err("occupied");
    assert!(matches!(&error, Error::Occupied { path } if *path == empty), "{error}");
    let error = unpack_zip(&archive, &archive).expect_err("a file");
    assert!(matches!(error, Error::Occupied { .. }), "{error}");
    assert_eq!(names_below(folder.path()).iter().filter(|name| name.contains(".part")).count(), 0);
}
