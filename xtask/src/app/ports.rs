//! Implementations of the ports: stores, functions, services, clock, approval; cloud errors become failures.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use slipway_cloud::{CloudError, CloudErrorKind, ObjectStore, Session};

use crate::digest::Digest;
use crate::failure::{Failure, FailureKind, Result};
use crate::output::Console;
use crate::ports::{
    Alias, Approver, Clock, DigestComparison, FunctionConfiguration, Functions, HttpRequest, HttpResponse,
    Invocation, LambdaLimits, Listed, ObjectHead, Put, Quota, Quotas, Resource, Services, Store, Stored,
};

/// A bucket as a store, or the keys in it that begin with a prefix.
pub(super) struct Bucket {
    objects: ObjectStore,
    /// What each key begins with: nothing, or a name with a slash at its end.
    prefix: String,
}

impl Bucket {
    /// Returns a bucket's keys with a prefix as a store. Its own keys are without the prefix.
    pub(super) fn new(objects: ObjectStore, prefix: &str) -> Self {
        Self { objects, prefix: prefix.to_owned() }
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }
}

#[async_trait]
impl Store for Bucket {
    async fn put_new(&self, key: &str, bytes: Vec<u8>) -> Result<Put> {
        let kind = if key.ends_with(".json") { "application/json" } else { "application/octet-stream" };
        self.objects.put_new(&self.key(key), bytes, kind).await.map_err(explain)
    }

