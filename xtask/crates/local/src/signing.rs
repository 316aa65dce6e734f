//! Signs the local environment's own calls, with Signature Version 4 by the AWS SDK's own signer.
//!
//! In: a request with its `Host`, its body, a credential, region and service. Out: the same with `Authorization`, its
//! time, its content's digest, and the session's token; what it had of these is replaced. The digest is always sent: without it
//! the emulator takes a digest of its own reading of the address where there is no body. What can go wrong: a header is no
//! text; the request is then left as it is, and the emulator refuses it where it checks.

use crate::emulator::Credential;
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, header};
use std::time::SystemTime;

/// What a signature is made of; an older one goes.
const MADE: [&str; 4] = ["authorization", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token"];
/// The headers that a signature covers, beside what it adds.
const COVERED: [HeaderName; 2] = [header::HOST, header::CONTENT_TYPE];

/// Signs a request.
pub(crate) fn resign(parts: &mut Parts, body: &[u8], credential: &Credential, region: &str, service: &str) {
    let Some(made) = headers(parts, body, credential, region, service) else {
        return;
    };
    for name in MADE {
        parts.headers.remove(name);
    }
    parts.headers.extend(made);
}

fn headers(
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
        .filter(|(name, _)| !MADE.contains(&name.as_str()))
        .map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
        .collect::<Option<Vec<_>>>()?;
    let request =
        SignableRequest::new(parts.method.as_str(), url, covered.into_iter(), SignableBody::Bytes(body))
            .ok()?;
    let (instructions, _) = sign(request, &parameters.into()).ok()?.into_parts();
    let (made, _) = instructions.into_parts();
    made.into_iter()
        .map(|header| {
            let name = HeaderName::try_from(header.name()).ok()?;
            Some((name, HeaderValue::from_str(header.value()).ok()?))
        })
        .collect()
}
