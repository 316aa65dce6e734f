//! Releases whose builder a token proves, by an issuer on this machine; what runs without one may claim; the audit of both, and
//! its evidence, verified by openssl and sha256sum.
//!
//! In: OpenSSL, for the evidence; without it that part is skipped.

mod issuer;

use std::path::Path;

use serde_json::{Value, json};

use super::support::EchoProject;
use super::support::commands::{RELEASE, ROLLBACK};
use super::support::process::{Finished, command};
use super::support::skip::Missing;
use crate::require;
use issuer::Issuer;

const KEY: &str = "keys/release.key";
const AUDIT: [&str; 3] = ["audit", "--env", "local"];

/// A project whose local environment takes only what the issuer proves to be built by its release workflow on main.
fn strict_project(issuer: &Issuer) -> Result<EchoProject, Missing> {
    let project = EchoProject::new()?;
    project.write(".gitignore", "/target/\n**/.terraform/\n*.key\n");
    project.run(&["key", "new", KEY]).exits(0);
    let url = issuer.url();
    project.write(
        "pipelines/project.toml",
        &format!("schema = 1\nname = \"echo\"\n[builders.ci]\nkind = \"github\"\nissuer = \"{url}\"\n"),
    );
    project.write(
        "terraform/environments/local/environment.toml",
        "emulated = true\nsignatures = \"required\"\ntrusted_keys = [\"keys/release.pub.pem\"]\n\
         [provenance]\nbuilder = \"ci\"\nref = \"refs/heads/main\"\nworkflow = \".github/workflows/release.yml\"\n",
    );
    project.commit("build: require a builder");
    Ok(project)
}

fn head(project: &EchoProject) -> String {
    let mut git = command(Path::new("git"));
    let found = git.args(["rev-parse", "HEAD"]).current_dir(&project.folder).output().expect("git");
    String::from_utf8(found.stdout).expect("a commit").trim().to_owned()
}

/// Runs a command in a job that GitHub would give tokens with these claims.
fn run_in_ci(project: &EchoProject, issuer: &Issuer, claims: &Value, arguments: &[&str]) -> Finished {
    issuer.gives(claims);
    let request = issuer.request_url();
    let variables = [
        ("SLIPWAY_SIGNING_KEY", KEY),
        ("ACTIONS_ID_TOKEN_REQUEST_URL", request.as_str()),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", issuer::SHOWN),
    ];
    project.start_with(arguments, &variables).wait()
}

#[test]
fn claims_are_those_of_a_token_and_variables_claim_nothing() {
    let issuer = Issuer::start();
    let project = require!(strict_project(&issuer));
    let refused = "local would refuse what this run builds";
    // What a workflow on another branch, or a laptop with the key, could set.
    let lies = [
        ("SLIPWAY_SIGNING_KEY", KEY),
        ("CI", "true"),
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_REF", "refs/heads/main"),
        ("GITHUB_REPOSITORY", "acme/shop"),
        ("GITHUB_SERVER_URL", "https://github.com"),
        ("GITHUB_RUN_ID", "1"),
        ("GITHUB_WORKFLOW_REF", "acme/shop/.github/workflows/release.yml@refs/heads/main"),
    ];
    project.start_with(&RELEASE, &lies).wait().exits(6).says(refused).says("its claims are unverified");
    let commit = head(&project);
    let claims = issuer.claims(&commit);
    let changed = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        claims
    };
    for (wrong, why) in [
        (changed("ref", json!("refs/heads/other")), "ref is refs/heads/other, must be refs/heads/main"),
        (
            changed("workflow_ref", json!("acme/shop/.github/workflows/pr.yml@refs/heads/main")),
            "workflow is .github/workflows/pr.yml",
        ),
        (changed("sha", json!("0".repeat(40))), "the token of this run is for another commit"),
        (changed("aud", json!("sts.amazonaws.com")), "made for the audience"),
        (changed("exp", json!(1_700_000_000)), "expired"),
        (changed("iss", json!("http://127.0.0.1:1")), "none of the builders that this project trusts"),
    ] {
        run_in_ci(&project, &issuer, &wrong, &RELEASE).exits(6).says(why);
    }
    let [artifacts, _] = project.account.buckets();
    assert_eq!(project.account.keys(&artifacts), Vec::<String>::new(), "nothing was published");

    // Another issuer with the same address is another key.
    issuer.sign_with_another_key(true);
    run_in_ci(&project, &issuer, &claims, &RELEASE).exits(6).says("not that of its issuer's key");
    issuer.sign_with_another_key(false);

    run_in_ci(&project, &issuer, &claims, &RELEASE).exits(0).says("echo 0.1.0 serves in local.");
    let verified = project.run(&["verify-release", "echo", "0.1.0", "--env", "local"]).exits(0);
    assert!(
        verified.stdout.contains(&format!("ok   builder               ci ({})", issuer.url())),
        "{verified}"
    );
    assert!(verified.stdout.contains(&format!("refs/heads/main at {}", &commit[..7])), "{verified}");
}

