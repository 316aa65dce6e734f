//! The ports over container registries: where releases' images go, and where bases come from.
//!
//! In: the place that the settings name, docker's credential file, the session of the store's account. Out: [`Images`] and
//! [`Bases`]. Goes wrong: the repository does not exist and may not be made, somebody's credential helper fails, a registry
//! cannot be reached; errors name the host and the repository.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use slipway_cloud::{
    Anonymous, Attachment, BlobSource, BlobToPush, CloudError, CloudErrorKind, CredentialHelper,
    DockerCredentials, Ecr, HelperOutput, ImageReference, ImageToPush, Observer, Registry,
    RegistryCredentials, RegistryOptions, ScanFinding, ScanFindings,
};

use super::ports::explain;
use crate::digest::Digest;
use crate::exec::{self, Conduct, Program, Stream};
use crate::failure::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::ports::{Bases, BlobPlace, Image, Images, Put};
use crate::settings::{ProcessEnvironment, Severity};

/// How long a scan may take.
const SCAN: std::time::Duration = std::time::Duration::from_secs(15 * 60);

/// Repositories below a prefix, one a function.
pub(super) struct Repositories {
    registry: Registry,
    /// `shop`, or nothing: what stands before a function's name.
    prefix: String,
    /// What Amazon's registry can do besides, where it is one.
    amazon: Option<Amazon>,
}

/// Amazon's registry.
pub(super) struct Amazon {
    /// Its own interface.
    pub(super) ecr: Ecr,
    /// Whether missing repositories are made.
    pub(super) create: bool,
    /// The least severity of a scan's findings that is refused.
    pub(super) refuse: Option<Severity>,
}

impl Repositories {
    /// Opens `host[/prefix]`.
    pub(super) fn new(
        place: &str,
        credentials: Arc<dyn RegistryCredentials>,
        amazon: Option<Amazon>,
        observer: Observer,
    ) -> Result<Self> {
        let (host, prefix) = place.split_once('/').unwrap_or((place, ""));
        let registry = Registry::new(host, credentials, options(host, observer)).map_err(explain)?;
        Ok(Self { registry, prefix: prefix.trim_end_matches('/').to_owned(), amazon })
    }

    fn full(&self, repository: &str) -> String {
        if self.prefix.is_empty() { repository.to_owned() } else { format!("{}/{repository}", self.prefix) }
    }

    /// Looks for the repository in Amazon's registry, which makes none by itself.
    async fn ensure(&self, name: &str) -> Result<()> {
        let Some(Amazon { ecr, create, .. }) = &self.amazon else { return Ok(()) };
        match ecr.repository(name).await.map_err(explain)? {
            Some(repository) if !repository.immutable => Err(Failure::refused(format!(
                "the tags of the repository {} can be moved",
                repository.uri
            ))
            .unchanged("Nothing was published.")
            .hint(format!("make them immutable: aws ecr put-image-tag-mutability --repository-name {name} --image-tag-mutability IMMUTABLE"))),
            Some(_) => Ok(()),
            None if *create => ecr.create_repository(name, true, true).await.map(drop).map_err(explain),
            None => Err(Failure::failed(format!("the repository {}/{name} does not exist", self.registry.host()))
                .unchanged("Nothing was published.")
                .hint("let terraform/bootstrap make it, or set create_repositories = true under [store] in pipelines/project.toml")),
        }
    }
}

impl Repositories {
    /// Waits for the registry's scan and refuses what it found, where the settings say so.
    async fn scan(&self, name: &str, digest: &Digest) -> Result<()> {
        let Some(Amazon { ecr, refuse: Some(least), .. }) = &self.amazon else { return Ok(()) };
        let found = ecr.scan_findings(name, *digest, SCAN).await.map_err(explain)?;
        let refused = severe(&found, *least);
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
            "the scan of {name}@{digest} has {} of that severity or worse",
            crate::format::plural(refused.len(), "finding")
        ))
        .body(lines.join("\n"))
        .unchanged("The image lies in the registry; it was not released.")
        .hint("build on a newer base, or change refuse_findings under [store] in pipelines/project.toml"))
    }
}

