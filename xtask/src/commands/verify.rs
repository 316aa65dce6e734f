//! `verify`: look again at what serves in an environment, over the addresses that users reach; with --full, run each
//! function's own suite against them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::Answer;
use crate::app::{Account, AppContext};
use crate::exec::{self, Conduct, Program};
use crate::failure::{Failure, FailureKind, Result};
use crate::format;
use crate::name::{EnvironmentName, FunctionName};
use crate::plan::{self, Applied};
use crate::settings::DeploymentTests;
use crate::tools::install::Tool;
use crate::verification::{self, Clients, Endpoint, Values, Verification, VersionUnderTest};

/// Arguments of `verify`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The functions; all that serve where none is named.
    functions: Vec<FunctionName>,
    /// The environment.
    #[arg(long, short)]
    env: EnvironmentName,
    /// Run the functions' own suites against the deployment, too.
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
    pub(crate) suites: Vec<Suite>,
}

/// A function's suite.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Suite {
    /// The function.
    pub(crate) function: FunctionName,
    /// Whether it passed.
    pub(crate) passed: bool,
    /// Milliseconds.
    pub(crate) took_ms: u64,
    /// Where it failed: the failing tests as pytest names them, or else the last that was said.
    pub(crate) failures: Vec<String>,
}

/// Runs the command.
pub(crate) async fn run(app: &AppContext, arguments: Arguments) -> Result<Answer> {
    let environment = &arguments.env;
    let functions = app.project.functions_in(environment, &arguments.functions)?;
    let account = app.account_if_there(environment).await?.ok_or_else(|| {
        Failure::failed(format!("{environment} does not run, so there is nothing to verify"))
            .hint(format!("cargo xtask release --env {environment}"))
    })?;
    let protected = app.project.environment(environment)?.protected;
    let (mut verifications, mut suites) = (Vec::new(), Vec::new());
    for (stack, here) in app.project.stacks_of(&functions)? {
        let environment_stack = app.environment_stack(&account, environment, &stack)?;
        let (Some(last), Some(applied)) = (
            environment_stack.ledger.head().await?.last,
            plan::read_outputs(environment_stack.store.as_ref(), &stack).await?,
        ) else {
            continue;
        };
        let outputs = applied.functions()?;
        for (function, serving) in last.serves.iter().filter(|(function, _)| here.contains(function)) {
            let manifest = account.catalogue.manifest(function, &serving.release).await?;
            let address = outputs.get(function).and_then(|output| account.address(output));
            let signed_for = outputs.get(function).and_then(|output| output.url_signed_for.clone());
            let endpoint = match &address {
                Some(address) => Endpoint::Url { address, signed_for: signed_for.as_deref() },
                None => Endpoint::Version,
            };
            let step = app.progress.step("verify", format!("{function} {}", serving.release));
            let clients = Clients {
                functions: &account.functions,
                services: &account.services,
                interrupt: &app.interrupt,
            };
            let tested = VersionUnderTest {
                manifest: &manifest,
                function_name: &serving.function_name,
                version: &serving.lambda_version,
                known_configuration: Some(serving.config_digest),
                protected,
                outputs: &applied.outputs,
                endpoint,
            };
            let verification = verification::verify(&clients, &tested).await?;
            let title = format!("{function} {}: {}", serving.release, verification.summary());
            if verification.passed() {
                step.done_as(title, "verified");
            } else {
                step.failed("failed");
            }
            let good = verification.passed();
            verifications.push(verification);
            let tests = app.project.function(function)?.deployment_tests.as_ref();
            // Of two functions behind one address only the one that serves has it.
            let reachable = |tests: &&DeploymentTests| {
                address.is_some() || !tests.env.values().any(|value| value.contains("${url}"))
            };
            if let Some(tests) = tests.filter(|_| arguments.full && good).filter(reachable) {
                suites.push(suite(app, &account, function, tests, &applied, address.as_deref()).await?);
            }
        }
    }
    let mut text = String::new();
    for verification in verifications.iter().filter(|verification| verification.passed()) {
        text.push_str(&format!("{} in {environment}: {}\n", verification.function, verification.summary()));
    }
    for suite in &suites {
        let verdict = if suite.passed { "passed" } else { "FAILED" };
        text.push_str(&format!("{} in {environment}: its suite {verdict}\n", suite.function));
    }
    if verifications.is_empty() {
        text = format!("Nothing serves in {environment}.\n");
    }
    let failed: Vec<&str> =
        suites.iter().filter(|suite| !suite.passed).map(|suite| suite.function.as_str()).collect();
    let failure = if !verifications.iter().all(Verification::passed) {
        Some(verification::failure(environment.as_str(), &verifications))
    } else if !failed.is_empty() {
        let told: Vec<&str> = suites.iter().flat_map(|suite| &suite.failures).map(String::as_str).collect();
        let failure = Failure::new(
            FailureKind::VerificationFailed,
            format!("the suite of {} failed in {environment}", format::list(failed)),
        );
        let failure =
            failure.unchanged("What serves was not changed: a suite looks at it, and rolls nothing back.");
        Some(if told.is_empty() { failure } else { failure.body(told.join("\n")) })
    } else {
        None
    };
    let report = Report { environment: environment.clone(), verifications, suites };
    Ok(Answer::new(&report, text)?.with_failure(failure))
}

