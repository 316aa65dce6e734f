//! `bootstrap`: prepare an account as its administrator, once; any later run changes only what differs.
//!
//! First, by AWS's own API, the bucket that Terraform's first state needs and the lock tables; then Terraform in
//! terraform/bootstrap; then what the project's files have to say of it. What exists already is adopted.

use schemars::JsonSchema;
use serde::Serialize;

use super::Answer;
use crate::app::{AdminAccount, AppContext};
use crate::bootstrap::{self, FileEdits, Wanted};
use crate::failure::{self, Failure, Result};
use crate::format;
use crate::name::EnvironmentName;
use crate::plan::Infrastructure as _;
use crate::plan::{self, AccountPreparation, Applied, Change, Configuration, LockRequest, Planned, WorkLock};
use crate::tools::terraform::Terraform;

/// Arguments of `bootstrap`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The environment whose account is prepared, with all that live there.
    #[arg(long, short, required_unless_present = "store", conflicts_with = "store")]
    env: Option<EnvironmentName>,
    /// Prepare the artifact store's account, where no environment lives in it.
    #[arg(long)]
    store: bool,
    /// Write what the project's files have to say into them.
    #[arg(long)]
    write: bool,
    /// Put the account's own state away into the environment's bucket, where the next run finds it.
    #[arg(long, conflicts_with_all = ["write", "store"])]
    archive: bool,
    /// Print what the deployment roles may do, as it is applied, and change nothing.
    #[arg(long, conflicts_with_all = ["write", "archive"])]
    policies: bool,
}

/// What preparing an account came to.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// 12 digits.
    pub(crate) account: String,
    /// The bucket of the account's own state, which no Terraform makes.
    pub(crate) bucket: String,
    /// What was made before Terraform.
    pub(crate) made: Vec<String>,
    /// Where the state was brought back from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) restored: Option<String>,
    /// Where the state was put away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) archived: Option<String>,
    /// Addresses of what existed and was adopted.
    pub(crate) adopted: Vec<String>,
    /// What Terraform changed.
    pub(crate) changes: Vec<Change>,
    /// What the project's files have to say and do not.
    pub(crate) files: Vec<FileEdits>,
    /// Roles that stacks take as `function_role_arn`, by <environment>/<role>.
    pub(crate) function_roles: serde_json::Value,
    /// Boundary of every role that a stack makes, by environment.
    pub(crate) boundaries: serde_json::Value,
    /// The public half of the signing key as PEM, where this account holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) signing_public_key: Option<String>,
    /// Policies of the deployment roles, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) policies: Option<serde_json::Value>,
}

/// An account at work: its work folder held, Terraform at hand.
struct EnvironmentStack<'a> {
    app: &'a AppContext,
    wanted: &'a Wanted,
    ground: &'a AdminAccount,
    terraform: Terraform,
    lock: WorkLock,
}

/// Runs the command.
pub(crate) async fn run(app: &AppContext, arguments: Arguments) -> Result<Answer> {
    let wanted = Wanted::of(&app.project, arguments.env.as_ref())?;
    let ground = app.ground(&wanted).await?;
    let mut report =
        Report { account: wanted.account.clone(), bucket: wanted.minimal_bucket(), ..Report::default() };
    let environment_stack = EnvironmentStack::open(app, &wanted, &ground).await?;
    if arguments.archive {
        let environment = arguments.env.as_ref().and_then(|name| wanted.environments.get(name));
        let cloud = environment.ok_or_else(|| Failure::defect("an environment without an account"))?;
        let place = ground.archive(&cloud.state_bucket).await?;
        let text = format!(
            "The state of {} is put away: {place}. The next cargo xtask bootstrap brings it back.\n",
            wanted.account
        );
        report.archived = Some(place);
        return Answer::new(&report, text);
    }
    if arguments.policies {
        let applied = environment_stack.terraform.outputs(&environment_stack.configuration(&[])?).await?;
        let policies = value(&applied, "policies");
        if policies.is_null() {
            return Err(Failure::failed(format!("the account {} has no deployment roles", wanted.account))
                .hint(format!("say who may deploy in terraform/bootstrap/{}.tfvars (`ci`), then cargo xtask bootstrap: docs/how-to/first-account.md", wanted.account)));
        }
        let text = bootstrap::policies_text(&policies)?;
        report.policies = Some(policies);
        return Answer::new(&report, text);
    }
    let prepared = ground.prepare(&wanted).await?;
    prepared.made.iter().for_each(|made| app.progress.note(format!("made the {made}")));
    if let Some(place) = &prepared.restored {
        app.progress.note(format!("brought the account's state back from {place}"));
    }
    report.made = prepared.made;
    report.restored = prepared.restored;
    let applied = environment_stack.apply(&mut report).await?;
    report.function_roles = value(&applied, "function_roles");
    report.boundaries = value(&applied, "boundaries");
    report.signing_public_key = value(&applied, "signing_public_key").as_str().map(str::to_owned);
    report.files = bootstrap::edits(&wanted, &applied, |file| {
        let path = app.project.root.join(file);
        std::fs::read_to_string(&path).map_err(|error| failure::io("read", &path, error))
    })?;
    if arguments.write {
        for file in &mut report.files {
            let path = app.project.root.join(&file.file);
            std::fs::write(&path, &file.text).map_err(|error| failure::io("write", &path, error))?;
            file.written = true;
        }
    }
    let text = text(&wanted, &report);
    Answer::new(&report, text)
}

