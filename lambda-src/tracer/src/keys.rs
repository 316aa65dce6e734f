//! Authentication with API keys.
//!
//! In: the header `X-API-Key`, and a secret with a JSON array of keys or `{"keys": […]}`. Out: whether the caller is
//! let in. The secret is read once for an instance, again after some minutes, and again for an unknown key, though
//! not for each: a key that was just added works at once, and guessing keys costs no calls. What can go wrong: 401
//! for a key that is missing or unknown; 503 for a secret that is missing or malformed, which the log names. Keys
//! reach neither a log nor an answer: the instance itself keeps their digests alone.

use std::time::Instant;

use aws_sdk_secretsmanager::Client;
use lambda_runtime::tracing::{info, warn};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};
use tokio::sync::Mutex;

use crate::aws::{Meaning, Refusal};
use crate::settings::Pace;
use http_function::ApiError;

/// The shortest key that is a key, in characters.
const SHORTEST_KEY: usize = 8;

/// Checks the API keys of callers.
#[derive(Debug)]
pub(crate) struct ApiKeys {
    client: Client,
    secret: String,
    pace: Pace,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    keys: Option<(Instant, Digests)>,
    /// When the secret was last requested, successfully or not.
    asked: Option<Instant>,
    failure: Option<KeysError>,
}

/// The SHA-256 of each key: all of one length, and useless to a thief.
#[derive(Debug)]
struct Digests(Vec<[u8; 32]>);

#[derive(Debug, Clone, thiserror::Error)]
enum KeysError {
    #[error("the secret {secret} with the API keys can't be used: {why}")]
    Unusable { secret: String, why: String },
    #[error("the secret {secret} with the API keys can't be read now: {why}")]
    Unreachable { secret: String, why: String },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Secret {
    List(Vec<String>),
    Named(Named),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    keys: Vec<String>,
}

impl ApiKeys {
    pub(crate) fn new(client: Client, secret: String, pace: Pace) -> Self {
        Self { client, secret, pace, state: Mutex::default() }
    }

    /// Checks a caller's key.
    pub(crate) async fn admit(&self, presented: Option<&str>) -> Result<(), ApiError> {
        let Some(presented) = presented.filter(|key| !key.is_empty()) else {
            return Err(ApiError::unauthorized("the header X-API-Key is missing"));
        };
        let presented: [u8; 32] = Sha256::digest(presented).into();
        let mut state = self.state.lock().await;
        let old = state.keys.as_ref().is_none_or(|(read, _)| read.elapsed() >= self.pace.keep);
        if old && self.may_ask(&state) {
            self.read(&mut state).await;
        }
        if state.admits(&presented) {
            return Ok(());
        }
        // The key may be newer than what is known.
        if self.may_ask(&state) {
            self.read(&mut state).await;
            if state.admits(&presented) {
                return Ok(());
            }
        }
        match (&state.keys, &state.failure) {
            (None, Some(failure)) => {
                let message = match failure {
                    KeysError::Unusable { .. } => {
                        "the API's keys are not set up; its log says what is missing"
                    }
                    KeysError::Unreachable { .. } => "the API's keys can't be read now",
                };
                Err(ApiError::unavailable("keys_unavailable", message, failure.to_string()))
            }
            _ => Err(ApiError::unauthorized("the header X-API-Key holds no key of this API")),
        }
    }

    fn may_ask(&self, state: &State) -> bool {
        state.asked.is_none_or(|asked| asked.elapsed() >= self.pace.again)
    }

    async fn read(&self, state: &mut State) {
        let read = self.fetch().await;
        state.asked = Some(Instant::now());
        match read {
            Ok(digests) => {
                info!(keys = digests.0.len(), "the API keys were read");
                state.keys = Some((Instant::now(), digests));
                state.failure = None;
            }
            Err(failure) => {
                let stale = |(read, _): &(Instant, Digests)| read.elapsed() < self.pace.stale;
                let is_lasting = matches!(failure, KeysError::Unusable { .. });
                if is_lasting || !state.keys.as_ref().is_some_and(stale) {
                    state.keys = None;
                }
                warn!(secret = self.secret, kept = state.keys.is_some(), "{failure}");
                state.failure = Some(failure);
            }
        }
    }

