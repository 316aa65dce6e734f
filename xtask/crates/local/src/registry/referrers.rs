//! Referrers: manifests that name an image as their subject, such as signatures, SBOMs and provenance.
//!
//! In: manifests with a subject, as they are pushed. Out: an index of them by subject, see
//! <https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#listing-referrers>. The subject may be pushed
//! later or never.

use super::error::RegistryError;
use super::manifest::{Descriptor, INDEX, Manifest};
use super::name::{Digest, Repository};
use super::query::Query;
use super::store::{Registry, StoredManifest, file_names, read_text};
use axum::body::Body;
use axum::http::{Response as Builder, header};
use axum::response::Response;
use serde_json::json;
use std::fs;
use std::io;

/// Records a manifest as a referrer of its subject, and returns the subject.
pub(super) fn add(
    registry: &Registry,
    repository: &Repository,
    digest: &Digest,
    media_type: &str,
    size: usize,
    manifest: &Manifest,
) -> Result<Option<Digest>, RegistryError> {
    let Some(subject) = &manifest.subject else {
        return Ok(None);
    };
    let subject = subject.digest().ok_or_else(|| {
        RegistryError::bad_request(
            "MANIFEST_INVALID",
            format!("the manifest's subject is `{}`", subject.digest),
        )
    })?;
    let config = || manifest.config.as_ref().map(|config| config.media_type.clone());
    let descriptor = Descriptor {
        media_type: media_type.to_owned(),
        digest: digest.to_string(),
        size: size as u64,
        artifact_type: manifest.artifact_type.clone().or_else(config),
        annotations: manifest.annotations.clone(),
    };
    let path =
        registry.repository_folder(repository).join("_referrers").join(subject.hex()).join(digest.hex());
    registry.put(&path, json!(descriptor).to_string().as_bytes())?;
    Ok(Some(subject))
}

/// Removes a deleted manifest from the referrers of its subject.
pub(super) fn remove(
    registry: &Registry,
    repository: &Repository,
    stored: &StoredManifest,
) -> io::Result<()> {
    let manifest: Option<Manifest> = serde_json::from_slice(&stored.bytes).ok();
    let Some(subject) = manifest.and_then(|manifest| manifest.subject?.digest()) else {
        return Ok(());
    };
    let folder = registry.repository_folder(repository).join("_referrers").join(subject.hex());
    match fs::remove_file(folder.join(stored.digest.hex())) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Responds with the referrers of a subject, of one artifact type if the query names it; the list may be empty.
pub(super) fn list(
    registry: &Registry,
    repository: &Repository,
    subject: &Digest,
    query: &Query,
) -> Result<Response, RegistryError> {
    let folder = registry.repository_folder(repository).join("_referrers").join(subject.hex());
    let mut names = file_names(&folder)?;
    names.sort();
    let wanted = query.get("artifactType");
    let mut manifests: Vec<Descriptor> = Vec::new();
    for name in names {
        let descriptor = read_text(&folder.join(name))?.and_then(|text| serde_json::from_str(&text).ok());
        manifests.extend(descriptor.filter(|descriptor: &Descriptor| {
            wanted.is_none_or(|wanted| descriptor.artifact_type.as_deref() == Some(wanted))
        }));
    }
    let mut response = Builder::builder().header(header::CONTENT_TYPE, INDEX);
    if wanted.is_some() {
        response = response.header("oci-filters-applied", "artifactType");
    }
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests });
    response
        .body(Body::from(index.to_string()))
        .map_err(|error| RegistryError::bad_request("UNKNOWN", error.to_string()))
}
