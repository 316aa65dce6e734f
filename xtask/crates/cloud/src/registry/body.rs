//! Bodies that are hashed while they are sent, and break off rather than end wrong.
//!
//! In: a file, bytes in memory or another registry's answer, with the digest and size that they are to have. Out:
//! a body whose last piece leaves only when the whole was found right, so that no registry stores what was not
//! promised. What can go wrong is kept in the [`Watch`]: a file that can't be read or has changed, a registry
//! that broke off or sends other bytes than those asked for.

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

use super::client::Watch;
use crate::error::{CloudError, Kind, Origin};

/// What is read from a file at once.
const PIECE: usize = 256 << 10;
/// How many pieces of a file are read ahead.
const AHEAD: usize = 3;

/// What a body is to be, and what errors call it.
#[derive(Clone)]
pub(super) struct Promise {
    pub(super) digest: Digest,
    pub(super) size: u64,
    /// The file's path, or `host/repository@digest`.
    pub(super) subject: String,
    pub(super) host: String,
}

/// Opens a file and makes a body of it; reading goes ahead on a thread of its own.
pub(super) async fn of_file(
    path: &Path,
    promise: Promise,
    watch: &Arc<Watch>,
) -> Result<SdkBody, CloudError> {
    let failed = |error: &std::io::Error| CloudError::file(&promise.origin(), path, error);
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
    if size != promise.size {
        let message = format!("it has {size} bytes instead of {}", promise.size);
        return Err(failed(&std::io::Error::other(message)));
    }
    let (sender, receiver) = mpsc::channel(AHEAD);
    let path = path.to_owned();
    let broken = promise.clone();
    tokio::task::spawn_blocking(move || {
        loop {
            let mut piece = Vec::with_capacity(PIECE);
            match file.by_ref().take(PIECE as u64).read_to_end(&mut piece) {
                Ok(0) => return,
                Ok(_) => {
                    // Nobody listens where the connection broke.
                    if sender.blocking_send(Ok(Bytes::from(piece))).is_err() {
                        return;
                    }
                }
                Err(error) => {
                    let error = CloudError::file(&broken.origin(), &path, &error);
                    let _nobody = sender.blocking_send(Err(error));
                    return;
                }
            }
        }
    });
    Ok(verified(Pieces::File(receiver), promise, watch))
}

/// Makes a body of what another registry is sending.
pub(super) fn of_answer(answer: SdkBody, promise: Promise, watch: &Arc<Watch>) -> SdkBody {
    verified(Pieces::Answer(answer), promise, watch)
}

/// Makes a body of bytes in memory.
pub(super) fn of_bytes(bytes: Bytes, promise: Promise, watch: &Arc<Watch>) -> SdkBody {
    verified(Pieces::Memory(bytes), promise, watch)
}

impl Promise {
    fn origin(&self) -> Origin<'_> {
        Origin { service: "registry", operation: "PutBlob", subject: &self.subject, endpoint: &self.host }
    }
}

enum Pieces {
    File(mpsc::Receiver<Result<Bytes, CloudError>>),
    Answer(SdkBody),
    Memory(Bytes),
}

struct Verified {
    pieces: Pieces,
    promise: Promise,
    hasher: Sha256,
    read: u64,
    watch: Arc<Watch>,
}

fn verified(pieces: Pieces, promise: Promise, watch: &Arc<Watch>) -> SdkBody {
    watch.set(0);
    SdkBody::from_body_1_x(Verified {
        pieces,
        promise,
        hasher: Sha256::new(),
        read: 0,
        watch: Arc::clone(watch),
    })
}

impl Verified {
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, CloudError>>> {
        match &mut self.pieces {
            Pieces::File(receiver) => receiver.poll_recv(context),
            Pieces::Memory(bytes) if bytes.is_empty() => Poll::Ready(None),
            Pieces::Memory(bytes) => Poll::Ready(Some(Ok(bytes.split_to(bytes.len().min(PIECE))))),
            Pieces::Answer(answer) => loop {
                let frame = std::task::ready!(Pin::new(&mut *answer).poll_frame(context));
                return Poll::Ready(match frame {
                    None => None,
                    Some(Err(error)) => Some(Err(CloudError::body(&self.promise.origin(), error.as_ref()))),
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(bytes) if bytes.is_empty() => continue,
                        Ok(bytes) => Some(Ok(bytes)),
                        Err(_) => None,
                    },
                });
            },
        }
    }

    /// Takes a piece into account; the last one is let through only where the whole is right.
    fn check(&mut self, piece: Option<Bytes>) -> Result<Option<Bytes>, CloudError> {
        let Promise { digest, size, .. } = self.promise;
        let Some(piece) = piece else {
            if self.read == size {
                return Ok(None);
            }
            let message = format!(
                "`{}` ended after {} of {size} bytes (registry {})",
                self.promise.subject, self.read, self.promise.host
            );
            // An answer that ends early is a lost connection; a file that does has changed.
            let kind = match self.pieces {
                Pieces::Answer(_) => Kind::Unreachable,
                Pieces::File(_) | Pieces::Memory(_) => Kind::File,
            };
            return Err(CloudError::at(&self.promise.origin(), kind, message));
        };
        self.hasher.update(&piece);
        self.read += piece.len() as u64;
        if self.read >= size {
            let got = std::mem::take(&mut self.hasher).into();
            if self.read > size || digest != got {
                return Err(CloudError::wrong_bytes(&self.promise.origin(), digest, got));
            }
        }
        Ok(Some(piece))
    }
}

impl Body for Verified {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let piece = std::task::ready!(self.poll_piece(context)).transpose();
        Poll::Ready(match piece.and_then(|piece| self.check(piece)) {
            Ok(None) => None,
            Ok(Some(piece)) => {
                self.watch.set(self.read);
                Some(Ok(Frame::data(piece)))
            }
            Err(error) => {
                let broken = std::io::Error::other(error.to_string());
                self.watch.break_off(error);
                Some(Err(broken))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.promise.size == 0 || self.read == self.promise.size
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.promise.size.saturating_sub(self.read))
    }
}
