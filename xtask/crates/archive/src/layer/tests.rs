//! The content of layers, read with the `tar` crate, and what is refused.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use slipway_values::digest::Digest;
use tempfile::TempDir;

use super::{Layer, write_layer};
use crate::{Error, Tree};

const TIME: i64 = 1_700_000_000;

fn tree(names: &[&str]) -> Tree {
    let mut tree = Tree::new();
    for name in names {
        tree.add_bytes(name, name.ends_with("run"), name.as_bytes().to_vec()).expect(name);
    }
    tree
}

fn written(tree: &Tree, prefix: &str) -> (TempDir, Layer, Vec<u8>) {
    let folder = tempfile::tempdir().expect("a folder");
    let to = folder.path().join("layer.tar.gz");
    let layer = write_layer(tree, prefix, TIME, &to, &|_| ()).expect("written");
    let bytes = fs::read(&to).expect("a layer");
    (folder, layer, bytes)
}

/// Reads a layer with one gzip member, to its end.
fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let mut tar = Vec::new();
    let mut gzip = GzDecoder::new(bytes);
    gzip.read_to_end(&mut tar).expect("gzip");
    assert!(gzip.into_inner().is_empty(), "something follows the gzip member");
    tar
}

/// Returns name, type, mode and content of each entry, after checking what all have in common.
fn entries(tar: &[u8]) -> Vec<(String, tar::EntryType, u32, Vec<u8>)> {
    let mut archive = tar::Archive::new(tar);
    let entries = archive.entries().expect("a tar");
    entries
        .map(|entry| {
            let mut entry = entry.expect("an entry");
            let header = entry.header().clone();
            assert_eq!((header.uid().expect("uid"), header.gid().expect("gid")), (0, 0));
            assert_eq!(header.mtime().expect("mtime"), TIME as u64);
            assert_eq!((header.username(), header.groupname()), (Ok(Some("")), Ok(Some(""))));
            let name = String::from_utf8(entry.path_bytes().into_owned()).expect("UTF-8");
            let mut content = Vec::new();
            entry.read_to_end(&mut content).expect("content");
            (name, header.entry_type(), header.mode().expect("mode"), content)
        })
        .collect()
}

#[test]
fn layer_has_each_folder_before_its_entries() {
    let (_folder, layer, bytes) = written(&tree(&["a/b/run", "a-b", "a/c", "run", "a/b-c/x"]), "var/task");
    let tar = unpacked(&bytes);
    let found = entries(&tar);
    let described: Vec<_> = found.iter().map(|(name, _, mode, _)| (name.as_str(), *mode)).collect();
    assert_eq!(
        described,
        [
            ("var/", 0o755),
            ("var/task/", 0o755),
            ("var/task/a-b", 0o644),
            ("var/task/a/", 0o755),
            ("var/task/a/b-c/", 0o755),
            ("var/task/a/b-c/x", 0o644),
            ("var/task/a/b/", 0o755),
            ("var/task/a/b/run", 0o755),
            ("var/task/a/c", 0o644),
            ("var/task/run", 0o755),
        ]
    );
    assert!(described.is_sorted(), "not sorted");
    for (name, kind, _, content) in &found {
        assert_eq!(kind.is_dir(), name.ends_with('/'), "{name}");
        if !kind.is_dir() {
            assert_eq!(format!("var/task/{}", String::from_utf8_lossy(content)), *name);
        }
    }
    assert_eq!(layer.digest, Digest::of(&bytes));
    assert_eq!(layer.diff_id, Digest::of(&tar));
    assert_eq!((layer.size, layer.unpacked_size), (bytes.len() as u64, tar.len() as u64));
    assert!(tar.len().is_multiple_of(512) && tar.ends_with(&[0; 1024]), "no end of the tar");
    assert_eq!(layer.listing.entries().len(), 5);
    // Magic, deflate, no flags, no time, no extra flags, unknown system.
    assert_eq!(bytes[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
}

#[test]
fn layer_has_the_prefix_also_for_an_empty_tree() {
    let (_folder, _, bytes) = written(&tree(&[]), "opt/python");
    let names: Vec<_> = entries(&unpacked(&bytes)).into_iter().map(|entry| entry.0).collect();
    assert_eq!(names, ["opt/", "opt/python/"]);
    let (_folder, _, bytes) = written(&tree(&["bin/run"]), "");
    let names: Vec<_> = entries(&unpacked(&bytes)).into_iter().map(|entry| entry.0).collect();
    assert_eq!(names, ["bin/", "bin/run"]);
}

#[test]
fn layer_stores_names_longer_than_a_header() {
    let split = format!("{}/{}", "d".repeat(150), "f".repeat(90)); // fits ustar's two fields
    let long = format!("{}/{}/x", "é".repeat(120), "g".repeat(130)); // fits no header
    let names = [split.as_str(), long.as_str()];
    let (_folder, _, bytes) = written(&tree(&names), "p");
    let found: BTreeMap<_, _> =
        entries(&unpacked(&bytes)).into_iter().map(|(name, _, _, content)| (name, content)).collect();
    for name in names {
        assert_eq!(found.get(&format!("p/{name}")).map(Vec::as_slice), Some(name.as_bytes()), "{name}");
    }
    let folder = format!("p/{}/", long.trim_end_matches("/x"));
    assert!(found.contains_key(&folder), "{folder} is missing");
    assert_eq!(found.len(), 6, "{:?}", found.keys());
}

#[test]
fn layer_refuses_names_that_delete_or_leave_the_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let to = folder.path().join("layer.tar.gz");
    let refusal = |tree: &Tree, prefix: &str, time| {
        let error = write_layer(tree, prefix, time, &to, &|_| ()).expect_err("refused");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0, "after {error}");
        error
    };
    for name in [".wh.run", "a/.wh..wh..opq", ".wh.a/run"] {
        let error = refusal(&tree(&[name]), "var/task", TIME);
        assert!(error.to_string().contains("deletes files"), "{error}");
        assert!(error.to_string().contains(name), "{error}");
    }
    for prefix in ["/var/task", "../up", "var/task/", "a//b"] {
        let error = refusal(&tree(&["run"]), prefix, TIME);
        assert!(matches!(&error, Error::Name { name, .. } if name == prefix), "{error}");
    }
    for time in [-1, 1 << 33] {
        let error = refusal(&tree(&["run"]), "", time);
        assert!(error.to_string().contains(&time.to_string()), "{error}");
    }
}

