//! ECR: logins, repositories, scan findings.
//!
//! In: the registry's host and names of repositories. Out: credentials for [`crate::Registry`], repositories with
//! their settings, findings by severity. Errors name `host/repository`: no such repository, a registry in another
//! region than the session, a scan that fails or exceeds its time limit.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use aws_sdk_ecr::types::{ImageIdentifier, ImageScanningConfiguration, ImageTagMutability, ScanStatus};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use slipway_values::digest::Digest;
use slipway_values::partition::EcrHost;
use tokio::sync::Mutex;

use crate::call::ServiceCalls;
use crate::error::{CloudError, CloudErrorKind};
use crate::registry::{Login, RegistryCredentials};
use crate::session::Shared;

/// How long before it expires a token is renewed.
const RENEW_BEFORE: Duration = Duration::from_secs(10 * 60);
/// The time between two requests for a scan's findings.
const SCAN_POLL: Duration = Duration::from_secs(2);

/// A repository and its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// Its name, `shop/ingest`.
    pub name: String,
    /// The URI that images are pushed to, `<host>/<name>`.
    pub uri: String,
    /// Whether its tags are immutable.
    pub immutable: bool,
    /// Whether images are scanned on push.
    pub scan_on_push: bool,
}

/// Findings of an image scan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScanFindings {
    /// The number of findings by severity: `CRITICAL`, `HIGH`, `MEDIUM`, `LOW`, `INFORMATIONAL`.
    pub counts: BTreeMap<String, u32>,
    /// The findings, in the registry's order.
    pub findings: Vec<ScanFinding>,
}

/// One finding of an image scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanFinding {
    /// The name, `CVE-2024-0001`.
    pub name: String,
    /// The severity.
    pub severity: String,
    /// A page that describes it.
    pub uri: Option<String>,
    /// The package and version that it was found in, where the scan names them.
    pub package: Option<String>,
}

/// The ECR registry of one account and region.
#[derive(Clone)]
pub struct Ecr {
    shared: Arc<Shared>,
    calls: ServiceCalls,
    host: String,
    registry_id: Option<String>,
}

impl Ecr {
    /// Reads account and region from the host; an emulator's host has neither.
    pub(crate) fn new(shared: Arc<Shared>, host: &str) -> Result<Self, CloudError> {
        let calls = shared.calls("ECR");
        let registry_id = match EcrHost::parse(host) {
            Some(EcrHost { region, .. }) if region != shared.region() => {
                let message = format!("this registry is in {region}, the session in {}", shared.region());
                return Err(CloudError::new(CloudErrorKind::Other, "ECR", "open", host, message));
            }
            found => found.map(|found| found.account),
        };
        Ok(Self { shared, calls, host: host.to_owned(), registry_id })
    }

    /// Returns credentials for [`crate::Registry`]: a token for each host, cached until shortly before it expires.
    pub fn credentials(&self) -> Arc<dyn RegistryCredentials> {
        Arc::new(EcrCredentials { ecr: self.clone(), cached: Mutex::default() })
    }

