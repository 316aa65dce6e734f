//! The command line: parses arguments, runs a command, prints its answer, returns the exit code.

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, CommandFactory as _, Parser, Subcommand};

use crate::app::{AppContext, GlobalOptions};
use crate::commands::{self, CommandOutput};
use crate::emulator::GATEWAY_COMMAND;
use crate::failure::{self, EXIT_CODES, Failure, FailureKind, Result};
use crate::output::{self, Console, OutputFormat, Verbosity, html, markdown};
use crate::settings::{ProcessEnvironment, parse_duration};

/// The variables that name files for the values that a step hands on: GitHub's, and one for other CI systems.
const STEP_OUTPUT_FILES: [&str; 2] = ["GITHUB_OUTPUT", "SLIPWAY_OUTPUT"];

/// Releases AWS Lambda functions through Terraform: built once, deployed anywhere, rolled back at once.
#[derive(Debug, Parser)]
#[command(name = "xtask", bin_name = "cargo xtask", version, about, disable_help_subcommand = true, after_help = exit_codes(), max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) global: GlobalArguments,
}

/// Options of all commands.
#[derive(Debug, Args)]
pub(crate) struct GlobalArguments {
    /// Print one JSON document on stdout instead of text.
    #[arg(long, global = true, value_enum, default_value_t = OutputFormat::Text, value_name = "FORMAT")]
    pub(crate) output: OutputFormat,
    /// Answer every question with yes.
    #[arg(long, short = 'y', global = true)]
    pub(crate) yes: bool,
    /// Show every line of every program, and every call.
    #[arg(long, short = 'v', global = true, conflicts_with = "quiet")]
    pub(crate) verbose: bool,
    /// Show errors and the requested data, no progress.
    #[arg(long, short = 'q', global = true)]
    pub(crate) quiet: bool,
    /// How long to wait for locks that somebody else holds, such as 10m.
    #[arg(long, global = true, value_parser = parse_duration, default_value = "0s", value_name = "TIME")]
    pub(crate) lock_timeout: Duration,
    /// Deploy although the environment trusts more than at its last deployment; the ledger records it.
    #[arg(long, global = true)]
    pub(crate) accept_weaker_trust: bool,
    /// Go on with a state that is not the one which the ledger's last deployment left.
    #[arg(long, global = true)]
    pub(crate) accept_state: bool,
    /// Let a plan delete, replace or forget this address, although it is protected or holds data; may be repeated.
    #[arg(long, global = true, value_name = "ADDRESS")]
    pub(crate) allow_destroy: Vec<String>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Build, check, version and publish what changed; with --env, deploy it there.
    Release(commands::release::Arguments),
    /// Deploy an existing release. Never builds.
    Deploy(commands::deploy::Arguments),
    /// Bring to an environment what serves verified in the one before it. Never builds.
    Promote(commands::promote::Arguments),
    /// List what an environment serves that the next one lacks: releases, commits, authors.
    Notes(commands::notes::Arguments),
    /// Return an environment to what served before: traffic first, then Terraform. Never builds.
    Rollback(commands::rollback::Arguments),
    /// Remove what stacks created in an environment; never the bootstrap.
    Destroy(commands::destroy::Arguments),
    /// Remove Terraform's local files, which the next run creates again.
    Clean(commands::clean::Arguments),
    /// Prepare an account, once, as its administrator: state, artifact store, registries, signing key, roles.
    Bootstrap(commands::bootstrap::Arguments),
    /// Show what deploying would change, and change nothing.
    Plan(commands::plan::Arguments),
    /// Show what differs from the newest deployments: resources, aliases, event sources. Changes nothing.
    Drift(commands::drift::Arguments),
    /// Show what runs where, and whether it matches the ledger.
    Status(commands::status::Arguments),
    /// List, and with --apply remove, old Lambda versions, zips, images and saved plans that nothing needs.
    Prune(commands::prune::Arguments),
    /// List an environment's deployments, newest first.
    History(commands::history::Arguments),
    /// List a function's releases, newest first.
    Releases(commands::releases::Arguments),
    /// Verify again what serves, at the URLs that users call; --full runs the functions' own suites.
    Verify(commands::verify::Arguments),
    /// Send a request to a function's URL or HTTP API, signed if that requires a signature.
    Call(commands::call::Arguments),
    /// Check a release: its bytes, its SBOM, its signature. Changes nothing.
    VerifyRelease(commands::verify_release::Arguments),
    /// Keep a Sigstore bundle, such as GitHub's build attestation, beside the artifacts that it is about.
    AttachBundle(commands::attach_bundle::Arguments),
    /// Prove or refute what every function runs: bytes, commit, workflow, who deployed it, when it was verified.
    Audit(commands::audit::Arguments),
    /// Create keys that sign releases.
    Key(commands::key::Arguments),
    /// Print the outputs of an environment's stacks.
    Output(commands::output::Arguments),
    /// Build functions and print their digests; publish nothing.
    Build(commands::build::Arguments),
    /// List what a function's build depends on, and why.
    Inputs(commands::inputs::Arguments),
    /// Show why two versions, or a version and the work tree, differ.
    Explain(commands::explain::Arguments),
    /// Build a release again from its commit, and compare the bytes.
    Rebuild(commands::rebuild::Arguments),
    /// Say what a CI system has to run for a change
    Ci(commands::ci::Arguments),
    /// Pin a Python function's packages, with hashes, from its requirements.
    Lock(commands::lock::Arguments),
    /// Run the project's checks.
    Check(commands::check::Arguments),
    /// Write missing release tags from the catalogue, and push them.
    Tags(commands::tags::Arguments),
    /// Manage and call the emulated environment on this machine.
    Local(commands::local::Arguments),
    /// List or install Slipway's own tools, pinned with hashes.
    Tools(commands::tools::Arguments),
    /// List every required program and credential, and what to do about those that are missing.
    Doctor(commands::doctor::Arguments),
    /// Close what a killed run left open: ledger entries, state locks, unsaved states, moved aliases.
    Recover(commands::recover::Arguments),
    /// Mark a stack's ledger or a function's releases as this project's, where nothing else shows it.
    Claim(commands::claim::Arguments),
    /// Run this repository's own tests, and name those that did not run.
    Test(commands::test::Arguments),
    /// Print shell completions.
    Completions(commands::completions::Arguments),
    /// Print the manual page.
    Man(commands::completions::ManArguments),
}

