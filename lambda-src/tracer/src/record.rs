//! Traces and spans as they are stored, and as they are shown.
//!
//! In: what a caller sent, or an item of DynamoDB. Out: an item, or JSON. A caller's own JSON (input, output,
//! metadata) is stored as its text: DynamoDB's numbers have other limits than JSON's. What can go wrong: an item
//! that this function did not write is an error that names the attribute.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Map, Value, json};

use crate::body::{Completion, Details, NewSpan, NewTrace};
use crate::cursor::Cursor;
use crate::time::Time;

/// An item in DynamoDB.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// Attribute by which DynamoDB deletes a record, https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html.
const EXPIRES_AT: &str = "expires_at";

/// Attribute with the digest of what was asked for at the beginning, and of what completed the record.
pub(crate) const DIGEST: &str = "request_digest";
pub(crate) const COMPLETION_DIGEST: &str = "completion_digest";

/// The table and index of one kind of record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    /// Its name in messages.
    pub(crate) noun: &'static str,
    /// Hash key of the table.
    pub(crate) id: &'static str,
    /// The index that lists it, and that index's hash key; its range key is `start_time`.
    pub(crate) index: &'static str,
    pub(crate) partition: &'static str,
    /// The listing's name in cursors.
    pub(crate) listing: &'static str,
    texts: &'static [&'static str],
}

pub(crate) const TRACE: Kind = Kind {
    noun: "trace",
    id: "trace_id",
    index: "by-project",
    partition: "project_id",
    listing: "traces",
    texts: &["trace_id", "project_id"],
};

pub(crate) const SPAN: Kind = Kind {
    noun: "span",
    id: "span_id",
    index: "by-trace",
    partition: "trace_id",
    listing: "spans",
    texts: &["span_id", "trace_id", "parent_span_id", "kind"],
};

/// An item whose attributes are checked.
#[derive(Debug)]
pub(crate) struct Record {
    kind: Kind,
    item: Item,
    start_time: Time,
}

/// The error for a stored item with an attribute that this function cannot have written.
#[derive(Debug, thiserror::Error)]
#[error("the {noun} {id} is stored with a wrong attribute `{attribute}`")]
pub(crate) struct CorruptRecord {
    noun: &'static str,
    id: String,
    attribute: &'static str,
}

impl Record {
    /// Checks an item.
    pub(crate) fn of(kind: Kind, item: Item) -> Result<Self, CorruptRecord> {
        let corrupt = |attribute| CorruptRecord {
            noun: kind.noun,
            id: text(&item, kind.id).unwrap_or("without an id").to_owned(),
            attribute,
        };
        for attribute in [kind.id, kind.partition, "name", DIGEST] {
            text(&item, attribute).ok_or_else(|| corrupt(attribute))?;
        }
        let time = |attribute| text(&item, attribute).and_then(|text| Time::parse(text).ok());
        let start_time = time("start_time").ok_or_else(|| corrupt("start_time"))?;
        if item.contains_key("end_time") {
            time("end_time").ok_or_else(|| corrupt("end_time"))?;
        }
        for attribute in ["input", "metadata", "output"] {
            let is_json = |text: &str| serde_json::from_str::<Value>(text).is_ok();
            if item.contains_key(attribute) && !text(&item, attribute).is_some_and(is_json) {
                return Err(corrupt(attribute));
            }
        }
        Ok(Self { kind, item, start_time })
    }

    /// Returns the record as callers see it. What is absent is left out.
    pub(crate) fn shown(&self) -> Value {
        let mut shown = Map::new();
        let mut show = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                shown.insert(name.to_owned(), value);
            }
        };
        let string = |name: &str| self.text(name).map(|text| json!(text));
        let parsed = |name: &str| self.text(name).and_then(|text| serde_json::from_str(text).ok());
        for name in self.kind.texts {
            show(name, string(name));
        }
        let end_time = self.text("end_time").and_then(|text| Time::parse(text).ok());
        show("name", string("name"));
        show("status", Some(json!(self.text("status").unwrap_or("running"))));
        show("start_time", string("start_time"));
        show("end_time", string("end_time"));
        show("duration_ms", end_time.map(|end| json!(end.milliseconds_since(self.start_time))));
        show("input", parsed("input"));
        show("output", parsed("output"));
        show("error", string("error"));
        show("metadata", parsed("metadata"));
        Value::Object(shown)
    }

    /// Returns the place behind this record in its listing.
    pub(crate) fn cursor(&self) -> Cursor {
        let text = |name| self.text(name).unwrap_or_default().to_owned();
        Cursor { partition: text(self.kind.partition), start_time: self.start_time, id: text(self.kind.id) }
    }

    /// Returns about the size of the record as callers see it, in bytes.
    pub(crate) fn size(&self) -> usize {
        self.item.iter().map(|(name, value)| name.len() + value.as_s().map_or(0, String::len) + 8).sum()
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.item.contains_key(COMPLETION_DIGEST)
    }

    /// Returns whether the record has a digest with this value.
    pub(crate) fn has(&self, attribute: &str, digest: &str) -> bool {
        self.text(attribute) == Some(digest)
    }

    /// Returns what it belongs to: a trace's project, a span's trace.
    pub(crate) fn partition(&self) -> &str {
        self.text(self.kind.partition).unwrap_or_default()
    }

    fn text(&self, name: &str) -> Option<&str> {
        text(&self.item, name)
    }
}

