//! The archive of a stack's files and the working copy that is unpacked from it.

use super::project_folder::MAIN;
use super::*;

#[test]
fn modes_are_kept_in_the_archive_and_in_the_copy() {
    let project = ProjectFolder::new(&[("terraform/stacks/s/scripts/info.sh", "#!/bin/sh\n")]);
    project.commit();
    let before = project.read().digest();
    let script = "terraform/stacks/s/scripts/info.sh";
    std::fs::set_permissions(project.path().join(script), std::fs::Permissions::from_mode(0o755)).unwrap();
    let sources = project.read();
    assert_ne!(sources.digest(), before);
    let copy = project.copy_of(&sources);
    let mode = |path: &str| copy.join(path).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(script), mode("terraform/stacks/s/main.tf")), (0o755, 0o644));
}

#[test]
fn copy_is_the_archive_and_keeps_a_state_that_was_not_saved() {
    let project = ProjectFolder::new(&[("terraform/environments/local/s.tfvars", "timeout = 1\n")]);
    let (work, sources) = (project.path().join("target/work"), project.read());
    let copy = project.copy_of(&sources);
    let folder = copy.join("terraform/stacks/s");
    for name in ["left.tf", LOCK_FILE, "errored.tfstate"] {
        std::fs::write(folder.join(name), "x").unwrap();
    }
    std::fs::write(folder.join("main.tf"), "changed").unwrap();
    working_copy::of_sources(&sources, &work, true).unwrap();
    assert!(!folder.join("left.tf").exists() && folder.join(LOCK_FILE).exists());
    project.copy_of(&sources);
    assert!(!folder.join(LOCK_FILE).exists() && folder.join("errored.tfstate").exists());
    assert_eq!(std::fs::read_to_string(folder.join("main.tf")).unwrap(), MAIN);

    let zip = work.join("configuration.zip");
    let kept = work.join("kept.zip");
    std::fs::copy(&zip, &kept).unwrap();
    project.write("terraform/environments/local/s.tfvars", "timeout = 2\n");
    project.copy_of(&project.read());
    assert_ne!(std::fs::read(&zip).unwrap(), std::fs::read(&kept).unwrap());
    working_copy::unpack_stored(&kept, &work).unwrap();
    let again = StackSources::of_copy(&copy, &"s".parse().unwrap(), &"local".parse().unwrap()).unwrap();
    assert_eq!(again.digest(), sources.digest());
    assert_eq!(again.values, sources.values);
}

/// Archives of earlier versions hold what was on the disk: no modes, no links, ignored files.
#[test]
fn archive_of_an_earlier_version_stays_usable() {
    let folder = tempfile::tempdir().unwrap();
    let mut tree = slipway_archive::Tree::new();
    for (path, text) in [
        ("terraform/stacks/s/main.tf", MAIN),
        ("terraform/stacks/s/override.tf", "module \"m\" {\n  source = \"../../modules/m\"\n}\n"),
        ("terraform/modules/m/main.tf", "variable \"inner\" {}\n"),
        ("terraform/environments/local/s.tfvars", "timeout = 1\n"),
    ] {
        tree.add_bytes(path, false, text.into()).unwrap();
    }
    let zip = folder.path().join("applied.zip");
    slipway_archive::write_zip(&tree, &zip, &|_| {}).unwrap();
    let copy = working_copy::unpack_stored(&zip, folder.path()).unwrap();
    let sources = StackSources::of_copy(&copy, &"s".parse().unwrap(), &"local".parse().unwrap()).unwrap();
    assert_eq!(sources.files.len(), 4);
    assert_eq!(sources.folder, "terraform/stacks/s");
    assert_eq!(sources.values, ["terraform/environments/local/s.tfvars"]);
    assert_eq!(sources.variables.keys().collect::<Vec<_>>(), ["releases", "timeout"]);
    assert!(sources.ignored.is_empty() && sources.uncommitted.is_none());
}

#[test]
fn two_hundred_files_are_read_and_copied_in_a_moment() {
    let project = ProjectFolder::new(&[]);
    for number in 0..200 {
        project.write(
            &format!("terraform/stacks/s/files/{number}.json"),
            &format!("{{\"number\": {number}}}\n").repeat(40),
        );
    }
    project.commit();
    let sources = project.read();
    project.copy_of(&sources);
    let begun = std::time::Instant::now();
    project.copy_of(&sources);
    let took = begun.elapsed();
    assert_eq!(sources.files.len(), 201);
    // 30 ms on a quiet machine; the tests run many at a time.
    assert!(took < std::time::Duration::from_millis(300), "{took:?}");
}
