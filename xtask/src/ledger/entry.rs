//! The two entries of a deployment, `slipway.ledger/1`: what it wants to do, and how it ended.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::chain::StoredDigest;
use super::lease::Holder;
use super::origin::Origin;
use super::trust::TrustRecord;
use crate::digest::Digest;
use crate::name::{EnvironmentName, FunctionName, StackName, Version};
use crate::plan::StateVersion;
use crate::ports::Alias;

/// The name of this layout.
pub(crate) const SCHEMA: &str = "slipway.ledger/1";

/// The kind of a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Kind")]
pub(crate) enum DeploymentKind {
    /// `release`: a release of the work tree.
    Release,
    /// `deploy`: an existing release.
    Deploy,
    /// `rollback`: an earlier release.
    Rollback,
    /// `destroy`: everything that the stack made is removed.
    Destroy,
}

/// The saved plan that a deployment applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct AppliedPlan {
    /// SHA-256 of the saved plan's document.
    pub(crate) id: Digest,
    /// Who planned.
    pub(crate) by: String,
    /// The ARN of the caller who planned, where the account said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) caller: Option<String>,
    /// The CI run that planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) run_url: Option<String>,
    /// When it was planned.
    #[schemars(with = "String")]
    pub(crate) at: jiff::Timestamp,
    /// Whether the state had moved since, so that the same changes were planned anew.
    #[serde(default)]
    pub(crate) planned_anew: bool,
}

/// The beginning of a deployment, which is also the stack's deploy lock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Started {
    /// `slipway.ledger/1`.
    pub(crate) schema: String,
    /// The number, from 1.
    pub(crate) deployment: u64,
    /// The stack.
    pub(crate) stack: StackName,
    /// The environment.
    pub(crate) environment: EnvironmentName,
    /// The kind of the deployment.
    pub(crate) kind: DeploymentKind,
    /// What was served before it.
    pub(crate) serves: BTreeMap<FunctionName, Serving>,
    /// What it wants to serve.
    pub(crate) will: BTreeMap<FunctionName, PlannedRelease>,
    /// Who ran it, as the machine or the CI system says.
    pub(crate) by: String,
    /// Who ran it, as AWS says: the caller's ARN. Unknown in older entries and in emulated environments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) caller: Option<String>,
    /// The CI run.
    pub(crate) run_url: Option<String>,
    /// The process that runs it.
    pub(crate) holder: Holder,
    /// SHA-256 of the end of the deployment before, as it was stored; unknown in older entries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) previous: Option<Digest>,
    /// The settings that decide which releases are trusted; unknown in older entries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) trust: Option<TrustRecord>,
    /// The saved plan that it applies; nothing where it planned itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) plan: Option<AppliedPlan>,
    /// By which way the releases reached the environment, where not directly; unknown in older entries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) origin: Option<Origin>,
    /// When it began.
    #[schemars(with = "String")]
    pub(crate) at: jiff::Timestamp,
}

impl Started {
    /// Describes what it wants to do, such as `rollback to hello 1.4.1`.
    pub(crate) fn describe(&self) -> String {
        if self.kind == DeploymentKind::Destroy {
            return "destruction".to_owned();
        }
        let what: Vec<String> =
            self.will.iter().map(|(function, choice)| format!("{function} {}", choice.release)).collect();
        let verb = match self.kind {
            DeploymentKind::Release => "release of",
            DeploymentKind::Deploy => "deploy of",
            DeploymentKind::Rollback => "rollback to",
            DeploymentKind::Destroy => "destruction of",
        };
        format!("{verb} {}", what.join(", "))
    }
}

/// A release that a deployment wants to serve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Choice")]
pub(crate) struct PlannedRelease {
    /// The version.
    pub(crate) release: Version,
    /// The manifest's digest.
    pub(crate) digest: Digest,
    /// The code's hash as Lambda reports it.
    pub(crate) code_sha256: String,
    /// The commit that it was built from.
    pub(crate) commit: String,
    /// The Lambda version that a rollback goes back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lambda_version: Option<String>,
}

/// What a function serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Serving {
    /// The release.
    pub(crate) release: Version,
    /// Its manifest's digest.
    pub(crate) digest: Digest,
    /// The commit that the release was built from.
    pub(crate) commit: String,
    /// The code's hash as Lambda reports it.
    pub(crate) code_sha256: String,
    /// The function's name in Lambda.
    pub(crate) function_name: String,
    /// The alias that users reach.
    pub(crate) alias: String,
    /// The Lambda version that serves this release.
    pub(crate) lambda_version: String,
    /// Where the alias pointed when the entry was written, if that was not this version: `7`, or `7 and 10 % to 8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) alias_elsewhere: Option<String>,
    /// The alias's RevisionId when it pointed only to this version: an alias with the same one was not changed since, nor
    /// made again. Unknown in older entries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) alias_revision: Option<String>,
    /// The newest Lambda version, which Terraform knows.
    pub(crate) newest_version: String,
    /// The digest of the serving version's configuration.
    pub(crate) config_digest: Digest,
    /// Whether a verification of exactly this version passed.
    pub(crate) verified: bool,
    /// The deployment since which this release serves.
    pub(crate) since: u64,
    /// The time since which it serves.
    #[schemars(with = "String")]
    pub(crate) since_at: jiff::Timestamp,
}

