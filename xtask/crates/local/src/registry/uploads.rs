//! Blobs on their way in: in one request, in pieces, or from another repository.
//!
//! In: bodies as they stream. Out: a blob in its place once its digest is the one that was promised; they are hashed
//! while they are written and never held in memory. What can go wrong: another digest, a piece out of order, an upload
//! that is not known (any more), a client that breaks off, which may go on where it was.

use super::Registry;
use super::answer::Query;
use super::fault::Fault;
use super::name::{Digest, Repository};
use crate::gateway::request_id;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, Response as Builder, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::io::SeekFrom;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tempfile::TempPath;
use tokio::fs::File;
use tokio::io::{AsyncSeekExt, AsyncWriteExt};
use tokio::sync::Mutex as AsyncMutex;

/// After this an upload that nobody goes on with is forgotten, and its file removed.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(3600);

/// Uploads under way, by repository and id.
#[derive(Default)]
pub(super) struct Uploads(Mutex<HashMap<(String, String), UnderWay>>);

struct UnderWay {
    touched: Instant,
    upload: Arc<AsyncMutex<Upload>>,
}

/// One upload: what has come so far.
struct Upload {
    file: File,
    path: TempPath,
    length: u64,
    digest: Sha256,
}

/// POST: mounts a blob, takes one whole, or begins an upload.
pub(super) async fn begin(
    registry: &Registry,
    repository: &Repository,
    query: &Query,
    body: Body,
) -> Result<Response, Fault> {
    if let (Some(digest), Some(from)) =
        (query.digest("mount")?, query.get("from").and_then(Repository::parse))
        && registry.held(&from, &digest)?.is_some()
    {
        registry.hold(repository, &digest)?;
        return created(repository, &digest);
    }
    let mut upload = Upload::begin(registry)?;
    if let Some(digest) = query.digest("digest")? {
        upload.receive(body).await?;
        upload.keep(registry, repository, &digest)?;
        return created(repository, &digest);
    }
    let id = request_id();
    registry.uploads.insert(repository, &id, upload);
    accepted(StatusCode::ACCEPTED, repository, &id, 0)
}

/// GET: tells how far an upload is.
pub(super) async fn status(
    registry: &Registry,
    repository: &Repository,
    id: &str,
) -> Result<Response, Fault> {
    let upload = registry.uploads.find(repository, id)?;
    let length = upload.lock().await.length;
    accepted(StatusCode::NO_CONTENT, repository, id, length)
}

/// PATCH: takes the next piece.
pub(super) async fn append(
    registry: &Registry,
    repository: &Repository,
    id: &str,
    request: Request,
) -> Result<Response, Fault> {
    let upload = registry.uploads.find(repository, id)?;
    let mut upload = upload.lock().await;
    if let Some(refused) = out_of_order(request.headers(), repository, id, upload.length) {
        return refused;
    }
    upload.receive(request.into_body()).await?;
    accepted(StatusCode::ACCEPTED, repository, id, upload.length)
}

/// PUT: takes the last piece, which may be all or nothing, and compares the digest.
pub(super) async fn finish(
    registry: &Registry,
    repository: &Repository,
    id: &str,
    query: &Query,
    request: Request,
) -> Result<Response, Fault> {
    let upload = registry.uploads.find(repository, id)?;
    let digest = query.digest("digest")?;
    let digest =
        digest.ok_or_else(|| Fault::bad("DIGEST_INVALID", "an upload is ended with the query ?digest="))?;
    let mut upload = upload.lock().await;
    if let Some(refused) = out_of_order(request.headers(), repository, id, upload.length) {
        return refused;
    }
    upload.receive(request.into_body()).await?;
    // Whatever comes of it, nobody can go on with this upload.
    registry.uploads.remove(repository, id);
    upload.keep(registry, repository, &digest)?;
    created(repository, &digest)
}

/// DELETE: drops an upload.
pub(super) async fn cancel(
    registry: &Registry,
    repository: &Repository,
    id: &str,
) -> Result<Response, Fault> {
    registry.uploads.find(repository, id)?;
    registry.uploads.remove(repository, id);
    Ok(StatusCode::NO_CONTENT.into_response())
}

