//! Cursors of listings.
//!
//! In: the last key of a page, and the prefix that was listed. Out: text that a caller gives back unread, base64url of a
//! small JSON array. What can go wrong: 400 for text that is no cursor, or one of another prefix. It is a place in the
//! listing's order and not S3's own token, so it does not expire, and what is written or deleted in between moves
//! nothing. It holds nothing that the listing does not show, so it is not signed: a forged one finds another place in
//! the same listing.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::json;

use crate::text::check;
use http_function::ApiError;

/// Encodes the cursor after `key`.
pub(crate) fn encode(prefix: &str, key: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(json!([prefix, key]).to_string())
}

/// Decodes the key after which the listing of `prefix` continues.
pub(crate) fn decode(text: &str, prefix: &str) -> Result<String, ApiError> {
    let parse = || {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        let [own, key]: [String; 2] = serde_json::from_slice(&bytes).ok()?;
        check(&key).ok()?;
        (own == prefix && key.starts_with(prefix)).then_some(key)
    };
    let message = "is no cursor of this listing: give back `next_cursor` as it came, with the same `prefix`, or leave it out";
    parse().ok_or_else(|| ApiError::field("invalid_cursor", "cursor", message))
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;

    use super::{decode, encode};

    #[test]
    fn comes_back_as_it_went_and_needs_no_escaping_in_a_url() {
        let text = encode("2026/", "2026/ä \"b\"+?.json");
        assert_eq!(decode(&text, "2026/").expect("a cursor"), "2026/ä \"b\"+?.json");
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{text}");
    }

    #[test]
    fn refuses_what_is_none_of_its_listing() {
        let own = encode("2026/", "2026/a");
        let forged = |json: &str| BASE64_URL_SAFE_NO_PAD.encode(json);
        for (text, prefix) in [
            (own.clone(), ""),
            (own.clone(), "2025/"),
            (own[..own.len() - 2].to_owned(), "2026/"),
            ("%%".to_owned(), ""),
            (String::new(), ""),
            (forged("{}"), ""),
            (forged(r#"["a"]"#), "a"),
            (forged(r#"["a","b"]"#), "a"),
            (forged(&format!(r#"["","{}"]"#, "k".repeat(1025))), ""),
        ] {
            let error = decode(&text, prefix).expect_err(&text);
            assert_eq!((error.status(), error.code()), (400, "invalid_cursor"), "{text}");
        }
    }
}
