//! Uploads of blobs: in one request, in pieces, or mounted from another repository.
//!
//! In: bodies as they stream. Out: a blob, once its digest is the expected one. Errors: another digest, a piece out of
//! order, an unknown upload. A client whose connection broke may continue its upload.

use super::error::RegistryError;
use super::name::{Digest, Repository};
use super::query::Query;
use super::store::Registry;
use super::upload_sessions::Upload;
use crate::id::request_id;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, Response as Builder, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// POST: mounts a blob, receives a whole one, or begins an upload.
pub(super) async fn begin(
    registry: &Registry,
    repository: &Repository,
    query: &Query,
    body: Body,
) -> Result<Response, RegistryError> {
    if let (Some(digest), Some(from)) =
        (query.digest("mount")?, query.get("from").and_then(Repository::parse))
        && registry.blob_size(&from, &digest)?.is_some()
    {
        registry.add_blob(repository, &digest)?;
        return created(repository, &digest);
    }
    let mut upload = Upload::begin(&registry.uploads_folder())?;
    if let Some(digest) = query.digest("digest")? {
        upload.receive(body).await?;
        store(&mut upload, registry, repository, &digest)?;
        return created(repository, &digest);
    }
    let id = request_id();
    registry.uploads.insert(repository, &id, upload);
    accepted(StatusCode::ACCEPTED, repository, &id, 0)
}

/// GET: responds with the number of bytes received so far.
pub(super) async fn status(
    registry: &Registry,
    repository: &Repository,
    id: &str,
) -> Result<Response, RegistryError> {
    let upload = registry.uploads.find(repository, id)?;
    let length = upload.lock().await.length;
    accepted(StatusCode::NO_CONTENT, repository, id, length)
}

/// PATCH: receives the next piece.
pub(super) async fn append(
    registry: &Registry,
    repository: &Repository,
    id: &str,
    request: Request,
) -> Result<Response, RegistryError> {
    let upload = registry.uploads.find(repository, id)?;
    let mut upload = upload.lock().await;
    if let Some(response) = out_of_order(request.headers(), repository, id, upload.length) {
        return response;
    }
    upload.receive(request.into_body()).await?;
    accepted(StatusCode::ACCEPTED, repository, id, upload.length)
}

/// PUT: receives the last piece, which may be everything or empty, and compares the digest.
pub(super) async fn finish(
    registry: &Registry,
    repository: &Repository,
    id: &str,
    query: &Query,
    request: Request,
) -> Result<Response, RegistryError> {
    let upload = registry.uploads.find(repository, id)?;
    let digest = query.digest("digest")?;
    let digest = digest.ok_or_else(|| {
        RegistryError::bad_request("DIGEST_INVALID", "an upload ends with the query ?digest=")
    })?;
    let mut upload = upload.lock().await;
    if let Some(response) = out_of_order(request.headers(), repository, id, upload.length) {
        return response;
    }
    upload.receive(request.into_body()).await?;
    // The upload is over even if the digest is wrong.
    registry.uploads.remove(repository, id);
    store(&mut upload, registry, repository, &digest)?;
    created(repository, &digest)
}

/// DELETE: cancels an upload.
pub(super) async fn cancel(
    registry: &Registry,
    repository: &Repository,
    id: &str,
) -> Result<Response, RegistryError> {
    registry.uploads.find(repository, id)?;
    registry.uploads.remove(repository, id);
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Moves a complete upload to its place if it has the expected digest.
fn store(
    upload: &mut Upload,
    registry: &Registry,
    repository: &Repository,
    expected: &Digest,
) -> Result<(), RegistryError> {
    let actual = Digest::from(std::mem::take(&mut upload.digest));
    if actual != *expected {
        let message = format!("expected {expected}, received {} bytes with {actual}", upload.length);
        let detail = serde_json::json!({ "expected": expected.to_string(), "received": actual.to_string() });
        return Err(RegistryError::bad_request("DIGEST_INVALID", message).with_detail(detail));
    }
    std::fs::rename(&upload.path, registry.blob_path(expected))?;
    Ok(registry.add_blob(repository, expected)?)
}

/// Returns an error response for a piece that does not begin where the last one ended.
fn out_of_order(
    headers: &HeaderMap,
    repository: &Repository,
    id: &str,
    length: u64,
) -> Option<Result<Response, RegistryError>> {
    let range = headers.get(header::CONTENT_RANGE)?.to_str().unwrap_or_default();
    // The specification has no unit here; older clients send one.
    let range = range.strip_prefix("bytes ").unwrap_or(range);
    let first = range.split('-').next().and_then(|first| first.trim().parse::<u64>().ok());
    (first != Some(length)).then(|| accepted(StatusCode::RANGE_NOT_SATISFIABLE, repository, id, length))
}

fn accepted(
    status: StatusCode,
    repository: &Repository,
    id: &str,
    length: u64,
) -> Result<Response, RegistryError> {
    let last = length.saturating_sub(1);
    let response = Builder::builder()
        .status(status)
        .header(header::LOCATION, format!("/v2/{}/blobs/uploads/{id}", repository.as_str()))
        .header(header::RANGE, format!("0-{last}"))
        .header("docker-upload-uuid", id);
    response.body(Body::empty()).map_err(|error| RegistryError::bad_request("UNKNOWN", error.to_string()))
}

fn created(repository: &Repository, digest: &Digest) -> Result<Response, RegistryError> {
    let response = Builder::builder()
        .status(StatusCode::CREATED)
        .header(header::LOCATION, format!("/v2/{}/blobs/{digest}", repository.as_str()))
        .header("docker-content-digest", digest.to_string());
    response.body(Body::empty()).map_err(|error| RegistryError::bad_request("UNKNOWN", error.to_string()))
}
