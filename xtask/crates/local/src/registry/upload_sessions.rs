//! Unfinished uploads: what was received so far.

use super::error::RegistryError;
use super::name::Repository;
use axum::body::Body;
use http_body_util::BodyExt;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::io::SeekFrom;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tempfile::TempPath;
use tokio::fs::File;
use tokio::io::{AsyncSeekExt, AsyncWriteExt};
use tokio::sync::Mutex as AsyncMutex;

/// An upload that gets no request for this long is dropped, and its file removed.
const DROPPED_AFTER: Duration = Duration::from_secs(3600);

/// Unfinished uploads, by repository and id.
#[derive(Default)]
pub(super) struct UploadSessions(Mutex<HashMap<(String, String), Session>>);

struct Session {
    last_request: Instant,
    upload: Arc<AsyncMutex<Upload>>,
}

/// The bytes of one upload so far. They are hashed while they are written and never held in memory.
pub(super) struct Upload {
    file: File,
    pub(super) path: TempPath,
    /// In bytes.
    pub(super) length: u64,
    pub(super) digest: Sha256,
}

impl UploadSessions {
    pub(super) fn insert(&self, repository: &Repository, id: &str, upload: Upload) {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|_, session| session.last_request.elapsed() < DROPPED_AFTER);
        let upload = Arc::new(AsyncMutex::new(upload));
        sessions.insert(key(repository, id), Session { last_request: Instant::now(), upload });
    }

    pub(super) fn find(
        &self,
        repository: &Repository,
        id: &str,
    ) -> Result<Arc<AsyncMutex<Upload>>, RegistryError> {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let session = sessions.get_mut(&key(repository, id)).ok_or_else(|| {
            let message = format!("the repository {} has no upload {id}", repository.as_str());
            RegistryError::not_found("BLOB_UPLOAD_UNKNOWN", message)
        })?;
        session.last_request = Instant::now();
        Ok(Arc::clone(&session.upload))
    }

    pub(super) fn remove(&self, repository: &Repository, id: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&key(repository, id));
    }
}

fn key(repository: &Repository, id: &str) -> (String, String) {
    (repository.as_str().to_owned(), id.to_owned())
}

impl Upload {
    pub(super) fn begin(folder: &Path) -> Result<Self, RegistryError> {
        let (file, path) = tempfile::NamedTempFile::new_in(folder)?.into_parts();
        Ok(Self { file: File::from_std(file), path, length: 0, digest: Sha256::new() })
    }

    /// Appends a body.
    pub(super) async fn receive(&mut self, mut body: Body) -> Result<(), RegistryError> {
        // A request that was cut off may have written bytes that it did not count.
        self.file.set_len(self.length).await?;
        self.file.seek(SeekFrom::Start(self.length)).await?;
        while let Some(frame) = body.frame().await {
            let broken = |error: axum::Error| {
                let message = format!("the request's body is incomplete: {error}");
                RegistryError::bad_request("BLOB_UPLOAD_INVALID", message)
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
}
