//! The signature and the attestation of a released image where cosign looks for them, in Debian's docker-registry: fetched by
//! skopeo, and verified by OpenSSL over the bytes that cosign's specification names.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::verifiers::{find_openssl, path, run_openssl, verify_with_openssl};
use crate::require;
use crate::support::TestRun;
use crate::support::base_images::base_images;
use crate::support::http;
use crate::support::process::{Finished, command};
use crate::support::registry::Registry;
use crate::support::sandbox::{Sandbox, init_repository};
use crate::support::settings_files::project_with_store;

const OCI: &str = "application/vnd.oci.image.manifest.v1+json";

/// A project with one image function, a signing key, and a store whose images are in a registry of the test run.
struct Project {
    sandbox: Sandbox,
    registry: Registry,
    store: String,
}

impl Project {
    fn new(test_run: &'static TestRun, registry: Registry) -> Self {
        let sandbox = Sandbox::new(test_run);
        let id = sandbox.account.id.clone();
        let store = format!("shop-{id}-artifacts");
        sandbox.account.create_bucket(&store);
        let images = format!("repositories = \"{}/{id}\"\n", registry.host());
        let bases = base_images(test_run);
        let base = registry.name("lambda/python", &bases.python.digest);
        let function = format!(
            "runtime = \"{}\"\nhandler = \"app.handle\"\npackage = \"image\"\n\n[build]\nwith = \"python\"\nsources = [\"src/app.py\"]\n\n[image]\nbase = \"{base}\"\n",
            bases.runtime
        );
        for (path, text) in [
            (
                "pipelines/project.toml",
                project_with_store("shop", &id, &store) + &images + "signing_key = \"keys/release.key\"\n",
            ),
            (".gitignore", "/target/\n*.key\n".to_owned()),
            ("lambda-src/small/function.toml", function),
            ("lambda-src/small/src/app.py", "def handle(event, _context):\n    return event\n".to_owned()),
        ] {
            sandbox.write(path, &text);
        }
        init_repository(&sandbox.folder);
        sandbox.run(&["key", "new", "keys/release.key"]).exits(0);
        sandbox.run(&["key", "new", "keys/other.key"]).exits(0);
        sandbox.write(
            "terraform/environments/prod/environment.toml",
            &format!(
                "account = \"{id}\"\nregion = \"eu-central-1\"\ntrusted_keys = [\"keys/release.pub.pem\"]\n\n[state]\nbucket = \"none\"\n"
            ),
        );
        sandbox.commit("build: keys");
        Self { sandbox, registry, store }
    }

    fn release(&self) -> Finished {
        self.sandbox.run_as_administrator_of(&self.sandbox.account, &["release", "small"])
    }

    fn verify(&self) -> Finished {
        let account = &self.sandbox.account;
        self.sandbox.run_as_administrator_of(account, &["verify-release", "small", "0.1.0", "--env", "prod"])
    }

    fn public(&self, name: &str) -> PathBuf {
        self.sandbox.folder.join(format!("keys/{name}.pub.pem"))
    }

    fn get(&self, what: &str) -> Vec<u8> {
        let path = format!("/v2/{}/small/{what}", self.sandbox.account.id);
        let response = http::send(self.registry.port(), "GET", &path, &[("Accept", OCI)], &[]);
        let response = response.expect("the registry's response");
        assert_eq!(response.status, 200, "{what}: {}", response.text());
        response.body
    }

