//! Which files of an installation are packed, and which distribution owns a file.

use std::path::Path;

use slipway_archive::Tree;

use super::*;

fn installed(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

fn names(folder: &Path) -> Vec<String> {
    Tree::from_folder(folder).unwrap().iter().map(|entry| entry.name().to_owned()).collect()
}

#[test]
fn installation_keeps_all_files_but_those_that_differ_by_machine() {
    let folder = installed(&[
        (".lock", ""),
        ("bin/tool", "#!/home/ada/python"),
        ("a/__init__.py", ""),
        ("a/__pycache__/__init__.cpython-313.pyc", ""),
        ("a/old.pyc", ""),
        ("a/bin/data", "x"),
        ("a/RECORD", "the package's own"),
        ("a-1.dist-info/RECORD", ""),
        ("a-1.dist-info/INSTALLER", "uv"),
        ("a-1.dist-info/REQUESTED", ""),
        ("a-1.dist-info/direct_url.json", "{}"),
        ("a-1.dist-info/uv_cache.json", "{}"),
        ("a-1.dist-info/METADATA", "Name: a"),
        ("a-1.dist-info/licenses/RECORD", "x"),
    ]);
    remove_machine_files(folder.path()).unwrap();
    assert_eq!(
        names(folder.path()),
        [
            "a-1.dist-info/METADATA",
            "a-1.dist-info/licenses/RECORD",
            "a/RECORD",
            "a/__init__.py",
            "a/bin/data"
        ]
    );
    remove_machine_files(folder.path()).unwrap();
}

#[test]
fn packages_that_share_a_file_are_refused_unless_its_content_is_the_same() {
    let record = |second: &str| {
        let folder = installed(&[
            (
                "a-1.dist-info/RECORD",
                "tests/__init__.py,sha256=x,0\n\"a,b.py\",sha256=y,1\n\"a \"\"quoted\"\".py\",sha256=z,1\nbin/run,sha256=1,1\n",
            ),
            ("b_c-2.dist-info/RECORD", second),
        ]);
        FileOwners::read(folder.path()).unwrap()
    };
    record("tests/__init__.py,sha256=x,0\nbin/run,sha256=2,1\n").refuse_overlaps().unwrap();
    let failure = record("tests/__init__.py,sha256=other,3\n").refuse_overlaps().unwrap_err();
    assert_eq!(failure.message(), "a 1 and b_c 2 both contain `tests/__init__.py`");
    assert_eq!(record("").distribution_of("a,b.py"), "a 1");
    assert_eq!(record("").distribution_of("a \"quoted\".py"), "a 1");
}

#[test]
fn record_that_is_not_text_is_an_error() {
    let folder = installed(&[("a-1.dist-info/METADATA", "Name: a")]);
    FileOwners::read(folder.path()).unwrap();
    std::fs::write(folder.path().join("a-1.dist-info/RECORD"), b"caf\xe9.py,sha256=x,1\n").unwrap();
    let failure = FileOwners::read(folder.path()).err().expect("a failure");
    assert!(failure.message().contains("a-1.dist-info/RECORD"), "{failure}");
}

#[test]
fn path_conflict_names_the_source_and_the_package() {
    let folder = installed(&[("a-1.dist-info/RECORD", "a.py,sha256=x,1\n")]);
    let owners = FileOwners::read(folder.path()).unwrap();
    let own = BTreeMap::from([("a.py".to_owned(), "lambda-src/ingest/src/a.py".to_owned())]);
    let mut tree = Tree::new();
    tree.add_bytes("a.py", false, vec![]).unwrap();
    let error = tree.add_bytes("a.py", false, vec![]).unwrap_err();
    let failure = path_conflict(error, "a.py", &own, &owners);
    assert_eq!(failure.message(), "the source lambda-src/ingest/src/a.py and a 1 both contain `a.py`");
    let error = tree.add_bytes("a.py/b", false, vec![]).unwrap_err();
    let failure = path_conflict(error, "a.py/b", &own, &owners);
    assert!(failure.message().starts_with("the source lambda-src/ingest/src/a.py and"), "{failure}");
}