/// Runs a function's suite against a deployment.
async fn suite(
    app: &AppContext,
    account: &Account,
    function: &FunctionName,
    tests: &DeploymentTests,
    applied: &Applied,
    address: Option<&str>,
) -> Result<Suite> {
    let mut values = Values::new(&applied.outputs, &account.services);
    if let Some(address) = address {
        values.set("url", &address.into());
    }
    let mut environment: BTreeMap<String, String> = account.variables.iter().cloned().collect();
    // Python's SDK knows the region by this name alone.
    environment.insert("AWS_DEFAULT_REGION".into(), account.backend.region.clone());
    for (name, value) in &tests.env {
        environment.insert(name.clone(), values.fill(value).await?);
    }
    let step = app.progress.slow_step("suite", function.to_string());
    let began = app.clock.now();
    let (mut passed, mut failures) = (true, Vec::new());
    for line in tests.run.lines() {
        let mut line = shlex::split(line).filter(|words| !words.is_empty()).ok_or_else(|| {
            Failure::usage(format!("the deployment tests of `{function}` cannot be split: {line}"))
        })?;
        if line[0] == "uv" {
            line[0] = app.tools.ensure(Tool::Uv).await?.display().to_string();
        }
        let program = Program::new(&line[0], &app.project.root).args(&line[1..]);
        // What is set to nothing for Terraform would be a profile without a name for others.
        let program = environment.iter().fold(program, |program, (name, value)| {
            if value.is_empty() { program.without_env(name) } else { program.env(name, value) }
        });
        let conduct = Conduct { within: Some(tests.within), ..Conduct::default() };
        let ended = exec::run(&program, &conduct, &app.interrupt, &mut |_| {}, &mut |_, line| {
            app.console.tell(line);
            if is_failing_test(line) {
                failures.push(line.to_owned());
            }
        })
        .await?;
        if ended.interrupted {
            return Err(crate::interrupt::interrupted());
        }
        passed &= ended.success();
        if !passed {
            if failures.is_empty() {
                failures = ended.tail;
            }
            break;
        }
    }
    if passed {
        step.done("passed")
    } else {
        step.failed("failed")
    }
    let took = app.clock.now().as_millisecond() - began.as_millisecond();
    if passed {
        failures.clear();
    }
    Ok(Suite {
        function: function.clone(),
        passed,
        took_ms: u64::try_from(took).unwrap_or_default(),
        failures,
    })
}

/// Tells whether a line of pytest's summary names a test that failed or could not be made ready.
fn is_failing_test(line: &str) -> bool {
    ["FAILED ", "ERROR "].iter().any(|word| line.strip_prefix(word).is_some_and(|rest| rest.contains("::")))
}
