//! S3 where the emulator is not as strict as S3.
//!
//! In: a request for S3. Out: the emulator's answer, with these differences: writes of one object, and of a bucket as a
//! whole, come one after the other, so that a condition (`If-None-Match`, `If-Match`) still holds when the object is
//! written; a body that is not what its SHA-256 says is refused and never written; ListParts answers as documented.
//! What can go wrong is answered as S3's errors.

use super::forward::{pass, to_the_end};
use super::refusal::chain;
use super::scope::Scope;
use super::spool::{SpoolError, Spooled, spool};
use super::unreachable::xml;
use super::{Gateway, Shared};
use crate::http;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::sync::Arc;

/// A list of parts has 1,000 of them at most.
const LONGEST_LIST: usize = 8 << 20;
const CHECKSUM: &str = "x-amz-checksum-sha256";
/// The payload's digest in the signature, in hexadecimal, or one of several words.
const CONTENT: &str = "x-amz-content-sha256";

/// What a request does to S3.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Action {
    /// Reads, or nothing that is known here.
    Other,
    ListParts,
    /// Sends a part of an object that is not there yet; parts don't exclude each other.
    Part,
    /// Writes or deletes one object.
    Object {
        bucket: String,
        key: String,
        digest: bool,
    },
    /// Changes a bucket, or many objects at once.
    Bucket {
        bucket: String,
    },
}

/// Answers what no other route does; S3 is among it.
pub(super) async fn answer(State(gateway): Shared, request: Request) -> Response {
    match action(request.method(), request.uri(), request.headers()) {
        Action::Other => pass(&gateway, request).await,
        Action::ListParts => list_parts(&gateway, request).await,
        // A part that promises nothing is not looked at.
        Action::Part if promise(request.headers(), true).is_ok_and(|promise| promise.is_none()) => {
            pass(&gateway, request).await
        }
        action => write(gateway, request, action).await.unwrap_or_else(IntoResponse::into_response),
    }
}

/// A refusal of ours: status, code, message.
struct Refused(StatusCode, &'static str, String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let Self(status, code, message) = self;
        let headers = [(header::CONTENT_TYPE, "application/xml")];
        (status, headers, xml(code, &message)).into_response()
    }
}

