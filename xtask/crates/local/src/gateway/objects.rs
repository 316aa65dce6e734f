//! S3 calls, with guarantees that the emulator does not give.
//!
//! In: any request; only those for S3 are handled here, all others are forwarded. Out: the emulator's response, with these
//! differences: writes of one object, and of a bucket as a whole, are serialized, so that a condition (`If-None-Match`,
//! `If-Match`) still holds when the object is written; a body that does not have its SHA-256 is never written; ListParts
//! responds as documented. Errors are S3's.

use super::locks::Locks;
use super::scope::CredentialScope;
use super::spool::{SpoolError, SpooledBody, spool};
use super::unreachable::s3_error;
use super::upstream::{Upstream, run_to_completion};
use crate::error_chain::error_chain;
use crate::http;
use axum::body::Body;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use slipway_values::digest::Digest;
use std::path::PathBuf;
use std::sync::Arc;

/// The longest list of parts, in bytes. It has at most 1,000 entries.
const LONGEST_LIST: usize = 8 << 20;
const CHECKSUM: &str = "x-amz-checksum-sha256";
/// The payload's digest in the signature, in hexadecimal, or a word such as `UNSIGNED-PAYLOAD`.
const CONTENT: &str = "x-amz-content-sha256";

/// The handler of S3 calls.
pub(crate) struct Objects {
    upstream: Arc<Upstream>,
    /// Locks of buckets and their keys.
    locks: Locks,
    /// The folder for bodies that are too long for memory.
    spool_folder: PathBuf,
}

/// What a request does in S3.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Operation {
    /// A read, or a call for another service.
    Other,
    ListParts,
    /// Uploads a part of an object that does not exist yet. Parts do not exclude each other.
    UploadPart,
    /// Writes or deletes one object.
    WriteObject {
        bucket: String,
        key: String,
        /// Whether the request's checksum is that of its body.
        has_body_checksum: bool,
    },
    /// Changes a bucket, or several objects at once.
    WriteBucket {
        bucket: String,
    },
}