fn exit_codes() -> String {
    let codes: Vec<String> =
        EXIT_CODES.iter().map(|(_, code, meaning)| format!("{code} {meaning}")).collect();
    format!("Exit codes: 0 done, {}.", codes.join(", "))
}

/// Runs the command line of this process.
pub(crate) fn main() -> ExitCode {
    let process_env = match ProcessEnvironment::read() {
        Ok(process_env) => process_env,
        Err(failure) => {
            return ExitCode::from(show(
                &Console::new(Verbosity::Normal, false, false),
                OutputFormat::Text,
                "error",
                &failure,
            ));
        }
    };
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if arguments.get(1).is_some_and(|argument| argument == GATEWAY_COMMAND) {
        return commands::local::gateway(arguments.get(2));
    }
    match Cli::try_parse_from(&arguments) {
        Ok(cli) => ExitCode::from(run(cli, process_env)),
        Err(error) => {
            // Help and version go to stdout with exit code 0, errors to stderr with 2.
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
    }
}

fn run(cli: Cli, process_env: ProcessEnvironment) -> u8 {
    let Cli { command, global } = cli;
    let verbosity = match (global.quiet, global.verbose) {
        (true, _) => Verbosity::Quiet,
        (_, true) => Verbosity::Verbose,
        _ => Verbosity::Normal,
    };
    let console = Console::new(verbosity, process_env.interactive, process_env.ci());
    let console = Arc::new(console.in_github(process_env.get("GITHUB_ACTIONS").is_some()));
    let name = command.name();
    let file = |name: &str| process_env.get(name).map(PathBuf::from);
    let summary_files = if command.has_summary() { process_env.summary_files() } else { Vec::new() };
    let step_output_files: Vec<PathBuf> = STEP_OUTPUT_FILES.into_iter().filter_map(file).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(dispatch(command, &global, process_env, console.clone(), verbosity)),
        Err(error) => Err(Failure::failed("the runtime cannot be started").caused_by(error)),
    };
    for file in summary_files {
        if let Err(failure) = append_summary(&file, name, &summary(name, &outcome)) {
            // The summary is missing on the run's page; the result of the command is the same.
            console.stderr(&output::failure_text(&failure.report()));
        }
    }
    for file in step_output_files {
        if let Ok(answer) = &outcome
            && let Err(failure) = hand_on(&file, &answer.step_outputs)
        {
            // What a later step waits for would be missing there.
            console.stderr(&output::failure_text(&failure.report()));
            return failure.kind().exit_code();
        }
    }
    match outcome {
        Ok(answer) => {
            match global.output {
                OutputFormat::Json => console.data(&answer.document(name)),
                OutputFormat::Text | OutputFormat::Dotenv => console.data(&answer.text),
            }
            if let Some(failure) = &answer.failure {
                if global.output == OutputFormat::Json {
                    failure.kind().exit_code()
                } else {
                    show(&console, OutputFormat::Text, name, failure)
                }
            } else {
                0
            }
        }
        Err(failure) => show(&console, global.output, name, &failure),
    }
}

