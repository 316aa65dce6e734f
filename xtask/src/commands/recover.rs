//! `recover`: close what a dead run left open. Asks before it touches anything.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Answer;
use crate::app::AppContext;
use crate::delivery::{self, EnvironmentStack};
use crate::exec;
use crate::failure::{Failure, Result};
use crate::ledger::{self, Holder, Serving};
use crate::name::{EnvironmentName, FunctionName, StackName};
use crate::plan::{Configuration, Inputs};
use crate::rollout::{self, Evidence};
use crate::tools::terraform::{force_unlock, state_push};

/// Arguments of `recover`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The environment.
    #[arg(long, short)]
    env: EnvironmentName,
}

/// What was found and done.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// The environment.
    pub(crate) environment: EnvironmentName,
    /// One for each thing that was left open.
    pub(crate) findings: Vec<Finding>,
}

/// One thing that was left open.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Finding {
    /// The stack.
    pub(crate) stack: StackName,
    /// What was found.
    pub(crate) found: String,
    /// What was done about it.
    pub(crate) done: String,
}

/// What can be done about one thing.
enum Remedy {
    Close(Box<ledger::Started>),
    Unlock(String),
    Push(PathBuf),
    Point(Box<Serving>),
    None,
}

/// Terraform's lock file: <https://developer.hashicorp.com/terraform/language/backend/s3#state-locking>.
#[derive(Deserialize)]
struct LockFile {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Who")]
    who: String,
    #[serde(rename = "Operation")]
    operation: String,
    #[serde(rename = "Created")]
    created: String,
}

/// Runs the command.
pub(crate) async fn run(app: &AppContext, arguments: Arguments) -> Result<Answer> {
    app.project.environment(&arguments.env)?;
    let mut findings = Vec::new();
    let mut refused = None;
    if let Some(account) = app.account_if_there(&arguments.env).await? {
        for stack in app.project.stacks_in(&arguments.env)?.keys() {
            let environment_stack = app.environment_stack(&account, &arguments.env, stack)?;
            for (found, remedy) in look(&environment_stack).await? {
                let done = if matches!(remedy, Remedy::None) {
                    "left alone".to_owned()
                } else {
                    app.progress.note(format!("recover   {found}"));
                    match environment_stack.approver.approve(question(&remedy)) {
                        Ok(true) => apply(app, &environment_stack, remedy).await?,
                        Ok(false) => "left as it is".to_owned(),
                        Err(failure) => {
                            refused.get_or_insert(failure.unchanged("Nothing was changed."));
                            "left as it is".to_owned()
                        }
                    }
                };
                findings.push(Finding { stack: stack.clone(), found, done });
            }
        }
    }
    let mut text = String::new();
    for finding in &findings {
        text.push_str(&format!("{}: {}\n  {}\n", finding.stack, finding.found, finding.done));
    }
    if findings.is_empty() {
        text = format!("Nothing is left open in {}.\n", arguments.env);
    }
    Ok(Answer::new(&Report { environment: arguments.env, findings }, text)?.with_failure(refused))
}

async fn look(environment_stack: &EnvironmentStack) -> Result<Vec<(String, Remedy)>> {
    let mut found = Vec::new();
    let head = environment_stack.ledger.head().await?;
    if let Some(open) = head.open {
        let what = format!(
            "deployment {} ({}) by {} since {} has no end",
            open.deployment,
            open.describe(),
            open.by,
            open.at
        );
        if ledger::is_alive(
            &open,
            &Holder::here(),
            &environment_stack.ledger.lease(),
            environment_stack.clock.as_ref(),
        )
        .await?
        {
            found.push((format!("{what}, and its process still works"), Remedy::None));
        } else {
            found.push((format!("{what}, and its process is gone"), Remedy::Close(Box::new(open))));
        }
    }
    let key = format!("{}.tfstate.tflock", environment_stack.name());
    if let Some(stored) = environment_stack.store.get(&key).await?
        && let Ok(lock) = serde_json::from_slice::<LockFile>(&stored.bytes)
    {
        found.push((
            format!(
                "the state is locked by {} ({}) since {}, lock {}",
                lock.who, lock.operation, lock.created, lock.id
            ),
            Remedy::Unlock(lock.id),
        ));
    }
    for path in unsaved_states(environment_stack) {
        found.push((
            format!("a state that could not be saved lies in {}", path.display()),
            Remedy::Push(path),
        ));
    }
    for (function, serving) in head.last.iter().flat_map(|last| &last.serves) {
        if let Some(points_to) = moved(environment_stack, serving).await? {
            found.push((told(function, serving, &points_to), Remedy::Point(Box::new(serving.clone()))));
        }
    }
    Ok(found)
}