/// Returns what an environment serves: `serves a 1.0.0 and b 1.0.0`, with each alias that was found elsewhere.
pub(crate) fn serves_text(serves: &BTreeMap<FunctionName, Serving>) -> String {
    let stand = serves.iter().filter(|(_, serving)| serving.alias_elsewhere.is_none());
    let stand: Vec<String> =
        stand.map(|(function, serving)| format!("{function} {}", serving.release)).collect();
    let mut text = match stand.is_empty() {
        true => "serves nothing that the ledger knows".to_owned(),
        false => format!("serves {}", crate::format::list(stand)),
    };
    for (function, serving) in serves {
        if let Some(elsewhere) = &serving.alias_elsewhere {
            let Serving { alias, lambda_version, release, .. } = serving;
            text.push_str(&format!(
                "; the alias `{alias}` of {function} points to {elsewhere}, not to {lambda_version} ({release})"
            ));
        }
    }
    text
}

impl Serving {
    /// Returns whether an alias sends all traffic to this Lambda version.
    pub(crate) fn matches(&self, alias: Option<&Alias>) -> bool {
        alias.is_some_and(|alias| alias.points_only_to(&self.lambda_version))
    }

    /// Returns whether this is the same Lambda version of the same release as another record.
    pub(crate) fn is_same_version(&self, other: &Self) -> bool {
        (&self.function_name, &self.lambda_version, self.digest, self.config_digest)
            == (&other.function_name, &other.lambda_version, other.digest, other.config_digest)
    }
}

/// A release that is not deployed again without `--lift-hold`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Hold {
    /// The function.
    pub(crate) function: FunctionName,
    /// The release that a rollback left.
    pub(crate) release: Version,
    /// The rollback's deployment number.
    pub(crate) deployment: u64,
}

/// How a deployment ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "OutcomeWord")]
pub(crate) enum DeploymentOutcome {
    /// Applied, verified, serving.
    Verified,
    /// Applied; the new version did not verify and serves nobody.
    VerificationFailed,
    /// Terraform or something else failed.
    Failed,
    /// Cut off, and closed by a later command.
    Interrupted,
    /// The alias was moved back and Terraform agrees.
    RolledBack,
    /// The alias was moved back; Terraform does not agree yet.
    TerraformPending,
    /// Everything that the stack had made was removed.
    Destroyed,
}

impl DeploymentOutcome {
    /// Returns whether nothing is left to do: what the ledger records is applied, verified and served.
    pub(crate) fn is_settled(self) -> bool {
        matches!(self, Self::Verified | Self::RolledBack)
    }

    /// Returns the outcome in words.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::VerificationFailed => "verification failed",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::RolledBack => "rolled back",
            Self::TerraformPending => "terraform pending",
            Self::Destroyed => "destroyed",
        }
    }
}

/// The end of a deployment, with everything that the stack serves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Ended {
    /// `slipway.ledger/1`.
    pub(crate) schema: String,
    /// The number of the deployment.
    pub(crate) deployment: u64,
    /// The stack.
    pub(crate) stack: StackName,
    /// The environment.
    pub(crate) environment: EnvironmentName,
    /// The kind of the deployment.
    pub(crate) kind: DeploymentKind,
    /// How it ended.
    pub(crate) outcome: DeploymentOutcome,
    /// Why it was not successful, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
    /// What is served.
    pub(crate) serves: BTreeMap<FunctionName, Serving>,
    /// What it wanted to serve.
    pub(crate) will: BTreeMap<FunctionName, PlannedRelease>,
    /// Releases that are not deployed again without `--lift-hold`.
    #[serde(default)]
    pub(crate) holds: Vec<Hold>,
    /// What an unfinished rollback had brought back before this deployment, which failed before Terraform agreed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) rolled_back_before: BTreeMap<FunctionName, PlannedRelease>,
    /// The commit of the stack's files.
    pub(crate) commit: Option<String>,
    /// Whether the stack's files differed from that commit.
    #[serde(default)]
    pub(crate) dirty: bool,
    /// The digest under which the applied configuration is stored (`configurations/sha256/<hex>.zip`).
    pub(crate) configuration: Option<Digest>,
    /// Digests of the values from other stacks, by variable; without sensitive ones.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) inputs: BTreeMap<String, Digest>,
    /// The digest of everything that the plan depended on.
    pub(crate) plan_inputs: Option<Digest>,
    /// The state's version after it.
    pub(crate) state: Option<StateVersion>,
    /// The settings that decide which releases are trusted; unknown in older entries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) trust: Option<TrustRecord>,
    /// By which way the releases reached the environment, where not directly; unknown in older entries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) origin: Option<Origin>,
    /// The saved plan that it applied; nothing where it planned itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) plan: Option<AppliedPlan>,
    /// Who ran it, as the machine or the CI system says.
    pub(crate) by: String,
    /// Who ran it, as AWS says: the caller's ARN. Unknown in older entries and in emulated environments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) caller: Option<String>,
    /// The CI run.
    pub(crate) run_url: Option<String>,
    /// When it began.
    #[schemars(with = "String")]
    pub(crate) started_at: jiff::Timestamp,
    /// SHA-256 of the end of the deployment before, as it was stored; unknown in older entries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) previous: Option<Digest>,
    /// SHA-256 of this entry, where it was read from the store.
    #[serde(skip)]
    pub(crate) stored: StoredDigest,
    /// When it ended.
    #[schemars(with = "String")]
    pub(crate) at: jiff::Timestamp,
}

