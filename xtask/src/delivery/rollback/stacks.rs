//! Rolls back a stack as a request says, and finds the stack of an environment's newest deployment.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{RollbackChoice, RollbackRequest, RollbackStep, choose_rollback, roll_back};
use crate::delivery::settle::{self, Attempt, settle_until};
use crate::delivery::{Delivered, EnvironmentStack, observe};
use crate::failure::Result;
use crate::name::FunctionName;

/// Result of rolling back a stack.
#[derive(Debug)]
pub(crate) struct RolledBack {
    /// The step of each function that went back.
    pub(crate) steps: BTreeMap<FunctionName, RollbackStep>,
    /// The functions that stay although they were meant as well, and why.
    pub(crate) stay: BTreeMap<FunctionName, String>,
    /// The delivery; `None` if every function served its earlier release already.
    pub(crate) delivered: Option<Delivered>,
}

/// Rolls back a stack. Where another run takes the deploy lock meanwhile, that is waited for and what to go back to is chosen
/// again, within the lock time-out.
pub(crate) async fn roll_back_stack(
    stack: &EnvironmentStack,
    request: &RollbackRequest,
) -> Result<RolledBack> {
    let deadline = settle::deadline(stack);
    loop {
        let attempt = try_roll_back(stack, request, deadline).await?;
        if let Some(rolled_back) = attempt.made(stack, deadline)? {
            return Ok(rolled_back);
        }
    }
}

async fn try_roll_back(
    stack: &EnvironmentStack,
    request: &RollbackRequest,
    deadline: Duration,
) -> Result<Attempt<RolledBack>> {
    let last = settle_until(stack, deadline).await?;
    stack.refuse_unsaved()?;
    let RollbackChoice { mut steps, mut stay } = choose_rollback(stack, last.as_ref(), request).await?;
    // The alias decides, not the ledger: it may have been moved by hand.
    let places = steps.iter().map(|(function, step)| {
        (function.clone(), (step.from.function_name.clone(), step.from.alias.clone()))
    });
    let aliases = observe::read_aliases(stack, places).await?;
    let serves_already = |function: &FunctionName, step: &RollbackStep| {
        let alias = aliases.get(function).and_then(|observed| observed.found.as_ref());
        !step.resumed && step.from.release == step.to.release && step.from.matches(alias)
    };
    for (function, step) in steps.iter().filter(|(function, step)| serves_already(function, step)) {
        stay.extend(step.repeats_text(function, stack.environment()).map(|text| (function.clone(), text)));
    }
    let all_serve = steps.iter().all(|(function, step)| serves_already(function, step));
    let Some(last) = last.filter(|_| !all_serve) else {
        return Ok(Attempt::Made(RolledBack { steps, stay, delivered: None }));
    };
    // The others serve what they go back to, and keep their entry in the ledger.
    steps.retain(|function, step| !serves_already(function, step));
    Ok(match roll_back(stack, &last, &steps, &aliases).await? {
        Attempt::Made(delivered) => Attempt::Made(RolledBack { steps, stay, delivered: Some(delivered) }),
        Attempt::Lost(failure) => Attempt::Lost(failure),
    })
}

/// Returns the stack with the newest deployment; `None` if nothing was deployed to any of them.
pub(crate) async fn newest_deployed(stacks: Vec<EnvironmentStack>) -> Result<Option<EnvironmentStack>> {
    let mut newest = None;
    for stack in stacks {
        // By the store's clock, whatever the machines' clocks said; within one second of it, by the entry's own time.
        let (written, head) = futures::try_join!(stack.ledger.written(), stack.ledger.head())?;
        let at = head.open.map(|open| open.at).or(head.last.map(|last| last.at));
        if let (Some(written), Some(at)) = (written, at)
            && newest.as_ref().is_none_or(|(then, _)| *then < (written, at))
        {
            newest = Some(((written, at), stack));
        }
    }
    Ok(newest.map(|(_, stack)| stack))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::model::scene::Scene;

    #[tokio::test]
    async fn stack_goes_back_once_and_then_serves_its_release_already() {
        let mut scene = Scene::new(false);
        scene.deploy_new_releases().await;
        scene.deploy_new_releases().await;
        let request = RollbackRequest {
            functions: scene.functions[..1].to_vec(),
            to: Some("1.0.0".parse().unwrap()),
            ..RollbackRequest::default()
        };
        let done = roll_back_stack(&scene.stack(true), &request).await.unwrap();
        assert_eq!(done.steps.len(), 1);
        assert_eq!(done.delivered.unwrap().deployment, Some(3));
        let again = roll_back_stack(&scene.stack(true), &request).await.unwrap();
        assert_eq!(again.steps.len(), 1);
        assert!(again.delivered.is_none());
    }

    #[tokio::test]
    async fn newest_deployed_stack_is_the_one_with_the_latest_deployment() {
        let (mut earlier, mut later, mut never) = (Scene::new(false), Scene::new(false), Scene::new(false));
        earlier.deploy_new_releases().await;
        later.deploy_new_releases().await;
        // Both stores' clocks start at the same time. The earlier deployment was made by a machine that is a day ahead.
        later.deploy_new_releases().await;
        earlier.skew_clock(86_400);
        earlier.deploy_new_releases().await;
        later.state.advance(60);
        later.deploy_new_releases().await;
        let stacks = vec![never.stack(true), later.stack(true), earlier.stack(true)];
        let work = stacks[1].plan.work.clone();
        let newest = newest_deployed(stacks).await.unwrap().unwrap();
        assert_eq!(newest.plan.work, work);
        assert!(newest_deployed(vec![never.stack(true)]).await.unwrap().is_none());
    }
}
