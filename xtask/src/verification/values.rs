//! Fills placeholders in requests: values captured from earlier responses, outputs of the stack, secrets, a random value.
//!
//! In: a text with `${…}`. Out: the text with the values. Errors: an output that the stack does not have, a secret that
//! does not exist or lacks the named value.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::mask::SecretMask;
use crate::failure::{Failure, FailureKind, Result};
use crate::plan::Output;
use crate::ports::Services;
use crate::settings::placeholders;

/// The least length of a value that counts as a token, in bytes.
const SHORTEST_TOKEN: usize = 16;

/// The values that may stand between `${` and `}`.
pub(crate) struct Values<'a> {
    outputs: &'a BTreeMap<String, Output>,
    services: &'a Arc<dyn Services>,
    known: BTreeMap<String, String>,
    /// The names of `known` whose values must not be printed.
    secret_names: BTreeSet<String>,
    secrets: SecretMask,
}

impl<'a> Values<'a> {
    /// Begins with a stack's outputs. `random` is the same for all requests of one verification.
    pub(crate) fn new(outputs: &'a BTreeMap<String, Output>, services: &'a Arc<dyn Services>) -> Self {
        let random = format!("{:016x}", fastrand::u64(..));
        Self {
            outputs,
            services,
            known: BTreeMap::from([("random".to_owned(), random)]),
            secret_names: BTreeSet::new(),
            secrets: SecretMask::default(),
        }
    }

    /// Returns the secrets that filled a text so far.
    pub(crate) fn secrets(&self) -> &SecretMask {
        &self.secrets
    }

    /// Returns whether a text names a secret, or a value that was captured from the response to one.
    pub(crate) fn names_secret(&self, text: &str) -> bool {
        placeholders(text).iter().any(|name| name.starts_with("secret.") || self.secret_names.contains(name))
    }

    /// Sets a value that a response to a secret gave, such as a session's token.
    pub(crate) fn set_secret(&mut self, name: &str, value: &Value) {
        let text = plain(value);
        // A short value is an id or a state, which a failed check has to show.
        if text.len() >= SHORTEST_TOKEN {
            self.secrets.add(&text);
            self.services.hide_secret(&text);
            self.secret_names.insert(name.to_owned());
        }
        self.set(name, value);
    }

    /// Sets a value.
    pub(crate) fn set(&mut self, name: &str, value: &Value) {
        self.known.insert(name.to_owned(), plain(value));
    }

    /// Returns the text with its placeholders filled.
    pub(crate) async fn fill(&mut self, text: &str) -> Result<String> {
        let mut filled = text.to_owned();
        for name in placeholders(text) {
            let value = self.value(&name).await?;
            filled = filled.replace(&format!("${{{name}}}"), &value);
        }
        Ok(filled)
    }

    /// Returns a JSON value with the placeholders in all its texts filled.
    pub(crate) async fn fill_json(&mut self, value: &Value) -> Result<Value> {
        Ok(match value {
            Value::String(text) => Value::String(self.fill(text).await?),
            Value::Array(items) => {
                let mut filled = Vec::new();
                for item in items {
                    filled.push(Box::pin(self.fill_json(item)).await?);
                }
                Value::Array(filled)
            }
            Value::Object(members) => {
                let mut filled = serde_json::Map::new();
                for (name, member) in members {
                    filled.insert(name.clone(), Box::pin(self.fill_json(member)).await?);
                }
                Value::Object(filled)
            }
            other => other.clone(),
        })
    }

    async fn value(&mut self, name: &str) -> Result<String> {
        if let Some(value) = self.known.get(name) {
            return Ok(value.clone());
        }
        let value = if let Some(output) = name.strip_prefix("output.") {
            plain(self.output(output)?)
        } else if let Some(rest) = name.strip_prefix("secret.") {
            let secret = self.secret(rest).await?;
            self.secrets.add(&secret);
            self.services.hide_secret(&secret);
            secret
        } else {
            return Err(Failure::usage(format!(
                "${{{name}}} has no value: no earlier response was captured under that name"
            )));
        };
        self.known.insert(name.to_owned(), value.clone());
        Ok(value)
    }

    fn output(&self, name: &str) -> Result<&Value> {
        let output = self.outputs.get(name).ok_or_else(|| {
            Failure::usage(format!("${{output.{name}}} has no value: the stack has no output `{name}`")).hint(
                format!("its outputs: {}", crate::format::list(self.outputs.keys().map(String::as_str))),
            )
        })?;
        Ok(&output.value)
    }

    /// Reads `<output>` or `<output>/<pointer>`: the secret whose ARN or name is the value of the output.
    async fn secret(&self, place: &str) -> Result<String> {
        let (output, pointer) = place.find('/').map_or((place, ""), |at| place.split_at(at));
        let id = plain(self.output(output)?);
        let holds =
            if pointer.is_empty() { String::new() } else { format!(" (JSON with a value at {pointer})") };
        let missing = |what: &str| {
            Failure::new(FailureKind::VerificationFailed, format!("the secret {id} {what}")).hint(format!(
                "put its value{holds} there, then run the same command again: aws secretsmanager put-secret-value --secret-id {id} --secret-string file://<file>"
            ))
        };
        let text =
            self.services.secret(&id).await?.ok_or_else(|| missing("does not exist, or has no value yet"))?;
        if pointer.is_empty() {
            return Ok(text);
        }
        let document: Value = serde_json::from_str(&text).map_err(|_| missing("holds no JSON"))?;
        let found =
            document.pointer(pointer).ok_or_else(|| missing(&format!("has no value at {pointer}")))?;
        Ok(plain(found))
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
