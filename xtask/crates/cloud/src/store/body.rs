//! Request bodies that count the bytes sent.
//!
//! In: bytes in memory and a counter. Out: a body for the SDK. A retry sends the body from the start, and the counter
//! starts at 0 again. There are no errors.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// The size in bytes of one frame of a body.
const FRAME: usize = 128 << 10;
/// How often progress is reported.
const REPORT_INTERVAL: Duration = Duration::from_millis(50);

/// Returns a body that counts in `sent` the bytes taken from it.
pub(super) fn counting_body(bytes: Bytes, sent: &Arc<AtomicU64>) -> ByteStream {
    let sent = Arc::clone(sent);
    ByteStream::new(SdkBody::retryable(move || {
        sent.store(0, Ordering::Relaxed);
        SdkBody::from_body_1_x(CountingBody { rest: bytes.clone(), sent: Arc::clone(&sent) })
    }))
}

/// Awaits a future and reports its progress meanwhile, and once more at its end.
pub(crate) async fn with_progress<T>(
    progress: &(dyn Fn(u64) + Send + Sync),
    done: impl Fn() -> u64,
    future: impl Future<Output = T>,
) -> T {
    let mut future = std::pin::pin!(future);
    let mut reported = None;
    let mut report = || {
        let now = done();
        if reported != Some(now) {
            reported = Some(now);
            progress(now);
        }
    };
    let mut tick = tokio::time::interval(REPORT_INTERVAL);
    loop {
        tokio::select! {
            value = &mut future => {
                report();
                return value;
            }
            _ = tick.tick() => report(),
        }
    }
}

struct CountingBody {
    rest: Bytes,
    sent: Arc<AtomicU64>,
}

impl Body for CountingBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.rest.len().min(FRAME);
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
