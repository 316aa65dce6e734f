//! Signed releases: keys, signatures that other tools verify, and refused releases.
//!
//! In: OpenSSL, and securesystemslib and cyclonedx-python-lib from PyPI. Without them their part of a test is skipped.

mod images;
mod verifiers;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::support::commands::RELEASE;
use super::support::http;
use super::support::process::Finished;
use super::support::skip::Missing;
use super::support::{EchoProject, ObservedState};
use crate::require;
use verifiers::{find_openssl, path, run_openssl, verify_with_openssl, verify_with_python};

const DEPLOY_FIRST: [&str; 7] = ["deploy", "echo", "--env", "local", "--version", "0.1.0", "--yes"];
const VERIFY_FIRST: [&str; 5] = ["verify-release", "echo", "0.1.0", "--env", "local"];
const KEY: &str = "keys/release.key";

/// A project that requires signatures and has a signing key.
fn signed_project() -> Result<EchoProject, Missing> {
    let project = EchoProject::new()?;
    project.write(".gitignore", "/target/\n**/.terraform/\n*.key\n");
    project.run(&["key", "new", KEY]).exits(0);
    require_signatures(&project, "keys/release.pub.pem", "");
    Ok(project)
}

/// Makes the environment require signatures and trust one key.
fn require_signatures(project: &EchoProject, key: &str, more: &str) {
    project.write(
        "terraform/environments/local/environment.toml",
        &format!("emulated = true\nsignatures = \"required\"\ntrusted_keys = [\"{key}\"]\n{more}"),
    );
    project.commit("build: require signatures");
}

fn run_signed(project: &EchoProject, arguments: &[&str]) -> Finished {
    project.start_with(arguments, &[("SLIPWAY_SIGNING_KEY", KEY)]).wait()
}

/// The keys of a release's objects: artifact, SBOM, attestation, manifest.
fn object_keys(project: &EchoProject, version: &str) -> [String; 4] {
    let [artifacts, _] = project.account.buckets();
    let manifest = format!("releases/echo/{version}.json");
    let bytes = project.account.object(&artifacts, &manifest);
    let read: Value = serde_json::from_slice(&bytes).expect("a manifest");
    let artifact = read["artifact"]["sha256"].as_str().expect("a digest").trim_start_matches("sha256:");
    let sandbox = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&bytes));
    [
        format!("artifacts/sha256/{artifact}.zip"),
        format!("sbom/sha256/{artifact}.cdx.json"),
        format!("attestations/sha256/{sandbox}.dsse.json"),
        manifest,
    ]
}

#[test]
fn signing_key_is_private_ignored_by_git_and_never_overwritten() {
    let project = require!(EchoProject::new());
    project
        .run(&["key", "new", KEY])
        .exits(6)
        .says("a private key does not belong in a repository")
        .says("No key was made.");
    assert!(!project.folder.join("keys").exists());
    project.write(".gitignore", "/target/\n**/.terraform/\n*.key\n");
    let created = project.run(&["key", "new", KEY, "--output", "json"]).exits(0).json();
    let (private, public) = (project.folder.join(KEY), project.folder.join("keys/release.pub.pem"));
    let mode = |path: &Path| path.metadata().expect("a key").permissions().mode() & 0o777;
    assert_eq!(mode(&private), 0o600);
    let id = created["data"]["key_id"].as_str().expect("an id").to_owned();
    match find_openssl() {
        Ok(openssl) => {
            let der = run_openssl(&openssl, &["pkey", "-pubin", "-in", path(&public), "-outform", "DER"]);
            assert_eq!(hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&der.stdout)), id);
            let from_private = run_openssl(&openssl, &["pkey", "-in", path(&private), "-pubout"]);
            assert_eq!(from_private.stdout, std::fs::read(&public).expect("a public key"));
        }
        Err(missing) => missing.report_skip(),
    }
    let before = std::fs::read(&private).expect("a key");
    project.run(&["key", "new", KEY]).exits(6).says("exists already");
    assert_eq!(std::fs::read(&private).expect("a key"), before);
    // A key outside of the repository cannot be committed.
    let outside = project.home.join("mine.key");
    project.run(&["key", "new", path(&outside)]).exits(0).says("trusted_keys = [");
    assert_eq!(mode(&outside), 0o600);
}

