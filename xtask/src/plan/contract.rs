//! The contract between a stack and Slipway (docs/terraform.md), checked in a plan before it is applied.
//!
//! In: a saved plan with its values, and the functions that are about to serve. Out: nothing, if the plan keeps the
//! contract. Errors: a refusal that names the resource, the attribute and the line to write. Values are compared, never
//! printed, apart from names and version numbers.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Action, Change, Planned};
use crate::failure::{Failure, Result};
use crate::name::{FunctionName, StackName};

/// A version that is no published one: nothing can be tried in it before it serves.
pub(crate) const UNPUBLISHED: &str = "$LATEST";

/// A function that is about to serve, as a plan is checked for it.
#[derive(Debug, Clone)]
pub(crate) struct ContractFunction {
    /// `Zip` or `Image`, as Lambda calls it.
    pub(crate) package_type: &'static str,
    /// Its name in Lambda and its alias, where the ledger or the state knows them.
    pub(crate) serving: Option<(String, String)>,
}

/// The name in Lambda and the alias of each function.
pub(crate) type Places = BTreeMap<FunctionName, (String, String)>;

/// The functions of a stack that are about to serve.
pub(crate) type ContractFunctions = BTreeMap<FunctionName, ContractFunction>;

const ALIAS: &str = "aws_lambda_alias";
const FUNCTION: &str = "aws_lambda_function";

/// Returns the hint for a stack whose output `functions` is missing or incomplete.
pub(crate) fn output_hint() -> &'static str {
    "outputs.tf must contain: output \"functions\" { value = { <function> = { function_name, alias, version, code_sha256 } } }"
}

/// Returns the refusal of a function whose version is not a published one.
pub(crate) fn unpublished(stack: &StackName, function: &FunctionName) -> Failure {
    Failure::refused(format!(
        "the output `functions` of the stack `{stack}` names version `{UNPUBLISHED}` of `{function}`, so nothing can be tried before it serves"
    ))
    .hint(format!(
        "publish versions: write `publish = true` in the resource \"{FUNCTION}\" of `{function}`, and its attribute `version` into the output"
    ))
}

/// The line that keeps Terraform from moving an alias.
const IGNORE: &str = "lifecycle { ignore_changes = [function_version, routing_config] }";

/// Returns the hint for a stack that moves its alias.
pub(crate) fn ignore_hint() -> String {
    format!(
        "write in the resource \"{ALIAS}\": {IGNORE}; with terraform-aws-modules/lambda//modules/alias: refresh_alias = false"
    )
}

/// Tells whether a plan changes an alias in place, so that only its values show whether the alias moves.
pub(crate) fn changes_alias(planned: &Planned) -> bool {
    planned.changes.iter().any(|change| !change.action.removes() && is_of(change, ALIAS))
}

/// Tells whether a plan creates a function of Lambda.
pub(crate) fn creates_function(planned: &Planned) -> bool {
    planned.changes.iter().any(|change| change.action == Action::Create && is_of(change, FUNCTION))
}

/// Returns the address and the name in Lambda of each function that a plan creates, as far as it knows the name.
pub(crate) fn created_functions(values: &Value) -> Vec<(String, String)> {
    let changes = values.get("resource_changes").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let created = changes.iter().filter(|change| {
        let actions = change.pointer("/change/actions").and_then(Value::as_array);
        kind(change) == FUNCTION && actions.is_some_and(|actions| actions == &["create"])
    });
    let text = |value: &Value, pointer: &str| Some(value.pointer(pointer)?.as_str()?.to_owned());
    created
        .filter_map(|change| Some((text(change, "/address")?, text(change, "/change/after/function_name")?)))
        .collect()
}

/// Returns the refusal of a plan that creates a function that exists.
pub(crate) fn exists_already(stack: &StackName, address: &str, name: &str) -> Failure {
    Failure::refused(format!(
        "the plan would create {address}, but the function {name} exists already and is not in the state of the stack `{stack}`"
    ))
    .unchanged("Nothing was applied.")
    .hint("to take it over, bring its state or import it: https://github.com/slipway/slipway/blob/main/docs/how-to/existing-functions.md; if it is another one, give this one another name")
}

