//! Kinesis where the emulator forgets: tags that a stream is made with.
//!
//! In: what no other route answers. Out: the emulator's answer; after a CreateStream that names tags the stream has them,
//! which the emulator alone leaves out. What can go wrong: the tags cannot be added, and the answer is the emulator's refusal.

use super::forward::pass;
use super::refusal::Refusal;
use super::{Shared, accounts};
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

const TARGET: &str = "x-amz-target";
const CREATE: &str = "Kinesis_20131202.CreateStream";
const ADD_TAGS: &str = "Kinesis_20131202.AddTagsToStream";
const LONGEST: usize = 1 << 20;

/// Answers what no other route does.
pub(super) async fn answer(state: Shared, request: Request) -> Response {
    if request.headers().get(TARGET).is_none_or(|target| target != CREATE) {
        return accounts::answer(state, request).await;
    }
    let gateway = state.0;
    let (mut parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, LONGEST).await else {
        return Refusal::content("The request's body broke off or is too long").into_response();
    };
    parts.headers.remove(header::EXPECT);
    let headers = parts.headers.clone();
    let answer = pass(&gateway, Request::from_parts(parts, Body::from(body.clone()))).await;
    // CBOR, which some SDKs speak, is left as it is.
    let Some(tags) = add_tags(&body).filter(|_| answer.status().is_success()) else {
        return answer;
    };
    let bytes = tags.clone();
    let mut tagging = Request::post("/").body(Body::from(tags)).unwrap_or_default();
    *tagging.headers_mut() = headers;
    tagging.headers_mut().insert(TARGET, HeaderValue::from_static(ADD_TAGS));
    tagging.headers_mut().remove(header::CONTENT_LENGTH);
    let (mut parts, tags) = tagging.into_parts();
    // The stream is made, so the client may do this as well; its signature is of another body.
    gateway.accounts.resign(&mut parts, &bytes);
    let tagged = pass(&gateway, Request::from_parts(parts, tags)).await;
    if tagged.status().is_success() { answer } else { tagged }
}

/// Writes the call that adds the tags of a CreateStream; nothing where there are none.
fn add_tags(create: &[u8]) -> Option<Bytes> {
    let asked: Value = serde_json::from_slice(create).ok()?;
    let tags = asked["Tags"].as_object().filter(|tags| !tags.is_empty())?;
    Some(json!({ "StreamName": asked["StreamName"], "Tags": tags }).to_string().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tags_are_added() {
        let added = add_tags(br#"{"StreamName":"s","ShardCount":1,"Tags":{"a":"b"}}"#).unwrap();
        let added: Value = serde_json::from_slice(&added).unwrap();
        assert_eq!(added, json!({ "StreamName": "s", "Tags": { "a": "b" } }));
        assert_eq!(add_tags(br#"{"StreamName":"s","Tags":{}}"#), None);
        assert_eq!(add_tags(br#"{"StreamName":"s"}"#), None);
        assert_eq!(add_tags(b"not JSON"), None);
    }
}
