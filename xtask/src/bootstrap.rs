//! What an account needs before anything is deployed to it.
//!
//! In: the project's settings, an environment or the store whose account is meant. Out: [`Wanted`], the values of
//! `terraform/bootstrap`; what of a plan exists already ([`candidates`]); what the project's files have to say afterwards
//! ([`edits`]). Goes wrong: settings that leave open where things are, environments of one account in two regions, a plan
//! that would remove what keeps states or artifacts.

mod adopt;
mod edit;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

pub(crate) use adopt::{Candidate, candidates};
pub(crate) use edit::{FileEdits, edits};

use crate::failure::{Failure, Result};
use crate::name::EnvironmentName;
use crate::plan::Planned;
use crate::settings::{CloudAccount, EnvironmentAccount, PackageType, Project, StoreSettings};

/// What one account is to have.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// The project's name.
    pub(crate) project: String,
    /// 12 digits.
    pub(crate) account: String,
    /// AWS region.
    pub(crate) region: String,
    /// What the account is called in messages.
    pub(crate) label: EnvironmentName,
    /// The environments that live in it.
    pub(crate) environments: BTreeMap<EnvironmentName, CloudAccount>,
    store: Option<StoreSettings>,
    /// What this account makes of the store.
    pub(crate) artifact_store: Option<ArtifactStore>,
}

/// The store's part of an account.
#[derive(Debug, Clone)]
pub(crate) struct ArtifactStore {
    bucket: String,
    readers: BTreeSet<String>,
    repositories: BTreeSet<String>,
    signing_alias: Option<String>,
    /// Host and prefix of the repositories.
    pub(crate) registry: String,
}

impl Wanted {
    /// Finds out what the account of an environment is to have, or that of the store where none is named.
    pub(crate) fn of(project: &Project, environment: Option<&EnvironmentName>) -> Result<Self> {
        let store = project.settings.store.clone();
        let clouds: BTreeMap<&EnvironmentName, &CloudAccount> = project
            .environments
            .iter()
            .filter_map(|(name, settings)| match &settings.account {
                EnvironmentAccount::Cloud(cloud) => Some((name, cloud)),
                EnvironmentAccount::Emulated => None,
            })
            .collect();
        let (account, region, label) = match environment {
            Some(name) => {
                project.environment(name)?;
                let cloud = clouds.get(name).ok_or_else(|| {
                    Failure::usage(format!(
                        "{name} is emulated on this machine: it has no account to prepare"
                    ))
                    .hint("cargo xtask local up starts it")
                })?;
                (cloud.account.clone(), cloud.region.clone(), name.clone())
            }
            None => {
                let store = store.as_ref().ok_or_else(|| {
                    Failure::usage(
                        "pipelines/project.toml has no [store]: nothing says which account is meant",
                    )
                    .hint("add [store] with account, region and bucket")
                })?;
                let label = "store".parse().map_err(|error: crate::name::NameError| {
                    Failure::defect("`store` is no name").caused_by(error)
                })?;
                (store.account.clone(), store.region.clone(), label)
            }
        };
        let environments: BTreeMap<EnvironmentName, CloudAccount> = clouds
            .iter()
            .filter(|(_, cloud)| cloud.account == account)
            .map(|(name, cloud)| ((*name).clone(), (*cloud).clone()))
            .collect();
        let here = store.as_ref().filter(|store| store.account == account);
        let regions = environments.iter().map(|(name, cloud)| (name.to_string(), &cloud.region));
        let regions = regions.chain(here.map(|store| ("[store]".to_owned(), &store.region)));
        if let Some((other, elsewhere)) = regions.into_iter().find(|(_, other)| **other != region) {
            return Err(Failure::usage(format!(
                "{label} is in {region} and {other} of the same account in {elsewhere}: an account is prepared in one region"
            ))
            .unchanged("Nothing was changed.")
            .hint("give one of them an account of its own"));
        }
        let artifact_store = here.map(|store| artifact_store(project, store, &clouds)).transpose()?;
        let project = project.settings.name.clone();
        Ok(Self { project, account, region, label, environments, store, artifact_store })
    }