/// Tells whether a plan removes or replaces a function or an alias of Lambda.
fn removed_lambda(planned: &Planned) -> impl Iterator<Item = &Change> {
    planned
        .changes
        .iter()
        .filter(|change| change.action.removes() && (is_of(change, ALIAS) || is_of(change, FUNCTION)))
}

/// Tells whether a change is of a resource of this type: the address is `module.a["x"].type.name[0]`.
fn is_of(change: &Change, kind: &str) -> bool {
    change.address.starts_with(&format!("{kind}.")) || change.address.contains(&format!(".{kind}."))
}

/// Refuses a plan that deletes, replaces or forgets a function or an alias that is about to serve. `state` is the stack's
/// state, which tells whose they are.
pub(crate) fn refuse_removal_of_serving(
    stack: &StackName,
    functions: &ContractFunctions,
    planned: &Planned,
    state: &Value,
) -> Result<()> {
    let mut removed = removed_lambda(planned).peekable();
    if removed.peek().is_none() {
        return Ok(());
    }
    let owners = owners(functions, state);
    for change in removed {
        let Some((function, what)) = owners.get(&change.address) else { continue };
        let reason = change.reason.as_deref().map(|reason| format!(" ({})", reason.replace('_', " ")));
        return Err(Failure::refused(format!(
            "the plan would {} {}{}, {what} that `{function}` is about to serve from",
            change.action.word(),
            change.address,
            reason.unwrap_or_default()
        ))
        .unchanged("Nothing was applied.")
        .hint(format!(
            "name and package type of a function cannot change in place, nor the name of its alias: create another one beside it and move its callers; to remove it, delete it from `functions` in terraform/stacks/{stack}/stack.toml, or run cargo xtask destroy"
        )));
    }
    Ok(())
}

/// Returns the addresses of the functions and aliases that are about to serve, with the function and what it is.
fn owners<'a>(
    functions: &'a ContractFunctions,
    state: &Value,
) -> BTreeMap<String, (&'a FunctionName, &'static str)> {
    let mut owners = BTreeMap::new();
    for (kind, address, attributes) in super::guard::instances(state) {
        let text = |name: &str| attributes.get(name).and_then(Value::as_str).unwrap_or_default();
        let owner = functions.iter().find(|(_, function)| {
            let Some((name, alias)) = &function.serving else { return false };
            is_named(text("function_name"), name) && (kind == FUNCTION || text("name") == alias)
        });
        if let Some((function, _)) = owner {
            owners.insert(address, (function, if kind == FUNCTION { "the function" } else { "the alias" }));
        }
    }
    owners
}

/// Tells whether an attribute names a function: by name, or by an ARN that may end in a version.
fn is_named(attribute: &str, name: &str) -> bool {
    attribute == name
        || attribute.split_once(":function:").is_some_and(|(_, rest)| rest.split(':').next() == Some(name))
}

/// Refuses a plan whose values do not keep the contract, and returns the name in Lambda and the alias of each function, as
/// far as they are known. `values` is what `terraform show -json` prints.
pub(crate) fn check_contract(
    stack: &StackName,
    functions: &ContractFunctions,
    values: &Value,
) -> Result<Places> {
    refuse_values(stack, functions, values).map_err(|failure| failure.unchanged("Nothing was applied."))
}

