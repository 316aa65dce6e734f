//! `cargo tree`: what is compiled into a package, as cargo itself resolves features and targets.
//!
//! In: a package of the workspace and the architecture it is built for. Out: [`Crate`]s with their licences and edges.
//! Goes wrong: the lock file is out of date, a crate cannot be fetched.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::architecture::Architecture;
use crate::exec::{self, Conduct, Program, Stream};
use crate::failure::{Failure, Result};
use crate::interrupt::Interrupt;

/// A crate that takes part in a build.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Crate {
    /// The licence as its manifest says.
    pub(crate) licence: Option<String>,
    /// Whether its code gets into the binary; build scripts, procedural macros and what only they use do not.
    pub(crate) linked: bool,
    /// Name and version of each direct dependency.
    pub(crate) needs: BTreeSet<Id>,
}

/// A crate's name and version.
pub(crate) type Id = (String, String);

/// What is compiled for a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CrateTree {
    /// The package itself.
    pub(crate) root: Id,
    /// Every crate, the package among them.
    pub(crate) crates: BTreeMap<Id, Crate>,
}

/// Asks cargo what is compiled for a package.
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
    // As in the build: who asks must not change what is resolved.
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
    let ended = exec::run(program, &Conduct::default(), interrupt, &mut |_| {}, &mut keep).await?;
    if !ended.success() {
        return Err(exec::unsuccessful(program, &ended).unchanged("Nothing was published.").hint(
            "the dependencies must be known for the release's SBOM: check Cargo.lock and the network",
        ));
    }
    Ok(lines)
}

/// Reads lines such as `2bytes v1.12.1\tMIT\t (*)`: depth, name, version, what cargo adds, licence, whether shown before.
fn parse(lines: &[String]) -> Result<CrateTree> {
    let unread = |line: &str| {
        Failure::failed("cargo tree says what Slipway does not understand").body(line.to_owned())
    };
    let mut crates: BTreeMap<Id, Crate> = BTreeMap::new();
    let mut path: Vec<Id> = Vec::new();
    for line in lines.iter().filter(|line| !line.trim().is_empty()) {
        let mut fields = line.split('\t');
        let (package, licence) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        let digits = package.bytes().take_while(u8::is_ascii_digit).count();
        let depth: usize = package[..digits].parse().map_err(|_| unread(line))?;
        let mut words = package[digits..].split(' ');
        let (Some(name), Some(version)) =
            (words.next(), words.next().and_then(|word| word.strip_prefix('v')))
        else {
            return Err(unread(line));
        };
        if depth > path.len() {
            return Err(unread(line));
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
    let root = path.into_iter().next().ok_or_else(|| unread("(nothing)"))?;
    Ok(CrateTree { root, crates })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_names_package_target_and_edges() {
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
