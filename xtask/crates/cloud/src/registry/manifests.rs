//! Manifests and tags.
//!
//! In: a repository, a tag or digest, a manifest's bytes. Out: bytes whose digest was computed here, or what
//! became of writing them, as [`Put`]. A tag that names something is never moved, whether the registry would
//! allow it or not. What can go wrong: a registry whose digest is not that of its bytes (the error names both), or
//! that refuses the manifest, because a blob is missing, say.

use bytes::Bytes;
use slipway_values::digest::Digest;

use super::Registry;
use super::blobs::{pull, push};
use super::client::{Outgoing, Payload};
use super::reference::is_tag;
use super::response::{Response, Trouble};
use crate::error::{CloudError, Kind, Origin};
use crate::store::Put;

/// A manifest or index as a registry keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredManifest {
    /// The bytes, which the digest is of.
    pub bytes: Vec<u8>,
    /// The media type that the registry names.
    pub media_type: String,
    /// The digest of the bytes.
    pub digest: Digest,
}

/// The largest manifest that is read: registries must take 4 MiB, and few take more.
const LARGEST: usize = 4 << 20;
/// Single images and indexes, of both families.
const ACCEPTED: &str = "application/vnd.oci.image.manifest.v1+json, \
    application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, \
    application/vnd.docker.distribution.manifest.list.v2+json";

/// What a manifest is asked for by.
#[derive(Clone, Copy)]
pub(super) enum Name<'a> {
    Tag(&'a str),
    Digest(Digest),
}

impl Registry {
    /// Reads a manifest or index by tag or digest; `None` if there is none.
    ///
    /// # Errors
    /// [`Kind::WrongBytes`] if the bytes are not those of the digest that was asked for, or that the registry
    /// names; it gives both.
    pub async fn manifest(
        &self,
        repository: &str,
        reference: &str,
    ) -> Result<Option<StoredManifest>, CloudError> {
        let name = self.name(repository, reference)?;
        self.client.persist(|| self.get_manifest(repository, name)).await
    }

    /// Writes a manifest under a tag or its digest, unless the tag names something already; then says whether it
    /// is the same. Blobs must be there first.
    ///
    /// Without immutable tags in the registry, two that write one new tag at the same time may both succeed; the
    /// later wins.
    pub async fn push_manifest(
        &self,
        repository: &str,
        reference: &str,
        bytes: &[u8],
        media_type: &str,
    ) -> Result<Put, CloudError> {
        let name = self.name(repository, reference)?;
        let digest = Digest::of(bytes);
        if let Name::Digest(asked) = name
            && asked != digest
        {
            let subject = self.client.subject(repository, '@', reference);
            let origin = self.client.origin("PutManifest", &subject);
            return Err(CloudError::wrong_bytes(&origin, asked, digest));
        }
        if let Some(there) = self.client.persist(|| self.get_manifest(repository, name)).await? {
            return Ok(if there.digest == digest { Put::Same } else { Put::Different });
        }
        let bytes = Bytes::copy_from_slice(bytes);
        let put = self.client.persist(|| self.put_manifest(repository, name, &bytes, media_type)).await;
        match put {
            Ok(_) => Ok(Put::Created),
            // Immutable tags refuse in several words, and an answer may have been lost: what is there decides.
            Err(refused) if !matches!(refused.kind, Kind::WrongBytes { .. } | Kind::CredentialsMissing) => {
                match self.client.persist(|| self.get_manifest(repository, name)).await {
                    Ok(Some(there)) if there.digest == digest => Ok(Put::Same),
                    Ok(Some(_)) => Ok(Put::Different),
                    Ok(None) | Err(_) => Err(refused),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Tells tags from digests.
    fn name<'a>(&self, repository: &str, reference: &'a str) -> Result<Name<'a>, CloudError> {
        match reference.parse() {
            Ok(digest) => Ok(Name::Digest(digest)),
            Err(_) if is_tag(reference) => Ok(Name::Tag(reference)),
            Err(_) => {
                let subject = self.client.subject(repository, ':', reference);
                let message = "this is neither a tag nor a SHA-256 digest";
                Err(CloudError::new(Kind::Other, "registry", "open", subject, message))
            }
        }
    }

    pub(super) async fn get_manifest(
        &self,
        repository: &str,
        name: Name<'_>,
    ) -> Result<Option<StoredManifest>, Trouble> {
        let headers = vec![("accept", ACCEPTED.to_owned())];
        let scope = pull(repository);
        let request =
            self.manifest_request("GetManifest", "GET", repository, name, headers, Payload::Empty, scope)?;
        let origin = request.origin(&self.client);
        let mut response = self.client.send(&request).await?;
        match response.status {
            200 => {}
            404 => return Ok(None),
            _ => return Err(response.refusal(&origin).await),
        }
        let bytes = response.bytes(LARGEST, &origin).await?;
        let digest = Digest::of(&bytes);
        if let Name::Digest(asked) = name
            && asked != digest
        {
            return Err(CloudError::wrong_bytes(&origin, asked, digest).into());
        }
        compare_digest(&origin, &response, digest)?;
        let media_type = response.header("content-type").unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default().trim().to_owned();
        Ok(Some(StoredManifest { bytes, media_type, digest }))
    }

    /// Writes a manifest over whatever is there; says whether the registry took note of its subject.
    pub(super) async fn put_manifest(
        &self,
        repository: &str,
        name: Name<'_>,
        bytes: &Bytes,
        media_type: &str,
    ) -> Result<bool, Trouble> {
        let headers = vec![("content-type", media_type.to_owned())];
        let (payload, scope) = (Payload::Bytes(bytes.clone()), push(repository));
        let request =
            self.manifest_request("PutManifest", "PUT", repository, name, headers, payload, scope)?;
        let origin = request.origin(&self.client);
        let response = self.client.send(&request).await?;
        match response.status {
            200..=204 => {
                compare_digest(&origin, &response, Digest::of(bytes))?;
                Ok(response.header("oci-subject").is_some())
            }
            _ => Err(response.refusal(&origin).await),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of a request, named by its two callers")]
    fn manifest_request<'a>(
        &self,
        operation: &'static str,
        method: &'static str,
        repository: &str,
        name: Name<'_>,
        headers: Vec<(&'static str, String)>,
        payload: Payload<'a>,
        scope: String,
    ) -> Result<Outgoing<'a>, CloudError> {
        let (separator, text) = match name {
            Name::Tag(tag) => (':', tag.to_owned()),
            Name::Digest(digest) => ('@', digest.to_string()),
        };
        let subject = self.client.subject(repository, separator, &text);
        let url = self.client.url(repository, &format!("manifests/{text}"))?;
        Ok(Outgoing { operation, subject, method, url, headers, payload, scope })
    }
}

/// Compares the digest that a registry names, where it names one, with that of the bytes.
pub(super) fn compare_digest(
    origin: &Origin<'_>,
    response: &Response,
    digest: Digest,
) -> Result<(), CloudError> {
    let Some(named) = response.header("docker-content-digest") else {
        return Ok(());
    };
    match named.parse::<Digest>() {
        Ok(named) if named == digest => Ok(()),
        Ok(named) => Err(CloudError::wrong_bytes(origin, named, digest)),
        // Another algorithm's digest can't be compared, and does not say that the bytes are wrong.
        Err(_) if named.contains(':') && !named.starts_with("sha256:") => Ok(()),
        Err(error) => Err(CloudError::at(origin, Kind::Other, format!("the registry's header: {error}"))),
    }
}
