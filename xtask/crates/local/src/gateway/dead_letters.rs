//! Where Lambda sends events that a function failed on: DeadLetterConfig, which the emulator forgets.
//!
//! In: what functions are asked to be, and the emulator's answers about them. Out: the answers with what was asked; a
//! published version keeps what it was published with. Nothing is sent there: events that are invoked asynchronously are
//! tried once on this machine. What can go wrong: it cannot be noted down.

use super::Gateway;
use super::kept::Kept;
use super::refusal::Refusal;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const NAME: &str = "DeadLetterConfig";
const LATEST: &str = "$LATEST";

/// The targets of one function, by version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Targets(BTreeMap<String, String>);

/// The targets of all functions, by account, region and name.
pub(crate) type DeadLetters = Kept<Targets>;

/// Takes note of what a change asked for, once the emulator has carried it out.
pub(super) fn note(gateway: &Gateway, asked: Option<&Value>, told: &Value) -> Result<(), Refusal> {
    let Some((name, version)) = function(told) else {
        return Ok(());
    };
    let asked = asked
        .and_then(|asked| asked.get(NAME))
        .map(|config| config["TargetArn"].as_str().unwrap_or_default());
    let noted = gateway.dead_letters.change(&name, |former| changed(former, asked, &version));
    noted.map_err(|error| Refusal::service(format!("the DeadLetterConfig cannot be noted down: {error}")))
}

/// Writes what was asked into an answer; `false` where there is nothing to write.
pub(super) fn mend(gateway: &Gateway, told: &mut Value) -> bool {
    for list in ["Functions", "Versions"] {
        if let Some(functions) = told.get_mut(list).and_then(Value::as_array_mut) {
            return functions.iter_mut().filter_map(|told| mend(gateway, told).then_some(())).count() > 0;
        }
    }
    let configuration = match told.get("Configuration").is_some_and(Value::is_object) {
        true => &mut told["Configuration"],
        false => told,
    };
    let Some((name, version)) = function(configuration) else {
        return false;
    };
    let target = gateway.dead_letters.get(&name).and_then(|targets| targets.0.get(&version).cloned());
    match target {
        Some(target) => {
            configuration[NAME] = json!({ "TargetArn": target });
            true
        }
        None => false,
    }
}

/// Forgets a function that is gone.
pub(super) fn forget(gateway: &Gateway, account: &str, region: &str, function: &str) {
    gateway.dead_letters.remove(&format!("{account}.{region}.{function}"));
}

/// Tells a function and its version from its configuration.
fn function(told: &Value) -> Option<(String, String)> {
    let arn = told.get("FunctionArn")?.as_str()?;
    let parts: Vec<&str> = arn.split(':').collect();
    let [_, _, "lambda", region, account, "function", name, ..] = parts.as_slice() else {
        return None;
    };
    let version = told.get("Version").and_then(Value::as_str).unwrap_or(LATEST);
    Some((format!("{account}.{region}.{name}"), version.to_owned()))
}

/// What is to be kept after a change; `None` where nothing changes.
fn changed(former: Option<&Targets>, asked: Option<&str>, version: &str) -> Option<Targets> {
    let mut targets = former.cloned().unwrap_or_default();
    match asked {
        Some("") => drop(targets.0.remove(LATEST)),
        Some(target) => drop(targets.0.insert(LATEST.to_owned(), target.to_owned())),
        None => {}
    }
    // What is published now is as the function is now; a number that is known was published before.
    if version != LATEST
        && !targets.0.contains_key(version)
        && let Some(latest) = targets.0.get(LATEST).cloned()
    {
        targets.0.insert(version.to_owned(), latest);
    }
    (former.cloned().unwrap_or_default() != targets).then_some(targets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_keeps_what_it_was_published_with() {
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
    fn a_function_is_told_by_its_arn() {
        let arn = "arn:aws:lambda:eu-central-1:111111111111:function:f";
        let name = "111111111111.eu-central-1.f".to_owned();
        assert_eq!(function(&json!({ "FunctionArn": arn })), Some((name.clone(), LATEST.to_owned())));
        let version = json!({ "FunctionArn": format!("{arn}:3"), "Version": "3" });
        assert_eq!(function(&version), Some((name, "3".to_owned())));
        assert_eq!(function(&json!({ "FunctionArn": "x" })), None);
    }
}
