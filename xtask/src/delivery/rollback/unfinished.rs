//! A rollback that did not end well: which traffic it brought back, and the record of its failure.

use std::collections::{BTreeMap, BTreeSet};

use super::RollbackStep;
use crate::delivery::observe::Observed;
use crate::delivery::{EnvironmentStack, settle};
use crate::failure::Failure;
use crate::format;
use crate::ledger::{DeploymentOutcome, Ended, Started};
use crate::name::FunctionName;

/// Returns the functions whose traffic an unfinished rollback brought back, and which this one is not about: Terraform does
/// not agree with them either, until a rollback ends well.
pub(super) fn carried<'a>(
    last: &'a Ended,
    steps: &BTreeMap<FunctionName, RollbackStep>,
) -> BTreeSet<&'a FunctionName> {
    last.brought_back().into_keys().filter(|function| !steps.contains_key(*function)).collect()
}

/// Records a failed rollback with what is served now, and returns the failure to report.
pub(super) async fn record_failure(
    stack: &EnvironmentStack,
    started: &Started,
    last: &Ended,
    steps: &BTreeMap<FunctionName, RollbackStep>,
    failure: Failure,
) -> Failure {
    let record = async {
        let (mut ended, observed) =
            settle::ended_as_observed(stack, started, Some(last), DeploymentOutcome::Failed, &[]).await?;
        let back = back(steps, &observed);
        // By where traffic is, not by what this run moved: it may have been moved by an earlier one that failed as well.
        if !back.is_empty() || !carried(last, steps).is_empty() {
            ended.outcome = DeploymentOutcome::TerraformPending;
        }
        ended.why = Some(failure.message().to_owned());
        stack.ledger.end(&ended).await?;
        Ok::<_, Failure>((back, observed))
    };
    match record.await {
        Ok((back, observed)) if back.is_empty() && observed.nothing_moved(started) => {
            failure.unchanged("No alias was moved.")
        }
        Ok((back, observed)) if back.is_empty() => failure.unchanged(observed.sentences(started, &[])),
        Ok((back, _)) => {
            let others = steps.keys().filter(|function| !back.contains(function));
            let others = format::list(others.map(FunctionName::as_str));
            let back = back.into_iter().map(|function| format!("{function} {}", steps[function].to.release));
            let others = if others.is_empty() {
                String::new()
            } else {
                format!(" The rollback did not reach {others}.")
            };
            failure.unchanged(format!("Traffic is back on the earlier release ({}) and stays there.{others} Terraform does not agree yet: the ledger says `terraform pending`.", format::list(back)))
        }
        Err(second) => settle::left_open(stack, failure, &second),
    }
}

/// Returns the functions whose traffic is back on the earlier release, apart from those that had nothing to go back from.
fn back<'a>(
    steps: &'a BTreeMap<FunctionName, RollbackStep>,
    observed: &Observed,
) -> BTreeSet<&'a FunctionName> {
    let is_back = |(function, step): &(&FunctionName, &RollbackStep)| {
        (step.resumed || step.from.lambda_version != step.to.lambda_version)
            && observed
                .aliases
                .get(*function)
                .is_some_and(|observed| step.to.matches(observed.found.as_ref()))
    };
    steps.iter().filter(is_back).map(|(function, _)| function).collect()
}
