//! Manifests and tags.
//!
//! In: a manifest under a tag or its digest. Out: the same bytes, by either. What can go wrong: other bytes than the
//! digest says, a manifest that is malformed or names what was not pushed, a tag that means another manifest already.

use super::answer::Query;
use super::fault::Fault;
use super::manifest::{Descriptor, Manifest};
use super::name::{Digest, Reference, Repository};
use super::{Registry, referrers, text};
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Method, Response as Builder, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::fs;
use std::io;

/// The longest manifest, in bytes, as the specification recommends.
const LONGEST: usize = 4 << 20;

/// Answers GET and HEAD.
pub(super) fn read(
    registry: &Registry,
    repository: &Repository,
    reference: &Reference,
    method: &Method,
) -> Result<Response, Fault> {
    let stored =
        registry.manifest(repository.as_str(), reference)?.ok_or_else(|| unknown(repository, reference))?;
    let answer = Builder::builder()
        .header(header::CONTENT_TYPE, stored.media_type)
        .header(header::CONTENT_LENGTH, stored.bytes.len())
        .header("docker-content-digest", stored.digest.to_string());
    let body = if method == Method::HEAD { Body::empty() } else { Body::from(stored.bytes) };
    answer.body(body).map_err(|error| Fault::bad("UNKNOWN", error.to_string()))
}

/// Answers PUT. The tag is written last, so that nobody finds half an image by it.
pub(super) async fn write(
    registry: &Registry,
    repository: &Repository,
    reference: &Reference,
    request: Request,
) -> Result<Response, Fault> {
    let (parts, body) = request.into_parts();
    let bytes = axum::body::to_bytes(body, LONGEST).await.map_err(|_| {
        let message = format!("the manifest broke off or is longer than {LONGEST} bytes");
        Fault::new(StatusCode::PAYLOAD_TOO_LARGE, "MANIFEST_INVALID", message)
    })?;
    let digest = Digest::of(&bytes);
    if let Reference::Digest(wanted) = reference
        && *wanted != digest
    {
        return Err(Fault::bad("DIGEST_INVALID", format!("the manifest under {wanted} is {digest}")));
    }
    let given = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let given = given.map(|kind| kind.split(';').next().unwrap_or(kind).trim().to_owned());
    let own = || serde_json::from_slice::<Manifest>(&bytes).ok()?.media_type;
    let media_type = given.or_else(own).unwrap_or_default();
    let manifest = Manifest::read(&bytes, &media_type).map_err(|why| Fault::bad("MANIFEST_INVALID", why))?;
    check(registry, repository, &manifest)?;
    let folder = registry.repository(repository);
    if let Reference::Tag(tag) = reference {
        // Looked at before anything is written, and once more when the tag is.
        immutable(registry, repository, tag, &digest)?;
    }
    registry.put(&registry.blob(&digest), &bytes)?;
    registry.put(&folder.join("_manifests").join(digest.hex()), media_type.as_bytes())?;
    let subject = referrers::add(registry, repository, &digest, &media_type, bytes.len(), &manifest)?;
    if let Reference::Tag(tag) = reference
        && !registry.put_new(&folder.join("_tags").join(tag), digest.to_string().as_bytes())?
    {
        immutable(registry, repository, tag, &digest)?;
    }
    let mut answer = Builder::builder()
        .status(StatusCode::CREATED)
        .header(header::LOCATION, format!("/v2/{}/manifests/{digest}", repository.as_str()))
        .header("docker-content-digest", digest.to_string());
    if let Some(subject) = subject {
        answer = answer.header("oci-subject", subject.to_string());
    }
    answer.body(Body::empty()).map_err(|error| Fault::bad("UNKNOWN", error.to_string()))
}

/// Answers DELETE: a tag, or a manifest with its tags. Blobs stay, because others may hold them.
pub(super) fn delete(
    registry: &Registry,
    repository: &Repository,
    reference: &Reference,
) -> Result<Response, Fault> {
    let stored =
        registry.manifest(repository.as_str(), reference)?.ok_or_else(|| unknown(repository, reference))?;
    let tags = registry.repository(repository).join("_tags");
    match reference {
        Reference::Tag(tag) => fs::remove_file(tags.join(tag))?,
        Reference::Digest(digest) => {
            for tag in names(&tags)? {
                if text(&tags.join(&tag))?.is_some_and(|named| named == digest.to_string()) {
                    fs::remove_file(tags.join(&tag))?;
                }
            }
            referrers::remove(registry, repository, &stored)?;
            fs::remove_file(registry.repository(repository).join("_manifests").join(digest.hex()))?;
        }
    }
    Ok(StatusCode::ACCEPTED.into_response())
}

