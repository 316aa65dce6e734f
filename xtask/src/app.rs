//! The composition root: the only module that chooses the implementations of ports.

mod account;
mod bootstrap;
mod builders;
mod credentials;
mod identity;
mod ports;
mod registries;
mod role;
mod saved_plans;
mod signing;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use account::Account;
pub(crate) use registries::AnyRegistry;
pub(crate) use saved_plans::{Saved, refuse_long_life};

use crate::delivery::{
    self, DeployRequest, EnvironmentStack, Machine, PlanRules, StackCommit, StackDelivery,
};
use crate::failure::Result;
use crate::gates::Gates;
use crate::interrupt::Interrupt;
use crate::ledger::Holder;
use crate::name::{EnvironmentName, StackName};
use crate::output::{Console, RunLog, Verbosity};
use crate::ownership::ProjectIdentity;
use crate::plan::{self, PlanContext, ProviderLock, StackSources};
use crate::policy::Policy;
use crate::ports::{Approver, Clock};
use crate::progress::{Progress, Sink};
use crate::settings::{ProcessEnvironment, Project, StackSettings};
use crate::source::{self, Repository};
use crate::tools::cargo::RustBuilder;
use crate::tools::install::Tools;
use crate::tools::terraform::{Terraform, TerraformVariables};
use crate::tools::uv::Uv;

/// Options that every command has.
#[derive(Debug, Clone)]
pub(crate) struct GlobalOptions {
    /// How much is printed.
    pub(crate) verbosity: Verbosity,
    /// Whether all questions are answered with yes (`--yes`).
    pub(crate) yes: bool,
    /// How long to wait for locks.
    pub(crate) lock_timeout: Duration,
    /// Whether weaker trust settings than those of the last deployment are accepted (`--accept-weaker-trust`).
    pub(crate) accept_weaker_trust: bool,
    /// Whether a state that is not the one which the ledger knows is accepted (`--accept-state`).
    pub(crate) accept_state: bool,
    /// The addresses of what a plan may destroy (`--allow-destroy`).
    pub(crate) allow_destroy: Vec<String>,
}

/// Everything that a command works with.
pub(crate) struct AppContext {
    /// The project's settings.
    pub(crate) project: Project,
    /// Environment variables, working folder and terminal of this process.
    pub(crate) process_env: ProcessEnvironment,
    /// The terminal.
    pub(crate) console: Arc<Console>,
    /// Receives progress events.
    pub(crate) progress: Progress,
    /// Signals.
    pub(crate) interrupt: Interrupt,
    /// The time.
    pub(crate) clock: Arc<dyn Clock>,
    /// The folder of installed tools.
    pub(crate) tools: Tools,
    /// The options of the command.
    pub(crate) options: GlobalOptions,
    run: Option<Arc<RunLog>>,
}

impl AppContext {
    /// Opens the project that contains the working folder.
    pub(crate) fn open(
        process_env: ProcessEnvironment,
        console: Arc<Console>,
        options: GlobalOptions,
    ) -> Result<Self> {
        let project = Project::load(&process_env.folder)?;
        crate::tools::install::check_pins(&project.settings.tools)?;
        let interrupt = Interrupt::listen(process_env.grace()?)?;
        let progress = Progress::new(vec![console.clone() as Arc<dyn Sink>]);
        let clock = ports::clock(process_env.fixed_now()?);
        let folder = process_env
            .get("SLIPWAY_TOOLS")
            .map_or_else(|| project.work_folder().join("tools"), |folder| process_env.folder.join(folder));
        let tools = Tools::new(folder, interrupt.clone(), progress.clone());
        Ok(Self { project, process_env, console, progress, interrupt, clock, tools, options, run: None })
    }

    /// Begins to record this run in `target/slipway/runs/<id>/events.jsonl`.
    pub(crate) fn record(&mut self, command: &str) -> Result<()> {
        let run = Arc::new(RunLog::start(&self.project.work_folder(), std::process::id())?);
        self.progress.add(run.clone());
        self.progress = self.progress.scope(command);
        self.run = Some(run);
        Ok(())
    }

    /// Returns the folder for the output of this run's programs.
    pub(crate) fn logs(&self) -> PathBuf {
        self.run.as_ref().map_or_else(
            || self.project.work_folder().join("runs/unrecorded"),
            |run| run.folder().to_path_buf(),
        )
    }

    /// Opens the git repository.
    pub(crate) fn repository(&self) -> Result<Repository> {
        Repository::open(&self.project.root)
    }

