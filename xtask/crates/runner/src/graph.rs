//! Runs an acyclic graph of tasks in parallel, with a limit. What depends on a failed task is not started.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;

use crate::interrupt::Interrupt;
use slipway_values::failure::{Failure, Result};

/// A named task and the tasks that must succeed before it.
pub struct Task<'a, T> {
    name: String,
    after: BTreeSet<String>,
    work: Pin<Box<dyn Future<Output = Result<T>> + 'a>>,
}

impl<'a, T> Task<'a, T> {
    /// Makes a task that runs `work` after the tasks named in `after`.
    pub fn new(name: String, after: BTreeSet<String>, work: impl Future<Output = Result<T>> + 'a) -> Self {
        Self { name, after, work: Box::pin(work) }
    }
}

/// Result of one task.
#[derive(Debug)]
pub enum TaskResult<T> {
    /// It succeeded.
    Done(T),
    /// It failed, or was interrupted before it began.
    Failed(Failure),
    /// It was not started because the named task did not succeed.
    NotStarted(String),
}

impl<T> TaskResult<T> {
    fn new(result: Result<T>) -> Self {
        result.map_or_else(Self::Failed, Self::Done)
    }

    /// Converts to a result.
    pub fn into_result(self) -> Result<T> {
        match self {
            Self::Done(value) => Ok(value),
            Self::Failed(failure) => Err(failure),
            Self::NotStarted(after) => {
                Err(Failure::failed(format!("not started: `{after}` did not succeed")))
            }
        }
    }

    fn is_done(&self) -> bool {
        matches!(self, Self::Done(_))
    }
}

/// Runs all tasks, at most `limit` at once; results come in the order of the tasks.
///
/// A task whose predecessor did not succeed is not started; independent tasks continue.
pub async fn run<T>(
    tasks: Vec<Task<'_, T>>,
    limit: usize,
    interrupt: &Interrupt,
) -> Vec<(String, TaskResult<T>)> {
    let order: Vec<String> = tasks.iter().map(|task| task.name.clone()).collect();
    let mut waiting: Vec<Task<'_, T>> = tasks;
    let mut results: BTreeMap<String, TaskResult<T>> = BTreeMap::new();
    let mut running = FuturesUnordered::new();
    loop {
        let (mut rest, settled) = (Vec::new(), results.len());
        for task in waiting {
            let result_of = |name: &String| results.get(name);
            let failed =
                task.after.iter().find(|name| result_of(name).is_some_and(|result| !result.is_done()));
            let ready = task.after.iter().all(|name| result_of(name).is_some_and(TaskResult::is_done));
            if let Some(failed) = failed {
                results.insert(task.name, TaskResult::NotStarted(failed.clone()));
            } else if let Err(failure) = interrupt.check() {
                results.insert(task.name, TaskResult::Failed(failure));
            } else if ready && running.len() < limit {
                let name = task.name;
                running.push(async move { (name, task.work.await) });
            } else {
                rest.push(task);
            }
        }
        waiting = rest;
        if results.len() > settled {
            // A failure may decide tasks that are earlier in the list.
            continue;
        }
        match running.next().await {
            Some((name, result)) => {
                results.insert(name, TaskResult::new(result));
            }
            None if waiting.is_empty() => break,
            None => {
                // No task runs and none is ready: the rest waits in a circle or for a task that does not exist.
                for task in waiting.drain(..) {
                    let failure =
                        Failure::defect(format!("`{}` waits for a task that never runs", task.name));
                    results.insert(task.name, TaskResult::Failed(failure));
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

    fn task<'a>(name: &str, after: &[&str], work: impl Future<Output = Result<()>> + 'a) -> Task<'a, ()> {
        Task::new(name.to_owned(), after.iter().map(|name| (*name).to_owned()).collect(), work)
    }

    #[tokio::test]
    async fn tasks_respect_order_limit_and_failed_predecessors() {
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
        let tasks = vec![
            task("app", &["network"], work("app", true)),
            task("network", &[], work("network", true)),
            task("bad", &[], work("bad", false)),
            task("after-bad", &["bad"], work("after-bad", true)),
            task("alone", &[], work("alone", true)),
        ];
        let results = run(tasks, 2, &Interrupt::never()).await;
        let names: Vec<(&str, bool)> =
            results.iter().map(|(name, end)| (name.as_str(), end.is_done())).collect();
        assert_eq!(
            names,
            [("app", true), ("network", true), ("bad", false), ("after-bad", false), ("alone", true)]
        );
        assert!(matches!(&results[3].1, TaskResult::NotStarted(after) if after == "bad"));
        let done = done.borrow();
        let at = |name| done.iter().position(|other| *other == name);
        assert!(at("network") < at("app") && at("after-bad").is_none());
        assert_eq!(most.get(), 2);
    }

    #[tokio::test]
    async fn circle_of_tasks_is_a_defect_and_does_not_hang() {
        let tasks = vec![task("a", &["b"], async { Ok(()) }), task("b", &["a"], async { Ok(()) })];
        let results =
            tokio::time::timeout(Duration::from_secs(5), run(tasks, 2, &Interrupt::never())).await.unwrap();
        assert!(results.iter().all(|(_, end)| matches!(end, TaskResult::Failed(_))));
    }
}
