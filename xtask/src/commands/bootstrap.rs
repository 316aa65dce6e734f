//! `bootstrap`: prepares an account as its administrator, once; a later run changes only what differs.
//!
//! It creates the state bucket and the lock tables with AWS's API, then applies terraform/bootstrap, then compares the
//! project's files with the result. Existing resources are adopted.

mod github;

use schemars::JsonSchema;
use serde::Serialize;

use self::github::GithubLook;
use super::CommandOutput;
use crate::app::AppContext;
use crate::bootstrap::{self, AccountApply, AccountSpec, FileEdits, TrustedKey};
use crate::failure::{Failure, Result};
use crate::format;
use crate::name::EnvironmentName;
use crate::plan::{Change, Infrastructure as _};

/// Arguments of `bootstrap`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The environment whose account is prepared, with all other environments in that account.
    #[arg(long, short, required_unless_present = "store", conflicts_with = "store")]
    env: Option<EnvironmentName>,
    /// Prepare the artifact store's account, if no environment is in it.
    #[arg(long)]
    store: bool,
    /// Write the account's settings into the project's files.
    #[arg(long)]
    write: bool,
    /// Move the account's own state into the environment's bucket, where the next run finds it.
    #[arg(long, conflicts_with_all = ["write", "store"])]
    archive: bool,
    /// Print the policies of the deployment roles as they are applied, and change nothing.
    #[arg(long, conflicts_with_all = ["write", "archive"])]
    policies: bool,
    /// Run what this branch holds, where it is not the default branch.
    #[arg(long)]
    any_branch: bool,
    /// Make the roles of protected environments and of the publisher, though their GitHub environments lack rules.
    #[arg(long, conflicts_with_all = ["archive", "policies"])]
    trust_unprotected: bool,
}

/// Result of preparing an account.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// The account's 12 digits.
    pub(crate) account: String,
    /// The bucket of the account's own state, created before Terraform.
    pub(crate) bucket: String,
    /// Keys among the archived states that are none: they were not read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) foreign_archives: Vec<String>,
    /// Buckets and tables that were created before Terraform.
    pub(crate) made: Vec<String>,
    /// The archive that the state was restored from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) restored: Option<String>,
    /// The archive that the state was moved to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) archived: Option<String>,
    /// Addresses of existing resources that were adopted.
    pub(crate) adopted: Vec<String>,
    /// Changes that Terraform applied.
    pub(crate) changes: Vec<Change>,
    /// Settings that the project's files need and do not have.
    pub(crate) files: Vec<FileEdits>,
    /// Roles that stacks take as `function_role_arn`, by <environment>/<role>.
    pub(crate) function_roles: serde_json::Value,
    /// Boundary of every role that a stack makes, by environment.
    pub(crate) boundaries: serde_json::Value,
    /// The public key of the signing key as PEM, if it is in this account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) signing_public_key: Option<String>,
    /// That key, and the environments that do not trust it yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trusted_key: Option<TrustedKey>,
    /// The role that publishes and signs, if it is in this account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) publisher_role: Option<String>,
    /// Policies of the deployment roles, if requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) policies: Option<serde_json::Value>,
}

