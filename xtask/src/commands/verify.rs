//! `verify`: verify what serves in an environment, over the addresses that users reach. With --full, run each function's
//! own suite against them.

use schemars::JsonSchema;
use serde::Serialize;

use super::CommandOutput;
use crate::app::{Account, AppContext};
use crate::delivery::{self, ServingStack};
use crate::failure::{Failure, Result};
use crate::format;
use crate::name::{EnvironmentName, FunctionName};
use crate::suite::{self, SuiteReport, Suites};
use crate::tools::install::Tool;
use crate::verification::{self, Verification};

/// Arguments of `verify`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The functions; without a name all that serve.
    functions: Vec<FunctionName>,
    /// The environment.
    #[arg(long, short)]
    env: EnvironmentName,
    /// Also run the functions' own suites against the deployment.
    #[arg(long)]
    full: bool,
}

/// What was found.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// The environment.
    pub(crate) environment: EnvironmentName,
    /// One for each function that serves.
    pub(crate) verifications: Vec<Verification>,
    /// One for each suite that was run.
    pub(crate) suites: Vec<SuiteReport>,
}

/// Runs the command.
pub(crate) async fn run(app: &AppContext, arguments: Arguments) -> Result<CommandOutput> {
    let environment = &arguments.env;
    let functions = app.project.functions_in(environment, &arguments.functions)?;
    if arguments.full {
        refuse_unsafe_suites(app, environment, &functions)?;
    }
    let account = app.account_if_there(environment).await?.ok_or_else(|| {
        Failure::failed(format!("{environment} is not running, so there is nothing to verify"))
            .hint(format!("cargo xtask release --env {environment}"))
    })?;
    let (mut verifications, mut suites) = (Vec::new(), Vec::new());
    for (stack, functions) in app.project.stacks_of(&functions)? {
        let stack = app.environment_stack(&account, environment, &stack)?;
        let address = |output: &_| account.address(output);
        let Some(serving) = delivery::verify_serving(&stack, &functions, &address).await? else { continue };
        if arguments.full {
            suites.extend(run_suites(app, &account, &serving).await?);
        }
        verifications.extend(serving.functions.into_iter().map(|function| function.verification));
    }
    let mut text = String::new();
    for verification in verifications.iter().filter(|verification| verification.passed()) {
        text.push_str(&format!("{} in {environment}: {}\n", verification.function, verification.summary()));
    }
    for suite in &suites {
        let verdict = if suite.passed { "passed" } else { "FAILED" };
        text.push_str(&format!("{} in {environment}: its suite {verdict}\n", suite.function));
    }
    let verified = |name: &&FunctionName| verifications.iter().any(|done| done.function == **name);
    let absent: Vec<&str> =
        functions.iter().filter(|name| !verified(name)).map(FunctionName::as_str).collect();
    let absence = (!absent.is_empty()).then(|| {
        let (names, serve) = (format::list(&absent), if absent.len() == 1 { "does" } else { "do" });
        format!("{names} {serve} not serve in {environment}, so there was nothing to verify")
    });
    if verifications.is_empty() && arguments.functions.is_empty() {
        text = format!("Nothing serves in {environment}.\n");
    } else if let Some(absence) = absence.as_ref().filter(|_| arguments.functions.is_empty()) {
        text.push_str(&format!("{absence}.\n"));
    }
    let failure = if let Some(absence) = absence.filter(|_| !arguments.functions.is_empty())
        && verifications.iter().all(Verification::passed)
    {
        let release = format!("cargo xtask release {} --env {environment}", absent.join(" "));
        Some(Failure::failed(absence).hint(release))
    } else if verifications.iter().all(Verification::passed) {
        suite::failure(environment.as_str(), &suites)
    } else {
        Some(verification::failure(environment.as_str(), &verifications))
    };
    let report = Report { environment: environment.clone(), verifications, suites };
    Ok(CommandOutput::new(&report, text)?.with_failure(failure))
}

/// Refuses, before anything is asked, suites that may not run in a protected environment: they write, and may leave something.
fn refuse_unsafe_suites(
    app: &AppContext,
    environment: &EnvironmentName,
    functions: &[FunctionName],
) -> Result<()> {
    if !app.project.environment(environment)?.protected {
        return Ok(());
    }
    for name in functions {
        if app.project.function(name)?.deployment_tests.as_ref().is_some_and(|tests| !tests.safe) {
            return Err(Failure::refused(format!("{environment} is protected, and the suite of `{name}` is not marked safe"))
                .unchanged("No suite was run.")
                .hint(format!("without --full the safe smoke events run; or, where the suite leaves nothing behind: safe = true under [deployment_tests] of lambda-src/{name}/function.toml")));
        }
    }
    Ok(())
}

/// Runs the suites of a stack's functions that verified.
async fn run_suites(app: &AppContext, account: &Account, serving: &ServingStack) -> Result<Vec<SuiteReport>> {
    let mut reports = Vec::new();
    for function in serving.functions.iter().filter(|function| function.verification.passed()) {
        let name = &function.verification.function;
        let Some(tests) = &app.project.function(name)?.deployment_tests else { continue };
        if function.address.is_none() && suite::needs_address(tests) {
            continue;
        }
        let uv = if suite::uses_uv(tests) { Some(app.tools.ensure(Tool::Uv).await?) } else { None };
        let suites = Suites {
            root: &app.project.root,
            variables: &account.variables,
            region: &account.backend.region,
            services: &account.services,
            uv,
            print: &|line| app.console.stderr(line),
            progress: &app.progress,
            interrupt: &app.interrupt,
        };
        reports.push(suites.run(name, tests, &serving.applied, function.address.as_deref()).await?);
    }
    Ok(reports)
}
