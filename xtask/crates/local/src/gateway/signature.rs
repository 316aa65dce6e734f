//! Who signed a request to a function URL or an HTTP API, and whether with the key's secret.
//!
//! In: a request, whole, in either form of Signature Version 4 (header or presigned), and the addresses it may have been
//! signed for: the one it came to, and the one in the cloud. Out: the access key that signed. What can go wrong: there is no
//! signature, it is for another service, too old, or made with another secret. A key whose secret nobody handed out by way
//! of this gateway cannot be checked, and counts as signed, as everywhere in the emulator.
//! See <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>.

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
/// How long a signature in a header holds, and how wrong clocks may be, in seconds.
const SKEW: i64 = 300;

/// One address that a request may have been signed for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) path: String,
}

/// Why a request does not count as signed; said in a header, because the service's own answer does not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unsigned {
    #[error("it has no signature of version 4")]
    Missing,
    #[error("its signature is incomplete: {0}")]
    Incomplete(&'static str),
    #[error("it is signed for the service `{0}`")]
    Service(String),
    #[error("its signature is not of this time")]
    Expired,
    #[error("its signature was not made with the secret of the key {0}")]
    Wrong(String),
}

/// A signature as a request carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Signature {
    key: String,
    /// `<date>/<region>/<service>/aws4_request`.
    scope: String,
    service: String,
    /// `YYYYMMDD'T'HHMMSS'Z'`.
    time: String,
    signed: Vec<String>,
    signature: String,
    /// Of a presigned address: how many seconds it holds.
    holds: Option<i64>,
}

/// Tells whose key signed a request for a service.
pub(crate) fn signer(
    parts: &Parts,
    body: &Bytes,
    service: &str,
    addresses: &[Address],
    secret: impl Fn(&str) -> Option<String>,
) -> Result<String, Unsigned> {
    let signature = Signature::of(parts)?;
    if signature.service != service {
        return Err(Unsigned::Service(signature.service));
    }
    signature.of_now(Timestamp::now().as_second())?;
    let Some(secret) = secret(&signature.key) else {
        return Ok(signature.key);
    };
    let right = addresses.iter().any(|address| signature.fits(&secret, parts, body, address));
    if right { Ok(signature.key) } else { Err(Unsigned::Wrong(signature.key)) }
}

/// Says whether a header's signature was made with the secret of its key; not where the secret is unknown.
pub(crate) fn is_genuine(parts: &Parts, body: &Bytes, secret: impl Fn(&str) -> Option<String>) -> bool {
    let Some(authorization) = text(&parts.headers, header::AUTHORIZATION.as_str()) else {
        return false;
    };
    let Ok(signature) = Signature::in_header(authorization, &parts.headers) else {
        return false;
    };
    let host = text(&parts.headers, header::HOST.as_str()).unwrap_or_default().to_owned();
    let address = Address { host, path: parts.uri.path().to_owned() };
    secret(&signature.key).is_some_and(|secret| signature.fits(&secret, parts, body, &address))
}

impl Signature {
    fn of(parts: &Parts) -> Result<Self, Unsigned> {
        match text(&parts.headers, header::AUTHORIZATION.as_str()) {
            Some(authorization) => Self::in_header(authorization, &parts.headers),
            None => Self::in_query(parts.uri.query().unwrap_or_default()),
        }
    }

    fn in_header(authorization: &str, headers: &HeaderMap) -> Result<Self, Unsigned> {
        let rest = authorization.strip_prefix(ALGORITHM).ok_or(Unsigned::Missing)?;
        let member = |name: &str| {
            rest.split(',')
                .find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
                .unwrap_or_default()
        };
        let time = text(headers, "x-amz-date").ok_or(Unsigned::Incomplete("X-Amz-Date"))?;
        Self::read(member("Credential"), time, member("SignedHeaders"), member("Signature"), None)
    }

    fn in_query(query: &str) -> Result<Self, Unsigned> {
        let pairs = http::query_pairs(query);
        let member = |name: &str| {
            let found = pairs.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map_or("", |(_, value)| value.as_str())
        };
        if member("X-Amz-Algorithm") != ALGORITHM {
            return Err(Unsigned::Missing);
        }
        let holds = member("X-Amz-Expires").parse().map_err(|_| Unsigned::Incomplete("X-Amz-Expires"))?;
        let (date, signed) = (member("X-Amz-Date"), member("X-Amz-SignedHeaders"));
        Self::read(member("X-Amz-Credential"), date, signed, member("X-Amz-Signature"), Some(holds))
    }

