//! Gates before traffic: commands of the project that decide whether new versions serve.
//!
//! In: the gates of function.toml and stack.toml, the published versions, the stack's outputs. Out: a check for each, as a smoke
//! event has one. Errors: a program that does not exist (before anything is planned), a value that cannot be filled in, a signal.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use serde_json::Value;

use crate::command_lines::{CommandLineOutput, CommandLines};
use crate::exec;
use crate::failure::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::name::{FunctionName, Version};
use crate::plan::Output;
use crate::ports::Services;
use crate::settings::{TrafficGate, placeholders};
use crate::verification::{Check, SecretMask, Values, is_subset};

/// How many of the last lines of a failed gate are kept.
const TAIL: usize = 20;

/// The gates of a stack and of its functions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gates {
    /// Those of each function.
    pub(crate) functions: BTreeMap<FunctionName, Vec<TrafficGate>>,
    /// Those of the stack.
    pub(crate) stack: Vec<TrafficGate>,
    /// The PATH of this process.
    pub(crate) search_path: String,
}

/// A version that is to get traffic, as a gate's command sees it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct CandidateVersion {
    /// The release.
    pub(crate) release: Version,
    /// The published version's number.
    pub(crate) lambda_version: String,
    /// The ARN with that number: it reaches the new version, which serves nobody yet.
    pub(crate) arn: String,
    /// The address that users reach the function at: it leads to the version before.
    pub(crate) url: Option<String>,
}

/// What a gate's command is given.
pub(crate) struct GateContext<'a> {
    /// The project's folder, in which the commands run.
    pub(crate) root: &'a Path,
    /// The environment's name.
    pub(crate) environment: &'a str,
    /// The stack's name.
    pub(crate) stack: &'a str,
    /// Variables of the account's credentials and endpoints; an empty value removes one.
    pub(crate) variables: &'a [(String, String)],
    /// The region.
    pub(crate) region: &'a str,
    /// The stack's outputs.
    pub(crate) outputs: &'a BTreeMap<String, Output>,
    /// The versions that are to get traffic.
    pub(crate) versions: &'a BTreeMap<FunctionName, CandidateVersion>,
    /// The account's secrets.
    pub(crate) services: &'a Arc<dyn Services>,
    /// Signals.
    pub(crate) interrupt: &'a Interrupt,
}

impl Gates {
    /// Returns whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.stack.is_empty() && self.functions.values().all(Vec::is_empty)
    }

    /// Refuses gates whose program does not exist on this machine. A path with a slash is relative to `root`.
    pub(crate) fn refuse_missing_programs(&self, root: &Path) -> Result<()> {
        let of_functions = self.functions.iter();
        let of_functions =
            of_functions.map(|(function, gates)| (format!("lambda-src/{function}/function.toml"), gates));
        for (file, gates) in of_functions.chain([("stack.toml".to_owned(), &self.stack)]) {
            let lines =
                gates.iter().flat_map(|gate| gate.run.lines().iter().map(move |line| (&gate.name, line)));
            for (gate, line) in lines {
                self.refuse_missing_program(root, &file, gate, line)?;
            }
        }
        Ok(())
    }

    fn refuse_missing_program(&self, root: &Path, file: &str, gate: &str, line: &str) -> Result<()> {
        let Some(word) = shlex::split(line).and_then(|words| words.into_iter().next()) else {
            return Err(Failure::usage(format!(
                "a command line of the gate `{gate}` is empty or has an open quote: {line}"
            ))
            .detail("named in", file)
            .unchanged("Nothing was changed."));
        };
        let place = match word.contains('/') {
            true => root.join(&word).to_string_lossy().into_owned(),
            false => word.clone(),
        };
        if exec::find_program(&place, &self.search_path).is_some() {
            return Ok(());
        }
        Err(Failure::usage(format!(
            "the program `{word}` of the gate `{gate}` under [[before_traffic]] was not found"
        ))
        .detail("named in", file)
        .unchanged("Nothing was changed.")
        .hint(format!(
            "install {word}, or make the file executable: no version gets traffic without its gates"
        )))
    }

    /// Runs the gates of a function's new version.
    pub(crate) async fn run_for(
        &self,
        function: &FunctionName,
        context: &GateContext<'_>,
    ) -> Result<Vec<Check>> {
        let gates = self.functions.get(function).map(Vec::as_slice).unwrap_or_default();
        run_all(gates, Some(function), context).await
    }

    /// Runs the gates of the stack.
    pub(crate) async fn run_for_stack(&self, context: &GateContext<'_>) -> Result<Vec<Check>> {
        let mut checks = run_all(&self.stack, None, context).await?;
        checks.iter_mut().for_each(|check| check.name.insert_str(0, "the stack's "));
        Ok(checks)
    }
}

