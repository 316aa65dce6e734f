//! Base images, of any registry that the machine's Docker logins reach.
//!
//! In: an image's reference and a digest. Out: [`Bases`]. Errors: the image does not exist, or other bytes were sent.

use std::path::Path;

use async_trait::async_trait;
use slipway_cloud::{CloudError, CloudErrorKind, ImageReference, Observer, Registry};

use super::{docker_credentials, options};
use crate::app::ports::explain;
use crate::digest::Digest;
use crate::failure::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::ports::Bases;
use crate::settings::ProcessEnvironment;

/// Base images of any registry.
pub(crate) struct AnyRegistry {
    process_env: ProcessEnvironment,
    interrupt: Interrupt,
    observer: Observer,
}

impl AnyRegistry {
    pub(in crate::app) fn new(
        process_env: ProcessEnvironment,
        interrupt: Interrupt,
        observer: Observer,
    ) -> Self {
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
        let found = found.map_err(|error| fetch_failure(&format!("the base image {reference}"), error))?;
        found.map(|manifest| manifest.bytes).ok_or_else(|| {
            Failure::failed(format!("the base image {reference} does not exist"))
                .unchanged("Nothing was built.")
                .hint("check repository and digest, and that these credentials may read it")
        })
    }

    async fn blob(&self, reference: &str, digest: &Digest, size: u64, to: &Path) -> Result<()> {
        let (registry, repository) = self.open(reference)?;
        let fetched = registry.fetch_blob(&repository, *digest, size, to, &|_| ()).await;
        fetched.map_err(|error| fetch_failure(&format!("a layer of the base image {reference}"), error))
    }
}

/// Returns the failure of a base or layer that could not be fetched, with a hint.
fn fetch_failure(what: &str, error: CloudError) -> Failure {
    let hint = match error.kind {
        CloudErrorKind::WrongBytes { .. } => {
            "the registry sent other bytes than requested; they were not used. Use the same digest from another registry"
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
