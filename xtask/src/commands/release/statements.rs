//! What a release says of itself beside its manifest: the SBOM, and the signed provenance.
//!
//! In: a function's settings, source and built artifact; the key that signs. Out: an SBOM's bytes; an [`Attestor`]. Goes
//! wrong: no key where an environment requires signatures, dependencies that cannot be listed.

use std::path::Path;
use std::sync::Arc;

use super::Arguments;
use crate::app::{Account, AppContext};
use crate::architecture::Architecture;
use crate::digest::Digest;
use crate::failure::{self, Failure, Result};
use crate::interrupt::Interrupt;
use crate::name::{EnvironmentName, FunctionName};
use crate::ports::Signer;
use crate::release::sbom::{self, Parts, RustCrate};
use crate::release::{Attestor, Catalogue, Choice};
use crate::settings::BuildSettings;
use crate::source::{Repository, Source};
use crate::tools::cargo_tree;

/// Where releases are made.
pub(super) struct ReleaseContext<'a> {
    /// The repository.
    pub(super) repository: &'a Repository,
    /// Where they are published.
    pub(super) catalogue: &'a Catalogue,
    /// What signs them.
    pub(super) signer: Option<Arc<dyn Signer>>,
}

impl ReleaseContext<'_> {
    /// Returns who signs a release of a source whose build began at a time; nobody where no key is configured.
    pub(super) fn attestor(
        &self,
        app: &AppContext,
        source: &Source,
        began: jiff::Timestamp,
    ) -> Option<Attestor<'_>> {
        let signer = self.signer.as_deref()?;
        Some(Attestor { signer, circumstances: app.circumstances(source, began) })
    }
}

/// Returns the key that signs; where there is none and new releases are cut, refuses or says what follows from it.
pub(super) async fn signer(
    app: &AppContext,
    arguments: &Arguments,
    account: Option<&Account>,
    chosen: &[(FunctionName, Source, Choice)],
) -> Result<Option<Arc<dyn Signer>>> {
    let cuts = chosen.iter().any(|(_, _, choice)| matches!(choice, Choice::New { .. }));
    if !cuts {
        return Ok(None);
    }
    let signer = app.signer(account.is_some_and(|account| account.emulated)).await?;
    if signer.is_some() {
        return Ok(signer);
    }
    let required = |environment: &EnvironmentName| {
        app.project.environments.get(environment).is_some_and(|settings| settings.signatures_required)
    };
    if let Some(environment) = arguments.env.as_ref().filter(|environment| required(environment)) {
        return Err(Failure::refused(format!(
            "{environment} requires signatures and no signing key is configured"
        ))
        .unchanged("Nothing was built, published or deployed.")
        .hint("name one with [store] signing_key in pipelines/project.toml, or a file with SLIPWAY_SIGNING_KEY; cargo xtask key new makes one"));
    }
    let names: Vec<&str> = app
        .project
        .environments
        .keys()
        .filter(|environment| required(environment))
        .map(EnvironmentName::as_str)
        .collect();
    if !names.is_empty() {
        app.progress.note(format!(
            "unsigned  no signing key is configured: {} will refuse what is released now",
            crate::format::list(names)
        ));
    }
    Ok(None)
}

/// Writes the SBOM of a function's artifact.
pub(super) async fn sbom(
    app: &AppContext,
    function: &FunctionName,
    artifact: &Digest,
    zip: &Path,
) -> Result<Option<Vec<u8>>> {
    let settings = app.project.function(function)?;
    let root = &app.project.root;
    let parts = match &settings.build {
        BuildSettings::Cargo { package, .. } => {
            let package = package.clone().unwrap_or_else(|| function.to_string());
            rust_parts(root, &package, settings.architecture, &app.interrupt).await?
        }
        BuildSettings::Python { lock, .. } => {
            // What was installed is not kept: the artifact is what is described.
            let scratch = tempfile::tempdir()
                .map_err(|error| Failure::failed("no temporary folder can be made").caused_by(error))?;
            let installed = scratch.path().join("artifact");
            sbom::unpack(zip, &installed)?;
            let lock = crate::source::lock(&root.join(&settings.folder), lock.as_deref())?;
            sbom::python(&installed, lock.as_ref().map(|lock| lock.text.as_str()))?
        }
        // Nobody but the command knows what it packed: no SBOM is better than one that leaves things out.
        BuildSettings::Command { .. } => return Ok(None),
    };
    sbom::document(function, artifact, parts).map(Some)
}

/// Lists what is compiled into a package of the workspace.
async fn rust_parts(
    root: &Path,
    package: &str,
    architecture: Architecture,
    interrupt: &Interrupt,
) -> Result<Parts> {
    let tree = cargo_tree::read(root, package, architecture, interrupt).await?;
    let crates: Vec<RustCrate> = tree
        .crates
        .into_iter()
        .map(|(id, found)| RustCrate { id, licence: found.licence, linked: found.linked, needs: found.needs })
        .collect();
    let lock = root.join("Cargo.lock");
    let text = std::fs::read_to_string(&lock).map_err(|error| failure::io("read", &lock, error))?;
    sbom::rust(&tree.root, &crates, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn this_repositorys_function_is_listed_without_the_tool() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let interrupt = Interrupt::never();
        let parts = rust_parts(root, "hello", Architecture::X86_64, &interrupt).await.unwrap();
        let part = |name: &str| parts.parts.iter().find(|part| part.name == name);
        assert!(part("lambda_runtime").is_some_and(|part| part.shipped));
        // A procedural macro, and what only it needs, are not in the binary.
        for name in ["serde_derive", "syn"] {
            assert!(part(name).is_some_and(|part| !part.shipped), "{name}");
        }
        for name in ["hello", "aws-sdk-s3", "clap", "windows-sys"] {
            assert!(part(name).is_none(), "{name} is not compiled into the function");
        }
        for part in parts.parts.iter().filter(|part| part.registry == Some("cargo")) {
            assert!(part.sha256.as_ref().is_some_and(|hash| hash.len() == 64), "{}", part.id);
            assert!(part.licence.is_some(), "{}", part.id);
        }
        let (function, artifact) = ("hello".parse().unwrap(), Digest::of("zip"));
        let document = sbom::document(&function, &artifact, parts.clone()).unwrap();
        let again = rust_parts(root, "hello", Architecture::X86_64, &interrupt).await.unwrap();
        assert_eq!(sbom::document(&function, &artifact, again).unwrap(), document);
        assert_eq!(sbom::check(&document, &function, &artifact), Ok(parts.parts.len()));
    }
}