    /// Returns what tells this project from others that use the same buckets or the same repository.
    pub(crate) fn identity(&self) -> ProjectIdentity {
        let (root, same_root) = (self.project.root.clone(), self.project.root.clone());
        let remote = self.repository().ok().and_then(|repository| repository.remote());
        ProjectIdentity::new(&self.project.settings.name, remote, move |commit| {
            Repository::open(&root).is_ok_and(|repository| repository.alone_has_commit(commit))
        })
        .alone_if(move || Repository::open(&same_root).is_ok_and(|repository| repository.has_one_project()))
    }

    /// Returns the Terraform program that the project names.
    pub(crate) fn terraform(&self) -> Terraform {
        Terraform::new(
            &self.project.settings.terraform,
            TerraformVariables::of(self.process_env.variables_with_prefix("")),
            &self.project.work_folder(),
            self.interrupt.clone(),
            self.progress.clone(),
        )
    }

    /// Returns the Rust builder.
    pub(crate) fn rust_builder(&self) -> RustBuilder {
        RustBuilder::new(self.tools.clone(), self.interrupt.clone(), self.progress.clone())
    }

    /// Returns uv.
    pub(crate) fn uv(&self) -> Uv {
        let variables = self.process_env.variables_with_prefix("UV_").map(|(name, _)| name);
        Uv::new(self.tools.clone(), self.interrupt.clone(), variables)
    }

    /// Returns deliveries to some stacks of an environment and to the stacks that use their outputs, in the order of their
    /// dependencies.
    pub(crate) fn stack_deliveries(
        &self,
        account: &Account,
        environment: &EnvironmentName,
        requests: BTreeMap<StackName, DeployRequest>,
    ) -> Result<Vec<StackDelivery>> {
        let stacks = self.project.stacks_in(environment)?;
        delivery::in_order(&stacks, requests)
            .into_iter()
            .map(|(stack, request)| {
                let stack = self.environment_stack(account, environment, &stack)?;
                Ok(StackDelivery { stack, request })
            })
            .collect()
    }

    /// Returns one stack in one environment, with everything that a delivery to it needs.
    pub(crate) fn environment_stack(
        &self,
        account: &Account,
        environment: &EnvironmentName,
        stack: &StackName,
    ) -> Result<EnvironmentStack> {
        let mut environment_settings = self.project.environment(environment)?.clone();
        let (commit, unknown_commit) =
            match self.stack_commit(stack, environment, &mut environment_settings.protected) {
                Ok(commit) => (Some(commit), None),
                Err(failure) => (None, Some(failure.to_string())),
            };
        if let Ok(repository) = self.repository() {
            environment_settings.promote_from =
                source::promoted_from(&repository, environment, &environment_settings)?;
        }
        let settings = self.project.stack_in(environment, stack)?;
        let work = self.stack_work(environment, stack);
        let plan = PlanContext {
            stack: stack.clone(),
            environment: environment.clone(),
            project: self.project.settings.name.clone(),
            work,
            backend: account.backend.clone(),
            variables: self.with_terraform_tuning(account.variables.clone()),
            provider_lock: match (environment_settings.protected, self.process_env.ci()) {
                (true, _) => ProviderLock::Required,
                (false, true) => ProviderLock::Kept,
                (false, false) => ProviderLock::Completed,
            },
            lock_timeout: self.options.lock_timeout,
        };
        let gates = self.gates(&settings);
        Ok(EnvironmentStack {
            gates,
            plan: Arc::new(plan),
            trust: self.trust(environment)?,
            environment_settings,
            settings,
            root: self.project.root.clone(),
            ledger: account.ledger(environment, stack),
            store: account.state.clone(),
            catalogue: account.catalogue.clone(),
            places: account.places.clone(),
            functions: account.functions.clone(),
            services: account.services.clone(),
            infrastructure: Arc::new(self.terraform()),
            approver: self.approver(),
            clock: self.clock.clone(),
            progress: self.progress.clone(),
            interrupt: self.interrupt.clone(),
            machine: Arc::new(Machine::look),
            holder: Holder::here(),
            by: self.process_env.actor(),
            caller: account.caller.clone(),
            run_url: self.process_env.run_url(),
            commit,
            unknown_commit,
            accept_weaker_trust: self.options.accept_weaker_trust,
            accept_state: self.options.accept_state,
            rules: self.plan_rules(environment)?,
            verbose: self.options.verbosity == Verbosity::Verbose,
        })
    }

