//! The SBOM of a function that was built.
//!
//! In: the function's settings and artifact. Out: the SBOM's bytes; nothing for a function that a command builds. Goes wrong:
//! the dependencies cannot be listed.

use std::path::Path;

use crate::architecture::Architecture;
use crate::digest::Digest;
use crate::failure::{self, Result};
use crate::interrupt::Interrupt;
use crate::name::FunctionName;
use crate::release::sbom::{self, RustCrate, SbomComponents};
use crate::settings::{BuildSettings, Project};
use crate::source::PythonLock;
use crate::tools::cargo_tree;

/// Returns the SBOM of a function's artifact; `zip` is the artifact, or the files of an image that describe its packages.
pub(super) async fn document(
    project: &Project,
    function: &FunctionName,
    artifact: &Digest,
    zip: &Path,
    interrupt: &Interrupt,
) -> Result<Option<Vec<u8>>> {
    let settings = project.function(function)?;
    let root = &project.root;
    let components = match &settings.build {
        BuildSettings::Cargo { package, .. } => {
            let package = package.clone().unwrap_or_else(|| function.to_string());
            crates_of(root, &package, settings.architecture, interrupt).await?
        }
        BuildSettings::Python { lock, .. } => {
            let lock = PythonLock::read(&root.join(&settings.folder), lock.as_deref())?;
            sbom::python_components(zip, lock.as_ref().map(|lock| lock.text.as_str()))?
        }
        // Only the command knows what it packed: no SBOM is better than an incomplete one.
        BuildSettings::Command { .. } => return Ok(None),
    };
    sbom::document(function, artifact, components).map(Some)
}

/// Lists the crates that are compiled into a package of the workspace.
async fn crates_of(
    root: &Path,
    package: &str,
    architecture: Architecture,
    interrupt: &Interrupt,
) -> Result<SbomComponents> {
    let tree = cargo_tree::read(root, package, architecture, interrupt).await?;
    let crates: Vec<RustCrate> = tree
        .crates
        .into_iter()
        .map(|(id, found)| RustCrate {
            id,
            licence: found.licence,
            linked: found.linked,
            dependencies: found.needs,
        })
        .collect();
    let lock = root.join("Cargo.lock");
    let text = std::fs::read_to_string(&lock).map_err(|error| failure::io("read", &lock, error))?;
    sbom::rust_components(&tree.root, &crates, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sbom_of_this_repositorys_function_lists_its_crates_and_not_the_tools() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let interrupt = Interrupt::never();
        let components = crates_of(root, "hello", Architecture::X86_64, &interrupt).await.unwrap();
        let component = |name: &str| components.all.iter().find(|component| component.name == name);
        assert!(component("lambda_runtime").is_some_and(|component| component.shipped));
        // A procedural macro, and what only it needs, are not in the binary.
        for name in ["serde_derive", "syn"] {
            assert!(component(name).is_some_and(|component| !component.shipped), "{name}");
        }
        for name in ["hello", "aws-sdk-s3", "clap", "windows-sys"] {
            assert!(component(name).is_none(), "{name} is not compiled into the function");
        }
        for component in components.all.iter().filter(|component| component.registry == Some("cargo")) {
            assert!(component.sha256.as_ref().is_some_and(|hash| hash.len() == 64), "{}", component.id);
            assert!(component.licence.is_some(), "{}", component.id);
        }
        let (function, artifact) = ("hello".parse().unwrap(), Digest::of("zip"));
        let document = sbom::document(&function, &artifact, components.clone()).unwrap();
        let again = crates_of(root, "hello", Architecture::X86_64, &interrupt).await.unwrap();
        assert_eq!(sbom::document(&function, &artifact, again).unwrap(), document);
        assert_eq!(sbom::component_count(&document, &function, &artifact), Ok(components.all.len()));
    }
}
