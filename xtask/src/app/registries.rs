//! The ports over container registries: the images of releases, and base images.
//!
//! In: the registry in the settings, Docker's credential file, the session of the store's account. Out: [`Images`];
//! [`bases`] has [`AnyRegistry`]. Errors name host and repository: the repository does not exist and must not be created, a credential helper
//! fails, a registry cannot be reached.

mod bases;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use slipway_cloud::{
    Anonymous, Attachment, BlobSource, BlobToPush, CloudErrorKind, CredentialHelper, DockerCredentials, Ecr,
    HelperOutput, ImageToPush, Observer, Registry, RegistryCredentials, RegistryOptions, ScanFinding,
    ScanFindings,
};

pub(crate) use self::bases::AnyRegistry;
use super::ports::explain;
use crate::digest::Digest;
use crate::exec::{self, Program, RunOptions, Stream};
use crate::failure::{self, Failure, Result};
use crate::interrupt::Interrupt;
use crate::ports::{BlobPlace, Image, Images, Put};
use crate::release::cosign_tags;
use crate::settings::{ProcessEnvironment, Severity};

/// The time limit of a scan.
const SCAN_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(15 * 60);

/// Repositories below a prefix, one for each function.
pub(super) struct Repositories {
    registry: Registry,
    /// The prefix of repository names, `shop`; may be empty.
    prefix: String,
    /// The API and settings of ECR, if the registry is one.
    ecr: Option<EcrRegistry>,
}

/// An ECR registry.
pub(super) struct EcrRegistry {
    /// The API.
    pub(super) api: Ecr,
    /// Whether missing repositories are created.
    pub(super) create_missing: bool,
    /// The lowest severity of scan findings that refuses a release.
    pub(super) refuse_findings: Option<Severity>,
}

impl Repositories {
    /// Opens `host[/prefix]`.
    pub(super) fn new(
        place: &str,
        credentials: Arc<dyn RegistryCredentials>,
        ecr: Option<EcrRegistry>,
        observer: Observer,
    ) -> Result<Self> {
        let (host, prefix) = place.split_once('/').unwrap_or((place, ""));
        let registry = Registry::new(host, credentials, options(host, observer)).map_err(explain)?;
        Ok(Self { registry, prefix: prefix.trim_end_matches('/').to_owned(), ecr })
    }

    fn full_name(&self, repository: &str) -> String {
        if self.prefix.is_empty() { repository.to_owned() } else { format!("{}/{repository}", self.prefix) }
    }

    /// Checks the repository in ECR, which does not create one on a push; creates it if the settings allow that.
    async fn ensure(&self, name: &str) -> Result<()> {
        let Some(EcrRegistry { api, create_missing, .. }) = &self.ecr else { return Ok(()) };
        match api.repository(name).await.map_err(explain)? {
            Some(repository) if !repository.immutable => Err(Failure::refused(format!(
                "the tags of the repository {} are not immutable",
                repository.uri
            ))
            .unchanged("Nothing was published.")
            .hint(format!("make them immutable: aws ecr put-image-tag-mutability --repository-name {name} --image-tag-mutability IMMUTABLE"))),
            Some(_) => Ok(()),
            None if *create_missing => api.create_repository(name, true, true).await.map(drop).map_err(explain),
            None => Err(Failure::failed(format!("the repository {}/{name} does not exist", self.registry.host()))
                .unchanged("Nothing was published.")
                .hint("create it with cargo xtask bootstrap, or set create_repositories = true under [store] in pipelines/project.toml")),
        }
    }
}