impl<'a> EnvironmentStack<'a> {
    async fn open(app: &'a AppContext, wanted: &'a Wanted, ground: &'a AdminAccount) -> Result<Self> {
        let by = app.process_env.actor();
        let request = LockRequest {
            work: &work(app, wanted),
            subject: format!("the account {}", wanted.account),
            by: &by,
            timeout: app.options.lock_timeout,
            progress: &app.progress,
            interrupt: &app.interrupt,
        };
        let lock = WorkLock::take(request).await?;
        Ok(Self { app, wanted, ground, terraform: app.terraform(), lock })
    }

    fn configuration(&self, adopted: &[(String, String)]) -> Result<Configuration> {
        let root = &self.app.project.root;
        plan::prepare_account(AccountPreparation {
            root,
            work: work(self.app, self.wanted),
            label: &self.wanted.label,
            backend: &self.ground.backend,
            values: self.wanted.values(),
            adopted,
            variables: self.ground.variables.clone(),
            readonly_lock: self.app.process_env.ci()
                && root.join("terraform/bootstrap/.terraform.lock.hcl").is_file(),
            lock_timeout: self.app.options.lock_timeout,
            lock: &self.lock,
        })
    }

    /// Plans, adopts what exists, asks, applies.
    async fn apply(&self, report: &mut Report) -> Result<Applied> {
        let mut configuration = self.configuration(&[])?;
        let mut planned = self.terraform.plan(&configuration).await?;
        if planned.changes.iter().any(|change| change.action.adds()) {
            let values =
                self.terraform.values(&configuration, &planned).await.inspect_err(|_| forget(&planned))?;
            let candidates = bootstrap::candidates(&values, &self.wanted.account);
            let existing = self.ground.existing(&candidates).await.inspect_err(|_| forget(&planned))?;
            if !existing.is_empty() {
                forget(&planned);
                configuration = self.configuration(&existing)?;
                planned = self.terraform.plan(&configuration).await?;
                report.adopted = existing.into_iter().map(|(address, _)| address).collect();
            }
        }
        if planned.is_empty() {
            forget(&planned);
            return self.terraform.outputs(&configuration).await;
        }
        let agreed = bootstrap::refuse_removal(&planned).and_then(|()| self.agree(&planned));
        agreed.inspect_err(|_| forget(&planned))?;
        let applied = self.terraform.apply(&configuration, &planned).await?;
        report.changes = planned.changes;
        Ok(applied)
    }

    fn agree(&self, planned: &Planned) -> Result<()> {
        self.app.progress.block(format!("\n{}", plan::changes_text(&planned.changes, true)));
        planned
            .warnings
            .iter()
            .for_each(|warning| self.app.progress.note(format!("          warning: {warning}")));
        let changes = format::plural(planned.changes.len(), "change");
        let question = format!("Apply {changes} to the account {}?", self.wanted.account);
        match self.app.approver().approve(&question) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Failure::refused("not approved").unchanged("Nothing was applied.")),
            Err(failure) => Err(failure.unchanged("Nothing was applied.")),
        }
    }
}

/// Removes a plan that is not applied: it holds values in the clear.
fn forget(planned: &Planned) {
    let _ = std::fs::remove_file(&planned.file);
}

fn work(app: &AppContext, wanted: &Wanted) -> std::path::PathBuf {
    app.project.work_folder().join("bootstrap").join(&wanted.account)
}

fn value(applied: &Applied, name: &str) -> serde_json::Value {
    applied.outputs.get(name).map(|output| output.value.clone()).unwrap_or_default()
}

fn text(wanted: &Wanted, report: &Report) -> String {
    let account = &wanted.account;
    let mut text = if report.changes.is_empty() {
        format!("The account {account} is as it should be: no changes.\n")
    } else {
        let adopted = match report.adopted.len() {
            0 => String::new(),
            count => format!(", of them {count} adopted"),
        };
        let changes = format::plural(report.changes.len(), "change");
        format!("The account {account} is prepared: {changes}{adopted}.\n")
    };
    for file in &report.files {
        let says = if file.written { "now says" } else { "has to say (--write does it)" };
        text.push_str(&format!("\n{} {says}:\n\n{}", file.file, file.toml()));
    }
    let (boundaries, roles) = (entries(&report.boundaries), entries(&report.function_roles));
    if !boundaries.is_empty() || !roles.is_empty() {
        text.push_str(
            "\nFor stacks that take them, in terraform/environments/<environment>/<stack>.tfvars:\n\n",
        );
    }
    for (environment, arn) in boundaries {
        text.push_str(&format!("permissions_boundary_arn = \"{arn}\"   # {environment}\n"));
    }
    for (name, arn) in roles {
        let (environment, role) = name.split_once('/').unwrap_or(("", name));
        text.push_str(&format!("function_role_arn = \"{arn}\"   # {environment}, for `{role}`\n"));
    }
    if let Some(key) = &report.signing_public_key {
        text.push_str(&format!(
            "\nThe signing key's public half, for a file that `trusted_keys` names:\n\n{}\n",
            key.trim()
        ));
    }
    text
}

/// Returns the texts of an output that is a map.
fn entries(map: &serde_json::Value) -> Vec<(&str, &str)> {
    let members = map.as_object().into_iter().flatten();
    members.filter_map(|(name, value)| Some((name.as_str(), value.as_str()?))).collect()
}
