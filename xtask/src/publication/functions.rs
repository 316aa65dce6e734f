//! Builds, describes and publishes the functions that have a new version, several at once.
//!
//! In: functions with their source and the version that was chosen. Out: their releases. If one fails, the others are
//! still published; the failure lists which were and which were not.

use std::collections::BTreeSet;

use super::{ChosenVersion, FunctionRelease, PublicationContext, changed_inputs, materials, sbom};
use crate::artifact::{self, Artifact, BuildContext};
use crate::failure::{Failure, FailureKind, Result};
use crate::format;
use crate::graph::{self, Task};
use crate::identity::VerifiedIdentity;
use crate::name::{FunctionName, Version};
use crate::ports::Signer;
use crate::progress::Unit;
use crate::release::{
    self, ArtifactRecord, BuildInvocation, BuildRecord, InputsRecord, Manifest, ProvenanceSigner,
    PublishedRelease, ReleaseContent, ReleaseStatements, SourceRecord, VersionChoice,
};
use crate::source::Source;

/// How many functions are built and published at once, which limits memory and connections. Cargo builds one at a time, in
/// the target folder that all share.
const AT_ONCE: usize = 4;

/// The key that signs, and the CI run that a token proved.
pub(super) type RunSigner<'a> = (&'a dyn Signer, Option<&'a VerifiedIdentity>);

/// Publishes a release of each function that has a new version; `force` builds it even if its artifact is
/// cached, as a run that signs does: an artifact that another run left proves nothing.
pub(super) async fn publish_all(
    context: &PublicationContext<'_>,
    chosen: &[ChosenVersion],
    signer: Option<RunSigner<'_>>,
    force: bool,
) -> Result<Vec<FunctionRelease>> {
    let tasks = chosen
        .iter()
        .map(|chosen| {
            let work = publish_function(context, chosen, signer, force);
            Task::new(chosen.function.to_string(), BTreeSet::new(), work)
        })
        .collect();
    let (mut published, mut failed) = (Vec::new(), Vec::new());
    for (function, result) in graph::run(tasks, AT_ONCE, context.build.interrupt).await {
        match result.into_result() {
            Ok(release) => published.push(release),
            Err(failure) => failed.push((function, failure)),
        }
    }
    match failed.len() {
        0 => Ok(published),
        // The only function: its failure with all details.
        1 if chosen.len() == 1 => Err(failed.remove(0).1),
        _ => Err(combined_failure(&published, failed)),
    }
}

/// Combines the failures of several functions; the text lists which functions were published.
fn combined_failure(published: &[FunctionRelease], failed: Vec<(String, Failure)>) -> Failure {
    let names = format::list(failed.iter().map(|(function, _)| function.as_str()));
    let kind = failed.first().map_or(FailureKind::Defect, |(_, failure)| failure.kind());
    let mut body = Vec::new();
    for (function, failure) in &failed {
        let report = failure.report();
        body.push(format!("{function}: {}", report.message));
        body.extend(report.details.iter().map(|detail| format!("  {}  {}", detail.name, detail.value)));
        body.extend(report.causes.iter().map(|cause| format!("  because {cause}")));
        body.extend(report.body.iter().flat_map(|text| text.lines()).map(|line| format!("  {line}")));
        body.extend(report.hint.iter().map(|hint| format!("  -> {hint}")));
    }
    let name =
        |release: &FunctionRelease| format!("{} {}", release.manifest.function, release.manifest.version);
    let unchanged = if published.is_empty() {
        "Nothing was deployed.".to_owned()
    } else {
        let verb = if published.len() == 1 { "is" } else { "are" };
        format!("{} {verb} in the store; nothing was deployed.", format::list(published.iter().map(name)))
    };
    Failure::new(kind, format!("{names} could not be released"))
        .body(body.join("\n"))
        .unchanged(unchanged)
        .hint("fix it and run the same command again: what is published is not built again")
}

