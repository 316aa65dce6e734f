//! The query parameters of a listing.
//!
//! In: a query string. Out: prefix, number and the key to go on behind. What can go wrong: 400 with the parameter's
//! name, for one that is unknown, given twice, malformed or out of range.

use std::collections::BTreeMap;

use crate::cursor;
use crate::text::check;
use http_function::ApiError;

/// The default number of objects on a page.
const USUAL: u16 = 100;
/// The most that [S3 lists at once](https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html).
const MOST: u16 = 1000;

/// The checked parameters of a listing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ListQuery {
    /// What all keys begin with.
    pub(crate) prefix: String,
    /// Objects of one page.
    pub(crate) limit: u16,
    /// The last key of the page before.
    pub(crate) after: Option<String>,
}

impl ListQuery {
    /// Reads `prefix`, `limit` and `cursor`.
    pub(crate) fn parse(query: &str) -> Result<Self, ApiError> {
        let mut given = parameters(query, &["prefix", "limit", "cursor"])?;
        let prefix = given.remove("prefix").unwrap_or_default();
        check(&prefix).map_err(|why| ApiError::field("invalid_parameter", "prefix", why))?;
        let limit = given.remove("limit").map_or(Ok(USUAL), |text| {
            let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
            let number = text.parse().ok().filter(|number| is_plain && (1..=MOST).contains(number));
            let message = || format!("must be a number from 1 to {MOST}");
            number.ok_or_else(|| ApiError::field("invalid_parameter", "limit", message()))
        })?;
        let after = given.remove("cursor").map(|text| cursor::decode(&text, &prefix)).transpose()?;
        Ok(Self { prefix, limit, after })
    }

    /// Refuses every parameter, for paths without any.
    pub(crate) fn none(query: &str) -> Result<(), ApiError> {
        parameters(query, &[]).map(|_| ())
    }
}

fn parameters(query: &str, known: &[&str]) -> Result<BTreeMap<String, String>, ApiError> {
    let mut given = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let shown: String = name.chars().take(64).collect();
        if !known.contains(&name.as_ref()) {
            return Err(ApiError::field("unknown_parameter", &shown, "is no parameter of this path"));
        }
        if given.insert(name.into_owned(), value.into_owned()).is_some() {
            return Err(ApiError::field("invalid_parameter", &shown, "is given twice"));
        }
    }
    Ok(given)
}

#[cfg(test)]
mod tests {
    use super::ListQuery;
    use crate::cursor;

    #[test]
    fn reads_all_parameters() {
        let cursor = cursor::encode("2026/ä +", "2026/ä +x");
        let query = ListQuery::parse(&format!("prefix=2026%2F%C3%A4+%2B&limit=1000&cursor={cursor}"));
        let expected =
            ListQuery { prefix: "2026/ä +".to_owned(), limit: 1000, after: Some("2026/ä +x".to_owned()) };
        assert_eq!(query.expect("a query"), expected);
        let usual = ListQuery { prefix: String::new(), limit: 100, after: None };
        assert_eq!(ListQuery::parse("").expect("a query"), usual);
        assert_eq!(ListQuery::parse("prefix=").expect("a query"), usual);
    }

    #[test]
    fn names_the_parameter_that_is_wrong() {
        let long = format!("prefix={}", "p".repeat(1025));
        for (query, field, why) in [
            ("limit=0", "limit", "1 to 1000"),
            ("limit=1001", "limit", "1 to 1000"),
            ("limit=65537", "limit", "1 to 1000"),
            ("limit=ten", "limit", "1 to 1000"),
            ("limit=-1", "limit", "1 to 1000"),
            ("limit=%2B1", "limit", "1 to 1000"),
            ("limit=", "limit", "1 to 1000"),
            ("limit=1&limit=2", "limit", "twice"),
            ("cursor=abc", "cursor", "no cursor"),
            ("cursor=", "cursor", "no cursor"),
            ("prefix=a%00", "prefix", "zero"),
            (long.as_str(), "prefix", "1024 bytes"),
            ("offset=3", "offset", "no parameter"),
        ] {
            let error = ListQuery::parse(query).expect_err(query);
            let answer = serde_json::to_value(error.response("")).expect("JSON");
            let body: serde_json::Value =
                serde_json::from_str(answer["body"].as_str().expect("a body")).expect("JSON");
            assert_eq!((error.status(), body["error"]["field"].as_str()), (400, Some(field)), "{query}");
            assert!(error.to_string().contains(why), "{query}: {error}");
        }
        assert_eq!(ListQuery::none("limit=1").expect_err("a parameter").code(), "unknown_parameter");
        assert!(ListQuery::none("").is_ok());
    }
}