    async fn put_new_file(
        &self,
        key: &str,
        path: &Path,
        digest: Digest,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<Put> {
        self.objects.put_new_file(&self.key(key), path, digest, progress).await.map_err(explain)
    }

    async fn put(&self, key: &str, bytes: Vec<u8>) -> Result<()> {
        self.objects.put(&self.key(key), bytes, "application/json").await.map(drop).map_err(explain)
    }

    async fn get(&self, key: &str) -> Result<Option<Stored>> {
        let object = self.objects.get(&self.key(key)).await.map_err(explain)?;
        Ok(object.map(|object| Stored { bytes: object.bytes, age: object.age }))
    }

    async fn compare(&self, key: &str, digest: Digest, to: Option<&Path>) -> Result<DigestComparison> {
        let scratch = tempfile::tempdir()
            .map_err(|error| Failure::failed("no temporary folder can be made").caused_by(error))?;
        let own = scratch.path().join("object");
        match self.objects.get_file(&self.key(key), to.unwrap_or(&own), digest, &|_| {}).await {
            Ok(true) => Ok(DigestComparison::Same),
            Ok(false) => Ok(DigestComparison::Missing),
            Err(error) => match error.kind {
                CloudErrorKind::WrongBytes { got, .. } => Ok(DigestComparison::Other(got)),
                _ => Err(explain(error)),
            },
        }
    }

    async fn delete(&self, key: &str) -> Result<()> {
        self.objects.delete(&self.key(key)).await.map_err(explain)
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectHead>> {
        let head = self.objects.head(&self.key(key)).await.map_err(explain)?;
        Ok(head.map(|head| ObjectHead { size: head.size, sha256: head.sha256 }))
    }

    async fn list(&self, prefix: &str, limit: Option<usize>) -> Result<Vec<String>> {
        let listed = self.objects.list(&self.key(prefix), limit).await.map_err(explain)?;
        let keys = listed.into_iter().map(|listed| listed.key);
        Ok(keys.filter_map(|key| key.strip_prefix(&self.prefix).map(str::to_owned)).collect())
    }

    async fn list_after(&self, prefix: &str, after: &str, limit: usize) -> Result<Vec<Listed>> {
        let listed =
            self.objects.list_after(&self.key(prefix), &self.key(after), limit).await.map_err(explain)?;
        let own = listed.into_iter().filter_map(|listed| {
            let key = listed.key.strip_prefix(&self.prefix)?.to_owned();
            Some(Listed { key, mark: listed.etag, modified: listed.modified_epoch })
        });
        Ok(own.collect())
    }

    fn place(&self) -> String {
        format!("s3://{}/{}", self.objects.bucket(), self.prefix).trim_end_matches('/').to_owned()
    }
}

/// Returns whether an invocation failed because of the function: it took too long, or Lambda cannot run what it is configured
/// with. Anything else, such as a 500 of Lambda itself, says nothing about the function.
///
/// Codes: <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html#API_Invoke_Errors>.
fn is_fault_of_function(error: &CloudError) -> bool {
    const OF_FUNCTION: [&str; 12] = [
        "EFSIOException",
        "EFSMountConnectivityException",
        "EFSMountFailureException",
        "EFSMountTimeoutException",
        "InvalidRuntimeException",
        "InvalidSecurityGroupIDException",
        "InvalidSubnetIDException",
        "InvalidZipFileException",
        "KMSAccessDeniedException",
        "KMSDisabledException",
        "KMSNotFoundException",
        "SnapStartException",
    ];
    let code = error.code.as_deref().unwrap_or_default();
    matches!(error.kind, CloudErrorKind::TimedOut | CloudErrorKind::NotFound) || OF_FUNCTION.contains(&code)
}

/// An account's functions.
pub(super) struct Lambda(pub(super) slipway_cloud::Functions);

#[async_trait]
impl Functions for Lambda {
    async fn published(&self, function: &str, version: &str) -> Result<Option<FunctionConfiguration>> {
        self.0.configuration(function, Some(version)).await.map_err(explain)
    }

    async fn invoke(
        &self,
        function: &str,
        version: &str,
        event: &[u8],
        within: Duration,
    ) -> Result<Invocation> {
        self.0.invoke(function, version, event, within).await.map_err(|error| {
            if is_fault_of_function(&error) {
                return Failure::new(FailureKind::VerificationFailed, error.to_string());
            }
            explain(error).hint(
                "Lambda failed, not the function: run the same command again, which verifies the same version",
            )
        })
    }

    async fn versions(&self, function: &str) -> Result<Vec<FunctionConfiguration>> {
        self.0.versions(function).await.map_err(explain)
    }

    async fn delete_version(&self, function: &str, version: &str) -> Result<()> {
        self.0.delete_version(function, version).await.map_err(explain)
    }

    async fn alias(&self, function: &str, alias: &str) -> Result<Option<Alias>> {
        self.0.alias(function, alias).await.map_err(explain)
    }

    async fn move_alias(&self, function: &str, alias: &str, version: &str, revision: &str) -> Result<Alias> {
        let revision = Some(revision).filter(|revision| !revision.is_empty());
        self.0.move_alias(function, alias, version, revision).await.map_err(explain)
    }

    async fn event_source_enabled(&self, uuid: &str) -> Result<Option<bool>> {
        self.0.event_source_enabled(uuid).await.map_err(explain)
    }

    async fn set_event_source_enabled(&self, uuid: &str, enabled: bool) -> Result<()> {
        self.0.set_event_source_enabled(uuid, enabled).await.map_err(explain)
    }
}

/// Turns a cloud error into a failure, with a hint where there is one.
pub(super) fn explain(error: CloudError) -> Failure {
    let (kind, hint) = match error.kind {
        CloudErrorKind::AccessDenied => (
            FailureKind::Failed,
            Some(
                "the credentials do not allow this: check the role's policy, and that they are for the right account",
            ),
        ),
        CloudErrorKind::CredentialsMissing => (
            FailureKind::Failed,
            Some(
                "sign in first (aws sso login, or AWS_PROFILE / AWS_ACCESS_KEY_ID); cargo xtask doctor reports which credentials are found",
            ),
        ),
        CloudErrorKind::Unreachable => (
            FailureKind::Failed,
            Some("check the network and the address; for the local environment: cargo xtask local status"),
        ),
        CloudErrorKind::TimedOut => {
            (FailureKind::Failed, Some("run the same command again: it continues with what exists"))
        }
        CloudErrorKind::Throttled => {
            (FailureKind::Failed, Some("AWS throttles calls: run the same command again in a minute"))
        }
        CloudErrorKind::PreconditionFailed => (
            FailureKind::LockHeld,
            Some(
                "somebody else changed it at the same time: see cargo xtask status, then run the same command again",
            ),
        ),
        CloudErrorKind::NotFound if error.code.as_deref() == Some("NoSuchBucket") => (
            FailureKind::Failed,
            Some(
                "the bucket does not exist: cargo xtask bootstrap creates it; its name is in pipelines/project.toml or environment.toml",
            ),
        ),
        _ => (FailureKind::Failed, None),
    };
    let failure = Failure::new(kind, error.to_string());
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// The system's clock, read once; from then on the monotonic clock counts.
struct SystemClock {
    opened_at: jiff::Timestamp,
    opened: Instant,
    /// The time that records carry instead of the real one.
    fixed: Option<jiff::Timestamp>,
}

impl Clock for SystemClock {
    fn now(&self) -> jiff::Timestamp {
        self.fixed.unwrap_or_else(|| self.real_time())
    }

    fn real_time(&self) -> jiff::Timestamp {
        self.opened_at + self.monotonic()
    }

    fn monotonic(&self) -> Duration {
        self.opened.elapsed()
    }
}

/// Returns the system's clock; records carry the fixed time where one is given.
pub(super) fn clock(fixed: Option<jiff::Timestamp>) -> Arc<dyn Clock> {
    Arc::new(SystemClock { opened_at: jiff::Timestamp::now(), opened: Instant::now(), fixed })
}

/// Approves every question, for `--yes`; names must still be typed.
struct ApproveAll;

impl Approver for ApproveAll {
    fn approve(&self, _question: &str) -> Result<bool> {
        Ok(true)
    }

    fn typed(&self, name: &str) -> Result<bool> {
        Err(untyped(name))
    }
}

/// Asks the person at the terminal.
struct AskAtTerminal(Arc<Console>);

impl Approver for AskAtTerminal {
    fn approve(&self, question: &str) -> Result<bool> {
        Ok(self.0.ask(question))
    }

    fn typed(&self, name: &str) -> Result<bool> {
        Ok(self.0.typed(&format!("{name} is protected. Type its name to continue: ")) == name)
    }
}

/// Refuses every question, because nobody is at a terminal.
struct RefuseWithoutTerminal;

impl Approver for RefuseWithoutTerminal {
    fn approve(&self, question: &str) -> Result<bool> {
        Err(Failure::refused(format!("approval is needed, and there is no terminal to ask at: {question}"))
            .hint("approve it in advance with --yes"))
    }

    fn typed(&self, name: &str) -> Result<bool> {
        Err(untyped(name))
    }
}

fn untyped(name: &str) -> Failure {
    Failure::refused(format!("`{name}` is protected, and its name was not confirmed"))
        .hint(format!("confirm it in advance: --confirm '{name}'"))
}

/// Services of an account besides S3 and Lambda.
pub(super) struct AccountServices(pub(super) Session, pub(super) Arc<Console>);

#[async_trait]
impl Services for AccountServices {
    async fn existing(&self, resource: &Resource) -> Result<Option<String>> {
        Ok(self.0.existing(resource).await.map_err(explain)?.map(|found| found.id))
    }

    async fn state_lock(&self, table: &str, state: &str) -> Result<Option<String>> {
        self.0.state_lock(table, state).await.map_err(explain)
    }

    async fn secret(&self, id: &str) -> Result<Option<String>> {
        self.0.secret(id).await.map_err(explain)
    }

    fn hide_secret(&self, secret: &str) {
        self.1.hide_secret(secret);
    }

    async fn send(
        &self,
        request: &HttpRequest,
        sign_for: Option<&str>,
        within: Duration,
    ) -> Result<HttpResponse> {
        self.0.send(request, sign_for, within).await.map_err(explain)
    }
}

#[async_trait]
impl Quotas for AccountServices {
    async fn lambda(&self) -> Result<LambdaLimits> {
        self.0.lambda_limits().await.map_err(explain)
    }

    async fn reserved_concurrency(&self, function: &str) -> Result<i64> {
        self.0.reserved_concurrency(function).await.map_err(explain)
    }

    async fn elastic_ips(&self) -> Result<Quota> {
        self.0.elastic_ips().await.map_err(explain)
    }

    async fn elastic_ips_tagged(&self, tags: &[(&str, &str)]) -> Result<usize> {
        self.0.elastic_ips_tagged(tags).await.map_err(explain)
    }

    async fn attached_policies(&self, role: &str) -> Result<Quota> {
        self.0.attached_policies(role).await.map_err(explain)
    }
}

/// Returns the approver: `--yes`, the person at the terminal, or one that refuses.
pub(super) fn approver(console: Arc<Console>, yes: bool, interactive: bool) -> Arc<dyn Approver> {
    match (yes, interactive) {
        (true, _) => Arc::new(ApproveAll),
        (false, true) => Arc::new(AskAtTerminal(console)),
        (false, false) => Arc::new(RefuseWithoutTerminal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lambda_says_about_the_function_is_its_fault() {
        let error = |kind, code: Option<&str>| {
            let details = slipway_cloud::ErrorDetails {
                kind,
                service: "Lambda",
                operation: "Invoke",
                subject: "f:1".into(),
                code: code.map(str::to_owned),
                message: "failed".into(),
                request_id: None,
            };
            is_fault_of_function(&details.into())
        };
        assert!(error(CloudErrorKind::TimedOut, None));
        assert!(error(CloudErrorKind::Other, Some("InvalidZipFileException")));
        for code in ["ServiceException", "EC2ThrottledException"] {
            assert!(!error(CloudErrorKind::Other, Some(code)), "{code}");
        }
        assert!(!error(CloudErrorKind::Unreachable, None) && !error(CloudErrorKind::Throttled, None));
    }
}
