//! What a plan has to keep before it is applied: what it destroys was named, the project's policies allow it, and where one was
//! approved, it is that one.

use std::sync::Arc;

use serde_json::Value;

use super::EnvironmentStack;
use super::approved::ApprovedPlan;
use crate::failure::Result;
use crate::plan::{Configuration, DestructionGuard, Planned, without_sensitive};
use crate::policy::{Policy, PolicyRun};

/// The rules of one command for its plans.
#[derive(Debug, Clone, Default)]
pub(crate) struct PlanRules {
    /// The addresses of what may be destroyed (`--allow-destroy`).
    pub(crate) allow_destroy: Vec<String>,
    /// The commands that judge each plan.
    pub(crate) policies: Vec<Policy>,
    /// The saved plan that is to be applied; without it what is planned now.
    pub(crate) approved: Option<Arc<ApprovedPlan>>,
}

impl EnvironmentStack {
    /// Returns the guard on what a plan destroys.
    pub(super) fn destruction_guard(&self) -> DestructionGuard<'_> {
        DestructionGuard {
            stack: self.name(),
            environment: self.environment(),
            is_protected: self.environment_settings.protected,
            protect: &self.settings.protect,
            allowed: &self.rules.allow_destroy,
        }
    }

    /// Refuses (exit code 6) a plan that the project's policies do not allow. A plan without changes is not judged.
    pub(super) async fn refuse_by_policy(
        &self,
        configuration: &Configuration,
        planned: &Planned,
    ) -> Result<()> {
        if self.rules.policies.is_empty() || planned.is_empty() {
            return Ok(());
        }
        let values = self.infrastructure.values(configuration, planned).await?;
        self.refuse_values_by_policy(&values).await
    }

    /// Does the same for a plan whose values were read already.
    pub(super) async fn refuse_values_by_policy(&self, values: &Value) -> Result<()> {
        let run = PolicyRun {
            root: &self.root,
            work: &self.plan.work,
            stack: self.name(),
            environment: self.environment(),
            progress: &self.progress,
            interrupt: &self.interrupt,
        };
        run.judge(&self.rules.policies, &without_sensitive(values)).await
    }
}

#[cfg(test)]
mod tests {
    use crate::delivery::model::scene::{Scene, deploy_request};
    use crate::delivery::{RollbackRequest, deliver, roll_back_stack};
    use crate::failure::FailureKind;
    use crate::fakes::StackFlaw;

    /// Also what was named is not removed while it is about to serve. The plan, which has secrets, is deleted each time.
    #[tokio::test]
    async fn protected_address_is_destroyed_only_if_it_is_named_also_by_a_rollback() {
        let mut scene = Scene::new(false);
        scene.deploy_new_releases().await;
        scene.deploy_new_releases().await;
        scene.flaw = StackFlaw::DeletesFunctions;
        let addresses = ["a", "b"].map(|name| format!("module.{name}.aws_lambda_function.this"));
        for rolls_back in [false, true] {
            for allowed in [0, 1, 2] {
                let mut stack = scene.stack(true);
                stack.settings.protect = vec!["aws_lambda_function.*".into()];
                stack.rules.allow_destroy = addresses[..allowed].to_vec();
                let refused = if rolls_back {
                    roll_back_stack(&stack, &RollbackRequest::default()).await.map(drop)
                } else {
                    let function = scene.functions[0].clone();
                    let release = scene.release_of(&function, None);
                    deliver(&stack, &deploy_request([(function, release)].into())).await.map(drop)
                };
                let failure = refused.unwrap_err();
                assert_eq!(failure.kind(), FailureKind::Refused);
                let expected = match allowed {
                    2 => "the plan would delete module.a.aws_lambda_function.this".to_owned(),
                    _ => format!("the plan would remove {}, which `s` protects", addresses[allowed]),
                };
                assert!(failure.message().starts_with(&expected), "{failure}");
                assert!(!stack.plan.work.join("plan.tfplan").exists(), "the plan has secrets");
                assert_eq!(scene.lambda.aliases().len(), 2);
            }
        }
    }
}
