//! Several stacks of one environment: in the order of their needs, independent ones at the same time.
//!
//! In: what is to be delivered where, and which stacks only follow. Out: what each delivery came to. A stack that follows
//! is planned only where a value that it takes from another stack changed. Goes wrong: what depends on a stack that failed
//! is not started; what is independent goes on, and the same command run again carries on from there.

use std::collections::BTreeSet;

use super::{Delivered, DeployRequest, EnvironmentStack, deliver};
use crate::failure::{Failure, Result};
use crate::format;
use crate::graph::{self, Task, TaskResult};
use crate::interrupt::Interrupt;
use crate::ledger::DeploymentKind;
use crate::name::StackName;
use crate::plan;

/// How many stacks are planned and applied at the same time: each takes half a gigabyte while the provider runs.
const AT_ONCE: usize = 4;

/// One stack of several.
pub(crate) struct StackDelivery {
    /// The stack.
    pub(crate) stack: EnvironmentStack,
    /// What is delivered to it; nothing where it only follows what it takes from other stacks.
    pub(crate) request: Option<DeployRequest>,
}

/// Result of delivering to several stacks.
pub(crate) struct DeliveryResults {
    /// What was delivered, in the order of the deliveries.
    pub(crate) delivered: Vec<Delivered>,
    /// Why not all was.
    pub(crate) failure: Option<Failure>,
}

/// Delivers to several stacks.
pub(crate) async fn deliver_all(deliveries: &[StackDelivery], interrupt: &Interrupt) -> DeliveryResults {
    let here: BTreeSet<&StackName> = deliveries.iter().map(|delivery| delivery.stack.name()).collect();
    let tasks = deliveries
        .iter()
        .map(|delivery| {
            let after = delivery.stack.settings.upstream();
            let after = after.iter().filter(|name| here.contains(name)).map(ToString::to_string).collect();
            Task::new(delivery.stack.name().to_string(), after, one(delivery))
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

async fn one(delivery: &StackDelivery) -> Result<Option<Delivered>> {
    let stack = &delivery.stack;
    if let Some(request) = &delivery.request {
        return deliver(stack, request).await.map(Some);
    }
    let Some(last) = stack.ledger.head().await?.last else { return Ok(None) };
    let inputs = stack.inputs(&stack.root).await?;
    // Of a sensitive value nothing is kept, so that only a plan can tell.
    if plan::input_digests(&inputs) == last.inputs && inputs.values().all(|input| !input.sensitive) {
        return Ok(None);
    }
    let request = DeployRequest {
        kind: DeploymentKind::Deploy,
        releases: Default::default(),
        lift_hold: true,
        always_plan: false,
    };
    deliver(stack, &request).await.map(Some)
}

/// Returns the first failure in full, with a line about each of the other stacks; nothing where none failed.
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
        failure = failure.detail("failed too", format!("{stack}: {}", other.message()));
    }
    if !not_started.is_empty() {
        failure = failure.detail("not started", format::list(not_started));
    }
    let stand: Vec<&str> = delivered.iter().map(|delivered| delivered.stack.as_str()).collect();
    if !stand.is_empty() {
        failure = failure.detail("as asked for", format::list(stand));
    }
    Some(failure)
}
