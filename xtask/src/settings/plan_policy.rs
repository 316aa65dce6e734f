//! `[plan]` of project.toml and environment.toml: the command that judges each plan.

use std::time::Duration;

use serde::Deserialize;

use super::file::duration;
use super::project::CommandLines;

/// The settings of plans.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlanSettings {
    /// The command line that judges a plan, or several, split by a shell's quoting rules and run without a shell. `{plan}` is the
    /// file with the plan as JSON.
    pub(crate) policy: CommandLines,
    /// The time limit of all of them.
    #[serde(deserialize_with = "duration", default = "two_minutes")]
    pub(crate) within: Duration,
}

fn two_minutes() -> Duration {
    Duration::from_secs(120)
}