#[test]
fn audit_proves_what_serves_and_its_evidence_is_verified_offline() {
    let issuer = Issuer::start();
    let project = require!(strict_project(&issuer));
    run_in_ci(&project, &issuer, &issuer.claims(&head(&project)), &RELEASE).exits(0);
    project.change_code();
    run_in_ci(&project, &issuer, &issuer.claims(&head(&project)), &RELEASE).exits(0);
    let folder = project.home.join("evidence");
    let place = folder.to_str().expect("a path").to_owned();
    let audit =
        project.run(&[&AUDIT[..], &["--evidence", &place, "--output", "json"]].concat()).exits(0).json();
    let function = &audit["data"]["environments"][0]["functions"][0];
    let verdict = |claim: &str| {
        let claims = function["claims"].as_array().expect("claims");
        let found = claims.iter().find(|found| found["claim"] == claim);
        found.unwrap_or_else(|| panic!("{claim}: {function}"))["verdict"].clone()
    };
    for claim in ["serves", "release", "bytes", "signature", "commit", "workflow", "verified", "ledger"] {
        assert_eq!(verdict(claim), "proven", "{claim}: {function}");
    }
    // The emulator has no callers whom AWS knows.
    assert_eq!(verdict("deployed by"), "unproven");
    project.run(&[&AUDIT[..], &["--evidence", &place]].concat()).exits(6).says("is not empty");

    let verify = || {
        let mut shell = command(Path::new("/bin/sh"));
        shell.arg("verify.sh").current_dir(&folder).env_clear().env("PATH", "/usr/bin:/bin");
        shell.output().expect("a shell")
    };
    if Path::new("/usr/bin/openssl").is_file() {
        let verified = verify();
        let text = String::from_utf8_lossy(&verified.stdout).into_owned();
        assert!(verified.status.success(), "{text} {}", String::from_utf8_lossy(&verified.stderr));
        assert!(text.contains("proven: environments/local/echo/functions/echo runs release"), "{text}");
        // Whoever changes a file can write the list of digests anew; the rest still disagrees.
        let base = folder.join("environments/local/echo");
        let newest = base.join("ledger/echo/9999999997.ended.json");
        let older = base.join("ledger/echo/9999999998.ended.json");
        let functions = base.join("functions/echo");
        for (file, from, to) in [
            (functions.join("statement.json"), "refs/heads/main", "refs/heads/evil"),
            (functions.join("signed"), "refs/heads/main", "refs/heads/evil"),
            (functions.join("manifest.json"), "\"handler\"", "\"handles\""),
            (functions.join("lambda.json"), "\"code_sha256\": \"", "\"code_sha256\": \"A"),
            (functions.join("artifact.zip"), "", ""),
            (older, "\"by\": \"", "\"by\": \"x"),
            (newest, "\"digest\": \"sha256:", "\"digest\": \"sha256:0"),
        ] {
            let bytes = std::fs::read(&file).expect("a file");
            let edited = match String::from_utf8(bytes.clone()) {
                Ok(text) if !from.is_empty() => text.replace(from, to).into_bytes(),
                _ => [&bytes[..], b"x"].concat(),
            };
            assert_ne!(edited, bytes, "{}", file.display());
            std::fs::write(&file, edited).expect("a file");
            assert!(!verify().status.success(), "{}: the digests", file.display());
            let sums = std::fs::read_to_string(folder.join("SHA256SUMS")).expect("a file");
            let anew: String = sums
                .lines()
                .map(|line| {
                    let name = &line[66..];
                    let bytes = std::fs::read(folder.join(name)).expect("a file");
                    format!("{}  {name}\n", hex::encode(<sha2::Sha256 as sha2::Digest>::digest(bytes)))
                })
                .collect();
            std::fs::write(folder.join("SHA256SUMS"), anew).expect("a file");
            let verified = verify();
            let text = String::from_utf8_lossy(&verified.stderr).into_owned();
            assert!(!verified.status.success() && text.contains("WRONG"), "{}: {text}", file.display());
            std::fs::write(&file, bytes).expect("a file");
            std::fs::write(folder.join("SHA256SUMS"), sums).expect("a file");
        }
        assert!(verify().status.success());
    } else {
        Missing::new("openssl is not installed").report_skip();
    }

    // What somebody changed is refuted, and the exit code says so.
    let [artifacts, _] = project.account.buckets();
    let key = "releases/echo/0.2.0.json";
    let bytes = project.account.object(&artifacts, key);
    project.account.put(&artifacts, key, &project.account.object(&artifacts, "releases/echo/0.1.0.json"));
    project.run(&AUDIT).exits(6).says("the evidence refutes what is claimed of echo in local");
    project.account.put(&artifacts, key, &bytes);
    let audited = project.run(&AUDIT).exits(0);
    assert!(audited.stdout.contains("1 function: 0 proven, 1 not proven, 0 refuted."), "{audited}");
    project.account.move_alias("echo", "1");
    let audited = project.run(&AUDIT).exits(6);
    assert!(audited.stdout.contains("REFUTED"), "{audited}");
}

