//! The first step of docs/adopting.md, as it is printed, in a repository whose crates pin what Slipway uses too.

use std::fs;
use std::path::Path;
use std::process::Output;

use super::support::machine::{machine, repository};
use super::support::process;
use crate::require;

/// Returns the code block of the page that begins with the comment `# <file>`.
fn block(page: &str, file: &str) -> String {
    let start = format!("```toml\n# {file}\n");
    let at = page.find(&start).unwrap_or_else(|| panic!("no block of {file} in docs/adopting.md"));
    let rest = &page[at + "```toml\n".len()..];
    rest[..rest.find("```").expect("the end of the block")].to_owned()
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, text).expect("a file");
}

#[test]
fn documented_workspaces_resolve_beside_crates_with_other_pins() {
    let machine = require!(machine());
    let page = fs::read_to_string(repository().join("docs/adopting.md")).expect("the page");
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    // Nothing is fetched: Slipway itself, in the versions of its own lock.
    let tool = block(&page, "tool/Cargo.toml");
    let dependency = tool.lines().find(|line| line.starts_with("slipway = ")).expect("the dependency");
    assert!(dependency.contains("package = \"xtask\", git = "), "{dependency}");
    let path = repository().join("xtask").display().to_string();
    let tool = tool.replace(dependency, &format!("slipway = {{ package = \"xtask\", path = \"{path}\" }}"));
    write(root, "tool/Cargo.toml", &tool);
    write(root, "tool/src/main.rs", "fn main() {}\n");
    fs::copy(repository().join("Cargo.lock"), root.join("tool/Cargo.lock")).expect("the lock");
    let workspace = block(&page, "Cargo.toml");
    write(root, "Cargo.toml", &workspace);
    // As git2 0.19 does, this takes the native library that Slipway's git2 takes in another version.
    write(
        root,
        "lambda-src/hello/Cargo.toml",
        "[package]\nname = \"hello\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[dependencies]\nold = { path = \"../../old\" }\n",
    );
    write(root, "lambda-src/hello/src/main.rs", "fn main() {}\n");
    write(
        root,
        "old/Cargo.toml",
        "[package]\nname = \"old\"\nversion = \"0.1.0\"\nedition = \"2024\"\nlinks = \"git2\"\nbuild = \"build.rs\"\n",
    );
    write(root, "old/build.rs", "fn main() {}\n");
    write(root, "old/src/lib.rs", "");

    // Of this platform alone: crates of others may never have been fetched here.
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let metadata = |manifest: &str| -> Output {
        process::command(Path::new("cargo"))
            .args(["metadata", "--offline", "--format-version", "1", "--manifest-path", manifest])
            .args(["--filter-platform", &platform])
            .current_dir(root)
            .env("PATH", &machine.path)
            .env("HOME", root)
            .env("CARGO_HOME", &machine.cargo_home)
            .env("RUSTUP_HOME", &machine.rustup_home)
            .output()
            .expect("cargo")
    };
    let alias = block(&page, ".cargo/config.toml");
    let alias: toml::Table = alias.parse().expect("TOML");
    let words = alias["alias"]["xtask"].as_array().expect("the alias");
    let words: Vec<&str> = words.iter().filter_map(toml::Value::as_str).collect();
    let at = words.iter().position(|word| *word == "--manifest-path").expect("the option");
    for manifest in ["Cargo.toml", words[at + 1]] {
        let output = metadata(manifest);
        assert!(output.status.success(), "{manifest}: {}", String::from_utf8_lossy(&output.stderr));
    }

    // In one workspace they do not resolve: else this test shows nothing.
    write(root, "tool/Cargo.toml", &tool.replace("\n[workspace]\n", "\n"));
    fs::rename(root.join("tool/Cargo.lock"), root.join("Cargo.lock")).expect("the lock");
    let together =
        workspace.replace("exclude = [\"tool\"]", "").replace("members = [", "members = [\"tool\", ");
    write(root, "Cargo.toml", &together);
    let output = metadata("Cargo.toml");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("native library"), "{said}");
}
