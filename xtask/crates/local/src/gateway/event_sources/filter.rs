//! Filter patterns, which select the records for a function.
//!
//! In: a pattern, and a record's content with decoded data. Out: whether the record matches. A pattern is an object of which
//! every member must match (`$or`: one of its alternatives). A list matches if one of its rules does: a text, number,
//! boolean or `null`, or an object with one comparison. Errors: an invalid pattern, or a comparison that Lambda does not
//! have; the error names it.
//! See <https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html#filtering-syntax>.

use serde_json::{Map, Value};

/// A parsed pattern.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Pattern {
    /// All of these members must match.
    All(Vec<(String, Pattern)>),
    /// One of these alternatives must match.
    Or(Vec<Pattern>),
    /// One of these rules must match the value.
    Value(Vec<Rule>),
}

/// A rule for one value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Rule {
    Equals(Value),
    EqualsIgnoringCase(String),
    Prefix(String),
    Suffix(String),
    Exists(bool),
    /// None of these rules may match.
    AnythingBut(Vec<Rule>),
    /// All of these comparisons must hold.
    Numeric(Vec<(Comparison, f64)>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Pattern {
    /// Parses a pattern's JSON.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match serde_json::from_str(text).map_err(|error| error.to_string())? {
            Value::Object(members) => Self::from_members(&members),
            other => Err(format!("{other} is not an object")),
        }
    }

    /// Returns whether a record's content matches.
    pub(super) fn matches(&self, content: &Value) -> bool {
        match self {
            Self::All(members) => members.iter().all(|(name, pattern)| match pattern {
                Self::Or(_) => pattern.matches(content),
                _ => pattern.matches(content.get(name).unwrap_or(&MISSING)),
            }),
            Self::Or(alternatives) => alternatives.iter().any(|pattern| pattern.matches(content)),
            Self::Value(rules) => match content {
                // One matching item of a list is enough.
                Value::Array(items) if !items.is_empty() => {
                    items.iter().any(|item| rules.iter().any(|rule| rule.matches(item)))
                }
                value => rules.iter().any(|rule| rule.matches(value)),
            },
        }
    }

    fn from_members(members: &Map<String, Value>) -> Result<Self, String> {
        let mut all = Vec::new();
        for (name, value) in members {
            let pattern = match (name.as_str(), value) {
                ("$or", Value::Array(alternatives)) => {
                    let alternatives = alternatives.iter().map(|alternative| match alternative {
                        Value::Object(members) => Self::from_members(members),
                        other => Err(format!("`$or` contains {other}, not an object")),
                    });
                    Self::Or(alternatives.collect::<Result<_, _>>()?)
                }
                (_, Value::Object(members)) => Self::from_members(members)?,
                (_, Value::Array(rules)) if !rules.is_empty() => {
                    Self::Value(rules.iter().map(Rule::parse).collect::<Result<_, _>>()?)
                }
                (_, other) => return Err(format!("`{name}` is {other}, not a list of rules or an object")),
            };
            all.push((name.clone(), pattern));
        }
        Ok(Self::All(all))
    }
}

/// The value of a missing member; its address tells it apart from a `null` in the content.
static MISSING: Value = Value::Null;

impl Rule {
    fn parse(value: &Value) -> Result<Self, String> {
        let Value::Object(members) = value else {
            return match value {
                Value::Array(_) => Err(format!("{value} is a list within a list")),
                _ => Ok(Self::Equals(value.clone())),
            };
        };
        let mut members = members.iter();
        let (Some((name, value)), None) = (members.next(), members.next()) else {
            return Err("a rule must have exactly one comparison".to_owned());
        };
        let text =
            || value.as_str().map(str::to_owned).ok_or_else(|| format!("`{name}` is {value}, not a text"));
        match name.as_str() {
            "prefix" => text().map(Self::Prefix),
            "suffix" => text().map(Self::Suffix),
            "equals-ignore-case" => text().map(Self::EqualsIgnoringCase),
            "exists" => {
                value.as_bool().map(Self::Exists).ok_or_else(|| "`exists` must be true or false".to_owned())
            }
            "numeric" => parse_numeric(value).map(Self::Numeric),
            "anything-but" => match value {
                Value::Array(items) => {
                    items.iter().map(Self::parse).collect::<Result<_, _>>().map(Self::AnythingBut)
                }
                one => Self::parse(one).map(|rule| Self::AnythingBut(vec![rule])),
            },
            other => Err(format!(
                "`{other}` is not a comparison; there are prefix, suffix, equals-ignore-case, exists, numeric and anything-but"
            )),
        }
    }

