//! Zips read by another implementation, Python's `zipfile`, which must find what the listing says.

#[path = "../../../../tests/support/programs.rs"]
mod programs;
#[path = "../../../../tests/support/skip.rs"]
mod skip;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use slipway_archive::{Tree, read_zip, write_zip};

use crate::programs::find_program;

/// Tests every checksum, computes the canonical listing again, and prints the number of entries and its digest.
const SCRIPT: &str = r#"
import hashlib, sys, zipfile
archive = zipfile.ZipFile(sys.argv[1])
assert archive.testzip() is None
listing = hashlib.sha256(b"slipway.listing/1\n")
names = [entry.filename for entry in archive.infolist()]
assert names == sorted(names, key=lambda name: name.encode()), names
for entry in archive.infolist():
    assert entry.extra == b"", (entry.filename, entry.extra)
    assert entry.date_time == (1980, 1, 1, 0, 0, 0), entry.date_time
    assert entry.create_system == 3, entry.create_system
    shorter = entry.compress_size < entry.file_size
    assert entry.compress_type == (zipfile.ZIP_DEFLATED if shorter else zipfile.ZIP_STORED), entry
    assert entry.flag_bits & ~0x800 == 0, entry.flag_bits
    mode = entry.external_attr >> 16
    assert mode & 0o170000 == 0o100000, oct(mode)
    content = archive.read(entry)
    line = f"{mode & 0o7777:04o} {len(content)} {hashlib.sha256(content).hexdigest()} {entry.filename}\n"
    listing.update(line.encode())
print(len(names), listing.hexdigest())
"#;

fn python_listing(archive: &Path) -> String {
    #[expect(clippy::disallowed_methods, reason = "the test needs an independent reader")]
    let mut python = Command::new("python3")
        .arg("-")
        .arg(archive)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3");
    python.stdin.take().expect("a pipe").write_all(SCRIPT.as_bytes()).expect("the script");
    let output = python.wait_with_output().expect("python3");
    assert!(output.status.success(), "python3 refused the zip");
    String::from_utf8(output.stdout).expect("text").trim_end().to_owned()
}

#[test]
fn zip_content_in_python_matches_the_listing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.zip");
    let mut tree = Tree::new();
    tree.add_bytes("bootstrap", true, vec![b'x'; 500_000]).expect("added");
    tree.add_bytes("größe/日本.txt", false, b"names in UTF-8".to_vec()).expect("added");
    tree.add_bytes("empty", false, Vec::new()).expect("added");
    tree.add_file("itself.rs", false, Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs"))
        .expect("added");
    let written = write_zip(&tree, &path, &|_| ()).expect("written");

    let digest = written.listing.content_digest().hex();
    assert_eq!(python_listing(&path), format!("4 {digest}"));
}

#[test]
fn zip_with_more_than_65535_entries_is_readable() {
    const COUNT: usize = 70_000;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("many.zip");
    let mut tree = Tree::new();
    for number in 0..COUNT {
        let name = format!("{:02}/{number}", number % 100);
        tree.add_bytes(&name, false, number.to_string().into_bytes()).expect("added");
    }
    let written = write_zip(&tree, &path, &|_| ()).expect("written");
    assert_eq!(written.listing.entries().len(), COUNT);
    assert_eq!(read_zip(&path).expect("read"), written.listing);
    let digest = written.listing.content_digest().hex();
    assert_eq!(python_listing(&path), format!("{COUNT} {digest}"));
}

#[test]
#[ignore = "takes minutes: a file of more than 4 GiB"]
fn zip_with_a_file_over_four_gibibytes_is_readable() {
    require!(find_program("unzip"));
    let folder = tempfile::tempdir().expect("a folder");
    let sparse = folder.path().join("sparse");
    let path = folder.path().join("large.zip");
    let file = std::fs::File::create(&sparse).expect("a file");
    file.set_len((4 << 30) + 12_345).expect("a length");
    let mut tree = Tree::new();
    tree.add_file("a-long-one", false, &sparse).expect("added");
    tree.add_bytes("b", false, b"after it".to_vec()).expect("added");
    let written = write_zip(&tree, &path, &|_| ()).expect("written");
    assert_eq!(read_zip(&path).expect("read"), written.listing);
    #[expect(clippy::disallowed_methods, reason = "the test needs an independent reader")]
    let python = Command::new("python3").args(["-m", "zipfile", "-t"]).arg(&path).status().expect("python3");
    #[expect(clippy::disallowed_methods, reason = "the test needs an independent reader")]
    let unzip = Command::new("unzip").arg("-tq").arg(&path).status().expect("unzip");
    assert!(python.success() && unzip.success());
}