impl Uploads {
    fn insert(&self, repository: &Repository, id: &str, upload: Upload) {
        let mut uploads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        uploads.retain(|_, under_way| under_way.touched.elapsed() < FORGOTTEN_AFTER);
        let upload = Arc::new(AsyncMutex::new(upload));
        uploads.insert(key(repository, id), UnderWay { touched: Instant::now(), upload });
    }

    fn find(&self, repository: &Repository, id: &str) -> Result<Arc<AsyncMutex<Upload>>, Fault> {
        let mut uploads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let under_way = uploads.get_mut(&key(repository, id)).ok_or_else(|| {
            let message = format!("no upload {id} to {} is under way", repository.as_str());
            Fault::missing("BLOB_UPLOAD_UNKNOWN", message)
        })?;
        under_way.touched = Instant::now();
        Ok(Arc::clone(&under_way.upload))
    }

    fn remove(&self, repository: &Repository, id: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&key(repository, id));
    }
}

fn key(repository: &Repository, id: &str) -> (String, String) {
    (repository.as_str().to_owned(), id.to_owned())
}

impl Upload {
    fn begin(registry: &Registry) -> Result<Self, Fault> {
        let (file, path) = tempfile::NamedTempFile::new_in(registry.uploads_folder())?.into_parts();
        Ok(Self { file: File::from_std(file), path, length: 0, digest: Sha256::new() })
    }

    /// Writes a body behind what is there.
    async fn receive(&mut self, mut body: Body) -> Result<(), Fault> {
        // A request that was cut off may have written more than it had time to count.
        self.file.set_len(self.length).await?;
        self.file.seek(SeekFrom::Start(self.length)).await?;
        while let Some(frame) = body.frame().await {
            let broken = |error: axum::Error| {
                Fault::bad("BLOB_UPLOAD_INVALID", format!("the request's body broke off: {error}"))
            };
            let Ok(data) = frame.map_err(broken)?.into_data() else {
                continue;
            };
            self.file.write_all(&data).await?;
            self.digest.update(&data);
            self.length += data.len() as u64;
        }
        Ok(self.file.flush().await?)
    }

    /// Moves what has come to its place if it is what was promised.
    fn keep(&mut self, registry: &Registry, repository: &Repository, wanted: &Digest) -> Result<(), Fault> {
        let found = Digest::finish(std::mem::take(&mut self.digest));
        if found != *wanted {
            let message =
                format!("{wanted} was promised, and the {} bytes that came are {found}", self.length);
            let detail = serde_json::json!({ "expected": wanted.to_string(), "received": found.to_string() });
            return Err(Fault::bad("DIGEST_INVALID", message).detail(detail));
        }
        std::fs::rename(&self.path, registry.blob(wanted))?;
        Ok(registry.hold(repository, wanted)?)
    }
}

/// Refuses a piece that does not begin where the last one ended.
fn out_of_order(
    headers: &HeaderMap,
    repository: &Repository,
    id: &str,
    length: u64,
) -> Option<Result<Response, Fault>> {
    let range = headers.get(header::CONTENT_RANGE)?.to_str().unwrap_or_default();
    // The specification has no unit here; older clients write one.
    let range = range.strip_prefix("bytes ").unwrap_or(range);
    let first = range.split('-').next().and_then(|first| first.trim().parse::<u64>().ok());
    (first != Some(length)).then(|| accepted(StatusCode::RANGE_NOT_SATISFIABLE, repository, id, length))
}

fn accepted(status: StatusCode, repository: &Repository, id: &str, length: u64) -> Result<Response, Fault> {
    let last = length.saturating_sub(1);
    let answer = Builder::builder()
        .status(status)
        .header(header::LOCATION, format!("/v2/{}/blobs/uploads/{id}", repository.as_str()))
        .header(header::RANGE, format!("0-{last}"))
        .header("docker-upload-uuid", id);
    answer.body(Body::empty()).map_err(|error| Fault::bad("UNKNOWN", error.to_string()))
}

fn created(repository: &Repository, digest: &Digest) -> Result<Response, Fault> {
    let answer = Builder::builder()
        .status(StatusCode::CREATED)
        .header(header::LOCATION, format!("/v2/{}/blobs/{digest}", repository.as_str()))
        .header("docker-content-digest", digest.to_string());
    answer.body(Body::empty()).map_err(|error| Fault::bad("UNKNOWN", error.to_string()))
}
