//! Serializes DynamoDB writes to one table, so that conditions hold.
//!
//! The emulator checks a condition and writes in two steps, so that two writers with the same condition may both succeed.
//! It undoes a failed transaction by restoring the tables as they were before. In: a write. Out: the emulator's response. A
//! write to one table locks the table; a write to several tables, or in PartiQL, locks all tables of its region. Errors:
//! the request's body is incomplete or too long.

use super::lambda_error::LambdaError;
use super::locks::Locks;
use super::scope::CredentialScope;
use super::upstream::{Upstream, run_to_completion};
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

const TARGET: &str = "x-amz-target";
const SERVICE: &str = "DynamoDB_20120810.";
/// The longest request, in bytes. A batch has 16 MB at most.
const LONGEST: usize = 17 << 20;

/// The handler of DynamoDB writes.
pub(crate) struct Tables {
    upstream: Arc<Upstream>,
    /// Locks of regions and their tables. Tables with the same name in two accounts share a lock.
    locks: Locks,
}

/// The tables that a call writes to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum WrittenTables {
    None,
    One(String),
    Several,
}

impl Tables {
    pub(super) fn new(upstream: Arc<Upstream>) -> Self {
        Self { upstream, locks: Locks::default() }
    }

    /// Forwards a write while it holds the locks of its tables.
    pub(super) async fn write(self: Arc<Self>, request: Request) -> Response {
        let scope = CredentialScope::of(request.headers(), request.uri());
        let region = scope.map(|scope| scope.region).unwrap_or_default();
        let action = action(&request).unwrap_or_default().to_owned();
        let (mut parts, body) = request.into_parts();
        // The body is received before a lock is taken, so that a client that is still sending blocks nobody.
        let Ok(body) = axum::body::to_bytes(body, LONGEST).await else {
            let message = "The request's body is incomplete or longer than 16 MB";
            return LambdaError::validation(message).into_response();
        };
        parts.headers.remove(header::EXPECT);
        parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        let written = written_tables(&action, &body);
        let request = Request::from_parts(parts, Body::from(body));
        let work = async move {
            let _lock = match &written {
                WrittenTables::None => None,
                WrittenTables::One(table) => Some(self.locks.lock_child(&region, table).await),
                WrittenTables::Several => Some(self.locks.lock(&region).await),
            };
            self.upstream.forward(request).await
        };
        run_to_completion(work).await
    }
}

/// Returns whether a request is a write to DynamoDB.
pub(super) fn is_write(request: &Request) -> bool {
    action(request).is_some_and(|action| !is_read(action))
}

/// Returns the action of a call to DynamoDB.
fn action(request: &Request) -> Option<&str> {
    request.headers().get(TARGET)?.to_str().ok()?.strip_prefix(SERVICE)
}

/// Returns whether an action changes nothing, by its name.
fn is_read(action: &str) -> bool {
    let verbs = ["Get", "BatchGet", "TransactGet", "Query", "Scan", "Describe", "List"];
    verbs.iter().any(|verb| action.starts_with(verb))
}

fn written_tables(action: &str, body: &[u8]) -> WrittenTables {
    // The emulator rejects a body that is not JSON.
    let Ok(request) = serde_json::from_slice::<Value>(body) else {
        return WrittenTables::None;
    };
    let tables: BTreeSet<&str> = match action {
        "BatchWriteItem" => {
            request["RequestItems"].as_object().into_iter().flatten().map(|(table, _)| name(table)).collect()
        }
        // The emulator restores all tables if a transaction fails.
        "TransactWriteItems" => return WrittenTables::Several,
        _ => request["TableName"].as_str().into_iter().map(name).collect(),
    };
    match tables.first() {
        Some(table) if tables.len() == 1 => WrittenTables::One((*table).to_owned()),
        _ => WrittenTables::Several,
    }
}

/// Returns the name of a table, which may be given as an ARN.
fn name(table: &str) -> &str {
    table.rsplit_once(":table/").map_or(table, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn written_tables_are_found_in_the_request() {
        let table = |name: &str| WrittenTables::One(name.to_owned());
        let arn = "arn:aws:dynamodb:eu-central-1:111111111111:table/t";
        for (action, body, expected) in [
            ("PutItem", json!({ "TableName": "t", "Item": {} }), table("t")),
            ("UpdateItem", json!({ "TableName": arn }), table("t")),
            ("DeleteTable", json!({ "TableName": "t" }), table("t")),
            ("BatchWriteItem", json!({ "RequestItems": { "t": [], arn: [] } }), table("t")),
            ("BatchWriteItem", json!({ "RequestItems": { "t": [], "u": [] } }), WrittenTables::Several),
            ("TransactWriteItems", json!({ "TransactItems": [] }), WrittenTables::Several),
            ("ExecuteStatement", json!({ "Statement": "DELETE FROM t" }), WrittenTables::Several),
        ] {
            assert_eq!(written_tables(action, body.to_string().as_bytes()), expected, "{action} {body}");
            assert!(!is_read(action), "{action}");
        }
        assert_eq!(written_tables("PutItem", b"not JSON"), WrittenTables::None);
        for action in
            ["GetItem", "BatchGetItem", "TransactGetItems", "Query", "Scan", "DescribeTable", "ListTables"]
        {
            assert!(is_read(action), "{action}");
        }
    }
}