impl From<SpoolError> for Refused {
    fn from(error: SpoolError) -> Self {
        match error {
            SpoolError::Client(_) => Self(StatusCode::BAD_REQUEST, "IncompleteBody", chain(&error)),
            SpoolError::File(_) => Self(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", chain(&error)),
        }
    }
}

fn action(method: &Method, uri: &axum::http::Uri, headers: &HeaderMap) -> Action {
    let for_s3 = match Scope::of(headers, uri) {
        Some(scope) => scope.service == "s3",
        // The emulator takes what is not signed for S3's as well, but for its own pages and calls that say otherwise.
        None => !headers.contains_key("x-amz-target") && !uri.path().starts_with("/moto-api"),
    };
    if !for_s3 {
        return Action::Other;
    }
    let pairs = http::query_pairs(uri.query().unwrap_or_default());
    let asks = |wanted: &str| pairs.iter().any(|(name, _)| name == wanted);
    let (bucket, key) = place(uri.path(), headers);
    match (method, key) {
        (_, _) if bucket.is_empty() => Action::Other,
        (&Method::GET, Some(_)) if asks("uploadId") => Action::ListParts,
        (&Method::PUT, Some(_)) if asks("partNumber") => Action::Part,
        // Beginning or dropping an upload changes no object, nor does asking for a part of it.
        (&Method::POST, Some(_)) if asks("uploads") || asks("select") => Action::Other,
        (&Method::DELETE, Some(_)) if asks("uploadId") => Action::Other,
        (&Method::PUT | &Method::POST | &Method::DELETE, Some(key)) => Action::Object {
            bucket,
            key,
            // Completing an upload carries the checksum of checksums, not that of the list it sends.
            digest: !asks("uploadId"),
        },
        (&Method::PUT | &Method::POST | &Method::DELETE, None) => Action::Bucket { bucket },
        _ => Action::Other,
    }
}

/// Finds bucket and key in `/bucket/key`, or in a virtual host and `/key`.
fn place(path: &str, headers: &HeaderMap) -> (String, Option<String>) {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let within = [".s3.", ".s3-", ".localhost"]
        .iter()
        .find_map(|mark| name.find(mark).map(|at| &name[..at]))
        .filter(|bucket| *bucket != "s3");
    let path = path.strip_prefix('/').unwrap_or(path);
    let (bucket, key) = match within {
        Some(bucket) => (bucket, path),
        None => path.split_once('/').unwrap_or((path, "")),
    };
    let key = http::query_pairs(&format!("key={}", key.replace('&', "%26")))
        .pop()
        .map(|(_, key)| key)
        .filter(|key| !key.is_empty());
    (bucket.to_owned(), key)
}

/// Receives the body, compares it with what was promised, waits for its turn and passes it on.
async fn write(gateway: Arc<Gateway>, request: Request, action: Action) -> Result<Response, Refused> {
    let (mut parts, body) = request.into_parts();
    // A client that is still sending does not hear a refusal.
    let spooled = spool(body, &gateway.config.work_folder).await?;
    let has_digest = !matches!(&action, Action::Object { digest: false, .. });
    if let Some(promised) = promise(&parts.headers, has_digest)? {
        promised.compare(&spooled)?;
    }
    announce(&mut parts, &spooled);
    let request = Request::from_parts(parts, spooled.into_body());
    let work = async move {
        let _held = match &action {
            Action::Object { bucket, key, .. } => Some(gateway.objects.hold_within(bucket, key).await),
            Action::Bucket { bucket } => Some(gateway.objects.hold(bucket).await),
            Action::Other | Action::ListParts | Action::Part => None,
        };
        pass(&gateway, request).await
    };
    Ok(to_the_end(work).await)
}

/// The body is here: its length is known, and nobody has to be told to go on.
fn announce(parts: &mut Parts, spooled: &Spooled) {
    parts.headers.remove(header::EXPECT);
    let has_body = spooled.length > 0 || parts.headers.contains_key(header::CONTENT_LENGTH);
    if has_body {
        let length = HeaderValue::from(spooled.length);
        parts.headers.insert(header::CONTENT_LENGTH, length);
    }
}

/// The digests that a body must have.
struct Promise {
    checksum: Option<[u8; 32]>,
    content: Option<[u8; 32]>,
}

/// Reads what a request promises of its body; nothing where chunks with signatures of their own wrap it.
fn promise(headers: &HeaderMap, checksum: bool) -> Result<Option<Promise>, Refused> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let wrapped = text("content-encoding").is_some_and(|encoding| encoding.contains("aws-chunked"))
        || text(CONTENT).is_some_and(|content| content.starts_with("STREAMING-"));
    if wrapped {
        return Ok(None);
    }
    let checksum = match text(CHECKSUM).filter(|_| checksum) {
        Some(value) => {
            let decoded = BASE64_STANDARD.decode(value).ok();
            let digest = decoded.and_then(|bytes| bytes.try_into().ok());
            Some(digest.ok_or_else(|| {
                let message = format!("Value for {CHECKSUM} header is invalid.");
                Refused(StatusCode::BAD_REQUEST, "InvalidRequest", message)
            })?)
        }
        None => None,
    };
    let mut content = [0; 32];
    let content =
        text(CONTENT).filter(|value| hex::decode_to_slice(value, &mut content).is_ok()).map(|_| content);
    Ok((checksum.is_some() || content.is_some()).then_some(Promise { checksum, content }))
}

impl Promise {
    fn compare(&self, spooled: &Spooled) -> Result<(), Refused> {
        if self.content.is_some_and(|content| content != spooled.sha256) {
            let message = format!("The provided '{CONTENT}' header does not match what was computed.");
            return Err(Refused(StatusCode::BAD_REQUEST, "XAmzContentSHA256Mismatch", message));
        }
        if self.checksum.is_some_and(|checksum| checksum != spooled.sha256) {
            let message = "The SHA256 you specified did not match the calculated checksum.".to_owned();
            return Err(Refused(StatusCode::BAD_REQUEST, "BadDigest", message));
        }
        Ok(())
    }
}