#[test]
fn keys_that_others_put_beside_the_entries_stop_nobody_and_a_changed_entry_is_named() {
    let project = require!(EchoProject::released_twice());
    let [_, state] = project.account.buckets();
    for key in ["ledger/echo/!.tflock", "ledger/echo/0.tfstate.tflock"] {
        project.account.put(&state, key, b"{}");
    }
    project.run(&["status", "--env", "local"]).exits(0);
    project.change_code();
    project.run(&RELEASE).exits(0).says("which is no entry: find out who wrote it");
    project.run(&ROLLBACK).exits(0);
    let history = project.run(&["history", "--env", "local", "--output", "json"]).exits(0).json();
    let deployments = history["data"]["deployments"].as_array().expect("deployments");
    let links = deployments.iter().filter(|ended| ended["previous"].is_string()).count();
    assert!(deployments.len() > 2, "{history}");
    assert_eq!(links, deployments.len() - 1, "each has the digest of the one before");

    let key = "ledger/echo/9999999997.ended.json";
    let text = String::from_utf8(project.account.object(&state, key)).expect("JSON");
    project.account.put(&state, key, text.replacen("\"by\": \"", "\"by\": \"x", 1).as_bytes());
    let broken = "the end of deployment 2 was changed since deployment 3 began";
    project.run(&["history", "--env", "local"]).exits(6).says(broken);
    let deploy = ["deploy", "echo", "--env", "local", "--version", "0.2.0", "--lift-hold", "--yes"];
    project.run(&deploy).exits(6).says(broken);
    project.account.put(&state, key, text.as_bytes());
    project.run(&["history", "--env", "local"]).exits(0);
}
