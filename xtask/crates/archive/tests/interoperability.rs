//! Zips, layers and images read by other implementations: `unzip`, Python's `tarfile`, skopeo and umoci.

#[path = "../../../../tests/support/programs.rs"]
mod programs;
#[path = "../../../../tests/support/skip.rs"]
mod skip;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use slipway_archive::image::{
    Architecture, Base, ConfigEdit, Image, LayerDescriptor, MediaTypes, blob_path, compose, write_layout,
};
use slipway_archive::{Tree, write_layer, write_zip};

use crate::programs::find_program;

const TIME: i64 = 1_700_000_000;

/// Runs a program that must succeed, and returns its stdout.
fn run(program: &str, arguments: &[&str]) -> String {
    #[expect(clippy::disallowed_methods, reason = "the test needs an independent reader")]
    let output = Command::new(program).args(arguments).output().expect(program);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {stderr}");
    String::from_utf8(output.stdout).expect("text")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn code() -> Tree {
    let mut tree = Tree::new();
    tree.add_bytes("bootstrap", true, vec![b'x'; 300_000]).expect("added");
    tree.add_bytes("lib/größe.py", false, b"size = 1\n".to_vec()).expect("added");
    let long = format!("{}/{}", "d".repeat(150), "f".repeat(150));
    tree.add_bytes(&long, false, b"a long name".to_vec()).expect("added");
    tree
}

/// Writes a base image of one layer as an OCI layout, and an image with one more layer on it.
fn images(folder: &Path) -> (Image, PathBuf) {
    let mut files = Tree::new();
    files.add_bytes("os-release", false, b"ID=test\n".to_vec()).expect("added");
    let (below, above) = (folder.join("below"), folder.join("above"));
    let lower = write_layer(&files, "etc", TIME, &below, &|_| ()).expect("a layer");
    let plain = ConfigEdit::new(Architecture::X86_64, TIME);
    let image = compose(None, &[(&lower, "etc")], &plain).expect("made");
    let base_at = folder.join("base");
    write_layout(&image, &[&below], &|_| None, Some("base"), &base_at).expect("written");

    let base = Base::from_layout(&base_at, None, Architecture::X86_64).expect("a base");
    let upper = write_layer(&code(), "var/task", TIME, &above, &|_| ()).expect("a layer");
    let edit = ConfigEdit {
        entrypoint: Some(vec!["/var/task/bootstrap".into()]),
        labels: [("org.opencontainers.image.version".to_owned(), "1.4.2".to_owned())].into(),
        env: [("LANG".to_owned(), "C.UTF-8".to_owned())].into(),
        ..plain
    };
    let image = compose(Some(&base), &[(&upper, "slipway: code")], &edit).expect("made");
    let to = folder.join("image");
    let lookup = |layer: &LayerDescriptor| Some(blob_path(&base_at, layer.digest));
    write_layout(&image, &[&above], &lookup, Some("1.4.2"), &to).expect("written");
    (image, to)
}

#[test]
fn zip_is_valid_for_unzip() {
    require!(find_program("unzip"));
    let folder = tempfile::tempdir().expect("a folder");
    let to = folder.path().join("a.zip");
    write_zip(&code(), &to, &|_| ()).expect("written");
    assert!(run("unzip", &["-t", text(&to)]).contains("No errors detected"));
}

#[test]
fn layer_is_readable_by_python_tarfile() {
    const SCRIPT: &str = r"
import sys, tarfile
with tarfile.open(sys.argv[1], 'r:gz') as layer:
    for m in layer:
        assert (m.uid, m.gid, m.uname, m.gname, m.mtime) == (0, 0, '', '', 1700000000), m.get_info()
        print(oct(m.mode), m.isdir(), m.size, m.name)
";
    let folder = tempfile::tempdir().expect("a folder");
    let to = folder.path().join("layer.tar.gz");
    write_layer(&code(), "var/task", TIME, &to, &|_| ()).expect("a layer");
    let (d, f) = ("d".repeat(150), "f".repeat(150));
    let expected = format!(
        "0o755 True 0 var\n0o755 True 0 var/task\n0o755 False 300000 var/task/bootstrap\n\
         0o755 True 0 var/task/{d}\n0o644 False 11 var/task/{d}/{f}\n\
         0o755 True 0 var/task/lib\n0o644 False 9 var/task/lib/größe.py\n"
    );
    assert_eq!(run("python3", &["-X", "utf8", "-c", SCRIPT, text(&to)]), expected);
}

#[test]
fn image_is_copied_unchanged_by_skopeo() {
    require!(find_program("skopeo"));
    let folder = tempfile::tempdir().expect("a folder");
    let (image, at) = images(folder.path());
    let named = format!("oci:{}:1.4.2", text(&at));
    let found: Value = serde_json::from_str(&run("skopeo", &["inspect", &named])).expect("JSON");
    assert_eq!(found["Digest"], image.digest.to_string());
    assert_eq!(found["Architecture"], "amd64");
    assert_eq!(found["Created"], "2023-11-14T22:13:20Z");
    assert_eq!(found["Labels"]["org.opencontainers.image.version"], "1.4.2");
    let layers: Vec<Value> = image.layers.iter().map(|layer| layer.digest.to_string().into()).collect();
    assert_eq!(found["Layers"], Value::Array(layers));

    // Copying checks every digest, and the diff_ids against the unpacked layers.
    let copy = folder.path().join("copy");
    run("skopeo", &["--insecure-policy", "copy", &named, &format!("dir:{}", text(&copy))]);
    assert!(fs::read(copy.join("manifest.json")).expect("a manifest") == image.manifest);
}

#[test]
fn image_on_a_docker_base_keeps_docker_media_types() {
    require!(find_program("skopeo"));
    let folder = tempfile::tempdir().expect("a folder");
    let (image, at) = images(folder.path());
    let docker = folder.path().join("docker");
    let (from, to) = (format!("oci:{}:1.4.2", text(&at)), format!("dir:{}", text(&docker)));
    run("skopeo", &["--insecure-policy", "copy", "--format", "v2s2", &from, &to]);
    let manifest = fs::read(docker.join("manifest.json")).expect("a manifest");
    let named: Value = serde_json::from_slice(&manifest).expect("JSON");
    let config = named["config"]["digest"].as_str().and_then(|digest| digest.strip_prefix("sha256:"));
    let config = fs::read(docker.join(config.expect("a digest"))).expect("a config");
    let base = Base::read(&manifest, &config, Architecture::X86_64).expect("a base");
    assert_eq!(base.media_types(), MediaTypes::Docker);

    let on_it = compose(Some(&base), &[], &ConfigEdit::new(Architecture::X86_64, TIME + 1)).expect("made");
    assert_ne!(on_it.digest, image.digest);
    // skopeo accepts only OCI manifests in an OCI layout, so it gets the image in its own `dir:` format.
    let written = folder.path().join("written");
    let copied = docker.join("written");
    let lookup = |layer: &LayerDescriptor| Some(blob_path(&at, layer.digest));
    assert!(write_layout(&on_it, &[], &lookup, Some("x"), &written).expect("written").is_complete());
    fs::rename(written.join("blobs/sha256"), &copied).expect("moved");
    fs::write(copied.join("manifest.json"), &on_it.manifest).expect("a manifest");
    fs::copy(docker.join("version"), copied.join("version")).expect("the format's version");
    let again = folder.path().join("again");
    let (from, to) = (format!("dir:{}", text(&copied)), format!("dir:{}", text(&again)));
    run("skopeo", &["--insecure-policy", "copy", &from, &to]);
    assert!(fs::read(again.join("manifest.json")).expect("a manifest") == on_it.manifest);
    let found: Value = serde_json::from_str(&run("skopeo", &["inspect", &from])).expect("JSON");
    assert_eq!(found["Created"], "2023-11-14T22:13:21Z");
}

#[test]
fn image_is_unpacked_by_umoci() {
    require!(find_program("umoci"));
    let folder = tempfile::tempdir().expect("a folder");
    let (_, at) = images(folder.path());
    let bundle = folder.path().join("bundle");
    run("umoci", &["unpack", "--rootless", "--image", &format!("{}:1.4.2", text(&at)), text(&bundle)]);
    let root = bundle.join("rootfs");
    assert_eq!(fs::read_to_string(root.join("etc/os-release")).expect("the base's file"), "ID=test\n");
    let mode = |path: &str| {
        fs::metadata(root.join("var/task").join(path)).expect(path).permissions().mode() & 0o7777
    };
    assert_eq!((mode("bootstrap"), mode("lib"), mode("lib/größe.py")), (0o755, 0o755, 0o644));
    for entry in code().iter() {
        let length = fs::metadata(root.join("var/task").join(entry.name())).expect("unpacked").len();
        assert_eq!(length, entry.size().expect("a size"), "{}", entry.name());
    }
    let runs = fs::read_to_string(bundle.join("config.json")).expect("the bundle's config");
    assert!(runs.contains("/var/task/bootstrap") && runs.contains("LANG=C.UTF-8"), "{runs}");
}
