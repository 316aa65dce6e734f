use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

use tempfile::TempDir;

use super::Tree;
use crate::Error;

fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir_all(folder.path().join("lib/empty")).expect("folders");
    fs::write(folder.path().join("lib/b.py"), "b").expect("b.py");
    fs::write(folder.path().join("run"), "run").expect("run");
    let executable = fs::Permissions::from_mode(0o700);
    fs::set_permissions(folder.path().join("run"), executable).expect("mode");
    folder
}

fn described(tree: &Tree) -> Vec<(&str, bool, u64)> {
    tree.iter().map(|entry| (entry.name(), entry.executable(), entry.size().expect("a size"))).collect()
}

#[test]
fn tree_of_a_folder_is_sorted_and_has_no_folders() {
    let folder = folder();
    let tree = Tree::from_folder(folder.path()).expect("a tree");
    assert_eq!(described(&tree), [("lib/b.py", false, 1), ("run", true, 3)]);
    assert_eq!((tree.len(), tree.is_empty()), (2, false));
}

#[test]
fn links_to_files_in_the_tree_are_stored_as_their_content() {
    let folder = folder();
    symlink("../run", folder.path().join("lib/also")).expect("a link");
    symlink("lib/also", folder.path().join("link-to-link")).expect("a link");
    let tree = Tree::from_folder(folder.path()).expect("a tree");
    assert_eq!(
        described(&tree),
        [("lib/also", true, 3), ("lib/b.py", false, 1), ("link-to-link", true, 3), ("run", true, 3)]
    );
}

#[test]
fn folder_may_be_given_as_a_link() {
    let folder = folder();
    let outside = tempfile::tempdir().expect("a folder");
    let alias = outside.path().join("alias");
    symlink(folder.path(), &alias).expect("a link");
    assert_eq!(Tree::from_folder(&alias).expect("a tree").len(), 2);
}

#[test]
fn links_that_leave_or_are_broken_are_refused_by_name() {
    let outside = tempfile::tempdir().expect("a folder");
    fs::write(outside.path().join("secret"), "secret").expect("a file");

    let escaping = folder();
    symlink(outside.path().join("secret"), escaping.path().join("lib/leak")).expect("a link");
    let error = Tree::from_folder(escaping.path()).expect_err("escapes");
    assert!(matches!(error, Error::LinkEscapes { .. }), "{error}");
    assert!(error.to_string().contains("lib/leak"), "{error}");
    assert!(error.to_string().contains("secret"), "{error}");

    let broken = folder();
    symlink("nowhere", broken.path().join("gone")).expect("a link");
    let error = Tree::from_folder(broken.path()).expect_err("broken");
    assert!(matches!(error, Error::LinkBroken { .. }), "{error}");
    assert!(error.to_string().contains("gone"), "{error}");

    let looping = folder();
    symlink("..", looping.path().join("lib/up")).expect("a link");
    let error = Tree::from_folder(looping.path()).expect_err("a folder");
    assert!(matches!(error, Error::LinkCycle { .. }), "{error}");
    assert!(error.to_string().contains("lib/up"), "{error}");
}

#[test]
fn links_to_folders_stay_links_as_pnpm_makes_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let modules = folder.path().join("node_modules");
    for package in ["a@1/node_modules/a", "b@1/node_modules/b"] {
        fs::create_dir_all(modules.join(".pnpm").join(package)).expect("folders");
        fs::write(modules.join(".pnpm").join(package).join("index.js"), package).expect("a file");
    }
    fs::create_dir(modules.join("empty")).expect("a folder");
    for (target, link) in [
        (".pnpm/a@1/node_modules/a", "a"),
        ("../../b@1/node_modules/b", ".pnpm/a@1/node_modules/b"),
        ("../../a@1/node_modules/a", ".pnpm/b@1/node_modules/a"),
        ("empty", "to-nothing"),
    ] {
        symlink(target, modules.join(link)).expect("a link");
    }
    // An absolute link is stored as a relative one: its target has another path in Lambda.
    symlink(modules.join(".pnpm/b@1/node_modules/b"), folder.path().join("absolute")).expect("a link");
    let tree = Tree::from_folder(folder.path()).expect("a tree");
    let links: Vec<_> = tree.iter().filter_map(|entry| Some((entry.name(), entry.link()?))).collect();
    assert_eq!(
        links,
        [
            ("absolute", "node_modules/.pnpm/b@1/node_modules/b"),
            ("node_modules/.pnpm/a@1/node_modules/b", "../../b@1/node_modules/b"),
            ("node_modules/.pnpm/b@1/node_modules/a", "../../a@1/node_modules/a"),
            ("node_modules/a", ".pnpm/a@1/node_modules/a"),
        ]
    );
    assert_eq!(tree.len(), 6);
}

#[test]
fn folders_that_contain_themselves_through_links_are_refused() {
    let folder = folder();
    fs::create_dir(folder.path().join("other")).expect("a folder");
    symlink("../other", folder.path().join("lib/there")).expect("a link");
    assert!(Tree::from_folder(folder.path()).is_ok());
    symlink("../lib", folder.path().join("other/back")).expect("a link");
    let error = Tree::from_folder(folder.path()).expect_err("a circle");
    assert!(matches!(&error, Error::LinkCycle { link, .. } if link.ends_with("lib/there")), "{error}");
}

#[test]
fn link_circles_and_names_that_are_not_utf8_are_refused() {
    let round = folder();
    symlink("there", round.path().join("here")).expect("a link");
    symlink("here", round.path().join("there")).expect("a link");
    let error = Tree::from_folder(round.path()).expect_err("round and round");
    assert!(matches!(error, Error::LinkBroken { .. }), "{error}");
    assert!(error.to_string().contains("here"), "{error}");

    let odd = folder();
    fs::write(odd.path().join(OsStr::from_bytes(b"lib/caf\xe9")), "").expect("a file");
    let error = Tree::from_folder(odd.path()).expect_err("Latin-1");
    assert!(error.to_string().contains("lib/caf\u{fffd}"), "{error}");
    assert!(error.to_string().contains("not UTF-8"), "{error}");
}

#[test]
fn sockets_and_folders_are_refused_as_files() {
    let with_socket = folder();
    let _listener = UnixListener::bind(with_socket.path().join("socket")).expect("a socket");
    let error = Tree::from_folder(with_socket.path()).expect_err("a socket");
    assert!(matches!(&error, Error::NotAFile { path } if path.ends_with("socket")), "{error}");

    let mut tree = Tree::new();
    let error = tree.add_file("x", false, with_socket.path()).expect_err("a folder");
    assert!(matches!(error, Error::NotAFile { .. }), "{error}");
    let missing = with_socket.path().join("missing");
    assert!(matches!(tree.add_file("x", false, missing), Err(Error::Io { .. })));
    assert!(tree.is_empty());
}

#[test]
fn unsafe_and_duplicate_names_are_refused() {
    let mut tree = Tree::default();
    tree.add_bytes("a/b", false, vec![]).expect("added");
    assert!(matches!(tree.add_bytes("/a", false, vec![]), Err(Error::Name { .. })));
    assert!(matches!(tree.add_bytes("a/b", true, vec![]), Err(Error::Duplicate { .. })));
    assert!(matches!(tree.add_bytes("a", true, vec![]), Err(Error::FileIsFolder { .. })));

    let folder = folder();
    fs::write(folder.path().join("back\\slash"), "").expect("a file");
    let error = Tree::from_folder(folder.path()).expect_err("a backslash");
    assert!(error.to_string().contains("backslash"), "{error}");
}
