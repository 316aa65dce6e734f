//! Sending a large file in parts.
//!
//! In: a key that is free, a file, its SHA-256. Out: [`Put::Created`], or `None` where the upload has to be
//! looked at again: somebody else finished first, or the upload we went on with is gone. The parts become an
//! object in one last request, which is sent after the whole file was read and its digest found right, and
//! which refuses to overwrite.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart, ServerSideEncryption,
};
use futures::stream::{FuturesUnordered, StreamExt as _};
use slipway_values::digest::Digest;

use super::body::{counted, telling};
use super::unfinished::Kept;
use super::upload::{Part, PartReader};
use super::{ObjectStore, Put};
use crate::error::{CloudError, Kind};
use crate::session::transport::upload_timeouts;
use crate::sha256;

/// S3 allows so many parts in an object.
const MOST_PARTS: u64 = 10_000;

/// A part that is in the store.
struct Sent {
    number: i32,
    sha256: Digest,
    etag: String,
}

impl ObjectStore {
    pub(super) fn part_size(&self, size: u64) -> u64 {
        self.uploads.part_size.max(size.div_ceil(MOST_PARTS)).max(1)
    }

    pub(super) async fn put_in_parts(
        &self,
        key: &str,
        path: &Path,
        size: u64,
        digest: Digest,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<Option<Put>, CloudError> {
        let mut reader = self.open(key, path, self.part_size(size)).await?;
        let Some(first) = reader.next_part().await? else {
            // It became empty; the digest can't be right.
            return reader.finish(size, digest).map(|()| None);
        };
        let (id, kept) = match self.unfinished(key, &first).await? {
            Some(found) => found,
            None => (self.begin(key).await?, BTreeMap::new()),
        };
        let mut upload = Upload { store: self.clone(), key: key.to_owned(), id, open: true };
        let result = match upload.send_all(reader, first, &kept, size, digest, progress).await {
            Ok(sent) => upload.complete(size, sent).await,
            Err(error) if error.code.as_deref() == Some("NoSuchUpload") => Ok(None),
            Err(error) => Err(error),
        };
        match &result {
            // Without a connection there is no aborting either: the next call goes on with these parts.
            Err(error) if matches!(error.kind, Kind::Unreachable | Kind::TimedOut) => upload.open = false,
            Ok(Some(_)) => upload.open = false,
            _ => upload.abort().await,
        }
        result
    }

    async fn begin(&self, key: &str) -> Result<String, CloudError> {
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
        let answer = self.calls.run("CreateMultipartUpload", &subject, request.send()).await?;
        answer.upload_id().map(str::to_owned).ok_or_else(|| {
            let origin = self.calls.origin("CreateMultipartUpload", &subject);
            CloudError::at(&origin, Kind::Other, "the answer names no upload")
        })
    }
}

/// One unfinished upload. Dropping it while it is open has it aborted in the background.
struct Upload {
    store: ObjectStore,
    key: String,
    id: String,
    open: bool,
}

impl Upload {
    /// Sends what is not there yet; gives all parts once the whole file was found to be right.
    async fn send_all(
        &self,
        mut reader: PartReader,
        first: Part,
        kept: &BTreeMap<i32, Kept>,
        size: u64,
        digest: Digest,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<Vec<Sent>, CloudError> {
        let done = AtomicU64::new(0);
        let under_way = Mutex::new(BTreeMap::<i32, Arc<AtomicU64>>::new());
        let so_far = || {
            let parts = under_way
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
                if let Some(etag) = kept.get(&number).and_then(|kept| kept.if_it_is(&part)) {
                    done.fetch_add(length, Ordering::Relaxed);
                    sent.push(Sent { number, sha256: part.sha256, etag });
                    continue;
                }
                let counter = Arc::new(AtomicU64::new(0));
                let (done, under_way) = (&done, &under_way);
                let insert = |counter| under_way.lock().map(|mut parts| parts.insert(number, counter));
                let _poisoned = insert(Arc::clone(&counter));
                sending.push(async move {
                    let result = self.send(number, part, &counter).await;
                    if let Ok(mut parts) = under_way.lock() {
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
        telling(progress, so_far, send_all).await
    }

    async fn send(&self, number: i32, part: Part, counter: &Arc<AtomicU64>) -> Result<Sent, CloudError> {
        let Self { store, key, id, .. } = self;
        let Part { bytes, sha256 } = part;
        let request = store.shared.s3().upload_part().bucket(&store.bucket).key(key).upload_id(id);
        let request = request.part_number(number).content_length(bytes.len() as i64);
        let request = request.checksum_algorithm(ChecksumAlgorithm::Sha256);
        let request = request.checksum_sha256(sha256.base64()).body(counted(bytes, counter));
        let long = aws_sdk_s3::config::Config::builder().timeout_config(upload_timeouts());
        let send = request.customize().config_override(long).send();
        let answer = store.calls.run("UploadPart", &store.subject(key), send).await?;
        Ok(Sent { number, sha256, etag: answer.e_tag().unwrap_or_default().to_owned() })
    }

    /// Makes the object of the parts, unless the key was taken meanwhile.
    async fn complete(&self, size: u64, sent: Vec<Sent>) -> Result<Option<Put>, CloudError> {
        let Self { store, key, id, .. } = self;
        let checksum = sha256::composite(&sent.iter().map(|part| part.sha256).collect::<Vec<_>>());
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
        let answer = match store.calls.run("CompleteMultipartUpload", &subject, send).await {
            Ok(answer) => answer,
            Err(error) if matches!(error.kind, Kind::PreconditionFailed | Kind::Conflict) => return Ok(None),
            Err(error) if matches!(error.code.as_deref(), Some("NoSuchUpload" | "InvalidPart")) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let stored = match answer.checksum_sha256() {
            Some(stored) => Some(stored.to_owned()),
            None => store.stored(key).await?.and_then(|stored| stored.composite),
        };
        match stored {
            Some(stored) if stored != checksum => {
                let origin = store.calls.origin("CompleteMultipartUpload", &subject);
                let message = format!("the store made an object with the checksum {stored}, not {checksum}");
                Err(CloudError::at(&origin, Kind::Other, message))
            }
            _ => Ok(Some(Put::Created)),
        }
    }

    async fn abort(&mut self) {
        self.open = false;
        let Self { store, key, id, .. } = self;
        let request = store.shared.s3().abort_multipart_upload().bucket(&store.bucket).key(&*key);
        // It may be gone already; if not, the lifecycle rule clears it away. The observer sees it.
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
