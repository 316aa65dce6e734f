//! `[[before_traffic]]` of function.toml and stack.toml: commands that decide whether a new version gets traffic.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;

use super::file;
use super::project::CommandLines;

/// One gate: a command that runs after the new versions were verified, and before any alias moves.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TrafficGate {
    /// What it makes sure of, in a few words.
    pub(crate) name: String,
    /// The command, or several, split by a shell's quoting rules and run without a shell.
    pub(crate) run: CommandLines,
    /// The time limit of all commands together.
    #[serde(deserialize_with = "file::duration", default = "one_minute")]
    pub(crate) within: Duration,
    /// What the output must contain: a text, or else what the last line that is a JSON object must contain.
    pub(crate) expect: Option<serde_json::Value>,
    /// Environment variables; their values may use `${output.<name>}`, `${secret.<id>}` and `${random}`.
    #[serde(default)]
    pub(crate) env: BTreeMap<String, String>,
}

/// Returns the first mistake in some gates.
pub(super) fn mistake(gates: &[TrafficGate]) -> Option<String> {
    let mut names = BTreeSet::new();
    for gate in gates {
        let name = &gate.name;
        if !names.insert(name) {
            return Some(format!("two gates under [[before_traffic]] are named `{name}`"));
        }
        let lines = gate.run.lines();
        if lines.is_empty() || lines.iter().any(|line| line.trim().is_empty()) {
            return Some(format!("the gate `{name}` has an empty command line in `run`"));
        }
        if !matches!(gate.expect, None | Some(serde_json::Value::String(_) | serde_json::Value::Object(_))) {
            return Some(format!("`expect` of the gate `{name}` must be a text or a table"));
        }
        if let Some(own) = gate.env.keys().find(|variable| variable.starts_with("SLIPWAY_")) {
            return Some(format!("the gate `{name}` sets {own}, which Slipway sets itself"));
        }
        let wrong =
            gate.env.values().flat_map(|value| super::placeholders(value)).find(|used| {
                used != "random" && !used.starts_with("output.") && !used.starts_with("secret.")
            });
        if let Some(wrong) = wrong {
            return Some(format!(
                "the gate `{name}` uses ${{{wrong}}}: only ${{output.<name>}}, ${{secret.<id>}} and ${{random}} are filled in"
            ));
        }
    }
    None
}

fn one_minute() -> Duration {
    Duration::from_secs(60)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[derive(Deserialize)]
    struct Gates {
        before_traffic: Vec<TrafficGate>,
    }

    fn parse(text: &str) -> crate::failure::Result<Vec<TrafficGate>> {
        Ok(file::parse::<Gates>(Path::new("function.toml"), text)?.before_traffic)
    }

    #[test]
    fn gate_has_a_command_a_time_limit_and_an_expectation() {
        let gates = parse("[[before_traffic]]\nname = \"warm\"\nrun = \"bin/warm\"\nwithin = \"5s\"\nexpect = { ok = true }\n").unwrap();
        assert_eq!(gates[0].within, Duration::from_secs(5));
        assert_eq!(mistake(&gates), None);
        let failure =
            parse("[[before_traffic]]\nname = \"warm\"\nrun = \"x\"\ntimeout = \"5s\"\n").unwrap_err();
        assert!(failure.message().contains("unknown key `timeout`"), "{failure}");
        assert_eq!(failure.report().hint.as_deref(), Some("allowed here: name, run, within, expect, env"));
    }

    #[test]
    fn mistakes_in_gates_are_named() {
        for (more, part) in [
            ("run = \"x\"\nexpect = 3\n", "must be a text or a table"),
            ("run = []\n", "empty command line"),
            ("run = \" \"\n", "empty command line"),
            ("run = \"x\"\nenv = { SLIPWAY_STACK = \"a\" }\n", "sets SLIPWAY_STACK"),
            ("run = \"x\"\nenv = { A = \"${url}\" }\n", "uses ${url}"),
        ] {
            let gates = parse(&format!("[[before_traffic]]\nname = \"warm\"\n{more}")).unwrap();
            let found = mistake(&gates).unwrap();
            assert!(found.contains(part), "{more}: {found}");
        }
        let two = "[[before_traffic]]\nname = \"warm\"\nrun = \"x\"\n".repeat(2);
        assert!(mistake(&parse(&two).unwrap()).unwrap().contains("two gates"));
    }
}
