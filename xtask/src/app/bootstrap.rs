//! An account, open to its administrator: what is made before Terraform can begin, and what becomes of its state afterwards.
//!
//! In: what the account is to have; the credentials of whoever runs this, without a role. Out: a [`AdminAccount`]. Goes wrong:
//! credentials of another account, which are refused before anything is touched; a bucket by the name of ours that is
//! somebody else's.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use slipway_cloud::{CloudError, CloudErrorKind, ObjectStore, Put, Session};

use super::AppContext;
use super::ports::explain;
use crate::bootstrap::{Candidate, Wanted};
use crate::failure::{Failure, Result};
use crate::plan::Backend;
use crate::ports::Resource;

/// Where Terraform keeps the account's own state.
const STATE_KEY: &str = "bootstrap.tfstate";

/// Where a state is put away, in an environment's bucket.
const ARCHIVE: &str = "archive/bootstrap/";

/// How many things are looked for at the same time: IAM answers few calls a second.
const AT_ONCE: usize = 4;

/// An account, open to its administrator.
pub(crate) struct AdminAccount {
    session: Session,
    minimal: ObjectStore,
    project: String,
    /// Where Terraform keeps state.
    pub(crate) backend: Backend,
    /// What Terraform's process gets.
    pub(crate) variables: Vec<(String, String)>,
}

/// What was there before Terraform.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    /// Buckets and tables that are new.
    pub(crate) made: Vec<String>,
    /// Where the state was brought back from.
    pub(crate) restored: Option<String>,
}

impl AppContext {
    /// Opens an account with the credentials of whoever runs this.
    pub(crate) async fn ground(&self, wanted: &Wanted) -> Result<AdminAccount> {
        let session = self.session(self.cloud_target(&wanted.region, None)).await?;
        let identity = session.identity().await.map_err(explain)?;
        if identity.account != wanted.account {
            return Err(Failure::refused(format!(
                "these credentials do not lead into the account of {}",
                wanted.label
            ))
            .detail("wanted", &wanted.account)
            .detail("got", format!("{} ({})", identity.account, identity.arn))
            .unchanged("Nothing was changed.")
            .hint("sign in as the administrator of that account: docs/how-to/first-account.md"));
        }
        let bucket = wanted.minimal_bucket();
        let minimal = session.store(&bucket, None);
        let variables = self.with_terraform_tuning(session.environment().await.map_err(explain)?);
        let backend = Backend {
            bucket,
            region: wanted.region.clone(),
            account: wanted.account.clone(),
            // The lock file alone: a table would hold the digest of a state that was lost, and none would be believed.
            lock_table: None,
            endpoint: self.process_env.get("AWS_ENDPOINT_URL").map(str::to_owned),
        };
        Ok(AdminAccount { session, minimal, project: wanted.project.clone(), backend, variables })
    }
}

impl AdminAccount {
    /// Makes what Terraform's first state needs, and brings back a state that was put away.
    pub(crate) async fn prepare(&self, wanted: &Wanted) -> Result<Prepared> {
        let mut prepared = Prepared::default();
        let bucket = self.minimal.bucket();
        if self.minimal.create_private_bucket().await.map_err(|error| self.not_ours(bucket, error))? {
            prepared.made.push(format!("bucket {bucket}"));
        }
        for table in wanted.environments.values().filter_map(|cloud| cloud.lock_table.as_deref()) {
            if self.session.create_lock_table(table).await.map_err(explain)? {
                prepared.made.push(format!("table {table}"));
            }
        }
        if self.minimal.head(STATE_KEY).await.map_err(explain)?.is_none() {
            prepared.restored = self.restore(wanted).await?;
        }
        Ok(prepared)
    }

