//! `terraform/environments/<environment>/environment.toml`: where an environment lives and what it demands.

use std::path::Path;

use serde::Deserialize;

use super::file;
use crate::failure::{Failure, Outcome};
use crate::name::EnvironmentName;

/// An environment's settings.
#[derive(Debug, Clone)]
pub(crate) struct EnvironmentSettings {
    /// Where it lives.
    pub(crate) place: Place,
    /// Whether it demands a clean tree, an approval and the saved plan.
    pub(crate) protected: bool,
    /// Whether a release's signature must verify.
    pub(crate) signatures_required: bool,
    /// The environment whose verified releases may come here.
    #[allow(dead_code, reason = "promotion reads it; it is accepted and checked already")]
    pub(crate) promote_from: Option<EnvironmentName>,
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
    #[allow(dead_code, reason = "accepted so that a file written for signed releases stays readable")]
    trusted_keys: Vec<String>,
    state: Option<State>,
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
    pub(super) fn load(root: &Path, relative: &Path) -> Outcome<Self> {
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
        Ok(Self {
            place,
            protected: raw.protected,
            signatures_required: raw.signatures == Signatures::Required,
            promote_from: raw.promote_from,
        })
    }
}