fn refuse_values(stack: &StackName, functions: &ContractFunctions, values: &Value) -> Result<Places> {
    if functions.is_empty() {
        return Ok(Places::new());
    }
    let Some(output) = values.pointer("/output_changes/functions").filter(|output| !is_deleted(output))
    else {
        return Err(Failure::refused(format!(
            "the stack `{stack}` runs {}, but has no output `functions`",
            crate::format::list(functions.keys().map(|name| format!("`{name}`")))
        ))
        .hint(output_hint()));
    };
    let mut named = BTreeMap::new();
    for (function, wanted) in functions {
        let planned = Output::of(output, function);
        if planned == Output::Missing {
            return Err(Failure::refused(format!(
                "the output `functions` of the stack `{stack}` does not contain `{function}`"
            ))
            .hint(output_hint()));
        }
        let text = |name: &str| planned.text(name);
        if text("version").is_some_and(|version| version == UNPUBLISHED) {
            return Err(unpublished(stack, function));
        }
        let serving = wanted.serving.as_ref();
        let name = text("function_name").or(serving.map(|(name, _)| name.as_str()));
        let alias = text("alias").or(serving.map(|(_, alias)| alias.as_str()));
        if let (Some(name), Some(alias)) = (name, alias) {
            named.insert(function, (name, alias, wanted.package_type));
        }
    }
    let changes = values.get("resource_changes").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let publishes_otherwise = changes.iter().any(|change| kind(change).ends_with("lambda_version"));
    for change in changes.iter().filter(|change| change.get("mode").is_none_or(|mode| mode == "managed")) {
        let after = change.pointer("/change/after").unwrap_or(&Value::Null);
        let text = |name: &str| after.get(name).and_then(Value::as_str).unwrap_or_default();
        let owner = named.iter().find(|(_, (name, ..))| is_named(text("function_name"), name));
        let Some((function, (_, alias, package_type))) = owner else { continue };
        let address = change.get("address").and_then(Value::as_str).unwrap_or_default();
        if kind(change) == ALIAS && text("name") == *alias && moves(change) {
            return Err(Failure::refused(format!(
                "the plan would move the alias `{alias}` of `{function}` ({address}): its new version would serve before it is verified"
            ))
            .hint(ignore_hint()));
        }
        if kind(change) != FUNCTION {
            continue;
        }
        let actions = change.pointer("/change/actions").and_then(Value::as_array);
        let changes = actions.is_some_and(|actions| actions.iter().any(|action| action != "no-op"));
        if changes && after.get("publish") == Some(&Value::Bool(false)) && !publishes_otherwise {
            return Err(Failure::refused(format!(
                "{address} publishes no version of `{function}` (publish = false), so `{UNPUBLISHED}` would serve before anything is tried"
            ))
            .hint(format!("write in {address}: publish = true")));
        }
        let found = after.get("package_type").and_then(Value::as_str);
        if let Some(found) = found.filter(|found| found != package_type) {
            return Err(Failure::refused(format!(
                "{address} has package_type = \"{found}\", but the release of `{function}` is {}",
                if *package_type == "Zip" { "a zip" } else { "an image" }
            ))
            .hint(format!("write in {address}: package_type = \"{package_type}\"")));
        }
    }
    let place = |(function, (name, alias, _)): (&&FunctionName, &(&str, &str, &str))| {
        ((*function).clone(), ((*name).to_owned(), (*alias).to_owned()))
    };
    Ok(named.iter().map(place).collect())
}

fn kind(change: &Value) -> &str {
    change.get("type").and_then(Value::as_str).unwrap_or_default()
}

fn is_deleted(output: &Value) -> bool {
    output.pointer("/actions/0").and_then(Value::as_str) == Some("delete")
}

/// Tells whether a planned change of an alias that exists points it elsewhere.
fn moves(change: &Value) -> bool {
    let change = &change["change"];
    let updates = change["actions"].as_array().is_some_and(|actions| actions == &["update"]);
    updates
        && ["function_version", "routing_config"].into_iter().any(|attribute| {
            let is_unknown = change["after_unknown"].get(attribute).is_some_and(holds_true);
            is_unknown || change["before"].get(attribute) != change["after"].get(attribute)
        })
}

/// Tells whether any part of a value is unknown: the mark of an unknown part is `true`.
fn holds_true(value: &Value) -> bool {
    match value {
        Value::Bool(unknown) => *unknown,
        Value::Array(items) => items.iter().any(holds_true),
        Value::Object(members) => members.values().any(holds_true),
        _ => false,
    }
}

/// What a plan says about one function in the output `functions`.
#[derive(PartialEq)]
enum Output<'a> {
    /// It is not there.
    Missing,
    /// It is not known before the apply.
    Unknown,
    /// Its known members.
    Known(&'a Value),
}

impl<'a> Output<'a> {
    fn of(output: &'a Value, function: &FunctionName) -> Self {
        let unknown = &output["after_unknown"];
        match output["after"].get(function.as_str()) {
            Some(known) if !known.is_null() => Self::Known(known),
            _ if *unknown == Value::Bool(true) || unknown.get(function.as_str()).is_some_and(holds_true) => {
                Self::Unknown
            }
            _ => Self::Missing,
        }
    }

    fn text(&self, member: &str) -> Option<&'a str> {
        match self {
            Self::Known(known) => known.get(member).and_then(Value::as_str),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
