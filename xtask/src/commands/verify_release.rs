//! `verify-release`: check everything about a release, one line a check. Changes nothing.

use super::CommandOutput;
use crate::app::AppContext;
use crate::failure::{Failure, Result};
use crate::name::{EnvironmentName, FunctionName, Version};
use crate::output::Table;
use crate::release::{self, ReleaseExamination, TrustPolicy};

/// Arguments of `verify-release`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The function.
    function: FunctionName,
    /// The release.
    version: Version,
    /// The environment whose store is read and whose trusted keys count; all of them, in the project's store, where left
    /// out.
    #[arg(long, short)]
    env: Option<EnvironmentName>,
}

/// Runs the command.
pub(crate) async fn run(app: &AppContext, arguments: Arguments) -> Result<CommandOutput> {
    let (function, version) = (&arguments.function, &arguments.version);
    app.project.function(function)?;
    let store = app.project.store_environment(arguments.env.as_ref());
    let catalogue = match store {
        Some(environment) => match app.account_if_there(environment).await? {
            Some(account) => account.catalogue,
            None => {
                return Err(Failure::failed(format!(
                    "{environment} is not running: its releases cannot be read"
                ))
                .hint("cargo xtask local up starts it"));
            }
        },
        None => app.catalogue(None).await?,
    };
    let policy = |environment: &EnvironmentName| Ok((environment.clone(), app.trust(environment)?));
    let policies: Vec<(EnvironmentName, TrustPolicy)> =
        app.project.environments_of_store(store).into_iter().map(policy).collect::<Result<_>>()?;
    let scratch = tempfile::tempdir()
        .map_err(|error| Failure::failed("no temporary folder can be made").caused_by(error))?;
    let examination = release::examine(&catalogue, function, version, &policies, scratch.path()).await?;
    let (text, failure) = (text(&examination), failure(&examination));
    Ok(CommandOutput::new(&examination, text)?.with_failure(failure))
}

fn text(examination: &ReleaseExamination) -> String {
    let mut table = Table::new(["", "check", "found"]);
    for check in &examination.checks {
        let verdict = match check.holds {
            Some(true) => "ok",
            Some(false) => "WRONG",
            None => "-",
        };
        table.row([verdict, check.what.as_str(), check.found.as_str()].map(str::to_owned));
    }
    let ReleaseExamination { function, version, holds, .. } = examination;
    let verdict = if *holds { "passes every check" } else { "is not valid" };
    format!("{}{function} {version} {verdict}.\n", table.render(""))
}

fn failure(examination: &ReleaseExamination) -> Option<Failure> {
    let wrong = examination.checks.iter().filter(|check| check.holds == Some(false));
    let wrong = crate::format::list(wrong.map(|check| check.what.as_str()));
    let ReleaseExamination { function, version, .. } = examination;
    (!examination.holds).then(|| {
        Failure::refused(format!("`{function}` {version} is not valid: {wrong}"))
            .unchanged("Nothing was changed.")
            .hint("restore the objects' first versions in the store, or create a new release; do not deploy this one")
    })
}
