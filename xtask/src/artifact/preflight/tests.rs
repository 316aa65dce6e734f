//! Trees with problems, and the findings.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use slipway_archive::Tree;

use super::*;
use crate::architecture::Architecture;
use crate::failure::FailureKind;
use crate::settings::{BuildSettings, PackageType};

/// A text in the form of a private key, made here so that no scanner takes this file for one.
fn private_key() -> String {
    let line = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n";
    format!("-----BEGIN {0}-----\n{1}{1}-----END {0}-----\n", "PRIVATE KEY", line)
}

fn access_key(id: &str, secret: &str) -> String {
    format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n")
}

fn settings(runtime: &str, handler: &str, allow: &[&str]) -> FunctionSettings {
    let build = format!("with = \"python\"\nsources = [\"src/app\"]\nallow = {allow:?}\n");
    let build: BuildSettings = toml::from_str(&build).unwrap();
    FunctionSettings {
        folder: "lambda-src/ingest".into(),
        runtime: runtime.into(),
        handler: handler.into(),
        handler_in_layer: false,
        image: None,
        architecture: Architecture::X86_64,
        package: PackageType::Zip,
        first_version: "0.1.0".parse().unwrap(),
        build,
        smoke: Vec::new(),
        deployment_tests: None,
        before_traffic: Vec::new(),
    }
}

fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    folder
}

fn found_in(settings: &FunctionSettings, folder: &Path) -> Vec<String> {
    let tree = Tree::from_folder(folder).unwrap();
    let findings = findings(&"ingest".parse().unwrap(), settings, &tree).unwrap();
    findings.into_iter().map(|finding| format!("{}: {}", finding.subject, finding.problem)).collect()
}

fn python(files: &[(&str, &[u8])]) -> Vec<String> {
    let mut all: Vec<(&str, &[u8])> = vec![("app/main.py", b"def handle(event, context):\n    return 1\n")];
    all.extend_from_slice(files);
    found_in(&settings("python3.13", "app.main.handle", &[]), folder(&all).path())
}

#[test]
fn secrets_are_found_by_name_and_content() {
    let key = private_key();
    let aws = access_key("AKIAQWERTYUIOP234567", "abcdEFGH1234/bcdEFGH1234+bcdEFGH1234abcd");
    let escaped = key.replace('\n', "\\n");
    let escaped = format!("{{\"private_key\": \"{escaped}\"}}");
    for (name, text, said) in [
        ("app/.env", "A=1", "app/.env: is a file of environment variables, which usually contains secrets"),
        (".env.prod", "A=1", ".env.prod: is a file of environment variables, which usually contains secrets"),
        ("app/server.pem", &key, "app/server.pem: contains a private key (PEM)"),
        ("app/account.json", &escaped, "app/account.json: contains a private key (PEM)"),
        ("keys/id_rsa", "x", "keys/id_rsa: has the name of a private SSH key"),
        ("store.p12", "x", "store.p12: is a key store (.p12)"),
        (
            "app/settings.ini",
            &aws,
            "app/settings.ini: contains an AWS access key with its secret (AKIAQWER…)",
        ),
        (".aws/credentials", "x", ".aws/credentials: is a file of credentials"),
    ] {
        assert_eq!(python(&[(name, text.as_bytes())]), [said]);
    }
    assert_eq!(
        python(&[("tls.key", &[0x30, 0x82, 0, 0])]),
        ["tls.key: is a private key in binary form (.key)"]
    );
}

