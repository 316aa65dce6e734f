//! Signed releases, end to end: keys, signatures that others verify, and what is refused.
//!
//! In: OpenSSL, and securesystemslib and cyclonedx-python-lib from PyPI. Where they cannot be had their part is left out
//! and says so; with CI=true that is a failure.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::support::http;
use super::support::process::{Finished, command};
use super::support::surroundings::repository;
use super::support::{Settled, World};

const RELEASE: [&str; 4] = ["release", "--env", "local", "--yes"];
const DEPLOY_FIRST: [&str; 7] = ["deploy", "echo", "--env", "local", "--version", "0.1.0", "--yes"];
const EXAMINE: [&str; 5] = ["verify-release", "echo", "0.1.0", "--env", "local"];
const KEY: &str = "keys/release.key";

/// A world that requires signatures and has a key for them.
fn signed_world() -> Option<World> {
    let world = World::new()?;
    world.write(".gitignore", "/target/\n**/.terraform/\n*.key\n");
    world.run(&["key", "new", KEY]).exits(0);
    require(&world, "keys/release.pub.pem", "");
    Some(world)
}

/// Has the environment trust a key, and demand it.
fn require(world: &World, key: &str, more: &str) {
    world.write(
        "terraform/environments/local/environment.toml",
        &format!("emulated = true\nsignatures = \"required\"\ntrusted_keys = [\"{key}\"]\n{more}"),
    );
    world.commit("build: require signatures");
}

fn signed(world: &World, arguments: &[&str]) -> Finished {
    world.start_with(arguments, &[("SLIPWAY_SIGNING_KEY", KEY)]).wait()
}

/// The keys of a release's objects: artifact, SBOM, attestation, manifest.
fn objects(world: &World, version: &str) -> [String; 4] {
    let [artifacts, _] = world.account.buckets();
    let manifest = format!("releases/echo/{version}.json");
    let bytes = world.account.object(&artifacts, &manifest);
    let read: Value = serde_json::from_slice(&bytes).expect("a manifest");
    let artifact = read["artifact"]["sha256"].as_str().expect("a digest").trim_start_matches("sha256:");
    let sealed = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&bytes));
    [
        format!("artifacts/sha256/{artifact}.zip"),
        format!("sbom/sha256/{artifact}.cdx.json"),
        format!("attestations/sha256/{sealed}.dsse.json"),
        manifest,
    ]
}

#[test]
fn a_key_is_made_once_for_its_owner_and_not_for_git() {
    let Some(world) = World::new() else { return };
    world
        .run(&["key", "new", KEY])
        .exits(6)
        .says("a private key does not belong in a repository")
        .says("No key was made.");
    assert!(!world.project.join("keys").exists());
    world.write(".gitignore", "/target/\n**/.terraform/\n*.key\n");
    let made = world.run(&["key", "new", KEY, "--output", "json"]).exits(0).json();
    let (private, public) = (world.project.join(KEY), world.project.join("keys/release.pub.pem"));
    let mode = |path: &Path| path.metadata().expect("a key").permissions().mode() & 0o777;
    assert_eq!(mode(&private), 0o600);
    let id = made["data"]["key_id"].as_str().expect("an id").to_owned();
    let der = openssl(&["pkey", "-pubin", "-in", path(&public), "-outform", "DER"]);
    if let Some(der) = der {
        assert_eq!(hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&der.stdout)), id);
        let from_private = openssl(&["pkey", "-in", path(&private), "-pubout"]).expect("openssl is there");
        assert_eq!(from_private.stdout, std::fs::read(&public).expect("a public key"));
    }
    let before = std::fs::read(&private).expect("a key");
    world.run(&["key", "new", KEY]).exits(6).says("exists already");
    assert_eq!(std::fs::read(&private).expect("a key"), before);
    // Outside of the repository nobody could commit it.
    let outside = world.home.join("mine.key");
    world.run(&["key", "new", path(&outside)]).exits(0).says("trusted_keys = [");
    assert_eq!(mode(&outside), 0o600);
}

