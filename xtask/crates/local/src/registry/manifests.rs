//! Manifests and tags.
//!
//! In: a manifest under a tag or its digest. Out: the same bytes, by either. Errors: the bytes do not match the digest,
//! the manifest is malformed or names a blob that was not pushed, the tag names another manifest already.

use super::error::RegistryError;
use super::manifest::{Descriptor, Manifest};
use super::name::{Digest, Reference, Repository};
use super::query::Query;
use super::referrers;
use super::store::{Registry, file_names, read_text};
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Method, Response as Builder, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::fs;

/// The longest manifest, in bytes, as the specification recommends.
const LONGEST: usize = 4 << 20;

/// Responds to GET and HEAD.
pub(super) fn read(
    registry: &Registry,
    repository: &Repository,
    reference: &Reference,
    method: &Method,
) -> Result<Response, RegistryError> {
    let stored =
        registry.manifest(repository.as_str(), reference)?.ok_or_else(|| unknown(repository, reference))?;
    let response = Builder::builder()
        .header(header::CONTENT_TYPE, stored.media_type)
        .header(header::CONTENT_LENGTH, stored.bytes.len())
        .header("docker-content-digest", stored.digest.to_string());
    let body = if method == Method::HEAD { Body::empty() } else { Body::from(stored.bytes) };
    response.body(body).map_err(|error| RegistryError::bad_request("UNKNOWN", error.to_string()))
}

/// Responds to PUT. The tag is written last, so that it never names an incomplete image.
pub(super) async fn write(
    registry: &Registry,
    repository: &Repository,
    reference: &Reference,
    request: Request,
) -> Result<Response, RegistryError> {
    let (parts, body) = request.into_parts();
    let bytes = axum::body::to_bytes(body, LONGEST).await.map_err(|_| {
        let message = format!("the manifest is incomplete or longer than {LONGEST} bytes");
        RegistryError::new(StatusCode::PAYLOAD_TOO_LARGE, "MANIFEST_INVALID", message)
    })?;
    let digest = Digest::of(&bytes);
    if let Reference::Digest(wanted) = reference
        && *wanted != digest
    {
        return Err(RegistryError::bad_request(
            "DIGEST_INVALID",
            format!("the manifest pushed as {wanted} has the digest {digest}"),
        ));
    }
    let given = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let given = given.map(|kind| kind.split(';').next().unwrap_or(kind).trim().to_owned());
    let own = || serde_json::from_slice::<Manifest>(&bytes).ok()?.media_type;
    let media_type = given.or_else(own).unwrap_or_default();
    let manifest = Manifest::read(&bytes, &media_type)
        .map_err(|why| RegistryError::bad_request("MANIFEST_INVALID", why))?;
    check(registry, repository, &manifest)?;
    let folder = registry.repository_folder(repository);
    if let Reference::Tag(tag) = reference {
        // Checked before anything is written, and again when the tag is written.
        check_tag_is_free(registry, repository, tag, &digest)?;
    }
    registry.put(&registry.blob_path(&digest), &bytes)?;
    registry.put(&folder.join("_manifests").join(digest.hex()), media_type.as_bytes())?;
    let subject = referrers::add(registry, repository, &digest, &media_type, bytes.len(), &manifest)?;
    if let Reference::Tag(tag) = reference
        && !registry.put_new(&folder.join("_tags").join(tag), digest.to_string().as_bytes())?
    {
        check_tag_is_free(registry, repository, tag, &digest)?;
    }
    let mut response = Builder::builder()
        .status(StatusCode::CREATED)
        .header(header::LOCATION, format!("/v2/{}/manifests/{digest}", repository.as_str()))
        .header("docker-content-digest", digest.to_string());
    if let Some(subject) = subject {
        response = response.header("oci-subject", subject.to_string());
    }
    response.body(Body::empty()).map_err(|error| RegistryError::bad_request("UNKNOWN", error.to_string()))
}

/// Responds to DELETE of a tag, or of a manifest with its tags. Blobs stay, because other repositories may hold them.
pub(super) fn delete(
    registry: &Registry,
    repository: &Repository,
    reference: &Reference,
) -> Result<Response, RegistryError> {
    let stored =
        registry.manifest(repository.as_str(), reference)?.ok_or_else(|| unknown(repository, reference))?;
    let tags = registry.repository_folder(repository).join("_tags");
    match reference {
        Reference::Tag(tag) => fs::remove_file(tags.join(tag))?,
        Reference::Digest(digest) => {
            for tag in file_names(&tags)? {
                if read_text(&tags.join(&tag))?.is_some_and(|named| named == digest.to_string()) {
                    fs::remove_file(tags.join(&tag))?;
                }
            }
            referrers::remove(registry, repository, &stored)?;
            fs::remove_file(registry.repository_folder(repository).join("_manifests").join(digest.hex()))?;
        }
    }
    Ok(StatusCode::ACCEPTED.into_response())
}