    /// Returns the only layer of what a tag names, and its bytes, as skopeo copied them: it compares every digest.
    fn document(&self, tag: &str) -> (Value, Vec<u8>) {
        let place = format!("{}/{}/small:{tag}", self.registry.host(), self.sandbox.account.id);
        let copied = self.sandbox.home.join(tag);
        let output = command(Path::new("skopeo"))
            .args(["--insecure-policy", "copy", "--src-tls-verify=false", "--preserve-digests"])
            .arg(format!("docker://{place}"))
            .arg(format!("dir:{}", copied.display()))
            .env("PATH", &self.sandbox.test_run.machine.path)
            .env("HOME", &self.sandbox.home)
            .output()
            .expect("skopeo");
        assert!(output.status.success(), "skopeo: {}", String::from_utf8_lossy(&output.stderr));
        let read =
            |name: &str| std::fs::read(copied.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let manifest: Value = serde_json::from_slice(&read("manifest.json")).expect("JSON");
        assert_eq!(manifest["layers"].as_array().map(Vec::len), Some(1), "{manifest}");
        let layer = manifest["layers"][0].clone();
        let bytes = read(layer["digest"].as_str().expect("a digest").trim_start_matches("sha256:"));
        (layer, bytes)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let file = self.sandbox.home.join(name);
        std::fs::write(&file, bytes).expect("a file");
        file
    }
}

#[test]
fn image_is_signed_and_attested_once_where_cosign_looks() {
    let test_run = require!(TestRun::shared());
    let registry = require!(Registry::start(test_run));
    let project = Project::new(test_run, registry);
    project.release().exits(0).says("small 0.1.0");
    let hex = hex::encode(Sha256::digest(project.get("manifests/0.1.0")));
    let (signature_tag, attestation_tag) = (format!("sha256-{hex}.sig"), format!("sha256-{hex}.att"));

    let (layer, payload) = project.document(&signature_tag);
    assert_eq!(layer["mediaType"], "application/vnd.dev.cosign.simplesigning.v1+json");
    let critical = &serde_json::from_slice::<Value>(&payload).expect("JSON")["critical"];
    let place = format!("{}/{}/small", project.registry.host(), project.sandbox.account.id);
    assert_eq!(critical["image"]["docker-manifest-digest"], format!("sha256:{hex}"));
    assert_eq!(critical["identity"]["docker-reference"], place);
    let signature = layer["annotations"]["dev.cosignproject.cosign/signature"].as_str().expect("a signature");
    let signature = BASE64_STANDARD.decode(signature).expect("base64");
    let public = project.public("release");
    let openssl = require!(find_openssl());
    let (signed, signature) = (project.write("payload", &payload), project.write("signature", &signature));
    let verify = ["dgst", "-sha256", "-verify", path(&public), "-signature", path(&signature), path(&signed)];
    assert_eq!(run_openssl(&openssl, &verify).stdout, b"Verified OK\n");
    let other = project.public("other");
    let by_other =
        ["dgst", "-sha256", "-verify", path(&other), "-signature", path(&signature), path(&signed)];
    let output = command(&openssl).args(by_other).output().expect("openssl");
    assert!(!output.status.success(), "another key verifies it");

    let (layer, envelope) = project.document(&attestation_tag);
    assert_eq!(layer["mediaType"], "application/vnd.dsse.envelope.v1+json");
    assert_eq!(layer["annotations"]["predicateType"], "https://slsa.dev/provenance/v1");
    require!(verify_with_openssl(&|name, bytes| project.write(name, bytes), &envelope, &public));
    let envelope: Value = serde_json::from_slice(&envelope).expect("an envelope");
    let statement = BASE64_STANDARD.decode(envelope["payload"].as_str().expect("a payload")).expect("base64");
    let statement: Value = serde_json::from_slice(&statement).expect("a statement");
    let subjects = statement["subject"].as_array().expect("subjects");
    assert!(subjects.iter().any(|subject| subject["digest"]["sha256"] == hex.as_str()), "{statement}");

    project.verify().exits(0).says("cosign's signature").says("cosign's attestation");

    // A run that was killed before the release was complete is repeated: nothing is signed or pushed again.
    let manifests = || [&signature_tag, &attestation_tag].map(|tag| project.get(&format!("manifests/{tag}")));
    let before = manifests();
    let forget = || {
        project.sandbox.account.delete(&project.store, "releases/small/0.1.0.json");
    };
    forget();
    project.release().exits(0).says("small 0.1.0");
    assert_eq!(manifests(), before);

    // Something else under one of the tags is refused, and stays.
    for (tag, other, what) in
        [(&signature_tag, &before[1], "signature"), (&attestation_tag, &before[0], "attestation")]
    {
        let put = |bytes: &[u8]| {
            let path = format!("/v2/{}/small/manifests/{tag}", project.sandbox.account.id);
            let response = http::send(project.registry.port(), "PUT", &path, &[("Content-Type", OCI)], bytes);
            assert_eq!(response.expect("a response").status, 201);
        };
        let right = project.get(&format!("manifests/{tag}"));
        put(other);
        forget();
        project.release().exits(6).says(&format!("the registry has another {what} of this image")).says(tag);
        assert_eq!(&project.get(&format!("manifests/{tag}")), other, "it was replaced");
        let keys = project.sandbox.account.keys(&project.store);
        assert!(!keys.contains(&"releases/small/0.1.0.json".to_owned()), "it was released: {keys:?}");
        put(&right);
        project.release().exits(0);
        put(other);
        project.verify().exits(6).says(&format!("not valid: cosign's {what}"));
        put(&right);
        project.verify().exits(0);
    }
}
