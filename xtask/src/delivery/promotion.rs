//! Promotion: what serves verified together in one environment, and what of it another one lacks.
//!
//! A set is what an environment's stacks serve verified now: their functions' releases, and the files that were applied with
//! them. In: the stacks of both environments. Out: [`VerifiedStack`] for each, or the members that changed since they were
//! verified; [`FunctionDifference`] for each function. Errors: a deployment is running; a ledger, an alias or git cannot be read.

mod difference;
mod set;

pub(crate) use difference::{FunctionDifference, difference};
pub(crate) use set::{
    ChangedMember, VerifiedStack, refuse_changed, refuse_changed_since, unsettled, verified_stack,
};