/// Returns the findings of at least a severity.
fn severe(found: &ScanFindings, least: Severity) -> Vec<&ScanFinding> {
    found
        .findings
        .iter()
        .filter(|finding| Severity::of(&finding.severity).is_some_and(|severity| severity >= least))
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
        let name = self.full(repository);
        self.ensure(&name).await?;
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
        let told = |blob: slipway_cloud::BlobProgress| {
            let mut sent = sent.lock().unwrap_or_else(PoisonError::into_inner);
            sent.insert(blob.digest.to_string(), blob.sent);
            progress(sent.values().sum());
        };
        let done = self.registry.push_image(&name, tag, &pushed, &told).await.map_err(explain)?;
        if !matches!(done.put, Put::Different) {
            self.scan(&name, &image.digest).await?;
        }
        Ok(done.put)
    }

    async fn manifest(&self, repository: &str, digest: &Digest) -> Result<Option<Vec<u8>>> {
        let found = self.registry.manifest(&self.full(repository), &digest.to_string()).await;
        Ok(found.map_err(explain)?.map(|manifest| manifest.bytes))
    }

    async fn check_blobs(
        &self,
        repository: &str,
        manifest: &[u8],
        scratch: &Path,
    ) -> Result<Result<u64, String>> {
        let document: serde_json::Value = match serde_json::from_slice(manifest) {
            Ok(document) => document,
            Err(error) => return Ok(Err(format!("the image's manifest is no JSON: {error}"))),
        };
        let layers = document["layers"].as_array().into_iter().flatten();
        let (name, file, mut read) = (self.full(repository), scratch.join("blob"), 0);
        for blob in std::iter::once(&document["config"]).chain(layers) {
            let digest = blob["digest"].as_str().unwrap_or_default();
            let size = blob["size"].as_u64().unwrap_or_default();
            let Ok(wanted) = digest.parse::<Digest>() else {
                return Ok(Err(format!(
                    "the image's manifest names the blob `{digest}`, which is no digest"
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
        let attached = self.registry.attach(&self.full(repository), &subject, attachment).await;
        attached.map(drop).map_err(explain)
    }

    fn place(&self) -> String {
        format!("{}/{}", self.registry.host(), self.prefix).trim_end_matches('/').to_owned()
    }
}

/// Base images of any registry.
pub(crate) struct AnyRegistry {
    process_env: ProcessEnvironment,
    interrupt: Interrupt,
    observer: Observer,
}

impl AnyRegistry {
    pub(super) fn new(process_env: ProcessEnvironment, interrupt: Interrupt, observer: Observer) -> Self {
        Self { process_env, interrupt, observer }
    }

    fn open(&self, reference: &str) -> Result<(Registry, String)> {
        let image = ImageReference::parse(reference)
            .map_err(|error| Failure::usage(error.to_string()).unchanged("Nothing was built."))?;
        let credentials = docker_credentials(&self.process_env, &self.interrupt)?;
        let registry = Registry::new(&image.host, credentials, options(&image.host, self.observer.clone()))
            .map_err(explain)?;
        Ok((registry, image.repository))
    }
}

#[async_trait]
impl Bases for AnyRegistry {
    async fn manifest(&self, reference: &str, digest: &Digest) -> Result<Vec<u8>> {
        let (registry, repository) = self.open(reference)?;
        let found = registry.manifest(&repository, &digest.to_string()).await;
        let found = found.map_err(|error| not_fetched(&format!("the base image {reference}"), error))?;
        found.map(|manifest| manifest.bytes).ok_or_else(|| {
            Failure::failed(format!("the base image {reference} does not exist"))
                .unchanged("Nothing was built.")
                .hint("check repository and digest, and that these credentials may read it")
        })
    }

    async fn blob(&self, reference: &str, digest: &Digest, size: u64, to: &Path) -> Result<()> {
        let (registry, repository) = self.open(reference)?;
        let fetched = registry.fetch_blob(&repository, *digest, size, to, &|_| ()).await;
        fetched.map_err(|error| not_fetched(&format!("a layer of the base image {reference}"), error))
    }
}

/// Says that a base or a part of it did not come, and what helps.
fn not_fetched(what: &str, error: CloudError) -> Failure {
    let hint = match error.kind {
        CloudErrorKind::WrongBytes { .. } => {
            "the registry does not answer what it was asked for; nothing of that is used. Take the same digest from another registry"
        }
        CloudErrorKind::AccessDenied | CloudErrorKind::CredentialsMissing => {
            "sign in to that registry (docker login), or check that these credentials may read the image"
        }
        _ => {
            "check the network and the name, and run the same command again; a base that was fetched once into this project's target folder needs no network"
        }
    };
    Failure::failed(format!("{what} cannot be fetched"))
        .caused_by(explain(error))
        .unchanged("Nothing was built.")
        .hint(hint)
}

/// Reads docker's credential file; nobody is anonymous where there is none.
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

/// Runs `docker-credential-<name> get` with the server's name as its input.
fn helper(interrupt: Interrupt) -> CredentialHelper {
    Arc::new(move |program, server| {
        let interrupt = interrupt.clone();
        Box::pin(async move {
            let mut input = tempfile::tempfile()?;
            std::io::Write::write_all(&mut input, server.as_bytes())?;
            std::io::Seek::rewind(&mut input)?;
            let mut stdout = String::new();
            let conduct = Conduct {
                within: Some(std::time::Duration::from_secs(60)),
                stdin: Some(Arc::new(input)),
                ..Conduct::default()
            };
            let ended = exec::run(
                &Program::new(&program, ".").arg("get"),
                &conduct,
                &interrupt,
                &mut |_| {},
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

/// Tells whether a registry is Amazon's: <https://docs.aws.amazon.com/AmazonECR/latest/userguide/Registries.html>.
pub(super) fn is_ecr(host: &str) -> bool {
    host.contains(".dkr.ecr.") && host.contains(".amazonaws.com")
}

/// HTTP without TLS is for this machine alone, as docker has it.
fn options(host: &str, observer: Observer) -> RegistryOptions {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let loopback = matches!(name, "127.0.0.1" | "localhost" | "[::1]");
    RegistryOptions { plain_http: loopback, observer: Some(observer), ..RegistryOptions::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_refused_from_a_severity_on() {
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
        let names = |least| {
            severe(&found, least).iter().map(|finding| finding.name.as_str()).collect::<Vec<_>>().join("")
        };
        assert_eq!(names(Severity::Low), "abc");
        assert_eq!(names(Severity::High), "bc");
        assert_eq!(names(Severity::Critical), "c");
    }

    #[test]
    fn plain_http_is_for_loopback_alone() {
        let plain = |host: &str| options(host, Arc::new(|_| ())).plain_http;
        assert!(plain("127.0.0.1:5000") && plain("localhost:5000") && plain("localhost"));
        assert!(!plain("public.ecr.aws") && !plain("127.0.0.1.example.com"));
        assert!(is_ecr("111111111111.dkr.ecr.eu-central-1.amazonaws.com") && !is_ecr("public.ecr.aws"));
    }
}