/// The emulator calls the answer `ListPartsResponse`, and clients find nothing in that.
async fn list_parts(gateway: &Gateway, request: Request) -> Response {
    let (mut parts, body) = pass(gateway, request).await.into_parts();
    let Ok(body) = axum::body::to_bytes(body, LONGEST_LIST).await else {
        let message = "the emulator's list of parts broke off".to_owned();
        return Refused(StatusCode::BAD_GATEWAY, "InternalError", message).into_response();
    };
    let body = match std::str::from_utf8(&body) {
        Ok(text) => Body::from(
            text.replace("<ListPartsResponse", "<ListPartsResult")
                .replace("</ListPartsResponse>", "</ListPartsResult>"),
        ),
        Err(_) => Body::from(body),
    };
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(host: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::HOST, HeaderValue::from_static(host))])
    }

    #[test]
    fn an_object_is_one_however_it_is_addressed() {
        let expected = ("store".to_owned(), Some("a/b c".to_owned()));
        for (host, path) in [
            ("127.0.0.1:5000", "/store/a/b%20c"),
            ("localhost:5000", "/store/a/b+c"),
            ("s3.eu-central-1.amazonaws.com", "/store/a/b%20c"),
            ("store.s3.eu-central-1.amazonaws.com", "/a/b%20c"),
            ("store.s3-eu-west-1.amazonaws.com", "/a/b%20c"),
            ("store.localhost:5000", "/a/b%20c"),
            ("store.s3.localhost:5000", "/a/b%20c"),
        ] {
            assert_eq!(place(path, &headers(host)), expected, "{host}{path}");
        }
        let host = headers("127.0.0.1:5000");
        for path in ["/store", "/store/"] {
            assert_eq!(place(path, &host), ("store".to_owned(), None));
        }
        assert_eq!(place("/b/x&y=z", &host).1.as_deref(), Some("x&y=z"));
        assert_eq!(place("/", &host), (String::new(), None));
    }

    #[test]
    fn writes_of_one_object_are_known_by_method_and_query() {
        let object = |digest| Action::Object { bucket: "b".to_owned(), key: "k".to_owned(), digest };
        let bucket = || Action::Bucket { bucket: "b".to_owned() };
        let mut headers = headers("127.0.0.1:1");
        let cases = [
            (Method::PUT, "/b/k", object(true)),
            (Method::PUT, "/b/k?tagging", object(true)),
            (Method::DELETE, "/b/k?versionId=1", object(true)),
            (Method::POST, "/b/k?uploadId=u", object(false)),
            (Method::PUT, "/b/k?partNumber=1&uploadId=u", Action::Part),
            (Method::POST, "/b/k?uploads", Action::Other),
            (Method::POST, "/b/k?select&select-type=2", Action::Other),
            (Method::DELETE, "/b/k?uploadId=u", Action::Other),
            (Method::GET, "/b/k?uploadId=u", Action::ListParts),
            (Method::GET, "/b/k", Action::Other),
            (Method::HEAD, "/b/k", Action::Other),
            (Method::POST, "/b?delete", bucket()),
            (Method::PUT, "/b", bucket()),
            (Method::GET, "/b?uploads", Action::Other),
            (Method::POST, "/", Action::Other),
        ];
        let signed = |service: &str| {
            let scope = format!("AWS4-HMAC-SHA256 Credential=K/20260101/eu-central-1/{service}/aws4_request");
            scope.parse::<HeaderValue>().unwrap()
        };
        for (method, uri, expected) in cases {
            headers.remove(header::AUTHORIZATION);
            assert_eq!(action(&method, &uri.parse().unwrap(), &headers), expected, "{uri}");
            headers.insert(header::AUTHORIZATION, signed("s3"));
            assert_eq!(action(&method, &uri.parse().unwrap(), &headers), expected, "{uri}");
            headers.insert(header::AUTHORIZATION, signed("apigateway"));
            assert_eq!(action(&method, &uri.parse().unwrap(), &headers), Action::Other);
        }
        let reset = "/moto-api/reset".parse().unwrap();
        assert_eq!(action(&Method::POST, &reset, &HeaderMap::new()), Action::Other);
    }

    #[test]
    fn chunks_with_signatures_promise_nothing_of_the_body_as_it_travels() {
        let with = |pairs: &[(&'static str, &'static str)]| {
            let pairs = pairs.iter().map(|(name, value)| {
                (axum::http::HeaderName::from_static(name), HeaderValue::from_static(value))
            });
            promise(&HeaderMap::from_iter(pairs), true)
        };
        let empty = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        let plain = with(&[(CHECKSUM, empty), (CONTENT, "UNSIGNED-PAYLOAD")]);
        assert!(plain.is_ok_and(|promise| promise.is_some_and(|promise| promise.content.is_none())));
        for wrapped in
            [(CONTENT, "STREAMING-UNSIGNED-PAYLOAD-TRAILER"), ("content-encoding", "aws-chunked,gzip")]
        {
            assert!(with(&[(CHECKSUM, empty), wrapped]).is_ok_and(|promise| promise.is_none()));
        }
        assert!(with(&[(CHECKSUM, "AAAA")]).is_err());
        assert!(with(&[]).is_ok_and(|promise| promise.is_none()));
    }
}
