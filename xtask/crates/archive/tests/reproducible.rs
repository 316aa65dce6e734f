//! Zips of the same content are identical, whatever the dates, modes, order of creation, umask and time zone.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use slipway_archive::{Tree, write_zip};

const FILES: [(&str, &str, bool); 5] = [
    ("bootstrap", "#!/bin/sh\nexec true\n", true),
    ("a/z.txt", "z", false),
    ("a-b.txt", "sorts before a/ in bytes, after it in other orders", false),
    ("Ärger/ö.txt", "umlauts", false),
    ("lib/tool.sh", "echo tool", true),
];

/// Names the folder for the child process below, which runs under another umask and time zone.
const CHILD_FOLDER: &str = "SLIPWAY_ARCHIVE_TEST_FOLDER";

/// Writes the files under the current umask, in the order given.
fn write_files<'a>(
    folder: &Path,
    files: impl Iterator<Item = &'a (&'a str, &'a str, bool)>,
    modes: (u32, u32),
) {
    for (name, content, executable) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        fs::write(&path, content).expect("a file");
        let mode = if *executable { modes.0 } else { modes.1 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
    }
}

fn set_dates(folder: &Path, seconds: u64) {
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    for (name, _, _) in FILES {
        File::options()
            .append(true)
            .open(folder.join(name))
            .and_then(|file| file.set_modified(then))
            .expect("a date");
    }
}

fn pack(folder: &Path, to: &Path) -> Vec<u8> {
    let tree = Tree::from_folder(folder).expect("a tree");
    write_zip(&tree, to, &|_| ()).expect("written");
    fs::read(to).expect("a zip")
}

#[test]
fn zip_is_identical_for_two_folders() {
    let outer = tempfile::tempdir().expect("a folder");
    let (first, second) = (outer.path().join("first"), outer.path().join("second/deeper"));
    write_files(&first, FILES.iter(), (0o755, 0o644));
    set_dates(&first, 1_000_000_000);
    write_files(&second, FILES.iter().rev(), (0o700, 0o600));
    fs::create_dir(second.join("an-empty-folder")).expect("a folder");
    set_dates(&second, 1_750_000_001);

    let first = pack(&first, &outer.path().join("first.zip"));
    let second = pack(&second, &outer.path().join("other-name.zip"));
    assert!(first == second, "the two zips differ");
}

#[test]
fn zip_depends_on_content_names_and_executable_bit() {
    let outer = tempfile::tempdir().expect("a folder");
    let to = outer.path().join("a.zip");
    let digest = |tree: &Tree| {
        let written = write_zip(tree, &to, &|_| ()).expect("written");
        (written.sha256, written.listing.content_digest())
    };
    let mut seen = Vec::new();
    for (name, executable, content) in
        [("run", true, "1"), ("run", false, "1"), ("run", true, "2"), ("ran", true, "1")]
    {
        let mut tree = Tree::new();
        tree.add_bytes(name, executable, content.into()).expect("added");
        let (zip, listing) = digest(&tree);
        assert!(!seen.contains(&zip) && !seen.contains(&listing), "{name} {executable} {content}");
        seen.extend([zip, listing]);
    }
}

#[test]
fn zip_is_identical_under_any_umask_and_time_zone() {
    let outer = tempfile::tempdir().expect("a folder");
    let zips: Vec<Vec<u8>> = [("022", "UTC"), ("077", "Pacific/Kiritimati"), ("000", "America/New_York")]
        .iter()
        .map(|(umask, zone)| {
            let folder = outer.path().join(umask);
            fs::create_dir(&folder).expect("a folder");
            #[expect(clippy::disallowed_methods, reason = "a umask belongs to a whole process")]
            let status = Command::new("sh")
                .args(["-c", "umask \"$1\" && shift && exec \"$@\"", "sh", umask])
                .arg(std::env::current_exe().expect("this test"))
                .args(["--exact", "child_packs_its_folder", "--ignored", "--quiet"])
                .env("TZ", zone)
                .env(CHILD_FOLDER, &folder)
                .stdout(std::process::Stdio::null())
                .status()
                .expect("a child");
            assert!(status.success(), "the child under umask {umask} failed");
            fs::read(folder.join("out.zip")).expect("a zip")
        })
        .collect();
    assert!(zips[0] == zips[1] && zips[1] == zips[2], "the zips differ");
    let mode = |umask: &str| {
        fs::metadata(outer.path().join(umask).join("out.zip")).expect("a zip").permissions().mode() & 0o777
    };
    assert_eq!((mode("022"), mode("077")), (0o644, 0o600), "the mode of the zip file follows the umask");
}

/// Runs only as the child of the test above.
#[test]
#[ignore = "needs the folder that the test above gives it"]
fn child_packs_its_folder() {
    #[expect(clippy::disallowed_methods, reason = "a test has no other way to hand its child a folder")]
    let folder = std::env::var_os(CHILD_FOLDER).expect("a folder");
    let folder = Path::new(&folder);
    let tree = folder.join("tree");
    for (name, content, executable) in FILES {
        let path = tree.join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        fs::write(&path, content).expect("a file");
        if executable {
            let mode = fs::metadata(&path).expect("a file").permissions().mode() | 0o100;
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
        }
    }
    pack(&tree, &folder.join("out.zip"));
}