#[test]
fn files_that_only_resemble_secrets_pass() {
    let certificate = private_key().replace("PRIVATE KEY", "CERTIFICATE");
    let example = access_key("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
    let no_secret = access_key("AKIAQWERTYUIOP234567", "0123456789abcdef0123456789abcdef01234567");
    let code = "if not text.startswith('-----BEGIN PRIVATE KEY-----'): raise ValueError('no key')\n";
    let binary = [b"\0".as_slice(), private_key().as_bytes()].concat();
    for (name, bytes) in [
        ("certifi/cacert.pem", certificate.as_bytes()),
        ("botocore/examples-1.json", example.as_bytes()),
        ("app/one.ini", no_secret.as_bytes()),
        ("app/pem.py", code.as_bytes()),
        (".env.example", b"A=1"),
        (".env", b""),
        ("data.bin", binary.as_slice()),
        ("app/environment.py", b"x"),
    ] {
        assert!(python(&[(name, bytes)]).is_empty(), "{name}");
    }
}

#[test]
fn handlers_are_checked_in_the_form_of_their_runtime() {
    let found = |runtime: &str, handler: &str, files: &[(&str, &[u8])]| {
        found_in(&settings(runtime, handler, &[]), folder(files).path()).join("\n")
    };
    let app: (&str, &[u8]) = ("app/main.py", b"def handled(): pass\nhandle = handled\n");
    assert_eq!(found("python3.13", "app.main.handle", &[app]), "");
    assert_eq!(found("python3.13", "app/main.handle", &[app]), "");
    assert_eq!(found("python3.13", "app.handle", &[("app/__init__.py", b"from .main import handle")]), "");
    assert_eq!(
        found("python3.13", "app.main.hand", &[app]),
        "handler app.main.hand: app/main.py has no `hand`"
    );
    assert_eq!(
        found("python3.13", "app.main.handle", &[("app/main.py", b"")]),
        "handler app.main.handle: app/main.py is empty (0 bytes)"
    );
    assert_eq!(
        found("python3.13", "ap.main.handle", &[app]),
        "handler ap.main.handle: its module is not in the artifact: neither ap/main.py nor ap/main/__init__.py"
    );
    assert_eq!(found("nodejs22.x", "index.handler", &[("index.mjs", b"x")]), "");
    assert_eq!(
        found("nodejs22.x", "dist/index.handler", &[("index.js", b"x")]),
        "handler dist/index.handler: its file is not in the artifact: dist/index.js, dist/index.mjs, dist/index.cjs"
    );
    let bootstrap = |bytes: &[u8], mode: u32| {
        let folder = folder(&[("bootstrap", bytes)]);
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(folder.path().join("bootstrap"), permissions).unwrap();
        found_in(&settings("provided.al2023", "bootstrap", &[]), folder.path()).join("\n")
    };
    assert_eq!(bootstrap(b"#!/bin/sh\n", 0o755), "");
    assert_eq!(bootstrap(b"#!/bin/sh\n", 0o644), "bootstrap: is not executable (chmod +x)");
    assert_eq!(bootstrap(b"", 0o755), "bootstrap: is empty (0 bytes)");
    assert!(bootstrap(b"print()", 0o755).starts_with("bootstrap: is neither a program"));
    assert!(found("provided.al2", "bootstrap", &[app]).starts_with("bootstrap: is missing"));
    assert_eq!(
        found("python3.13", "lambda-function.handle", &[("lambda-function.py", b"def handle(): pass")]),
        ""
    );
}

#[test]
fn handler_of_a_layer_passes_only_where_the_settings_say_so() {
    let here = folder(&[("index.js", b"x")]);
    let tree = Tree::from_folder(here.path()).unwrap();
    for (runtime, handler) in [
        ("nodejs22.x", "/opt/nodejs/node_modules/wrapper/handler.handler"),
        ("python3.13", "newrelic_lambda_wrapper.handler"),
        ("provided.al2023", "bootstrap"),
    ] {
        let refused = settings(runtime, handler, &["**"]);
        let failure = check(&"ingest".parse().unwrap(), &refused, &tree).unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Refused);
        assert_eq!(
            failure.report().hint.unwrap(),
            "fix them; if the handler lies in a layer, write handler_in_layer = true in function.toml",
            "{runtime}"
        );
        let allowed = FunctionSettings { handler_in_layer: true, ..refused };
        check(&"ingest".parse().unwrap(), &allowed, &tree).unwrap();
    }
}

