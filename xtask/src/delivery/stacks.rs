//! Several stacks of one environment: in the order of their needs, independent ones at the same time.
//!
//! In: what is to be delivered where, and which stacks only follow. Out: what each delivery came to. A stack that follows
//! is planned only where a value that it takes from another stack changed. Goes wrong: what depends on a stack that failed
//! is not started; what is independent goes on, and the same command run again carries on from there.

use std::collections::BTreeSet;

use super::{Delivered, Order, Site, deliver};
use crate::failure::{Failure, Outcome};
use crate::graph::{self, End, Node};
use crate::interrupt::Interrupt;
use crate::ledger::Kind;
use crate::name::StackName;
use crate::plan;
use crate::words;

/// How many stacks are planned and applied at the same time: each takes half a gigabyte while the provider runs.
const AT_ONCE: usize = 4;

/// One stack of several.
pub(crate) struct Part {
    /// The stack.
    pub(crate) site: Site,
    /// What is delivered to it; nothing where it only follows what it takes from other stacks.
    pub(crate) order: Option<Order>,
}

/// What delivering several stacks came to.
pub(crate) struct Together {
    /// What was delivered, in the order of the parts.
    pub(crate) delivered: Vec<Delivered>,
    /// Why not all was.
    pub(crate) failure: Option<Failure>,
}

/// Delivers to several stacks.
pub(crate) async fn deliver_all(parts: &[Part], interrupt: &Interrupt) -> Together {
    let here: BTreeSet<&StackName> = parts.iter().map(|part| &part.site.stack).collect();
    let nodes = parts
        .iter()
        .map(|part| {
            let after = part.site.stack_settings.upstream();
            let after = after.iter().filter(|name| here.contains(name)).map(ToString::to_string).collect();
            Node::new(part.site.stack.to_string(), after, one(part))
        })
        .collect();
    let (mut delivered, mut failed, mut not_started) = (Vec::new(), Vec::new(), Vec::new());
    for (stack, end) in graph::run(nodes, AT_ONCE, interrupt).await {
        match end {
            End::Done(done) => delivered.extend(done),
            End::Failed(failure) => failed.push((stack, failure)),
            End::NotStarted(after) => not_started.push(format!("{stack} (needs {after})")),
        }
    }
    let failure = told(failed, not_started, parts.len(), &delivered);
    Together { delivered, failure }
}

async fn one(part: &Part) -> Outcome<Option<Delivered>> {
    let site = &part.site;
    if let Some(order) = &part.order {
        return deliver(site, order).await.map(Some);
    }
    let Some(last) = site.ledger.head().await?.last else { return Ok(None) };
    let inputs = site.inputs(&site.root).await?;
    // Of a sensitive value nothing is kept, so that only a plan can tell.
    if plan::input_digests(&inputs) == last.inputs && inputs.values().all(|input| !input.sensitive) {
        return Ok(None);
    }
    let order =
        Order { kind: Kind::Deploy, targets: Default::default(), lift_hold: true, always_plan: false };
    deliver(site, &order).await.map(Some)
}

/// Tells of the first failure with all that it has to say, and what became of the other stacks.
fn told(
    mut failed: Vec<(String, Failure)>,
    not_started: Vec<String>,
    parts: usize,
    delivered: &[Delivered],
) -> Option<Failure> {
    if failed.is_empty() {
        return None;
    }
    let (stack, mut failure) = failed.remove(0);
    if parts == 1 {
        return Some(failure);
    }
    failure = failure.detail("stack", stack);
    for (stack, other) in &failed {
        failure = failure.detail("failed too", format!("{stack}: {}", other.message()));
    }
    if !not_started.is_empty() {
        failure = failure.detail("not started", words::list(not_started));
    }
    let stand: Vec<&str> = delivered.iter().map(|delivered| delivered.stack.as_str()).collect();
    if !stand.is_empty() {
        failure = failure.detail("as asked for", words::list(stand));
    }
    Some(failure)
}
