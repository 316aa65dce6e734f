//! How releases come to an environment: directly, by promotion, or as a hotfix; and what was accepted beforehand.
//!
//! An environment with `promote_from` takes what serves verified in that environment, and nothing else; a hotfix is the
//! exception that has to be asked for. In: the environment's settings, a route. Errors: a refusal with the line to type.

use std::collections::BTreeMap;

use crate::failure::{Failure, Result};
use crate::ledger::{Origin, PromotedFrom};
use crate::name::{EnvironmentName, FunctionName};
use crate::plan::Change;
use crate::settings::EnvironmentSettings;

/// How a request's releases come to the environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Route {
    /// Directly.
    #[default]
    Direct,
    /// From an environment where they serve verified.
    Promotion(PromotedFrom),
    /// Past the environment that they should be promoted from.
    Hotfix,
    /// They are there already: only values of other stacks changed, which came by a route of their own.
    ChangedInputs,
}

/// How a request comes to an environment, and what was accepted before it began.
#[derive(Debug, Clone, Default)]
pub(crate) struct Intent {
    /// The way.
    pub(crate) route: Route,
    /// Commits whose loss is accepted, by the beginning of their ids, each with everything before it.
    pub(crate) allow_loss: Vec<String>,
    /// The changes that were shown and approved, where they were.
    pub(crate) approved: Option<Vec<Change>>,
}

impl Intent {
    /// Returns the intent of a command line.
    pub(crate) fn of_arguments(hotfix: bool, allow_loss: &[String]) -> Self {
        let route = if hotfix { Route::Hotfix } else { Route::Direct };
        Self { route, allow_loss: allow_loss.to_vec(), approved: None }
    }

    /// Returns the intent that a saved plan is applied with.
    pub(super) fn of_saved_plan(promoted_from: Option<&PromotedFrom>, allow_loss: &[String]) -> Self {
        let route = promoted_from.map_or(Route::Direct, |from| Route::Promotion(from.clone()));
        Self { route, allow_loss: allow_loss.to_vec(), approved: None }
    }

    /// Returns what the releases are promoted from, where they are.
    pub(super) fn promoted_from(&self) -> Option<PromotedFrom> {
        match &self.route {
            Route::Promotion(from) => Some(from.clone()),
            _ => None,
        }
    }

    /// Returns the ledger's record of it, with the commits whose loss was accepted.
    pub(super) fn origin(&self, lost: BTreeMap<FunctionName, Vec<String>>) -> Option<Origin> {
        let promoted_from = self.promoted_from();
        Origin { promoted_from, hotfix: self.route == Route::Hotfix, lost }.recorded()
    }
}

/// Refuses a way on which an environment takes nothing.
pub(crate) fn refuse_other_route(
    environment: &EnvironmentName,
    settings: &EnvironmentSettings,
    route: &Route,
) -> Result<()> {
    let Some(wanted) = &settings.promote_from else { return Ok(()) };
    match route {
        Route::Hotfix | Route::ChangedInputs => Ok(()),
        Route::Promotion(from) if from.environment == *wanted => Ok(()),
        Route::Promotion(from) => Err(Failure::refused(format!(
            "{environment} takes only what is promoted from {wanted}, not from {}",
            from.environment
        ))
        .unchanged("Nothing was changed.")
        .hint(format!("cargo xtask promote --to {environment}"))),
        Route::Direct => Err(Failure::refused(format!(
            "{environment} takes only what serves verified in {wanted}"
        ))
        .unchanged("Nothing was changed.")
        .detail("because", format!("promote_from = \"{wanted}\" in terraform/environments/{environment}/environment.toml"))
        .hint(format!(
            "cargo xtask promote --to {environment}; past {wanted}, with what descends from what runs in {environment}: --hotfix"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::model::scene::Scene;

    #[test]
    fn environment_takes_what_is_promoted_from_the_named_one_and_a_hotfix() {
        let mut settings = Scene::new(false).stack(true).environment_settings;
        let prod: EnvironmentName = "prod".parse().unwrap();
        let from =
            |name: &str| Route::Promotion(PromotedFrom { environment: name.parse().unwrap(), deployment: 1 });
        let all = [Route::Direct, from("dev"), Route::Hotfix, Route::ChangedInputs];
        for route in &all {
            refuse_other_route(&prod, &settings, route).unwrap();
        }
        settings.promote_from = Some("staging".parse().unwrap());
        let refused = |route: &Route| refuse_other_route(&prod, &settings, route).is_err();
        assert_eq!(all.each_ref().map(refused), [true, true, false, false]);
        assert!(!refused(&from("staging")));
        let failure = refuse_other_route(&prod, &settings, &from("dev")).unwrap_err();
        assert_eq!(failure.message(), "prod takes only what is promoted from staging, not from dev");
    }
}
