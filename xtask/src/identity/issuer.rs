//! The keys of an issuer: found through its discovery document, and the check of a signature by one of them.
//!
//! In: a builder that is trusted. Out: [`IssuerKeys`]. Goes wrong: the issuer cannot be reached, or its documents are not those
//! of this issuer. Rules: <https://openid.net/specs/openid-connect-discovery-1_0.html>, <https://www.rfc-editor.org/rfc/rfc7517>.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::token::{Algorithm, Token};
use crate::failure::{Failure, Result};
use crate::ports::{HttpRequest, Services};
use crate::settings::BuilderSettings;

/// How long an issuer may take to respond.
const TIME_LIMIT: Duration = Duration::from_secs(20);

/// Part of a discovery document.
#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

/// The public keys of an issuer.
#[derive(Deserialize)]
pub(super) struct IssuerKeys {
    keys: Vec<Key>,
}

/// A JSON Web Key; the fields of kinds that are not accepted are ignored.
#[derive(Deserialize)]
struct Key {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    /// RSA: the modulus and the exponent.
    n: Option<String>,
    e: Option<String>,
    /// Elliptic curves: the curve and the point.
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// Reads an issuer's keys, by its discovery document.
pub(super) async fn keys(builder: &BuilderSettings, services: &dyn Services) -> Result<IssuerKeys> {
    let issuer = &builder.issuer;
    let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    let discovery: Discovery = document(&url, services).await?;
    if discovery.issuer != *issuer {
        return Err(Failure::refused(format!("{url} is of another issuer: {}", discovery.issuer))
            .unchanged("Nothing was built, published or deployed."));
    }
    let keys = &discovery.jwks_uri;
    let is_fit = match builder.is_loopback() {
        // An issuer on this machine serves its keys itself.
        true => keys.strip_prefix(issuer.trim_end_matches('/')).is_some_and(|rest| rest.starts_with('/')),
        false => keys.starts_with("https://"),
    };
    if !is_fit {
        return Err(Failure::refused(format!("{url} names keys at {keys}, which is no place for them"))
            .unchanged("Nothing was built, published or deployed."));
    }
    document(keys, services).await
}

async fn document<T: DeserializeOwned>(url: &str, services: &dyn Services) -> Result<T> {
    let request = HttpRequest {
        method: "GET".into(),
        url: url.to_owned(),
        headers: vec![
            ("accept".to_owned(), "application/json".to_owned()),
            ("user-agent".to_owned(), "slipway".to_owned()),
        ],
        body: Vec::new(),
    };
    let failed = |why: String| {
        Failure::failed(format!("the issuer's {url} cannot be read: {why}"))
            .unchanged("Nothing was built, published or deployed.")
            .hint("without the issuer's keys the token cannot be verified: run the same command again")
    };
    let response = services.send(&request, None, TIME_LIMIT).await?;
    if response.status != 200 {
        return Err(failed(format!("HTTP status {}", response.status)));
    }
    serde_json::from_slice(&response.body).map_err(|error| failed(error.to_string()))
}

impl IssuerKeys {
    /// Verifies a token's signature; the error says why it does not fit.
    pub(super) fn verify(&self, token: &Token) -> Result<(), String> {
        let named = token.key_id();
        let fitting =
            |key: &&Key| key.fits(token.algorithm()) && (named.is_none() || key.kid.as_deref() == named);
        let mut keys = self.keys.iter().filter(fitting).peekable();
        if keys.peek().is_none() {
            return Err(match named {
                Some(id) => format!("its issuer has no key `{}` for {:?}", printable(id), token.algorithm()),
                None => format!("its issuer has no key for {:?}", token.algorithm()),
            });
        }
        match keys.any(|key| key.verifies(token) == Some(true)) {
            true => Ok(()),
            false => Err("its signature is not that of its issuer's key".into()),
        }
    }
}

impl Key {
    /// Returns whether the key may sign with an algorithm. The key decides, not the token: else a public key could be taken
    /// for another kind of key.
    fn fits(&self, algorithm: Algorithm) -> bool {
        let (kind, name) = match algorithm {
            Algorithm::RS256 => ("RSA", "RS256"),
            Algorithm::ES256 => ("EC", "ES256"),
        };
        self.kty == kind
            && self.alg.as_deref().is_none_or(|alg| alg == name)
            && self.usage.as_deref().is_none_or(|usage| usage == "sig")
    }

    /// Returns whether the key made a token's signature; nothing where it is not a whole key.
    fn verifies(&self, token: &Token) -> Option<bool> {
        let number = |text: &Option<String>| BASE64_URL_SAFE_NO_PAD.decode(text.as_ref()?).ok();
        let (message, signature) = (token.signed.as_bytes(), token.signature.as_slice());
        let verified = match token.algorithm() {
            Algorithm::RS256 => {
                let (n, e) = (number(&self.n)?, number(&self.e)?);
                // A leading zero, which some libraries write, is no part of the number.
                let n = n.strip_prefix(&[0]).unwrap_or(&n);
                RsaPublicKeyComponents { n, e: &e[..] }.verify(
                    &RSA_PKCS1_2048_8192_SHA256,
                    message,
                    signature,
                )
            }
            Algorithm::ES256 => {
                let (x, y) = (number(&self.x)?, number(&self.y)?);
                if self.crv.as_deref() != Some("P-256") || x.len() != 32 || y.len() != 32 {
                    return None;
                }
                let point = [&[4][..], &x, &y].concat();
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
        };
        Some(verified.is_ok())
    }
}

/// Returns the beginning of a text from outside, without what a terminal would act on.
fn printable(text: &str) -> String {
    text.chars().filter(|char| char.is_ascii_graphic()).take(80).collect()
}