    /// Returns the bucket that Terraform's first state needs, and that no Terraform ever makes or adopts.
    pub(crate) fn minimal_bucket(&self) -> String {
        format!("{}-{}-bootstrap-tfstate", self.project, self.account)
    }

    /// Returns the values of `terraform/bootstrap`.
    pub(crate) fn values(&self) -> BTreeMap<&'static str, Value> {
        let environments: BTreeMap<&str, Value> = self
            .environments
            .iter()
            .map(|(name, cloud)| {
                let state = json!({ "state_bucket": cloud.state_bucket, "lock_table": cloud.lock_table });
                (name.as_str(), state)
            })
            .collect();
        let store = self.store.as_ref().map(|store| {
            json!({
                "bucket": store.bucket,
                "kms_key_arn": store.kms_key.as_deref().filter(|key| key.starts_with("arn:")),
                "repository_arns": repository_pattern(store, &self.project).into_iter().collect::<Vec<_>>(),
            })
        });
        let artifact_store = self.artifact_store.as_ref().map(|store| {
            json!({
                "bucket": store.bucket,
                "reader_account_ids": store.readers,
                "repositories": store.repositories,
                "signing_alias": store.signing_alias,
            })
        });
        BTreeMap::from([
            ("account", json!({ "id": self.account, "region": self.region, "project": self.project })),
            ("environments", json!(environments)),
            ("store", json!(store)),
            ("artifact_store", json!(artifact_store)),
        ])
    }
}

fn artifact_store(
    project: &Project,
    store: &StoreSettings,
    clouds: &BTreeMap<&EnvironmentName, &CloudAccount>,
) -> Result<ArtifactStore> {
    let host = format!("{}.dkr.ecr.{}.amazonaws.com", store.account, store.region);
    let registry = store.repositories.clone().unwrap_or_else(|| format!("{host}/{}", project.settings.name));
    // Another registry's repositories are made where that registry is.
    let prefix = (registry.split('/').next() == Some(host.as_str()))
        .then(|| registry[host.len()..].trim_matches('/').to_owned());
    let images = project.functions.iter().filter(|(_, function)| function.package == PackageType::Image);
    let repositories = match &prefix {
        None => BTreeSet::new(),
        Some(prefix) if prefix.is_empty() => images.map(|(name, _)| name.to_string()).collect(),
        Some(prefix) => images.map(|(name, _)| format!("{prefix}/{name}")).collect(),
    };
    let signing_alias = match &store.signing_key {
        None => Some(format!("alias/{}-release", project.settings.name)),
        Some(alias) if alias.starts_with("alias/") => Some(alias.clone()),
        // A file, or a key that somebody else made.
        Some(_) => None,
    };
    let readers =
        clouds.values().map(|cloud| cloud.account.clone()).filter(|account| *account != store.account);
    Ok(ArtifactStore {
        bucket: store.bucket.clone(),
        readers: readers.collect(),
        repositories,
        signing_alias,
        registry,
    })
}

/// Returns the pattern of the ARNs of the project's repositories; nothing for a registry that is not Amazon's.
fn repository_pattern(store: &StoreSettings, project: &str) -> Option<String> {
    let (account, region, prefix) = match &store.repositories {
        None => (store.account.as_str(), store.region.as_str(), project),
        Some(place) => {
            let (host, prefix) = place.split_once('/').unwrap_or((place, ""));
            let (account, rest) = host.split_once(".dkr.ecr.")?;
            (account, rest.strip_suffix(".amazonaws.com")?, prefix.trim_matches('/'))
        }
    };
    let under = if prefix.is_empty() { "*".to_owned() } else { format!("{prefix}/*") };
    Some(format!("arn:aws:ecr:{region}:{account}:repository/{under}"))
}

/// What a plan never removes: without them states, artifacts or signatures are lost.
const KEPT: [&str; 3] = ["aws_s3_bucket", "aws_kms_key", "aws_dynamodb_table"];

