//! Attachments of an image: SBOM, provenance, signatures.
//!
//! In: the image's descriptor and the bytes to attach. Out: an artifact manifest whose `subject` is the image, one for each
//! artifact type and content, and the list of attachments. Where the registry does not process subjects (no header
//! `OCI-Subject` in its response), an index under the tag `sha256-<hex>` lists them instead. Errors: another process
//! keeps writing that index at the same time.
//!
//! <https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-referrers>

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Value, json};
use slipway_values::digest::Digest;

use super::Registry;
use super::blobs::{Source, pull};
use super::client::{RegistryRequest, RequestBody};
use super::manifests::ManifestName;
use super::response::{AttemptError, Response};
use crate::error::{CallContext, CloudError, CloudErrorKind};
use crate::store::Put;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// The empty configuration of an artifact.
const EMPTY_CONTENT: &[u8] = b"{}";
/// The largest page of a list that is read, in bytes.
const LARGEST: usize = 4 << 20;
/// The largest number of pages that are read.
const PAGES: u32 = 100;
/// How often the fallback index is written until it has an entry.
const RACE_ATTEMPTS: u32 = 5;

/// A manifest's media type, digest and size, as another manifest names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Its media type.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// A document to attach.
#[derive(Clone, Copy, Debug)]
pub struct Attachment<'a> {
    /// Its type, `application/vnd.cyclonedx+json`.
    pub artifact_type: &'a str,
    /// The bytes' media type.
    pub media_type: &'a str,
    /// The bytes.
    pub bytes: &'a [u8],
    /// Annotations. Attachments that differ only in them count as the same.
    pub annotations: &'a BTreeMap<String, String>,
}

/// An attached document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referrer {
    /// Its manifest.
    pub descriptor: Descriptor,
    /// Its type.
    pub artifact_type: String,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
}

impl Registry {
    /// Attaches a document to an image, unless one of this artifact type and content is attached already.
    ///
    /// ECR allows at most 100 for an image. With a fallback index, clones of this client write it one after the other. Of
    /// two processes that attach at the same time, one may lose its entry; it adds the entry again when it attaches again.
    pub async fn attach(
        &self,
        repository: &str,
        subject: &Descriptor,
        attachment: Attachment<'_>,
    ) -> Result<Put, CloudError> {
        let content = Digest::of(attachment.bytes);
        let manifest = Bytes::from(manifest_of(subject, &attachment, content));
        let digest = Digest::of(&manifest);
        for referrer in self.referrers(repository, subject.digest, Some(attachment.artifact_type)).await? {
            let same = referrer.descriptor.digest == digest
                || self.layers(repository, referrer.descriptor.digest).await? == [content.to_string()];
            if same {
                return Ok(Put::Same);
            }
        }
        for (digest, bytes) in [
            (Digest::of(EMPTY_CONTENT), Bytes::from_static(EMPTY_CONTENT)),
            (content, Bytes::copy_from_slice(attachment.bytes)),
        ] {
            let size = bytes.len() as u64;
            self.push(repository, digest, size, Source::Bytes(&bytes), None, &|_| {}).await?;
        }
        let name = ManifestName::Digest(digest);
        let processed =
            self.client.with_retries(|| self.put_manifest(repository, name, &manifest, MANIFEST)).await?;
        if !processed {
            let descriptor =
                Descriptor { media_type: MANIFEST.to_owned(), digest, size: manifest.len() as u64 };
            let artifact_type = attachment.artifact_type.to_owned();
            let annotations = attachment.annotations.clone();
            let referrer = Referrer { descriptor, artifact_type, annotations };
            self.add_to_index(repository, subject.digest, &referrer).await?;
        }
        Ok(Put::Created)
    }