#[test]
fn signed_release_is_verified_by_slipway_openssl_and_securesystemslib() {
    let project = require!(signed_project());
    project.run(&RELEASE).exits(6).says("local requires signatures and no signing key is configured");
    let [artifacts, _] = project.account.buckets();
    assert_eq!(project.account.keys(&artifacts), Vec::<String>::new(), "nothing was published");
    project.run(&["release", "echo", "--env", "local", "--yes", "--version", "0.0.1"]).exits(6);
    run_signed(&project, &RELEASE).exits(0).says("echo 0.1.0 serves in local.");
    let again = project.run(&RELEASE).exits(0).says("plan skipped");
    assert!(!again.ran_step("plan"), "an unchanged release needs no key");

    let verified = project.run(&VERIFY_FIRST).exits(0);
    for line in ["manifest", "artifact", "content", "sbom", "envelope", "subjects", "signature for local"] {
        assert!(verified.stdout.contains(&format!("ok   {line}")), "{line} in {verified}");
    }
    assert!(verified.stdout.ends_with("echo 0.1.0 passes every check.\n"), "{verified}");
    let [_, sbom, attestation, _] = object_keys(&project, "0.1.0");
    let folder = project.home.join("evidence");
    std::fs::create_dir_all(&folder).expect("a folder");
    let write = |name: &str, bytes: &[u8]| {
        let file = folder.join(name);
        std::fs::write(&file, bytes).expect("a file");
        file
    };
    let envelope = project.account.object(&artifacts, &attestation);
    let sbom = project.account.object(&artifacts, &sbom);
    let public = project.folder.join("keys/release.pub.pem");
    verify_with_openssl(&write, &envelope, &public).unwrap_or_else(|missing| missing.report_skip());
    let (envelope, sbom) = (write("envelope.json", &envelope), write("sbom.cdx.json", &sbom));
    verify_with_python(&project, &folder, &envelope, &public, &sbom)
        .unwrap_or_else(|missing| missing.report_skip());
}

#[test]
fn release_with_a_flipped_byte_is_refused_and_changes_nothing() {
    let project = require!(signed_project());
    run_signed(&project, &RELEASE).exits(0);
    project.change_code();
    run_signed(&project, &RELEASE).exits(0).says("echo 0.2.0 serves in local.");
    let [artifacts, _] = project.account.buckets();
    let before = ObservedState::of(&project);
    let head = project.head();
    let deploy_first = [&DEPLOY_FIRST[..], &["--allow-loss", &head]].concat();
    for (key, lines) in object_keys(&project, "0.1.0").into_iter().zip([
        "artifact",
        "sbom",
        "signature for local",
        "manifest",
    ]) {
        let bytes = project.account.object(&artifacts, &key);
        for at in [0, bytes.len() / 2, bytes.len() - 1] {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            project.account.put(&artifacts, &key, &flipped);
            let refused = project.run(&deploy_first);
            assert!(matches!(refused.code, Some(1 | 6)), "{key}, byte {at}: {refused}");
            assert!(!refused.ran_step("plan"), "{key}, byte {at}: {refused}");
            let verified = project.run(&VERIFY_FIRST).exits(6);
            assert!(verified.stdout.contains(&format!("WRONG   {lines}")), "{key}, byte {at}: {verified}");
        }
        project.account.put(&artifacts, &key, &bytes);
    }
    assert_eq!(ObservedState::of(&project), before);
    project.run(&VERIFY_FIRST).exits(0);
    project.run(&deploy_first).exits(0).says("echo 0.1.0 serves in local.");
}

#[test]
fn release_of_an_untrusted_signer_is_not_deployed() {
    let project = require!(signed_project());
    let second = ["deploy", "echo", "--env", "local", "--version", "0.2.0", "--yes"];
    run_signed(&project, &RELEASE).exits(0);
    project.run(&["key", "new", "keys/other.key"]).exits(0);
    project.change_code();
    project
        .start_with(&RELEASE, &[("SLIPWAY_SIGNING_KEY", "keys/other.key")])
        .wait()
        .exits(6)
        .says("local does not trust `echo` 0.2.0: no trusted key signed it")
        .says("signed by")
        .says("trusted")
        .says("Nothing was changed.");
    assert_eq!(project.account.alias("echo"), "1");
    require_signatures(&project, "keys/other.pub.pem", "");
    project.run(&DEPLOY_FIRST).exits(6).says("no trusted key signed it");
    require_signatures(&project, "keys/other.pub.pem", "[provenance]\nref = \"refs/heads/release\"\n");
    project.run(&second).exits(6).says("ref is refs/heads/main, must be refs/heads/release");
    require_signatures(&project, "keys/other.pub.pem", "[provenance]\nref = \"refs/heads/main\"\n");
    project
        .run(&second)
        .exits(6)
        .says("the trust settings of local are weaker than at deployment 1 of `echo`");
    let accepted = [&second[..], &["--accept-weaker-trust"]].concat();
    project.run(&accepted).exits(0).says("echo 0.2.0 serves in local.");
}

