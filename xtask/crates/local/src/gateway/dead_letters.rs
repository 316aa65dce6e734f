//! Lambda's DeadLetterConfig, which the emulator does not store.
//!
//! In: the requests that create or change functions, and the emulator's responses about functions. Out: the responses with
//! the DeadLetterConfig; a published version keeps the one that it was published with. No event is ever sent to the target:
//! an asynchronous invocation is tried once on this machine. Errors: the configuration cannot be stored.

use super::function_name::LATEST;
use super::lambda_error::LambdaError;
use super::owner::Owner;
use super::persistence::PersistentMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

const NAME: &str = "DeadLetterConfig";

/// The targets of one function's versions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Targets(BTreeMap<String, String>);

/// The targets of all functions, by account, region and name.
pub(crate) struct DeadLetters(PersistentMap<Targets>);

impl DeadLetters {
    pub(crate) fn open(folder: PathBuf) -> io::Result<Self> {
        PersistentMap::open(folder).map(Self)
    }

    /// Stores the configuration of a request that the emulator has carried out; `configuration` is its response.
    pub(super) fn record(&self, request: &Value, configuration: &Value) -> Result<(), LambdaError> {
        let Some((name, version)) = function_of(configuration) else {
            return Ok(());
        };
        let requested = request.get(NAME).map(|config| config["TargetArn"].as_str().unwrap_or_default());
        self.0
            .change(&name, |current| changed(current, requested, &version))
            .map_err(|error| LambdaError::service(format!("the DeadLetterConfig cannot be stored: {error}")))
    }

    /// Adds the configuration to a response; `false` if there is nothing to add.
    pub(super) fn add_to(&self, response: &mut Value) -> bool {
        for list in ["Functions", "Versions"] {
            if let Some(functions) = response.get_mut(list).and_then(Value::as_array_mut) {
                return functions.iter_mut().filter_map(|one| self.add_to(one).then_some(())).count() > 0;
            }
        }
        let configuration = match response.get("Configuration").is_some_and(Value::is_object) {
            true => &mut response["Configuration"],
            false => response,
        };
        let Some((name, version)) = function_of(configuration) else {
            return false;
        };
        let target = self.0.get(&name).and_then(|targets| targets.0.get(&version).cloned());
        match target {
            Some(target) => {
                configuration[NAME] = json!({ "TargetArn": target });
                true
            }
            None => false,
        }
    }

    /// Removes the configuration of a deleted function.
    pub(super) fn remove(&self, owner: &Owner, function: &str) {
        self.0.remove(&format!("{}.{}.{function}", owner.account, owner.region));
    }
}

/// Returns the key of a function and its version, from its configuration.
fn function_of(configuration: &Value) -> Option<(String, String)> {
    let arn = configuration.get("FunctionArn")?.as_str()?;
    let parts: Vec<&str> = arn.split(':').collect();
    let [_, _, "lambda", region, account, "function", name, ..] = parts.as_slice() else {
        return None;
    };
    let version = configuration.get("Version").and_then(Value::as_str).unwrap_or(LATEST);
    Some((format!("{account}.{region}.{name}"), version.to_owned()))
}

/// Returns the targets after a change; `None` if nothing changes.
fn changed(current: Option<&Targets>, requested: Option<&str>, version: &str) -> Option<Targets> {
    let mut targets = current.cloned().unwrap_or_default();
    match requested {
        Some("") => drop(targets.0.remove(LATEST)),
        Some(target) => drop(targets.0.insert(LATEST.to_owned(), target.to_owned())),
        None => {}
    }
    // A version that is published now has the function's target. A known version was published before.
    if version != LATEST
        && !targets.0.contains_key(version)
        && let Some(latest) = targets.0.get(LATEST).cloned()
    {
        targets.0.insert(version.to_owned(), latest);
    }
    (current.cloned().unwrap_or_default() != targets).then_some(targets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_keeps_the_target_that_it_was_published_with() {
        let mut now = changed(None, Some("queue:a"), "1").unwrap();
        let target = |targets: &Targets, version: &str| targets.0.get(version).cloned();
        assert_eq!(
            (target(&now, LATEST), target(&now, "1")),
            (Some("queue:a".into()), Some("queue:a".into()))
        );
        assert_eq!(changed(Some(&now), None, LATEST), None);
        now = changed(Some(&now), Some("queue:b"), LATEST).unwrap();
        now = changed(Some(&now), None, "2").unwrap();
        assert_eq!((target(&now, "1"), target(&now, "2")), (Some("queue:a".into()), Some("queue:b".into())));
        now = changed(Some(&now), Some(""), LATEST).unwrap();
        assert_eq!((target(&now, LATEST), changed(Some(&now), None, "3")), (None, None));
        assert_eq!(changed(None, None, "1"), None);
    }

    #[test]
    fn function_and_version_are_read_from_the_configuration() {
        let arn = "arn:aws:lambda:eu-central-1:111111111111:function:f";
        let name = "111111111111.eu-central-1.f".to_owned();
        assert_eq!(function_of(&json!({ "FunctionArn": arn })), Some((name.clone(), LATEST.to_owned())));
        let version = json!({ "FunctionArn": format!("{arn}:3"), "Version": "3" });
        assert_eq!(function_of(&version), Some((name, "3".to_owned())));
        assert_eq!(function_of(&json!({ "FunctionArn": "x" })), None);
    }
}
