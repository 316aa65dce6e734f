//! Verifies Signature Version 4: which access key signed a request, and whether with the key's secret.
//!
//! In: a complete request, signed in a header or presigned, and the addresses it may have been signed for: the one that
//! received it, and the one in the cloud. Out: the access key. Errors: there is no signature, or it is for another service,
//! too old, or made with another secret. A key whose secret is unknown here counts as valid, as everywhere in the emulator.
//! See <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>.
//!
//! The AWS SDK's signer could sign the request again for a comparison. That takes more code than the canonical request
//! here: the signer adds the date header and the parameters of a presigned address itself, so they must be removed before.

use crate::http;
use axum::body::Bytes;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// How long a signature in a header is valid, and how much clocks may differ, in seconds.
const SKEW: i64 = 300;

/// An address that a request may have been signed for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) path: String,
}

/// Why a request does not count as signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SignatureError {
    #[error("it has no signature of version 4")]
    Missing,
    #[error("its signature is incomplete: {0}")]
    Incomplete(&'static str),
    #[error("it is signed for the service `{0}`")]
    OtherService(String),
    #[error("its signature has expired or is not valid yet")]
    Expired,
    #[error("its signature was not made with the secret of the key {0}")]
    Invalid(String),
}

/// The signature of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Signature {
    key: String,
    /// `<date>/<region>/<service>/aws4_request`.
    scope: String,
    service: String,
    /// `YYYYMMDD'T'HHMMSS'Z'`.
    time: String,
    signed_headers: Vec<String>,
    signature: String,
    /// How long a presigned address is valid, in seconds; `None` for a signature in a header.
    expires_in: Option<i64>,
}

/// Returns the access key that signed a request for a service.
pub(crate) fn verify(
    parts: &Parts,
    body: &Bytes,
    service: &str,
    addresses: &[Address],
    secret: impl Fn(&str) -> Option<String>,
) -> Result<String, SignatureError> {
    let signature = Signature::of(parts)?;
    if signature.service != service {
        return Err(SignatureError::OtherService(signature.service));
    }
    signature.check_time(Timestamp::now().as_second())?;
    let Some(secret) = secret(&signature.key) else {
        return Ok(signature.key);
    };
    let valid = addresses.iter().any(|address| signature.is_valid(&secret, parts, body, address));
    if valid { Ok(signature.key) } else { Err(SignatureError::Invalid(signature.key)) }
}

/// Returns whether the signature in a header was made with the secret of its key; `false` if the secret is unknown.
pub(crate) fn is_valid(parts: &Parts, body: &Bytes, secret: impl Fn(&str) -> Option<String>) -> bool {
    let Some(authorization) = text(&parts.headers, header::AUTHORIZATION.as_str()) else {
        return false;
    };
    let Ok(signature) = Signature::in_header(authorization, &parts.headers) else {
        return false;
    };
    let host = text(&parts.headers, header::HOST.as_str()).unwrap_or_default().to_owned();
    let address = Address { host, path: parts.uri.path().to_owned() };
    secret(&signature.key).is_some_and(|secret| signature.is_valid(&secret, parts, body, &address))
}

impl Signature {
    fn of(parts: &Parts) -> Result<Self, SignatureError> {
        match text(&parts.headers, header::AUTHORIZATION.as_str()) {
            Some(authorization) => Self::in_header(authorization, &parts.headers),
            None => Self::in_query(parts.uri.query().unwrap_or_default()),
        }
    }

    fn in_header(authorization: &str, headers: &HeaderMap) -> Result<Self, SignatureError> {
        let rest = authorization.strip_prefix(ALGORITHM).ok_or(SignatureError::Missing)?;
        let member = |name: &str| {
            rest.split(',')
                .find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
                .unwrap_or_default()
        };
        let time = text(headers, "x-amz-date").ok_or(SignatureError::Incomplete("X-Amz-Date"))?;
        Self::read(member("Credential"), time, member("SignedHeaders"), member("Signature"), None)
    }

    fn in_query(query: &str) -> Result<Self, SignatureError> {
        let pairs = http::query_pairs(query);
        let member = |name: &str| {
            let found = pairs.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map_or("", |(_, value)| value.as_str())
        };
        if member("X-Amz-Algorithm") != ALGORITHM {
            return Err(SignatureError::Missing);
        }
        let expires_in =
            member("X-Amz-Expires").parse().map_err(|_| SignatureError::Incomplete("X-Amz-Expires"))?;
        let (date, signed_headers) = (member("X-Amz-Date"), member("X-Amz-SignedHeaders"));
        let signature = member("X-Amz-Signature");
        Self::read(member("X-Amz-Credential"), date, signed_headers, signature, Some(expires_in))
    }