async fn run_all(
    gates: &[TrafficGate],
    function: Option<&FunctionName>,
    context: &GateContext<'_>,
) -> Result<Vec<Check>> {
    let mut checks = Vec::new();
    for gate in gates {
        context.interrupt.check()?;
        checks.push(run(gate, function, context).await?);
    }
    Ok(checks)
}

async fn run(
    gate: &TrafficGate,
    function: Option<&FunctionName>,
    context: &GateContext<'_>,
) -> Result<Check> {
    let begun = Instant::now();
    let (env, secrets) = environment(gate, function, context).await?;
    let lines = CommandLines {
        owner: format!("the gate `{}`", gate.name),
        lines: gate.run.lines().to_vec(),
        folder: context.root.to_path_buf(),
        env,
        programs: BTreeMap::new(),
        time_limit: Some(gate.within),
    };
    let mut output: Vec<String> = Vec::new();
    let failed = lines
        .run(context.interrupt, &mut |line| {
            if let CommandLineOutput::Line(line) = line {
                output.push(line.to_owned());
            }
        })
        .await?;
    let unmet = match (&failed, &gate.expect) {
        (Some(failed), _) => Some(("exit code 0 within its time".to_owned(), failed.why())),
        (None, Some(expected)) => unmet(expected, &output),
        (None, None) => None,
    };
    let passed = unmet.is_none();
    let (expected, got) = unmet.unzip();
    let printable =
        |line: &String| secrets.mask(line).chars().filter(|letter| !letter.is_control()).collect::<String>();
    let tail = if passed { 0 } else { TAIL.min(output.len()) };
    Ok(Check {
        name: format!("gate \"{}\"", gate.name),
        passed,
        expected: expected.map(|text| secrets.mask(&text)),
        got: got.map(|text| secrets.mask(&text)),
        log: output[output.len() - tail..].iter().map(printable).collect(),
        hint: (!passed).then(|| {
            "a gate under [[before_traffic]] decided this: repair what it found, then run the same command again"
                .to_owned()
        }),
        took_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}

/// Returns what was expected of an output and what was found instead; nothing where it is as expected.
fn unmet(expected: &Value, output: &[String]) -> Option<(String, String)> {
    if let Value::String(text) = expected {
        let found = output.join("\n").contains(text.as_str());
        return (!found).then(|| (format!("output with `{text}`"), "output without it".to_owned()));
    }
    let mut objects = output.iter().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    match objects.find(Value::is_object) {
        Some(found) if is_subset(expected, &found) => None,
        Some(found) => Some((expected.to_string(), found.to_string())),
        None => Some((expected.to_string(), "no line that is a JSON object".to_owned())),
    }
}

/// Returns a command's variables, and the secrets among them.
async fn environment(
    gate: &TrafficGate,
    function: Option<&FunctionName>,
    context: &GateContext<'_>,
) -> Result<(Vec<(String, Option<String>)>, SecretMask)> {
    let GateContext { environment, stack, outputs, versions, .. } = *context;
    let mut set: Vec<(String, String)> = context.variables.to_vec();
    set.push(("AWS_DEFAULT_REGION".to_owned(), context.region.to_owned()));
    let mut own = |name: &str, value: String| set.push((format!("SLIPWAY_{name}"), value));
    own("ENVIRONMENT", environment.to_owned());
    own("STACK", stack.to_owned());
    let versions_text = serde_json::to_string(versions)
        .map_err(|error| Failure::defect("versions cannot be written as JSON").caused_by(error))?;
    own("VERSIONS", versions_text);
    if let Some((function, version)) = function.and_then(|function| versions.get_key_value(function)) {
        own("FUNCTION", function.to_string());
        own("RELEASE", version.release.to_string());
        own("LAMBDA_VERSION", version.lambda_version.clone());
        own("FUNCTION_ARN", version.arn.clone());
        own("URL", version.url.clone().unwrap_or_default());
    }
    // Sensitive ones only where `env` names them.
    let mut names = BTreeSet::new();
    for (name, output) in outputs.iter().filter(|(_, output)| !output.sensitive) {
        let letter = |letter: char| match letter.is_ascii_alphanumeric() {
            true => letter.to_ascii_uppercase(),
            false => '_',
        };
        let variable: String = name.chars().map(letter).collect();
        if names.insert(variable.clone()) {
            own(&format!("OUTPUT_{variable}"), text_of(&output.value));
        }
    }
    let mut values = Values::new(outputs, context.services);
    for (name, value) in &gate.env {
        set.push((name.clone(), values.fill(value).await?));
    }
    let mut secrets = values.secrets().clone();
    for name in gate.env.values().flat_map(|value| placeholders(value)) {
        let output = name.strip_prefix("output.").and_then(|name| outputs.get(name));
        if let Some(output) = output.filter(|output| output.sensitive) {
            secrets.add(&text_of(&output.value));
        }
    }
    let variables =
        set.into_iter().map(|(name, value)| (name, Some(value).filter(|value| !value.is_empty())));
    Ok((variables.collect(), secrets))
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::fakes::FakeServices;
    use crate::settings::FunctionSettings;

    fn gate(more: &str) -> Vec<TrafficGate> {
        let text = format!(
            "runtime = \"provided.al2023\"\n[build]\nwith = \"cargo\"\n[[before_traffic]]\nname = \"warm\"\n{more}\n"
        );
        FunctionSettings::parse(Path::new("lambda-src/a/function.toml"), &text).unwrap().before_traffic
    }

    async fn check(more: &str) -> Check {
        let function: FunctionName = "a".parse().unwrap();
        let version = CandidateVersion {
            release: "1.2.3".parse().unwrap(),
            lambda_version: "7".into(),
            arn: "arn:aws:lambda:eu-central-1:333333333333:function:f:7".into(),
            url: None,
        };
        let output = |value: &str, sensitive| Output { value: value.into(), sensitive };
        let outputs = BTreeMap::from([
            ("table-name".to_owned(), output("orders", false)),
            ("token".to_owned(), output("hush-hush-hush-1", true)),
        ]);
        let services: Arc<dyn Services> = Arc::new(FakeServices::default());
        let context = GateContext {
            root: Path::new("/"),
            environment: "dev",
            stack: "s",
            variables: &[],
            region: "eu-central-1",
            outputs: &outputs,
            versions: &BTreeMap::from([(function.clone(), version)]),
            services: &services,
            interrupt: &Interrupt::never(),
        };
        let functions = BTreeMap::from([(function.clone(), gate(more))]);
        let gates = Gates { functions, ..Gates::default() };
        gates.run_for(&function, &context).await.unwrap().remove(0)
    }

    #[tokio::test]
    async fn exit_code_time_and_output_decide() {
        assert!(check("run = \"true\"").await.passed);
        let failed = check("run = \"sh -c 'echo why; exit 3'\"").await;
        assert!(!failed.passed);
        assert_eq!((failed.name.as_str(), failed.log.len()), ("gate \"warm\"", 1));
        assert!(failed.got.unwrap().contains("exited with 3"));
        let late = check("run = \"sleep 5\"\nwithin = \"200ms\"").await;
        assert!(late.got.unwrap().contains("longer than"));
        assert!(check("run = \"echo it is well\"\nexpect = \"is well\"").await.passed);
        assert!(!check("run = \"echo no\"\nexpect = \"is well\"").await.passed);
        let json = r#"run = '''printf 'begin\n{"ok":true,"n":1}\n' '''"#;
        assert!(check(&format!("{json}\nexpect = {{ ok = true }}")).await.passed);
        assert!(!check(&format!("{json}\nexpect = {{ ok = false }}")).await.passed);
        assert!(!check("run = \"true\"\nexpect = { ok = true }").await.passed);
    }

    #[tokio::test]
    async fn command_is_given_the_version_and_the_outputs_and_no_sensitive_one() {
        for (variable, expected) in [
            ("SLIPWAY_FUNCTION_ARN", "arn:aws:lambda:eu-central-1:333333333333:function:f:7"),
            ("SLIPWAY_RELEASE", "1.2.3"),
            ("SLIPWAY_OUTPUT_TABLE_NAME", "orders"),
            ("SLIPWAY_OUTPUT_TOKEN", ""),
            ("SLIPWAY_ENVIRONMENT", "dev"),
        ] {
            let run = format!("run = '''sh -c 'echo \"=${variable}.\"' '''\nexpect = \"={expected}.\"");
            let check = check(&run).await;
            assert!(check.passed, "{variable}: {check:?}");
        }
        let named = "run = '''sh -c 'echo $T; exit 1' '''\nenv = { T = \"${output.token}\" }";
        assert_eq!(check(named).await.log, ["***"], "and it is masked");
    }

    #[test]
    fn missing_program_is_named_before_anything_runs() {
        let gates = |line: &str| Gates {
            stack: gate(&format!("run = \"{line}\"")),
            search_path: "/bin:/usr/bin".into(),
            ..Gates::default()
        };
        let check = |line: &str| gates(line).refuse_missing_programs(Path::new("/"));
        check("sh -c true").unwrap();
        check("bin/sh -c true").unwrap();
        let failure = check("no-such-program-here --all").unwrap_err();
        assert!(failure.message().contains("`no-such-program-here` of the gate `warm`"), "{failure}");
        assert_eq!(failure.report().unchanged.as_deref(), Some("Nothing was changed."));
        assert_eq!(gates("sh").stack[0].within, Duration::from_secs(60));
    }
}
