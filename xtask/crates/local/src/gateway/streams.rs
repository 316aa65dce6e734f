//! Kinesis's CreateStream with tags, which the emulator ignores.
//!
//! In: the call. Out: the emulator's response, after the gateway has added the tags in a second call. Errors: the tags
//! cannot be added; the response is then the emulator's error.

use super::lambda_error::LambdaError;
use super::upstream::Upstream;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

const TARGET: &str = "x-amz-target";
const CREATE: &str = "Kinesis_20131202.CreateStream";
const ADD_TAGS: &str = "Kinesis_20131202.AddTagsToStream";
/// The longest request, in bytes.
const LONGEST: usize = 1 << 20;

/// Returns whether a request is a CreateStream.
pub(super) fn is_create(request: &Request) -> bool {
    request.headers().get(TARGET).is_some_and(|target| target == CREATE)
}

/// Creates a stream with its tags.
pub(super) async fn create(upstream: &Upstream, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, LONGEST).await else {
        return LambdaError::unreadable_request().into_response();
    };
    parts.headers.remove(header::EXPECT);
    let headers = parts.headers.clone();
    let created = upstream.forward(Request::from_parts(parts, Body::from(body.clone()))).await;
    // The tags of a CBOR request, which some SDKs send, are not added.
    let Some(tags) = add_tags(&body).filter(|_| created.status().is_success()) else {
        return created;
    };
    let bytes = tags.clone();
    let mut tagging = Request::post("/").body(Body::from(tags)).unwrap_or_default();
    *tagging.headers_mut() = headers;
    tagging.headers_mut().insert(TARGET, HeaderValue::from_static(ADD_TAGS));
    tagging.headers_mut().remove(header::CONTENT_LENGTH);
    let (mut parts, tags) = tagging.into_parts();
    // The client's signature covers another body.
    upstream.resign(&mut parts, &bytes);
    let tagged = upstream.forward(Request::from_parts(parts, tags)).await;
    if tagged.status().is_success() { created } else { tagged }
}

/// Returns the body of the call that adds the tags of a CreateStream; `None` if there are no tags.
fn add_tags(create: &[u8]) -> Option<Bytes> {
    let create: Value = serde_json::from_slice(create).ok()?;
    let tags = create["Tags"].as_object().filter(|tags| !tags.is_empty())?;
    Some(json!({ "StreamName": create["StreamName"], "Tags": tags }).to_string().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_added_only_if_there_are_some() {
        let added = add_tags(br#"{"StreamName":"s","ShardCount":1,"Tags":{"a":"b"}}"#).unwrap();
        let added: Value = serde_json::from_slice(&added).unwrap();
        assert_eq!(added, json!({ "StreamName": "s", "Tags": { "a": "b" } }));
        assert_eq!(add_tags(br#"{"StreamName":"s","Tags":{}}"#), None);
        assert_eq!(add_tags(br#"{"StreamName":"s"}"#), None);
        assert_eq!(add_tags(b"not JSON"), None);
    }
}
