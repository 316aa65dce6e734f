//! What a world came to, in a form in which two worlds can be compared, and documents without what differs each time.

use serde_json::Value;

use super::World;

/// What is served, released and left behind.
#[derive(Debug, PartialEq)]
pub struct Settled {
    /// The function's release, versions and verdicts, as `status` tells them.
    pub status: Value,
    /// Each release with its artifact's digest.
    pub releases: Vec<(String, String)>,
    /// The version that the alias points to.
    pub alias: String,
    /// Ledger entries that began and did not end.
    pub open: Vec<String>,
    /// Locks of the state.
    pub locks: Vec<String>,
}

impl Settled {
    /// Looks at a world.
    pub fn of(world: &World) -> Self {
        let status = world.run(&["status", "--env", "local", "--output", "json"]).exits(0).json();
        let local = &status["data"]["environments"]["local"];
        let echo = &local["functions"]["echo"];
        let pick = |names: &[&str]| -> Value {
            names
                .iter()
                .map(|name| ((*name).to_owned(), echo[*name].clone()))
                .collect::<serde_json::Map<_, _>>()
                .into()
        };
        let mut told = pick(&[
            "release",
            "lambda_version",
            "alias_version",
            "newest_version",
            "verified",
            "as_recorded",
            "held",
        ]);
        told["warnings"] = local["warnings"].clone();
        let document = world.run(&["releases", "echo", "--env", "local", "--output", "json"]).exits(0).json();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let releases = document["data"]["releases"]
            .as_array()
            .expect("the releases")
            .iter()
            .map(|manifest| (text(&manifest["version"]), text(&manifest["artifact"]["sha256"])))
            .collect();
        let [_, state] = world.account.buckets();
        let keys = world.account.keys(&state);
        let open = keys
            .iter()
            .filter_map(|key| key.strip_suffix(".started.json"))
            .filter(|key| !keys.contains(&format!("{key}.ended.json")))
            .map(str::to_owned)
            .collect();
        Self {
            status: told,
            releases,
            alias: world.account.alias("echo"),
            open,
            locks: keys.iter().filter(|key| key.ends_with(".tflock")).cloned().collect(),
        }
    }
}

/// Replaces what differs from run to run: times, digests, commits, ids, this machine's name.
pub fn redacted(mut document: Value, world: &World) -> Value {
    redact(&mut document, &world.account.id);
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
                    "digest" | "config_digest" | "configuration" | "plan_inputs" | "code_sha256"
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
