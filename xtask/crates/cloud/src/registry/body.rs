//! Request bodies that are hashed while they are sent, and fail before their end if the content is wrong.
//!
//! In: a file, bytes in memory or another registry's response, with the expected digest and size. Out: a body whose last
//! chunk is sent only if the whole content has them, so that no registry stores other bytes. Errors are recorded in the
//! [`BodyMonitor`]: a file that cannot be read or has changed, a registry that cuts off or sends other bytes.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use sha2::{Digest as _, Sha256};
use slipway_values::digest::Digest;
use tokio::sync::mpsc;

use super::client::BodyMonitor;
use crate::error::{CallContext, CloudError, CloudErrorKind};

/// The size in bytes of a chunk that is read from a file.
const CHUNK: usize = 256 << 10;
/// The number of chunks that are read ahead.
const READ_AHEAD: usize = 3;

/// The expected content of a body, and its name in errors.
#[derive(Clone)]
pub(super) struct ExpectedContent {
    pub(super) digest: Digest,
    pub(super) size: u64,
    /// The file's path, or `host/repository@digest`.
    pub(super) subject: String,
    pub(super) host: String,
}

/// Opens a file and returns it as a body; a separate thread reads ahead.
pub(super) async fn from_file(
    path: &Path,
    expected: ExpectedContent,
    monitor: &Arc<BodyMonitor>,
) -> Result<SdkBody, CloudError> {
    let failed = |error: &std::io::Error| CloudError::file(&expected.context(), path, error);
    let opened = {
        let path = path.to_owned();
        tokio::task::spawn_blocking(move || {
            let file = File::open(path)?;
            let size = file.metadata()?.len();
            Ok((file, size))
        })
    };
    let opened = opened.await.map_err(std::io::Error::other).and_then(|opened: std::io::Result<_>| opened);
    let (mut file, size) = opened.map_err(|error| failed(&error))?;
    if size != expected.size {
        let message = format!("it has {size} bytes instead of {}", expected.size);
        return Err(failed(&std::io::Error::other(message)));
    }
    let (sender, receiver) = mpsc::channel(READ_AHEAD);
    let path = path.to_owned();
    let failed_content = expected.clone();
    tokio::task::spawn_blocking(move || {
        loop {
            let mut chunk = Vec::with_capacity(CHUNK);
            match file.by_ref().take(CHUNK as u64).read_to_end(&mut chunk) {
                Ok(0) => return,
                Ok(_) => {
                    // The receiver is gone where the connection was lost.
                    if sender.blocking_send(Ok(Bytes::from(chunk))).is_err() {
                        return;
                    }
                }
                Err(error) => {
                    let error = CloudError::file(&failed_content.context(), &path, &error);
                    let _receiver_gone = sender.blocking_send(Err(error));
                    return;
                }
            }
        }
    });
    Ok(verifying(ChunkSource::File(receiver), expected, monitor))
}

/// Returns the body of another registry's response as a request body.
pub(super) fn from_response(
    response: SdkBody,
    expected: ExpectedContent,
    monitor: &Arc<BodyMonitor>,
) -> SdkBody {
    verifying(ChunkSource::Response(response), expected, monitor)
}

/// Returns bytes in memory as a body.
pub(super) fn from_bytes(bytes: Bytes, expected: ExpectedContent, monitor: &Arc<BodyMonitor>) -> SdkBody {
    verifying(ChunkSource::Memory(bytes), expected, monitor)
}

impl ExpectedContent {
    fn context(&self) -> CallContext<'_> {
        CallContext {
            service: "registry",
            operation: "PutBlob",
            subject: &self.subject,
            endpoint: &self.host,
        }
    }
}

enum ChunkSource {
    File(mpsc::Receiver<Result<Bytes, CloudError>>),
    Response(SdkBody),
    Memory(Bytes),
}

struct VerifyingBody {
    chunks: ChunkSource,
    expected: ExpectedContent,
    hasher: Sha256,
    read: u64,
    monitor: Arc<BodyMonitor>,
}

fn verifying(chunks: ChunkSource, expected: ExpectedContent, monitor: &Arc<BodyMonitor>) -> SdkBody {
    monitor.set_sent(0);
    SdkBody::from_body_1_x(VerifyingBody {
        chunks,
        expected,
        hasher: Sha256::new(),
        read: 0,
        monitor: Arc::clone(monitor),
    })
}

impl VerifyingBody {
    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, CloudError>>> {
        match &mut self.chunks {
            ChunkSource::File(receiver) => receiver.poll_recv(context),
            ChunkSource::Memory(bytes) if bytes.is_empty() => Poll::Ready(None),
            ChunkSource::Memory(bytes) => Poll::Ready(Some(Ok(bytes.split_to(bytes.len().min(CHUNK))))),
            ChunkSource::Response(response) => loop {
                let frame = std::task::ready!(Pin::new(&mut *response).poll_frame(context));
                return Poll::Ready(match frame {
                    None => None,
                    Some(Err(error)) => Some(Err(CloudError::body(&self.expected.context(), error.as_ref()))),
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(bytes) if bytes.is_empty() => continue,
                        Ok(bytes) => Some(Ok(bytes)),
                        Err(_) => None,
                    },
                });
            },
        }
    }

    /// Hashes a chunk and returns it; the last one only if the whole content is the expected one.
    fn check(&mut self, chunk: Option<Bytes>) -> Result<Option<Bytes>, CloudError> {
        let ExpectedContent { digest, size, .. } = self.expected;
        let Some(chunk) = chunk else {
            if self.read == size {
                return Ok(None);
            }
            let message = format!(
                "`{}` ended after {} of {size} bytes (registry {})",
                self.expected.subject, self.read, self.expected.host
            );
            // A response that ends early is a lost connection; a file that does has changed.
            let kind = match self.chunks {
                ChunkSource::Response(_) => CloudErrorKind::Unreachable,
                ChunkSource::File(_) | ChunkSource::Memory(_) => CloudErrorKind::File,
            };
            return Err(CloudError::at(&self.expected.context(), kind, message));
        };
        self.hasher.update(&chunk);
        self.read += chunk.len() as u64;
        if self.read >= size {
            let got = std::mem::take(&mut self.hasher).into();
            if self.read > size || digest != got {
                return Err(CloudError::wrong_bytes(&self.expected.context(), digest, got));
            }
        }
        Ok(Some(chunk))
    }
}

impl Body for VerifyingBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let chunk = std::task::ready!(self.poll_chunk(context)).transpose();
        Poll::Ready(match chunk.and_then(|chunk| self.check(chunk)) {
            Ok(None) => None,
            Ok(Some(chunk)) => {
                self.monitor.set_sent(self.read);
                Some(Ok(Frame::data(chunk)))
            }
            Err(error) => {
                let failed_content = std::io::Error::other(error.to_string());
                self.monitor.record_failure(error);
                Some(Err(failed_content))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.expected.size == 0 || self.read == self.expected.size
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.expected.size.saturating_sub(self.read))
    }
}