    /// Returns a repository's settings; `None` if there is none of this name.
    pub async fn repository(&self, name: &str) -> Result<Option<Repository>, CloudError> {
        let request = self.shared.ecr().describe_repositories().repository_names(name);
        let request = request.set_registry_id(self.registry_id.clone());
        match self.calls.run("DescribeRepositories", &self.subject(name), request.send()).await {
            Ok(response) => {
                let found =
                    response.repositories().iter().find(|found| found.repository_name() == Some(name));
                Ok(found.map(|found| self.read(name, found)))
            }
            Err(error) if error.kind == CloudErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Creates a repository, or returns the existing one, whatever its settings are.
    pub async fn create_repository(
        &self,
        name: &str,
        immutable: bool,
        scan_on_push: bool,
    ) -> Result<Repository, CloudError> {
        let tags = if immutable { ImageTagMutability::Immutable } else { ImageTagMutability::Mutable };
        let scanning = ImageScanningConfiguration::builder().scan_on_push(scan_on_push).build();
        let request = self.shared.ecr().create_repository().repository_name(name);
        let request = request.set_registry_id(self.registry_id.clone());
        let request = request.image_tag_mutability(tags).image_scanning_configuration(scanning);
        let subject = self.subject(name);
        let missing = || {
            let context = self.calls.context("CreateRepository", &subject);
            CloudError::at(&context, CloudErrorKind::Conflict, "the response has no repository")
        };
        match self.calls.run("CreateRepository", &subject, request.send()).await {
            Ok(response) => Ok(self.read(name, response.repository().ok_or_else(missing)?)),
            Err(error) if error.code.as_deref() == Some("RepositoryAlreadyExistsException") => {
                self.repository(name).await?.ok_or(error)
            }
            Err(error) => Err(error),
        }
    }

    /// Deletes images with their tags, at most 100. Those that do not exist are skipped.
    ///
    /// # Errors
    /// The first image that ECR refuses to delete, with its reason.
    pub async fn delete_images(&self, repository: &str, digests: &[Digest]) -> Result<(), CloudError> {
        let image = |digest: &Digest| ImageIdentifier::builder().image_digest(digest.to_string()).build();
        let request = self.shared.ecr().batch_delete_image().repository_name(repository);
        let request = request.set_registry_id(self.registry_id.clone());
        let request = request.set_image_ids(Some(digests.iter().map(image).collect()));
        let subject = self.subject(repository);
        let response = self.calls.run("BatchDeleteImage", &subject, request.send()).await?;
        for failed in response.failures() {
            let code = failed.failure_code().map_or("", |code| code.as_str());
            if code != "ImageNotFound" {
                let digest = failed.image_id().and_then(ImageIdentifier::image_digest).unwrap_or_default();
                let context = self.calls.context("BatchDeleteImage", &subject);
                let reason = failed.failure_reason().unwrap_or(code);
                return Err(CloudError::at(&context, CloudErrorKind::Other, format!("{digest}: {reason}")));
            }
        }
        Ok(())
    }

    /// Waits for the scan of an image, at most `time_limit`, and returns its findings.
    ///
    /// # Errors
    /// [`CloudErrorKind::TimedOut`] after `time_limit`; [`CloudErrorKind::NotFound`] if there is no such image; the
    /// reason of a scan that failed.
    pub async fn scan_findings(
        &self,
        repository: &str,
        digest: Digest,
        time_limit: Duration,
    ) -> Result<ScanFindings, CloudError> {
        let subject = format!("{}@{digest}", self.subject(repository));
        let context = self.calls.context("DescribeImageScanFindings", &subject);
        let until = Instant::now() + time_limit;
        loop {
            let waits = match self.findings(repository, digest, &subject).await {
                Ok(Ok(findings)) => return Ok(findings),
                Ok(Err(waits)) => waits,
                // A scan on push starts a moment after the push.
                Err(error) if error.code.as_deref() == Some("ScanNotFoundException") => {
                    "no scan has started".to_owned()
                }
                Err(error) => return Err(error),
            };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let message = format!("no scan findings for `{subject}` within {time_limit:?}: {waits}");
                return Err(CloudError::at(&context, CloudErrorKind::TimedOut, message));
            }
            tokio::time::sleep(SCAN_POLL.min(left)).await;
        }
    }

    /// Returns all pages of a scan's findings, or the state of a scan that is not complete.
    async fn findings(
        &self,
        repository: &str,
        digest: Digest,
        subject: &str,
    ) -> Result<Result<ScanFindings, String>, CloudError> {
        let mut found = ScanFindings::default();
        let mut token = None;
        loop {
            let image = ImageIdentifier::builder().image_digest(digest.to_string()).build();
            let request = self.shared.ecr().describe_image_scan_findings().repository_name(repository);
            let request = request.set_registry_id(self.registry_id.clone()).image_id(image);
            let request = request.set_next_token(token);
            let response = self.calls.run("DescribeImageScanFindings", subject, request.send()).await?;
            if let Some(scan) = response.image_scan_status() {
                let status = scan.status().map_or("", ScanStatus::as_str);
                match status {
                    "COMPLETE" | "ACTIVE" => {}
                    "IN_PROGRESS" | "PENDING" => return Ok(Err(format!("the scan is {status}"))),
                    _ => {
                        let context = self.calls.context("DescribeImageScanFindings", subject);
                        let reason = scan.description().unwrap_or("no reason is given");
                        let message = format!("the scan ended as {status}: {reason}");
                        return Err(CloudError::at(&context, CloudErrorKind::Other, message));
                    }
                }
            }
            if let Some(page) = response.image_scan_findings() {
                for (severity, count) in page.finding_severity_counts().into_iter().flatten() {
                    let count = u32::try_from(*count).unwrap_or_default();
                    found.counts.insert(severity.as_str().to_owned(), count);
                }
                found.findings.extend(page.findings().iter().map(basic_finding));
                found.findings.extend(page.enhanced_findings().iter().map(enhanced_finding));
            }
            token = response.next_token().map(str::to_owned);
            if token.is_none() {
                return Ok(Ok(found));
            }
        }
    }

    fn read(&self, name: &str, repository: &aws_sdk_ecr::types::Repository) -> Repository {
        let uri = repository.repository_uri().map_or_else(|| self.subject(name), str::to_owned);
        let scanning = repository.image_scanning_configuration();
        Repository {
            name: name.to_owned(),
            uri,
            immutable: repository.image_tag_mutability() == Some(&ImageTagMutability::Immutable),
            scan_on_push: scanning.is_some_and(ImageScanningConfiguration::scan_on_push),
        }
    }

    fn subject(&self, repository: &str) -> String {
        format!("{}/{repository}", self.host)
    }
}

impl fmt::Debug for Ecr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ecr").field("host", &self.host).finish_non_exhaustive()
    }
}

