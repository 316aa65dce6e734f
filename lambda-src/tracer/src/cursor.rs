//! Cursors of listings.
//!
//! In: the last record of a page. Out: text that a caller gives back unread, base64url of a small JSON array. What
//! can go wrong: 400 for text that is no cursor, or one of another listing. A cursor holds nothing that its listing
//! does not show, so it is not signed: a forged one finds another place in the same listing.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::json;

use crate::body::check_id;
use crate::time::Time;
use http_function::ApiError;

/// The position after a record in an index: the partition, start and id of the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) partition: String,
    pub(crate) start_time: Time,
    pub(crate) id: String,
}

impl Cursor {
    /// Encodes the cursor for the listing `listing`.
    pub(crate) fn encode(&self, listing: &str) -> String {
        let parts = json!([listing, self.partition, self.start_time.to_string(), self.id]);
        BASE64_URL_SAFE_NO_PAD.encode(parts.to_string())
    }

    /// Decodes a cursor of `listing` for `partition`.
    pub(crate) fn decode(text: &str, listing: &str, partition: &str) -> Result<Self, ApiError> {
        let parse = || {
            let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
            let [of, own, start, id]: [String; 4] = serde_json::from_slice(&bytes).ok()?;
            check_id("cursor", &id).ok()?;
            let start_time = Time::parse(&start).ok()?;
            // As it was written: the index compares text.
            let same = of == listing && own == partition && start_time.to_string() == start;
            same.then_some(Self { partition: own, start_time, id })
        };
        let message = "is no cursor of this listing: give back `next_cursor` as it came, or leave it out";
        parse().ok_or_else(|| ApiError::field("invalid_cursor", "cursor", message))
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;

    use super::Cursor;
    use crate::time::Time;

    fn cursor() -> Cursor {
        let start_time = Time::parse("2026-11-22T10:00:00.5Z").expect("a time");
        Cursor { partition: "shop".to_owned(), start_time, id: "trace-1".to_owned() }
    }

    #[test]
    fn comes_back_as_it_went_and_needs_no_escaping_in_a_url() {
        let text = cursor().encode("traces");
        assert_eq!(Cursor::decode(&text, "traces", "shop").expect("a cursor"), cursor());
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{text}");
    }

    #[test]
    fn refuses_what_is_none_of_its_listing() {
        let own = cursor().encode("traces");
        let forged = |json: &str| BASE64_URL_SAFE_NO_PAD.encode(json);
        for (text, listing, partition) in [
            (own.clone(), "spans", "shop"),
            (own.clone(), "traces", "other"),
            (own[..own.len() - 2].to_owned(), "traces", "shop"),
            ("%%".to_owned(), "traces", "shop"),
            (String::new(), "traces", "shop"),
            (forged("{}"), "traces", "shop"),
            (forged(r#"["traces","shop","yesterday","trace-1"]"#), "traces", "shop"),
            (forged(r#"["traces","shop","2026-11-22T10:00:00Z","trace-1"]"#), "traces", "shop"),
            (forged(r#"["traces","shop","2026-11-22T10:00:00.500000Z","../1"]"#), "traces", "shop"),
        ] {
            let error = Cursor::decode(&text, listing, partition).expect_err(&text);
            assert_eq!((error.status(), error.code()), (400, "invalid_cursor"));
        }
    }
}
