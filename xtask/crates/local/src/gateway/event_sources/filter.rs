//! Filter patterns: which records reach a function.
//!
//! In: a pattern, and a record's content with its data decoded. Out: whether the record fits. A pattern is an object of
//! which every member must fit (`$or`: one of its alternatives); a list fits where one of its rules does: a text, number,
//! boolean or `null`, or an object that names one comparison. What can go wrong: a pattern that is none, or compares in a way
//! that Lambda does not know; the error names it.
//! See <https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html#filtering-syntax>.

use serde_json::{Map, Value};

/// A pattern that was understood.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Pattern {
    /// All of these.
    All(Vec<(String, Pattern)>),
    /// One of these.
    Or(Vec<Pattern>),
    /// A value to which one of these rules applies.
    Value(Vec<Rule>),
}

/// What is asked of one value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Rule {
    Is(Value),
    IgnoringCase(String),
    Prefix(String),
    Suffix(String),
    Exists(bool),
    /// None of these rules.
    Not(Vec<Rule>),
    /// Comparisons that all must hold.
    Number(Vec<(Comparison, f64)>),
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
    /// Reads a pattern's JSON.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        match serde_json::from_str(text).map_err(|error| error.to_string())? {
            Value::Object(members) => Self::of(&members),
            other => Err(format!("{other} is not an object")),
        }
    }

    /// Says whether a record's content fits.
    pub(super) fn fits(&self, content: &Value) -> bool {
        match self {
            Self::All(members) => members.iter().all(|(name, pattern)| match pattern {
                Self::Or(_) => pattern.fits(content),
                _ => pattern.fits(content.get(name).unwrap_or(&MISSING)),
            }),
            Self::Or(alternatives) => alternatives.iter().any(|pattern| pattern.fits(content)),
            Self::Value(rules) => match content {
                // Of a list one item is enough.
                Value::Array(items) if !items.is_empty() => {
                    items.iter().any(|item| rules.iter().any(|rule| rule.applies(item)))
                }
                value => rules.iter().any(|rule| rule.applies(value)),
            },
        }
    }

    fn of(members: &Map<String, Value>) -> Result<Self, String> {
        let mut all = Vec::new();
        for (name, value) in members {
            let pattern = match (name.as_str(), value) {
                ("$or", Value::Array(alternatives)) => {
                    let alternatives = alternatives.iter().map(|alternative| match alternative {
                        Value::Object(members) => Self::of(members),
                        other => Err(format!("`$or` holds {other}, not an object")),
                    });
                    Self::Or(alternatives.collect::<Result<_, _>>()?)
                }
                (_, Value::Object(members)) => Self::of(members)?,
                (_, Value::Array(rules)) if !rules.is_empty() => {
                    Self::Value(rules.iter().map(Rule::read).collect::<Result<_, _>>()?)
                }
                (_, other) => return Err(format!("`{name}` is {other}, not a list of rules or an object")),
            };
            all.push((name.clone(), pattern));
        }
        Ok(Self::All(all))
    }
}

/// What is not there; its place in memory tells it from a `null` that is.
static MISSING: Value = Value::Null;

impl Rule {
    fn read(value: &Value) -> Result<Self, String> {
        let Value::Object(members) = value else {
            return match value {
                Value::Array(_) => Err(format!("{value} is a list within a list")),
                _ => Ok(Self::Is(value.clone())),
            };
        };
        let mut members = members.iter();
        let (Some((name, value)), None) = (members.next(), members.next()) else {
            return Err("a rule names one comparison".to_owned());
        };
        let text =
            || value.as_str().map(str::to_owned).ok_or_else(|| format!("`{name}` is {value}, not a text"));
        match name.as_str() {
            "prefix" => text().map(Self::Prefix),
            "suffix" => text().map(Self::Suffix),
            "equals-ignore-case" => text().map(Self::IgnoringCase),
            "exists" => {
                value.as_bool().map(Self::Exists).ok_or_else(|| "`exists` is true or false".to_owned())
            }
            "numeric" => numeric(value).map(Self::Number),
            "anything-but" => match value {
                Value::Array(items) => items.iter().map(Self::read).collect::<Result<_, _>>().map(Self::Not),
                one => Self::read(one).map(|rule| Self::Not(vec![rule])),
            },
            other => Err(format!(
                "`{other}` is not a comparison; there are prefix, suffix, equals-ignore-case, exists, numeric and anything-but"
            )),
        }
    }

    fn applies(&self, value: &Value) -> bool {
        let there = !std::ptr::eq(value, &MISSING);
        match self {
            Self::Exists(wanted) => *wanted == there,
            _ if !there => false,
            Self::Is(wanted) => match (wanted.as_f64(), value.as_f64()) {
                (Some(wanted), Some(value)) => wanted == value,
                _ => wanted == value,
            },
            Self::IgnoringCase(wanted) => {
                value.as_str().is_some_and(|value| value.to_lowercase() == wanted.to_lowercase())
            }
            Self::Prefix(start) => value.as_str().is_some_and(|value| value.starts_with(start)),
            Self::Suffix(end) => value.as_str().is_some_and(|value| value.ends_with(end)),
            Self::Not(rules) => !rules.iter().any(|rule| rule.applies(value)),
            Self::Number(comparisons) => value.as_f64().is_some_and(|value| {
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

fn numeric(value: &Value) -> Result<Vec<(Comparison, f64)>, String> {
    let wrong = || format!("`numeric` is {value}, not comparisons such as [\">\", 0, \"<=\", 5]");
    let items =
        value.as_array().filter(|items| !items.is_empty() && items.len() % 2 == 0).ok_or_else(wrong)?;
    let comparisons = items.chunks(2).map(|pair| {
        let comparison = match pair[0].as_str().ok_or_else(wrong)? {
            "=" => Comparison::Equal,
            "<" => Comparison::Less,
            "<=" => Comparison::LessOrEqual,
            ">" => Comparison::Greater,
            ">=" => Comparison::GreaterOrEqual,
            _ => return Err(wrong()),
        };
        Ok((comparison, pair[1].as_f64().ok_or_else(wrong)?))
    });
    comparisons.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_rule_of_the_language_decides() {
        let content = json!({ "partitionKey": "p1", "data": {
            "kind": "Order", "size": 3, "note": "", "none": null, "tags": ["a", "b"], "deep": { "ok": true },
        } });
        for (pattern, fits) in [
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
            assert_eq!(Pattern::read(pattern).unwrap().fits(&content), fits, "{pattern}");
        }
        let plain = Pattern::read(r#"{"data":["hello"]}"#).unwrap();
        assert!(plain.fits(&json!({ "data": "hello" })) && !plain.fits(&content));
    }

    #[test]
    fn what_is_no_pattern_is_refused_by_name() {
        for (pattern, named) in [
            ("{", "EOF"),
            ("[]", "object"),
            (r#"{"a":"b"}"#, "`a`"),
            (r#"{"a":[]}"#, "`a`"),
            (r#"{"a":[{"cidr":"10.0.0.0/8"}]}"#, "`cidr`"),
            (r#"{"a":[{"numeric":["~",1]}]}"#, "numeric"),
            (r#"{"a":[[1]]}"#, "list within a list"),
        ] {
            let error = Pattern::read(pattern).unwrap_err();
            assert!(error.contains(named), "{pattern}: {error}");
        }
    }
}
