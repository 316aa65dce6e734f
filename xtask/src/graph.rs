//! Runs an acyclic graph of work in parallel: a limit, cancelling, failing. It knows no domain.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;

use crate::failure::{Failure, Outcome};
use crate::interrupt::Interrupt;

/// One piece of work, by name, and what must be done before it.
pub(crate) struct Node<'a, T> {
    name: String,
    after: BTreeSet<String>,
    work: Pin<Box<dyn Future<Output = Outcome<T>> + 'a>>,
}

impl<'a, T> Node<'a, T> {
    /// Makes a piece of work.
    pub(crate) fn new(
        name: String,
        after: BTreeSet<String>,
        work: impl Future<Output = Outcome<T>> + 'a,
    ) -> Self {
        Self { name, after, work: Box::pin(work) }
    }
}

/// What became of one piece of work.
#[derive(Debug)]
pub(crate) enum End<T> {
    /// It was done.
    Done(T),
    /// It failed, or was interrupted before it began.
    Failed(Failure),
    /// It was not started, because this one, by name, was not done.
    NotStarted(String),
}

impl<T> End<T> {
    fn of(outcome: Outcome<T>) -> Self {
        outcome.map_or_else(Self::Failed, Self::Done)
    }

    /// Makes an outcome of it, for graphs without edges.
    pub(crate) fn outcome(self) -> Outcome<T> {
        match self {
            Self::Done(value) => Ok(value),
            Self::Failed(failure) => Err(failure),
            Self::NotStarted(after) => Err(Failure::failed(format!("not started: `{after}` was not done"))),
        }
    }

    fn is_done(&self) -> bool {
        matches!(self, Self::Done(_))
    }
}

/// Runs all nodes, at most `limit` at once; results come in the order of the nodes.
///
/// What depends on a node that was not done is not started; what is independent goes on.
pub(crate) async fn run<T>(
    nodes: Vec<Node<'_, T>>,
    limit: usize,
    interrupt: &Interrupt,
) -> Vec<(String, End<T>)> {
    let order: Vec<String> = nodes.iter().map(|node| node.name.clone()).collect();
    let mut waiting: Vec<Node<'_, T>> = nodes;
    let mut results: BTreeMap<String, End<T>> = BTreeMap::new();
    let mut running = FuturesUnordered::new();
    loop {
        let (mut rest, settled) = (Vec::new(), results.len());
        for node in waiting {
            let end_of = |name: &String| results.get(name);
            let failed = node.after.iter().find(|name| end_of(name).is_some_and(|end| !end.is_done()));
            let ready = node.after.iter().all(|name| end_of(name).is_some_and(End::is_done));
            if let Some(failed) = failed {
                results.insert(node.name, End::NotStarted(failed.clone()));
            } else if let Err(failure) = interrupt.check() {
                results.insert(node.name, End::Failed(failure));
            } else if ready && running.len() < limit {
                let name = node.name;
                running.push(async move { (name, node.work.await) });
            } else {
                rest.push(node);
            }
        }
        waiting = rest;
        if results.len() > settled {
            // What failed here may settle others that stand earlier in the list.
            continue;
        }
        match running.next().await {
            Some((name, result)) => {
                results.insert(name, End::of(result));
            }
            None if waiting.is_empty() => break,
            None => {
                // Nothing runs although there was room: what is left waits in a circle or for a name that does not exist.
                for node in waiting.drain(..) {
                    let failure =
                        Failure::defect(format!("`{}` waits for something that never runs", node.name));
                    results.insert(node.name, End::Failed(failure));
                }
            }
        }
    }
    order.into_iter().filter_map(|name| results.remove(&name).map(|result| (name, result))).collect()
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::time::Duration;

    use super::*;

    fn node<'a>(name: &str, after: &[&str], work: impl Future<Output = Outcome<()>> + 'a) -> Node<'a, ()> {
        Node::new(name.to_owned(), after.iter().map(|name| (*name).to_owned()).collect(), work)
    }

    #[tokio::test]
    async fn order_limit_and_failure_hold() {
        let (done, now, most) = (RefCell::new(Vec::new()), Cell::new(0), Cell::new(0));
        let (done, now, most) = (&done, &now, &most);
        let work = |name: &'static str, good: bool| async move {
            now.set(now.get() + 1);
            most.set(most.get().max(now.get()));
            tokio::time::sleep(Duration::from_millis(5)).await;
            now.set(now.get() - 1);
            done.borrow_mut().push(name);
            if good { Ok(()) } else { Err(Failure::failed("broken")) }
        };
        let nodes = vec![
            node("app", &["network"], work("app", true)),
            node("network", &[], work("network", true)),
            node("bad", &[], work("bad", false)),
            node("after-bad", &["bad"], work("after-bad", true)),
            node("alone", &[], work("alone", true)),
        ];
        let results = run(nodes, 2, &Interrupt::never()).await;
        let names: Vec<(&str, bool)> =
            results.iter().map(|(name, end)| (name.as_str(), end.is_done())).collect();
        assert_eq!(
            names,
            [("app", true), ("network", true), ("bad", false), ("after-bad", false), ("alone", true)]
        );
        assert!(matches!(&results[3].1, End::NotStarted(after) if after == "bad"));
        let done = done.borrow();
        let at = |name| done.iter().position(|other| *other == name);
        assert!(at("network") < at("app") && at("after-bad").is_none());
        assert_eq!(most.get(), 2);
    }

    #[tokio::test]
    async fn a_circle_is_a_defect_and_never_hangs() {
        let nodes = vec![node("a", &["b"], async { Ok(()) }), node("b", &["a"], async { Ok(()) })];
        let results =
            tokio::time::timeout(Duration::from_secs(5), run(nodes, 2, &Interrupt::never())).await.unwrap();
        assert!(results.iter().all(|(_, end)| matches!(end, End::Failed(_))));
    }
}
