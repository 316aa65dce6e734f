//! Runs Terraform: builds command lines, turns its JSON stream into events and its errors into failures.
//!
//! Its output goes to files that are followed: if Slipway is killed, Terraform still finishes, saves its state and releases
//! its lock. The next run on that stack waits for it.

mod commands;
mod errors;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod providers;
mod stream;
mod variables;
mod version;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;

use self::errors::explain;
use self::stream::TerraformReport;
pub(crate) use self::variables::TerraformVariables;
use crate::digest::Digest;
use crate::exec::{self, OnSignal, OutputTarget, Program, ProgramResult, RunOptions, Stream};
use crate::failure::{self, Failure, FailureKind, Result};
use crate::interrupt::Interrupt;
use crate::plan::{Applied, Configuration, Planned, ProviderLock, SavedPlan, keep_unsaved, refuse_unsaved};
use crate::progress::{Progress, Step, Unit};

/// Held during init: Terraform does not support two in one `TF_PLUGIN_CACHE_DIR` at the same time.
static INIT_LOCK: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// How many times a run is started that finds a lock without a holder, and the pause between.
const LOCK_ATTEMPTS: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(300);

/// Terraform, as the project names it.
#[derive(Clone)]
pub(crate) struct Terraform {
    program: String,
    interrupt: Interrupt,
    progress: Progress,
    /// The variables of this process that Terraform reads.
    variables: TerraformVariables,
    /// The file that caches the version by the program's file.
    cache: PathBuf,
}

impl Terraform {
    /// Uses Terraform from the PATH, or the path that the project names.
    pub(crate) fn new(
        program: &str,
        variables: TerraformVariables,
        work: &Path,
        interrupt: Interrupt,
        progress: Progress,
    ) -> Self {
        Self {
            program: program.to_owned(),
            interrupt,
            progress,
            variables,
            cache: work.join("terraform/version.txt"),
        }
    }

    /// Initialises a configuration's data folder: modules, provider, backend. Skipped while its inputs are unchanged.
    async fn init(&self, configuration: &Configuration) -> Result<()> {
        let inputs = self.init_inputs(configuration).await?;
        let mark = configuration.context.work.join("init.done");
        if std::fs::read_to_string(&mark).is_ok_and(|done| done == inputs)
            && configuration.context.work.join("data").is_dir()
        {
            return Ok(());
        }
        let _turn = INIT_LOCK.lock().await;
        // Removed first: an init that is cut off must not count as done.
        let _ = std::fs::remove_file(&mark);
        let step = self.progress.step(
            "init",
            format!("{} in {}", configuration.context.stack, configuration.context.environment),
        );
        let program = commands::init(self.base(configuration), configuration);
        let ended = self
            .run(configuration, &program, "init", OnSignal::Forward, &step, &mut TerraformReport::default())
            .await?;
        if !ended.success() {
            step.failed("failed");
            return Err(explain(&program, &ended, &TerraformReport::default(), configuration));
        }
        step.done("ready");
        self.write_lock_back(configuration)?;
        // init may have completed the lock file, which is one of its inputs.
        let inputs = self.init_inputs(configuration).await?;
        std::fs::write(&mark, inputs).map_err(|error| failure::io("write", &mark, error))
    }

    /// Writes the lock file, where `init` changed it, into the stack's own folder.
    fn write_lock_back(&self, configuration: &Configuration) -> Result<()> {
        let sources = &configuration.sources;
        let path = sources.lock_path();
        let (Some(project), Some(lock)) = (&configuration.project, configuration.lock_file()) else {
            return Ok(());
        };
        if sources.lock_ignored || sources.files.get(&path).is_some_and(|file| file.content == lock) {
            return Ok(());
        }
        if configuration.context.provider_lock != ProviderLock::Completed {
            self.progress.note(format!(
                "          {path} does not exist: commit one, so that every run uses the same providers"
            ));
            return Ok(());
        }
        let file = project.join(&path);
        std::fs::write(&file, lock).map_err(|error| failure::io("write", &file, error))?;
        self.progress.note(format!("          init changed {path}: commit it"));
        Ok(())
    }

    /// Returns the digest of everything that init depends on.
    async fn init_inputs(&self, configuration: &Configuration) -> Result<String> {
        let mut digest = crate::digest::DigestBuilder::new("slipway.init/2");
        let lock = configuration.sources.lock_path();
        for (path, file) in &configuration.sources.files {
            let is_read = path.ends_with(".tf") || path.ends_with(".hcl") || path.ends_with(".tf.json");
            if is_read && *path != lock {
                digest.part(path, &file.content);
            }
        }
        digest.part("lock", configuration.lock_file().unwrap_or_default());
        digest.part("backend", std::fs::read(&configuration.backend_file).unwrap_or_default());
        digest.part("terraform", self.version_in(&configuration.folder).await?);
        for (name, value) in self.variables.identity(configuration) {
            digest.part(&name, value);
        }
        let digest: Digest = digest.finish();
        Ok(digest.hex())
    }

