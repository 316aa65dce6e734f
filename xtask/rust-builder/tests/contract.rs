//! Runs the real program on a small project and checks what its caller sees: the exit code and the reply file.
//!
//! zig is a script that passes `cc` to the system's compiler, so that no test needs zig or a network. Everything else
//! (cargo, rustc, cargo-lambda, cargo-zigbuild's wrappers, which call this program again) is real.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![expect(clippy::disallowed_methods, reason = "the test is the caller of the program")]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// Behaves like zig for cargo-zigbuild, and compiles with the system's compiler.
const ZIG: &str = r#"#!/bin/sh
case "$1" in
version) echo 0.15.1 ;;
cc)
    shift
    for word in "$@"; do
        shift
        case "$word" in
        -target) skip=yes; continue ;;
        -mcpu=*) continue ;;
        -lunwind) word=-lgcc_s ;;
        esac
        if [ -n "$skip" ]; then skip=; continue; fi
        set -- "$@" "$word"
    done
    exec cc "$@" ;;
c++) echo '#include <...> search starts here:' >&2; echo 'End of search list.' >&2 ;;
*) exit 1 ;;
esac
"#;

/// A project of one binary, and the folders that its build uses.
struct TestProject {
    folder: tempfile::TempDir,
}

impl TestProject {
    fn new() -> Self {
        let project = Self { folder: tempfile::tempdir().unwrap() };
        project.write(
            "project/Cargo.toml",
            "[package]\nname = \"greeter\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[features]\nloud = []\n",
        );
        project.write(
            "project/Cargo.lock",
            "version = 4\n\n[[package]]\nname = \"greeter\"\nversion = \"0.1.0\"\n",
        );
        project.write("project/src/main.rs", "fn main() { println!(\"hello from {}\", file!()); }\n");
        project.script("zig", ZIG);
        project
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn script(&self, name: &str, text: &str) {
        self.write(name, text);
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn request(&self) -> Value {
        json!({
            "schema": 1, "manifest_path": self.path("project/Cargo.toml"), "package": "greeter",
            "binary": "greeter", "architecture": "x86_64", "glibc": "2.34", "output_folder": self.path("out"),
            "remap": [{"from": self.path("project"), "to": "/src"}], "profile": "release",
        })
    }

    fn command(&self, request: &Value) -> Command {
        self.write("request.json", &request.to_string());
        self.write("reply.json", "left by an earlier run");
        let mut command = Command::new(env!("CARGO_BIN_EXE_slipway-rust-builder"));
        command
            .arg("build")
            .args([self.path("request.json"), self.path("reply.json")])
            .env("CARGO_TARGET_DIR", self.path("target"))
            .env("CARGO_ZIGBUILD_CACHE_DIR", self.path("cache"))
            .env("CARGO_ZIGBUILD_ZIG_COMMAND", self.path("zig"))
            .env("CARGO_NET_OFFLINE", "true")
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS");
        command
    }

    fn reply(&self) -> Option<Value> {
        let text = fs::read(self.path("reply.json")).ok()?;
        Some(serde_json::from_slice(&text).unwrap())
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs a build that must be refused, and returns the error in its reply.
fn refused_build(project: &TestProject, command: &mut Command) -> Value {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let reply = project.reply().unwrap();
    assert_eq!(reply["ok"], false);
    assert!(!project.path("out/bootstrap").exists());
    reply["error"].clone()
}

fn assert_error(error: &Value, kind: &str, words: &[&str]) {
    assert_eq!(error["kind"], kind, "{error}");
    for word in words {
        assert!(error["message"].as_str().unwrap().contains(word), "{error} should name {word}");
    }
    assert!(!error["hint"].as_str().unwrap().is_empty());
}

#[test]
fn build_creates_a_fresh_bootstrap_and_reports_its_tools() {
    let project = TestProject::new();
    project.write("out/bootstrap", "stale");
    project.write("project/.cargo/config.toml", "[build]\nrustflags = [\"--cfg\", \"own\"]\n");
    project.write(
        "project/src/main.rs",
        "#[cfg(not(all(own, feature = \"loud\", target_feature = \"avx2\")))] compile_error!(\"flags are lost\");\n\
         fn main() { println!(\"hello\"); }\n",
    );
    let mut request = project.request();
    request["features"] = json!(["loud"]);
    let output = project.command(&request).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));

    let reply = project.reply().unwrap();
    assert_eq!(reply["ok"], true);
    assert_eq!(reply["binary"], json!(project.path("out/bootstrap")));
    let remap = format!("--remap-path-prefix={}=/src", project.path("project").display());
    assert_eq!(reply["rustflags"], json!(["--cfg", "own", "-C", "target-cpu=haswell", remap]));
    assert_eq!(reply["tools"]["target"], "x86_64-unknown-linux-gnu.2.34");
    assert_eq!(reply["tools"]["zig"], "0.15.1");
    assert!(reply["tools"]["rustc"].as_str().unwrap().starts_with("1."), "{reply}");
    let run = Command::new(project.path("out/bootstrap")).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&run.stdout), "hello\n");
}