    fn matches(&self, value: &Value) -> bool {
        let exists = !std::ptr::eq(value, &MISSING);
        match self {
            Self::Exists(wanted) => *wanted == exists,
            _ if !exists => false,
            Self::Equals(wanted) => match (wanted.as_f64(), value.as_f64()) {
                (Some(wanted), Some(value)) => wanted == value,
                _ => wanted == value,
            },
            Self::EqualsIgnoringCase(wanted) => {
                value.as_str().is_some_and(|value| value.to_lowercase() == wanted.to_lowercase())
            }
            Self::Prefix(start) => value.as_str().is_some_and(|value| value.starts_with(start)),
            Self::Suffix(end) => value.as_str().is_some_and(|value| value.ends_with(end)),
            Self::AnythingBut(rules) => !rules.iter().any(|rule| rule.matches(value)),
            Self::Numeric(comparisons) => value.as_f64().is_some_and(|value| {
                comparisons.iter().all(|(comparison, limit)| match comparison {
                    Comparison::Equal => value == *limit,
                    Comparison::Less => value < *limit,
                    Comparison::LessOrEqual => value <= *limit,
                    Comparison::Greater => value > *limit,
                    Comparison::GreaterOrEqual => value >= *limit,
                })
            }),
        }
    }
}

fn parse_numeric(value: &Value) -> Result<Vec<(Comparison, f64)>, String> {
    let invalid = || format!("`numeric` is {value}, not comparisons such as [\">\", 0, \"<=\", 5]");
    let items =
        value.as_array().filter(|items| !items.is_empty() && items.len() % 2 == 0).ok_or_else(invalid)?;
    let comparisons = items.chunks(2).map(|pair| {
        let comparison = match pair[0].as_str().ok_or_else(invalid)? {
            "=" => Comparison::Equal,
            "<" => Comparison::Less,
            "<=" => Comparison::LessOrEqual,
            ">" => Comparison::Greater,
            ">=" => Comparison::GreaterOrEqual,
            _ => return Err(invalid()),
        };
        Ok((comparison, pair[1].as_f64().ok_or_else(invalid)?))
    });
    comparisons.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pattern_matches_by_every_kind_of_rule() {
        let content = json!({ "partitionKey": "p1", "data": {
            "kind": "Order", "size": 3, "note": "", "none": null, "tags": ["a", "b"], "deep": { "ok": true },
        } });
        for (pattern, matches) in [
            (r#"{}"#, true),
            (r#"{"data":{"kind":["Order"]}}"#, true),
            (r#"{"data":{"kind":["other","Order"]}}"#, true),
            (r#"{"data":{"kind":["order"]}}"#, false),
            (r#"{"data":{"kind":[{"equals-ignore-case":"order"}]}}"#, true),
            (r#"{"data":{"kind":[{"prefix":"Or"}],"size":[4]}}"#, false),
            (r#"{"data":{"kind":[{"suffix":"er"}],"size":[3.0]}}"#, true),
            (r#"{"data":{"size":[{"numeric":[">",2,"<=",3]}]}}"#, true),
            (r#"{"data":{"size":[{"numeric":["<",3]}]}}"#, false),
            (r#"{"data":{"note":[""]}}"#, true),
            (r#"{"data":{"none":[null]}}"#, true),
            (r#"{"data":{"absent":[null]}}"#, false),
            (r#"{"data":{"absent":[{"exists":false}]}}"#, true),
            (r#"{"data":{"none":[{"exists":true}]}}"#, true),
            (r#"{"data":{"kind":[{"anything-but":["Order"]}]}}"#, false),
            (r#"{"data":{"kind":[{"anything-but":{"prefix":"X"}}]}}"#, true),
            (r#"{"data":{"tags":["b"]}}"#, true),
            (r#"{"data":{"deep":{"ok":[true]}}}"#, true),
            (r#"{"data":{"kind":{"ok":[true]}}}"#, false),
            (r#"{"$or":[{"partitionKey":["p2"]},{"data":{"size":[3]}}]}"#, true),
            (r#"{"$or":[{"partitionKey":["p2"]},{"data":{"size":[4]}}]}"#, false),
        ] {
            assert_eq!(Pattern::parse(pattern).unwrap().matches(&content), matches, "{pattern}");
        }
        let plain = Pattern::parse(r#"{"data":["hello"]}"#).unwrap();
        assert!(plain.matches(&json!({ "data": "hello" })) && !plain.matches(&content));
    }

    #[test]
    fn invalid_pattern_is_an_error_that_names_the_problem() {
        for (pattern, named) in [
            ("{", "EOF"),
            ("[]", "object"),
            (r#"{"a":"b"}"#, "`a`"),
            (r#"{"a":[]}"#, "`a`"),
            (r#"{"a":[{"cidr":"10.0.0.0/8"}]}"#, "`cidr`"),
            (r#"{"a":[{"numeric":["~",1]}]}"#, "numeric"),
            (r#"{"a":[[1]]}"#, "list within a list"),
        ] {
            let error = Pattern::parse(pattern).unwrap_err();
            assert!(error.contains(named), "{pattern}: {error}");
        }
    }
}
