//! Manifests and tags.
//!
//! In: a repository, a tag or digest, a manifest's bytes. Out: bytes whose digest was computed here, or the result of
//! writing them, [`Put`]. An existing tag is never moved, even where the registry would allow it. Errors: a registry whose
//! digest is not that of its bytes (the error names both), or that refuses the manifest, for example because a blob is
//! missing.

use bytes::Bytes;
use slipway_values::digest::Digest;

use super::Registry;
use super::blobs::{delete, pull, push};
use super::client::{RegistryRequest, RequestBody};
use super::reference::is_tag;
use super::response::{AttemptError, Response};
use crate::error::{CallContext, CloudError, CloudErrorKind};
use crate::store::Put;

/// A manifest or index in a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredManifest {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The media type that the registry reports.
    pub media_type: String,
    /// The digest of the bytes.
    pub digest: Digest,
}

/// The largest manifest that is read, in bytes: registries must accept 4 MiB, and few accept more.
const LARGEST: usize = 4 << 20;
/// Single images and indexes, with OCI's and Docker's media types.
const ACCEPTED: &str = "application/vnd.oci.image.manifest.v1+json, \
    application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, \
    application/vnd.docker.distribution.manifest.list.v2+json";

/// The tag or digest of a manifest.
#[derive(Clone, Copy)]
pub(super) enum ManifestName<'a> {
    Tag(&'a str),
    Digest(Digest),
}

impl Registry {
    /// Returns a manifest or index by tag or digest; `None` if there is none.
    ///
    /// # Errors
    /// [`CloudErrorKind::WrongBytes`] if the bytes do not have the requested digest, or the one that the registry reports;
    /// it names both.
    pub async fn manifest(
        &self,
        repository: &str,
        reference: &str,
    ) -> Result<Option<StoredManifest>, CloudError> {
        let name = self.name(repository, reference)?;
        self.client.with_retries(|| self.get_manifest(repository, name)).await
    }