/// Responds with the tags in order: `n` of them after `last`.
pub(super) fn tags(
    registry: &Registry,
    repository: &Repository,
    query: &Query,
) -> Result<Response, RegistryError> {
    let name = repository.as_str();
    let folder = registry.repository_folder(repository);
    if !folder.join("_manifests").try_exists()? && !folder.join("_blobs").try_exists()? {
        return Err(RegistryError::not_found(
            "NAME_UNKNOWN",
            format!("the repository {name} does not exist"),
        ));
    }
    let mut tags = file_names(&folder.join("_tags"))?;
    tags.sort();
    if let Some(last) = query.get("last") {
        tags.retain(|tag| tag.as_str() > last);
    }
    let mut link = None;
    if let Some(count) = query.get("n") {
        let count: usize = count
            .parse()
            .map_err(|_| RegistryError::bad_request("UNSUPPORTED", format!("n={count} is not a number")))?;
        if tags.len() > count {
            tags.truncate(count);
            let last = tags.last().map(String::as_str).unwrap_or_default();
            link = Some(format!("</v2/{name}/tags/list?n={count}&last={last}>; rel=\"next\""));
        }
    }
    let mut response = Builder::builder().header(header::CONTENT_TYPE, "application/json");
    if let Some(link) = link {
        response = response.header(header::LINK, link);
    }
    let body = json!({ "name": name, "tags": tags }).to_string();
    response.body(Body::from(body)).map_err(|error| RegistryError::bad_request("UNKNOWN", error.to_string()))
}

/// Fails if the manifest names a blob or manifest that the repository does not hold. The subject may be missing.
fn check(registry: &Registry, repository: &Repository, manifest: &Manifest) -> Result<(), RegistryError> {
    let name = repository.as_str();
    let read = |descriptor: &Descriptor| {
        let message = format!("the manifest names the digest `{}`", descriptor.digest);
        descriptor.digest().ok_or_else(|| RegistryError::bad_request("MANIFEST_INVALID", message))
    };
    let missing = |what: &str, digest: &Digest| {
        let message = format!("the manifest names the {what} {digest}, which {name} does not hold");
        RegistryError::bad_request("MANIFEST_BLOB_UNKNOWN", message)
            .with_detail(json!({ "digest": digest.to_string() }))
    };
    for descriptor in manifest.config.iter().chain(&manifest.layers).filter(|blob| !blob.is_foreign()) {
        let digest = read(descriptor)?;
        let size = registry.blob_size(repository, &digest)?.ok_or_else(|| missing("blob", &digest))?;
        if size != descriptor.size {
            let message = format!("{digest} has {size} bytes; the manifest says {}", descriptor.size);
            return Err(RegistryError::bad_request("SIZE_INVALID", message));
        }
    }
    for descriptor in &manifest.manifests {
        let digest = read(descriptor)?;
        if registry.manifest(name, &Reference::Digest(digest))?.is_none() {
            return Err(missing("manifest", &digest));
        }
    }
    Ok(())
}

/// Fails with ECR's message if the tag names another manifest already.
fn check_tag_is_free(
    registry: &Registry,
    repository: &Repository,
    tag: &str,
    digest: &Digest,
) -> Result<(), RegistryError> {
    let known = read_text(&registry.repository_folder(repository).join("_tags").join(tag))?;
    match known {
        Some(known) if known != digest.to_string() => {
            let message = format!(
                "ImageTagAlreadyExistsException: The image tag '{tag}' already exists in the '{}' repository and \
                 cannot be overwritten because the repository is immutable: it is {known}, and {digest} was pushed.",
                repository.as_str()
            );
            let detail = json!({ "tag": tag, "existing": known, "pushed": digest.to_string() });
            Err(RegistryError::bad_request("TAG_INVALID", message).with_detail(detail))
        }
        _ => Ok(()),
    }
}

fn unknown(repository: &Repository, reference: &Reference) -> RegistryError {
    let name = repository.as_str();
    let message = match reference {
        Reference::Tag(tag) => format!("the repository {name} has no tag {tag}"),
        Reference::Digest(digest) => format!("the repository {name} has no manifest {digest}"),
    };
    RegistryError::not_found("MANIFEST_UNKNOWN", message)
}