/// Refuses a plan that removes what keeps states, artifacts or signatures.
///
/// Terraform's own `prevent_destroy` ends with the environment or setting that asked for the resource.
pub(crate) fn refuse_removal(planned: &Planned) -> Result<()> {
    let kept = |address: &str| {
        let mut parts = address.split('.').rev().skip(1);
        parts.next().is_some_and(|kind| KEPT.contains(&kind))
    };
    match planned.changes.iter().find(|change| change.action.removes() && kept(&change.address)) {
        None => Ok(()),
        Some(change) => Err(Failure::refused(format!(
            "the plan would remove {}: states, artifacts or signatures would be lost with it",
            change.address
        ))
        .unchanged("Nothing was applied.")
        .hint("has an environment, its lock table or [store] gone from the settings? What is really to go is removed by hand, with `terraform state rm` after it")),
    }
}

/// Writes the deployment roles' policies as a document's part: one heading and one block of JSON each.
pub(crate) fn policies_text(policies: &Value) -> Result<String> {
    let mut text = String::new();
    for (heading, group) in
        [("May assume", "trust"), ("Permissions of", "permissions"), ("Boundary of", "boundaries")]
    {
        for (name, policy) in policies.get(group).and_then(Value::as_object).into_iter().flatten() {
            let policy: Value =
                serde_json::from_str(policy.as_str().unwrap_or_default()).map_err(|error| {
                    Failure::failed(format!("the policy {name} of terraform/bootstrap is no JSON"))
                        .caused_by(error)
                })?;
            let json = serde_json::to_string_pretty(&policy)
                .map_err(|error| Failure::defect("JSON cannot be written").caused_by(error))?;
            text.push_str(&format!("\n### {heading} `{name}`\n\n```json\n{json}\n```\n"));
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Action, Change};

    fn store(repositories: Option<&str>) -> StoreSettings {
        let text = format!(
            "account = \"111111111111\"\nregion = \"eu-central-1\"\nbucket = \"b\"\n{}",
            repositories.map(|place| format!("repositories = \"{place}\"\n")).unwrap_or_default()
        );
        toml::from_str(&text).unwrap()
    }

    #[test]
    fn repositories_are_known_by_a_pattern_in_amazons_registry_alone() {
        let of = |place| repository_pattern(&store(place), "shop");
        let arn = |under: &str| Some(format!("arn:aws:ecr:eu-central-1:111111111111:repository/{under}"));
        assert_eq!(of(None), arn("shop/*"));
        assert_eq!(of(Some("111111111111.dkr.ecr.eu-central-1.amazonaws.com/a/b")), arn("a/b/*"));
        assert_eq!(of(Some("111111111111.dkr.ecr.eu-central-1.amazonaws.com")), arn("*"));
        assert_eq!(of(Some("ghcr.io/acme")), None);
    }

    #[test]
    fn what_keeps_states_is_never_removed() {
        let planned = |address: &str, action| Planned {
            changes: vec![Change { address: address.into(), action, reason: None }],
            drift: Vec::new(),
            outputs_change: false,
            file: "x".into(),
            warnings: Vec::new(),
        };
        let bucket = "module.state[\"dev.eu\"].module.bucket.aws_s3_bucket.this";
        assert!(refuse_removal(&planned(bucket, Action::Update)).is_ok());
        assert!(
            refuse_removal(&planned("module.state[\"dev\"].aws_s3_bucket_policy.this[0]", Action::Delete))
                .is_ok()
        );
        for address in [bucket, "aws_kms_key.signing[0]", "module.state[\"a\"].aws_dynamodb_table.locks[0]"] {
            for action in [Action::Delete, Action::Replace, Action::Forget] {
                assert!(refuse_removal(&planned(address, action)).is_err(), "{address}");
            }
        }
    }

    #[test]
    fn policies_are_told_one_by_one() {
        let policies = json!({
            "trust": { "dev/plan": "{\"Version\":\"2012-10-17\"}" },
            "permissions": { "dev/plan/state": "{\"Statement\":[]}" },
        });
        insta::assert_snapshot!(policies_text(&policies).unwrap(), @r#"

        ### May assume `dev/plan`

        ```json
        {
          "Version": "2012-10-17"
        }
        ```

        ### Permissions of `dev/plan/state`

        ```json
        {
          "Statement": []
        }
        ```
        "#);
        assert!(policies_text(&json!({ "trust": { "x": "no" } })).is_err());
    }
}
