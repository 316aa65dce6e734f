//! What releasing to an environment would bring: the next version of each changed function, and the size of its artifact
//! against that of the release that serves. Builds and changes nothing.
//!
//! In: the functions, what serves, the releases that were named. Out: [`NextReleases`]. An artifact that was not built on this
//! machine, or handed on to it, has no size. Errors: sources, git or the catalogue cannot be read.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::artifact::{self, BuildContext};
use crate::failure::Result;
use crate::name::{FunctionName, Version};
use crate::ports::side_by_side;
use crate::release::{self, Catalogue, Manifest, VersionChoice, VersionRequest};
use crate::source::Source;

/// What releasing to an environment would bring.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(crate) struct NextReleases {
    /// The functions whose release would be another one than the one that serves.
    pub(crate) changed: Vec<NextRelease>,
    /// How many functions keep what they serve.
    pub(crate) unchanged: usize,
    /// Why it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) not_known: Option<String>,
}

/// A function whose release would be another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct NextRelease {
    /// The function.
    pub(crate) function: FunctionName,
    /// The release that serves; `null` where none does.
    pub(crate) serves: Option<Version>,
    /// The size of its artifact in bytes; `null` where its manifest is not stored.
    pub(crate) serves_size: Option<u64>,
    /// The release that would serve.
    pub(crate) next: Version,
    /// Whether it exists already.
    pub(crate) published: bool,
    /// Why it has this version, such as `1 change since 0.1.0`; `null` for one that exists already.
    pub(crate) reason: Option<String>,
    /// The size of its artifact in bytes; `null` where it was not built.
    pub(crate) size: Option<u64>,
}

/// Returns what releasing some functions would bring. `serves` are the releases that serve; `named` those that were asked for,
/// in the place of what would be released.
pub(crate) async fn next_releases(
    context: &BuildContext<'_>,
    catalogue: &Catalogue,
    functions: &[FunctionName],
    serves: &BTreeMap<FunctionName, Version>,
    named: &BTreeMap<FunctionName, Version>,
) -> Result<NextReleases> {
    let BuildContext { project, process_env, repository, .. } = *context;
    let to_read: Vec<FunctionName> =
        functions.iter().filter(|function| !named.contains_key(*function)).cloned().collect();
    let sources = match to_read[..] {
        [] => Vec::new(),
        _ => Source::read_all(project, process_env, repository, &to_read)?,
    };
    let sources: BTreeMap<&FunctionName, Source> = to_read.iter().zip(sources).collect();
    let all = side_by_side(functions.iter().map(async |function| {
        let next = match (named.get(function), sources.get(function)) {
            (Some(version), _) => published(catalogue.manifest(function, version).await?),
            (None, Some(source)) => of_source(context, catalogue, function, source).await?,
            (None, None) => return Ok(None),
        };
        let serves = serves.get(function);
        if serves == Some(&next.next) {
            return Ok(None);
        }
        let before = match serves {
            Some(version) => catalogue.find(function, version).await?,
            None => None,
        };
        let serves_size = before.map(|manifest| manifest.artifact.size);
        Ok(Some(NextRelease { serves: serves.cloned(), serves_size, ..next }))
    }))
    .await?;
    let changed: Vec<NextRelease> = all.into_iter().flatten().collect();
    Ok(NextReleases { unchanged: functions.len() - changed.len(), changed, not_known: None })
}

fn published(manifest: Manifest) -> NextRelease {
    NextRelease {
        function: manifest.function,
        serves: None,
        serves_size: None,
        next: manifest.version,
        published: true,
        reason: None,
        size: Some(manifest.artifact.size),
    }
}

async fn of_source(
    context: &BuildContext<'_>,
    catalogue: &Catalogue,
    function: &FunctionName,
    source: &Source,
) -> Result<NextRelease> {
    let (settings, request) = (context.project.function(function)?, VersionRequest::default());
    let choice =
        release::choose_version(catalogue, context.repository, function, settings, source, &request).await?;
    Ok(match choice {
        VersionChoice::Reuse { manifest, .. } => published(*manifest),
        VersionChoice::New { version, reason, .. } => NextRelease {
            function: function.clone(),
            serves: None,
            serves_size: None,
            next: version,
            published: false,
            reason: Some(reason),
            // A plan goes on without it.
            size: artifact::prebuilt(context.project, function, source).ok().map(|artifact| artifact.size),
        },
    })
}