#[test]
fn rollback_moves_traffic_before_it_checks_the_signature() {
    let project = require!(signed_project());
    run_signed(&project, &RELEASE).exits(0);
    project.change_code();
    run_signed(&project, &RELEASE).exits(0);
    let [artifacts, _] = project.account.buckets();
    let [_, _, attestation, _] = object_keys(&project, "0.1.0");
    let bytes = project.account.object(&artifacts, &attestation);
    project.account.put(&artifacts, &attestation, b"{}");
    let rollback = ["rollback", "--env", "local", "--yes"];
    let refused = project
        .run(&rollback)
        .exits(6)
        .says("local does not trust `echo` 0.1.0: its attestation was edited")
        .says("Traffic is back on the earlier release");
    assert!(refused.ran_step("rollout") && !refused.ran_step("plan"), "{refused}");
    assert_eq!(project.account.alias("echo"), "1", "users get the earlier release");
    project.account.put(&artifacts, &attestation, &bytes);
    project.run(&rollback).exits(0);
    assert_eq!(project.account.alias("echo"), "1");
    assert_eq!(ObservedState::of(&project).unfinished, Vec::<String>::new());
}

#[test]
fn kms_key_signs_releases_in_the_store_of_the_project() {
    let project = require!(EchoProject::new());
    // The emulator's account for unknown credentials.
    let account = "123456789012";
    let kms = |operation: &str, body: Value| -> Value {
        let target = format!("TrentService.{operation}");
        let headers = [
            (
                "Authorization",
                "AWS4-HMAC-SHA256 Credential=AKIA0000000000000000/20261122/eu-central-1/kms/aws4_request, SignedHeaders=host, Signature=0",
            ),
            ("X-Amz-Target", target.as_str()),
            ("X-Moto-Account-Id", account),
            ("Content-Type", "application/x-amz-json-1.1"),
        ];
        let response =
            http::send(project.emulator_port(), "POST", "/", &headers, body.to_string().as_bytes());
        let response = response.unwrap_or_else(|error| panic!("{operation}: {error}"));
        assert_eq!(response.status, 200, "{operation}: {}", response.text());
        if response.body.is_empty() { Value::Null } else { response.json() }
    };
    let created = kms("CreateKey", json!({ "KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY" }));
    let id = created["KeyMetadata"]["KeyId"].as_str().expect("a key").to_owned();
    let alias = format!("alias/echo-{}", project.account.id);
    kms("CreateAlias", json!({ "AliasName": alias, "TargetKeyId": id }));
    let public = kms("GetPublicKey", json!({ "KeyId": id }));
    let der = public["PublicKey"].as_str().expect("a public key");
    let lines: Vec<&str> =
        der.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("base64")).collect();
    project.write(
        "keys/kms.pub.pem",
        &format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n")),
    );
    let bucket = format!("echo-{}-kms", project.account.id);
    let headers = [
        (
            "Authorization",
            "AWS4-HMAC-SHA256 Credential=AKIA0000000000000000/20261122/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0",
        ),
        ("X-Moto-Account-Id", account),
    ];
    let put =
        http::send(project.emulator_port(), "PUT", &format!("/{bucket}"), &headers, b"").expect("a response");
    assert_eq!(put.status, 200, "{}", put.text());
    project.write(
        "pipelines/project.toml",
        &format!(
            "schema = 1\nname = \"echo\"\n[store]\naccount = \"{account}\"\nregion = \"eu-central-1\"\nbucket = \"{bucket}\"\nsigning_key = \"{alias}\"\n"
        ),
    );
    project.write(
        "terraform/environments/prod/environment.toml",
        &format!("account = \"{account}\"\nregion = \"eu-central-1\"\nsignatures = \"required\"\ntrusted_keys = [\"keys/kms.pub.pem\"]\n[state]\nbucket = \"none\"\n"),
    );
    project.commit("build: a store with a signing key");
    let url = format!("http://127.0.0.1:{}", project.emulator_port());
    let cloud = [
        ("AWS_ENDPOINT_URL", url.as_str()),
        ("AWS_ACCESS_KEY_ID", "AKIA0000000000000000"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ];
    let released = project.start_with(&["release"], &cloud).wait().exits(0);
    assert_eq!(released.calls("Sign", &alias), 1, "{released}");
    let verified = project.start_with(&["verify-release", "echo", "0.1.0"], &cloud).wait().exits(0);
    assert!(verified.stdout.contains("ok   signature for prod"), "{verified}");
    assert!(!verified.stdout.contains("signature for local"), "local has its own store: {verified}");
}

