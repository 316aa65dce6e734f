//! Prepares an AWS account before anything is deployed to it.
//!
//! In: the project's settings, and an environment or the store. Out: an [`AccountSpec`] with the values of
//! `terraform/bootstrap`; the applied configuration ([`AccountApply`]); the settings that the project's files need
//! afterwards ([`file_edits`]). Errors: settings without an account, environments of one account in two regions, a plan
//! that would remove a bucket, key or table.

mod apply;
mod edit;
mod guard;
mod placeholder;
mod trusted_key;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

pub(crate) use apply::{AccountApply, GithubTrust, ResourceLookup};
pub(crate) use edit::{FileEdits, file_edits};
pub(crate) use guard::refuse_unreviewed;
pub(crate) use placeholder::refuse_placeholders;
pub(crate) use trusted_key::TrustedKey;

use crate::failure::{Failure, Result};
use crate::name::EnvironmentName;
use crate::partition::{EcrHost, Partition};
use crate::plan::{Applied, Planned};
use crate::settings::{CloudAccount, EnvironmentAccount, PackageType, Project, StoreSettings};

/// What one account needs.
#[derive(Debug, Clone)]
pub(crate) struct AccountSpec {
    /// The project's name.
    pub(crate) project: String,
    /// The account's 12 digits.
    pub(crate) account: String,
    /// The region.
    pub(crate) region: String,
    /// The account's name in messages: the environment, or `store`.
    pub(crate) label: EnvironmentName,
    /// The environments in this account.
    pub(crate) environments: BTreeMap<EnvironmentName, CloudAccount>,
    /// Those of them that are protected.
    pub(crate) protected: BTreeSet<EnvironmentName>,
    /// Who reads whom: an environment that is promoted to reads the one before it.
    readers: BTreeMap<EnvironmentName, Readers>,
    store: Option<StoreSettings>,
    /// The artifact store, if it is in this account.
    pub(crate) artifact_store: Option<ArtifactStore>,
}

/// ARNs of the roles with which an environment is read, and with which it reads another one.
#[derive(Debug, Clone, Default)]
struct Readers {
    /// The reading role of the environment that it promotes from.
    reads: BTreeSet<String>,
    /// The planning and applying roles of the environments that promote from it.
    read_by: BTreeSet<String>,
}

/// The artifact store of an account.
#[derive(Debug, Clone)]
pub(crate) struct ArtifactStore {
    bucket: String,
    readers: BTreeSet<String>,
    repositories: BTreeSet<String>,
    prefix: String,
    signing_alias: Option<String>,
    /// A key that exists already.
    signing_key: Option<String>,
    /// Host and prefix of the image repositories.
    pub(crate) registry: String,
}

