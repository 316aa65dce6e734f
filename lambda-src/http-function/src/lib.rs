//! What Lambda functions behind an HTTP API or a function URL have in common.
//!
//! In: events of payload format 2.0, refusals. Out: the request in them, answers in the shape that Lambda turns into HTTP. It knows no route, no key and no storage: those are each function's.

mod error;
mod event;

pub use error::ApiError;
pub use event::{InvalidEvent, RequestLine, Response, known, parse};