/// An error of S3: status, code, message.
struct S3Error(StatusCode, &'static str, String);

impl IntoResponse for S3Error {
    fn into_response(self) -> Response {
        let Self(status, code, message) = self;
        let headers = [(header::CONTENT_TYPE, "application/xml")];
        (status, headers, s3_error(code, &message)).into_response()
    }
}

impl From<SpoolError> for S3Error {
    fn from(error: SpoolError) -> Self {
        let message = error_chain(&error);
        match error {
            SpoolError::Client(_) => Self(StatusCode::BAD_REQUEST, "IncompleteBody", message),
            SpoolError::File(_) => Self(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message),
        }
    }
}

impl Objects {
    pub(super) fn new(upstream: Arc<Upstream>, spool_folder: PathBuf) -> Self {
        Self { upstream, locks: Locks::default(), spool_folder }
    }

    /// Handles a request for S3, and forwards a request for any other service.
    pub(super) async fn handle(self: Arc<Self>, request: Request) -> Response {
        match operation(request.method(), request.uri(), request.headers()) {
            Operation::Other => self.upstream.forward(request).await,
            Operation::ListParts => self.list_parts(request).await,
            // A part without digests streams to the emulator.
            Operation::UploadPart
                if expected_digests(request.headers(), true).is_ok_and(|digests| digests.is_none()) =>
            {
                self.upstream.forward(request).await
            }
            operation => self.write(request, operation).await.unwrap_or_else(IntoResponse::into_response),
        }
    }

    /// Receives the body, compares its digests, and forwards it while holding the lock.
    async fn write(self: Arc<Self>, request: Request, operation: Operation) -> Result<Response, S3Error> {
        let (mut parts, body) = request.into_parts();
        // The body is received before any error response, which a client that is still sending would not read.
        let body = spool(body, &self.spool_folder).await?;
        let has_checksum = !matches!(&operation, Operation::WriteObject { has_body_checksum: false, .. });
        if let Some(expected) = expected_digests(&parts.headers, has_checksum)? {
            expected.compare(&body)?;
        }
        set_length(&mut parts, &body);
        let request = Request::from_parts(parts, body.into_body());
        let work = async move {
            let _lock = match &operation {
                Operation::WriteObject { bucket, key, .. } => Some(self.locks.lock_child(bucket, key).await),
                Operation::WriteBucket { bucket } => Some(self.locks.lock(bucket).await),
                Operation::Other | Operation::ListParts | Operation::UploadPart => None,
            };
            self.upstream.forward(request).await
        };
        Ok(run_to_completion(work).await)
    }

    /// Corrects the root element, which the emulator calls `ListPartsResponse`: clients do not find the parts in it.
    async fn list_parts(&self, request: Request) -> Response {
        let (mut parts, body) = self.upstream.forward(request).await.into_parts();
        let Ok(body) = axum::body::to_bytes(body, LONGEST_LIST).await else {
            let message = "the emulator's list of parts is incomplete or too long".to_owned();
            return S3Error(StatusCode::BAD_GATEWAY, "InternalError", message).into_response();
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
}

fn operation(method: &Method, uri: &axum::http::Uri, headers: &HeaderMap) -> Operation {
    let for_s3 = match CredentialScope::of(headers, uri) {
        Some(scope) => scope.service == "s3",
        // Like the emulator, take an unsigned request for S3's, except those with a target and those for moto itself.
        None => !headers.contains_key("x-amz-target") && !uri.path().starts_with("/moto-api"),
    };
    if !for_s3 {
        return Operation::Other;
    }
    let pairs = http::query_pairs(uri.query().unwrap_or_default());
    let has = |wanted: &str| pairs.iter().any(|(name, _)| name == wanted);
    let (bucket, key) = bucket_and_key(uri.path(), headers);
    match (method, key) {
        (_, _) if bucket.is_empty() => Operation::Other,
        (&Method::GET, Some(_)) if has("uploadId") => Operation::ListParts,
        (&Method::PUT, Some(_)) if has("partNumber") => Operation::UploadPart,
        // Beginning or cancelling an upload changes no object, and neither does a query of an object.
        (&Method::POST, Some(_)) if has("uploads") || has("select") => Operation::Other,
        (&Method::DELETE, Some(_)) if has("uploadId") => Operation::Other,
        (&Method::PUT | &Method::POST | &Method::DELETE, Some(key)) => Operation::WriteObject {
            bucket,
            key,
            // Completing an upload has the checksum of the parts' checksums.
            has_body_checksum: !has("uploadId"),
        },
        (&Method::PUT | &Method::POST | &Method::DELETE, None) => Operation::WriteBucket { bucket },
        _ => Operation::Other,
    }
}

/// Returns bucket and key of `/bucket/key`, or of a virtual host and `/key`.
fn bucket_and_key(path: &str, headers: &HeaderMap) -> (String, Option<String>) {
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

/// Sets the length of a received body, and removes the header that waits for permission to send it.
fn set_length(parts: &mut Parts, body: &SpooledBody) {
    parts.headers.remove(header::EXPECT);
    if body.length > 0 || parts.headers.contains_key(header::CONTENT_LENGTH) {
        parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.length));
    }
}

/// The digests that a body must have.
struct ExpectedDigests {
    checksum: Option<Digest>,
    content: Option<Digest>,
}

/// Returns the digests in a request's headers; `None` if the body is in chunks, whose digests are in the body.
fn expected_digests(headers: &HeaderMap, has_checksum: bool) -> Result<Option<ExpectedDigests>, S3Error> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let in_chunks = text("content-encoding").is_some_and(|encoding| encoding.contains("aws-chunked"))
        || text(CONTENT).is_some_and(|content| content.starts_with("STREAMING-"));
    if in_chunks {
        return Ok(None);
    }
    let checksum = match text(CHECKSUM).filter(|_| has_checksum) {
        Some(value) => Some(Digest::from_base64(value).ok_or_else(|| {
            let message = format!("Value for {CHECKSUM} header is invalid.");
            S3Error(StatusCode::BAD_REQUEST, "InvalidRequest", message)
        })?),
        None => None,
    };
    let content = text(CONTENT).and_then(|hex| format!("sha256:{}", hex.to_ascii_lowercase()).parse().ok());
    Ok((checksum.is_some() || content.is_some()).then_some(ExpectedDigests { checksum, content }))
}

impl ExpectedDigests {
    fn compare(&self, body: &SpooledBody) -> Result<(), S3Error> {
        if self.content.is_some_and(|content| content != body.sha256) {
            let message = format!("The provided '{CONTENT}' header does not match what was computed.");
            return Err(S3Error(StatusCode::BAD_REQUEST, "XAmzContentSHA256Mismatch", message));
        }
        if self.checksum.is_some_and(|checksum| checksum != body.sha256) {
            let message = "The SHA256 you specified did not match the calculated checksum.".to_owned();
            return Err(S3Error(StatusCode::BAD_REQUEST, "BadDigest", message));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(host: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::HOST, HeaderValue::from_static(host))])
    }

    #[test]
    fn bucket_and_key_are_found_in_every_address_style() {
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
            assert_eq!(bucket_and_key(path, &headers(host)), expected, "{host}{path}");
        }
        let host = headers("127.0.0.1:5000");
        for path in ["/store", "/store/"] {
            assert_eq!(bucket_and_key(path, &host), ("store".to_owned(), None));
        }
        assert_eq!(bucket_and_key("/b/x&y=z", &host).1.as_deref(), Some("x&y=z"));
        assert_eq!(bucket_and_key("/", &host), (String::new(), None));
    }

    #[test]
    fn operation_follows_from_method_and_query() {
        let object = |has_body_checksum| Operation::WriteObject {
            bucket: "b".to_owned(),
            key: "k".to_owned(),
            has_body_checksum,
        };
        let bucket = || Operation::WriteBucket { bucket: "b".to_owned() };
        let mut headers = headers("127.0.0.1:1");
        let cases = [
            (Method::PUT, "/b/k", object(true)),
            (Method::PUT, "/b/k?tagging", object(true)),
            (Method::DELETE, "/b/k?versionId=1", object(true)),
            (Method::POST, "/b/k?uploadId=u", object(false)),
            (Method::PUT, "/b/k?partNumber=1&uploadId=u", Operation::UploadPart),
            (Method::POST, "/b/k?uploads", Operation::Other),
            (Method::POST, "/b/k?select&select-type=2", Operation::Other),
            (Method::DELETE, "/b/k?uploadId=u", Operation::Other),
            (Method::GET, "/b/k?uploadId=u", Operation::ListParts),
            (Method::GET, "/b/k", Operation::Other),
            (Method::HEAD, "/b/k", Operation::Other),
            (Method::POST, "/b?delete", bucket()),
            (Method::PUT, "/b", bucket()),
            (Method::GET, "/b?uploads", Operation::Other),
            (Method::POST, "/", Operation::Other),
        ];
        let signed = |service: &str| {
            let scope = format!("AWS4-HMAC-SHA256 Credential=K/20260101/eu-central-1/{service}/aws4_request");
            scope.parse::<HeaderValue>().unwrap()
        };
        for (method, uri, expected) in cases {
            headers.remove(header::AUTHORIZATION);
            assert_eq!(operation(&method, &uri.parse().unwrap(), &headers), expected, "{uri}");
            headers.insert(header::AUTHORIZATION, signed("s3"));
            assert_eq!(operation(&method, &uri.parse().unwrap(), &headers), expected, "{uri}");
            headers.insert(header::AUTHORIZATION, signed("apigateway"));
            assert_eq!(operation(&method, &uri.parse().unwrap(), &headers), Operation::Other);
        }
        let reset = "/moto-api/reset".parse().unwrap();
        assert_eq!(operation(&Method::POST, &reset, &HeaderMap::new()), Operation::Other);
    }

    #[test]
    fn body_in_chunks_has_no_expected_digests() {
        let with = |pairs: &[(&'static str, &'static str)]| {
            let pairs = pairs.iter().map(|(name, value)| {
                (axum::http::HeaderName::from_static(name), HeaderValue::from_static(value))
            });
            expected_digests(&HeaderMap::from_iter(pairs), true)
        };
        let empty = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        let plain = with(&[(CHECKSUM, empty), (CONTENT, "UNSIGNED-PAYLOAD")]);
        assert!(plain.is_ok_and(|digests| digests.is_some_and(|digests| digests.content.is_none())));
        for in_chunks in
            [(CONTENT, "STREAMING-UNSIGNED-PAYLOAD-TRAILER"), ("content-encoding", "aws-chunked,gzip")]
        {
            assert!(with(&[(CHECKSUM, empty), in_chunks]).is_ok_and(|digests| digests.is_none()));
        }
        assert!(with(&[(CHECKSUM, "AAAA")]).is_err());
        assert!(with(&[]).is_ok_and(|digests| digests.is_none()));
    }
}