    fn read(
        credential: &str,
        time: &str,
        signed_headers: &str,
        signature: &str,
        expires_in: Option<i64>,
    ) -> Result<Self, SignatureError> {
        let (key, scope) = credential.split_once('/').ok_or(SignatureError::Incomplete("Credential"))?;
        let parts: Vec<&str> = scope.split('/').collect();
        let [date, _, service, "aws4_request"] = parts.as_slice() else {
            return Err(SignatureError::Incomplete("Credential"));
        };
        if key.is_empty() || !time.starts_with(date) {
            return Err(SignatureError::Incomplete("Credential"));
        }
        let signed_headers: Vec<String> = signed_headers.split(';').map(str::to_ascii_lowercase).collect();
        if !signed_headers.iter().any(|name| name == "host") {
            return Err(SignatureError::Incomplete("SignedHeaders"));
        }
        if signature.len() != 64 || !signature.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(SignatureError::Incomplete("Signature"));
        }
        Ok(Self {
            key: key.to_owned(),
            scope: scope.to_owned(),
            service: (*service).to_owned(),
            time: time.to_owned(),
            signed_headers,
            signature: signature.to_ascii_lowercase(),
            expires_in,
        })
    }

    fn check_time(&self, now: i64) -> Result<(), SignatureError> {
        let signed_at = DateTime::strptime("%Y%m%dT%H%M%SZ", &self.time)
            .and_then(|time| time.to_zoned(TimeZone::UTC))
            .map_err(|_| SignatureError::Incomplete("X-Amz-Date"))?
            .timestamp()
            .as_second();
        match (signed_at - SKEW..=signed_at + self.expires_in.unwrap_or(SKEW)).contains(&now) {
            true => Ok(()),
            false => Err(SignatureError::Expired),
        }
    }

    /// Returns whether the secret makes this signature for the request at an address.
    fn is_valid(&self, secret: &str, parts: &Parts, body: &Bytes, address: &Address) -> bool {
        let query = parts.uri.query().unwrap_or_default();
        // Clients disagree whether `+` in a query is a space.
        let readings = [http::query_pairs(query), http::query_pairs(&query.replace('+', "%2B"))];
        readings.into_iter().any(|pairs| self.is_valid_for_query(secret, parts, body, address, pairs))
    }

    fn is_valid_for_query(
        &self,
        secret: &str,
        parts: &Parts,
        body: &Bytes,
        address: &Address,
        pairs: Vec<(String, String)>,
    ) -> bool {
        let mut query: Vec<(String, String)> = pairs
            .into_iter()
            .filter(|(name, _)| self.expires_in.is_none() || name != "X-Amz-Signature")
            .map(|(name, value)| (http::encode(&name), http::encode(&value)))
            .collect();
        query.sort();
        let query: Vec<String> = query.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        let headers: String = self
            .signed_headers
            .iter()
            .map(|name| {
                let values: Vec<String> = match name.as_str() {
                    "host" => vec![address.host.clone()],
                    _ => parts.headers.get_all(name).iter().map(normalized).collect(),
                };
                format!("{name}:{}\n", values.join(","))
            })
            .collect();
        let payload = match text(&parts.headers, "x-amz-content-sha256") {
            Some("UNSIGNED-PAYLOAD") => "UNSIGNED-PAYLOAD".to_owned(),
            _ => hex::encode(Sha256::digest(body)),
        };
        // All services except S3 encode the path again as it was sent.
        let path = address.path.split('/').map(http::encode).collect::<Vec<_>>().join("/");
        let canonical = format!(
            "{}\n{path}\n{}\n{headers}\n{}\n{payload}",
            parts.method,
            query.join("&"),
            self.signed_headers.join(";")
        );
        let to_sign =
            format!("{ALGORITHM}\n{}\n{}\n{}", self.time, self.scope, hex::encode(Sha256::digest(canonical)));
        let key = self.scope.split('/').fold(format!("AWS4{secret}").into_bytes(), |key, part| {
            mac(&key, part).finalize().into_bytes().to_vec()
        });
        hex::decode(&self.signature)
            .is_ok_and(|signature| mac(&key, &to_sign).verify_slice(&signature).is_ok())
    }
}

