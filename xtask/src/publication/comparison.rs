//! Compares two releases, or a release with the work tree: inputs, tools, and the content of the artifacts.
//!
//! In: a function and two versions, or one version and what builds the work tree. Out: [`ReleaseComparison`]. Goes wrong: a
//! version does not exist, its bytes are not those that were released, the work tree does not build.

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;

use crate::artifact::{self, ArtifactContent, BuildContext, Difference};
use crate::digest::Digest;
use crate::failure::{Failure, Result};
use crate::name::{FunctionName, Version};
use crate::release::{Catalogue, InputsRecord, Manifest};
use crate::settings::PackageType;

/// How two artifacts of a function differ, and why.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Report")]
pub(crate) struct ReleaseComparison {
    /// The function.
    pub(crate) function: FunctionName,
    /// The first version.
    pub(crate) from: String,
    /// The second version, or `work tree`.
    pub(crate) to: String,
    /// Whether the bytes are the same.
    pub(crate) same: bool,
    /// SHA-256 of both.
    pub(crate) sha256: [Digest; 2],
    /// The inputs that differ; nothing where a release has no record of them.
    pub(crate) inputs: Option<Vec<String>>,
    /// Tools whose versions differ: name, before, after.
    pub(crate) tools: Vec<(String, String, String)>,
    /// How the contents differ.
    pub(crate) content: Difference,
}

/// What a release is compared with.
pub(crate) enum CompareWith<'a> {
    /// Another version of the function.
    Version(&'a Version),
    /// The work tree, which is built for it.
    WorkTree(&'a BuildContext<'a>),
}

/// One of the two artifacts.
struct Side {
    name: String,
    sha256: Digest,
    inputs: Option<InputsRecord>,
    tools: BTreeMap<String, String>,
    content: ArtifactContent,
}

/// Compares a release of a function with another version or with the work tree.
pub(crate) async fn compare(
    catalogue: &Catalogue,
    function: &FunctionName,
    from: &Version,
    to: CompareWith<'_>,
) -> Result<ReleaseComparison> {
    let scratch = tempfile::Builder::new()
        .prefix("slipway-explain-")
        .tempdir()
        .map_err(|error| Failure::failed("no temporary folder can be made").caused_by(error))?;
    let first = release_side(catalogue, function, from, scratch.path()).await?;
    let second = match to {
        CompareWith::Version(version) => release_side(catalogue, function, version, scratch.path()).await?,
        CompareWith::WorkTree(context) => work_tree_side(context, function).await?,
    };
    Ok(ReleaseComparison {
        same: first.sha256 == second.sha256,
        sha256: [first.sha256, second.sha256],
        inputs: first.inputs.as_ref().zip(second.inputs.as_ref()).and_then(|(a, b)| a.differences(b)),
        tools: artifact::tool_differences(&first.tools, &second.tools),
        content: Difference::between(&first.content, &second.content)?,
        from: first.name,
        to: second.name,
        function: function.clone(),
    })
}

async fn release_side(
    catalogue: &Catalogue,
    function: &FunctionName,
    version: &Version,
    scratch: &Path,
) -> Result<Side> {
    let manifest = catalogue.manifest(function, version).await?;
    let content = released_content(catalogue, &manifest, scratch).await?;
    Ok(Side {
        name: version.to_string(),
        sha256: manifest.artifact.sha256,
        inputs: InputsRecord::find(catalogue, &manifest.source.inputs_digest).await?,
        tools: manifest.built.tools,
        content,
    })
}

async fn work_tree_side(context: &BuildContext<'_>, function: &FunctionName) -> Result<Side> {
    let artifact::WorkTreeBuild { source, artifact, folder } =
        artifact::build_work_tree(context, function, false).await?;
    // An image of the work tree has no version and so no labels: its config differs by those.
    let (sha256, content) =
        artifact::content(context.project, function, &artifact, &folder, &BTreeMap::new())?;
    Ok(Side {
        name: "work tree".into(),
        sha256,
        content,
        tools: artifact.tools,
        inputs: Some(InputsRecord::of(&source.inputs)),
    })
}

/// Returns the content of a release to compare; a zip is downloaded into the folder.
pub(super) async fn released_content(
    catalogue: &Catalogue,
    manifest: &Manifest,
    folder: &Path,
) -> Result<ArtifactContent> {
    if manifest.package == PackageType::Image {
        return catalogue.image_manifest(manifest).await.map(ArtifactContent::Image);
    }
    let zip = folder.join(format!("{}.zip", manifest.version));
    catalogue.download_zip(manifest, &zip).await?;
    Ok(ArtifactContent::Zip(zip))
}
