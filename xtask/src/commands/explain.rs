//! `explain`: why two versions, or a version and the work tree, differ: inputs, tools, and what is in the artifact.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;

use super::Answer;
use crate::app::AppContext;
use crate::artifact::{self, Content, Difference};
use crate::digest::Digest;
use crate::failure::{self, Result};
use crate::name::{EnvironmentName, FunctionName, Version};
use crate::release::{Catalogue, InputsRecord};
use crate::source::Source;

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The function.
    function: FunctionName,
    /// The version to begin with.
    from: Version,
    /// The version to compare with it.
    #[arg(required_unless_present = "work_tree", conflicts_with = "work_tree")]
    to: Option<Version>,
    /// Compare with the work tree, which is built for it.
    #[arg(long)]
    work_tree: bool,
    /// The environment whose store is read: the local one has its own. The project's store where left out.
    #[arg(long, short)]
    env: Option<EnvironmentName>,
}

/// How two of a function's artifacts differ, and why.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// The function.
    pub(crate) function: FunctionName,
    /// The version to begin with.
    pub(crate) from: String,
    /// The other version, or `work tree`.
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

/// One of the two.
struct Side {
    name: String,
    sha256: Digest,
    inputs: Option<InputsRecord>,
    tools: BTreeMap<String, String>,
    content: Content,
}

/// Runs the command.
pub(crate) async fn run(app: &AppContext, arguments: Arguments) -> Result<Answer> {
    let Arguments { function, from, to, env, .. } = arguments;
    let catalogue = app.catalogue_of(env.as_ref()).await?;
    let place = tempfile::Builder::new()
        .prefix("slipway-explain-")
        .tempdir()
        .map_err(|error| failure::io("create", &app.project.work_folder(), error))?;
    let first = released(&catalogue, &function, &from, place.path()).await?;
    let second = match &to {
        Some(version) => released(&catalogue, &function, version, place.path()).await?,
        None => work_tree(app, &function).await?,
    };
    let report = Report {
        same: first.sha256 == second.sha256,
        sha256: [first.sha256, second.sha256],
        inputs: first.inputs.as_ref().zip(second.inputs.as_ref()).map(|(a, b)| inputs_that_differ(a, b)),
        tools: artifact::tools_that_differ(&first.tools, &second.tools),
        content: Difference::between(&first.content, &second.content)?,
        from: first.name,
        to: second.name,
        function,
    };
    let text = text(&report);
    Answer::new(&report, text)
}

async fn released(
    catalogue: &Catalogue,
    function: &FunctionName,
    version: &Version,
    place: &Path,
) -> Result<Side> {
    let manifest = catalogue.manifest(function, version).await?;
    let content = super::released_content(catalogue, &manifest, place).await?;
    Ok(Side {
        name: version.to_string(),
        sha256: manifest.artifact.sha256,
        inputs: InputsRecord::find(catalogue, &manifest.source.inputs_digest).await?,
        tools: manifest.built.tools,
        content,
    })
}

async fn work_tree(app: &AppContext, function: &FunctionName) -> Result<Side> {
    let repository = app.repository()?;
    let source = Source::look(&app.project, &repository, function)?;
    let builders = super::Builders::new(app);
    let workshop = super::workshop(app, &repository, &builders, &app.progress);
    let artifact = artifact::build(&workshop, function, &source, false).await?;
    let folder = artifact::folder(&app.project, function, &source.inputs_digest);
    // An image of the work tree has no version yet, and so no labels: its config differs by those.
    let (sha256, content) = artifact::content(&app.project, function, &artifact, &folder, &BTreeMap::new())?;
    Ok(Side {
        name: "work tree".into(),
        sha256,
        content,
        tools: artifact.tools,
        inputs: Some(InputsRecord::of(&source.inputs)),
    })
}

/// Lists what differs: files by their path, parts line by line.
fn inputs_that_differ(before: &InputsRecord, after: &InputsRecord) -> Vec<String> {
    let mut lines = Vec::new();
    let names = |a: &BTreeMap<String, String>, b: &BTreeMap<String, String>| -> BTreeSet<String> {
        a.keys().chain(b.keys()).cloned().collect()
    };
    for path in names(&before.files, &after.files) {
        match (before.files.get(&path), after.files.get(&path)) {
            (None, Some(_)) => lines.push(format!("+ {path}")),
            (Some(_), None) => lines.push(format!("- {path}")),
            (a, b) if a != b => lines.push(format!("~ {path}")),
            _ => {}
        }
    }
    for name in names(&before.parts, &after.parts) {
        let part = |record: &InputsRecord| -> BTreeSet<String> {
            record.parts.get(&name).map(|text| text.lines().map(str::to_owned).collect()).unwrap_or_default()
        };
        let (a, b) = (part(before), part(after));
        lines.extend(a.difference(&b).map(|line| format!("- {name}: {line}")));
        lines.extend(b.difference(&a).map(|line| format!("+ {name}: {line}")));
    }
    lines
}

fn text(report: &Report) -> String {
    let Report { function, from, to, .. } = report;
    let mut text = if report.same {
        format!("{function} {from} and {to}: the same bytes, {}\n", report.sha256[0])
    } else {
        format!(
            "{function} {from} and {to}: other bytes\n  {}  {from}\n  {}  {to}\n",
            report.sha256[0], report.sha256[1]
        )
    };
    let mut section = |title: &str, lines: Vec<String>| {
        for (index, line) in lines.into_iter().enumerate() {
            text.push_str(&format!("{:9} {line}\n", if index == 0 { title } else { "" }));
        }
    };
    match &report.inputs {
        None => section("inputs", vec!["one of the two has no record of them".into()]),
        Some(lines) if lines.is_empty() => section("inputs", vec!["the same".into()]),
        Some(lines) => section("inputs", lines.clone()),
    }
    if report.tools.is_empty() {
        section("tools", vec!["the same".into()]);
    } else {
        section("tools", report.tools.iter().map(|(name, a, b)| format!("{name}  {a} -> {b}")).collect());
    }
    let content = report.content.lines(40);
    section("content", if content.is_empty() { vec!["the same".into()] } else { content });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_told_by_file_and_by_line() {
        let record = |files: &[(&str, &str)], parts: &[(&str, &str)]| -> InputsRecord {
            let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
                pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
            };
            serde_json::from_value(serde_json::json!({
                "schema": "slipway.inputs/1", "files": map(files), "parts": map(parts),
            }))
            .unwrap()
        };
        let before = record(&[("a.rs", "1"), ("b.rs", "2")], &[("Cargo.lock", "x 1\ny 1"), ("recipe", "r")]);
        let after = record(&[("a.rs", "1 x"), ("c.rs", "3")], &[("Cargo.lock", "x 2\ny 1"), ("recipe", "r")]);
        assert_eq!(
            inputs_that_differ(&before, &after),
            ["~ a.rs", "- b.rs", "+ c.rs", "- Cargo.lock: x 1", "+ Cargo.lock: x 2"]
        );
        assert!(inputs_that_differ(&before, &before).is_empty());
    }
}
