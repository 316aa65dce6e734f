//! Signs requests to the emulator with Signature Version 4, through the AWS SDK's signer.
//!
//! In: a request with its `Host`, its body, a credential, region and service. Out: the request with `Authorization`, date,
//! content digest and session token; earlier ones are replaced. The digest is always sent: without it moto computes one
//! from its own reading of the address if there is no body. Errors: a header is not text. The request is then not changed,
//! and the emulator rejects it if its IAM checks are enabled.

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, header};
use std::time::SystemTime;

/// The headers that signing adds.
const ADDED: [&str; 4] = ["authorization", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token"];
/// The headers that a signature covers, in addition to those that it adds.
const COVERED: [HeaderName; 2] = [header::HOST, header::CONTENT_TYPE];

/// A credential that the emulator issued.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Credential {
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
    /// Empty for a user's key.
    pub(crate) session_token: String,
}

/// Signs a request, in place of an earlier signature.
pub(crate) fn resign(parts: &mut Parts, body: &[u8], credential: &Credential, region: &str, service: &str) {
    let Some(added) = signature_headers(parts, body, credential, region, service) else {
        return;
    };
    for name in ADDED {
        parts.headers.remove(name);
    }
    parts.headers.extend(added);
}

fn signature_headers(
    parts: &Parts,
    body: &[u8],
    credential: &Credential,
    region: &str,
    service: &str,
) -> Option<Vec<(HeaderName, HeaderValue)>> {
    let Credential { access_key_id, secret_access_key, session_token } = credential;
    let token = Some(session_token.clone()).filter(|token| !token.is_empty());
    let identity = Credentials::new(access_key_id, secret_access_key, token, None, "local").into();
    let mut settings = SigningSettings::default();
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    if service == "s3" {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    }
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(service)
        .time(SystemTime::now())
        .settings(settings)
        .build()
        .ok()?;
    let host = parts.headers.get(header::HOST)?.to_str().ok()?;
    let url = format!("http://{host}{}", parts.uri.path_and_query().map_or("/", |target| target.as_str()));
    let covered = parts
        .headers
        .iter()
        .filter(|(name, _)| COVERED.contains(name) || name.as_str().starts_with("x-amz-"))
        .filter(|(name, _)| !ADDED.contains(&name.as_str()))
        .map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
        .collect::<Option<Vec<_>>>()?;
    let request =
        SignableRequest::new(parts.method.as_str(), url, covered.into_iter(), SignableBody::Bytes(body))
            .ok()?;
    let (instructions, _) = sign(request, &parameters.into()).ok()?.into_parts();
    let (added, _) = instructions.into_parts();
    added
        .into_iter()
        .map(|header| {
            let name = HeaderName::try_from(header.name()).ok()?;
            Some((name, HeaderValue::from_str(header.value()).ok()?))
        })
        .collect()
}