    /// Returns an image's attachments, of one artifact type or of all.
    pub async fn referrers(
        &self,
        repository: &str,
        digest: Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Referrer>, CloudError> {
        let listed = self.client.with_retries(|| self.list(repository, digest, artifact_type)).await?;
        let mut referrers = match listed {
            Some(listed) => listed,
            None => self.fallback_index(repository, digest).await?,
        };
        // Not every registry filters, and the fallback index has all types.
        referrers.retain(|referrer| artifact_type.is_none_or(|wanted| wanted == referrer.artifact_type));
        Ok(referrers)
    }

    /// Returns the digest of the index under the tag `sha256-<hex>`, which lists an image's attachments where the registry does
    /// not; `None` where there is none.
    pub async fn referrers_index(
        &self,
        repository: &str,
        digest: Digest,
    ) -> Result<Option<Digest>, CloudError> {
        Ok(self.manifest(repository, &fallback_tag(digest)).await?.map(|index| index.digest))
    }

    /// Returns the registry's own list; `None` where it has none.
    async fn list(
        &self,
        repository: &str,
        digest: Digest,
        artifact_type: Option<&str>,
    ) -> Result<Option<Vec<Referrer>>, AttemptError> {
        let subject = self.client.subject(repository, '@', &digest.to_string());
        let mut url = self.client.url(repository, &format!("referrers/{digest}"))?;
        if let Some(artifact_type) = artifact_type {
            url.query_pairs_mut().append_pair("artifactType", artifact_type);
        }
        let mut found = Vec::new();
        for _ in 0..PAGES {
            let request = RegistryRequest {
                operation: "ListReferrers",
                subject: subject.clone(),
                method: "GET",
                url: url.clone(),
                headers: vec![("accept", INDEX.to_owned())],
                payload: RequestBody::Empty,
                scope: pull(repository),
            };
            let context = request.context(&self.client);
            let mut response = self.client.send(&request).await?;
            match response.status {
                200 => {}
                404 => return Ok(None),
                _ => return Err(response.into_error(&context).await),
            }
            let bytes = response.bytes(LARGEST, &context).await?;
            found.extend(read_index(&bytes, &context)?);
            match next_page(&response).and_then(|next| url.join(next).ok()) {
                Some(next) if next.origin() == url.origin() => url = next,
                _ => return Ok(Some(found)),
            }
        }
        let message = format!("the list has more than {PAGES} pages");
        Err(CloudError::at(&self.client.context("ListReferrers", &subject), CloudErrorKind::Other, message)
            .into())
    }

    async fn fallback_index(&self, repository: &str, digest: Digest) -> Result<Vec<Referrer>, CloudError> {
        let tag = fallback_tag(digest);
        match self.manifest(repository, &tag).await? {
            None => Ok(Vec::new()),
            Some(index) => {
                let subject = self.client.subject(repository, ':', &tag);
                read_index(&index.bytes, &self.client.context("GetManifest", &subject))
            }
        }
    }

    /// Adds an entry to the fallback index, and repeats it until the stored index has the entry.
    async fn add_to_index(
        &self,
        repository: &str,
        subject: Digest,
        referrer: &Referrer,
    ) -> Result<(), CloudError> {
        let tag = fallback_tag(subject);
        let _one_by_one = self.client.indexing.lock().await;
        for _ in 0..RACE_ATTEMPTS {
            let mut entries = self.fallback_index(repository, subject).await?;
            if entries.contains(referrer) {
                return Ok(());
            }
            entries.push(referrer.clone());
            entries.sort_by_key(|entry| entry.descriptor.digest);
            let entries: Vec<Value> = entries.iter().map(entry_of).collect();
            let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries });
            let index = Bytes::from(index.to_string());
            let name = ManifestName::Tag(&tag);
            self.client.with_retries(|| self.put_manifest(repository, name, &index, INDEX)).await?;
            if self.fallback_index(repository, subject).await?.contains(referrer) {
                return Ok(());
            }
        }
        let name = self.client.subject(repository, ':', &tag);
        let context = self.client.context("PutManifest", &name);
        Err(CloudError::at(&context, CloudErrorKind::Conflict, "others keep writing this list of referrers"))
    }

    /// Returns an artifact's layers; none where it no longer exists.
    async fn layers(&self, repository: &str, digest: Digest) -> Result<Vec<String>, CloudError> {
        let manifest = self.manifest(repository, &digest.to_string()).await?;
        let manifest = manifest.map(|manifest| manifest.bytes).unwrap_or_default();
        let manifest: Value = serde_json::from_slice(&manifest).unwrap_or_default();
        let layers = manifest["layers"].as_array().into_iter().flatten();
        Ok(layers.filter_map(|layer| layer["digest"].as_str().map(str::to_owned)).collect())
    }
}

fn fallback_tag(digest: Digest) -> String {
    format!("sha256-{}", digest.hex())
}

/// Returns the artifact manifest; the same bytes for the same input.
fn manifest_of(subject: &Descriptor, attachment: &Attachment<'_>, content: Digest) -> String {
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": attachment.artifact_type,
        "config": {
            "mediaType": EMPTY,
            "digest": Digest::of(EMPTY_CONTENT).to_string(),
            "size": EMPTY_CONTENT.len(),
        },
        "layers": [{
            "mediaType": attachment.media_type,
            "digest": content.to_string(),
            "size": attachment.bytes.len(),
        }],
        "subject": {
            "mediaType": subject.media_type,
            "digest": subject.digest.to_string(),
            "size": subject.size,
        },
    });
    if !attachment.annotations.is_empty() {
        manifest["annotations"] = json!(attachment.annotations);
    }
    manifest.to_string()
}

fn entry_of(referrer: &Referrer) -> Value {
    let Referrer { descriptor, artifact_type, annotations } = referrer;
    let mut entry = json!({
        "mediaType": descriptor.media_type,
        "digest": descriptor.digest.to_string(),
        "size": descriptor.size,
        "artifactType": artifact_type,
    });
    if !annotations.is_empty() {
        entry["annotations"] = json!(annotations);
    }
    entry
}

fn read_index(bytes: &[u8], context: &CallContext<'_>) -> Result<Vec<Referrer>, CloudError> {
    let unreadable =
        || CloudError::at(context, CloudErrorKind::Other, "the list of referrers cannot be read");
    let index: Value = serde_json::from_slice(bytes).map_err(|_| unreadable())?;
    let entries = index["manifests"].as_array().ok_or_else(unreadable)?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let read = |entry: &Value| {
        let descriptor = Descriptor {
            media_type: text(&entry["mediaType"]),
            digest: text(&entry["digest"]).parse().ok()?,
            size: entry["size"].as_u64()?,
        };
        let annotations = entry["annotations"].as_object().into_iter().flatten();
        let annotations = annotations.map(|(key, value)| (key.clone(), text(value))).collect();
        Some(Referrer { descriptor, artifact_type: text(&entry["artifactType"]), annotations })
    };
    entries.iter().map(|entry| read(entry).ok_or_else(unreadable)).collect()
}

/// Returns the URL in `<url>; rel="next"`.
fn next_page(response: &Response) -> Option<&str> {
    let (url, relation) = response.header("link")?.trim().strip_prefix('<')?.split_once('>')?;
    relation.replace('"', "").contains("rel=next").then_some(url)
}