impl Repositories {
    /// Pushes an image under a tag that is never moved; `name` is the repository's full name.
    async fn push_unscanned(
        &self,
        name: &str,
        tag: &str,
        image: &Image,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<Put> {
        let blobs = image.blobs.iter().map(|blob| {
            let from = match &blob.place {
                BlobPlace::File(path) => BlobSource::File(path.clone()),
                BlobPlace::Bytes(bytes) => BlobSource::Bytes(bytes.clone().into()),
            };
            BlobToPush { digest: blob.digest, size: blob.size, from, mount_from: None }
        });
        let pushed = ImageToPush {
            blobs: blobs.collect(),
            manifest: image.manifest.clone(),
            media_type: image.media_type.clone(),
        };
        let sent: Mutex<BTreeMap<String, u64>> = Mutex::default();
        let report = |blob: slipway_cloud::BlobProgress| {
            let mut sent = sent.lock().unwrap_or_else(PoisonError::into_inner);
            sent.insert(blob.digest.to_string(), blob.sent);
            progress(sent.values().sum());
        };
        let done = self.registry.push_image(name, tag, &pushed, &report).await.map_err(explain)?;
        Ok(done.put)
    }

    /// Waits for the registry's scan, and refuses an image with findings of the configured severity.
    async fn scan(&self, name: &str, digest: &Digest) -> Result<()> {
        let Some(EcrRegistry { api, refuse_findings: Some(lowest), .. }) = &self.ecr else { return Ok(()) };
        let found = api.scan_findings(name, *digest, SCAN_TIMEOUT).await.map_err(explain)?;
        let refused = severe_findings(&found, *lowest);
        if refused.is_empty() {
            return Ok(());
        }
        let lines: Vec<String> = refused
            .iter()
            .take(20)
            .map(|finding| {
                let package = finding.package.as_deref().unwrap_or("?");
                let uri = finding.uri.as_deref().unwrap_or_default();
                format!("{:9} {}  {package}  {uri}", finding.severity, finding.name)
            })
            .collect();
        Err(Failure::refused(format!(
            "the scan of {name}@{digest} has {} that `refuse_findings` refuses",
            crate::format::plural(refused.len(), "finding")
        ))
        .body(lines.join("\n"))
        .unchanged("The image is in the registry; it was not released.")
        .hint("build on a newer base, or change refuse_findings under [store] in pipelines/project.toml"))
    }
}

/// Returns the findings of at least this severity.
fn severe_findings(found: &ScanFindings, lowest: Severity) -> Vec<&ScanFinding> {
    found
        .findings
        .iter()
        .filter(|finding| Severity::of(&finding.severity).is_some_and(|severity| severity >= lowest))
        .collect()
}

#[async_trait]
impl Images for Repositories {
    async fn push(
        &self,
        repository: &str,
        tag: &str,
        image: &Image,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<Put> {
        let name = self.full_name(repository);
        self.ensure(&name).await?;
        let put = self.push_unscanned(&name, tag, image, progress).await?;
        if !matches!(put, Put::Different) {
            self.scan(&name, &image.digest).await?;
        }
        Ok(put)
    }

    async fn push_document(&self, repository: &str, tag: &str, document: &Image) -> Result<Put> {
        self.push_unscanned(&self.full_name(repository), tag, document, &|_| ()).await
    }

    async fn manifest(&self, repository: &str, digest: &Digest) -> Result<Option<Vec<u8>>> {
        let found = self.registry.manifest(&self.full_name(repository), &digest.to_string()).await;
        Ok(found.map_err(explain)?.map(|manifest| manifest.bytes))
    }

    async fn tagged(&self, repository: &str, tag: &str) -> Result<Option<Vec<u8>>> {
        let found = self.registry.manifest(&self.full_name(repository), tag).await;
        Ok(found.map_err(explain)?.map(|manifest| manifest.bytes))
    }

    async fn blob(&self, repository: &str, digest: &Digest, size: u64) -> Result<Vec<u8>> {
        let folder = tempfile::tempdir()
            .map_err(|error| Failure::failed("no temporary folder can be made").caused_by(error))?;
        let (name, file) = (self.full_name(repository), folder.path().join("blob"));
        self.registry.fetch_blob(&name, *digest, size, &file, &|_| ()).await.map_err(explain)?;
        std::fs::read(&file).map_err(|error| failure::io("read", &file, error))
    }

    async fn check_blobs(
        &self,
        repository: &str,
        manifest: &[u8],
        scratch: &Path,
    ) -> Result<Result<u64, String>> {
        let document: serde_json::Value = match serde_json::from_slice(manifest) {
            Ok(document) => document,
            Err(error) => return Ok(Err(format!("the image's manifest is not JSON: {error}"))),
        };
        let layers = document["layers"].as_array().into_iter().flatten();
        let (name, file, mut read) = (self.full_name(repository), scratch.join("blob"), 0);
        for blob in std::iter::once(&document["config"]).chain(layers) {
            let digest = blob["digest"].as_str().unwrap_or_default();
            let size = blob["size"].as_u64().unwrap_or_default();
            let Ok(wanted) = digest.parse::<Digest>() else {
                return Ok(Err(format!(
                    "the image's manifest names the blob `{digest}`, which is not a digest"
                )));
            };
            match self.registry.fetch_blob(&name, wanted, size, &file, &|_| ()).await {
                Ok(_) => read += size,
                Err(error)
                    if matches!(error.kind, CloudErrorKind::WrongBytes { .. } | CloudErrorKind::NotFound) =>
                {
                    return Ok(Err(error.to_string()));
                }
                Err(error) => return Err(explain(error)),
            }
        }
        Ok(Ok(read))
    }

    async fn delete(&self, repository: &str, digest: &Digest) -> Result<()> {
        let (name, digest) = (self.full_name(repository), *digest);
        let mut digests: Vec<Digest> = Vec::new();
        for tag in cosign_tags(&digest) {
            digests.extend(
                self.registry.manifest(&name, &tag).await.map_err(explain)?.map(|found| found.digest),
            );
        }
        let attached = self.registry.referrers(&name, digest, None).await.map_err(explain)?;
        digests.extend(attached.into_iter().map(|referrer| referrer.descriptor.digest));
        digests.extend(self.registry.referrers_index(&name, digest).await.map_err(explain)?);
        // The image last: until then the same command finds it again.
        digests.push(digest);
        for digest in digests {
            match &self.ecr {
                Some(EcrRegistry { api, .. }) => api.delete_images(&name, &[digest]).await,
                None => self.registry.delete_manifest(&name, digest).await,
            }
            .map_err(explain)?;
        }
        Ok(())
    }

    async fn attach(&self, repository: &str, image: &Image, kind: &str, document: &[u8]) -> Result<()> {
        let subject = slipway_cloud::Descriptor {
            media_type: image.media_type.clone(),
            digest: image.digest,
            size: image.manifest.len() as u64,
        };
        let attachment = Attachment {
            artifact_type: kind,
            media_type: kind,
            bytes: document,
            annotations: &BTreeMap::new(),
        };
        let attached = self.registry.attach(&self.full_name(repository), &subject, attachment).await;
        attached.map(drop).map_err(explain)
    }

    fn place(&self) -> String {
        format!("{}/{}", self.registry.host(), self.prefix).trim_end_matches('/').to_owned()
    }
}

/// Returns the logins of Docker's credential file; without a file, no login.
pub(super) fn docker_credentials(
    process_env: &ProcessEnvironment,
    interrupt: &Interrupt,
) -> Result<Arc<dyn RegistryCredentials>> {
    let folder = process_env
        .get("DOCKER_CONFIG")
        .map(PathBuf::from)
        .or_else(|| process_env.get("HOME").map(|home| Path::new(home).join(".docker")));
    let Some(folder) = folder else { return Ok(Arc::new(Anonymous)) };
    let helper = helper(interrupt.clone());
    DockerCredentials::read(&folder.join("config.json"), Some(helper))
        .map(|credentials| Arc::new(credentials) as Arc<dyn RegistryCredentials>)
        .map_err(explain)
}

/// Returns a closure that runs `docker-credential-<name> get` with the server's name on its standard input.
fn helper(interrupt: Interrupt) -> CredentialHelper {
    Arc::new(move |program, server| {
        let interrupt = interrupt.clone();
        Box::pin(async move {
            let mut input = tempfile::tempfile()?;
            std::io::Write::write_all(&mut input, server.as_bytes())?;
            std::io::Seek::rewind(&mut input)?;
            let mut stdout = String::new();
            let options = RunOptions {
                time_limit: Some(std::time::Duration::from_secs(60)),
                stdin: Some(Arc::new(input)),
                ..RunOptions::default()
            };
            let ended = exec::run(
                &Program::new(&program, ".").arg("get"),
                &options,
                &interrupt,
                &mut |stream, line| {
                    if stream == Stream::Out {
                        stdout.push_str(line);
                        stdout.push('\n');
                    }
                },
            )
            .await
            .map_err(|failure| std::io::Error::other(failure.message().to_owned()))?;
            Ok(HelperOutput { success: ended.success(), stdout: stdout.into_bytes() })
        })
    })
}

/// Returns the options for a registry. HTTP without TLS is only used on this machine, as by Docker.
fn options(host: &str, observer: Observer) -> RegistryOptions {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let loopback = matches!(name, "127.0.0.1" | "localhost" | "[::1]");
    RegistryOptions { plain_http: loopback, observer: Some(observer), ..RegistryOptions::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_refused_from_the_configured_severity_on() {
        let finding = |name: &str, severity: &str| ScanFinding {
            name: name.to_owned(),
            severity: severity.to_owned(),
            uri: None,
            package: None,
        };
        let found = ScanFindings {
            findings: vec![
                finding("a", "LOW"),
                finding("b", "HIGH"),
                finding("c", "CRITICAL"),
                finding("d", "UNDEFINED"),
            ],
            ..ScanFindings::default()
        };
        let names = |lowest| {
            severe_findings(&found, lowest)
                .iter()
                .map(|finding| finding.name.as_str())
                .collect::<Vec<_>>()
                .join("")
        };
        assert_eq!(names(Severity::Low), "abc");
        assert_eq!(names(Severity::High), "bc");
        assert_eq!(names(Severity::Critical), "c");
    }

    #[test]
    fn plain_http_is_used_only_on_loopback() {
        let plain = |host: &str| options(host, Arc::new(|_| ())).plain_http;
        assert!(plain("127.0.0.1:5000") && plain("localhost:5000") && plain("localhost"));
        assert!(!plain("public.ecr.aws") && !plain("127.0.0.1.example.com"));
    }
}
