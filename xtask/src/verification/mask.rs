//! Masks secrets in what is printed: a function may echo the secret that a request carried.
//!
//! In: the values that filled requests. Out: texts with `***` in their place, also where a value is written as JSON, as a URL
//! writes it, or in base64. A value of less than four bytes is masked only where it stands alone: as a part of other words it
//! would hide everything, and nothing.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;

/// The text in place of a secret.
const MASK: &str = "***";
/// The least length of a value that is masked in the middle of a word too, in bytes.
const SHORTEST: usize = 4;

/// The secrets of one verification.
#[derive(Debug, Default, Clone)]
pub(crate) struct SecretMask(BTreeSet<String>);

impl SecretMask {
    /// Adds a secret. Of a document each text in it is a secret, and of a text each of its lines.
    pub(crate) fn add(&mut self, secret: &str) {
        self.add_text(secret);
        secret.lines().for_each(|line| self.add_text(line.trim()));
        if let Ok(document) = serde_json::from_str::<Value>(secret) {
            self.add_members(&document);
        }
    }

    /// Returns a text without the secrets.
    pub(crate) fn mask(&self, text: &str) -> String {
        // Longest first: a secret may be a part of another.
        let mut secrets: Vec<&String> = self.0.iter().collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.into_iter().fold(text.to_owned(), |text, secret| match text.contains(secret.as_str()) {
            false => text,
            true if secret.len() < SHORTEST => mask_words(&text, secret),
            true => text.replace(secret.as_str(), MASK),
        })
    }

    fn add_members(&mut self, document: &Value) {
        match document {
            Value::Object(members) => members.values().for_each(|member| self.add_members(member)),
            Value::Array(items) => items.iter().for_each(|item| self.add_members(item)),
            Value::String(text) => self.add_text(text),
            _ => {}
        }
    }

    fn add_text(&mut self, secret: &str) {
        if secret.len() < SHORTEST {
            // Its other forms are as short, or nobody would know them again.
            if !secret.is_empty() {
                self.0.insert(secret.to_owned());
            }
            return;
        }
        let json = Value::from(secret).to_string();
        let url: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        let forms = [
            secret.to_owned(),
            json[1..json.len() - 1].to_owned(),
            // A response that is a text of JSON is written as JSON once more.
            Value::from(&json[1..json.len() - 1]).to_string().trim_matches('"').to_owned(),
            url.replace('+', "%20"),
            url,
            STANDARD.encode(secret),
            URL_SAFE_NO_PAD.encode(secret),
        ];
        self.0.extend(forms);
    }
}

/// Masks a short secret where it stands alone: no letter, digit or underscore is beside it.
fn mask_words(text: &str, secret: &str) -> String {
    let is_word = |beside: char| beside.is_alphanumeric() || beside == '_';
    let (mut masked, mut copied) = (String::with_capacity(text.len()), 0);
    for (at, _) in text.match_indices(secret) {
        let end = at + secret.len();
        let touches = text[..at].chars().next_back().is_some_and(is_word)
            || text[end..].chars().next().is_some_and(is_word);
        if !touches && at >= copied {
            masked.push_str(&text[copied..at]);
            masked.push_str(MASK);
            copied = end;
        }
    }
    masked.push_str(&text[copied..]);
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_is_masked_in_each_form_that_a_function_may_echo() {
        let mut mask = SecretMask::default();
        mask.add("hush \"quiet\"/1");
        mask.add("{\"user\": \"ada\", \"password\": \"pass-word-1\"}");
        for text in [
            "hush \"quiet\"/1",
            &serde_json::json!({ "key": "hush \"quiet\"/1" }).to_string(),
            &serde_json::json!({ "body": serde_json::json!({ "key": "hush \"quiet\"/1" }).to_string() })
                .to_string(),
            "https://x/?key=hush+%22quiet%22%2F1",
            &STANDARD.encode("hush \"quiet\"/1"),
            "wrong password pass-word-1 of ada",
        ] {
            let masked = mask.mask(text);
            assert!(masked.contains(MASK), "{masked}");
            for secret in ["quiet", "pass-word-1", &STANDARD.encode("hush \"quiet\"/1")] {
                assert!(!masked.contains(secret), "{masked}");
            }
        }
    }

    #[test]
    fn short_secret_is_masked_where_it_stands_alone() {
        let mut mask = SecretMask::default();
        mask.add("ada");
        mask.add("");
        assert_eq!(
            mask.mask("ada waits in adagio for {\"pin\":\"ada\"}, ada_1"),
            "*** waits in adagio for {\"pin\":\"***\"}, ada_1"
        );
        assert_eq!(mask.mask("/ada/adada"), "/***/adada");
    }

    #[test]
    fn secret_in_another_is_masked_with_it() {
        let mut mask = SecretMask::default();
        mask.add("abcd");
        mask.add("xxabcdyy");
        assert_eq!(mask.mask("1 xxabcdyy 2 abcd"), "1 *** 2 ***");
    }
}
