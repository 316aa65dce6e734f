//! Bases that are refused, edited configs, and findings of preflight.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use slipway_values::digest::Digest;

use super::{
    Architecture, Base, ConfigEdit, Image, ImageError, MediaTypes, check_image, compose, select_from_index,
};
use crate::{Error, Layer, Tree, write_layer};

mod layouts;

const TIME: i64 = 1_700_000_000;
const X86: Architecture = Architecture::X86_64;

/// Returns a digest of one repeated byte, which no content has.
fn digest_of(byte: u8) -> Digest {
    format!("sha256:{}", hex::encode([byte; 32])).parse().expect("a digest")
}

/// A config in Docker's order of members, of two layers and one entry that is none, with a history entry missing.
fn base_config() -> Value {
    json!({
        "architecture": "amd64",
        "config": {
            "Hostname": "", "Env": ["PATH=/bin", "LANG=C"], "Cmd": ["sh"], "Entrypoint": ["/old"],
            "WorkingDir": "/", "Labels": {"z": "old", "kept": "yes"}, "OnBuild": null,
        },
        "container": "a-member-of-docker's-own",
        "created": "2020-01-01T00:00:00Z",
        "history": [{"created_by": "first"}, {"created_by": "ENV", "empty_layer": true}],
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [digest_of(1).to_string(), digest_of(2).to_string()]},
        "variant": "v1",
    })
}

fn manifest_of(config: &[u8], family: MediaTypes, layer_types: [&str; 2]) -> Value {
    let layer = |media_type: &str, byte, size: u64| json!({"mediaType": media_type, "size": size, "digest": digest_of(byte).to_string()});
    json!({
        "schemaVersion": 2, "mediaType": family.manifest(),
        "config": {"mediaType": family.config(), "size": config.len(), "digest": Digest::of(config).to_string()},
        "layers": [layer(layer_types[0], 3, 1000), layer(layer_types[1], 4, 2000)],
    })
}

fn read(manifest: &Value, config: &[u8]) -> Result<Base, Error> {
    Base::read(manifest.to_string().as_bytes(), config, X86)
}

fn base(family: MediaTypes) -> Base {
    let config = base_config().to_string();
    read(&manifest_of(config.as_bytes(), family, [family.layer(); 2]), config.as_bytes()).expect("a base")
}

fn layer_in(folder: &Path, name: &str) -> Layer {
    let mut tree = Tree::new();
    tree.add_bytes(name, true, name.as_bytes().to_vec()).expect("added");
    write_layer(&tree, "var/task", TIME, &folder.join(name), &|_| ()).expect("a layer")
}

fn edit() -> ConfigEdit {
    ConfigEdit {
        entrypoint: Some(vec!["/var/task/bootstrap".into()]),
        working_dir: Some("/var/task".into()),
        env: BTreeMap::from([("LANG".into(), "C.UTF-8".into()), ("NEW".into(), "a=b".into())]),
        labels: BTreeMap::from([
            ("org.opencontainers.image.version".into(), "1.4.2".into()),
            ("z".into(), "new".into()),
        ]),
        ..ConfigEdit::new(X86, TIME)
    }
}

fn parsed(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("JSON")
}

