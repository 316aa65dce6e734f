//! A small HTTP/1.1 client for servers on this machine: one connection for each request, no TLS, no redirects.
//!
//! In: an authority (`127.0.0.1:5000`) and a request. Out: the response, streaming or buffered. Errors: nothing listens
//! there, the connection breaks, the response is late or longer than the caller allows.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::net::TcpStream;

/// Why a request to a server on this machine failed.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Nothing listens there.
    #[error("cannot connect to {authority}")]
    Connect {
        /// Host and port.
        authority: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// The connection broke before the response was complete.
    #[error("the connection to {authority} broke")]
    Broken {
        /// Host and port.
        authority: String,
        /// The HTTP client's error.
        source: hyper::Error,
    },
    /// The response was not complete in time.
    #[error("{authority} did not respond within {within:?}")]
    Slow {
        /// Host and port.
        authority: String,
        /// The time limit.
        within: Duration,
    },
    /// The response is longer than the caller allows.
    #[error("the response of {authority} is longer than {limit} bytes")]
    Long {
        /// Host and port.
        authority: String,
        /// The limit in bytes.
        limit: usize,
    },
    /// The address is not `http://host:port`.
    #[error("`{url}` is not an address of the form http://host:port")]
    Address {
        /// The invalid address.
        url: String,
    },
}

/// A response that was received completely.
pub(crate) struct BufferedResponse {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl std::fmt::Debug for BufferedResponse {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {}", self.status, String::from_utf8_lossy(&self.body))
    }
}

/// Returns host and port of `http://host:port`, which may end in a slash.
pub(crate) fn authority(url: &str) -> Result<String, HttpError> {
    let invalid = || HttpError::Address { url: url.to_owned() };
    let rest = url.strip_prefix("http://").ok_or_else(invalid)?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let valid = rest
        .parse::<axum::http::uri::Authority>()
        .ok()
        .filter(|authority| authority.port().is_some() && !rest.contains('@'));
    valid.map(|authority| authority.to_string()).ok_or_else(invalid)
}

/// Sends a request and returns the response once its headers are there; the body streams.
pub(crate) async fn send(
    authority: &str,
    mut request: Request<Body>,
) -> Result<Response<Incoming>, HttpError> {
    let connect = |source| HttpError::Connect { authority: authority.to_owned(), source };
    let broken = |source| HttpError::Broken { authority: authority.to_owned(), source };
    let stream = TcpStream::connect(authority).await.map_err(connect)?;
    stream.set_nodelay(true).map_err(connect)?;
    if !request.headers().contains_key(header::HOST) {
        let host =
            HeaderValue::from_str(authority).map_err(|_| HttpError::Address { url: authority.to_owned() })?;
        request.headers_mut().insert(header::HOST, host);
    }
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake::<_, Body>(TokioIo::new(stream)).await.map_err(broken)?;
    tokio::spawn(connection);
    sender.send_request(request).await.map_err(broken)
}

/// Sends a request and returns the complete response, at most `limit` bytes long.
pub(crate) async fn exchange(
    authority: &str,
    request: Request<Body>,
    limit: usize,
    within: Duration,
) -> Result<BufferedResponse, HttpError> {
    let complete = async {
        let (parts, body) = send(authority, request).await?.into_parts();
        let body = Limited::new(body, limit).collect().await.map_err(|error| {
            match error.downcast::<hyper::Error>() {
                Ok(source) => HttpError::Broken { authority: authority.to_owned(), source: *source },
                Err(error) => {
                    debug_assert!(error.is::<LengthLimitError>());
                    HttpError::Long { authority: authority.to_owned(), limit }
                }
            }
        })?;
        Ok(BufferedResponse { status: parts.status, headers: parts.headers, body: body.to_bytes() })
    };
    match tokio::time::timeout(within, complete).await {
        Ok(response) => response,
        Err(_) => Err(HttpError::Slow { authority: authority.to_owned(), within }),
    }
}

/// Splits a query string into decoded pairs, in order; a name without `=` has an empty value.
pub(crate) fn query_pairs(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
        .collect()
}

/// Decodes a part of a path, in which `+` is not a space.
pub(crate) fn decode_path(path: &str) -> String {
    decode(&path.replace('+', "%2B"))
}

/// Encodes a value for a query string or a form: all characters except RFC 3986's unreserved ones.
pub(crate) fn encode(value: &str) -> String {
    let mut encoded = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

fn decode(value: &str) -> String {
    let bytes = value.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hexadecimal = bytes.get(at + 1..at + 3).and_then(|digits| hex::decode(digits).ok());
        match (bytes[at], hexadecimal) {
            (b'%', Some(byte)) => {
                decoded.extend(byte);
                at += 3;
            }
            (b'+', _) => {
                decoded.push(b' ');
                at += 1;
            }
            (byte, _) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authority_needs_scheme_and_port() {
        assert_eq!(authority("http://127.0.0.1:5000/").unwrap(), "127.0.0.1:5000");
        assert_eq!(authority("http://localhost:1").unwrap(), "localhost:1");
        for invalid in
            ["https://127.0.0.1:1", "127.0.0.1:1", "http://127.0.0.1", "http://a@b:1", "http://a:1/x"]
        {
            assert!(authority(invalid).is_err(), "{invalid}");
        }
    }

    #[test]
    fn query_is_split_and_decoded() {
        assert_eq!(
            query_pairs("Qualifier=%24LATEST&a=b+c&&flag&x=%zz%4"),
            [("Qualifier", "$LATEST"), ("a", "b c"), ("flag", ""), ("x", "%zz%4")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        assert_eq!(encode("$LATEST a/ü"), "%24LATEST%20a%2F%C3%BC");
    }
}