impl Ended {
    /// Returns the end of a deployment that changed nothing so far.
    pub(crate) fn of(
        started: &Started,
        before: Option<&Ended>,
        outcome: DeploymentOutcome,
        at: jiff::Timestamp,
    ) -> Self {
        Self {
            schema: SCHEMA.into(),
            deployment: started.deployment,
            stack: started.stack.clone(),
            environment: started.environment.clone(),
            kind: started.kind,
            outcome,
            why: None,
            serves: started.serves.clone(),
            will: started.will.clone(),
            holds: before.map(|before| before.holds.clone()).unwrap_or_default(),
            rolled_back_before: BTreeMap::new(),
            commit: before.and_then(|before| before.commit.clone()),
            dirty: before.is_some_and(|before| before.dirty),
            configuration: before.and_then(|before| before.configuration),
            inputs: before.map(|before| before.inputs.clone()).unwrap_or_default(),
            plan_inputs: None,
            state: None,
            trust: started.trust.clone(),
            plan: started.plan.clone(),
            origin: started.origin.clone(),
            by: started.by.clone(),
            caller: started.caller.clone(),
            run_url: started.run_url.clone(),
            previous: started.previous,
            stored: StoredDigest::default(),
            started_at: started.at,
            at,
        }
    }

    /// Marks the stack as destroyed: nothing is applied and nothing served any more.
    pub(crate) fn mark_destroyed(&mut self) {
        self.outcome = DeploymentOutcome::Destroyed;
        self.serves.clear();
        self.inputs.clear();
        self.configuration = None;
    }

    /// Returns the hold on a function's release.
    pub(crate) fn hold_on(&self, function: &FunctionName, release: &Version) -> Option<&Hold> {
        self.holds.iter().find(|hold| hold.function == *function && hold.release == *release)
    }

    /// Returns what a function serves, if that is verified.
    pub(crate) fn verified(&self, function: &FunctionName) -> Option<&Serving> {
        self.serves.get(function).filter(|serving| serving.verified)
    }

    /// Returns whether this deployment applied and verified exactly these files of the stack.
    pub(crate) fn kept_contract_with(&self, files: Digest) -> bool {
        self.outcome.is_settled() && self.configuration == Some(files)
    }

    /// Returns the functions of a rollback that did not end, each with the release that it wants; empty where there is none.
    /// `rollback`, `status` and `recover` all decide by it whether a rollback has to be continued.
    pub(crate) fn unfinished_rollback(&self) -> BTreeMap<&FunctionName, &PlannedRelease> {
        match (self.kind, self.outcome) {
            (DeploymentKind::Rollback, DeploymentOutcome::RolledBack) => BTreeMap::new(),
            // Functions that were not part of it keep their release, and have no Lambda version to go back to.
            (DeploymentKind::Rollback, _) => {
                self.will.iter().filter(|(_, choice)| choice.lambda_version.is_some()).collect()
            }
            _ => self.rolled_back_before.iter().collect(),
        }
    }

    /// Returns the functions whose traffic an unfinished rollback brought back: Terraform does not agree with them.
    pub(crate) fn brought_back(&self) -> BTreeMap<&FunctionName, &PlannedRelease> {
        let mut unfinished = self.unfinished_rollback();
        unfinished.retain(|function, wanted| {
            let serving = self.serves.get(*function);
            serving.is_some_and(|serving| wanted.lambda_version.as_ref() == Some(&serving.lambda_version))
        });
        unfinished
    }

    /// Says what is left of a rollback that did not end; `None` where none is.
    pub(crate) fn unfinished_rollback_text(&self) -> Option<String> {
        let unfinished = self.unfinished_rollback();
        let releases = |back: bool| {
            let chosen = unfinished.iter().filter(|(function, choice)| {
                let serving = self.serves.get(**function);
                let serves = serving.is_some_and(|serving| {
                    choice.lambda_version.as_ref() == Some(&serving.lambda_version)
                        && serving.alias_elsewhere.is_none()
                });
                serves == back
            });
            crate::format::list(chosen.map(|(function, choice)| format!("{function} {}", choice.release)))
        };
        let (back, not_back) = (releases(true), releases(false));
        match (back.as_str(), not_back.as_str()) {
            ("", "") => None,
            (back, "") => Some(format!("traffic is back on {back}, Terraform does not agree yet")),
            ("", not_back) => Some(format!("the rollback to {not_back} failed and moved no traffic")),
            (back, not_back) => Some(format!(
                "traffic is back on {back}, but not on {not_back}, and Terraform does not agree yet"
            )),
        }
    }
}
