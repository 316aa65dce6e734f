//! `terraform/environments/<environment>/environment.toml`: the account of an environment and the rules that hold in it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::file;
use super::key_prefix::key_prefix;
use super::plan_policy::PlanSettings;
use crate::failure::{Failure, Result};
use crate::name::{EnvironmentName, FunctionName, StackName};

/// An environment's settings.
#[derive(Debug, Clone)]
pub(crate) struct EnvironmentSettings {
    /// The account that it deploys to.
    pub(crate) account: EnvironmentAccount,
    /// Whether it requires a clean tree, an approval and the saved plan.
    pub(crate) protected: bool,
    /// Whether a release must have a valid signature. By default it must where the environment is not emulated.
    pub(crate) signatures_required: bool,
    /// PEM files of the trusted public keys, relative to the project.
    pub(crate) trusted_keys: Vec<String>,
    /// The claims that a release's provenance must make.
    pub(crate) claims: ProvenanceClaims,
    /// The environment whose verified releases are promoted to this one, which takes nothing else.
    pub(crate) promote_from: Option<EnvironmentName>,
    /// What judges its plans, besides what judges those of the whole project.
    pub(crate) plan: Option<PlanSettings>,
    /// Settings for single stacks; a stack that is not named runs with all its functions.
    pub(crate) stacks: BTreeMap<StackName, StackSelection>,
}

/// Whether an environment runs one stack, and with which functions.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StackSelection {
    /// Whether the environment runs the stack.
    #[serde(default = "yes")]
    pub(crate) enabled: bool,
    /// The stack's functions that run there; all of them by default.
    pub(crate) functions: Option<Vec<FunctionName>>,
}

fn yes() -> bool {
    true
}

/// Claims that the provenance of a release must make, compared as text; a claim that is not set is not checked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProvenanceClaims {
    /// The builder whose token must prove the other claims, as [builders] of `project.toml` names it.
    pub(crate) builder: Option<String>,
    /// The repository's address.
    pub(crate) repository: Option<String>,
    /// The ref that was built, such as `refs/heads/main`.
    #[serde(rename = "ref")]
    pub(crate) git_ref: Option<String>,
    /// The workflow's file, or the name of the job or pipeline.
    pub(crate) workflow: Option<String>,
}

/// The account that an environment deploys to.
#[derive(Debug, Clone)]
pub(crate) enum EnvironmentAccount {
    /// The emulator on this machine; its supervisor provides store, state and account.
    Emulated,
    /// An AWS account.
    Cloud(CloudAccount),
}

/// An AWS account with region, role and state bucket.
#[derive(Debug, Clone)]
pub(crate) struct CloudAccount {
    /// 12 digits.
    pub(crate) account: String,
    /// AWS region.
    pub(crate) region: String,
    /// The role that deploys to it.
    pub(crate) role: Option<String>,
    /// The role that only reads it; without one `role` reads, too.
    pub(crate) read_role: Option<String>,
    /// What the trust policies of both roles ask for in `sts:ExternalId`.
    pub(crate) external_id: Option<String>,
    /// The bucket that stores state, ledger and plans.
    pub(crate) state_bucket: String,
    /// What each key in the state bucket begins with: nothing, or a name with a slash at its end.
    pub(crate) state_prefix: String,
    /// A DynamoDB table for state locks, in addition to the lock file.
    pub(crate) lock_table: Option<String>,
}

/// `environment.toml` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EnvironmentFile {
    #[serde(default)]
    emulated: bool,
    account: Option<String>,
    region: Option<String>,
    role: Option<String>,
    read_role: Option<String>,
    external_id: Option<String>,
    promote_from: Option<EnvironmentName>,
    #[serde(default)]
    protected: bool,
    signatures: Option<SignaturePolicy>,
    #[serde(default)]
    trusted_keys: Vec<String>,
    #[serde(default)]
    provenance: ProvenanceClaims,
    state: Option<StateTable>,
    plan: Option<PlanSettings>,
    #[serde(default)]
    stacks: BTreeMap<StackName, StackSelection>,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum SignaturePolicy {
    Required,
    Optional,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StateTable {
    bucket: String,
    #[serde(default, deserialize_with = "key_prefix")]
    prefix: String,
    lock_table: Option<String>,
}

impl EnvironmentSettings {
    /// Returns whether the emulator on this machine stands in for AWS.
    pub(crate) fn is_emulated(&self) -> bool {
        matches!(self.account, EnvironmentAccount::Emulated)
    }

    /// Reads an environment's settings.
    pub(super) fn load(root: &Path, relative: &Path) -> Result<Self> {
        let raw: EnvironmentFile = file::load(root, relative)?;
        let wrong = |message: &str| Failure::usage(format!("{}: {message}", relative.display()));
        let account = if raw.emulated {
            let roles = raw.role.is_some() || raw.read_role.is_some() || raw.external_id.is_some();
            if raw.account.is_some() || raw.region.is_some() || roles || raw.state.is_some() {
                return Err(wrong(
                    "an emulated environment cannot set `account`, `region`, `role`, `read_role`, `external_id` or `[state]`: the local emulator provides them",
                ));
            }
            EnvironmentAccount::Emulated
        } else {
            let id = raw
                .account
                .ok_or_else(|| wrong("missing key `account`: the 12 digits of the AWS account"))?;
            if id.len() != 12 || !id.bytes().all(|b| b.is_ascii_digit()) {
                return Err(wrong(&format!("`account = \"{id}\"` must be 12 digits")));
            }
            let region = raw.region.ok_or_else(|| wrong("missing key `region`, such as \"eu-central-1\""))?;
            let state = raw.state.ok_or_else(|| {
                wrong("missing table `[state]` with `bucket`, the bucket that stores state and ledger")
            })?;
            if let Some(external_id) = &raw.external_id {
                if raw.role.is_none() && raw.read_role.is_none() {
                    return Err(wrong("`external_id` needs `role`: it is sent as that role is assumed"));
                }
                // https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
                let fits = |c: char| c.is_ascii_alphanumeric() || "_+=,.@:/-".contains(c);
                if !(2..=1224).contains(&external_id.len()) || !external_id.chars().all(fits) {
                    return Err(wrong(
                        "`external_id` must be 2 to 1224 letters, digits and characters of _+=,.@:/-: the limit of STS",
                    ));
                }
            }
            EnvironmentAccount::Cloud(CloudAccount {
                account: id,
                region,
                role: raw.role,
                read_role: raw.read_role,
                external_id: raw.external_id,
                state_bucket: state.bucket,
                state_prefix: state.prefix,
                lock_table: state.lock_table,
            })
        };
        let required =
            raw.signatures.map_or(!raw.emulated, |signatures| signatures == SignaturePolicy::Required);
        // An account has no key before it is prepared: there a deployment is refused, and the settings are read.
        if raw.emulated && required && raw.trusted_keys.is_empty() {
            return Err(wrong("`signatures = \"required\"` needs `trusted_keys`: without them no release could be deployed")
                .hint("create a key with cargo xtask key new and add its .pub.pem: trusted_keys = [\"keys/release.pub.pem\"]"));
        }
        if raw.provenance != ProvenanceClaims::default() && !required {
            return Err(wrong(
                "`[provenance]` needs `signatures = \"required\"`: only a signature proves what provenance claims",
            ));
        }
        Ok(Self {
            account,
            protected: raw.protected,
            signatures_required: required,
            trusted_keys: raw.trusted_keys,
            claims: raw.provenance,
            promote_from: raw.promote_from,
            plan: raw.plan,
            stacks: raw.stacks,
        })
    }
}