struct EcrCredentials {
    ecr: Ecr,
    cached: Mutex<HashMap<String, (Login, SystemTime)>>,
}

#[async_trait]
impl RegistryCredentials for EcrCredentials {
    async fn login(&self, host: &str, rejected: bool) -> Result<Login, CloudError> {
        let Ecr { shared, calls, host: own, registry_id } = &self.ecr;
        let context = calls.context("GetAuthorizationToken", host);
        if host != own {
            let message = format!("these credentials are for the registry {own}");
            return Err(CloudError::at(&context, CloudErrorKind::Other, message));
        }
        let mut cached = self.cached.lock().await;
        if let Some((login, until)) = cached.get(host)
            && !rejected
            && SystemTime::now() < *until
        {
            return Ok(login.clone());
        }
        let request = shared.ecr().get_authorization_token();
        // Deprecated because one token is valid for all registries; emulators issue one for each.
        #[expect(deprecated, reason = "harmless in AWS, and emulators need it")]
        let request = request.set_registry_ids(registry_id.clone().map(|id| vec![id]));
        let response = calls.run("GetAuthorizationToken", host, request.send()).await?;
        let unreadable =
            || CloudError::at(&context, CloudErrorKind::Other, "the response has no usable token");
        let given = response.authorization_data().first().ok_or_else(unreadable)?;
        let token = given.authorization_token().and_then(|token| BASE64.decode(token).ok());
        let token = token.and_then(|token| String::from_utf8(token).ok()).ok_or_else(unreadable)?;
        let (username, password) = token.split_once(':').ok_or_else(unreadable)?;
        let login = Login::Basic { username: username.to_owned(), password: password.to_owned() };
        let expires = given.expires_at().and_then(|time| SystemTime::try_from(*time).ok());
        let until = expires.and_then(|time| time.checked_sub(RENEW_BEFORE)).unwrap_or(SystemTime::UNIX_EPOCH);
        cached.insert(host.to_owned(), (login.clone(), until));
        Ok(login)
    }
}

fn basic_finding(finding: &aws_sdk_ecr::types::ImageScanFinding) -> ScanFinding {
    let attribute = |key: &str| {
        let mut found = finding.attributes().iter().filter(|attribute| attribute.key() == key);
        found.next().and_then(|attribute| attribute.value())
    };
    let package = attribute("package_name").map(|name| match attribute("package_version") {
        Some(version) => format!("{name} {version}"),
        None => name.to_owned(),
    });
    ScanFinding {
        name: finding.name().unwrap_or_default().to_owned(),
        severity: finding.severity().map_or("UNDEFINED", |severity| severity.as_str()).to_owned(),
        uri: finding.uri().map(str::to_owned),
        package,
    }
}

fn enhanced_finding(finding: &aws_sdk_ecr::types::EnhancedImageScanFinding) -> ScanFinding {
    let details = finding.package_vulnerability_details();
    let package = details.and_then(|details| details.vulnerable_packages().first());
    let package = package.and_then(|package| Some((package.name()?, package.version().unwrap_or_default())));
    ScanFinding {
        name: details
            .and_then(|details| details.vulnerability_id())
            .or(finding.title())
            .unwrap_or_default()
            .to_owned(),
        severity: finding.severity().unwrap_or("UNDEFINED").to_owned(),
        uri: details.and_then(|details| details.source_url()).map(str::to_owned),
        package: package.map(|(name, version)| format!("{name} {version}").trim_end().to_owned()),
    }
}