/// Writes values for the later steps of a GitHub job, one in a line:
/// <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#setting-an-output-parameter>.
fn hand_on(file: &Path, values: &[(&'static str, String)]) -> Result<()> {
    let lines = values.iter().map(|(name, value)| format!("{name}={}\n", value.replace(['\r', '\n'], " ")));
    let lines: String = lines.collect();
    if lines.is_empty() {
        return Ok(());
    }
    create_folder_of(file)?;
    markdown::append(file, &lines)
}

fn create_folder_of(file: &Path) -> Result<()> {
    match file.parent() {
        Some(folder) => std::fs::create_dir_all(folder).map_err(|error| failure::io("create", folder, error)),
        None => Ok(()),
    }
}

/// Appends a summary to a file, whose folder is created: markdown, or a page for a name that ends in `.html`.
fn append_summary(file: &Path, command: &str, summary: &str) -> Result<()> {
    create_folder_of(file)?;
    match file.extension().is_some_and(|extension| extension == "html") {
        true => html::append(file, command, summary),
        false => markdown::append(file, summary),
    }
}

/// Returns the summary of a run: what the command did, and its failure.
fn summary(command: &str, outcome: &Result<CommandOutput>) -> String {
    let (done, failure) = match outcome {
        Ok(answer) => (answer.summary.clone(), answer.failure.as_ref()),
        Err(failure) => (None, Some(failure)),
    };
    // Changes that --exit-code asked for are no failure, and in the plan already.
    let failure = failure.filter(|failure| failure.kind() != FailureKind::ChangesPresent);
    let failure = failure.map(|failure| markdown::failure(command, &failure.report()));
    done.into_iter().chain(failure).collect()
}

fn show(console: &Console, format: OutputFormat, name: &str, failure: &Failure) -> u8 {
    if format == OutputFormat::Json {
        console.data(&output::document::<()>(name, None, Some(failure)));
    }
    console.stderr(&output::failure_text(&failure.report()));
    failure.kind().exit_code()
}

async fn dispatch(
    command: Command,
    global: &GlobalArguments,
    process_env: ProcessEnvironment,
    console: Arc<Console>,
    verbosity: Verbosity,
) -> Result<CommandOutput> {
    if global.output == OutputFormat::Dotenv && !matches!(command, Command::Output(_)) {
        return Err(Failure::usage("--output dotenv is for `cargo xtask output` alone")
            .hint("use --output text or json"));
    }
    // These commands need no project.
    match &command {
        Command::Completions(arguments) => return commands::completions::run(arguments, Cli::command()),
        Command::Man(_) => return commands::completions::man(Cli::command()),
        _ => {}
    }
    let options = GlobalOptions {
        verbosity,
        yes: global.yes,
        lock_timeout: global.lock_timeout,
        accept_weaker_trust: global.accept_weaker_trust,
        accept_state: global.accept_state,
        allow_destroy: global.allow_destroy.clone(),
    };
    let name = command.name();
    let mut app = AppContext::open(process_env, console, options)?;
    if command.is_recorded() {
        app.record(name)?;
    }
    match command {
        Command::Release(arguments) => commands::release::run(&app, arguments).await,
        Command::Verify(arguments) => commands::verify::run(&app, arguments).await,
        Command::Call(arguments) => commands::call::run(&app, arguments).await,
        Command::Clean(arguments) => commands::clean::run(&app, arguments).await,
        Command::Destroy(arguments) => commands::destroy::run(&app, arguments).await,
        Command::Bootstrap(arguments) => commands::bootstrap::run(&app, arguments).await,
        Command::Deploy(arguments) => commands::deploy::run(&app, arguments).await,
        Command::Promote(arguments) => commands::promote::run(&app, arguments).await,
        Command::Notes(arguments) => commands::notes::run(&app, arguments).await,
        Command::Rollback(arguments) => commands::rollback::run(&app, arguments).await,
        Command::Plan(arguments) => commands::plan::run(&app, arguments).await,
        Command::Drift(arguments) => commands::drift::run(&app, arguments).await,
        Command::Status(arguments) => commands::status::run(&app, arguments).await,
        Command::Prune(arguments) => commands::prune::run(&app, arguments).await,
        Command::History(arguments) => commands::history::run(&app, arguments).await,
        Command::Releases(arguments) => commands::releases::run(&app, arguments).await,
        Command::VerifyRelease(arguments) => commands::verify_release::run(&app, arguments).await,
        Command::AttachBundle(arguments) => commands::attach_bundle::run(&app, arguments).await,
        Command::Audit(arguments) => commands::audit::run(&app, arguments).await,
        Command::Key(arguments) => commands::key::run(&app, arguments),
        Command::Output(arguments) => commands::output::run(&app, arguments, global.output).await,
        Command::Build(arguments) => commands::build::run(&app, arguments).await,
        Command::Inputs(arguments) => commands::inputs::run(&app, &arguments),
        Command::Explain(arguments) => commands::explain::run(&app, arguments).await,
        Command::Rebuild(arguments) => commands::rebuild::run(&app, arguments).await,
        Command::Ci(arguments) => commands::ci::run(&app, arguments),
        Command::Lock(arguments) => commands::lock::run(&app, arguments).await,
        Command::Check(arguments) => commands::check::run(&app, arguments).await,
        Command::Tags(arguments) => commands::tags::run(&app, arguments).await,
        Command::Local(arguments) => commands::local::run(&app, arguments).await,
        Command::Tools(arguments) => commands::tools::run(&app, arguments).await,
        Command::Doctor(arguments) => commands::doctor::run(&app, arguments).await,
        Command::Recover(arguments) => commands::recover::run(&app, arguments).await,
        Command::Claim(arguments) => commands::claim::run(&app, arguments).await,
        Command::Test(arguments) => commands::test::run(&app, arguments).await,
        Command::Completions(_) | Command::Man(_) => Err(Failure::new(FailureKind::Defect, "handled above")),
    }
}

impl Command {
    /// Returns the command's name, which is also that of its JSON document.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Release(_) => "release",
            Self::Verify(_) => "verify",
            Self::Call(_) => "call",
            Self::Clean(_) => "clean",
            Self::Destroy(_) => "destroy",
            Self::Bootstrap(_) => "bootstrap",
            Self::Deploy(_) => "deploy",
            Self::Promote(_) => "promote",
            Self::Notes(_) => "notes",
            Self::Rollback(_) => "rollback",
            Self::Plan(_) => "plan",
            Self::Drift(_) => "drift",
            Self::Status(_) => "status",
            Self::Prune(_) => "prune",
            Self::History(_) => "history",
            Self::Releases(_) => "releases",
            Self::VerifyRelease(_) => "verify-release",
            Self::AttachBundle(_) => "attach-bundle",
            Self::Audit(_) => "audit",
            Self::Key(_) => "key",
            Self::Output(_) => "output",
            Self::Build(_) => "build",
            Self::Inputs(_) => "inputs",
            Self::Explain(_) => "explain",
            Self::Rebuild(_) => "rebuild",
            Self::Ci(_) => "ci",
            Self::Lock(_) => "lock",
            Self::Check(_) => "check",
            Self::Tags(_) => "tags",
            Self::Local(_) => "local",
            Self::Tools(_) => "tools",
            Self::Doctor(_) => "doctor",
            Self::Recover(_) => "recover",
            Self::Claim(_) => "claim",
            Self::Test(_) => "test",
            Self::Completions(_) => "completions",
            Self::Man(_) => "man",
        }
    }

    /// Returns whether the command writes a summary for a CI run.
    fn has_summary(&self) -> bool {
        matches!(
            self,
            Self::Release(_)
                | Self::Deploy(_)
                | Self::Promote(_)
                | Self::Notes(_)
                | Self::Rollback(_)
                | Self::Plan(_)
                | Self::Drift(_)
        )
    }

    /// Returns whether the run's events are recorded.
    fn is_recorded(&self) -> bool {
        matches!(
            self,
            Self::Release(_)
                | Self::Bootstrap(_)
                | Self::Destroy(_)
                | Self::Deploy(_)
                | Self::Promote(_)
                | Self::Rollback(_)
                | Self::Plan(_)
                | Self::Drift(_)
                | Self::Prune(_)
                | Self::Build(_)
                | Self::Lock(_)
                | Self::Check(_)
                | Self::Recover(_)
                | Self::Claim(_)
                | Self::Tags(_)
        )
    }
}
