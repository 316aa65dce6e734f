//! An account as its administrator uses it: the resources that Terraform needs first, and the account's own state.
//!
//! In: the account's spec; the caller's own credentials, without a role. Out: an [`AdminAccount`]. Errors: credentials for
//! another account, which are refused before anything is changed; a bucket that belongs to another account.

use std::path::PathBuf;

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use slipway_cloud::{CloudError, CloudErrorKind, ObjectStore, Put, Session};

use super::AppContext;
use super::account::refuse_other_state;
use super::ports::explain;
use crate::bootstrap::{AccountSpec, ResourceLookup};
use crate::failure::{Failure, FailureKind, Result};
use crate::partition::Partition;
use crate::plan::{
    self, AccountPreparation, AdoptionCandidate, Backend, Configuration, LockRequest, ProviderLock, WorkLock,
};
use crate::ports::Resource;

/// The key of the account's own state.
const STATE_KEY: &str = "bootstrap.tfstate";

/// The prefix of archived states in an environment's bucket.
const ARCHIVE_PREFIX: &str = "archive/bootstrap/";

/// The number of resources that are looked for at the same time: IAM allows few calls a second.
const PARALLEL_LOOKUPS: usize = 4;

/// An account, used with its administrator's credentials.
pub(crate) struct AdminAccount {
    session: Session,
    state_store: ObjectStore,
    project: String,
    /// The account's partition.
    pub(crate) partition: Partition,
    /// The backend of the account's own state.
    pub(crate) backend: Backend,
    /// Environment variables for Terraform.
    pub(crate) variables: Vec<(String, String)>,
}

/// What was created or restored before Terraform.
#[derive(Debug, Default)]
pub(crate) struct PreparedAccount {
    /// New buckets and tables.
    pub(crate) created: Vec<String>,
    /// The archive that the state was restored from.
    pub(crate) restored: Option<String>,
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
            provider_lock: if self.process_env.ci() { ProviderLock::Kept } else { ProviderLock::Completed },
            lock_timeout: self.options.lock_timeout,
            lock,
        })
    }

    fn account_work(&self, spec: &AccountSpec) -> PathBuf {
        self.project.work_folder().join("bootstrap").join(&spec.account)
    }
}

impl AdminAccount {
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
            prepared.restored = self.restore(spec).await?;
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
            return Err(match self.newest_archive(bucket).await? {
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
        let number = to.list(ARCHIVE_PREFIX, None).await.map_err(explain)?.len() + 1;
        let key = format!("{ARCHIVE_PREFIX}{number:04}.tfstate");
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
    async fn restore(&self, spec: &AccountSpec) -> Result<Option<String>> {
        for cloud in spec.environments.values() {
            let bucket = self.session.store(&cloud.state_bucket, None);
            let Some(key) = self.newest_archive(&cloud.state_bucket).await? else { continue };
            let Some(state) = bucket.get(&key).await.map_err(explain)? else { continue };
            self.state_store.put_new(STATE_KEY, state.bytes, "application/json").await.map_err(explain)?;
            return Ok(Some(format!("s3://{}/{key}", cloud.state_bucket)));
        }
        Ok(None)
    }

    /// Returns the key of the newest archived state in a bucket.
    async fn newest_archive(&self, bucket: &str) -> Result<Option<String>> {
        let exists = self.session.existing(&Resource::Bucket(bucket.to_owned())).await;
        if exists.map_err(|error| self.bucket_failure(bucket, error))?.is_none() {
            return Ok(None);
        }
        let listed = self.session.store(bucket, None).list(ARCHIVE_PREFIX, None).await.map_err(explain)?;
        Ok(listed.into_iter().map(|listed| listed.key).max())
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