#[test]
fn handler_behind_a_link_to_a_folder_is_found() {
    let here = folder(&[("store/app@1/index.js", b"x")]);
    std::fs::create_dir(here.path().join("modules")).unwrap();
    std::os::unix::fs::symlink("../store/app@1", here.path().join("modules/app")).unwrap();
    assert!(found_in(&settings("nodejs22.x", "modules/app/index.handler", &[]), here.path()).is_empty());
    assert_eq!(found_in(&settings("nodejs22.x", "modules/app/other.handler", &[]), here.path()).len(), 1);
}

#[test]
fn pointers_of_git_lfs_are_found_unless_they_are_allowed() {
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
    let files: [(&str, &[u8]); 2] =
        [("app/main.py", b"def handle(event, context):\n    return 1\n"), ("app/model.bin", pointer)];
    let here = folder(&files);
    let tree = Tree::from_folder(here.path()).unwrap();
    let function = "ingest".parse().unwrap();
    let refused = settings("python3.13", "app.main.handle", &[]);
    let failure = check(&function, &refused, &tree).unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Refused);
    let report = failure.report();
    assert!(report.body.unwrap().starts_with("app/model.bin: is a pointer of Git LFS"));
    assert!(report.hint.unwrap().contains("git lfs pull"));
    check(&function, &settings("python3.13", "app.main.handle", &["app/*.bin"]), &tree).unwrap();
    // A page about the format, or a program that writes pointers, is no pointer.
    let long = [pointer.as_slice(), &[b'x'; 1024]].concat();
    for bytes in [long.as_slice(), b"# version https://git-lfs.github.com/spec/v1\n"] {
        assert!(python(&[("app/page.txt", bytes)]).is_empty());
    }
}

#[test]
fn native_libraries_are_checked_against_architecture_and_runtime() {
    // This test's own program: 64-bit, of this machine, and newer than what the oldest runtime has.
    let own = std::fs::read("/proc/self/exe").unwrap();
    let small = &own[..own.len().min(1 << 20)];
    let mut other = settings("python3.13", "app.main.handle", &[]);
    other.architecture =
        if cfg!(target_arch = "x86_64") { Architecture::Arm64 } else { Architecture::X86_64 };
    let files: [(&str, &[u8]); 2] = [("app/main.py", b"def handle(): pass"), ("lib/native.so", small)];
    let here = folder(&files);
    let found = found_in(&other, here.path());
    assert_eq!(found.len(), 1, "{found:?}");
    let said = format!(
        "lib/native.so: is built for {}, but the function's architecture is {}",
        std::env::consts::ARCH.replace("aarch64", "arm64"),
        other.architecture
    );
    assert!(found[0].starts_with(&said), "{found:?}");
    let allowed = FunctionSettings { build: settings("", "", &["lib/*.so"]).build, ..other };
    assert!(found_in(&allowed, here.path()).is_empty());
}

#[test]
fn preflight_lists_all_findings_with_their_rules() {
    let here = folder(&[("app/.env", b"A=1"), ("app/other.py", b"")]);
    // Takes no space on the disk: a file with a hole.
    std::fs::File::create(here.path().join("model.bin")).unwrap().set_len(MAX_UNPACKED_SIZE).unwrap();
    let tree = Tree::from_folder(here.path()).unwrap();
    let settings = settings("python3.13", "app.main.handle", &["model.bin"]);
    let failure = check(&"ingest".parse().unwrap(), &settings, &tree).unwrap_err();
    assert_eq!(
        (failure.kind(), failure.message()),
        (FailureKind::Refused, "the preflight of `ingest` found 3 problems")
    );
    insta::assert_snapshot!(failure.report().body.unwrap(), @r#"
    app/.env: is a file of environment variables, which usually contains secrets
      rule: https://docs.aws.amazon.com/secretsmanager/latest/userguide/best-practices.html
    handler app.main.handle: its module is not in the artifact: neither app/main.py nor app/main/__init__.py
      rule: https://docs.aws.amazon.com/lambda/latest/dg/python-handler.html
    ingest: unpacks to 262144003 bytes; Lambda's limit is 262144000 (250 MB). The largest: model.bin 262.1 MB, app/.env 3 B, app/other.py 0 B
      rule: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
    "#);
}