impl AccountSpec {
    /// Returns the spec of an environment's account, or of the store's account if no environment is named.
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
                    Failure::usage("pipelines/project.toml has no [store], so the store's account is unknown")
                        .hint("add [store] with account, region and bucket")
                })?;
                let label = "store".parse().map_err(|error: crate::name::NameError| {
                    Failure::defect("`store` is not a valid name").caused_by(error)
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
                "{label} is in {region}, and {other} of the same account is in {elsewhere}: an account is prepared in one region"
            ))
            .unchanged("Nothing was changed.")
            .hint("give one of them an account of its own"));
        }
        let artifact_store = here.map(|store| artifact_store(project, store, &clouds)).transpose()?;
        let is_protected = |name: &&EnvironmentName| project.environments[*name].protected;
        let protected = environments.keys().filter(is_protected).cloned().collect();
        let readers = environments.keys().map(|name| (name.clone(), readers(project, name, &clouds)));
        let readers = readers.collect();
        let project = project.settings.name.clone();
        Ok(Self { project, account, region, label, environments, protected, readers, store, artifact_store })
    }

    /// Returns the spec of an account without environments and store.
    #[cfg(test)]
    fn for_tests(account: &str) -> Self {
        Self {
            project: "shop".into(),
            account: account.into(),
            region: "eu-central-1".into(),
            label: "dev".parse().unwrap(),
            environments: BTreeMap::new(),
            protected: BTreeSet::new(),
            readers: BTreeMap::new(),
            store: None,
            artifact_store: None,
        }
    }

    /// Returns the bucket of the account's own state. It is created before Terraform, and Terraform never adopts it.
    pub(crate) fn bootstrap_bucket(&self) -> String {
        format!("{}-{}-bootstrap-tfstate", self.project, self.account)
    }

    /// Returns the values of `terraform/bootstrap`.
    pub(crate) fn values(&self) -> BTreeMap<&'static str, Value> {
        let environments: BTreeMap<&str, Value> = self
            .environments
            .iter()
            .map(|(name, cloud)| {
                let state = json!({
                    "state_bucket": cloud.state_bucket,
                    "state_prefix": cloud.state_prefix,
                    "lock_table": cloud.lock_table,
                    "protected": self.protected.contains(name),
                    "reads": self.readers.get(name).map(|readers| &readers.reads),
                    "read_by": self.readers.get(name).map(|readers| &readers.read_by),
                });
                (name.as_str(), state)
            })
            .collect();
        let store = self.store.as_ref().map(|store| {
            json!({
                "bucket": store.bucket,
                "kms_key_arn": store.kms_key.as_deref().filter(|key| key.starts_with("arn:")),
                "repository_arns": repository_pattern(store, &self.project).into_iter().collect::<Vec<_>>(),
                "signing_alias": signing_alias(store, &self.project),
            })
        });
        let artifact_store = self.artifact_store.as_ref().map(|store| {
            json!({
                "bucket": store.bucket,
                "reader_account_ids": store.readers,
                "repositories": store.repositories,
                "prefix": store.prefix,
                "signing_alias": store.signing_alias,
                "signing_key_arn": store.signing_key,
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

/// Returns who reads an environment and whom it reads, by `promote_from`.
fn readers(
    project: &Project,
    environment: &EnvironmentName,
    clouds: &BTreeMap<&EnvironmentName, &CloudAccount>,
) -> Readers {
    let promotes_from = |name: &EnvironmentName| project.environments.get(name)?.promote_from.as_ref();
    let role = |name: &EnvironmentName, cloud: &CloudAccount, does: &str| {
        let (project, account) = (&project.settings.name, &cloud.account);
        let role = format!("role/slipway/ci/{project}-{account}-{name}-ci-{does}");
        Partition::of_region(&cloud.region).arn("iam", "", account, &role)
    };
    let earlier = promotes_from(environment).and_then(|name| clouds.get_key_value(name));
    let reads =
        earlier.map(|(name, cloud)| cloud.read_role.clone().unwrap_or_else(|| role(name, cloud, "read")));
    let later = clouds.iter().filter(|(name, _)| promotes_from(name) == Some(environment));
    let read_by = later.flat_map(|(name, cloud)| {
        let own = cloud.role.clone().unwrap_or_else(|| role(name, cloud, "apply"));
        [role(name, cloud, "plan"), role(name, cloud, "apply"), own]
    });
    Readers { reads: reads.into_iter().collect(), read_by: read_by.collect() }
}

fn artifact_store(
    project: &Project,
    store: &StoreSettings,
    clouds: &BTreeMap<&EnvironmentName, &CloudAccount>,
) -> Result<ArtifactStore> {
    let host = EcrHost::new(&store.account, &store.region).to_string();
    let registry = store.repositories.clone().unwrap_or_else(|| format!("{host}/{}", project.settings.name));
    // Repositories in another registry are not created here.
    let prefix = (registry.split('/').next() == Some(host.as_str()))
        .then(|| registry[host.len()..].trim_matches('/').to_owned());
    let images = project.functions.iter().filter(|(_, function)| function.package == PackageType::Image);
    let repositories = match &prefix {
        None => BTreeSet::new(),
        Some(prefix) if prefix.is_empty() => images.map(|(name, _)| name.to_string()).collect(),
        Some(prefix) => images.map(|(name, _)| format!("{prefix}/{name}")).collect(),
    };
    let readers =
        clouds.values().map(|cloud| cloud.account.clone()).filter(|account| *account != store.account);
    Ok(ArtifactStore {
        bucket: store.bucket.clone(),
        readers: readers.collect(),
        repositories,
        prefix: store.prefix.clone(),
        signing_alias: signing_alias(store, &project.settings.name),
        signing_key: store.signing_key.clone().filter(|key| key.starts_with("arn:")),
        registry,
    })
}

/// Returns the alias of the key that `bootstrap` makes to sign releases; `None` where a file signs them, or a key that exists.
fn signing_alias(store: &StoreSettings, project: &str) -> Option<String> {
    match &store.signing_key {
        None => Some(format!("alias/{project}-release")),
        Some(alias) if alias.starts_with("alias/") => Some(alias.clone()),
        Some(_) => None,
    }
}

/// Returns the pattern of the ARNs of the project's repositories; `None` for a registry that is not ECR.
fn repository_pattern(store: &StoreSettings, project: &str) -> Option<String> {
    let (host, prefix) = match &store.repositories {
        None => (EcrHost::new(&store.account, &store.region), project),
        Some(place) => {
            let (host, prefix) = place.split_once('/').unwrap_or((place, ""));
            (EcrHost::parse(host)?, prefix.trim_matches('/'))
        }
    };
    let names = if prefix.is_empty() { "*".to_owned() } else { format!("{prefix}/*") };
    let partition = Partition::of_region(&host.region);
    Some(partition.arn("ecr", &host.region, &host.account, &format!("repository/{names}")))
}

/// The resource types that a plan must never remove: with them, states, artifacts or signatures would be lost.
const PROTECTED_TYPES: [&str; 3] = ["aws_s3_bucket", "aws_kms_key", "aws_dynamodb_table"];

/// Refuses a plan that removes a resource with states, artifacts or signatures.
///
/// Terraform's own `prevent_destroy` has no effect once the environment or setting is removed that created the resource.
pub(crate) fn refuse_removal(planned: &Planned) -> Result<()> {
    let is_protected = |address: &str| {
        let mut parts = address.split('.').rev().skip(1);
        parts.next().is_some_and(|kind| PROTECTED_TYPES.contains(&kind))
    };
    match planned.changes.iter().find(|change| change.action.removes() && is_protected(&change.address)) {
        None => Ok(()),
        Some(change) => Err(Failure::refused(format!(
            "the plan would remove {}, and with it states, artifacts or signatures",
            change.address
        ))
        .unchanged("Nothing was applied.")
        .hint("if you removed an environment, its lock table or [store] from the settings by mistake, restore it; to delete the resource, delete it by hand, then run `terraform state rm`")),
    }
}

/// Returns the policies of an account's deployment roles, by group and name.
pub(crate) fn deployment_policies(spec: &AccountSpec, applied: &Applied) -> Result<Value> {
    let policies = applied.output("policies");
    if policies.is_null() {
        return Err(Failure::failed(format!("the account {} has no deployment roles", spec.account)).hint(
            format!(
                "name who may deploy in terraform/bootstrap/{}.tfvars (`ci`), then run cargo xtask bootstrap: https://github.com/slipway/slipway/blob/main/docs/how-to/first-account.md",
                spec.account
            ),
        ));
    }
    Ok(policies)
}

/// Returns the policies as Markdown: a heading and a block of JSON for each.
pub(crate) fn policies_text(policies: &Value) -> Result<String> {
    let mut text = String::new();
    for (heading, group) in [
        ("May assume", "trust"),
        ("Permissions of", "permissions"),
        ("Boundary of", "boundaries"),
        ("Policy of the bucket", "buckets"),
        ("Policy of the key", "keys"),
    ] {
        for (name, policy) in policies.get(group).and_then(Value::as_object).into_iter().flatten() {
            let policy: Value =
                serde_json::from_str(policy.as_str().unwrap_or_default()).map_err(|error| {
                    Failure::failed(format!("the policy {name} of terraform/bootstrap is not JSON"))
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
    fn ecr_repository_pattern_is_known_only_for_ecr() {
        let of = |place| repository_pattern(&store(place), "shop");
        let arn = |under: &str| Some(format!("arn:aws:ecr:eu-central-1:111111111111:repository/{under}"));
        assert_eq!(of(None), arn("shop/*"));
        assert_eq!(of(Some("111111111111.dkr.ecr.eu-central-1.amazonaws.com/a/b")), arn("a/b/*"));
        assert_eq!(of(Some("111111111111.dkr.ecr.eu-central-1.amazonaws.com")), arn("*"));
        assert_eq!(of(Some("ghcr.io/acme")), None);
        assert_eq!(
            of(Some("111111111111.dkr.ecr.cn-north-1.amazonaws.com.cn/a")).as_deref(),
            Some("arn:aws-cn:ecr:cn-north-1:111111111111:repository/a/*")
        );
    }

    #[test]
    fn environment_is_read_by_those_that_promote_from_it() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("pipelines/project.toml", "schema = 1\nname = \"shop\"\n");
        for (name, digit, from) in [("dev", "2", ""), ("staging", "3", "dev"), ("prod", "4", "staging")] {
            let account = digit.repeat(12);
            let from = if from.is_empty() { String::new() } else { format!("promote_from = \"{from}\"\n") };
            write(
                &format!("terraform/environments/{name}/environment.toml"),
                &format!(
                    "account = \"{account}\"\nregion = \"eu-central-1\"\n{from}[state]\nbucket = \"b\"\n"
                ),
            );
        }
        let project = Project::load(folder.path()).unwrap();
        let values = |name: &str| {
            let spec = AccountSpec::of(&project, Some(&name.parse().unwrap())).unwrap();
            spec.values()["environments"][name].clone()
        };
        let role = |account: &str, name: &str| {
            format!("arn:aws:iam::{}:role/slipway/ci/shop-{0}-{name}", account.repeat(12))
        };
        assert_eq!(values("dev")["reads"], json!([]), "it is the first");
        assert_eq!(
            values("dev")["read_by"],
            json!([role("3", "staging-ci-apply"), role("3", "staging-ci-plan")])
        );
        assert_eq!(values("staging")["reads"], json!([role("2", "dev-ci-read")]));
        assert_eq!(values("prod")["read_by"], json!([]));
    }

    #[test]
    fn plan_that_removes_buckets_keys_or_tables_is_refused() {
        let planned = |address: &str, action| Planned {
            changes: vec![Change { address: address.into(), action, reason: None }],
            drift: Vec::new(),
            outputs_change: false,
            file: crate::plan::SavedPlan::of_temporary_folder(),
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
    fn policies_text_has_a_heading_for_each_policy() {
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