/// Builds and publishes a function, or returns the existing release that was chosen.
async fn publish_function(
    context: &PublicationContext<'_>,
    chosen: &ChosenVersion,
    signer: Option<RunSigner<'_>>,
    force: bool,
) -> Result<FunctionRelease> {
    let ChosenVersion { function, source, choice } = chosen;
    let (version, reason, exact, notes) = match choice {
        VersionChoice::Reuse { manifest, newest } => {
            if let Some(newest) = newest {
                let again = if context.environment.is_some() { "deployed" } else { "taken" };
                context.build.progress.note(format!(
                    "{function:9} {} has the same inputs and is {again} again; the newest release is {newest}",
                    manifest.version
                ));
            }
            return Ok(FunctionRelease { manifest: (**manifest).clone(), new: false });
        }
        VersionChoice::New { version, reason, exact, notes } => (version, reason, *exact, notes),
    };
    context.build.interrupt.check()?;
    let started_on = context.clock.now();
    let progress = &context.build.progress.scope(function.as_str());
    let build = BuildContext { progress, ..context.build };
    let branch = source.branch.as_deref().unwrap_or("detached");
    progress.note(format!("{function:9} {reason}: {version}   ({branch} {})", &source.commit[..7]));
    changed_inputs::report_changed(context, chosen).await?;
    notes.iter().for_each(|note| progress.note(format!("{function:9} {note}")));
    let artifact = match context.prebuilt {
        Some(_) => artifact::prebuilt(build.project, function, source)?,
        None => artifact::build(&build, function, source, force).await?,
    };
    build.interrupt.check()?;
    let folder = artifact::cache_folder(build.project, function, &source.inputs_digest);
    let zip = artifact.path(&folder);
    let mut manifest = manifest(context, function, version, source, &artifact)?;
    let labels = manifest.image_labels();
    let image = artifact::image_with_labels(build.project, function, &artifact, &folder, &labels)?;
    if let Some(image) = &image {
        manifest.artifact = manifest.artifact.into_image(function.as_str(), image.digest);
        manifest = manifest.sealed();
    }
    let sha256 = manifest.artifact.sha256;
    // The release key signs only what is committed.
    let signer = signer.filter(|(signer, _)| !(source.dirty && signer.is_release_key()));
    let invocation = |identity| {
        let built = BuildInvocation::of(build.process_env, source.branch.as_deref(), started_on, identity);
        Ok(BuildInvocation { materials: materials::of(build.project, function, &manifest)?, ..built })
    };
    let provenance = signer.map(|(signer, identity)| -> Result<_> {
        Ok(ProvenanceSigner { signer, invocation: invocation(identity)? })
    });
    let statements = ReleaseStatements {
        sbom: sbom::document(build.project, function, &sha256, &zip, build.interrupt).await?,
        provenance: provenance.transpose()?,
    };
    let title = format!("{function} {version}  {}", sha256.short());
    let step = progress.counted_step("publish", title, artifact.size, Unit::Bytes);
    InputsRecord::of(&source.inputs).store(context.catalogue, &source.inputs_digest).await?;
    let content = image.as_ref().map_or(ReleaseContent::Zip(&zip), ReleaseContent::Image);
    match release::publish(context.catalogue, manifest, content, statements, exact, &step).await {
        Ok(published) => {
            let new = matches!(published, PublishedRelease::New(_));
            let manifest = published.manifest().clone();
            let title = format!("{function} {}  {}", manifest.version, sha256.short());
            step.done_as(title, if new { "new" } else { "exists" });
            Ok(FunctionRelease { manifest, new })
        }
        Err(failure) => {
            step.failed("failed");
            Err(failure)
        }
    }
}

fn manifest(
    context: &PublicationContext<'_>,
    function: &FunctionName,
    version: &Version,
    source: &Source,
    artifact: &Artifact,
) -> Result<Manifest> {
    let BuildContext { project, process_env, .. } = context.build;
    let record = ArtifactRecord::of_zip(
        artifact.sha256,
        artifact.size,
        artifact.unpacked_size,
        artifact.content_digest,
    );
    let built = BuildRecord {
        tools: artifact.tools.clone(),
        by: process_env.actor(),
        at: context.clock.now(),
        run_url: process_env.run_url(),
    };
    let settings = project.function(function)?;
    Ok(Manifest::new(function, version, settings, record, SourceRecord::from(source), built))
}
