//! The query parameters of a listing.
//!
//! In: a query string. Out: bounds, number and cursor. What can go wrong: 400 with the parameter's name, for one that
//! is unknown, given twice, malformed or out of range.

use std::collections::BTreeMap;

use crate::cursor::Cursor;
use crate::record::Kind;
use crate::store::Wanted;
use crate::time::{FIRST, LAST, Time};
use http_function::ApiError;

/// The default and maximum number of records on a page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) usual: usize,
    pub(crate) most: usize,
}

/// The checked parameters of a listing.
#[derive(Debug)]
pub(crate) struct ListQuery {
    from: Option<Time>,
    to: Option<Time>,
    limit: usize,
    after: Option<Cursor>,
}

impl ListQuery {
    /// Reads `limit` and `cursor`, and `from` and `to` where the listing has bounds.
    pub(crate) fn parse(
        query: &str,
        kind: Kind,
        partition: &str,
        sizes: Sizes,
        has_bounds: bool,
    ) -> Result<Self, ApiError> {
        let mut given = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let is_known = matches!(name.as_ref(), "limit" | "cursor")
                || (has_bounds && matches!(name.as_ref(), "from" | "to"));
            let shown: String = name.chars().take(64).collect();
            if !is_known {
                return Err(ApiError::field("unknown_parameter", &shown, "is no parameter of this path"));
            }
            if given.insert(name.into_owned(), value.into_owned()).is_some() {
                return Err(ApiError::field("invalid_parameter", &shown, "is given twice"));
            }
        }
        let time = |name: &str| {
            let parse = |text: &String| {
                Time::parse(text).map_err(|why| ApiError::field("invalid_parameter", name, why))
            };
            given.get(name).map(parse).transpose()
        };
        let (from, to) = (time("from")?, time("to")?);
        if from.zip(to).is_some_and(|(from, to)| from > to) {
            return Err(ApiError::field("invalid_parameter", "from", "is after `to`"));
        }
        let limit = given.get("limit").map_or(Ok(sizes.usual), |text| {
            let number = text.parse().ok().filter(|number| (1..=sizes.most).contains(number));
            let message = || format!("must be a number from 1 to {}", sizes.most);
            number.ok_or_else(|| ApiError::field("invalid_parameter", "limit", message()))
        })?;
        let after = given
            .get("cursor")
            .map(|text| Cursor::decode(text, kind.listing, partition))
            .transpose()?
            // DynamoDB refuses a start outside the bounds.
            .map(|cursor| {
                let is_outside = from.is_some_and(|from| cursor.start_time < from)
                    || to.is_some_and(|to| cursor.start_time > to);
                let message =
                    "is outside of `from` and `to`: a cursor holds for the bounds that it was given with";
                if is_outside {
                    Err(ApiError::field("invalid_cursor", "cursor", message))
                } else {
                    Ok(cursor)
                }
            })
            .transpose()?;
        Ok(Self { from, to, limit, after })
    }

    /// Returns the listing's page, in the order wanted.
    pub(crate) async fn page(
        self,
        store: &crate::store::Store,
        kind: Kind,
        partition: &str,
        newest_first: bool,
    ) -> Result<crate::store::Page, ApiError> {
        let from = self.from.map_or_else(|| FIRST.to_owned(), |time| time.to_string());
        let to = self.to.map_or_else(|| LAST.to_owned(), |time| time.to_string());
        let wanted =
            Wanted { partition, from: &from, to: &to, newest_first, limit: self.limit, after: self.after };
        store.list(kind, &wanted).await
    }
}

#[cfg(test)]
mod tests {
    use super::{ListQuery, Sizes};
    use crate::cursor::Cursor;
    use crate::record::TRACE;
    use crate::time::Time;
    use http_function::ApiError;

    fn parse(query: &str) -> Result<ListQuery, ApiError> {
        ListQuery::parse(query, TRACE, "shop", Sizes { usual: 50, most: 200 }, true)
    }

    #[test]
    fn reads_all_parameters() {
        let query =
            parse("from=2026-11-22T10%3A00%3A00%2B01:00&to=2026-11-23T00:00:00Z&limit=200").expect("a query");
        let time = |text| Time::parse(text).ok();
        assert_eq!((query.from, query.to), (time("2026-11-22T09:00:00Z"), time("2026-11-23T00:00:00Z")));
        assert_eq!((query.limit, query.after), (200, None));
        assert_eq!(parse("").expect("a query").limit, 50);
    }

    #[test]
    fn names_the_parameter_that_is_wrong() {
        for (query, field, why) in [
            ("limit=0", "limit", "1 to 200"),
            ("limit=201", "limit", "1 to 200"),
            ("limit=ten", "limit", "1 to 200"),
            ("limit=-1", "limit", "1 to 200"),
            ("limit=", "limit", "1 to 200"),
            ("limit=1&limit=2", "limit", "twice"),
            ("from=yesterday", "from", "RFC 3339"),
            ("to=2026-11-22T10:00:00+01:00", "to", "%2B"),
            ("from=2026-11-23T00:00:00Z&to=2026-11-22T00:00:00Z", "from", "after"),
            ("cursor=abc", "cursor", "no cursor"),
            ("offset=3", "offset", "no parameter"),
        ] {
            let error = parse(query).expect_err(query);
            let answer = serde_json::to_value(error.response("")).expect("JSON");
            let body: serde_json::Value =
                serde_json::from_str(answer["body"].as_str().expect("a body")).expect("JSON");
            assert_eq!((error.status(), body["error"]["field"].as_str()), (400, Some(field)), "{query}");
            assert!(error.to_string().contains(why), "{query}: {error}");
        }
    }

    #[test]
    fn a_cursor_stays_within_its_bounds() {
        let start_time = Time::parse("2026-11-22T10:00:00Z").expect("a time");
        let cursor = Cursor { partition: "shop".to_owned(), start_time, id: "t1".to_owned() };
        let text = cursor.encode("traces");
        let query = parse(&format!("cursor={text}&from=2026-11-22T10:00:00Z")).expect("a query");
        assert_eq!(query.after, Some(cursor));
        for bounds in ["from=2026-11-22T10:00:01Z", "to=2026-11-22T09:59:59Z"] {
            let error = parse(&format!("{bounds}&cursor={text}")).expect_err(bounds);
            assert_eq!(error.code(), "invalid_cursor");
        }
    }
}
