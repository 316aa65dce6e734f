//! Values that a stack takes from other stacks' outputs, read from those stacks' states.
//!
//! In: which output fills which variable. Out: the values, and digests that show a later change. Errors: the other stack is
//! not applied, or has no output of that name.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Applied;
use super::state::read_state;
use crate::digest::Digest;
use crate::failure::{Failure, Result};
use crate::name::{EnvironmentName, StackName};
use crate::ports::Store;
use crate::settings::StackOutput;

/// One value from another stack.
#[derive(Debug, Clone)]
pub(crate) struct StackInput {
    /// The stack and output that it comes from.
    pub(crate) from: StackOutput,
    /// The value.
    pub(crate) value: Value,
    /// Whether Terraform hides it.
    pub(crate) sensitive: bool,
}

/// Values from other stacks, by the variable that they fill.
pub(crate) type StackInputs = BTreeMap<String, StackInput>;

/// Reads the values that a stack takes from other stacks.
pub(crate) async fn read_inputs(
    store: &dyn Store,
    stack: &StackName,
    environment: &EnvironmentName,
    wanted: &BTreeMap<String, StackOutput>,
) -> Result<StackInputs> {
    let mut states: BTreeMap<&StackName, Value> = BTreeMap::new();
    let mut inputs = StackInputs::new();
    for (variable, from) in wanted {
        if !states.contains_key(&from.stack) {
            let state = read_state(store, &from.stack).await?.map(|(_, state)| state);
            states.insert(&from.stack, state.ok_or_else(|| not_applied(stack, environment, from))?);
        }
        let state = &states[&from.stack];
        let output = state.get("outputs").and_then(|outputs| outputs.get(&from.output));
        let output = output.ok_or_else(|| no_output(stack, environment, variable, from, state))?;
        inputs.insert(
            variable.clone(),
            StackInput {
                from: from.clone(),
                value: output.get("value").cloned().unwrap_or_default(),
                sensitive: output.get("sensitive").and_then(Value::as_bool).unwrap_or_default(),
            },
        );
    }
    Ok(inputs)
}

/// Reads a stack's outputs from its state; `None` if it is not applied.
pub(crate) async fn read_outputs(store: &dyn Store, stack: &StackName) -> Result<Option<Applied>> {
    let Some((_, state)) = read_state(store, stack).await? else { return Ok(None) };
    let outputs = state.get("outputs").cloned().unwrap_or_else(|| Value::Object(Default::default()));
    let outputs = serde_json::from_value(outputs).map_err(|error| {
        Failure::failed(format!("the outputs in the state of `{stack}` cannot be read")).caused_by(error)
    })?;
    Ok(Some(Applied { outputs }))
}

/// Returns a digest of each value, so that a later run notices a change; sensitive values are left out.
pub(crate) fn input_digests(inputs: &StackInputs) -> BTreeMap<String, Digest> {
    inputs
        .iter()
        .filter(|(_, input)| !input.sensitive)
        .map(|(variable, input)| (variable.clone(), Digest::of(input.value.to_string().as_bytes())))
        .collect()
}

fn not_applied(stack: &StackName, environment: &EnvironmentName, from: &StackOutput) -> Failure {
    Failure::failed(format!("`{stack}` takes `{from}`, but `{}` is not applied in {environment}", from.stack))
        .unchanged(format!("Nothing was changed in `{stack}`."))
        .hint(format!("cargo xtask deploy --stack {} --env {environment}", from.stack))
}

fn no_output(
    stack: &StackName,
    environment: &EnvironmentName,
    variable: &str,
    from: &StackOutput,
    state: &Value,
) -> Failure {
    let names = state.get("outputs").and_then(Value::as_object);
    let names = crate::format::list(names.into_iter().flat_map(|outputs| outputs.keys().map(String::as_str)));
    let names = if names.is_empty() { "nothing".to_owned() } else { names };
    Failure::usage(format!(
        "terraform/stacks/{stack}/stack.toml: `{variable} = \"{from}\"` names an output that `{}` does not have in {environment}",
        from.stack
    ))
    .detail("puts out", names)
    .unchanged(format!("Nothing was changed in `{stack}`."))
    .hint(format!(
        "if the output is new: cargo xtask deploy --stack {} --env {environment}",
        from.stack
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::FailureKind;
    use crate::fakes::FakeStore;

    async fn read(outputs: &str, from: &str) -> Result<StackInputs> {
        let store = FakeStore::new("state", Default::default());
        if !outputs.is_empty() {
            let state = format!("{{\"lineage\":\"l\",\"serial\":1,\"outputs\":{outputs}}}");
            store.set("network.tfstate", state);
        }
        let (network, output) = from.split_once('.').unwrap();
        let from = StackOutput { stack: network.parse().unwrap(), output: output.to_owned() };
        let wanted = BTreeMap::from([("subnets".to_owned(), from)]);
        read_inputs(store.as_ref(), &"app".parse().unwrap(), &"dev".parse().unwrap(), &wanted).await
    }

    #[tokio::test]
    async fn input_keeps_its_value_and_a_change_changes_its_digest() {
        let first =
            read(r#"{"ids":{"value":["a","b"],"type":["list","string"]}}"#, "network.ids").await.unwrap();
        assert_eq!(first["subnets"].value, serde_json::json!(["a", "b"]));
        let other = read(r#"{"ids":{"value":["a"]}}"#, "network.ids").await.unwrap();
        assert_ne!(input_digests(&first), input_digests(&other));
        let secret = read(r#"{"ids":{"value":"x","sensitive":true}}"#, "network.ids").await.unwrap();
        assert!(secret["subnets"].sensitive && input_digests(&secret).is_empty());
    }

    #[tokio::test]
    async fn input_from_a_missing_stack_or_output_is_named() {
        let failure = read("", "network.ids").await.unwrap_err();
        assert_eq!(failure.message(), "`app` takes `network.ids`, but `network` is not applied in dev");
        let failure = read(r#"{"vpc":{"value":1}}"#, "network.ids").await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Usage);
        assert_eq!(failure.report().details[0].value, "vpc");
    }
}