#[test]
fn config_edits_keep_the_order_of_members() {
    let folder = tempfile::tempdir().expect("a folder");
    let layer = layer_in(folder.path(), "code");
    let image =
        compose(Some(&base(MediaTypes::Docker)), &[(&layer, "slipway: code")], &edit()).expect("made");
    let expected = json!({
        "architecture": "amd64",
        "config": {
            "Hostname": "", "Env": ["PATH=/bin", "LANG=C.UTF-8", "NEW=a=b"],
            "Entrypoint": ["/var/task/bootstrap"], "WorkingDir": "/var/task",
            "Labels": {"kept": "yes", "org.opencontainers.image.version": "1.4.2", "z": "new"}, "OnBuild": null,
        },
        "container": "a-member-of-docker's-own",
        "created": "2023-11-14T22:13:20Z",
        "history": [
            {"created_by": "first"}, {"created_by": "ENV", "empty_layer": true},
            {"created": "2020-01-01T00:00:00Z", "created_by": "not recorded in the base image"},
            {"created": "2023-11-14T22:13:20Z", "created_by": "slipway: code"},
        ],
        "os": "linux",
        "rootfs": {
            "type": "layers",
            "diff_ids": [digest_of(1).to_string(), digest_of(2).to_string(), layer.diff_id.to_string()],
        },
        "variant": "v1",
    });
    assert_eq!(String::from_utf8(image.config.clone()).expect("UTF-8"), expected.to_string());

    let docker = MediaTypes::Docker;
    let described =
        |digest: Digest, size| json!({"mediaType": docker.layer(), "digest": digest, "size": size});
    let expected = json!({
        "schemaVersion": 2, "mediaType": docker.manifest(),
        "config": {
            "mediaType": docker.config(), "digest": Digest::of(&image.config).to_string(), "size": image.config.len(),
        },
        "layers": [described(digest_of(3), 1000), described(digest_of(4), 2000), described(layer.digest, layer.size)],
    });
    assert_eq!(String::from_utf8(image.manifest.clone()).expect("UTF-8"), expected.to_string());
    assert_eq!((image.digest, image.config_digest), (Digest::of(&image.manifest), Digest::of(&image.config)));
    assert_eq!(image.layers.iter().map(|layer| layer.own).collect::<Vec<_>>(), [false, false, true]);
    assert_eq!(check_image(&image, X86), []);
}

#[test]
fn image_without_a_base_has_oci_media_types() {
    let folder = tempfile::tempdir().expect("a folder");
    let (code, data) = (layer_in(folder.path(), "code"), layer_in(folder.path(), "data"));
    let image = compose(None, &[(&data, "data"), (&code, "code")], &edit()).expect("made");
    let text = String::from_utf8([image.manifest.clone(), image.config.clone()].concat()).expect("UTF-8");
    assert!(!text.contains("docker"), "{text}");
    assert_eq!(image.media_type, MediaTypes::Oci.manifest());
    assert_eq!(parsed(&image.config)["rootfs"]["diff_ids"][1], code.diff_id.to_string());
    assert_eq!(check_image(&image, X86), []);
    let arm = compose(None, &[(&code, "code")], &ConfigEdit { architecture: Architecture::Arm64, ..edit() });
    assert_eq!(parsed(&arm.expect("made").config)["architecture"], "arm64");
}

#[test]
fn new_entrypoint_removes_the_bases_command_but_not_a_new_one() {
    let run = |edit| {
        let image = compose(Some(&base(MediaTypes::Oci)), &[], &edit).expect("made");
        let config = parsed(&image.config);
        (config["config"]["Entrypoint"].clone(), config["config"]["Cmd"].clone())
    };
    let plain = ConfigEdit::new(X86, TIME);
    assert_eq!(run(plain.clone()), (json!(["/old"]), json!(["sh"])));
    let handler = ConfigEdit { cmd: Some(vec!["app.handle".into()]), ..plain.clone() };
    assert_eq!(run(handler), (json!(["/old"]), json!(["app.handle"])));
    let both =
        ConfigEdit { cmd: Some(vec!["c".into()]), entrypoint: Some(vec!["e".into()]), ..plain.clone() };
    assert_eq!(run(both), (json!(["e"]), json!(["c"])));
    let entrypoint = ConfigEdit { entrypoint: Some(vec!["e".into()]), ..plain };
    assert_eq!(run(entrypoint), (json!(["e"]), Value::Null));
}

#[test]
fn compose_refuses_other_architectures_times_and_variable_names() {
    let base = base(MediaTypes::Oci);
    let refusal = |edit| compose(Some(&base), &[], &edit).expect_err("refused").to_string();
    let arm = refusal(ConfigEdit::new(Architecture::Arm64, TIME));
    assert!(arm.contains("linux/amd64, not for linux/arm64"), "{arm}");
    let late = refusal(ConfigEdit::new(X86, i64::MAX));
    assert!(late.contains(&i64::MAX.to_string()), "{late}");
    for name in ["", "A=B", "A\0"] {
        let env = BTreeMap::from([(name.to_owned(), String::new())]);
        let error = refusal(ConfigEdit { env, ..ConfigEdit::new(X86, TIME) });
        assert!(error.contains(&format!("{name:?}")), "{error}");
    }
}