#[test]
fn layer_is_not_written_if_a_file_changes_or_disappears() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = folder.path().join("source");
    let to = folder.path().join("layer.tar.gz");
    fs::write(&to, "what was there").expect("a file");
    for length in [199_999, 200_001] {
        fs::write(&source, vec![b'x'; 200_000]).expect("a file");
        let mut tree = Tree::new();
        tree.add_file("changing", false, &source).expect("added");
        let resize = |_| {
            let file = fs::OpenOptions::new().write(true).open(&source).expect("the source");
            file.set_len(length).expect("another length");
        };
        let error = write_layer(&tree, "", TIME, &to, &resize).expect_err("it changed");
        assert!(matches!(&error, Error::Changed { path, .. } if *path == source), "{error}");
        fs::remove_file(&source).expect("removed");
        let error = write_layer(&tree, "", TIME, &to, &|_| ()).expect_err("it is gone");
        assert!(matches!(&error, Error::Io { path, .. } if *path == source), "{error}");
        assert_eq!(fs::read_to_string(&to).expect("a file"), "what was there");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }
}

#[test]
fn layer_time_does_not_change_the_content_digest() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, time| {
        let to = folder.path().join(name);
        write_layer(&tree(&["run"]), "", time, Path::new(&to), &|_| ()).expect("written")
    };
    let (first, again, later) = (write("a", TIME), write("b", TIME), write("c", TIME + 1));
    assert_eq!(first, again);
    assert_ne!(first.diff_id, later.diff_id);
    assert_eq!(first.content_digest(), later.content_digest());
}

#[test]
fn links_to_folders_are_links_in_a_layer() {
    let folder = tempfile::tempdir().expect("a folder");
    let deep = "very-long-name-of-a-folder/".repeat(5);
    let from = folder.path().join("from");
    std::fs::create_dir_all(from.join(&deep)).expect("folders");
    std::fs::write(from.join(&deep).join("file"), "x").expect("a file");
    std::os::unix::fs::symlink(&deep, from.join("short")).expect("a link");
    let tree = Tree::from_folder(&from).expect("a tree");
    let path = folder.path().join("layer.tar.gz");
    let layer = write_layer(&tree, "var/task", 0, &path, &|_| {}).expect("a layer");
    let file = std::fs::File::open(&path).expect("the layer");
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(file));
    let links: Vec<(String, String)> = tar
        .entries()
        .expect("entries")
        .map(|entry| entry.expect("an entry"))
        .filter(|entry| entry.header().entry_type().is_symlink())
        .map(|entry| {
            let target = entry.link_name().expect("a target").expect("a target");
            let name = entry.path().expect("a name");
            (name.display().to_string(), target.display().to_string())
        })
        .collect();
    assert_eq!(links, [("var/task/short".to_owned(), deep.trim_end_matches('/').to_owned())]);
    assert_eq!(layer.listing.entries().len(), 2);
}
