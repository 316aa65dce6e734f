//! A zip or a layer that does not fit on the disk: the error names the file, no file is left, nothing is printed.

use std::fs;
use std::path::Path;
use std::process::Command;

use slipway_archive::{Error, Tree, write_layer, write_zip};

/// Names the folder for the child process below, whose files may not grow.
const CHILD_FOLDER: &str = "SLIPWAY_ARCHIVE_TEST_FOLDER";

#[test]
fn full_disk_leaves_no_file_and_prints_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    // 64 blocks of 512 bytes; with SIGXFSZ ignored, a write beyond that fails like one on a full disk.
    #[expect(clippy::disallowed_methods, reason = "a limit belongs to a whole process")]
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ && ulimit -f 64 && exec \"$@\"", "sh"])
        .arg(std::env::current_exe().expect("this test"))
        .args(["--exact", "child_writes_too_much", "--ignored", "--quiet", "--nocapture"])
        .env(CHILD_FOLDER, folder.path())
        .output()
        .expect("a child");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
}

/// Runs only as the child of the test above.
#[test]
#[ignore = "needs the folder and the limit that the test above gives it"]
fn child_writes_too_much() {
    #[expect(clippy::disallowed_methods, reason = "a test has no other way to hand its child a folder")]
    let folder = std::env::var_os(CHILD_FOLDER).expect("a folder");
    let to = Path::new(&folder).join("large.zip");
    let noise = |length: usize| -> Vec<u8> {
        let numbers = (0..length as u64).map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        numbers.map(|number| (number >> 56) as u8 ^ (number >> 21) as u8).collect()
    };
    let mut long = Tree::new();
    long.add_bytes("fits", false, noise(1_000)).expect("added");
    long.add_bytes("does-not-fit", false, noise(500_000)).expect("added");
    long.add_bytes("nor-does-this", false, noise(500_000)).expect("added");
    // The entries fit, the central directory at the zip's end does not.
    let mut many = Tree::new();
    for number in 0..400 {
        many.add_bytes(&format!("{number:08}"), false, Vec::new()).expect("added");
    }
    for tree in [&long, &many] {
        let error = write_zip(tree, &to, &|_| ()).expect_err("it can't fit");
        assert!(matches!(&error, Error::Io { path, .. } if *path == to), "{error}");
    }
    let error = write_layer(&long, "var/task", 0, &to, &|_| ()).expect_err("it can't fit");
    assert!(matches!(&error, Error::Io { path, .. } if *path == to), "{error}");
    // Every length around the limit: the first part that does not fit may be the last byte of the layer's checksum.
    let fits = |length: usize| {
        let mut tree = Tree::new();
        tree.add_bytes("file", false, noise(length)).expect("added");
        match write_layer(&tree, "var/task", 0, &to, &|_| ()) {
            Ok(layer) => {
                assert_eq!(fs::metadata(&to).expect("a layer").len(), layer.size);
                fs::remove_file(&to).expect("removed");
                true
            }
            Err(error) => {
                assert!(matches!(&error, Error::Io { path, .. } if *path == to), "{error}");
                false
            }
        }
    };
    let (mut fit, mut too_long) = (20_000_usize, 50_000);
    while too_long - fit > 1 {
        let middle = fit.midpoint(too_long);
        if fits(middle) { fit = middle } else { too_long = middle }
    }
    assert!(
        fits(fit - 100) && (1..20).all(|more| !fits(fit + 50 * more)),
        "from {fit} bytes on it should not fit"
    );
    for length in fit..fit + 40 {
        fits(length);
    }
}
