//! Rollout: moves the alias that users reach, given evidence that the version may serve.
//!
//! In: a function, a version, the evidence. Out: where the alias pointed before and points now. Errors: somebody else moves
//! the alias at the same time.

use std::sync::Arc;

use crate::failure::{Failure, Result};
use crate::ledger::Serving;
use crate::ports::{Alias, Functions};
use crate::verification::Verification;

/// Evidence that a version may serve.
pub(crate) enum Evidence<'a> {
    /// It was verified just now.
    Verified(&'a Verification),
    /// According to the ledger it was verified and served before.
    Served(&'a Serving),
    /// It served, as was read just before something moved the alias away from it that was not asked to.
    ServedUntilNow {
        /// The function's name in Lambda.
        function_name: &'a str,
        /// Where the alias pointed.
        alias: &'a Alias,
    },
}

impl Evidence<'_> {
    fn covers(&self, function_name: &str, version: &str) -> bool {
        match self {
            Self::Verified(verification) => {
                verification.passed()
                    && verification.function_name == function_name
                    && verification.lambda_version == version
            }
            Self::Served(serving) => {
                serving.verified
                    && serving.function_name == function_name
                    && serving.lambda_version == version
            }
            Self::ServedUntilNow { function_name: name, alias } => {
                *name == function_name && alias.points_only_to(version)
            }
        }
    }
}

/// A move of an alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moved {
    /// The version before.
    pub(crate) from: String,
    /// The version now.
    pub(crate) to: String,
}

/// Points an alias to a version, unless it already does.
pub(crate) async fn point(
    functions: &Arc<dyn Functions>,
    function_name: &str,
    alias: &str,
    version: &str,
    evidence: Evidence<'_>,
) -> Result<Moved> {
    if !evidence.covers(function_name, version) {
        return Err(Failure::defect(format!(
            "the alias `{alias}` of {function_name} would move to version {version} without evidence"
        )));
    }
    let Some(now) = functions.alias(function_name, alias).await? else {
        return Err(Failure::failed(format!("{function_name} has no alias `{alias}`")).hint(
            "the stack must create the alias that its output `functions` names: see https://github.com/slipway/slipway/blob/main/docs/terraform.md",
        ));
    };
    if now.points_only_to(version) {
        return Ok(Moved { from: version.to_owned(), to: version.to_owned() });
    }
    let from = now.version.clone();
    let revision = now.revision_id.as_deref().unwrap_or_default();
    let moved = match functions.move_alias(function_name, alias, version, revision).await {
        Ok(moved) => moved,
        // It may have been moved, and only the answer was lost: the alias itself decides.
        Err(failure) => match functions.alias(function_name, alias).await {
            Ok(Some(found)) if found.points_only_to(version) => found,
            _ => return Err(failure),
        },
    };
    if !moved.points_only_to(version) {
        return Err(Failure::failed(format!(
            "the alias `{alias}` of {function_name} was moved to {version}, but points to {} now",
            moved.version
        ))
        .hint("somebody else moves it at the same time: see cargo xtask status"));
    }
    Ok(Moved { from, to: moved.version })
}
