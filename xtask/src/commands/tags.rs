//! `tags`: write missing release tags from the catalogue, and push them. The catalogue decides; tags mirror it.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::Answer;
use crate::app::AppContext;
use crate::exec::{self, Conduct, Program};
use crate::failure::{Failure, Result};
use crate::format;
use crate::name::FunctionName;
use crate::release;

/// Arguments of `tags`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The functions; all where none is named.
    functions: Vec<FunctionName>,
    /// Push release tags to the remote `origin`.
    #[arg(long)]
    push: bool,
}

/// What was written.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// Tags that were missing and are written now.
    pub(crate) written: Vec<String>,
    /// Releases whose commit is not in this clone.
    pub(crate) left_out: Vec<String>,
    /// Tags that were pushed.
    pub(crate) pushed: Vec<String>,
}

/// Runs the command.
pub(crate) async fn run(app: &AppContext, arguments: Arguments) -> Result<Answer> {
    let repository = app.repository()?;
    let catalogue = app.catalogue(None).await?;
    let mut report = Report { written: Vec::new(), left_out: Vec::new(), pushed: Vec::new() };
    let mut all = Vec::new();
    for function in app.functions(&arguments.functions)? {
        let prefix = release::tag_prefix(&function);
        let present = repository.tags(&prefix)?;
        for version in catalogue.versions(&function).await?.into_iter().filter(|version| !version.is_dirty())
        {
            let name = format!("{prefix}{version}");
            if !present.contains_key(&version.to_string()) {
                let manifest = catalogue.manifest(&function, &version).await?;
                let message = format!("{function} {version}\n\nartifact {}", manifest.artifact.sha256);
                match repository.tag(&name, &manifest.source.commit, &message) {
                    Ok(_) => report.written.push(name.clone()),
                    Err(_) => {
                        report.left_out.push(name);
                        continue;
                    }
                }
            }
            all.push(name);
        }
    }
    if arguments.push && !all.is_empty() {
        push(app, &all).await?;
        report.pushed = all;
    }
    let mut text = match report.written.len() {
        0 => "No release tag was missing.\n".to_owned(),
        count => format!("{} written: {}\n", format::plural(count, "tag"), format::list(&report.written)),
    };
    if !report.left_out.is_empty() {
        text.push_str(&format!(
            "Left out, their commits are not in this clone: {}\n",
            format::list(&report.left_out)
        ));
    }
    if !report.pushed.is_empty() {
        text.push_str(&format!("{} on the remote.\n", format::plural(report.pushed.len(), "release tag")));
    }
    Answer::new(&report, text)
}

/// Pushes tags with git itself, which knows the user's credentials.
async fn push(app: &AppContext, tags: &[String]) -> Result<()> {
    let mut program = Program::new("git", &app.project.root).env("GIT_TERMINAL_PROMPT", "0");
    if let Some(token) = app.process_env.get("GITHUB_TOKEN") {
        // Through the environment, never the command line: a process list is no place for a token.
        use base64::Engine as _;
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("x-access-token:{token}"));
        program = program
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", "http.extraHeader")
            .env("GIT_CONFIG_VALUE_0", format!("Authorization: Basic {basic}"));
    }
    let program = program.args(["push", "origin"]).args(tags.iter().map(|tag| format!("refs/tags/{tag}")));
    let step = app.progress.slow_step("tags", format!("push {}", format::plural(tags.len(), "tag")));
    let conduct = Conduct { within: Some(Duration::from_secs(120)), ..Conduct::default() };
    let ended =
        exec::run(&program, &conduct, &app.interrupt, &mut |_| {}, &mut |_, line| step.line(line)).await?;
    if !ended.success() {
        step.failed("failed");
        return Err(Failure::failed("the release tags were not pushed")
            .body(ended.tail.join("\n"))
            .unchanged("The releases stand: the catalogue decides, tags only mirror it.")
            .hint("check the remote `origin` and the right to push tags, then run cargo xtask tags --push again"));
    }
    step.done("pushed");
    Ok(())
}
