//! Authentication with API keys.
//!
//! In: the header `X-API-Key`, and a secret with a JSON array of keys or `{"keys": […]}`; a key is a text, or
//! `{"key": "…", "projects": ["…"]}`. Out: the projects that the caller may use. The secret is read once for an instance, again after some minutes, and again for an unknown key, though
//! not for each: a key that was just added works at once, and guessing keys costs no calls. What can go wrong: 401
//! for a key that is missing or unknown; 503 for a secret that is missing or malformed, which the log names. Keys
//! reach neither a log nor an answer: the instance itself keeps their digests alone.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use aws_sdk_secretsmanager::Client;
use lambda_runtime::tracing::{info, warn};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use subtle::{ConditionallySelectable as _, ConstantTimeEq as _};
use tokio::sync::Mutex;

use crate::aws::{Meaning, Refusal, Traced as _};
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

/// The projects that a key is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Projects {
    /// Every project.
    All,
    /// These.
    Only(Arc<BTreeSet<String>>),
}

impl Projects {
    /// Returns whether a project is among them.
    pub(crate) fn include(&self, project: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(projects) => projects.contains(project),
        }
    }
}

/// The SHA-256 of each key, all of one length and useless to a thief, with the key's projects.
#[derive(Debug)]
struct Digests(Vec<([u8; 32], Projects)>);

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
    List(Vec<Key>),
    Named(Named),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    keys: Vec<Key>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Key {
    ForAll(String),
    Bound(BoundKey),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BoundKey {
    key: String,
    projects: Option<BTreeSet<String>>,
}

impl ApiKeys {
    pub(crate) fn new(client: Client, secret: String, pace: Pace) -> Self {
        Self { client, secret, pace, state: Mutex::default() }
    }

    /// Checks a caller's key; returns the projects that it is for.
    pub(crate) async fn admit(&self, presented: Option<&str>) -> Result<Projects, ApiError> {
        let Some(presented) = presented.filter(|key| !key.is_empty()) else {
            return Err(ApiError::unauthorized("the header X-API-Key is missing"));
        };
        let presented: [u8; 32] = Sha256::digest(presented).into();
        let mut state = self.state.lock().await;
        let old = state.keys.as_ref().is_none_or(|(read, _)| read.elapsed() >= self.pace.keep);
        if old && self.may_ask(&state) {
            self.read(&mut state).await;
        }
        if let Some(projects) = state.admits(&presented) {
            return Ok(projects);
        }
        // The key may be newer than what is known.
        if self.may_ask(&state) {
            self.read(&mut state).await;
            if let Some(projects) = state.admits(&presented) {
                return Ok(projects);
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
        let answer = self
            .client
            .get_secret_value()
            .secret_id(&self.secret)
            .send()
            .traced("SecretsManager.GetSecretValue")
            .await
            .map_err(|error| {
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

impl Key {
    fn bound(self) -> BoundKey {
        match self {
            Self::ForAll(key) => BoundKey { key, projects: None },
            Self::Bound(bound) => bound,
        }
    }
}

impl State {
    fn admits(&self, presented: &[u8; 32]) -> Option<Projects> {
        self.keys.as_ref().and_then(|(_, digests)| digests.projects_of(presented)).cloned()
    }
}

impl Digests {
    /// Reads the secret's text. Never quotes it.
    fn parse(text: &str) -> Result<Self, String> {
        let value: serde_json::Value = serde_json::from_str(text)
            .map_err(|error| format!("it is no JSON: line {}, column {}", error.line(), error.column()))?;
        let (Secret::List(keys) | Secret::Named(Named { keys })) = serde_json::from_value(value)
            .map_err(|_| {
                "it is neither a JSON array nor {\"keys\": [an array]} of texts and {\"key\": a text, \"projects\": [texts]}".to_owned()
            })?;
        let keys: Vec<BoundKey> = keys.into_iter().map(Key::bound).collect();
        if keys.is_empty() {
            return Err("it holds no key".to_owned());
        }
        let short = |key: &str| key.chars().count() < SHORTEST_KEY || key.trim() != key;
        if let Some(at) = keys.iter().position(|key| short(&key.key)) {
            return Err(format!(
                "its key number {} is shorter than {SHORTEST_KEY} characters, or begins or ends with a blank",
                at + 1
            ));
        }
        let mut digests: Vec<([u8; 32], Projects)> = Vec::new();
        for (at, BoundKey { key, projects }) in keys.into_iter().enumerate() {
            let digest: [u8; 32] = Sha256::digest(&key).into();
            if digests.iter().any(|(known, _)| *known == digest) {
                return Err(format!("its key number {} is there twice", at + 1));
            }
            let projects = match projects {
                None => Projects::All,
                Some(none) if none.is_empty() => {
                    return Err(format!("its key number {} is for no project", at + 1));
                }
                Some(some) => Projects::Only(Arc::new(some)),
            };
            digests.push((digest, projects));
        }
        Ok(Self(digests))
    }

    /// Returns the projects of a key, if it is one. Compares with every key, always all of them: the time taken does not tell how
    /// much of a key was right.
    fn projects_of(&self, presented: &[u8; 32]) -> Option<&Projects> {
        let found = (1_u32..).zip(&self.0).fold(0, |found, (place, (digest, _))| {
            u32::conditional_select(&found, &place, digest.ct_eq(presented))
        });
        let place = usize::try_from(found).ok()?.checked_sub(1)?;
        self.0.get(place).map(|(_, projects)| projects)
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::{Digests, Projects};

    fn admits(digests: &Digests, key: &str) -> bool {
        digests.projects_of(&Sha256::digest(key).into()).is_some()
    }

    #[test]
    fn key_may_be_bound_to_projects() {
        let text = r#"["for-all-projects", {"key": "for-two-projects", "projects": ["shop", "blog"]}, {"key": "for-all-too"}]"#;
        let digests = Digests::parse(text).expect("keys");
        let of = |key: &str| digests.projects_of(&Sha256::digest(key).into()).expect("a key");
        for key in ["for-all-projects", "for-all-too"] {
            assert_eq!(of(key), &Projects::All);
        }
        let two = of("for-two-projects");
        assert!(two.include("shop") && two.include("blog"));
        assert!(!two.include("Shop") && !two.include("sho") && !two.include(""));
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
            (r#"[{"key": "hush-hush", "projects": []}]"#, "key number 1 is for no project"),
            (r#"["hush-hush", {"key": "hush-hush", "projects": ["shop"]}]"#, "key number 2 is there twice"),
            (r#"[{"key": "hush-hush", "project": "shop"}]"#, "neither"),
            (r#"[{"key": "hush-hush", "projects": "shop"}]"#, "neither"),
        ] {
            let error = Digests::parse(text).expect_err(text);
            assert!(error.contains(why) && !error.contains("hush"), "{error}");
        }
    }
}
