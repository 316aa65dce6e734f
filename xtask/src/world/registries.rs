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
    Anonymous, BlobSource, BlobToPush, CredentialHelper, DockerCredentials, Ecr, HelperOutput,
    ImageReference, ImageToPush, Observer, Registry, RegistryCredentials, RegistryOptions,
};

use super::ports::explain;
use crate::failure::{Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::name::Digest;
use crate::ports::{Bases, BlobPlace, Image, Images, Put};
use crate::settings::Surroundings;
use crate::tools::exec::{self, Conduct, Program, Stream};

/// Repositories below a prefix, one a function.
pub(super) struct Repositories {
    registry: Registry,
    /// `shop`, or nothing: what stands before a function's name.
    prefix: String,
    /// Amazon's registry, where it is one, and whether missing repositories are made.
    ecr: Option<(Ecr, bool)>,
}

impl Repositories {
    /// Opens `host[/prefix]`.
    pub(super) fn new(
        place: &str,
        credentials: Arc<dyn RegistryCredentials>,
        ecr: Option<(Ecr, bool)>,
        observer: Observer,
    ) -> Outcome<Self> {
        let (host, prefix) = place.split_once('/').unwrap_or((place, ""));
        let registry = Registry::new(host, credentials, options(host, observer)).map_err(explain)?;
        Ok(Self { registry, prefix: prefix.trim_end_matches('/').to_owned(), ecr })
    }

    fn full(&self, repository: &str) -> String {
        if self.prefix.is_empty() { repository.to_owned() } else { format!("{}/{repository}", self.prefix) }
    }

    /// Looks for the repository in Amazon's registry, which makes none by itself.
    async fn ensure(&self, name: &str) -> Outcome<()> {
        let Some((ecr, create)) = &self.ecr else { return Ok(()) };
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

#[async_trait]
impl Images for Repositories {
    async fn push(
        &self,
        repository: &str,
        tag: &str,
        image: &Image,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Outcome<Put> {
        let name = self.full(repository);
        self.ensure(&name).await?;
        let blobs = image.blobs.iter().map(|blob| {
            let from = match &blob.place {
                BlobPlace::File(path) => BlobSource::File(path.clone()),
                BlobPlace::Bytes(bytes) => BlobSource::Bytes(bytes.clone().into()),
            };
            Ok(BlobToPush { digest: theirs(&blob.digest)?, size: blob.size, from, mount_from: None })
        });
        let pushed = ImageToPush {
            blobs: blobs.collect::<Outcome<_>>()?,
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
        Ok(done.put)
    }

    async fn has(&self, repository: &str, digest: &Digest) -> Outcome<bool> {
        let found = self.registry.manifest(&self.full(repository), &digest.to_string()).await;
        Ok(found.map_err(explain)?.is_some())
    }

    fn place(&self) -> String {
        format!("{}/{}", self.registry.host(), self.prefix).trim_end_matches('/').to_owned()
    }
}

/// Base images of any registry.
pub(crate) struct AnyRegistry {
    surroundings: Surroundings,
    interrupt: Interrupt,
    observer: Observer,
}

impl AnyRegistry {
    pub(super) fn new(surroundings: Surroundings, interrupt: Interrupt, observer: Observer) -> Self {
        Self { surroundings, interrupt, observer }
    }

    fn open(&self, reference: &str) -> Outcome<(Registry, String)> {
        let image = ImageReference::parse(reference)
            .map_err(|error| Failure::usage(error.to_string()).unchanged("Nothing was built."))?;
        let credentials = docker_credentials(&self.surroundings, &self.interrupt)?;
        let registry = Registry::new(&image.host, credentials, options(&image.host, self.observer.clone()))
            .map_err(explain)?;
        Ok((registry, image.repository))
    }
}

#[async_trait]
impl Bases for AnyRegistry {
    async fn manifest(&self, reference: &str, digest: &Digest) -> Outcome<Vec<u8>> {
        let (registry, repository) = self.open(reference)?;
        let unreachable = |failure: Failure| {
            Failure::failed(format!("the base image {reference} cannot be fetched"))
                .caused_by(failure)
                .unchanged("Nothing was built.")
                .hint("check the network and the name; a base that was fetched once on this machine needs no network")
        };
        let found = registry.manifest(&repository, &digest.to_string()).await;
        found.map_err(explain).map_err(unreachable)?.map(|manifest| manifest.bytes).ok_or_else(|| {
            Failure::failed(format!("the base image {reference} does not exist"))
                .unchanged("Nothing was built.")
                .hint("check repository and digest, and that these credentials may read it")
        })
    }

    async fn blob(&self, reference: &str, digest: &Digest, size: u64, to: &Path) -> Outcome<()> {
        let (registry, repository) = self.open(reference)?;
        registry.fetch_blob(&repository, theirs(digest)?, size, to, &|_| ()).await.map_err(|error| {
            Failure::failed(format!("a layer of the base image {reference} cannot be fetched"))
                .caused_by(explain(error))
                .unchanged("Nothing was built.")
                .hint("run the same command again: it goes on from what is there")
        })
    }
}

/// Reads docker's credential file; nobody is anonymous where there is none.
pub(super) fn docker_credentials(
    surroundings: &Surroundings,
    interrupt: &Interrupt,
) -> Outcome<Arc<dyn RegistryCredentials>> {
    let folder = surroundings
        .get("DOCKER_CONFIG")
        .map(PathBuf::from)
        .or_else(|| surroundings.get("HOME").map(|home| Path::new(home).join(".docker")));
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

fn theirs(digest: &Digest) -> Outcome<slipway_cloud::Digest> {
    digest
        .to_string()
        .parse()
        .map_err(|error| Failure::defect("a digest cannot be read back").caused_by(error))
}