    /// Returns the part that all of a configuration's command lines have in common.
    fn base(&self, configuration: &Configuration) -> Program {
        commands::base(&self.program, configuration, &self.variables.removed(configuration))
    }

    async fn run(
        &self,
        configuration: &Configuration,
        program: &Program,
        verb: &str,
        on_signal: OnSignal,
        step: &Step,
        report: &mut TerraformReport,
    ) -> Result<ProgramResult> {
        let (out, err) = (
            configuration.context.work.join(format!("{verb}.out")),
            configuration.context.work.join(format!("{verb}.err")),
        );
        let stdin = Some(configuration.lock.file());
        let give_up = Arc::new(Notify::new());
        let options = RunOptions {
            output: OutputTarget::Files { out, err },
            time_limit: None,
            on_signal,
            give_up: Some(give_up.clone()),
            stdin,
        };
        let ended = exec::run(
            &program.clone().hint(self.missing_hint()),
            &options,
            &self.interrupt,
            &mut |stream, line| match stream {
                Stream::Out => {
                    report.line(line, step, &self.progress);
                    if report.hanging.is_some() {
                        give_up.notify_one();
                    }
                }
                Stream::Err => step.line(line),
            },
        )
        .await;
        // Also after a failure to follow it: where the file lies, everybody can read it.
        keep_unsaved(configuration)?;
        ended
    }

    /// Runs a planning command line and reads its result.
    async fn planned(
        &self,
        configuration: &Configuration,
        program: Program,
        file: SavedPlan,
    ) -> Result<Planned> {
        refuse_unsaved(&configuration.context, &[])?;
        self.variables.refuse_values(configuration)?;
        self.init(configuration).await?;
        configuration.refuse_chosen_providers()?;
        let step = self.progress.slow_step(
            "plan",
            format!("{} in {}", configuration.context.stack, configuration.context.environment),
        );
        let (ended, report) =
            self.run_locked(configuration, &program, "plan", OnSignal::Forward, &step).await?;
        match ended.code {
            Some(0 | 2) if !ended.interrupted => {}
            _ => {
                step.failed("failed");
                let failure = explain(&program, &ended, &report, configuration);
                return Err(match ended.code {
                    None => after_death(failure, configuration).unchanged("No resource was changed."),
                    Some(_) => failure.unchanged("Nothing was changed."),
                });
            }
        }
        let planned = Planned {
            changes: report.changes,
            drift: report.drift,
            outputs_change: ended.code == Some(2) && report.outputs_change,
            file,
            warnings: report.warnings,
        };
        step.done(planned.summary());
        Ok(planned)
    }

    /// Runs a verb that takes the state's lock; runs it again if the lock was released in that moment.
    ///
    /// Terraform waits (`-lock-timeout`) only for a lock whose holder it can read. If the lock is released between the
    /// attempt and reading its holder, Terraform fails at once without having changed anything.
    async fn run_locked(
        &self,
        configuration: &Configuration,
        program: &Program,
        verb: &str,
        on_signal: OnSignal,
        step: &Step,
    ) -> Result<(ProgramResult, TerraformReport)> {
        let mut attempts = 1;
        loop {
            let mut report = TerraformReport::default();
            let ended = self.run(configuration, program, verb, on_signal, step, &mut report).await?;
            if ended.success()
                || ended.interrupted
                || attempts == LOCK_ATTEMPTS
                || !errors::lock_was_gone(&ended, &report)
            {
                return Ok((ended, report));
            }
            attempts += 1;
            tokio::time::sleep(LOCK_PAUSE).await;
            self.interrupt.check()?;
        }
    }

    fn missing(&self) -> Failure {
        Failure::failed(format!("the program `{}` was not found", self.program)).hint(self.missing_hint())
    }

    fn missing_hint(&self) -> String {
        "install Terraform 1.10 or newer (https://developer.hashicorp.com/terraform/install), or name it with `terraform = \"/path/to/terraform\"` in pipelines/project.toml".to_owned()
    }
}

#[async_trait]
impl crate::plan::Infrastructure for Terraform {
    async fn identity(&self, configuration: &Configuration) -> Result<Vec<(String, String)>> {
        self.variables.refuse_values(configuration)?;
        let version = self.version_in(&configuration.folder).await?;
        let settings = self.variables.identity(configuration);
        Ok(std::iter::once(("terraform".to_owned(), version)).chain(settings).collect())
    }

    async fn plan(&self, configuration: &Configuration) -> Result<Planned> {
        let file = SavedPlan::create(&configuration.context.work)?;
        let program = commands::plan(self.base(configuration), configuration, file.path());
        self.planned(configuration, program, file).await
    }

    async fn values(&self, configuration: &Configuration, planned: &Planned) -> Result<serde_json::Value> {
        let program = commands::show(self.base(configuration), planned.file.path());
        let text = exec::capture(&program.hint(self.missing_hint()), &self.interrupt).await?;
        serde_json::from_str(&text)
            .map_err(|error| Failure::failed("terraform show did not print JSON").caused_by(error))
    }