/// Lists tags in order, `n` of them after `last`.
pub(super) fn tags(registry: &Registry, repository: &Repository, query: &Query) -> Result<Response, Fault> {
    let name = repository.as_str();
    let folder = registry.repository(repository);
    if !folder.join("_manifests").try_exists()? && !folder.join("_blobs").try_exists()? {
        return Err(Fault::missing("NAME_UNKNOWN", format!("there is no repository {name}")));
    }
    let mut tags = names(&folder.join("_tags"))?;
    tags.sort();
    if let Some(last) = query.get("last") {
        tags.retain(|tag| tag.as_str() > last);
    }
    let mut link = None;
    if let Some(count) = query.get("n") {
        let count: usize =
            count.parse().map_err(|_| Fault::bad("UNSUPPORTED", format!("n={count} is not a number")))?;
        if tags.len() > count {
            tags.truncate(count);
            let last = tags.last().map(String::as_str).unwrap_or_default();
            link = Some(format!("</v2/{name}/tags/list?n={count}&last={last}>; rel=\"next\""));
        }
    }
    let mut answer = Builder::builder().header(header::CONTENT_TYPE, "application/json");
    if let Some(link) = link {
        answer = answer.header(header::LINK, link);
    }
    let body = json!({ "name": name, "tags": tags }).to_string();
    answer.body(Body::from(body)).map_err(|error| Fault::bad("UNKNOWN", error.to_string()))
}

/// Refuses a manifest that names what the repository does not hold. Its subject may be missing.
fn check(registry: &Registry, repository: &Repository, manifest: &Manifest) -> Result<(), Fault> {
    let name = repository.as_str();
    let read = |descriptor: &Descriptor| {
        let message = format!("the manifest names the digest `{}`", descriptor.digest);
        descriptor.digest().ok_or_else(|| Fault::bad("MANIFEST_INVALID", message))
    };
    let missing = |what: &str, digest: &Digest| {
        let message = format!("the manifest names the {what} {digest}, which {name} does not hold");
        Fault::bad("MANIFEST_BLOB_UNKNOWN", message).detail(json!({ "digest": digest.to_string() }))
    };
    for descriptor in manifest.config.iter().chain(&manifest.layers).filter(|blob| !blob.foreign()) {
        let digest = read(descriptor)?;
        let size = registry.held(repository, &digest)?.ok_or_else(|| missing("blob", &digest))?;
        if size != descriptor.size {
            let message = format!("the manifest gives {digest} {} bytes; it has {size}", descriptor.size);
            return Err(Fault::bad("SIZE_INVALID", message));
        }
    }
    for descriptor in &manifest.manifests {
        let digest = read(descriptor)?;
        if registry.manifest(name, &Reference::Digest(digest.clone()))?.is_none() {
            return Err(missing("manifest", &digest));
        }
    }
    Ok(())
}

/// Refuses a tag that means something else already, with ECR's words.
fn immutable(registry: &Registry, repository: &Repository, tag: &str, digest: &Digest) -> Result<(), Fault> {
    let known = text(&registry.repository(repository).join("_tags").join(tag))?;
    match known {
        Some(known) if known != digest.to_string() => {
            let message = format!(
                "ImageTagAlreadyExistsException: The image tag '{tag}' already exists in the '{}' repository and \
                 cannot be overwritten because the repository is immutable: it is {known}, and {digest} was pushed.",
                repository.as_str()
            );
            let detail = json!({ "tag": tag, "existing": known, "pushed": digest.to_string() });
            Err(Fault::bad("TAG_INVALID", message).detail(detail))
        }
        _ => Ok(()),
    }
}

fn unknown(repository: &Repository, reference: &Reference) -> Fault {
    let name = repository.as_str();
    let message = match reference {
        Reference::Tag(tag) => format!("the repository {name} has no tag {tag}"),
        Reference::Digest(digest) => format!("the repository {name} has no manifest {digest}"),
    };
    Fault::missing("MANIFEST_UNKNOWN", message)
}

/// Lists the names of a folder's files; none where there is no folder.
pub(super) fn names(folder: &std::path::Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}
