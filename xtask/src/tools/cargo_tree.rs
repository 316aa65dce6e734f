//! `cargo tree`: the crates that are compiled for a package, with features and targets resolved by cargo.
//!
//! In: a package of the workspace and the architecture it is built for. Out: [`Crate`]s with licences and dependencies.
//! Errors: the lock file is out of date, a crate cannot be downloaded.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::architecture::Architecture;
use crate::exec::{self, Program, RunOptions, Stream};
use crate::failure::{Failure, Result};
use crate::interrupt::Interrupt;

/// A crate that takes part in a build.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Crate {
    /// The licence in its manifest.
    pub(crate) licence: Option<String>,
    /// Whether its code is in the binary; that of build scripts, procedural macros and their dependencies is not.
    pub(crate) linked: bool,
    /// Name and version of each direct dependency.
    pub(crate) needs: BTreeSet<CrateId>,
}

/// A crate's name and version.
pub(crate) type CrateId = (String, String);

/// The crates that are compiled for a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CrateTree {
    /// The package itself.
    pub(crate) root: CrateId,
    /// Every crate, including the package.
    pub(crate) crates: BTreeMap<CrateId, Crate>,
}

/// Returns the crates that are compiled for a package.
pub(crate) async fn read(
    root: &Path,
    package: &str,
    architecture: Architecture,
    interrupt: &Interrupt,
) -> Result<CrateTree> {
    let all = lines(&program(root, package, architecture, "normal,build"), interrupt).await?;
    let linked = lines(&program(root, package, architecture, "normal,no-proc-macro"), interrupt).await?;
    let mut tree = parse(&all)?;
    for id in parse(&linked)?.crates.into_keys() {
        tree.crates.entry(id).or_default().linked = true;
    }
    Ok(tree)
}

fn program(root: &Path, package: &str, architecture: Architecture, edges: &str) -> Program {
    let program = Program::new("cargo", root)
        .args(["tree", "--locked", "--color", "never", "--charset", "ascii", "--prefix", "depth"])
        .args(["--package", package, "--target", architecture.rust_target(), "--edges", edges])
        .args(["--format", "{p}\t{l}\t"])
        .hint("install Rust from https://rustup.rs");
    // As in the build: the user's variables must not change what is resolved.
    ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS", "CARGO_BUILD_TARGET"]
        .iter()
        .fold(program, |program, name| program.without_env(name))
}

async fn lines(program: &Program, interrupt: &Interrupt) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    let mut keep = |stream: Stream, line: &str| {
        if stream == Stream::Out {
            lines.push(line.to_owned());
        }
    };
    let result = exec::run(program, &RunOptions::default(), interrupt, &mut keep).await?;
    if !result.success() {
        return Err(exec::exit_failure(program, &result)
            .unchanged("Nothing was published.")
            .hint("the release's SBOM lists the dependencies: check Cargo.lock and the network"));
    }
    Ok(lines)
}

/// Parses lines such as `2bytes v1.12.1\tMIT\t (*)`: depth, name, version, cargo's remarks, licence, whether repeated.
fn parse(lines: &[String]) -> Result<CrateTree> {
    let not_parsed =
        |line: &str| Failure::failed("Slipway cannot parse this line of cargo tree").body(line.to_owned());
    let mut crates: BTreeMap<CrateId, Crate> = BTreeMap::new();
    let mut path: Vec<CrateId> = Vec::new();
    for line in lines.iter().filter(|line| !line.trim().is_empty()) {
        let mut fields = line.split('\t');
        let (package, licence) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        let digits = package.bytes().take_while(u8::is_ascii_digit).count();
        let depth: usize = package[..digits].parse().map_err(|_| not_parsed(line))?;
        let mut words = package[digits..].split(' ');
        let (Some(name), Some(version)) =
            (words.next(), words.next().and_then(|word| word.strip_prefix('v')))
        else {
            return Err(not_parsed(line));
        };
        if depth > path.len() {
            return Err(not_parsed(line));
        }
        let id = (name.to_owned(), version.to_owned());
        path.truncate(depth);
        if let Some(parent) = path.last() {
            crates.entry(parent.clone()).or_default().needs.insert(id.clone());
        }
        let entry = crates.entry(id.clone()).or_default();
        if !licence.is_empty() {
            entry.licence = Some(licence.to_owned());
        }
        path.push(id);
    }
    let root = path.into_iter().next().ok_or_else(|| not_parsed("(nothing)"))?;
    Ok(CrateTree { root, crates })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_names_package_target_and_edges() {
        let argv = program(Path::new("/p"), "hello", Architecture::Arm64, "normal,build").argv().join(" ");
        assert_eq!(
            argv,
            "cargo tree --locked --color never --charset ascii --prefix depth --package hello --target aarch64-unknown-linux-gnu --edges normal,build --format {p}\t{l}\t"
        );
    }

    #[test]
    fn depths_are_edges_and_repeated_crates_are_one() {
        let lines = [
            "0hello v0.1.0 (/src/hello)\tApache-2.0\t",
            "1a v1.0.0\tMIT\t",
            "2m v2.0.0 (proc-macro)\tMIT OR Apache-2.0\t",
            "1a v0.9.0\t\t",
            "2b v3.0.0-rc.1 (https://git.example/b?rev=1#0123abcd)\tZlib\t",
            "1m v2.0.0 (proc-macro)\tMIT OR Apache-2.0\t (*)",
        ];
        let tree = parse(&lines.map(str::to_owned)).unwrap();
        let id = |name: &str, version: &str| (name.to_owned(), version.to_owned());
        assert_eq!(tree.root, id("hello", "0.1.0"));
        assert_eq!(tree.crates.len(), 5);
        assert_eq!(
            tree.crates[&tree.root].needs,
            BTreeSet::from([id("a", "0.9.0"), id("a", "1.0.0"), id("m", "2.0.0")])
        );
        assert_eq!(tree.crates[&id("a", "1.0.0")].needs, BTreeSet::from([id("m", "2.0.0")]));
        assert_eq!(tree.crates[&id("a", "0.9.0")].licence, None);
        assert_eq!(tree.crates[&id("b", "3.0.0-rc.1")].licence.as_deref(), Some("Zlib"));
        for wrong in ["hello v1.0.0\t\t", "2hello v1.0.0\t\t", "0hello\t\t", ""] {
            assert!(parse(&[wrong.to_owned()]).is_err(), "{wrong}");
        }
    }
}
