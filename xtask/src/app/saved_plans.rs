//! Saves the plans of an environment's stacks as one, for `plan --save` and `promote --save`.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::{Account, AppContext};
use crate::delivery::{PlanToSave, StackPlan, Target};
use crate::failure::{Failure, Result};
use crate::format;
use crate::name::{EnvironmentName, StackName};
use crate::saved_plans::{self, FilesToSave, PlanId, SavedPlanDocument};

/// The longest life of a saved plan.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);

/// A plan that was saved.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Saved {
    /// Its id, as it is typed.
    pub(crate) id: String,
    /// SHA-256 of its document, by which it can be named in full.
    pub(crate) digest: String,
    /// After which moment it is refused.
    #[schemars(with = "String")]
    pub(crate) expires: jiff::Timestamp,
    /// The stacks that it changes.
    pub(crate) stacks: Vec<StackName>,
    /// The command that applies it.
    pub(crate) apply: String,
}

impl Saved {
    /// Returns the lines for people.
    pub(crate) fn text(&self, now: jiff::Timestamp) -> String {
        let left = self.expires.as_second().saturating_sub(now.as_second());
        let left = format::seconds(Duration::from_secs(u64::try_from(left).unwrap_or_default()));
        format!(
            "saved     plan {}, until {} ({left})\n          apply it with: {}\n",
            self.id, self.expires, self.apply
        )
    }
}

/// Refuses a life that a saved plan cannot have.
pub(crate) fn refuse_long_life(expires: Duration) -> Result<()> {
    if expires > LONGEST || expires.is_zero() {
        return Err(Failure::usage("a saved plan can be applied for at most 7 days")
            .hint("give --expires a time such as 24h"));
    }
    Ok(())
}

impl AppContext {
    /// Saves plans of some stacks as one, which can be applied for a time.
    pub(crate) async fn save_plan(
        &self,
        account: &Account,
        environment: &EnvironmentName,
        expires: Duration,
        target: Target,
        to_save: Vec<PlanToSave>,
        plans: &[StackPlan],
    ) -> Result<Saved> {
        let at = self.clock.now();
        let too_long = |error: jiff::Error| Failure::usage("--expires is too long").caused_by(error);
        let lives = jiff::SignedDuration::try_from(expires).map_err(too_long)?;
        let expires = at.checked_add(lives).map_err(too_long)?;
        let document = SavedPlanDocument {
            schema: saved_plans::SCHEMA.into(),
            target,
            environment: environment.clone(),
            at,
            expires,
            by: self.process_env.actor(),
            caller: account.caller.clone(),
            run_url: self.process_env.run_url(),
            stacks: to_save.iter().map(|plan| plan.saved.clone()).collect(),
        };
        let files: Vec<FilesToSave<'_>> = to_save
            .iter()
            .map(|plan| FilesToSave {
                stack: &plan.saved.stack,
                plan: plan.plan_file(),
                archive: plan.archive(),
            })
            .collect();
        let step = self.progress.step("save", format!("the plan of {environment}"));
        let digest = match saved_plans::save(account.state.as_ref(), &document, &files).await {
            Ok(digest) => digest,
            Err(failure) => {
                step.failed("failed");
                return Err(failure);
            }
        };
        let id = PlanId::of(&digest).to_string();
        step.done_as(format!("plan {id} of {environment}"), "saved");
        let destroys = plans.iter().flat_map(|plan| &plan.destroys);
        let options: String = destroys.map(|address| format!(" --allow-destroy '{address}'")).collect();
        Ok(Saved {
            apply: format!("cargo xtask deploy --env {environment} --plan {id}{options}"),
            id,
            digest: digest.hex(),
            expires,
            stacks: document.stacks.into_iter().map(|stack| stack.stack).collect(),
        })
    }
}
