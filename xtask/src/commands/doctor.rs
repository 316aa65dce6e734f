//! `doctor`: every program and credential that is needed, its version, and what to do if it is missing; for an environment,
//! whether its account has room for what the stacks ask. Changes nothing.

use schemars::JsonSchema;
use serde::Serialize;

use super::CommandOutput;
use crate::app::AppContext;
use crate::failure::{Failure, Result};
use crate::name::EnvironmentName;
use crate::output::Table;
use crate::plan;
use crate::requirements::{self, AccountOf, Availability, Requirement, Requirements};
use crate::settings::{CloudAccount, EnvironmentAccount, StoreSettings};

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Look at this environment's account alone, before anything is made there: quotas and the lengths of names.
    #[arg(long, short)]
    env: Option<EnvironmentName>,
}

/// What was found.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// One for each thing that is needed.
    pub(crate) findings: Vec<Requirement>,
}

/// Runs the command.
pub(crate) async fn run(app: &AppContext, arguments: Arguments) -> Result<CommandOutput> {
    let findings = match &arguments.env {
        Some(environment) => of_environment(app, environment).await?,
        None => of_machine(app).await?,
    };
    let failure = requirements::failure(&findings);
    let text = text(&findings);
    Ok(CommandOutput::new(&Report { findings }, text)?.with_failure(failure))
}

/// Looks at an environment's account, with the role that only reads it where there is one.
async fn of_environment(app: &AppContext, environment: &EnvironmentName) -> Result<Vec<Requirement>> {
    let settings = app.project.environment(environment)?;
    let mut findings = requirements::long_names(&app.project, environment, Availability::Missing)?;
    if findings.is_empty() {
        let fit = Ok("none is longer than Lambda, IAM and S3 take".to_owned());
        let needed_for = "functions, roles and buckets";
        findings.push(Requirement::new("lengths of names", needed_for, Availability::Missing, fit));
    }
    let EnvironmentAccount::Cloud(cloud) = &settings.account else {
        let emulated = Ok("emulated: it has no quotas".to_owned());
        let what = format!("account of {environment}");
        findings.push(Requirement::new(what, format!("--env {environment}"), Availability::Later, emulated));
        return Ok(findings);
    };
    let account = app.reading_account(environment).await?;
    let of = AccountOf { project: &app.project.settings.name, environment, role: cloud.role.as_deref() };
    let demands = plan::demands(&app.project, environment)?;
    findings.extend(requirements::account(&of, &demands, account.quotas.as_ref()).await);
    Ok(findings)
}

/// Looks at this machine, and at whether accounts are reached.
async fn of_machine(app: &AppContext) -> Result<Vec<Requirement>> {
    let requirements = Requirements {
        project: &app.project,
        tools: &app.tools,
        rust_builder: &app.rust_builder(),
        terraform: &app.terraform(),
        interrupt: &app.interrupt,
    };
    let mut findings = requirements.look_up().await;
    if let Some(store) = &app.project.settings.store {
        let what = format!("store in account {}", store.account);
        let found = store_access(app, store).await;
        findings.push(Requirement::new(what, "releases for the cloud", Availability::Later, found));
    }
    for (name, settings) in &app.project.environments {
        if let EnvironmentAccount::Cloud(cloud) = &settings.account {
            let found = account_access(app, name, cloud).await;
            let (what, needed_for) = (format!("account of {name}"), format!("--env {name}"));
            findings.push(Requirement::new(what, needed_for, Availability::Later, found));
        }
    }
    let search_path = app.process_env.get("PATH").unwrap_or_default();
    findings.extend(requirements::project_programs(&app.project, search_path));
    for environment in app.project.environments.keys() {
        findings.extend(requirements::long_names(&app.project, environment, Availability::Later)?);
    }
    Ok(findings)
}

async fn store_access(app: &AppContext, store: &StoreSettings) -> Result<String> {
    if !app.has_credentials() {
        return Err(no_credentials());
    }
    app.catalogue(None).await?.store().list("releases/", Some(1)).await?;
    Ok(format!("bucket {} can be read", store.bucket))
}

async fn account_access(
    app: &AppContext,
    environment: &EnvironmentName,
    cloud: &CloudAccount,
) -> Result<String> {
    if !app.has_credentials() {
        return Err(no_credentials());
    }
    app.account_if_there(environment).await?;
    Ok(format!("credentials are for account {}", cloud.account))
}

fn no_credentials() -> Failure {
    Failure::failed("no credentials are configured")
        .hint("sign in first: aws sso login, or set AWS_PROFILE or AWS_ACCESS_KEY_ID")
}

/// How many characters of what was found fit into the table.
const LONGEST_FOUND: usize = 110;

/// Renders a table, and what to do about what is not available or not complete.
fn text(requirements: &[Requirement]) -> String {
    let mut table = Table::new(["", "what", "found", "needed for"]);
    for requirement in requirements {
        let sign = match requirement.verdict {
            Availability::Available => "ok",
            Availability::Later => "–",
            Availability::Missing => "MISSING",
        };
        let found: String = requirement.found.chars().take(LONGEST_FOUND).collect();
        table.row([sign.to_owned(), requirement.what.clone(), found, requirement.needed_for.clone()]);
    }
    let mut text = table.render("");
    for requirement in requirements {
        if let Some(hint) = &requirement.hint {
            text.push_str(&format!("{}: {hint}\n", requirement.what));
        }
    }
    text
}
