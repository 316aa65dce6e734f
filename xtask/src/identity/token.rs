//! A token as it arrives: a JSON Web Signature in compact form.
//!
//! In: text. Out: [`Token`], whose claims mean nothing before its signature was verified. Goes wrong: three parts that are not
//! base64 of JSON; an algorithm that is not one of two; header fields that must be understood and are not. Rules:
//! <https://www.rfc-editor.org/rfc/rfc7515>.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};

/// The longest token that is read, in bytes.
const LONGEST: usize = 64 << 10;

/// The algorithms that are accepted. `none` and those with a shared secret are not among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum Algorithm {
    /// RSA (PKCS#1 1.5) with SHA-256.
    RS256,
    /// ECDSA on P-256 with SHA-256.
    ES256,
}

#[derive(Debug, Deserialize)]
struct Header {
    alg: Algorithm,
    kid: Option<String>,
    crit: Option<Value>,
}

/// A token that was read, and not yet verified.
pub(super) struct Token {
    header: Header,
    claims: Map<String, Value>,
    /// What was signed: header and payload as they arrived.
    pub(super) signed: String,
    /// The signature's bytes.
    pub(super) signature: Vec<u8>,
}

impl Token {
    /// Reads a token; the error says why it is none, and never quotes it.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.len() > LONGEST {
            return Err(format!("it has more than {LONGEST} bytes"));
        }
        let mut parts = text.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err("it does not have the three parts of a signed token".into());
        };
        let decode = |part: &str, what: &str| {
            BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| format!("its {what} is not base64"))
        };
        let read: Header = serde_json::from_slice(&decode(header, "header")?)
            .map_err(|_| "its header does not name RS256 or ES256 as the algorithm".to_owned())?;
        if read.crit.is_some() {
            return Err("its header demands an extension that is not known (`crit`)".into());
        }
        let claims = serde_json::from_slice(&decode(payload, "payload")?)
            .map_err(|_| "its payload is not a JSON object".to_owned())?;
        let signature = decode(signature, "signature")?;
        Ok(Self { header: read, claims, signed: format!("{header}.{payload}"), signature })
    }

    /// Returns the algorithm that the header names.
    pub(super) fn algorithm(&self) -> Algorithm {
        self.header.alg
    }

    /// Returns the id of the key that signed it.
    pub(super) fn key_id(&self) -> Option<&str> {
        self.header.kid.as_deref()
    }

    /// Returns whether there is a claim of this name.
    pub(super) fn has(&self, claim: &str) -> bool {
        self.claims.contains_key(claim)
    }

    /// Returns a claim that is a text with something in it.
    pub(super) fn text(&self, claim: &str) -> Option<&str> {
        self.claims.get(claim).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// Returns a claim that is a text or a number, as text.
    pub(super) fn number_or_text(&self, claim: &str) -> Option<String> {
        match self.claims.get(claim)? {
            Value::Number(number) => Some(number.to_string()),
            _ => self.text(claim).map(str::to_owned),
        }
    }

    /// Returns a claim that is a text or a list of texts; anything else counts as nothing.
    pub(super) fn texts(&self, claim: &str) -> Vec<&str> {
        match self.claims.get(claim) {
            Some(Value::String(text)) => vec![text],
            Some(Value::Array(items)) if items.iter().all(Value::is_string) => {
                items.iter().filter_map(Value::as_str).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Returns a claim that is a time, in seconds since 1970.
    pub(super) fn seconds(&self, claim: &str) -> Option<i64> {
        let value = self.claims.get(claim)?;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a fraction of a second does not matter, and `as` saturates"
        )]
        value.as_i64().or_else(|| value.as_f64().map(|seconds| seconds.floor() as i64))
    }
}