/// A Sigstore bundle about some files, as GitHub's action writes it; its signature is nobody's.
fn sigstore_bundle(subjects: &[&str]) -> String {
    let subject = |sha256: &&str| json!({ "name": "echo.zip", "digest": { "sha256": sha256 } });
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subjects.iter().map(subject).collect::<Vec<_>>(),
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {},
    });
    let payload = BASE64_STANDARD.encode(statement.to_string());
    let envelope =
        json!({ "payload": payload, "payloadType": "application/vnd.in-toto+json", "signatures": [] });
    let kind = "application/vnd.dev.sigstore.bundle.v0.3+json";
    format!("{}\n", json!({ "mediaType": kind, "dsseEnvelope": envelope }))
}

#[test]
fn sigstore_bundle_is_kept_once_beside_its_artifact_and_named_as_not_verified() {
    let project = require!(EchoProject::new());
    project.run(&RELEASE).exits(0);
    let [artifacts, _] = project.account.buckets();
    let [zip, ..] = object_keys(&project, "0.1.0");
    let sha256 = zip.trim_start_matches("artifacts/sha256/").trim_end_matches(".zip").to_owned();
    let key = format!("attestations/sha256/{sha256}.sigstore.json");
    let file = project.home.join("attestation.json");
    let attach = |bundle: &str| {
        std::fs::write(&file, bundle).expect("a bundle");
        project.run(&["attach-bundle", path(&file), "--env", "local"])
    };
    let keys = project.account.keys(&artifacts);
    for (wrong, why) in [
        (sigstore_bundle(&[&"0".repeat(64)]), "the bundle is about nothing that is stored"),
        (sigstore_bundle(&[]), "0 subjects"),
        ("{}".to_owned(), "it is not a Sigstore bundle"),
    ] {
        attach(&wrong).exits(6).says(why).says("Nothing was stored.");
    }
    assert_eq!(project.account.keys(&artifacts), keys);
    let audit = ["audit", "--env", "local"];
    let none = project.run(&VERIFY_FIRST).exits(0);
    assert!(!none.stdout.contains("bundle"), "{none}");

    let bundle = sigstore_bundle(&[&sha256, &"0".repeat(64)]);
    let attached = attach(&bundle).exits(0).says(&format!("kept   echo.zip   {key}"));
    attached.says("no artifact sha256:0000").says("not verified by Slipway");
    let stored = project.account.object(&artifacts, &key);
    let read = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).expect("JSON");
    assert_eq!(read(&stored), read(bundle.as_bytes()));
    // Another run's changes nothing.
    attach(&sigstore_bundle(&[&sha256])).exits(0).says("by an earlier run");
    assert_eq!(project.account.object(&artifacts, &key), stored);

    let verified = project.run(&VERIFY_FIRST).exits(0).says("kept, not verified by Slipway");
    verified.says(&format!("gh attestation verify artifact.zip --bundle {sha256}.sigstore.json --repo"));
    let folder = project.home.join("evidence");
    let evidence = [&audit[..], &["--evidence", path(&folder)]].concat();
    project.run(&evidence).exits(0).says(&format!("Sigstore bundle {key}: kept, not verified by Slipway"));
    let copied = folder.join("environments/local/echo/functions/echo/sigstore.json");
    assert_eq!(std::fs::read(copied).expect("the bundle"), stored);

    // One that somebody put there about other bytes is said by both, and is not replaced.
    project.account.put(&artifacts, &key, sigstore_bundle(&[&"0".repeat(64)]).as_bytes());
    project.run(&VERIFY_FIRST).exits(6).says("it is about other bytes than this release's");
    project.run(&audit).exits(6).says("it is about other bytes than this release's");
    attach(&bundle).exits(1).says("another object under the name of this bundle");
}
