//! The components of a Rust function: the crates that are compiled for it, with the checksums of `Cargo.lock`.
//!
//! In: the crates that cargo resolves for the package, and the lock file's text. Out: [`SbomComponents`]. Goes wrong: a crate
//! is not in the lock file.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::{SbomComponent, SbomComponents};
use crate::failure::{Failure, Result};

/// A crate that takes part in the build, as cargo resolves it.
#[derive(Debug, Clone, Default)]
pub(crate) struct RustCrate {
    /// Name and version.
    pub(crate) id: (String, String),
    /// The licence in its manifest.
    pub(crate) licence: Option<String>,
    /// Whether its code is in the binary.
    pub(crate) linked: bool,
    /// Names and versions of its direct dependencies.
    pub(crate) dependencies: BTreeSet<(String, String)>,
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

/// Lists the components of a Rust function; `root` is the package of the function itself.
pub(crate) fn rust_components(
    root: &(String, String),
    crates: &[RustCrate],
    lock: &str,
) -> Result<SbomComponents> {
    let lock: LockFile = toml::from_str(lock)
        .map_err(|error| Failure::usage("Cargo.lock cannot be read as TOML").caused_by(error))?;
    let mut components = SbomComponents::default();
    for found in crates {
        let dependencies: Vec<String> = found.dependencies.iter().map(component_id).collect();
        if found.id == *root {
            components.direct = dependencies;
            continue;
        }
        let (name, version) = &found.id;
        let mut entries =
            lock.package.iter().filter(|entry| entry.name == *name && entry.version == *version);
        let Some(entry) = entries.next() else {
            return Err(Failure::usage(format!(
                "Cargo.lock has no {name} {version}, which is compiled into the function"
            ))
            .unchanged("Nothing was published.")
            .hint("update the lock file with cargo metadata, then commit Cargo.lock"));
        };
        // cargo's list does not distinguish crates of the same name and version from different sources.
        let unique = entries.next().is_none();
        let public = entry.source.as_deref().is_some_and(|source| CRATES_IO.contains(&source));
        components.all.push(SbomComponent {
            id: component_id(&found.id),
            name: name.clone(),
            version: version.clone(),
            registry: (public && unique).then_some("cargo"),
            origin: entry.source.clone().filter(|_| !public && unique),
            sha256: entry.checksum.clone().filter(|_| unique),
            licence: found.licence.clone(),
            shipped: found.linked,
            dependencies,
            ..SbomComponent::default()
        });
    }
    Ok(components)
}

fn component_id((name, version): &(String, String)) -> String {
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

    fn found(name: &str, version: &str, linked: bool, dependencies: &[(&str, &str)]) -> RustCrate {
        RustCrate {
            id: (name.into(), version.into()),
            licence: Some("MIT".into()),
            linked,
            dependencies: dependencies
                .iter()
                .map(|(name, version)| ((*name).into(), (*version).into()))
                .collect(),
        }
    }

    #[test]
    fn compiled_crates_are_listed_with_the_checksums_of_the_lock() {
        let root = ("hello".to_owned(), "0.1.0".to_owned());
        let crates = [
            found("hello", "0.1.0", true, &[("a", "1.0.0"), ("own", "0.1.0")]),
            found("a", "1.0.0", true, &[]),
            found("own", "0.1.0", true, &[("forked", "3.0.0")]),
            found("forked", "3.0.0", false, &[]),
        ];
        let components = rust_components(&root, &crates, LOCK).unwrap();
        assert_eq!(components.direct, ["cargo:a@1.0.0", "cargo:own@0.1.0"]);
        let ids: Vec<&str> = components.all.iter().map(|component| component.id.as_str()).collect();
        assert_eq!(ids, ["cargo:a@1.0.0", "cargo:own@0.1.0", "cargo:forked@3.0.0"]);
        let [a, own, forked] = components.all.as_slice() else { panic!("{components:?}") };
        assert_eq!((a.registry, a.sha256.as_deref()), (Some("cargo"), Some("1".repeat(64).as_str())));
        // A crate of the workspace is in no registry, and has no archive to hash.
        assert_eq!((own.registry, &own.sha256, &own.origin), (None, &None, &None));
        assert_eq!(own.dependencies, ["cargo:forked@3.0.0"]);
        assert!(forked.origin.as_deref().is_some_and(|origin| origin.starts_with("git+https://git.example")));
        assert!(!forked.shipped && a.shipped);
    }

    #[test]
    fn crate_that_is_not_in_the_lock_file_is_refused() {
        let root = ("hello".to_owned(), "0.1.0".to_owned());
        let failure = rust_components(&root, &[found("b", "1.0.0", true, &[])], LOCK).unwrap_err();
        assert!(failure.message().contains("has no b 1.0.0"), "{failure}");
    }
}
