//! The steps of a sequence and their results, in the form that a failed sequence prints.

use std::collections::BTreeMap;
use std::fmt;

use crate::delivery::{self, Delivered};
use crate::failure::Result;
use crate::fakes::{AliasMove, Fault, StackFlaw};
use crate::name::{FunctionName, Version};
use crate::release::Manifest;

/// What happens to one command.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Circumstances {
    /// A fault at one of its calls.
    pub(super) fault: Option<(u64, Fault)>,
    /// The bucket takes no state.
    pub(super) cannot_save: bool,
    /// On another machine somebody runs `recover` while it applies.
    pub(super) recover_beside: bool,
}

/// What blocks a stack until it is recovered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Blocked {
    /// Its state is locked.
    pub(super) locked: bool,
    /// A state could not be saved.
    pub(super) unsaved: bool,
    /// Resources exist that its state does not have.
    pub(super) unknown: bool,
}

impl Blocked {
    /// Returns whether anything does.
    pub(super) fn is_blocked(self) -> bool {
        self != Self::default()
    }
}

/// One command, or something that happens between commands.
#[derive(Clone)]
pub(super) enum Step {
    Deploy {
        targets: Vec<(FunctionName, Manifest)>,
        lift_hold: bool,
        always_plan: bool,
        approved: bool,
    },
    RollBack {
        functions: Vec<FunctionName>,
        back: RollbackTo,
        lift_hold: bool,
        approved: bool,
    },
    /// The stack's configuration is changed; the next deployment applies it. 666 makes every function answer wrongly.
    Configure(u32),
    /// The stack's files are edited, so that it keeps its contract, or breaks it.
    EditStack(StackFlaw),
    /// Somebody deletes Lambda versions that nobody needs.
    DeleteOldVersions(FunctionName),
    /// What was left behind is repaired, as far as it is approved.
    Recover {
        approved: bool,
    },
    /// Somebody replaces the bytes of a release by others of the same length, or puts all first ones back.
    ReplaceArtifact(Option<Box<Manifest>>),
    /// Somebody deletes or replaces the state, or restores it.
    LoseState(Option<Lost>),
    /// Seconds pass.
    Wait(i64),
    /// The next commands run on a machine whose clock differs by some seconds; the store's does not.
    Skew(i64),
}

/// How a state is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    Gone,
    Another,
    Older,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RollbackTo {
    Previous,
    To(Version),
    ToDeployment(u64),
}

impl Step {
    /// Returns whether it is a command that ends what has begun.
    pub(super) fn delivers(&self) -> bool {
        matches!(self, Self::Deploy { .. } | Self::RollBack { .. })
    }

    /// Returns a rollback as it is typed again: the same, or without the names of its functions.
    pub(super) fn again(&self, unnamed: bool) -> Self {
        let mut again = self.clone();
        if let Self::RollBack { functions, back, approved, .. } = &mut again {
            *approved = true;
            if unnamed {
                (*functions, *back) = (Vec::new(), RollbackTo::Previous);
            }
        }
        again
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deploy { targets, lift_hold, always_plan, approved } => {
                write!(f, "deploy")?;
                for (function, manifest) in targets {
                    write!(f, " {function} {} ({})", manifest.version, &manifest.artifact.code_sha256[..4])?;
                }
                write!(f, ", lift_hold {lift_hold}, always_plan {always_plan}, approved {approved}")
            }
            Self::RollBack { functions, back, lift_hold, approved } => {
                let names: Vec<&str> = functions.iter().map(FunctionName::as_str).collect();
                write!(f, "roll back {names:?} {back:?}, lift_hold {lift_hold}, approved {approved}")
            }
            Self::Configure(memory) => write!(f, "configure memory {memory}"),
            Self::EditStack(flaw) => write!(f, "edit the stack: {flaw:?}"),
            Self::DeleteOldVersions(function) => write!(f, "delete old versions of {function}"),
            Self::Skew(seconds) => write!(f, "another clock: {seconds} s"),
            Self::Wait(seconds) => write!(f, "wait {seconds} s"),
            Self::LoseState(lost) => match lost {
                Some(how) => write!(f, "lose the state: {how:?}"),
                None => write!(f, "restore the state"),
            },
            Self::Recover { approved } => write!(f, "recover, approved {approved}"),
            Self::ReplaceArtifact(None) => write!(f, "restore the artifacts"),
            Self::ReplaceArtifact(Some(manifest)) => {
                write!(f, "replace the artifact of {} {}", manifest.function, manifest.version)
            }
        }
    }
}

/// Result of a step.
pub(super) struct StepResult {
    /// The command's result; `None` if the process died.
    pub(super) outcome: Option<Result<Option<Delivered>>>,
    /// Who ran it.
    pub(super) by: String,
    /// The call at which the fault was injected.
    pub(super) faulted_call: Option<String>,
    /// How many calls to ports it made.
    pub(super) calls: u64,
    /// Where the aliases pointed before it, by function.
    pub(super) aliases_before: BTreeMap<String, u64>,
    /// Where they pointed after it.
    pub(super) aliases_after: BTreeMap<String, u64>,
    /// Alias moves.
    pub(super) moves: Vec<AliasMove>,
    /// What a rollback chose, if it chose.
    pub(super) chosen: BTreeMap<FunctionName, delivery::rollback::RollbackStep>,
    /// Whether the artifact store was written to.
    pub(super) wrote_artifacts: bool,
    /// What blocked the stack before it.
    pub(super) blocked_before: Blocked,
    /// What blocks the stack after it.
    pub(super) blocked_after: Blocked,
    /// Whether anything that a command may change was changed.
    pub(super) changed_anything: bool,
    /// What `recover` found and did.
    pub(super) recovered: Vec<(String, String)>,
}

impl fmt::Debug for StepResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            None => write!(f, "died")?,
            Some(Err(failure)) => write!(f, "{failure:?}")?,
            Some(Ok(None)) => write!(f, "nothing to do")?,
            Some(Ok(Some(delivered))) => {
                write!(f, "deployment {:?}:", delivered.deployment)?;
                for (function, version) in &delivered.functions {
                    write!(f, " {function} {version}")?;
                }
            }
        }
        for AliasMove { function, from, to } in &self.moves {
            write!(f, ", {function} {from} -> {to}")?;
        }
        if self.aliases_before != self.aliases_after {
            write!(f, ", aliases {:?} -> {:?}", self.aliases_before, self.aliases_after)?;
        }
        for (function, back) in &self.chosen {
            let (from, to) = (&back.from, &back.to);
            write!(
                f,
                ", chosen {function} {} (since {}) -> {} of {} as {}{}",
                from.release,
                from.since,
                to.release,
                back.deployment,
                to.lambda_version,
                if back.resumed { ", resumed" } else { "" }
            )?;
        }
        for (found, done) in &self.recovered {
            write!(f, ", found {found}: {done}")?;
        }
        if self.blocked_before.is_blocked() || self.blocked_after.is_blocked() {
            write!(f, ", {:?} -> {:?}", self.blocked_before, self.blocked_after)?;
        }
        match &self.faulted_call {
            Some(faulted_call) => write!(f, ", {faulted_call}"),
            None => Ok(()),
        }
    }
}
