//! Delivers to several stacks of one environment: dependencies first, independent stacks in parallel.
//!
//! In: the request for each stack; a stack without one is planned only if a value that it takes from another stack changed.
//! Out: the result of each delivery. Errors: a stack that depends on a failed one is not started; independent stacks
//! continue, and running the same command again continues from there.

use std::collections::{BTreeMap, BTreeSet};

use super::{Delivered, DeployRequest, EnvironmentStack, Intent, Route, deliver};
use crate::failure::{Failure, Result};
use crate::format;
use crate::graph::{self, Task, TaskResult};
use crate::interrupt::Interrupt;
use crate::ledger::DeploymentKind;
use crate::name::StackName;
use crate::plan;
use crate::settings::{self, StackSettings};

/// How many stacks are planned and applied in parallel: each needs half a gigabyte while the provider runs.
const AT_ONCE: usize = 4;

/// A delivery to one stack of several.
pub(crate) struct StackDelivery {
    /// The stack.
    pub(crate) stack: EnvironmentStack,
    /// What to deploy; `None` if the stack is only updated when its values from other stacks changed.
    pub(crate) request: Option<DeployRequest>,
}

/// Result of delivering to several stacks.
pub(crate) struct DeliveryResults {
    /// The successful deliveries, in order.
    pub(crate) delivered: Vec<Delivered>,
    /// The failure, if not all were successful.
    pub(crate) failure: Option<Failure>,
}

/// Orders requests by the dependencies of their stacks, and adds the stacks that use the outputs of a requested one, without
/// a request.
pub(crate) fn in_order(
    stacks: &BTreeMap<StackName, StackSettings>,
    mut requests: BTreeMap<StackName, DeployRequest>,
) -> Vec<(StackName, Option<DeployRequest>)> {
    let requested: BTreeSet<StackName> = requests.keys().cloned().collect();
    let dependents = settings::downstream(stacks, &requested);
    settings::apply_order(stacks)
        .into_iter()
        .filter(|stack| requested.contains(stack) || dependents.contains(stack))
        .map(|stack| {
            let request = requests.remove(&stack);
            (stack, request)
        })
        .collect()
}

/// Delivers to several stacks.
pub(crate) async fn deliver_all(deliveries: &[StackDelivery], interrupt: &Interrupt) -> DeliveryResults {
    let here: BTreeSet<&StackName> = deliveries.iter().map(|delivery| delivery.stack.name()).collect();
    let tasks = deliveries
        .iter()
        .map(|delivery| {
            let after = delivery.stack.settings.upstream();
            let after = after.iter().filter(|name| here.contains(name)).map(ToString::to_string).collect();
            Task::new(delivery.stack.name().to_string(), after, deliver_one(delivery))
        })
        .collect();
    let (mut delivered, mut failed, mut not_started) = (Vec::new(), Vec::new(), Vec::new());
    for (stack, end) in graph::run(tasks, AT_ONCE, interrupt).await {
        match end {
            TaskResult::Done(done) => delivered.extend(done),
            TaskResult::Failed(failure) => failed.push((stack, failure)),
            TaskResult::NotStarted(after) => not_started.push(format!("{stack} (needs {after})")),
        }
    }
    let failure = combined_failure(failed, not_started, deliveries.len(), &delivered);
    DeliveryResults { delivered, failure }
}

async fn deliver_one(delivery: &StackDelivery) -> Result<Option<Delivered>> {
    let stack = &delivery.stack;
    if let Some(request) = &delivery.request {
        return deliver(stack, request).await.map(Some);
    }
    let Some(last) = stack.ledger.head().await?.last else { return Ok(None) };
    let inputs = stack.inputs(&stack.root).await?;
    // Nothing is recorded about sensitive values, so only a plan can tell.
    if plan::input_digests(&inputs) == last.inputs && inputs.values().all(|input| !input.sensitive) {
        return Ok(None);
    }
    let request = DeployRequest {
        kind: DeploymentKind::Deploy,
        releases: Default::default(),
        lift_hold: true,
        always_plan: false,
        intent: Intent { route: Route::ChangedInputs, ..Intent::default() },
    };
    deliver(stack, &request).await.map(Some)
}

/// Returns the first failure in full, with a line about each of the other stacks; `None` if none failed.
fn combined_failure(
    mut failed: Vec<(String, Failure)>,
    not_started: Vec<String>,
    stacks: usize,
    delivered: &[Delivered],
) -> Option<Failure> {
    if failed.is_empty() {
        return None;
    }
    let (stack, mut failure) = failed.remove(0);
    if stacks == 1 {
        return Some(failure);
    }
    failure = failure.detail("stack", stack);
    for (stack, other) in &failed {
        failure = failure.detail("also failed", format!("{stack}: {}", other.message()));
    }
    if !not_started.is_empty() {
        failure = failure.detail("not started", format::list(not_started));
    }
    let successful: Vec<&str> = delivered.iter().map(|delivered| delivered.stack.as_str()).collect();
    if !successful.is_empty() {
        failure = failure.detail("delivered", format::list(successful));
    }
    Some(failure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::StackOutput;

    #[test]
    fn requests_are_ordered_with_the_stacks_that_use_their_outputs() {
        let name = |text: &str| text.parse::<StackName>().unwrap();
        let uses = |stack: &str| StackSettings {
            inputs: BTreeMap::from([(
                "x".to_owned(),
                StackOutput { stack: name(stack), output: "x".into() },
            )]),
            ..StackSettings::default()
        };
        let stacks = BTreeMap::from([
            (name("app"), uses("network")),
            (name("network"), StackSettings::default()),
            (name("unrelated"), StackSettings::default()),
        ]);
        let request = || DeployRequest {
            kind: DeploymentKind::Deploy,
            releases: BTreeMap::new(),
            lift_hold: false,
            always_plan: false,
            intent: Intent::default(),
        };
        let ordered = in_order(&stacks, BTreeMap::from([(name("network"), request())]));
        let ordered: Vec<(&str, bool)> =
            ordered.iter().map(|(stack, request)| (stack.as_str(), request.is_some())).collect();
        assert_eq!(ordered, [("network", true), ("app", false)]);
        let both = BTreeMap::from([(name("app"), request()), (name("network"), request())]);
        assert!(in_order(&stacks, both).iter().all(|(_, request)| request.is_some()));
    }
}
