//! Request bodies that tell how much of them was sent.
//!
//! In: bytes in memory and a counter. Out: a body for the SDK, which it can send again from the start; the
//! counter then starts again as well. Nothing can go wrong here.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// What is handed to the connection at once.
const SLICE: usize = 128 << 10;
/// How often progress is told.
const TICK: Duration = Duration::from_millis(50);

/// Makes a body that counts in `sent` what was taken from it.
pub(super) fn counted(bytes: Bytes, sent: &Arc<AtomicU64>) -> ByteStream {
    let sent = Arc::clone(sent);
    ByteStream::new(SdkBody::retryable(move || {
        sent.store(0, Ordering::Relaxed);
        SdkBody::from_body_1_x(Counted { rest: bytes.clone(), sent: Arc::clone(&sent) })
    }))
}

/// Waits for a future and tells the progress meanwhile, and once more at its end.
pub(crate) async fn telling<T>(
    progress: &(dyn Fn(u64) + Send + Sync),
    done: impl Fn() -> u64,
    future: impl Future<Output = T>,
) -> T {
    let mut future = std::pin::pin!(future);
    let mut told = None;
    let mut tell = || {
        let now = done();
        if told != Some(now) {
            told = Some(now);
            progress(now);
        }
    };
    let mut tick = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            value = &mut future => {
                tell();
                return value;
            }
            _ = tick.tick() => tell(),
        }
    }
}

struct Counted {
    rest: Bytes,
    sent: Arc<AtomicU64>,
}

impl Body for Counted {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.rest.len().min(SLICE);
        let slice = self.rest.split_to(length);
        self.sent.fetch_add(length as u64, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(slice))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
