//! An account as its administrator uses it: the resources that Terraform needs first, and the account's own state.
//!
//! In: the account's spec; the caller's own credentials, without a role. Out: an [`AdminAccount`]. Errors: credentials for
//! another account, which are refused before anything is changed; a bucket that belongs to another account.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use slipway_cloud::{CloudError, CloudErrorKind, ObjectStore, Put, Session};

use super::AppContext;
use super::account::refuse_other_state;
use super::ports::{AccountServices, explain};
use crate::bootstrap::{AccountSpec, ResourceLookup};
use crate::failure::{Failure, FailureKind, Result};
use crate::output::Console;
use crate::partition::Partition;
use crate::plan::{
    self, AccountPreparation, AdoptionCandidate, Backend, Configuration, LockRequest, ProviderLock, WorkLock,
};
use crate::ports::{Resource, Services};

/// The key of the account's own state.
const STATE_KEY: &str = "bootstrap.tfstate";

/// The prefix of archived states in an environment's bucket.
const ARCHIVE_PREFIX: &str = "archive/bootstrap/";

/// The number of resources that are looked for at the same time: IAM allows few calls a second.
const PARALLEL_LOOKUPS: usize = 4;

/// An account, used with its administrator's credentials.
pub(crate) struct AdminAccount {
    session: Session,
    console: Arc<Console>,
    state_store: ObjectStore,
    project: String,
    /// The account's partition.
    pub(crate) partition: Partition,
    /// The backend of the account's own state.
    pub(crate) backend: Backend,
    /// Environment variables for Terraform.
    pub(crate) variables: Vec<(String, String)>,
}

/// The archived states of one bucket.
#[derive(Debug, Default, PartialEq, Eq)]
struct Archives {
    /// The key of the newest one.
    newest: Option<String>,
    /// Keys that are not those of archived states. A principal that can write one would have the administrator's Terraform read it.
    foreign: Vec<String>,
}

impl Archives {
    fn of(keys: impl Iterator<Item = String>) -> Self {
        let (own, foreign): (Vec<String>, Vec<String>) = keys.partition(|key| archive_number(key).is_some());
        Self { newest: own.into_iter().max(), foreign }
    }
}

/// Returns the number of an archived state, `archive/bootstrap/0001.tfstate`: four digits, and nothing else.
fn archive_number(key: &str) -> Option<u16> {
    let number = key.strip_prefix(ARCHIVE_PREFIX)?.strip_suffix(".tfstate")?;
    (number.len() == 4 && number.bytes().all(|byte| byte.is_ascii_digit())).then(|| number.parse().ok())?
}

/// Returns the key of the archived state after the newest one; `None` after the last number.
fn next_archive(newest: Option<&str>) -> Option<String> {
    let number = newest.and_then(archive_number).unwrap_or_default() + 1;
    (number < 10_000).then(|| format!("{ARCHIVE_PREFIX}{number:04}.tfstate"))
}

/// What was created or restored before Terraform.
#[derive(Debug, Default)]
pub(crate) struct PreparedAccount {
    /// New buckets and tables.
    pub(crate) created: Vec<String>,
    /// The archive that the state was restored from.
    pub(crate) restored: Option<String>,
    /// Keys among the archived states that are none: they were not read.
    pub(crate) foreign: Vec<String>,
}

impl AppContext {
    /// Opens an account with the caller's own credentials.
    pub(crate) async fn admin_account(&self, spec: &AccountSpec) -> Result<AdminAccount> {
        refuse_other_state(&self.process_env)?;
        let session = self.session(self.cloud_target(&spec.region, None)).await?;
        let identity = session.identity().await.map_err(explain)?;
        if identity.account != spec.account {
            return Err(Failure::refused(format!(
                "the credentials are for account {}; {} uses {}",
                identity.account, spec.label, spec.account
            ))
            .detail("wanted", &spec.account)
            .detail("got", format!("{} ({})", identity.account, identity.arn))
            .unchanged("Nothing was changed.")
            .hint("sign in as the administrator of that account: https://github.com/slipway/slipway/blob/main/docs/how-to/first-account.md"));
        }
        let bucket = spec.bootstrap_bucket();
        let state_store = session.store(&bucket, None);
        let variables = self.with_terraform_tuning(session.environment().await.map_err(explain)?);
        let backend = Backend {
            bucket,
            prefix: String::new(),
            region: spec.region.clone(),
            account: spec.account.clone(),
            // Only a lock file: a lock table keeps the digest of a lost state, and Terraform would refuse a new one.
            lock_table: None,
            endpoint: self.process_env.get("AWS_ENDPOINT_URL").map(str::to_owned),
        };
        let partition = Partition::of_arn(&identity.arn).unwrap_or(Partition::of_region(&spec.region));
        Ok(AdminAccount {
            console: self.console.clone(),
            session,
            state_store,
            project: spec.project.clone(),
            partition,
            backend,
            variables,
        })
    }

