//! `terraform/environments/<environment>/environment.toml`: where an environment lives and what it demands.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::file;
use crate::failure::{Failure, Result};
use crate::name::{EnvironmentName, FunctionName, StackName};

/// An environment's settings.
#[derive(Debug, Clone)]
pub(crate) struct EnvironmentSettings {
    /// Where it lives.
    pub(crate) place: Place,
    /// Whether it demands a clean tree, an approval and the saved plan.
    pub(crate) protected: bool,
    /// Whether a release's signature must verify.
    pub(crate) signatures_required: bool,
    /// PEM files of the public keys whose signatures count, relative to the project.
    pub(crate) trusted_keys: Vec<String>,
    /// What a release's provenance must claim.
    pub(crate) claims: Claims,
    /// The environment whose verified releases may come here.
    #[allow(dead_code, reason = "promotion reads it; it is accepted and checked already")]
    pub(crate) promote_from: Option<EnvironmentName>,
    /// What it makes of single stacks; the others run whole.
    pub(crate) stacks: BTreeMap<StackName, StackChoice>,
}

/// What an environment makes of one stack.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StackChoice {
    /// Whether it runs there at all.
    #[serde(default = "yes")]
    pub(crate) enabled: bool,
    /// Those of the stack's functions that it runs there; all where left out.
    pub(crate) functions: Option<Vec<FunctionName>>,
}

fn yes() -> bool {
    true
}

/// What the provenance of a release must say of itself, word for word; what is not named may be anything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Claims {
    /// The repository's address.
    pub(crate) repository: Option<String>,
    /// The ref that was built, such as `refs/heads/main`.
    #[serde(rename = "ref")]
    pub(crate) git_ref: Option<String>,
    /// The workflow's file, or the job's name.
    pub(crate) workflow: Option<String>,
}

/// Where an environment lives.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// On this machine: the emulator answers for AWS; store, state and account come from its keeper.
    Emulated,
    /// In an AWS account.
    Cloud(Cloud),
}

/// An environment's account, region and state bucket.
#[derive(Debug, Clone)]
pub(crate) struct Cloud {
    /// 12 digits.
    pub(crate) account: String,
    /// AWS region.
    pub(crate) region: String,
    /// The role that deploys here.
    pub(crate) role: Option<String>,
    /// The bucket of state, ledger and plans.
    pub(crate) state_bucket: String,
    /// A DynamoDB table that locks the state beside the lock file.
    pub(crate) lock_table: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(default)]
    emulated: bool,
    account: Option<String>,
    region: Option<String>,
    role: Option<String>,
    promote_from: Option<EnvironmentName>,
    #[serde(default)]
    protected: bool,
    #[serde(default)]
    signatures: Signatures,
    #[serde(default)]
    trusted_keys: Vec<String>,
    #[serde(default)]
    provenance: Claims,
    state: Option<State>,
    #[serde(default)]
    stacks: BTreeMap<StackName, StackChoice>,
}

#[derive(Deserialize, Default, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Signatures {
    Required,
    #[default]
    Optional,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    bucket: String,
    lock_table: Option<String>,
}

impl EnvironmentSettings {
    /// Reads an environment's settings.
    pub(super) fn load(root: &Path, relative: &Path) -> Result<Self> {
        let raw: Raw = file::load(root, relative)?;
        let wrong = |message: &str| Failure::usage(format!("{}: {message}", relative.display()));
        let place = if raw.emulated {
            if raw.account.is_some() || raw.region.is_some() || raw.role.is_some() || raw.state.is_some() {
                return Err(wrong(
                    "an emulated environment has no `account`, `region`, `role` or `[state]`: they come from the emulator's keeper",
                ));
            }
            Place::Emulated
        } else {
            let account = raw
                .account
                .ok_or_else(|| wrong("missing key `account`: the 12 digits of the AWS account"))?;
            if account.len() != 12 || !account.bytes().all(|b| b.is_ascii_digit()) {
                return Err(wrong(&format!("`account = \"{account}\"` must be 12 digits")));
            }
            let region = raw.region.ok_or_else(|| wrong("missing key `region`: such as \"eu-central-1\""))?;
            let state = raw.state.ok_or_else(|| {
                wrong("missing table `[state]` with `bucket`: where state and ledger are kept")
            })?;
            Place::Cloud(Cloud {
                account,
                region,
                role: raw.role,
                state_bucket: state.bucket,
                lock_table: state.lock_table,
            })
        };
        let required = raw.signatures == Signatures::Required;
        if required && raw.trusted_keys.is_empty() {
            return Err(wrong("`signatures = \"required\"` without `trusted_keys`: no release could ever be deployed")
                .hint("make a key with cargo xtask key new and name its .pub.pem: trusted_keys = [\"keys/release.pub.pem\"]"));
        }
        if raw.provenance != Claims::default() && !required {
            return Err(wrong(
                "`[provenance]` demands what only a signature can show: it needs `signatures = \"required\"`",
            ));
        }
        Ok(Self {
            place,
            protected: raw.protected,
            signatures_required: required,
            trusted_keys: raw.trusted_keys,
            claims: raw.provenance,
            promote_from: raw.promote_from,
            stacks: raw.stacks,
        })
    }
}