#[test]
fn a_signed_release_is_verified_by_us_and_by_others() {
    let Some(world) = signed_world() else { return };
    world.run(&RELEASE).exits(6).says("local requires signatures and no signing key is configured");
    let [artifacts, _] = world.account.buckets();
    assert_eq!(world.account.keys(&artifacts), Vec::<String>::new(), "nothing was published");
    world.run(&["release", "echo", "--env", "local", "--yes", "--version", "0.0.1"]).exits(6);
    signed(&world, &RELEASE).exits(0).says("echo 0.1.0 serves in local.");
    let again = world.run(&RELEASE).exits(0).says("plan skipped");
    assert!(!again.did("plan"), "an unchanged release needs no key");

    let told = world.run(&EXAMINE).exits(0);
    for line in ["manifest", "artifact", "content", "sbom", "envelope", "subjects", "signature for local"] {
        assert!(told.stdout.contains(&format!("ok   {line}")), "{line} in {told}");
    }
    assert!(told.stdout.ends_with("echo 0.1.0 passes every check.\n"), "{told}");
    let [_, sbom, attestation, _] = objects(&world, "0.1.0");
    let folder = world.home.join("evidence");
    std::fs::create_dir_all(&folder).expect("a folder");
    let keep = |name: &str, bytes: &[u8]| {
        let file = folder.join(name);
        std::fs::write(&file, bytes).expect("a file");
        file
    };
    let envelope = world.account.object(&artifacts, &attestation);
    let bill = world.account.object(&artifacts, &sbom);
    let public = world.project.join("keys/release.pub.pem");
    verified_by_openssl(&keep, &envelope, &public);
    let (envelope, bill) = (keep("envelope.json", &envelope), keep("sbom.cdx.json", &bill));
    verified_by_python(&world, &folder, &envelope, &public, &bill);
}

#[test]
fn a_flipped_byte_is_refused_and_changes_nothing() {
    let Some(world) = signed_world() else { return };
    signed(&world, &RELEASE).exits(0);
    world.second_code();
    signed(&world, &RELEASE).exits(0).says("echo 0.2.0 serves in local.");
    let [artifacts, _] = world.account.buckets();
    let before = Settled::of(&world);
    for (key, lines) in
        objects(&world, "0.1.0").into_iter().zip(["artifact", "sbom", "signature for local", "manifest"])
    {
        let bytes = world.account.object(&artifacts, &key);
        for at in [0, bytes.len() / 2, bytes.len() - 1] {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            world.account.put(&artifacts, &key, &flipped);
            let refused = world.run(&DEPLOY_FIRST);
            assert!(matches!(refused.code, Some(1 | 6)), "{key}, byte {at}: {refused}");
            assert!(!refused.did("plan"), "{key}, byte {at}: {refused}");
            let told = world.run(&EXAMINE).exits(6);
            assert!(told.stdout.contains(&format!("WRONG   {lines}")), "{key}, byte {at}: {told}");
        }
        world.account.put(&artifacts, &key, &bytes);
    }
    assert_eq!(Settled::of(&world), before);
    world.run(&EXAMINE).exits(0);
    world.run(&DEPLOY_FIRST).exits(0).says("echo 0.1.0 serves in local.");
}

#[test]
fn who_is_not_trusted_does_not_deploy() {
    let Some(world) = signed_world() else { return };
    let second = ["deploy", "echo", "--env", "local", "--version", "0.2.0", "--yes"];
    signed(&world, &RELEASE).exits(0);
    world.run(&["key", "new", "keys/other.key"]).exits(0);
    world.second_code();
    world
        .start_with(&RELEASE, &[("SLIPWAY_SIGNING_KEY", "keys/other.key")])
        .wait()
        .exits(6)
        .says("local does not trust `echo` 0.2.0: no trusted key signed it")
        .says("signed by")
        .says("trusted")
        .says("Nothing was changed.");
    assert_eq!(world.account.alias("echo"), "1");
    require(&world, "keys/other.pub.pem", "");
    world.run(&DEPLOY_FIRST).exits(6).says("no trusted key signed it");
    require(&world, "keys/other.pub.pem", "[provenance]\nref = \"refs/heads/release\"\n");
    world.run(&second).exits(6).says("ref is refs/heads/main, must be refs/heads/release");
    require(&world, "keys/other.pub.pem", "[provenance]\nref = \"refs/heads/main\"\n");
    world.run(&second).exits(0).says("echo 0.2.0 serves in local.");
}