#[test]
fn bases_that_lambda_would_refuse_are_refused() {
    let (oci, docker) = (MediaTypes::Oci, MediaTypes::Docker);
    let config = base_config().to_string().into_bytes();
    let good = manifest_of(&config, oci, [oci.layer(); 2]);
    let refusal = |manifest: &Value, config: &[u8]| {
        let error = read(manifest, config).expect_err("refused");
        assert!(matches!(error, Error::Image(_)), "{error}");
        error.to_string()
    };
    let with = |member: &str, value: Value| {
        let mut manifest = good.clone();
        manifest[member] = value;
        manifest
    };
    let index =
        json!({"schemaVersion": 2, "manifests": [{"platform": {"os": "linux", "architecture": "arm64"}}]});
    for (manifest, words) in [
        (index, "index of several images (linux/arm64)"),
        (
            with("mediaType", json!("application/vnd.docker.distribution.manifest.list.v2+json")),
            "index of several",
        ),
        (json!({"schemaVersion": 1, "fsLayers": []}), "schema 1"),
        (with("mediaType", json!(docker.manifest())), docker.manifest()),
        (with("mediaType", json!("application/x")), "application/x"),
        (
            with(
                "config",
                json!({"mediaType": "application/vnd.cncf.helm.config.v1+json", "size": 1, "digest": digest_of(0).to_string()}),
            ),
            "helm",
        ),
        (with("config", json!({"mediaType": oci.config(), "size": 1, "digest": "sha512:00"})), "sha512:00"),
        (
            with("config", json!({"mediaType": oci.config(), "size": 1, "digest": digest_of(0).to_string()})),
            "does not have the digest",
        ),
        (with("layers", json!("none")), "\"layers\" is not a list"),
        (
            manifest_of(&config, oci, [oci.layer(), "application/vnd.oci.image.layer.v1.tar+zstd"]),
            "compressed with zstd",
        ),
        (
            manifest_of(&config, oci, [oci.layer(), "application/vnd.oci.image.layer.v1.tar"]),
            "not compressed",
        ),
        (manifest_of(&config, oci, [oci.layer(), docker.layer()]), "other family"),
        (
            manifest_of(
                &config,
                docker,
                [docker.layer(), "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"],
            ),
            "not be distributed",
        ),
    ] {
        let error = refusal(&manifest, &config);
        assert!(error.contains(words), "{words:?} is not in: {error}");
    }
    let layer = refusal(
        &manifest_of(&config, oci, [oci.layer(), "application/vnd.oci.image.layer.v1.tar+zstd"]),
        &config,
    );
    assert!(layer.contains(&digest_of(4).to_string()), "the layer is not named: {layer}");

    for (change, words) in [
        (("architecture", json!("arm64")), "linux/arm64, not for linux/amd64"),
        (("os", json!("windows")), "windows/amd64"),
        (("rootfs", json!({"diff_ids": []})), "0 diff_ids, but the manifest has 2 layers"),
        (("rootfs", json!({})), "\"diff_ids\""),
        (("history", json!([{}, {}, {}])), "3 layers in its history"),
        (("history", json!(7)), "\"history\""),
    ] {
        let mut config = base_config();
        config[change.0] = change.1;
        let config = config.to_string().into_bytes();
        let error = refusal(&manifest_of(&config, oci, [oci.layer(); 2]), &config);
        assert!(error.contains(words), "{words:?} is not in: {error}");
    }
    let error = Base::read(b"<html>", &config, X86).expect_err("not JSON").to_string();
    assert!(error.contains("is not JSON"), "{error}");
}

#[test]
fn history_that_is_null_is_completed() {
    let mut config = base_config();
    config["history"] = Value::Null;
    let config = config.to_string().into_bytes();
    let base =
        read(&manifest_of(&config, MediaTypes::Oci, [MediaTypes::Oci.layer(); 2]), &config).expect("a base");
    let image = compose(Some(&base), &[], &ConfigEdit::new(X86, TIME)).expect("made");
    assert_eq!(parsed(&image.config)["history"].as_array().map(Vec::len), Some(2));
    assert_eq!(check_image(&image, X86), []);
}

