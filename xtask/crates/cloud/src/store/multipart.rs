//! Uploads a large file in parts.
//!
//! In: a key without an object, a file, its SHA-256. Out: [`Put::Created`], or `None` where the key has to be checked
//! again: somebody else finished first, or the upload that was continued no longer exists. The last request turns the
//! parts into an object. It is sent only after the whole file was read and has the digest, and it never overwrites.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart, ServerSideEncryption,
};
use futures::stream::{FuturesUnordered, StreamExt as _};
use slipway_values::digest::Digest;

use super::body::{counting_body, with_progress};
use super::composite::composite_checksum;
use super::unfinished::UploadedPart;
use super::upload::{Part, PartReader};
use super::{ObjectStore, Put};
use crate::error::{CloudError, CloudErrorKind};
use crate::session::transport::upload_timeouts;

/// The largest number of parts that S3 allows in an object.
const MOST_PARTS: u64 = 10_000;

/// A part that was uploaded.
struct SentPart {
    number: i32,
    sha256: Digest,
    etag: String,
}

impl ObjectStore {
    pub(super) fn part_size(&self, size: u64) -> u64 {
        self.uploads.part_size.max(size.div_ceil(MOST_PARTS)).max(1)
    }

    pub(super) async fn put_multipart(
        &self,
        key: &str,
        path: &Path,
        size: u64,
        digest: Digest,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<Option<Put>, CloudError> {
        let mut reader = self.open(key, path, self.part_size(size)).await?;
        let Some(first) = reader.next_part().await? else {
            // The file is empty now, so it cannot have the digest.
            return reader.finish(size, digest).map(|()| None);
        };
        let (id, uploaded) = match self.unfinished(key, &first).await? {
            Some(found) => found,
            None => (self.start_upload(key).await?, BTreeMap::new()),
        };
        let mut upload = Upload { store: self.clone(), key: key.to_owned(), id, open: true };
        let result = match upload.send_all(reader, first, &uploaded, size, digest, progress).await {
            Ok(sent) => upload.complete(size, sent).await,
            Err(error) if error.code.as_deref() == Some("NoSuchUpload") => Ok(None),
            Err(error) => Err(error),
        };
        match &result {
            // Without a connection the upload cannot be aborted either: the next call continues with these parts.
            Err(error) if matches!(error.kind, CloudErrorKind::Unreachable | CloudErrorKind::TimedOut) => {
                upload.open = false
            }
            Ok(Some(_)) => upload.open = false,
            _ => upload.abort().await,
        }
        result
    }

    async fn start_upload(&self, key: &str) -> Result<String, CloudError> {
        let request = self.shared.s3().create_multipart_upload().bucket(&self.bucket).key(key);
        let request = request.content_type("application/octet-stream");
        let request = request.checksum_algorithm(ChecksumAlgorithm::Sha256);
        let request = request.checksum_type(ChecksumType::Composite);
        let request = match &self.kms_key {
            Some(kms_key) => {
                request.server_side_encryption(ServerSideEncryption::AwsKms).ssekms_key_id(kms_key)
            }
            None => request,
        };
        let subject = self.subject(key);
        let response = self.calls.run("CreateMultipartUpload", &subject, request.send()).await?;
        response.upload_id().map(str::to_owned).ok_or_else(|| {
            let context = self.calls.context("CreateMultipartUpload", &subject);
            CloudError::at(&context, CloudErrorKind::Other, "the response has no upload id")
        })
    }
}

/// A multipart upload. Dropped while it is open, it is aborted in the background.
struct Upload {
    store: ObjectStore,
    key: String,
    id: String,
    open: bool,
}

impl Upload {
    /// Uploads the parts that are missing; returns all parts if the whole file has the digest.
    async fn send_all(
        &self,
        mut reader: PartReader,
        first: Part,
        uploaded: &BTreeMap<i32, UploadedPart>,
        size: u64,
        digest: Digest,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<Vec<SentPart>, CloudError> {
        let done = AtomicU64::new(0);
        let in_flight = Mutex::new(BTreeMap::<i32, Arc<AtomicU64>>::new());
        let so_far = || {
            let parts = in_flight
                .lock()
                .map_or(0, |parts| parts.values().map(|sent| sent.load(Ordering::Relaxed)).sum::<u64>());
            done.load(Ordering::Relaxed) + parts
        };
        let send_all = async {
            let mut first = Some(first);
            let mut sending = FuturesUnordered::new();
            let mut sent = Vec::new();
            let mut number = 0;
            let mut ended = false;
            while !ended || !sending.is_empty() {
                if ended || sending.len() >= self.store.uploads.parallel.max(1) {
                    if let Some(part) = sending.next().await {
                        sent.push(part?);
                    }
                    continue;
                }
                let next = match first.take() {
                    Some(first) => Some(first),
                    None => reader.next_part().await?,
                };
                let Some(part) = next else {
                    ended = true;
                    continue;
                };
                number += 1;
                let length = part.bytes.len() as u64;
                if let Some(etag) = uploaded.get(&number).and_then(|there| there.etag_if_same(&part)) {
                    done.fetch_add(length, Ordering::Relaxed);
                    sent.push(SentPart { number, sha256: part.sha256, etag });
                    continue;
                }
                let counter = Arc::new(AtomicU64::new(0));
                let (done, in_flight) = (&done, &in_flight);
                let insert = |counter| in_flight.lock().map(|mut parts| parts.insert(number, counter));
                let _poisoned = insert(Arc::clone(&counter));
                sending.push(async move {
                    let result = self.send(number, part, &counter).await;
                    if let Ok(mut parts) = in_flight.lock() {
                        parts.remove(&number);
                        done.fetch_add(length, Ordering::Relaxed);
                    }
                    result
                });
            }
            reader.finish(size, digest)?;
            sent.sort_by_key(|part| part.number);
            Ok(sent)
        };
        with_progress(progress, so_far, send_all).await
    }

    async fn send(&self, number: i32, part: Part, counter: &Arc<AtomicU64>) -> Result<SentPart, CloudError> {
        let Self { store, key, id, .. } = self;
        let Part { bytes, sha256 } = part;
        let request = store.shared.s3().upload_part().bucket(&store.bucket).key(key).upload_id(id);
        let request = request.part_number(number).content_length(bytes.len() as i64);
        let request = request.checksum_algorithm(ChecksumAlgorithm::Sha256);
        let request = request.checksum_sha256(sha256.base64()).body(counting_body(bytes, counter));
        let long = aws_sdk_s3::config::Config::builder().timeout_config(upload_timeouts());
        let send = request.customize().config_override(long).send();
        let response = store.calls.run("UploadPart", &store.subject(key), send).await?;
        Ok(SentPart { number, sha256, etag: response.e_tag().unwrap_or_default().to_owned() })
    }

    /// Turns the parts into an object; `None` where the key exists by now.
    async fn complete(&self, size: u64, sent: Vec<SentPart>) -> Result<Option<Put>, CloudError> {
        let Self { store, key, id, .. } = self;
        let checksum = composite_checksum(&sent.iter().map(|part| part.sha256).collect::<Vec<_>>());
        let parts = sent.into_iter().map(|part| {
            let sha256 = part.sha256.base64();
            CompletedPart::builder().part_number(part.number).e_tag(part.etag).checksum_sha256(sha256).build()
        });
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts.collect())).build();
        let request = store.shared.s3().complete_multipart_upload().bucket(&store.bucket).key(key);
        let request = request.upload_id(id).multipart_upload(parts).if_none_match("*");
        let request = request.checksum_sha256(&checksum).mpu_object_size(size as i64);
        let long = aws_sdk_s3::config::Config::builder().timeout_config(upload_timeouts());
        let send = request.customize().config_override(long).send();
        let subject = store.subject(key);
        let response = match store.calls.run("CompleteMultipartUpload", &subject, send).await {
            Ok(response) => response,
            Err(error)
                if matches!(error.kind, CloudErrorKind::PreconditionFailed | CloudErrorKind::Conflict) =>
            {
                return Ok(None);
            }
            Err(error) if matches!(error.code.as_deref(), Some("NoSuchUpload" | "InvalidPart")) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let stored = match response.checksum_sha256() {
            Some(stored) => Some(stored.to_owned()),
            None => store.stored(key).await?.and_then(|stored| stored.composite),
        };
        match stored {
            Some(stored) if stored != checksum => {
                let context = store.calls.context("CompleteMultipartUpload", &subject);
                let message =
                    format!("the store created an object with the checksum {stored}, not {checksum}");
                Err(CloudError::at(&context, CloudErrorKind::Other, message))
            }
            _ => Ok(Some(Put::Created)),
        }
    }

    async fn abort(&mut self) {
        self.open = false;
        let Self { store, key, id, .. } = self;
        let request = store.shared.s3().abort_multipart_upload().bucket(&store.bucket).key(&*key);
        // Where this fails, the bucket's lifecycle rule removes the upload. The observer sees the failure.
        let send = request.upload_id(&*id).send();
        let _best_effort = store.calls.run("AbortMultipartUpload", &store.subject(key), send).await;
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.open
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let mut rest =
                Self { store: self.store.clone(), key: self.key.clone(), id: self.id.clone(), open: false };
            runtime.spawn(async move { rest.abort().await });
        }
    }
}