fn told(function: &FunctionName, serving: &Serving, points_to: &str) -> String {
    format!(
        "the alias `{}` of {function} points to {points_to}, the ledger says {} ({})",
        serving.alias, serving.lambda_version, serving.release
    )
}

async fn moved(environment_stack: &EnvironmentStack, serving: &Serving) -> Result<Option<String>> {
    let alias = environment_stack.functions.alias(&serving.function_name, &serving.alias).await?;
    Ok(match alias {
        Some(alias) if serving.matches(Some(&alias)) => None,
        Some(alias) => Some(alias.version),
        None => None,
    })
}

/// Finds `errored.tfstate` where Terraform ran: in the stack's folder, or in an unpacked configuration.
fn unsaved_states(environment_stack: &EnvironmentStack) -> Vec<PathBuf> {
    let stack = PathBuf::from("terraform/stacks").join(environment_stack.name().as_str());
    let unpacked = environment_stack
        .plan
        .work
        .join("configurations")
        .read_dir()
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    std::iter::once(environment_stack.root.clone())
        .chain(unpacked)
        .map(|root| root.join(&stack).join("errored.tfstate"))
        .filter(|path| path.is_file())
        .collect()
}

fn question(remedy: &Remedy) -> &'static str {
    match remedy {
        Remedy::Close(_) => "Compare the aliases with both of its sides and close it?",
        Remedy::Unlock(_) => "Give up that lock? Only if that run is dead: two applies at once lose a state.",
        Remedy::Push(_) => "Save that state now?",
        Remedy::Point(_) => "Move the alias back to what the ledger says?",
        Remedy::None => "",
    }
}

/// Prepares the stack's work folder for one of Terraform's rarer verbs, which need no release.
async fn ready(app: &AppContext, environment_stack: &EnvironmentStack) -> Result<Configuration> {
    let lock = environment_stack.lock_work().await?;
    let configuration =
        environment_stack.configure(&lock, &environment_stack.root, &BTreeMap::new(), Inputs::new())?;
    app.terraform().ready(&configuration).await
}

async fn apply(app: &AppContext, environment_stack: &EnvironmentStack, remedy: Remedy) -> Result<String> {
    let program = &app.project.settings.terraform;
    match remedy {
        Remedy::Close(open) => {
            let last = environment_stack.ledger.head().await?.last;
            let ended = delivery::close_cut_off(environment_stack, &open, last.as_ref()).await?;
            let serves: Vec<String> = ended
                .serves
                .iter()
                .map(|(function, serving)| format!("{function} {}", serving.release))
                .collect();
            Ok(format!(
                "closed: it serves {}",
                if serves.is_empty() { "nothing".into() } else { crate::format::list(serves) }
            ))
        }
        Remedy::Unlock(id) => {
            let configuration = ready(app, environment_stack).await?;
            exec::capture(&force_unlock(program, &configuration, &id), &app.interrupt).await?;
            Ok("unlocked".into())
        }
        Remedy::Push(path) => {
            let configuration = ready(app, environment_stack).await?;
            exec::capture(&state_push(program, &configuration, &path), &app.interrupt).await?;
            let kept = path.with_extension(format!("tfstate.pushed-{}", jiff::Timestamp::now().as_second()));
            std::fs::rename(&path, &kept).map_err(|error| crate::failure::io("rename", &path, error))?;
            Ok(format!("saved; the file is kept as {}", kept.display()))
        }
        Remedy::Point(serving) => {
            let moved = rollout::point(
                &environment_stack.functions,
                &serving.function_name,
                &serving.alias,
                &serving.lambda_version,
                Evidence::Served(&serving),
            )
            .await?;
            Ok(format!("moved from {} to {}", moved.from, moved.to))
        }
        Remedy::None => Err(Failure::defect("nothing to apply")),
    }
}