    /// Returns what the plans of an environment have to keep.
    fn plan_rules(&self, environment: &EnvironmentName) -> Result<PlanRules> {
        let of_project = ("pipelines/project.toml".to_owned(), &self.project.settings.plan);
        let own = format!("terraform/environments/{environment}/environment.toml");
        let own = (own, &self.project.environment(environment)?.plan);
        let policies = [of_project, own]
            .into_iter()
            .filter_map(|(file, settings)| Some(Policy { file, settings: settings.clone()? }));
        Ok(PlanRules {
            allow_destroy: self.options.allow_destroy.clone(),
            policies: policies.collect(),
            approved: None,
        })
    }

    /// Returns the commands that decide whether new versions of a stack get traffic.
    fn gates(&self, settings: &StackSettings) -> Gates {
        let functions = settings.functions.iter().filter_map(|function| {
            let settings = self.project.functions.get(function)?;
            Some((function.clone(), settings.before_traffic.clone()))
        });
        Gates {
            functions: functions.collect(),
            stack: settings.before_traffic.clone(),
            search_path: self.process_env.get("PATH").unwrap_or_default().to_owned(),
        }
    }

    /// Returns the work folder of a stack in an environment.
    fn stack_work(&self, environment: &EnvironmentName, stack: &StackName) -> PathBuf {
        self.project.work_folder().join("terraform").join(environment.as_str()).join(stack.as_str())
    }

    /// Returns the states of a stack in an environment that Terraform could not save on this machine.
    pub(crate) fn unsaved_states(&self, environment: &EnvironmentName, stack: &StackName) -> Vec<PathBuf> {
        let own = self.project.root.join("terraform/stacks").join(stack.as_str());
        plan::unsaved_states(&[own, self.stack_work(environment, stack)])
    }

    /// Adds variables that make Terraform faster.
    fn with_terraform_tuning(&self, mut variables: Vec<(String, String)>) -> Vec<(String, String)> {
        if self.process_env.get("GOGC").is_none() {
            // Terraform and its provider run for seconds: less garbage collection saves a fifth of their CPU time.
            variables.push(("GOGC".to_owned(), "300".to_owned()));
        }
        variables
    }

    /// Returns the approver: `--yes`, the person at the terminal, or nobody.
    pub(crate) fn approver(&self) -> Arc<dyn Approver> {
        ports::approver(self.console.clone(), self.options.yes, self.process_env.interactive)
    }

    /// Returns the commit of a stack's files; files that cannot be read count as not committed. `protected` becomes true if the
    /// commit says so, whatever the work tree says.
    fn stack_commit(
        &self,
        stack: &StackName,
        environment: &EnvironmentName,
        protected: &mut bool,
    ) -> Result<StackCommit> {
        let repository = self.repository()?;
        let commit = repository.head()?.commit;
        let settings = self.project.environment(environment)?;
        // If the commit cannot be read, it may say that the environment is protected.
        let committed = source::is_protected(&repository, environment, settings);
        *protected = committed.as_ref().map_or(true, |protected| *protected);
        committed?;
        let files = self.project.stack_in(environment, stack)?.files;
        let sources = StackSources::read(&self.project.root, stack, environment, files.as_deref())?;
        let dirty = sources.uncommitted.is_some();
        let uncommitted = match *protected {
            true => source::uncommitted_settings(&repository, &self.project, environment, Some(stack))?,
            false => Vec::new(),
        };
        Ok(StackCommit { commit, dirty, uncommitted })
    }

    /// Refuses stacks whose files show, before anything is built, that they cannot be deployed to an environment.
    pub(crate) fn check_stack_files<'a>(
        &self,
        environment: &EnvironmentName,
        stacks: impl IntoIterator<Item = &'a StackName>,
    ) -> Result<()> {
        let environment_settings = self.project.environment(environment)?;
        for stack in stacks {
            if let Some(file) = self.unsaved_states(environment, stack).first() {
                let failure = plan::unsaved_of_stack(stack, environment, file);
                return Err(failure.unchanged("Nothing was changed."));
            }
            let settings = self.project.stack_in(environment, stack)?;
            self.gates(&settings).refuse_missing_programs(&self.project.root)?;
            let files = settings.files.as_deref();
            let sources = StackSources::read(&self.project.root, stack, environment, files)?;
            let runs_functions = !settings.functions.is_empty();
            delivery::check_stack_files(&sources, stack, environment, environment_settings, runs_functions)?;
        }
        Ok(())
    }
}