    async fn fetch(&self) -> Result<Digests, KeysError> {
        let secret = || self.secret.clone();
        let answer =
            self.client.get_secret_value().secret_id(&self.secret).send().await.map_err(|error| {
                let refusal = Refusal::of("GetSecretValue", &error);
                match refusal.meaning {
                    Meaning::Refused => KeysError::Unusable { secret: secret(), why: refusal.cause },
                    Meaning::Throttled | Meaning::Unavailable => {
                        KeysError::Unreachable { secret: secret(), why: refusal.cause }
                    }
                }
            })?;
        let unusable = |why: String| KeysError::Unusable { secret: secret(), why };
        let text = answer.secret_string().ok_or_else(|| unusable("it holds bytes, not text".to_owned()))?;
        Digests::parse(text).map_err(unusable)
    }
}

impl State {
    fn admits(&self, presented: &[u8; 32]) -> bool {
        self.keys.as_ref().is_some_and(|(_, digests)| digests.hold(presented))
    }
}

impl Digests {
    /// Reads the secret's text. Never quotes it.
    fn parse(text: &str) -> Result<Self, String> {
        let value: serde_json::Value = serde_json::from_str(text)
            .map_err(|error| format!("it is no JSON: line {}, column {}", error.line(), error.column()))?;
        let (Secret::List(keys) | Secret::Named(Named { keys })) = serde_json::from_value(value)
            .map_err(|_| "it is neither a JSON array of strings nor {\"keys\": [of strings]}".to_owned())?;
        if keys.is_empty() {
            return Err("it holds no key".to_owned());
        }
        let short = |key: &String| key.chars().count() < SHORTEST_KEY || key.trim() != key;
        if let Some(at) = keys.iter().position(short) {
            return Err(format!(
                "its key number {} is shorter than {SHORTEST_KEY} characters, or begins or ends with a blank",
                at + 1
            ));
        }
        Ok(Self(keys.iter().map(|key| Sha256::digest(key).into()).collect()))
    }

    /// Compares with every key, always all of them: the time taken reveals nothing.
    fn hold(&self, presented: &[u8; 32]) -> bool {
        let found = self.0.iter().fold(Choice::from(0), |found, key| found | key.ct_eq(presented));
        found.into()
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::Digests;

    fn admits(digests: &Digests, key: &str) -> bool {
        digests.hold(&Sha256::digest(key).into())
    }

    #[test]
    fn any_of_the_keys_is_one() {
        for text in [r#"["first-key","second-key"]"#, r#"{"keys":["first-key","second-key"]}"#] {
            let digests = Digests::parse(text).expect(text);
            for key in ["first-key", "second-key"] {
                assert!(admits(&digests, key), "{key}");
            }
            for key in ["", "first-ke", "first-key ", "FIRST-KEY", "third-key", "first-keysecond-key"] {
                assert!(!admits(&digests, key), "{key}");
            }
        }
    }

    #[test]
    fn a_secret_that_is_no_list_of_keys_is_refused_without_being_quoted() {
        for (text, why) in [
            ("hush-hush", "no JSON"),
            (r#""hush-hush""#, "neither"),
            (r#"["hush-hush", 5]"#, "neither"),
            (r#"{"keys": ["hush-hush"], "kyes": []}"#, "neither"),
            (r#"{"key": "hush-hush"}"#, "neither"),
            ("[]", "no key"),
            (r#"{"keys": []}"#, "no key"),
            (r#"["hush-hush", "hush"]"#, "key number 2"),
            (r#"[" hush-hush"]"#, "key number 1"),
        ] {
            let error = Digests::parse(text).expect_err(text);
            assert!(error.contains(why) && !error.contains("hush"), "{error}");
        }
    }
}
