//! Reads the versions of cargo-lambda and cargo-zigbuild out of Cargo.lock, so that the program names the ones
//! it was really built with.
//!
//! What comes in: Cargo.lock beside this file. What goes out: `CARGO_LAMBDA_VERSION` and
//! `CARGO_ZIGBUILD_VERSION` for `env!`. What can go wrong: the lock holds no such package, or two versions of
//! it; the build stops and says which.

use std::{error::Error, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock");
    let text = fs::read_to_string(&lock).map_err(|error| format!("{}: {error}", lock.display()))?;
    let mut directives = vec!["cargo::rerun-if-changed=Cargo.lock".to_owned()];
    for (variable, package) in
        [("CARGO_LAMBDA_VERSION", "cargo-lambda-build"), ("CARGO_ZIGBUILD_VERSION", "cargo-zigbuild")]
    {
        directives.push(format!("cargo::rustc-env={variable}={}", locked_version(&text, package)?));
    }
    std::io::Write::write_all(&mut std::io::stdout(), (directives.join("\n") + "\n").as_bytes())?;
    Ok(())
}

/// Finds the version of `package` in the text of a Cargo.lock. Fails unless there is exactly one.
fn locked_version(lock: &str, package: &str) -> Result<String, String> {
    let name = format!("name = \"{package}\"");
    let lines: Vec<&str> = lock.lines().collect();
    let versions: Vec<&str> = lines
        .windows(2)
        .filter(|pair| pair[0] == name)
        .filter_map(|pair| pair[1].strip_prefix("version = \"")?.strip_suffix('"'))
        .collect();
    match versions[..] {
        [version] => Ok(version.to_owned()),
        _ => Err(format!("Cargo.lock should hold {package} once, and holds the versions {versions:?}")),
    }
}