    /// Pushes a manifest under a tag or its digest, unless the tag exists; then compares the digests. Its blobs must exist.
    ///
    /// Without immutable tags in the registry, two processes that push the same new tag at the same time may both succeed;
    /// the later one wins.
    pub async fn push_manifest(
        &self,
        repository: &str,
        reference: &str,
        bytes: &[u8],
        media_type: &str,
    ) -> Result<Put, CloudError> {
        let name = self.name(repository, reference)?;
        let digest = Digest::of(bytes);
        if let ManifestName::Digest(expected) = name
            && expected != digest
        {
            let subject = self.client.subject(repository, '@', reference);
            let context = self.client.context("PutManifest", &subject);
            return Err(CloudError::wrong_bytes(&context, expected, digest));
        }
        if let Some(there) = self.client.with_retries(|| self.get_manifest(repository, name)).await? {
            return Ok(if there.digest == digest { Put::Same } else { Put::Different });
        }
        let bytes = Bytes::copy_from_slice(bytes);
        let put = self.client.with_retries(|| self.put_manifest(repository, name, &bytes, media_type)).await;
        match put {
            Ok(_) => Ok(Put::Created),
            // Registries refuse to move an immutable tag with different errors, and a response may have been lost: the
            // stored manifest decides.
            Err(refused)
                if !matches!(
                    refused.kind,
                    CloudErrorKind::WrongBytes { .. } | CloudErrorKind::CredentialsMissing
                ) =>
            {
                match self.client.with_retries(|| self.get_manifest(repository, name)).await {
                    Ok(Some(there)) if there.digest == digest => Ok(Put::Same),
                    Ok(Some(_)) => Ok(Put::Different),
                    Ok(None) | Err(_) => Err(refused),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Deletes a manifest with its tags, where it exists.
    ///
    /// ECR does not take this request: [`crate::Ecr::delete_images`] is its own.
    pub async fn delete_manifest(&self, repository: &str, digest: Digest) -> Result<(), CloudError> {
        self.client.with_retries(|| self.delete_once(repository, digest)).await
    }

    async fn delete_once(&self, repository: &str, digest: Digest) -> Result<(), AttemptError> {
        let (name, scope) = (ManifestName::Digest(digest), delete(repository));
        let (headers, payload) = (Vec::new(), RequestBody::Empty);
        let request =
            self.manifest_request("DeleteManifest", "DELETE", repository, name, headers, payload, scope)?;
        let context = request.context(&self.client);
        let response = self.client.send(&request).await?;
        match response.status {
            200..=204 | 404 => Ok(()),
            _ => Err(response.into_error(&context).await),
        }
    }

    /// Reads a tag or a digest.
    fn name<'a>(&self, repository: &str, reference: &'a str) -> Result<ManifestName<'a>, CloudError> {
        match reference.parse() {
            Ok(digest) => Ok(ManifestName::Digest(digest)),
            Err(_) if is_tag(reference) => Ok(ManifestName::Tag(reference)),
            Err(_) => {
                let subject = self.client.subject(repository, ':', reference);
                let message = "this is neither a tag nor a SHA-256 digest";
                Err(CloudError::new(CloudErrorKind::Other, "registry", "open", subject, message))
            }
        }
    }

    pub(super) async fn get_manifest(
        &self,
        repository: &str,
        name: ManifestName<'_>,
    ) -> Result<Option<StoredManifest>, AttemptError> {
        let headers = vec![("accept", ACCEPTED.to_owned())];
        let scope = pull(repository);
        let request = self.manifest_request(
            "GetManifest",
            "GET",
            repository,
            name,
            headers,
            RequestBody::Empty,
            scope,
        )?;
        let context = request.context(&self.client);
        let mut response = self.client.send(&request).await?;
        match response.status {
            200 => {}
            404 => return Ok(None),
            _ => return Err(response.into_error(&context).await),
        }
        let bytes = response.bytes(LARGEST, &context).await?;
        let digest = Digest::of(&bytes);
        if let ManifestName::Digest(expected) = name
            && expected != digest
        {
            return Err(CloudError::wrong_bytes(&context, expected, digest).into());
        }
        compare_digest(&context, &response, digest)?;
        let media_type = response.header("content-type").unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default().trim().to_owned();
        Ok(Some(StoredManifest { bytes, media_type, digest }))
    }

    /// Pushes a manifest, also where the tag exists; returns whether the registry processed its subject.
    pub(super) async fn put_manifest(
        &self,
        repository: &str,
        name: ManifestName<'_>,
        bytes: &Bytes,
        media_type: &str,
    ) -> Result<bool, AttemptError> {
        let headers = vec![("content-type", media_type.to_owned())];
        let (payload, scope) = (RequestBody::Bytes(bytes.clone()), push(repository));
        let request =
            self.manifest_request("PutManifest", "PUT", repository, name, headers, payload, scope)?;
        let context = request.context(&self.client);
        let response = self.client.send(&request).await?;
        match response.status {
            200..=204 => {
                compare_digest(&context, &response, Digest::of(bytes))?;
                Ok(response.header("oci-subject").is_some())
            }
            _ => Err(response.into_error(&context).await),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of a request, named by its callers")]
    fn manifest_request<'a>(
        &self,
        operation: &'static str,
        method: &'static str,
        repository: &str,
        name: ManifestName<'_>,
        headers: Vec<(&'static str, String)>,
        payload: RequestBody<'a>,
        scope: String,
    ) -> Result<RegistryRequest<'a>, CloudError> {
        let (separator, text) = match name {
            ManifestName::Tag(tag) => (':', tag.to_owned()),
            ManifestName::Digest(digest) => ('@', digest.to_string()),
        };
        let subject = self.client.subject(repository, separator, &text);
        let url = self.client.url(repository, &format!("manifests/{text}"))?;
        Ok(RegistryRequest { operation, subject, method, url, headers, payload, scope })
    }
}

/// Compares the digest that a registry reports, if it reports one, with that of the bytes.
pub(super) fn compare_digest(
    context: &CallContext<'_>,
    response: &Response,
    digest: Digest,
) -> Result<(), CloudError> {
    let Some(reported) = response.header("docker-content-digest") else {
        return Ok(());
    };
    match reported.parse::<Digest>() {
        Ok(reported) if reported == digest => Ok(()),
        Ok(reported) => Err(CloudError::wrong_bytes(context, reported, digest)),
        // A digest of another algorithm cannot be compared, and does not show that the bytes are wrong.
        Err(_) if reported.contains(':') && !reported.starts_with("sha256:") => Ok(()),
        Err(error) => {
            Err(CloudError::at(context, CloudErrorKind::Other, format!("the registry's header: {error}")))
        }
    }
}