fn mac(key: &[u8], text: &str) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    mac
}

/// Returns a header's value without surrounding spaces, and with single spaces inside.
fn normalized(value: &axum::http::HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    const KEY: &str = "AKIDEXAMPLE";
    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    /// `get-vanilla-query-order-key-case` of AWS's test suite for Signature Version 4, signed in a header.
    fn signed_in_header() -> Parts {
        let authorization = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date, \
             Signature=b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500";
        let request = Request::get("/?Param2=value2&Param1=value1")
            .header("host", "example.amazonaws.com")
            .header("x-amz-date", "20150830T123600Z")
            .header("authorization", authorization);
        request.body(()).unwrap().into_parts().0
    }

    /// The same, presigned.
    fn presigned() -> Parts {
        let uri = "/?Param2=value2&Param1=value1&X-Amz-Algorithm=AWS4-HMAC-SHA256\
             &X-Amz-Credential=AKIDEXAMPLE%2F20150830%2Fus-east-1%2Fservice%2Faws4_request\
             &X-Amz-Date=20150830T123600Z&X-Amz-SignedHeaders=host&X-Amz-Expires=3600\
             &X-Amz-Signature=86012e2c9ad4d77369f5d81c11f75158aae4f895a085212cc6d3f923d300bed5";
        Request::get(uri).header("host", "example.amazonaws.com").body(()).unwrap().into_parts().0
    }

    fn at(host: &str, path: &str) -> Address {
        Address { host: host.to_owned(), path: path.to_owned() }
    }

    #[test]
    fn signature_covers_secret_address_and_content() {
        for parts in [signed_in_header(), presigned()] {
            let signature = Signature::of(&parts).unwrap();
            let address = at("example.amazonaws.com", "/");
            let empty = Bytes::new();
            assert!(signature.is_valid(SECRET, &parts, &empty, &address));
            assert!(!signature.is_valid("other", &parts, &empty, &address));
            assert!(!signature.is_valid(SECRET, &parts, &Bytes::from_static(b"x"), &address));
            assert!(!signature.is_valid(SECRET, &parts, &empty, &at("other", "/")));
            assert!(!signature.is_valid(SECRET, &parts, &empty, &at("example.amazonaws.com", "/x")));
        }
    }

    #[test]
    fn signature_is_valid_for_its_time_and_service_only() {
        let signature = Signature::of(&signed_in_header()).unwrap();
        let signed_at = 1_440_938_160;
        assert_eq!(signature.check_time(signed_at + SKEW), Ok(()));
        assert_eq!(signature.check_time(signed_at + SKEW + 1), Err(SignatureError::Expired));
        assert_eq!(signature.check_time(signed_at - SKEW - 1), Err(SignatureError::Expired));
        let expiring = Signature::of(&presigned()).unwrap();
        assert_eq!(expiring.check_time(signed_at + 3600), Ok(()));
        assert_eq!(expiring.check_time(signed_at + 3601), Err(SignatureError::Expired));
        let with = |authorization: &str| {
            let mut parts = signed_in_header();
            parts.headers.insert("authorization", authorization.parse().unwrap());
            verify(&parts, &Bytes::new(), "execute-api", &[], |_| None)
        };
        let whole = text(&signed_in_header().headers, "authorization").unwrap().to_owned();
        assert_eq!(with(&whole), Err(SignatureError::OtherService("service".to_owned())));
        assert_eq!(with("Bearer x"), Err(SignatureError::Missing));
        let short = whole.replace("b97d918c", "");
        assert_eq!(with(&short), Err(SignatureError::Incomplete("Signature")));
        let headless = whole.replace("host;", "");
        assert_eq!(with(&headless), Err(SignatureError::Incomplete("SignedHeaders")));
        assert_eq!(
            with(&whole.replace("20150830/", "20150831/")),
            Err(SignatureError::Incomplete("Credential"))
        );
        let unsigned = Request::get("/").body(()).unwrap().into_parts().0;
        let found = verify(&unsigned, &Bytes::new(), "service", &[], |_| None);
        assert_eq!(found, Err(SignatureError::Missing));
        assert_eq!(KEY, signature.key);
    }
}
