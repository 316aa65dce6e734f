//! `audit`: prove or refute, for every function that serves, what it runs and who is behind it. Changes nothing.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;

use super::CommandOutput;
use crate::app::AppContext;
use crate::audit::evidence::Evidence;
use crate::audit::{AuditContext, AuditedLedger, EnvironmentAudit, FunctionAudit, Verdict};
use crate::failure::{Failure, Result};
use crate::format;
use crate::name::EnvironmentName;
use crate::output::Table;

/// Arguments of `audit`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The environment; all of them where it is left out.
    #[arg(long, short)]
    env: Option<EnvironmentName>,
    /// An empty folder for the evidence, which openssl and sha256sum verify: VERIFY.md in it says how.
    #[arg(long, value_name = "FOLDER")]
    evidence: Option<PathBuf>,
}

/// The audit of some environments.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// When it began.
    #[schemars(with = "String")]
    pub(crate) at: jiff::Timestamp,
    /// The environments.
    pub(crate) environments: Vec<EnvironmentAudit>,
}

/// Runs the command.
pub(crate) async fn run(app: &AppContext, arguments: Arguments) -> Result<CommandOutput> {
    let environments = match arguments.env {
        Some(environment) => {
            app.project.environment(&environment)?;
            vec![environment]
        }
        None => app.project.environments.keys().cloned().collect(),
    };
    let folder = arguments.evidence.map(|folder| app.process_env.folder.join(folder));
    let mut evidence = folder.as_deref().map(Evidence::begin).transpose()?;
    let mut report = Report { at: app.clock.now(), environments: Vec::new() };
    for environment in environments {
        report.environments.push(environment_audit(app, environment, evidence.as_mut()).await?);
    }
    let mut text = text(&report);
    if let (Some(evidence), Some(folder)) = (evidence, &folder) {
        let document = CommandOutput::new(&report, "")?.document("audit");
        let count = evidence.finish(document.as_bytes())?;
        text.push_str(&format!(
            "{} in {}: sh verify.sh verifies them there.\n",
            format::plural(count, "file"),
            folder.display()
        ));
    }
    let failure = failure(&report);
    Ok(CommandOutput::new(&report, text)?.with_failure(failure))
}

async fn environment_audit(
    app: &AppContext,
    environment: EnvironmentName,
    mut evidence: Option<&mut Evidence>,
) -> Result<EnvironmentAudit> {
    let (mut functions, mut ignored) = (Vec::new(), Vec::new());
    let account = app.reading_account_if_there(&environment).await?;
    let reached = account.is_some();
    let policy = app.trust(&environment)?;
    let scratch = tempfile::tempdir()
        .map_err(|error| Failure::failed("no temporary folder can be made").caused_by(error))?;
    if let Some(account) = &account {
        let context = AuditContext {
            environment: &environment,
            catalogue: &account.catalogue,
            functions: account.functions.as_ref(),
            policy: &policy,
            scratch: scratch.path(),
        };
        let place = format!("environments/{environment}");
        if let Some(evidence) = evidence.as_deref_mut() {
            evidence.add_keys_of(&place, &policy.keys)?;
        }
        for stack in app.project.stacks_in(&environment)?.keys() {
            let ledger = account.ledger(&environment, stack);
            let (read, keys) = AuditedLedger::read(&ledger).await?;
            ignored.extend(keys);
            let place = format!("{place}/{stack}");
            if let Some(evidence) = evidence.as_deref_mut() {
                evidence.add_ledger(&place, &ledger).await?;
            }
            for (function, serving) in read.serving() {
                app.progress.note(format!("audit     {function} {} in {environment}", serving.release));
                let audited = context.function(stack, function, serving, &read).await?;
                if let Some(evidence) = evidence.as_deref_mut() {
                    let place = format!("{place}/functions/{function}");
                    evidence.add_function(&place, &audited, &account.catalogue, scratch.path()).await?;
                }
                functions.push(audited.audit);
            }
        }
    }
    let worst = functions.iter().map(|function| function.verdict).max();
    let verdict = worst.unwrap_or(Verdict::Unproven);
    Ok(EnvironmentAudit { environment, reached, verdict, ignored, functions })
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    for EnvironmentAudit { environment, reached, ignored, functions, .. } in &report.environments {
        if !reached {
            text.push_str(&format!("{environment} is not running: nothing was audited.\n\n"));
            continue;
        }
        if functions.is_empty() {
            text.push_str(&format!("Nothing serves in {environment}.\n\n"));
        }
        for key in ignored {
            text.push_str(&format!("{environment}: {} is no entry of a ledger\n", key.escape_default()));
        }
        for FunctionAudit { function, release, verdict, claims, bundle, .. } in functions {
            text.push_str(&format!("{function} {release} in {environment}: {}\n", verdict.word()));
            let mut table = Table::new(["", "claim", "found"]);
            for claim in claims {
                table.row(
                    [claim.verdict.word(), claim.claim.as_str(), claim.found.as_str()].map(str::to_owned),
                );
            }
            text.push_str(&table.render("  "));
            if let Some(bundle) = bundle {
                text.push_str(&format!("  Sigstore bundle {}\n", bundle.text()));
            }
            text.push('\n');
        }
    }
    let all: Vec<&FunctionAudit> =
        report.environments.iter().flat_map(|environment| &environment.functions).collect();
    let count = |verdict: Verdict| all.iter().filter(|function| function.verdict == verdict).count();
    text.push_str(&format!(
        "{}: {} proven, {} not proven, {} refuted.\n",
        format::plural(all.len(), "function"),
        count(Verdict::Proven),
        count(Verdict::Unproven),
        count(Verdict::Refuted)
    ));
    text
}

/// Returns the refusal of an audit that refutes something.
fn failure(report: &Report) -> Option<Failure> {
    let functions = report.environments.iter().flat_map(|audit| {
        let refuted = audit.functions.iter().filter(|function| function.verdict == Verdict::Refuted);
        refuted.map(|function| format!("{} in {}", function.function, audit.environment))
    });
    let refuted: Vec<String> = functions.collect();
    (!refuted.is_empty()).then(|| {
        Failure::refused(format!("the evidence refutes what is claimed of {}", format::list(&refuted)))
            .unchanged("Nothing was changed.")
            .hint("the lines that begin with REFUTED name what was found; roll back to a release that is proven, or deploy it again")
    })
}