#[test]
fn a_rollback_moves_traffic_and_then_asks_for_the_signature() {
    let Some(world) = signed_world() else { return };
    signed(&world, &RELEASE).exits(0);
    world.second_code();
    signed(&world, &RELEASE).exits(0);
    let [artifacts, _] = world.account.buckets();
    let [_, _, attestation, _] = objects(&world, "0.1.0");
    let bytes = world.account.object(&artifacts, &attestation);
    world.account.put(&artifacts, &attestation, b"{}");
    let rollback = ["rollback", "--env", "local", "--yes"];
    let refused = world
        .run(&rollback)
        .exits(6)
        .says("local does not trust `echo` 0.1.0: its attestation was edited")
        .says("Traffic is back on the earlier release");
    assert!(refused.did("rollout") && !refused.did("plan"), "{refused}");
    assert_eq!(world.account.alias("echo"), "1", "users are served by what served them before");
    world.account.put(&artifacts, &attestation, &bytes);
    world.run(&rollback).exits(0);
    assert_eq!(world.account.alias("echo"), "1");
    assert_eq!(Settled::of(&world).open, Vec::<String>::new());
}

#[test]
fn a_key_in_kms_signs_what_goes_to_the_projects_store() {
    let Some(world) = World::new() else { return };
    // The account that the emulator gives to credentials which it does not know.
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
        let answer = http::send(world.port(), "POST", "/", &headers, body.to_string().as_bytes());
        let answer = answer.unwrap_or_else(|error| panic!("{operation}: {error}"));
        assert_eq!(answer.status, 200, "{operation}: {}", answer.text());
        if answer.body.is_empty() { Value::Null } else { answer.json() }
    };
    let made = kms("CreateKey", json!({ "KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY" }));
    let id = made["KeyMetadata"]["KeyId"].as_str().expect("a key").to_owned();
    let alias = format!("alias/echo-{}", world.account.id);
    kms("CreateAlias", json!({ "AliasName": alias, "TargetKeyId": id }));
    let told = kms("GetPublicKey", json!({ "KeyId": id }));
    let der = told["PublicKey"].as_str().expect("a public key");
    let lines: Vec<&str> =
        der.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("base64")).collect();
    world.write(
        "keys/kms.pub.pem",
        &format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n")),
    );
    let bucket = format!("echo-{}-kms", world.account.id);
    let headers = [
        (
            "Authorization",
            "AWS4-HMAC-SHA256 Credential=AKIA0000000000000000/20261122/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0",
        ),
        ("X-Moto-Account-Id", account),
    ];
    let put = http::send(world.port(), "PUT", &format!("/{bucket}"), &headers, b"").expect("an answer");
    assert_eq!(put.status, 200, "{}", put.text());
    world.write(
        "pipelines/project.toml",
        &format!(
            "schema = 1\nname = \"echo\"\n[store]\naccount = \"{account}\"\nregion = \"eu-central-1\"\nbucket = \"{bucket}\"\nsigning_key = \"{alias}\"\n"
        ),
    );
    world.write(
        "terraform/environments/prod/environment.toml",
        &format!("account = \"{account}\"\nregion = \"eu-central-1\"\nsignatures = \"required\"\ntrusted_keys = [\"keys/kms.pub.pem\"]\n[state]\nbucket = \"none\"\n"),
    );
    world.commit("build: a store with a signing key");
    let url = format!("http://127.0.0.1:{}", world.port());
    let cloud = [
        ("AWS_ENDPOINT_URL", url.as_str()),
        ("AWS_ACCESS_KEY_ID", "AKIA0000000000000000"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ];
    let released = world.start_with(&["release"], &cloud).wait().exits(0);
    assert_eq!(released.calls("Sign", &alias), 1, "{released}");
    let told = world.start_with(&["verify-release", "echo", "0.1.0"], &cloud).wait().exits(0);
    assert!(told.stdout.contains("ok   signature for prod"), "{told}");
    assert!(!told.stdout.contains("signature for local"), "local has a store of its own: {told}");
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// Runs OpenSSL, where it is there.
fn openssl(arguments: &[&str]) -> Option<Output> {
    let program = ["/usr/bin/openssl", "/usr/local/bin/openssl"].map(PathBuf::from);
    let Some(program) = program.iter().find(|program| program.is_file()) else {
        left_out("openssl is not installed");
        return None;
    };
    let output = command(program).args(arguments).output().expect("openssl runs");
    assert!(
        output.status.success(),
        "openssl {arguments:?}: {} {}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Some(output)
}

fn left_out(why: &str) {
    assert!(
        variable("CI").as_deref() != Some("true"),
        "CI=true and a part of a test would be left out: {why}"
    );
    // Written past the capture of tests' output: what is left out has to be said.
    let _ = std::io::stderr().write_all(format!("left out: {why}\n").as_bytes());
}

#[expect(clippy::disallowed_methods, reason = "the machine's settings for packages")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Puts the signed bytes together by hand and asks OpenSSL.
fn verified_by_openssl(keep: &impl Fn(&str, &[u8]) -> PathBuf, envelope: &[u8], public: &Path) {
    let envelope: Value = serde_json::from_slice(envelope).expect("an envelope");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let payload = BASE64_STANDARD.decode(text(&envelope["payload"])).expect("base64");
    let signature = BASE64_STANDARD.decode(text(&envelope["signatures"][0]["sig"])).expect("base64");
    let kind = text(&envelope["payloadType"]);
    let mut signed = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
    signed.extend_from_slice(&payload);
    let (signed, signature) = (keep("signed", &signed), keep("signature", &signature));
    let told =
        openssl(&["dgst", "-sha256", "-verify", path(public), "-signature", path(&signature), path(&signed)]);
    assert!(told.is_none_or(|told| told.stdout == b"Verified OK\n"));
}

const VERIFIER: &str = r#"
import hashlib, json, sys
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

_, envelope, public, sbom, sample = sys.argv
read = json.load(open(envelope))
key = SSlibKey.from_crypto(load_pem_public_key(open(public, "rb").read()), keyid=read["signatures"][0]["keyid"])
parsed = Envelope.from_dict(read)
parsed.verify([key], 1)
bill = open(sbom).read()
named = {subject["digest"]["sha256"] for subject in json.loads(parsed.payload)["subject"]}
assert hashlib.sha256(bill.encode()).hexdigest() in named, named
parsed.payload += b" "
try:
    parsed.verify([key], 1)
    sys.exit("a changed payload was verified")
except VerificationError:
    pass
for document in (bill, open(sample).read()):
    wrong = JsonStrictValidator(SchemaVersion.V1_5).validate_str(document)
    assert wrong is None, wrong
print("verified")
"#;

/// Asks securesystemslib about the envelope, and CycloneDX's own schema about the SBOM.
fn verified_by_python(world: &World, folder: &Path, envelope: &Path, public: &Path, sbom: &Path) {
    let venv = folder.join("venv");
    let python = ["/usr/bin/python3", "/usr/local/bin/python3"].map(PathBuf::from);
    let Some(python) = python.iter().find(|python| python.is_file()) else {
        return left_out("python3 is not installed");
    };
    let settings =
        ["HTTPS_PROXY", "NO_PROXY", "PIP_CERT", "PIP_INDEX_URL", "PIP_FIND_LINKS", "SSL_CERT_FILE"];
    let run = |program: &Path, arguments: &[&str]| {
        let mut command = command(program);
        command.args(arguments).env("HOME", &world.home).env("PATH", "/usr/local/bin:/usr/bin:/bin");
        command.envs(settings.iter().filter_map(|name| Some((name, variable(name)?))));
        command.output().expect("a program that runs")
    };
    let made = run(python, &["-m", "venv", path(&venv)]);
    let pip = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "securesystemslib[crypto]==1.6.0",
        "cyclonedx-python-lib[json-validation]==11.12.0",
    ];
    if !made.status.success() || !run(&venv.join("bin/python"), &pip).status.success() {
        return left_out("securesystemslib and cyclonedx-python-lib cannot be installed from PyPI");
    }
    // One with all that a document of Slipway's may hold: this project's function has no dependencies.
    let sample = repository().join("xtask/src/release/sbom/sample.cdx.json");
    let files = [envelope, public, sbom, &sample].map(path);
    let arguments: Vec<&str> = ["-c", VERIFIER].into_iter().chain(files).collect();
    let told = run(&venv.join("bin/python"), &arguments);
    assert!(
        told.stdout == b"verified\n",
        "{} {}",
        String::from_utf8_lossy(&told.stdout),
        String::from_utf8_lossy(&told.stderr)
    );
}
