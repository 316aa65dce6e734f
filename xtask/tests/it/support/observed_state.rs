//! The state of a project in a comparable form, and documents without the values that differ in each run.

use serde_json::Value;

use super::EchoProject;

/// What is served and released, and what is left unfinished.
#[derive(Debug, PartialEq)]
pub struct ObservedState {
    /// The function's release, versions and flags, as `status` reports them.
    pub status: Value,
    /// Each release with its artifact's digest.
    pub releases: Vec<(String, String)>,
    /// The version that the alias points to.
    pub alias: String,
    /// Ledger entries of deployments that started and did not end.
    pub unfinished: Vec<String>,
    /// Locks of the state.
    pub locks: Vec<String>,
}

impl ObservedState {
    /// Reads the state of a project.
    pub fn of(project: &EchoProject) -> Self {
        let status = project.run(&["status", "--env", "local", "--output", "json"]).exits(0).json();
        let local = &status["data"]["environments"]["local"];
        let echo = &local["functions"]["echo"];
        let pick = |names: &[&str]| -> Value {
            names
                .iter()
                .map(|name| ((*name).to_owned(), echo[*name].clone()))
                .collect::<serde_json::Map<_, _>>()
                .into()
        };
        let mut status_of_echo = pick(&[
            "release",
            "lambda_version",
            "alias_version",
            "newest_version",
            "verified",
            "as_recorded",
            "held",
        ]);
        status_of_echo["warnings"] = local["warnings"].clone();
        let document =
            project.run(&["releases", "echo", "--env", "local", "--output", "json"]).exits(0).json();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let releases = document["data"]["releases"]
            .as_array()
            .expect("the releases")
            .iter()
            .map(|manifest| (text(&manifest["version"]), text(&manifest["artifact"]["sha256"])))
            .collect();
        let [_, state] = project.account.buckets();
        let keys = project.account.keys(&state);
        let unfinished = keys
            .iter()
            .filter_map(|key| key.strip_suffix(".started.json"))
            .filter(|key| !keys.contains(&format!("{key}.ended.json")))
            .map(str::to_owned)
            .collect();
        Self {
            status: status_of_echo,
            releases,
            alias: project.account.alias("echo"),
            unfinished,
            locks: keys.iter().filter(|key| key.ends_with(".tflock")).cloned().collect(),
        }
    }
}

/// Replaces the values that differ from run to run: times, digests, commits, ids, this machine's name.
pub fn redacted(mut document: Value, project: &EchoProject) -> Value {
    redact(&mut document, &project.account.id);
    document
}

fn redact(value: &mut Value, account: &str) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let placeholder = match name.as_str() {
                    "at" | "since" | "since_at" | "started_at" if member.is_string() => "[time]",
                    "by" => "[by]",
                    "commit" => "[commit]",
                    "lineage" => "[lineage]",
                    "alias_revision" => "[revision]",
                    "digest" | "config_digest" | "configuration" | "plan_inputs" | "code_sha256"
                    | "previous"
                        if member.is_string() =>
                    {
                        "[digest]"
                    }
                    _ => {
                        redact(member, account);
                        continue;
                    }
                };
                *member = placeholder.into();
            }
        }
        Value::Array(members) => members.iter_mut().for_each(|member| redact(member, account)),
        Value::String(text) => *text = text.replace(account, "[account]"),
        _ => {}
    }
}
