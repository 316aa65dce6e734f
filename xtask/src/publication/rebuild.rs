//! Rebuilds a release from its commit and compares the bytes. Publishes nothing.
//!
//! In: a function and a version. Out: [`RebuiltRelease`]. Goes wrong: the release was built from changes that were not
//! committed, its commit is not in the repository, it does not build.

use schemars::JsonSchema;
use serde::Serialize;

use super::comparison::released_content;
use crate::artifact::{self, BuildContext, Difference};
use crate::digest::Digest;
use crate::failure::{Failure, Result};
use crate::name::{FunctionName, Version};
use crate::release::Catalogue;

/// A release and its rebuild.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Report")]
pub(crate) struct RebuiltRelease {
    /// The function.
    pub(crate) function: FunctionName,
    /// The version.
    pub(crate) version: Version,
    /// The commit that it was built from.
    pub(crate) commit: String,
    /// Whether the bytes are the same.
    pub(crate) same: bool,
    /// SHA-256 of the release.
    pub(crate) released: Digest,
    /// SHA-256 of the rebuild.
    pub(crate) rebuilt: Digest,
    /// Tools whose versions differ: name, then, now.
    pub(crate) tools: Vec<(String, String, String)>,
    /// How the contents differ.
    pub(crate) difference: Difference,
}

/// Builds a release again from its commit, in another folder.
pub(crate) async fn rebuild(
    context: &BuildContext<'_>,
    catalogue: &Catalogue,
    function: &FunctionName,
    version: &Version,
) -> Result<RebuiltRelease> {
    let manifest = catalogue.manifest(function, version).await?;
    if manifest.source.dirty {
        return Err(Failure::refused(format!(
            "`{function}` {version} was built from changes that were not committed: it cannot be rebuilt"
        ))
        .unchanged("Nothing was built."));
    }
    let scratch = tempfile::Builder::new()
        .prefix("slipway-rebuild-")
        .tempdir()
        .map_err(|error| Failure::failed("no temporary folder can be made").caused_by(error))?;
    let root = context.repository.check_out_copy(&manifest.source.commit, &scratch.path().join("source"))?;
    let replica = artifact::build_replica(context, &root, context.process_env, function).await?;
    let (rebuilt, content) = replica.content(function, &manifest.image_labels())?;
    let released = released_content(catalogue, &manifest, scratch.path()).await?;
    Ok(RebuiltRelease {
        same: rebuilt == manifest.artifact.sha256,
        released: manifest.artifact.sha256,
        rebuilt,
        tools: artifact::tool_differences(&manifest.built.tools, &replica.artifact.tools),
        difference: Difference::between(&released, &content)?,
        commit: manifest.source.commit,
        function: function.clone(),
        version: version.clone(),
    })
}