#[test]
fn project_target_table_hides_neither_cpu_nor_path_remapping() {
    let project = TestProject::new();
    project.write("project/.cargo/config.toml", "[target.'cfg(unix)']\nrustflags = [\"--cfg\", \"own\"]\n");
    project.write(
        "project/src/main.rs",
        "#[cfg(not(all(own, target_feature = \"avx2\")))] compile_error!(\"flags are lost\");\nfn main() {}\n",
    );
    let output = project.command(&project.request()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let flags = project.reply().unwrap()["rustflags"].clone();
    assert_eq!(flags[0], "--cfg");
    assert_eq!(flags[3], "target-cpu=haswell");
}

#[test]
fn cargo_failure_passes_its_exit_code_and_leaves_no_reply() {
    let project = TestProject::new();
    project.write("project/src/main.rs", "fn main() { undeclared(); }\n");
    project.write("out/bootstrap", "stale");
    let output = project.command(&project.request()).output().unwrap();
    assert_eq!(output.status.code(), Some(101));
    assert!(stderr(&output).contains("cannot find function `undeclared`"), "{}", stderr(&output));
    assert_eq!(project.reply(), None);
    assert!(!project.path("out/bootstrap").exists(), "a stale binary looks like the result of this build");
}

#[test]
fn outdated_lock_file_is_not_repaired() {
    let project = TestProject::new();
    let lock = "version = 4\n\n[[package]]\nname = \"other\"\nversion = \"0.1.0\"\n";
    project.write("project/Cargo.lock", lock);
    let output = project.command(&project.request()).output().unwrap();
    assert_eq!(output.status.code(), Some(101));
    assert!(stderr(&output).contains("--locked"), "{}", stderr(&output));
    assert_eq!(fs::read_to_string(project.path("project/Cargo.lock")).unwrap(), lock);
}

#[test]
fn missing_pinned_zig_is_never_replaced_by_another() {
    let project = TestProject::new();
    let error = refused_build(
        &project,
        project.command(&project.request()).env("CARGO_ZIGBUILD_ZIG_COMMAND", project.path("gone/zig")),
    );
    assert_error(&error, "zig_missing", &["gone/zig"]);
}

#[test]
fn zig_that_does_not_run_is_reported_as_missing() {
    let project = TestProject::new();
    project.script("zig", "#!/bin/sh\necho broken >&2\nexit 1\n");
    assert_error(
        &refused_build(&project, &mut project.command(&project.request())),
        "zig_missing",
        &["broken"],
    );
}

#[test]
fn target_without_its_standard_library_is_named() {
    let project = TestProject::new();
    let sysroot = project.path("sysroot");
    // A compiler that reports an empty sysroot to the builder, and is the real one for everything else.
    project.script(
        "rustc",
        &format!(
            "#!/bin/sh\ncase \"$1\" in --print=sysroot) echo {} ;; *) exec rustc \"$@\" ;; esac\n",
            sysroot.display()
        ),
    );
    let mut request = project.request();
    request["architecture"] = json!("arm64");
    let error = refused_build(&project, project.command(&request).env("RUSTC", project.path("rustc")));
    assert_error(&error, "target_missing", &["aarch64-unknown-linux-gnu"]);
    assert_eq!(error["hint"], "rustup target add aarch64-unknown-linux-gnu");
}

#[test]
fn missing_compiler_is_named() {
    let project = TestProject::new();
    let gone = project.path("gone/cargo");
    let error = refused_build(&project, project.command(&project.request()).env("CARGO", &gone));
    assert_error(&error, "compiler_missing", &["gone/cargo"]);
}

#[test]
fn manifest_package_and_binary_are_checked_before_anything_is_compiled() {
    let project = TestProject::new();
    for (key, value, words) in [
        ("manifest_path", json!(project.path("gone/Cargo.toml")), ["gone/Cargo.toml", "no such file"]),
        ("package", json!("greter"), ["`greter`", "it has greeter"]),
        ("binary", json!("greter"), ["`greter`", "it has greeter"]),
    ] {
        let mut request = project.request();
        request[key] = value;
        assert_error(&refused_build(&project, &mut project.command(&request)), "manifest", &words);
    }
    assert!(!project.path("target").exists());
}

#[test]
fn environment_variables_that_would_replace_the_flags_are_refused() {
    let project = TestProject::new();
    let error =
        refused_build(&project, project.command(&project.request()).env("RUSTFLAGS", "-Cdebuginfo=2"));
    assert_error(&error, "build", &["RUSTFLAGS"]);
}

#[test]
fn unreadable_request_leaves_no_reply() {
    let project = TestProject::new();
    let mut request = project.request();
    request["optimise"] = json!(true);
    let output = project.command(&request).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("optimise"), "{}", stderr(&output));
    assert_eq!(project.reply(), None);
}

#[test]
fn version_command_prints_the_versions_of_the_lock_file() {
    let output = Command::new(env!("CARGO_BIN_EXE_slipway-rust-builder")).arg("version").output().unwrap();
    let versions: Value = serde_json::from_slice(&output.stdout).unwrap();
    let lock = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock")).unwrap();
    for (key, package) in [("cargo_lambda", "cargo-lambda-build"), ("cargo_zigbuild", "cargo-zigbuild")] {
        let entry = format!("name = \"{package}\"\nversion = {}\n", versions[key]);
        assert!(lock.contains(&entry), "{entry}");
    }
}
