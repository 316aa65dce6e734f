//! The credential scope of a signed request, which names the access key, the region and the service.
//!
//! In: headers and query of a request that is signed in a header or presigned, see
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-auth-using-authorization-header.html>. A request without a scope
//! is not signed.

use crate::http;
use axum::http::{HeaderMap, Uri, header};

/// A credential scope: `<key>/<date>/<region>/<service>/aws4_request`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CredentialScope {
    pub(crate) access_key_id: String,
    pub(crate) region: String,
    /// The service's signing name, such as `s3`.
    pub(crate) service: String,
}

impl CredentialScope {
    /// Reads the scope of a request, from `Authorization` or from a presigned address.
    pub(crate) fn of(headers: &HeaderMap, uri: &Uri) -> Option<Self> {
        if let Some(authorization) = headers.get(header::AUTHORIZATION) {
            return Self::parse(authorization.to_str().ok()?);
        }
        let pairs = http::query_pairs(uri.query().unwrap_or_default());
        let (_, credential) =
            pairs.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("X-Amz-Credential"))?;
        Self::read(&credential)
    }

    /// Reads the value of an `Authorization` header.
    pub(crate) fn parse(authorization: &str) -> Option<Self> {
        let (_, rest) = authorization.split_once("Credential=")?;
        Self::read(rest.split([',', ' ']).next()?)
    }

    fn read(credential: &str) -> Option<Self> {
        let mut parts = credential.split('/');
        let (key, _, region, service) = (parts.next()?, parts.next()?, parts.next()?, parts.next());
        (!key.is_empty()).then(|| Self {
            access_key_id: key.to_owned(),
            region: region.to_owned(),
            service: service.unwrap_or_default().to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scope_is_read_from_header_and_presigned_address() {
        let scope = CredentialScope {
            access_key_id: "AKIA".to_owned(),
            region: "eu-central-1".to_owned(),
            service: "s3".to_owned(),
        };
        let mut headers = HeaderMap::new();
        let presigned =
            Uri::from_static("/b/k?X-Amz-Credential=AKIA%2F20260101%2Feu-central-1%2Fs3%2Faws4_request&x=1");
        assert_eq!(CredentialScope::of(&headers, &presigned), Some(scope.clone()));
        assert_eq!(CredentialScope::of(&headers, &Uri::from_static("/b/k?x=1")), None);
        let signed =
            "AWS4-HMAC-SHA256 Credential=AKIA/20260101/eu-central-1/s3/aws4_request, SignedHeaders=host";
        headers.insert(header::AUTHORIZATION, signed.parse().unwrap());
        assert_eq!(CredentialScope::of(&headers, &Uri::from_static("/")), Some(scope));
        assert_eq!(CredentialScope::parse("Basic abc"), None);
    }
}
