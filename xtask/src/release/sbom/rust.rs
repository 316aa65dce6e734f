//! The parts of a Rust function: the crates that are compiled for it, with the checksums of `Cargo.lock`.
//!
//! In: what cargo resolves for the package, and the lock file's text. Out: [`Parts`]. Goes wrong: the lock file does not
//! know a crate.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::{Part, Parts};
use crate::failure::{Failure, Result};

/// A crate that takes part in the build, as cargo resolves it.
#[derive(Debug, Clone, Default)]
pub(crate) struct RustCrate {
    /// Name and version.
    pub(crate) id: (String, String),
    /// The licence as its manifest says.
    pub(crate) licence: Option<String>,
    /// Whether its code gets into the binary.
    pub(crate) linked: bool,
    /// Names and versions of its direct dependencies.
    pub(crate) needs: BTreeSet<(String, String)>,
}

#[derive(Deserialize)]
struct LockFile {
    #[serde(default)]
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: String,
    source: Option<String>,
    checksum: Option<String>,
}

const CRATES_IO: [&str; 2] =
    ["registry+https://github.com/rust-lang/crates.io-index", "sparse+https://index.crates.io/"];

/// Makes the parts of a Rust function; `root` is its own package, which is the function itself.
pub(crate) fn rust(root: &(String, String), crates: &[RustCrate], lock: &str) -> Result<Parts> {
    let lock: LockFile = toml::from_str(lock)
        .map_err(|error| Failure::usage("Cargo.lock cannot be read as TOML").caused_by(error))?;
    let mut parts = Parts::default();
    for found in crates {
        let needs: Vec<String> = found.needs.iter().map(part_id).collect();
        if found.id == *root {
            parts.direct = needs;
            continue;
        }
        let (name, version) = &found.id;
        let mut entries =
            lock.package.iter().filter(|entry| entry.name == *name && entry.version == *version);
        let Some(entry) = entries.next() else {
            return Err(Failure::usage(format!(
                "Cargo.lock does not know {name} {version}, which is compiled in"
            ))
            .unchanged("Nothing was published.")
            .hint("bring the lock file up to date: cargo metadata, then commit Cargo.lock"));
        };
        // Two crates of the same name and version from different places cannot be told apart by what cargo lists.
        let clear = entries.next().is_none();
        let public = entry.source.as_deref().is_some_and(|source| CRATES_IO.contains(&source));
        parts.parts.push(Part {
            id: part_id(&found.id),
            name: name.clone(),
            version: version.clone(),
            registry: (public && clear).then_some("cargo"),
            origin: entry.source.clone().filter(|_| !public && clear),
            sha256: entry.checksum.clone().filter(|_| clear),
            licence: found.licence.clone(),
            shipped: found.linked,
            needs,
            ..Part::default()
        });
    }
    Ok(parts)
}

fn part_id((name, version): &(String, String)) -> String {
    format!("cargo:{name}@{version}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = r#"
version = 4

[[package]]
name = "hello"
version = "0.1.0"
dependencies = ["a", "own"]

[[package]]
name = "a"
version = "1.0.0"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "1111111111111111111111111111111111111111111111111111111111111111"

[[package]]
name = "never-compiled"
version = "9.0.0"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "2222222222222222222222222222222222222222222222222222222222222222"

[[package]]
name = "own"
version = "0.1.0"

[[package]]
name = "forked"
version = "3.0.0"
source = "git+https://git.example/forked?rev=1#0123456789abcdef0123456789abcdef01234567"
"#;

    fn found(name: &str, version: &str, linked: bool, needs: &[(&str, &str)]) -> RustCrate {
        RustCrate {
            id: (name.into(), version.into()),
            licence: Some("MIT".into()),
            linked,
            needs: needs.iter().map(|(name, version)| ((*name).into(), (*version).into())).collect(),
        }
    }

    #[test]
    fn only_what_is_compiled_is_listed_with_the_locks_checksums() {
        let root = ("hello".to_owned(), "0.1.0".to_owned());
        let crates = [
            found("hello", "0.1.0", true, &[("a", "1.0.0"), ("own", "0.1.0")]),
            found("a", "1.0.0", true, &[]),
            found("own", "0.1.0", true, &[("forked", "3.0.0")]),
            found("forked", "3.0.0", false, &[]),
        ];
        let parts = rust(&root, &crates, LOCK).unwrap();
        assert_eq!(parts.direct, ["cargo:a@1.0.0", "cargo:own@0.1.0"]);
        let ids: Vec<&str> = parts.parts.iter().map(|part| part.id.as_str()).collect();
        assert_eq!(ids, ["cargo:a@1.0.0", "cargo:own@0.1.0", "cargo:forked@3.0.0"]);
        let [a, own, forked] = parts.parts.as_slice() else { panic!("{parts:?}") };
        assert_eq!((a.registry, a.sha256.as_deref()), (Some("cargo"), Some("1".repeat(64).as_str())));
        // A crate of the workspace is in no registry, and has no archive to hash.
        assert_eq!((own.registry, &own.sha256, &own.origin), (None, &None, &None));
        assert_eq!(own.needs, ["cargo:forked@3.0.0"]);
        assert!(forked.origin.as_deref().is_some_and(|origin| origin.starts_with("git+https://git.example")));
        assert!(!forked.shipped && a.shipped);
    }

    #[test]
    fn a_lock_file_that_does_not_know_a_crate_is_told() {
        let root = ("hello".to_owned(), "0.1.0".to_owned());
        let failure = rust(&root, &[found("b", "1.0.0", true, &[])], LOCK).unwrap_err();
        assert!(failure.message().contains("does not know b 1.0.0"), "{failure}");
    }
}
