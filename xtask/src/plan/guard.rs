//! Guards on a plan: what it may not remove.

use globset::GlobBuilder;
use serde_json::Value;

use super::Planned;
use crate::failure::{Failure, Result};
use crate::name::StackName;

/// Returns the protected addresses that a plan would remove.
pub(crate) fn removed_protected_addresses(
    stack: &StackName,
    protect: &[String],
    planned: &Planned,
) -> Result<Vec<String>> {
    let mut addresses: Vec<String> =
        removed(stack, protect, planned)?.into_iter().map(|(address, _)| address).collect();
    addresses.sort_unstable();
    addresses.dedup();
    Ok(addresses)
}

/// Returns the protected addresses that a plan would remove, each with the pattern that protects it.
pub(super) fn removed(
    stack: &StackName,
    protect: &[String],
    planned: &Planned,
) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for pattern in protect {
        // Brackets are part of an address (`x[0]`), so only `*` keeps its meaning.
        let escaped: String = pattern
            .chars()
            .map(|c| if "?[]{}!\\".contains(c) { format!("\\{c}") } else { c.to_string() })
            .collect();
        let glob = GlobBuilder::new(&escaped).backslash_escape(true).build().map_err(|error| {
            Failure::usage(format!(
                "terraform/stacks/{stack}/stack.toml: `{pattern}` in `protect` is not a valid pattern"
            ))
            .caused_by(error)
        })?;
        let matcher = glob.compile_matcher();
        let within_module =
            |address: &str| address.match_indices('.').any(|(at, _)| matcher.is_match(&address[at + 1..]));
        let gone = planned.changes.iter().filter(|change| {
            change.action.removes() && (matcher.is_match(&change.address) || within_module(&change.address))
        });
        found.extend(gone.map(|change| (change.address.clone(), pattern.clone())));
    }
    Ok(found)
}

/// Returns the addresses in a plan that do not belong to the named Lambda functions, according to the state.
pub(crate) fn unrelated_addresses(
    planned: &Planned,
    state: &Value,
    function_names: &[String],
) -> Vec<String> {
    let allowed = addresses_of(state, function_names);
    planned
        .changes
        .iter()
        .map(|change| change.address.clone())
        .filter(|address| !allowed.contains(address))
        .collect()
}

/// Returns the addresses in a state of the Lambda functions with these names, and of their aliases.
fn addresses_of(state: &Value, function_names: &[String]) -> Vec<String> {
    let named = |attributes: &Value| {
        let own = attributes.get("function_name").and_then(Value::as_str);
        own.is_some_and(|own| function_names.iter().any(|name| name == own))
    };
    let instances = instances(state).into_iter();
    instances.filter(|(_, _, attributes)| named(attributes)).map(|(_, address, _)| address).collect()
}

/// Returns the Lambda functions and aliases in a state: type, address and attributes of each.
pub(super) fn instances(state: &Value) -> Vec<(&str, String, &Value)> {
    let mut found = Vec::new();
    for resource in state.get("resources").and_then(Value::as_array).into_iter().flatten() {
        let text = |name: &str| resource.get(name).and_then(Value::as_str);
        let (Some(kind @ ("aws_lambda_function" | "aws_lambda_alias")), Some(name)) =
            (text("type"), text("name"))
        else {
            continue;
        };
        if text("mode") == Some("data") {
            continue;
        }
        let module = text("module").map(|module| format!("{module}.")).unwrap_or_default();
        for instance in resource.get("instances").and_then(Value::as_array).into_iter().flatten() {
            let index = match instance.get("index_key") {
                Some(Value::String(key)) => format!("[{key:?}]"),
                Some(Value::Number(number)) => format!("[{number}]"),
                _ => String::new(),
            };
            if let Some(attributes) = instance.get("attributes") {
                found.push((kind, format!("{module}{kind}.{name}{index}"), attributes));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Action, Change, SavedPlan};

    fn planned(changes: &[(&str, Action)]) -> Planned {
        let changes = changes
            .iter()
            .map(|(address, action)| Change { address: (*address).into(), action: *action, reason: None })
            .collect();
        Planned {
            changes,
            drift: Vec::new(),
            outputs_change: false,
            file: SavedPlan::of_temporary_folder(),
            warnings: Vec::new(),
        }
    }

    #[test]
    fn protected_addresses_may_change_but_not_be_removed() {
        let stack: StackName = "tracer".parse().unwrap();
        let protect = vec!["aws_dynamodb_table.*".to_owned(), "aws_s3_bucket.a[0]".to_owned()];
        for fine in [
            ("aws_dynamodb_table.t", Action::Update),
            ("aws_sqs_queue.q", Action::Delete),
            ("aws_s3_bucket.a[1]", Action::Delete),
        ] {
            assert!(removed(&stack, &protect, &planned(&[fine])).unwrap().is_empty(), "{fine:?}");
        }
        for wrong in [
            ("aws_dynamodb_table.t", Action::Replace),
            ("module.a[\"x\"].aws_dynamodb_table.t", Action::Delete),
            ("aws_s3_bucket.a[0]", Action::Forget),
        ] {
            assert_eq!(removed(&stack, &protect, &planned(&[wrong])).unwrap()[0].0, wrong.0);
        }
    }

    #[test]
    fn unrelated_addresses_are_all_but_the_named_functions_and_aliases() {
        let state = serde_json::json!({"resources": [
            {"module": "module.hello", "type": "aws_lambda_function", "name": "this", "instances": [{"attributes": {"function_name": "p-hello"}}]},
            {"type": "aws_lambda_function", "name": "many", "instances": [{"index_key": "b", "attributes": {"function_name": "p-b"}}]},
            {"type": "aws_iam_role", "name": "r", "instances": [{"attributes": {"name": "p-hello"}}]},
        ]});
        let plan = planned(&[
            ("module.hello.aws_lambda_function.this", Action::Update),
            ("aws_lambda_function.many[\"b\"]", Action::Update),
            ("aws_iam_role.r", Action::Update),
        ]);
        assert_eq!(
            unrelated_addresses(&plan, &state, &["p-hello".into()]),
            ["aws_lambda_function.many[\"b\"]", "aws_iam_role.r"]
        );
    }
}