/// Runs the command.
pub(crate) async fn run(app: &AppContext, arguments: Arguments) -> Result<CommandOutput> {
    let spec = AccountSpec::of(&app.project, arguments.env.as_ref())?;
    if !arguments.archive {
        let repository = app.repository()?;
        bootstrap::refuse_unreviewed(&repository, &app.project, &spec, arguments.any_branch)?;
        let remote = repository.remote().as_deref().and_then(crate::github::repository_of);
        bootstrap::refuse_placeholders(&app.project.root, &spec, remote.as_deref())?;
    }
    let account = app.admin_account(&spec).await?;
    let lock = app.lock_account(&spec).await?;
    let configuration =
        |adopted: &[(String, String)]| app.account_configuration(&spec, &account, &lock, adopted);
    let mut report =
        Report { account: spec.account.clone(), bucket: spec.bootstrap_bucket(), ..Report::default() };
    if arguments.archive {
        let environment = arguments.env.as_ref().and_then(|name| spec.environments.get(name));
        let cloud = environment.ok_or_else(|| Failure::defect("an environment without an account"))?;
        let uri = account.archive(&cloud.state_bucket).await?;
        let text = format!(
            "The state of {} was moved to {uri}. The next cargo xtask bootstrap moves it back.\n",
            spec.account
        );
        report.archived = Some(uri);
        return CommandOutput::new(&report, text);
    }
    let terraform = app.terraform();
    if arguments.policies {
        let policies =
            bootstrap::deployment_policies(&spec, &terraform.outputs(&configuration(&[])?).await?)?;
        let text = bootstrap::policies_text(&policies)?;
        report.policies = Some(policies);
        return CommandOutput::new(&report, text);
    }
    let prepared = account.prepare(&spec).await?;
    prepared.created.iter().for_each(|created| app.progress.note(format!("created the {created}")));
    if let Some(uri) = &prepared.restored {
        app.progress.note(format!("restored the account's state from {uri}"));
    }
    for key in &prepared.foreign {
        app.progress.note(format!("{key} is no archived state and was not read: look at who wrote it"));
    }
    let approver = app.approver();
    let github = GithubLook {
        spec: &spec,
        process_env: &app.process_env,
        services: account.services(),
        progress: &app.progress,
        trust_unprotected: arguments.trust_unprotected,
    };
    let apply = AccountApply {
        spec: &spec,
        partition: account.partition,
        infrastructure: &terraform,
        configuration: &configuration,
        resources: &account,
        github: &github,
        approver: approver.as_ref(),
        progress: &app.progress,
    };
    let applied = apply.run().await?;
    let mut files = bootstrap::file_edits(&spec, &applied.outputs, &app.project.root)?;
    if arguments.write {
        files.iter_mut().try_for_each(|file| file.write(&app.project.root))?;
    }
    let signing_public_key = applied.outputs.output("signing_public_key").as_str().map(str::to_owned);
    let mut trusted_key =
        signing_public_key.as_deref().map(|pem| TrustedKey::of(&app.project, pem)).transpose()?;
    if arguments.write
        && let Some(key) = trusted_key.as_mut().filter(|key| !key.is_trusted())
        && approver.approve(&key.question()).map_err(|failure| {
            failure.unchanged(
                "The account is prepared and the settings are written. The key is trusted nowhere yet.",
            )
        })?
    {
        key.write(&app.project.root)?;
    }
    let report = Report {
        made: prepared.created,
        foreign_archives: prepared.foreign,
        restored: prepared.restored,
        adopted: applied.adopted,
        changes: applied.changes,
        files,
        function_roles: applied.outputs.output("function_roles"),
        boundaries: applied.outputs.output("boundaries"),
        signing_public_key,
        trusted_key,
        publisher_role: applied.outputs.output("publisher_role").as_str().map(str::to_owned),
        ..report
    };
    let text = text(&report);
    CommandOutput::new(&report, text)
}

fn text(report: &Report) -> String {
    let account = &report.account;
    let mut text = if report.changes.is_empty() {
        format!("The account {account} is up to date: no changes.\n")
    } else {
        let adopted = match report.adopted.len() {
            0 => String::new(),
            count => format!(", of them {count} adopted"),
        };
        let changes = format::plural(report.changes.len(), "change");
        format!("The account {account} is prepared: {changes}{adopted}.\n")
    };
    for file in &report.files {
        let verb = if file.written { "now has" } else { "needs (--write writes it)" };
        text.push_str(&format!("\n{} {verb}:\n\n{}", file.file, file.toml()));
    }
    let (boundaries, roles) = (entries(&report.boundaries), entries(&report.function_roles));
    if !boundaries.is_empty() || !roles.is_empty() {
        text.push_str(
            "\nFor stacks with these variables, in terraform/environments/<environment>/<stack>.tfvars:\n\n",
        );
    }
    for (environment, arn) in boundaries {
        text.push_str(&format!("permissions_boundary_arn = \"{arn}\"   # {environment}\n"));
    }
    for (name, arn) in roles {
        let (environment, role) = name.split_once('/').unwrap_or(("", name));
        text.push_str(&format!("function_role_arn = \"{arn}\"   # {environment}, for `{role}`\n"));
    }
    if let Some(role) = &report.publisher_role {
        text.push_str(&format!("\nReleases are published and signed by {role}.\n"));
    } else if report.trusted_key.is_some() {
        text.push_str(&format!(
            "\nNobody may publish and sign yet: name who may in terraform/bootstrap/{account}.tfvars, as in publisher = {{ github_environment = \"release\" }}.\n"
        ));
    }
    if let Some(key) = &report.trusted_key {
        text.push_str(&key.text());
    }
    text
}

/// Returns the members of a map that are texts.
fn entries(map: &serde_json::Value) -> Vec<(&str, &str)> {
    let members = map.as_object().into_iter().flatten();
    members.filter_map(|(name, value)| Some((name.as_str(), value.as_str()?))).collect()
}