    async fn open_saved(
        &self,
        configuration: &Configuration,
        planned: &Planned,
    ) -> Result<serde_json::Value> {
        refuse_unsaved(&configuration.context, &[])?;
        self.init(configuration).await?;
        self.values(configuration, planned).await
    }

    async fn plan_destroy(&self, configuration: &Configuration) -> Result<Planned> {
        let file = SavedPlan::create(&configuration.context.work)?;
        let program = commands::plan_destroy(self.base(configuration), configuration, file.path());
        self.planned(configuration, program, file).await
    }

    async fn apply(&self, configuration: &Configuration, planned: &Planned) -> Result<Applied> {
        refuse_unsaved(&configuration.context, &[])?;
        let title = format!("{} in {}", configuration.context.stack, configuration.context.environment);
        let total = planned.changes.len() as u64;
        let step = self.progress.counted_step("apply", title, total.max(1), Unit::Items);
        let program = commands::apply(self.base(configuration), configuration, planned.file.path());
        let (ended, report) =
            self.run_locked(configuration, &program, "apply", OnSignal::Finish, &step).await?;
        planned.file.delete();
        if !ended.success() {
            step.failed("failed");
            let failure = explain(&program, &ended, &report, configuration);
            if ended.code.is_none() && failure.kind() != FailureKind::StateNotSaved {
                return Err(after_death(failure, configuration)
                    .unchanged("How far it came was not read: the state may lack what it changed last."));
            }
            if let (Some(address), FailureKind::Failed) = (&report.hanging, failure.kind()) {
                return Err(given_up(address, failure, configuration));
            }
            if failure.kind() != FailureKind::Failed || failure.report().unchanged.is_some() {
                return Err(failure);
            }
            let failure = failure.unchanged("What was done before that is in the state.");
            if !configuration.context.is_account() && errors::name_is_taken(&report) {
                let environment = &configuration.context.environment;
                return Err(failure.hint(format!(
                    "cargo xtask recover --env {environment} shows what exists and is not in the state, as after an apply that was cut off, and imports it; what does not belong to this stack needs another name"
                )));
            }
            return Err(failure
                .hint("repair the cause and run the same command again: it continues with what is missing"));
        }
        step.done("applied");
        Ok(Applied { outputs: report.outputs })
    }

    async fn outputs(&self, configuration: &Configuration) -> Result<Applied> {
        self.init(configuration).await?;
        let program = commands::output(self.base(configuration));
        let text = exec::capture(&program.hint(self.missing_hint()), &self.interrupt).await?;
        let outputs = serde_json::from_str(&text)
            .map_err(|error| Failure::failed("terraform output did not print JSON").caused_by(error))?;
        Ok(Applied { outputs })
    }

    async fn unlock(&self, configuration: &Configuration, lock: &str) -> Result<()> {
        self.init(configuration).await?;
        let program = commands::force_unlock(self.base(configuration), lock);
        exec::capture(&program.hint(self.missing_hint()), &self.interrupt).await.map(drop)
    }

    async fn import(&self, configuration: &Configuration, address: &str, id: &str) -> Result<()> {
        refuse_unsaved(&configuration.context, &[])?;
        self.init(configuration).await?;
        let program = commands::import(self.base(configuration), configuration, address, id);
        let step = self.progress.slow_step("import", address.to_owned());
        let imported = exec::capture(&program.hint(self.missing_hint()), &self.interrupt).await;
        // As after every run: a state that it could not save is in the folder that it ran in.
        keep_unsaved(configuration)?;
        match imported {
            Ok(_) => step.done(id),
            Err(failure) => {
                step.failed("failed");
                return Err(failure);
            }
        }
        Ok(())
    }

    async fn push_state(&self, configuration: &Configuration, file: &Path) -> Result<()> {
        self.init(configuration).await?;
        let program = commands::state_push(self.base(configuration), configuration, file);
        exec::capture(&program.hint(self.missing_hint()), &self.interrupt).await.map(drop)
    }
}

/// Returns the failure of an apply that was given up because a function was being created for too long.
fn given_up(address: &str, failure: Failure, configuration: &Configuration) -> Failure {
    let (stack, environment) = (&configuration.context.stack, &configuration.context.environment);
    let given_up = Failure::failed(format!(
        "the apply of `{stack}` in {environment} was given up: {address} was being created for too long"
    ))
    .detail("terraform", failure.message().to_owned())
    .unchanged("What was done before that is in the state. The function may exist, and not be in it: the provider then waits for its own name.");
    after_death(given_up, configuration)
}

/// Returns the failure of a Terraform that a signal killed, with what there is to do: it could neither save its state nor
/// release its lock.
fn after_death(failure: Failure, configuration: &Configuration) -> Failure {
    if configuration.context.is_account() {
        return failure.hint("run the same command again: it adopts what exists and is not in the state");
    }
    let environment = &configuration.context.environment;
    failure.hint(format!(
        "cargo xtask recover --env {environment} finds a lock that it left, and what exists and is not in the state; then run the same command again"
    ))
}

#[cfg(test)]
mod tests;