    /// Finds out which of the candidates exist, with the ids that Terraform imports them by.
    pub(crate) async fn existing(&self, candidates: &[Candidate]) -> Result<Vec<(String, String)>> {
        let looked_for = candidates.iter().map(|candidate| self.import(candidate));
        let found: Vec<Option<(String, String)>> =
            stream::iter(looked_for).buffered(AT_ONCE).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Puts the state away into an environment's bucket; returns where it is.
    pub(crate) async fn archive(&self, bucket: &str) -> Result<String> {
        let exists = self.minimal.bucket_exists().await.map_err(explain)?;
        let state = if exists { self.minimal.get(STATE_KEY).await.map_err(explain)? } else { None };
        let to = self.session.store(bucket, None);
        let Some(state) = state else {
            let failure =
                Failure::failed(format!("s3://{}/{STATE_KEY} does not exist", self.minimal.bucket()))
                    .unchanged("Nothing was changed.");
            return Err(match self.newest(bucket).await? {
                Some(key) => failure.hint(format!("it is put away already: s3://{bucket}/{key}")),
                None => failure.hint("cargo xtask bootstrap without --archive prepares the account first"),
            });
        };
        let held = format!("{STATE_KEY}.tflock");
        if self.minimal.head(&held).await.map_err(explain)?.is_some() {
            return Err(Failure::new(
                crate::failure::FailureKind::LockHeld,
                format!("somebody is at work on s3://{}/{STATE_KEY}", self.minimal.bucket()),
            )
            .unchanged("Nothing was changed.")
            .hint("wait for that run, or remove its lock with terraform force-unlock where it is dead"));
        }
        let number = to.list(ARCHIVE, None).await.map_err(explain)?.len() + 1;
        let key = format!("{ARCHIVE}{number:04}.tfstate");
        let put = to.put_new(&key, state.bytes.clone(), "application/json").await.map_err(explain)?;
        if put == Put::Different {
            return Err(Failure::failed(format!("somebody wrote s3://{bucket}/{key} at the same time"))
                .unchanged("The state is where it was.")
                .hint("run the same command again"));
        }
        self.minimal.delete(STATE_KEY).await.map_err(explain)?;
        Ok(format!("s3://{bucket}/{key}"))
    }

    /// Brings back the state that was put away last.
    async fn restore(&self, wanted: &Wanted) -> Result<Option<String>> {
        for cloud in wanted.environments.values() {
            let bucket = self.session.store(&cloud.state_bucket, None);
            let Some(key) = self.newest(&cloud.state_bucket).await? else { continue };
            let Some(state) = bucket.get(&key).await.map_err(explain)? else { continue };
            self.minimal.put_new(STATE_KEY, state.bytes, "application/json").await.map_err(explain)?;
            return Ok(Some(format!("s3://{}/{key}", cloud.state_bucket)));
        }
        Ok(None)
    }

    async fn newest(&self, bucket: &str) -> Result<Option<String>> {
        let exists = self.session.existing(&Resource::Bucket(bucket.to_owned())).await;
        if exists.map_err(|error| self.not_ours(bucket, error))?.is_none() {
            return Ok(None);
        }
        let listed = self.session.store(bucket, None).list(ARCHIVE, None).await.map_err(explain)?;
        Ok(listed.into_iter().map(|listed| listed.key).max())
    }

    async fn import(&self, candidate: &Candidate) -> Result<Option<(String, String)>> {
        let found = self.session.existing(&candidate.resource).await;
        let found = found.map_err(|error| match &candidate.resource {
            Resource::Bucket(name) => self.not_ours(name, error),
            _ => explain(error),
        })?;
        let Some(found) = found else { return Ok(None) };
        if let Resource::OidcProvider(arn) = &candidate.resource {
            let ours = found.tags.iter().any(|(key, value)| key == "Project" && *value == self.project);
            if !ours {
                return Err(Failure::refused(format!("the account has {arn} already, and not of this project"))
                    .unchanged("Nothing was applied.")
                    .hint(format!(
                        "an account has one for all its projects: write make_github_provider = false and github_provider_arn = \"{arn}\" into terraform/bootstrap/{}.tfvars",
                        self.backend.account
                    )));
            }
        }
        Ok(Some((candidate.address.clone(), found.id)))
    }

    fn not_ours(&self, bucket: &str, error: CloudError) -> Failure {
        if error.kind != CloudErrorKind::AccessDenied {
            return explain(error);
        }
        Failure::refused(format!("the bucket {bucket} exists and is not of the account {}", self.backend.account))
            .caused_by(error)
            .unchanged("Nothing was changed there.")
            .hint("names of buckets are the app's: somebody took this one, or these credentials may not see it (s3:ListAllMyBuckets); another `name` in pipelines/project.toml, or another `bucket`, gets around it")
    }
}