fn index(platforms: &[(&str, &str, Option<&str>)]) -> Vec<u8> {
    let manifests: Vec<Value> = platforms
        .iter()
        .enumerate()
        .map(|(number, (os, architecture, variant))| {
            let mut platform = json!({"os": os, "architecture": architecture});
            if let Some(variant) = variant {
                platform["variant"] = json!(variant);
            }
            let digest = digest_of(number as u8).to_string();
            json!({"mediaType": MediaTypes::Oci.manifest(), "digest": digest, "size": 7, "platform": platform})
        })
        .collect();
    json!({"schemaVersion": 2, "manifests": manifests}).to_string().into_bytes()
}

#[test]
fn index_selects_by_architecture_or_lists_its_platforms() {
    let several = index(&[
        ("unknown", "unknown", None),
        ("windows", "amd64", None),
        ("linux", "arm64", Some("v7")),
        ("linux", "amd64", None),
        ("linux", "arm64", Some("v8")),
    ]);
    assert_eq!(select_from_index(&several, X86).expect("amd64").digest, digest_of(3));
    let arm = select_from_index(&several, Architecture::Arm64).expect("arm64");
    assert_eq!(
        (arm.digest, arm.size, arm.media_type.as_str()),
        (digest_of(4), 7, MediaTypes::Oci.manifest())
    );

    let others =
        index(&[("linux", "s390x", None), ("unknown", "unknown", None), ("linux", "arm", Some("v7"))]);
    let error = select_from_index(&others, X86).expect_err("none fits").to_string();
    assert!(error.contains("no image for linux/amd64; it has linux/s390x, linux/arm/v7"), "{error}");
    let config = base_config().to_string();
    let manifest = manifest_of(config.as_bytes(), MediaTypes::Oci, [MediaTypes::Oci.layer(); 2]);
    let error = select_from_index(manifest.to_string().as_bytes(), X86).expect_err("no index");
    assert!(matches!(error, Error::Image(ImageError::MediaType { .. })), "{error}");
}

#[test]
fn preflight_finds_each_reason_for_a_refusal() {
    let folder = tempfile::tempdir().expect("a folder");
    let layer = layer_in(folder.path(), "code");
    let good = compose(Some(&base(MediaTypes::Oci)), &[(&layer, "code")], &edit()).expect("made");
    assert_eq!(check_image(&good, X86), []);
    let found = |change: &dyn Fn(&mut Image, &mut Value, &mut Value), architecture| {
        let mut image = good.clone();
        let (mut manifest, mut config) = (parsed(&image.manifest), parsed(&image.config));
        change(&mut image, &mut manifest, &mut config);
        image.manifest = manifest.to_string().into_bytes();
        image.config = config.to_string().into_bytes();
        image.config_digest = Digest::of(&image.config);
        let findings = check_image(&image, architecture);
        let [finding] = findings.as_slice() else { panic!("one finding is expected: {findings:#?}") };
        assert!(finding.source.starts_with("https://"), "{finding:?}");
        assert!(finding.place.contains("sha256:"), "{finding:?}");
        finding.what.clone()
    };
    assert!(found(&|_, _, _| (), Architecture::Arm64).contains("linux/amd64"));
    assert!(found(&|_, _, config| config["os"] = json!("windows"), X86).contains("windows/amd64"));
    let index = "application/vnd.oci.image.index.v1+json";
    assert!(found(&|_, manifest, _| manifest["mediaType"] = json!(index), X86).contains(index));
    let zstd = "application/vnd.oci.image.layer.v1.tar+zstd";
    assert!(found(&|_, manifest, _| manifest["layers"][1]["mediaType"] = json!(zstd), X86).contains("zstd"));
    assert!(found(&|_, _, config| config["history"] = json!([]), X86).contains("0 entries"));
    assert!(found(&|_, _, config| config["rootfs"]["diff_ids"] = json!([]), X86).contains("0 diff_ids"));
    let no_start = |_: &mut Image, _: &mut Value, config: &mut Value| {
        config["config"]["Entrypoint"] = json!([]);
        config["config"]["Cmd"] = Value::Null;
    };
    assert!(found(&no_start, X86).contains("neither Entrypoint nor Cmd"));
    let large = |image: &mut Image, _: &mut Value, _: &mut Value| {
        image.layers[2].unpacked_size = Some((10 << 30) - 2_999); // with 3,000 bytes in the base's layers
    };
    assert!(found(&large, X86).contains("10737418241 bytes"));
    let mut tampered = good;
    tampered.config.push(b' ');
    assert_eq!(check_image(&tampered, X86).len(), 1);
}
