//! Rolls back a stack as a request says, and finds the stack of an environment's newest deployment.

use std::collections::BTreeMap;

use super::{RollbackChoice, RollbackRequest, RollbackStep, choose_rollback, roll_back};
use crate::delivery::{Delivered, EnvironmentStack, observe, settle};
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

/// Rolls back a stack.
pub(crate) async fn roll_back_stack(
    stack: &EnvironmentStack,
    request: &RollbackRequest,
) -> Result<RolledBack> {
    let last = settle(stack).await?;
    stack.refuse_unsaved()?;
    let RollbackChoice { mut steps, stay } = choose_rollback(stack, last.as_ref(), request).await?;
    // The alias decides, not the ledger: it may have been moved by hand.
    let places = steps.iter().map(|(function, step)| {
        (function.clone(), (step.from.function_name.clone(), step.from.alias.clone()))
    });
    let aliases = observe::read_aliases(stack, places).await?;
    let serves_already = |function: &FunctionName, step: &RollbackStep| {
        let alias = aliases.get(function).and_then(|observed| observed.found.as_ref());
        !step.resumed && step.from.release == step.to.release && step.from.matches(alias)
    };
    let all_serve = steps.iter().all(|(function, step)| serves_already(function, step));
    let Some(last) = last.filter(|_| !all_serve) else {
        return Ok(RolledBack { steps, stay, delivered: None });
    };
    // The others serve what they go back to, and keep their entry in the ledger.
    steps.retain(|function, step| !serves_already(function, step));
    let delivered = Some(roll_back(stack, &last, &steps, &aliases).await?);
    Ok(RolledBack { steps, stay, delivered })
}

/// Returns the stack with the newest deployment; `None` if nothing was deployed to any of them.
pub(crate) async fn newest_deployed(stacks: Vec<EnvironmentStack>) -> Result<Option<EnvironmentStack>> {
    let mut newest = None;
    for stack in stacks {
        let head = stack.ledger.head().await?;
        let at = head.open.map(|open| open.at).or(head.last.map(|last| last.at));
        if let Some(at) = at
            && newest.as_ref().is_none_or(|(then, _)| *then < at)
        {
            newest = Some((at, stack));
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
        // Both scenes' clocks start at the same time.
        later.deploy_new_releases().await;
        let stacks = vec![never.stack(true), later.stack(true), earlier.stack(true)];
        let work = stacks[1].plan.work.clone();
        let newest = newest_deployed(stacks).await.unwrap().unwrap();
        assert_eq!(newest.plan.work, work);
        assert!(newest_deployed(vec![never.stack(true)]).await.unwrap().is_none());
    }
}