    /// Locks the work folder of an account.
    pub(crate) async fn lock_account(&self, spec: &AccountSpec) -> Result<WorkLock> {
        WorkLock::take(LockRequest {
            work: &self.account_work(spec),
            subject: format!("the account {}", spec.account),
            by: &self.process_env.actor(),
            timeout: self.options.lock_timeout,
            progress: &self.progress,
            interrupt: &self.interrupt,
        })
        .await
    }

    /// Returns the configuration of an account, with import blocks for the resources to adopt (address and import id).
    pub(crate) fn account_configuration(
        &self,
        spec: &AccountSpec,
        account: &AdminAccount,
        lock: &WorkLock,
        adopted: &[(String, String)],
    ) -> Result<Configuration> {
        let root = &self.project.root;
        plan::prepare_account(AccountPreparation {
            root,
            work: self.account_work(spec),
            label: &spec.label,
            backend: &account.backend,
            values: spec.values(),
            adopted,
            variables: account.variables.clone(),
            // For people too: an administrator of the account plans here, and `init` installs what a state names.
            provider_lock: ProviderLock::Kept,
            lock_timeout: self.options.lock_timeout,
            lock,
        })
    }

    fn account_work(&self, spec: &AccountSpec) -> PathBuf {
        self.project.work_folder().join("bootstrap").join(&spec.account)
    }
}

impl AdminAccount {
    /// Returns the account's services, through which other addresses are reached too.
    pub(crate) fn services(&self) -> Arc<dyn Services> {
        Arc::new(AccountServices(self.session.clone(), self.console.clone()))
    }

    /// Creates the state bucket and the lock tables, and restores an archived state.
    pub(crate) async fn prepare(&self, spec: &AccountSpec) -> Result<PreparedAccount> {
        let mut prepared = PreparedAccount::default();
        let bucket = self.state_store.bucket();
        if self
            .state_store
            .create_private_bucket()
            .await
            .map_err(|error| self.bucket_failure(bucket, error))?
        {
            prepared.created.push(format!("bucket {bucket}"));
        }
        for table in spec.environments.values().filter_map(|cloud| cloud.lock_table.as_deref()) {
            if self.session.create_lock_table(table).await.map_err(explain)? {
                prepared.created.push(format!("table {table}"));
            }
        }
        if self.state_store.head(STATE_KEY).await.map_err(explain)?.is_none() {
            self.restore(spec, &mut prepared).await?;
        }
        Ok(prepared)
    }

    /// Moves the account's own state into an environment's bucket; returns its URI.
    pub(crate) async fn archive(&self, bucket: &str) -> Result<String> {
        let exists = self.state_store.bucket_exists().await.map_err(explain)?;
        let state = if exists { self.state_store.get(STATE_KEY).await.map_err(explain)? } else { None };
        let to = self.session.store(bucket, None);
        let Some(state) = state else {
            let failure =
                Failure::failed(format!("s3://{}/{STATE_KEY} does not exist", self.state_store.bucket()))
                    .unchanged("Nothing was changed.");
            return Err(match self.archives(bucket).await?.newest {
                Some(key) => failure.hint(format!("it is archived already: s3://{bucket}/{key}")),
                None => failure.hint("prepare the account first: cargo xtask bootstrap without --archive"),
            });
        };
        let lock = format!("{STATE_KEY}.tflock");
        if self.state_store.head(&lock).await.map_err(explain)?.is_some() {
            return Err(Failure::new(
                FailureKind::LockHeld,
                format!("s3://{}/{STATE_KEY} is locked by another run", self.state_store.bucket()),
            )
            .unchanged("Nothing was changed.")
            .hint("wait for that run; if it was killed, remove its lock with terraform force-unlock"));
        }
        let newest = self.archives(bucket).await?.newest;
        let key = next_archive(newest.as_deref()).ok_or_else(|| {
            Failure::failed(format!("s3://{bucket}/{ARCHIVE_PREFIX} has no number left"))
                .unchanged("Nothing was changed.")
        })?;
        let put = to.put_new(&key, state.bytes.clone(), "application/json").await.map_err(explain)?;
        if put == Put::Different {
            return Err(Failure::failed(format!("another run wrote s3://{bucket}/{key} at the same time"))
                .unchanged("The state was not moved.")
                .hint("run the same command again"));
        }
        self.state_store.delete(STATE_KEY).await.map_err(explain)?;
        Ok(format!("s3://{bucket}/{key}"))
    }

