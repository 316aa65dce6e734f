//! Rolls back a stack as a request says, and finds the stack of an environment's newest deployment.

use std::collections::BTreeMap;

use super::{RollbackRequest, RollbackStep, choose_rollback, roll_back};
use crate::delivery::{Delivered, EnvironmentStack, settle};
use crate::failure::Result;
use crate::name::FunctionName;

/// Result of rolling back a stack.
#[derive(Debug)]
pub(crate) struct RolledBack {
    /// The step of each function.
    pub(crate) steps: BTreeMap<FunctionName, RollbackStep>,
    /// The delivery; `None` if every function served its earlier release already.
    pub(crate) delivered: Option<Delivered>,
}

/// Rolls back a stack.
pub(crate) async fn roll_back_stack(
    stack: &EnvironmentStack,
    request: &RollbackRequest,
) -> Result<RolledBack> {
    let last = settle(stack).await?;
    let steps = choose_rollback(stack, last.as_ref(), request).await?;
    let serves_already = |step: &RollbackStep| !step.resumed && step.from.release == step.to.release;
    let delivered = match last {
        Some(last) if !steps.values().all(serves_already) => Some(roll_back(stack, &last, &steps).await?),
        _ => None,
    };
    Ok(RolledBack { steps, delivered })
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