impl NewTrace {
    /// Returns the item to store.
    pub(crate) fn item(&self) -> Item {
        let ids = [("trace_id", Some(&self.trace_id)), ("project_id", Some(&self.project_id))];
        item(&ids, &self.details)
    }
}

impl NewSpan {
    /// Returns the item to store.
    pub(crate) fn item(&self) -> Item {
        let ids = [
            ("span_id", Some(&self.span_id)),
            ("trace_id", Some(&self.trace_id)),
            ("parent_span_id", self.parent_span_id.as_ref()),
            ("kind", self.kind.as_ref()),
        ];
        item(&ids, &self.details)
    }
}

impl Completion {
    /// Returns the attributes to add.
    pub(crate) fn attributes(&self) -> Vec<(&'static str, AttributeValue)> {
        let mut attributes = vec![
            ("status", string(self.status)),
            ("end_time", string(self.end_time.to_string())),
            (COMPLETION_DIGEST, string(self.digest.as_str())),
        ];
        attributes.extend(self.output.as_ref().map(|output| ("output", string(output.to_string()))));
        attributes.extend(self.error.as_ref().map(|error| ("error", string(error.as_str()))));
        attributes
    }
}

/// Returns a string attribute.
pub(crate) fn string(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

fn item(ids: &[(&str, Option<&String>)], details: &Details) -> Item {
    let ids = ids.iter().filter_map(|(name, id)| id.map(|id| (*name, id.clone())));
    let json = [("input", &details.input), ("metadata", &details.metadata)];
    let json =
        json.into_iter().filter_map(|(name, value)| value.as_ref().map(|value| (name, value.to_string())));
    let own = [
        ("name", details.name.clone()),
        ("start_time", details.start_time.to_string()),
        (DIGEST, details.digest.clone()),
    ];
    let expires = details.expires_at.map(|at| (EXPIRES_AT.to_owned(), AttributeValue::N(at.to_string())));
    let texts = ids.chain(own).chain(json).map(|(name, text)| (name.to_owned(), string(text)));
    texts.chain(expires).collect()
}

fn text<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Record, SPAN, TRACE, string};
    use crate::body::{Completion, NewSpan, NewTrace};

    fn trace() -> NewTrace {
        let body = json!({
            "trace_id": "t1", "project_id": "shop", "name": "checkout", "start_time": "2026-11-22T11:00:00+01:00",
            "input": { "z": 1, "a": [1.5, null] }, "metadata": { "user": "u1" },
        });
        NewTrace::parse(body.to_string().as_bytes()).expect("a trace")
    }

    #[test]
    fn shows_what_was_sent() {
        let record = Record::of(TRACE, trace().item()).expect("a record");
        let shown = json!({
            "trace_id": "t1", "project_id": "shop", "name": "checkout", "status": "running",
            "start_time": "2026-11-22T10:00:00.000000Z", "input": { "z": 1, "a": [1.5, null] },
            "metadata": { "user": "u1" },
        });
        // As text: the order of members is a part of what callers see.
        assert_eq!(record.shown().to_string(), shown.to_string());
        assert!(!record.is_complete());
    }

    #[test]
    fn record_with_a_ttl_expires_and_another_never_does() {
        assert_eq!(trace().item().get(super::EXPIRES_AT), None);
        let body = br#"{"trace_id":"t1","project_id":"shop","name":"checkout","ttl_seconds":3600}"#;
        let item = NewTrace::parse(body).expect("a trace").item();
        let at: u64 = item[super::EXPIRES_AT].as_n().expect("a number").parse().expect("a whole number");
        let now = crate::time::Time::now().seconds();
        assert!((now + 3590..=now + 3600).contains(&at), "{at}, now {now}");
        Record::of(TRACE, item).expect("a record");
    }

    #[test]
    fn shows_a_completed_span() {
        let span = NewSpan::parse(
            "t1".to_owned(),
            br#"{"span_id":"s1","parent_span_id":"s0","kind":"llm","name":"call","start_time":"2026-11-22T10:00:00Z"}"#,
        );
        let mut item = span.expect("a span").item();
        let end = br#"{"end_time":"2026-11-22T10:00:01.5Z","output":"text","error":"cut off"}"#;
        let end = Completion::parse(end).expect("a completion");
        item.extend(end.attributes().into_iter().map(|(name, value)| (name.to_owned(), value)));
        let record = Record::of(SPAN, item).expect("a record");
        let shown = json!({
            "span_id": "s1", "trace_id": "t1", "parent_span_id": "s0", "kind": "llm", "name": "call",
            "status": "error", "start_time": "2026-11-22T10:00:00.000000Z",
            "end_time": "2026-11-22T10:00:01.500000Z", "duration_ms": 1500.0, "output": "text", "error": "cut off",
        });
        assert_eq!(record.shown().to_string(), shown.to_string());
        assert!(record.is_complete());
        assert_eq!(record.cursor().id, "s1");
    }

    #[test]
    fn names_the_attribute_that_is_wrong() {
        for (attribute, value) in
            [("start_time", "soon"), ("end_time", "later"), ("input", "{"), ("metadata", "'"), ("output", "")]
        {
            let mut item = trace().item();
            item.insert(attribute.to_owned(), string(value));
            let error = Record::of(TRACE, item).expect_err(attribute).to_string();
            assert_eq!(error, format!("the trace t1 is stored with a wrong attribute `{attribute}`"));
        }
        let mut item = trace().item();
        item.remove("project_id");
        assert!(Record::of(TRACE, item).expect_err("no project").to_string().contains("`project_id`"));
    }
}