    fn read(
        credential: &str,
        time: &str,
        signed: &str,
        signature: &str,
        holds: Option<i64>,
    ) -> Result<Self, Unsigned> {
        let (key, scope) = credential.split_once('/').ok_or(Unsigned::Incomplete("Credential"))?;
        let parts: Vec<&str> = scope.split('/').collect();
        let [date, _, service, "aws4_request"] = parts.as_slice() else {
            return Err(Unsigned::Incomplete("Credential"));
        };
        if key.is_empty() || !time.starts_with(date) {
            return Err(Unsigned::Incomplete("Credential"));
        }
        let signed: Vec<String> = signed.split(';').map(str::to_ascii_lowercase).collect();
        if !signed.iter().any(|name| name == "host") {
            return Err(Unsigned::Incomplete("SignedHeaders"));
        }
        if signature.len() != 64 || !signature.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Unsigned::Incomplete("Signature"));
        }
        Ok(Self {
            key: key.to_owned(),
            scope: scope.to_owned(),
            service: (*service).to_owned(),
            time: time.to_owned(),
            signed,
            signature: signature.to_ascii_lowercase(),
            holds,
        })
    }

    fn of_now(&self, now: i64) -> Result<(), Unsigned> {
        let made = DateTime::strptime("%Y%m%dT%H%M%SZ", &self.time)
            .and_then(|time| time.to_zoned(TimeZone::UTC))
            .map_err(|_| Unsigned::Incomplete("X-Amz-Date"))?
            .timestamp()
            .as_second();
        match (made - SKEW..=made + self.holds.unwrap_or(SKEW)).contains(&now) {
            true => Ok(()),
            false => Err(Unsigned::Expired),
        }
    }

    /// Says whether the secret makes this signature of the request at an address.
    fn fits(&self, secret: &str, parts: &Parts, body: &Bytes, address: &Address) -> bool {
        let query = parts.uri.query().unwrap_or_default();
        // Signers do not agree on whether `+` is a space in a query.
        let readings = [http::query_pairs(query), http::query_pairs_literal(query)];
        readings.into_iter().any(|pairs| self.fits_query(secret, parts, body, address, pairs))
    }

    fn fits_query(
        &self,
        secret: &str,
        parts: &Parts,
        body: &Bytes,
        address: &Address,
        pairs: Vec<(String, String)>,
    ) -> bool {
        let mut query: Vec<(String, String)> = pairs
            .into_iter()
            .filter(|(name, _)| self.holds.is_none() || name != "X-Amz-Signature")
            .map(|(name, value)| (http::encode(&name), http::encode(&value)))
            .collect();
        query.sort();
        let query: Vec<String> = query.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        let headers: String = self
            .signed
            .iter()
            .map(|name| {
                let values: Vec<String> = match name.as_str() {
                    "host" => vec![address.host.clone()],
                    _ => parts.headers.get_all(name).iter().map(trimmed).collect(),
                };
                format!("{name}:{}\n", values.join(","))
            })
            .collect();
        let payload = match text(&parts.headers, "x-amz-content-sha256") {
            Some("UNSIGNED-PAYLOAD") => "UNSIGNED-PAYLOAD".to_owned(),
            _ => hex::encode(Sha256::digest(body)),
        };
        // Every service but S3 encodes the path as it was sent once more.
        let path = address.path.split('/').map(http::encode).collect::<Vec<_>>().join("/");
        let canonical = format!(
            "{}\n{path}\n{}\n{headers}\n{}\n{payload}",
            parts.method,
            query.join("&"),
            self.signed.join(";")
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

/// A header's value without the spaces around it, and with one where there were several.
fn trimmed(value: &axum::http::HeaderValue) -> String {
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

    /// `get-vanilla-query-order-key-case` of AWS's test suite for Signature Version 4.
    fn example() -> Parts {
        let authorization = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date, \
             Signature=b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500";
        let request = Request::get("/?Param2=value2&Param1=value1")
            .header("host", "example.amazonaws.com")
            .header("x-amz-date", "20150830T123600Z")
            .header("authorization", authorization);
        request.body(()).unwrap().into_parts().0
    }

    fn at(host: &str, path: &str) -> Address {
        Address { host: host.to_owned(), path: path.to_owned() }
    }

    #[test]
    fn the_secret_the_address_and_the_content_must_be_right() {
        let parts = example();
        let signature = Signature::of(&parts).unwrap();
        let right = at("example.amazonaws.com", "/");
        let empty = Bytes::new();
        assert!(signature.fits(SECRET, &parts, &empty, &right));
        assert!(!signature.fits("other", &parts, &empty, &right));
        assert!(!signature.fits(SECRET, &parts, &Bytes::from_static(b"x"), &right));
        assert!(!signature.fits(SECRET, &parts, &empty, &at("other", "/")));
        assert!(!signature.fits(SECRET, &parts, &empty, &at("example.amazonaws.com", "/x")));
    }

    #[test]
    fn a_signature_is_of_its_time_and_service() {
        let signature = Signature::of(&example()).unwrap();
        let made = 1_440_938_160;
        assert_eq!(signature.of_now(made + SKEW), Ok(()));
        assert_eq!(signature.of_now(made + SKEW + 1), Err(Unsigned::Expired));
        assert_eq!(signature.of_now(made - SKEW - 1), Err(Unsigned::Expired));
        let with = |authorization: &str| {
            let mut parts = example();
            parts.headers.insert("authorization", authorization.parse().unwrap());
            signer(&parts, &Bytes::new(), "execute-api", &[], |_| None)
        };
        let whole = text(&example().headers, "authorization").unwrap().to_owned();
        assert_eq!(with(&whole), Err(Unsigned::Service("service".to_owned())));
        assert_eq!(with("Bearer x"), Err(Unsigned::Missing));
        let short = whole.replace("b97d918c", "");
        assert_eq!(with(&short), Err(Unsigned::Incomplete("Signature")));
        let headless = whole.replace("host;", "");
        assert_eq!(with(&headless), Err(Unsigned::Incomplete("SignedHeaders")));
        assert_eq!(with(&whole.replace("20150830/", "20150831/")), Err(Unsigned::Incomplete("Credential")));
        let unsigned = Request::get("/").body(()).unwrap().into_parts().0;
        let found = signer(&unsigned, &Bytes::new(), "service", &[], |_| None);
        assert_eq!(found, Err(Unsigned::Missing));
        assert_eq!(KEY, signature.key);
    }
}
