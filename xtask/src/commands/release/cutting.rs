//! Cutting releases: build, name and publish each function that changed, several of them at once.
//!
//! In: functions with their source and the version that each is to have. Out: their manifests. Where one fails, the others
//! are published all the same, and the failure says which; nothing is deployed then.

use std::collections::BTreeSet;

use super::super::labels;
use super::statements::{ReleaseContext, sbom};
use crate::app::AppContext;
use crate::artifact::{self, Artifact};
use crate::failure::{Failure, Result};
use crate::format;
use crate::graph::{self, Task};
use crate::name::{FunctionName, Version};
use crate::progress::Unit;
use crate::release::{
    self, ArtifactRecord, Built, Choice, Content, InputsRecord, Manifest, Published, SmokeRecord,
    SourceRecord, Statements,
};
use crate::source::Source;

/// How many functions are built and published at the same time: what bounds memory and connections. Cargo builds one at a
/// time anyhow, in the target folder that all share.
const AT_ONCE: usize = 4;

/// A function's release, and whether it was cut now.
pub(super) type Cut = (FunctionName, Manifest, bool);

/// Cuts a release of each function, or takes the one that has these inputs already.
pub(super) async fn cut_all(
    app: &AppContext,
    press: &ReleaseContext<'_>,
    chosen: &[(FunctionName, Source, Choice)],
    again: bool,
) -> Result<Vec<Cut>> {
    let tasks = chosen
        .iter()
        .map(|one| {
            let work = cut(app, press, one, again);
            Task::new(one.0.to_string(), BTreeSet::new(), work)
        })
        .collect();
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for (function, end) in graph::run(tasks, AT_ONCE, &app.interrupt).await {
        match end.outcome() {
            Ok(cut) => done.push(cut),
            Err(failure) => failed.push((function, failure)),
        }
    }
    match failed.len() {
        0 => Ok(done),
        // The one failure with all that it has to say.
        1 if chosen.len() == 1 => Err(failed.remove(0).1),
        _ => Err(some_failed(&done, failed)),
    }
}

/// Tells of several functions which were published and which were not, and why.
fn some_failed(done: &[Cut], failed: Vec<(String, Failure)>) -> Failure {
    let names = format::list(failed.iter().map(|(function, _)| function.as_str()));
    let kind = failed.first().map_or(crate::failure::FailureKind::Defect, |(_, failure)| failure.kind());
    let mut body = Vec::new();
    for (function, failure) in &failed {
        let report = failure.report();
        body.push(format!("{function}: {}", report.message));
        body.extend(report.details.iter().map(|detail| format!("  {}  {}", detail.name, detail.value)));
        body.extend(report.causes.iter().map(|cause| format!("  because {cause}")));
        body.extend(report.body.iter().flat_map(|text| text.lines()).map(|line| format!("  {line}")));
        body.extend(report.hint.iter().map(|hint| format!("  -> {hint}")));
    }
    let published: Vec<String> =
        done.iter().map(|(function, manifest, _)| format!("{function} {}", manifest.version)).collect();
    let failure = Failure::new(kind, format!("{names} could not be released")).body(body.join("\n"));
    let unchanged = if published.is_empty() {
        "Nothing was deployed.".to_owned()
    } else {
        format!("{} stand in the store; nothing was deployed.", format::list(published))
    };
    failure
        .unchanged(unchanged)
        .hint("repair it and run the same command again: what is published is not built again")
}

/// Cuts a release, or takes the one that has these inputs already.
async fn cut(
    app: &AppContext,
    press: &ReleaseContext<'_>,
    (function, source, choice): &(FunctionName, Source, Choice),
    again: bool,
) -> Result<(FunctionName, Manifest, bool)> {
    let (version, why, asked) = match choice {
        Choice::Reuse(manifest) => return Ok((function.clone(), (**manifest).clone(), false)),
        Choice::New { version, why, asked } => (version, why, *asked),
    };
    app.interrupt.check()?;
    let began = app.clock.now();
    let progress = &app.progress.scope(function.as_str());
    let place = source.branch.as_deref().unwrap_or("detached");
    progress.note(format!("{function:9} {why}: {version}   ({place} {})", &source.commit[..7]));
    let builders = super::super::Builders::new(app);
    let workshop = super::super::workshop(app, press.repository, &builders, progress);
    let artifact = artifact::build(&workshop, function, source, again).await?;
    app.interrupt.check()?;
    let folder = artifact::folder(&app.project, function, &source.inputs_digest);
    let zip = artifact.path(&folder);
    let mut manifest = manifest(app, function, version, source, &artifact)?;
    let image = artifact::image(&app.project, function, &artifact, &folder, &labels(&manifest))?;
    if let Some(image) = &image {
        manifest.artifact = manifest.artifact.of_image(function.as_str(), image.digest);
        manifest = manifest.sealed();
    }
    let sha256 = manifest.artifact.sha256;
    let statements = Statements {
        sbom: sbom(app, function, &sha256, &zip).await?,
        attestor: press.attestor(app, source, began),
    };
    let step = progress.counted_step(
        "publish",
        format!("{function} {version}  {}", sha256.short()),
        artifact.size,
        Unit::Bytes,
    );
    InputsRecord::of(&source.inputs).keep(press.catalogue, &source.inputs_digest).await?;
    let content = image.as_ref().map_or(Content::Zip(&zip), Content::Image);
    match release::publish(press.catalogue, manifest, content, statements, asked, &step).await {
        Ok(published) => {
            let new = matches!(published, Published::New(_));
            let manifest = published.manifest().clone();
            step.done_as(
                format!("{function} {}  {}", manifest.version, sha256.short()),
                if new { "new" } else { "there" },
            );
            Ok((function.clone(), manifest, new))
        }
        Err(failure) => {
            step.failed("failed");
            Err(failure)
        }
    }
}

fn manifest(
    app: &AppContext,
    function: &FunctionName,
    version: &Version,
    source: &Source,
    artifact: &Artifact,
) -> Result<Manifest> {
    let settings = app.project.function(function)?;
    let unsealed = Manifest {
        schema: "slipway.release/1".into(),
        function: function.clone(),
        version: version.clone(),
        package: settings.package,
        architecture: settings.architecture,
        runtime: settings.runtime.clone(),
        handler: settings.handler.clone(),
        artifact: ArtifactRecord {
            sha256: artifact.sha256,
            code_sha256: artifact.sha256.base64(),
            size: artifact.size,
            unpacked_size: artifact.unpacked_size,
            content_digest: artifact.content_digest,
            key: release::artifact_key(&artifact.sha256),
        },
        source: SourceRecord {
            repository: source.repository.clone(),
            commit: source.commit.clone(),
            dirty: source.dirty,
            committed_at: source.committed_at,
            inputs_digest: source.inputs_digest,
        },
        built: Built {
            tools: artifact.tools.clone(),
            by: app.process_env.actor(),
            at: app.clock.now(),
            run_url: app.process_env.run_url(),
        },
        sbom: None,
        smoke: settings.smoke.iter().map(SmokeRecord::from).collect(),
        seal: None,
    };
    Ok(unsealed.sealed())
}