    /// Restores the state that was archived last.
    async fn restore(&self, spec: &AccountSpec, prepared: &mut PreparedAccount) -> Result<()> {
        for cloud in spec.environments.values() {
            let bucket = self.session.store(&cloud.state_bucket, None);
            let archives = self.archives(&cloud.state_bucket).await?;
            let place = |key: &String| format!("s3://{}/{key}", cloud.state_bucket);
            prepared.foreign.extend(archives.foreign.iter().map(place));
            let Some(key) = archives.newest.filter(|_| prepared.restored.is_none()) else { continue };
            let Some(state) = bucket.get(&key).await.map_err(explain)? else { continue };
            self.state_store.put_new(STATE_KEY, state.bytes, "application/json").await.map_err(explain)?;
            prepared.restored = Some(place(&key));
        }
        Ok(())
    }

    /// Lists the archived states of a bucket.
    async fn archives(&self, bucket: &str) -> Result<Archives> {
        let exists = self.session.existing(&Resource::Bucket(bucket.to_owned())).await;
        if exists.map_err(|error| self.bucket_failure(bucket, error))?.is_none() {
            return Ok(Archives::default());
        }
        let listed = self.session.store(bucket, None).list(ARCHIVE_PREFIX, None).await.map_err(explain)?;
        Ok(Archives::of(listed.into_iter().map(|listed| listed.key)))
    }

    /// Returns address and import id of a candidate; `None` if it does not exist.
    async fn import_of(&self, candidate: &AdoptionCandidate) -> Result<Option<(String, String)>> {
        let found = self.session.existing(&candidate.resource).await;
        let found = found.map_err(|error| match &candidate.resource {
            Resource::Bucket(name) => self.bucket_failure(name, error),
            _ => explain(error),
        })?;
        let Some(found) = found else { return Ok(None) };
        if let Resource::OidcProvider(arn) = &candidate.resource {
            let is_own = found.tags.iter().any(|(key, value)| key == "Project" && *value == self.project);
            if !is_own {
                return Err(Failure::refused(format!("the account has {arn} already, and it does not belong to this project"))
                    .unchanged("Nothing was applied.")
                    .hint(format!(
                        "an account can have only one: set make_github_provider = false and github_provider_arn = \"{arn}\" in terraform/bootstrap/{}.tfvars",
                        self.backend.account
                    )));
            }
        }
        Ok(Some((candidate.address.clone(), found.id)))
    }

    /// Returns the failure of a bucket's look-up; access denied means that another account owns it.
    fn bucket_failure(&self, bucket: &str, error: CloudError) -> Failure {
        if error.kind != CloudErrorKind::AccessDenied {
            return explain(error);
        }
        Failure::refused(format!("the bucket {bucket} exists and does not belong to the account {}", self.backend.account))
            .caused_by(error)
            .unchanged("Nothing was changed there.")
            .hint("bucket names are unique in all of AWS: another account has this one, or these credentials may not list it (s3:ListAllMyBuckets). Set another `name` in pipelines/project.toml, or another `bucket`")
    }
}

#[async_trait]
impl ResourceLookup for AdminAccount {
    async fn existing(&self, candidates: &[AdoptionCandidate]) -> Result<Vec<(String, String)>> {
        // Collected first: a lazy stream of futures that borrow is not `Send` for the compiler.
        let lookups: Vec<_> = candidates.iter().map(|candidate| self.import_of(candidate)).collect();
        let found: Vec<Option<(String, String)>> =
            stream::iter(lookups).buffered(PARALLEL_LOOKUPS).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archives(keys: &[&str]) -> Archives {
        Archives::of(keys.iter().map(|key| (*key).to_owned()))
    }

    #[test]
    fn planted_state_is_not_the_newest_archive() {
        let newest = "archive/bootstrap/0012.tfstate";
        for planted in [
            "archive/bootstrap/9999.tflock",
            "archive/bootstrap/9999.tfstate.tflock",
            "archive/bootstrap/99999.tfstate",
            "archive/bootstrap/x.tfstate",
            "archive/bootstrap/+123.tfstate",
            "archive/bootstrap/deep/9999.tfstate",
        ] {
            let found = archives(&["archive/bootstrap/0002.tfstate", newest, planted]);
            assert_eq!(found, Archives { newest: Some(newest.into()), foreign: vec![planted.into()] });
        }
        assert_eq!(archives(&["archive/bootstrap/9999.tflock"]).newest, None);
    }

    #[test]
    fn archives_are_numbered_after_the_newest_one() {
        assert_eq!(next_archive(None).as_deref(), Some("archive/bootstrap/0001.tfstate"));
        let after = next_archive(Some("archive/bootstrap/0041.tfstate"));
        assert_eq!(after.as_deref(), Some("archive/bootstrap/0042.tfstate"));
        assert_eq!(next_archive(Some("archive/bootstrap/9999.tfstate")), None);
    }
}
