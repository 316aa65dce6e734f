//! DynamoDB where the emulator is not as strict as DynamoDB: writes to one table come one after the other.
//!
//! The emulator looks at a condition and writes in two steps, so that of two writers with the same condition both may
//! succeed, and it undoes a failed transaction by putting back the tables as they were before. In: a request for
//! DynamoDB. Out: the emulator's answer; a write to one table waits for its turn there, and one to several tables, or in
//! PartiQL, for all of its region. What can go wrong: the request's body breaks off or is too long.

use super::forward::{pass, to_the_end};
use super::refusal::Refusal;
use super::scope::Scope;
use super::{Shared, streams};
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use std::collections::BTreeSet;

const TARGET: &str = "x-amz-target";
const SERVICE: &str = "DynamoDB_20120810.";
/// A batch has 16 MB at most.
const LONGEST: usize = 17 << 20;

/// What a call does to tables.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Writes {
    Nothing,
    Table(String),
    Several,
}

/// Answers what no other route does.
pub(super) async fn answer(state: Shared, request: Request) -> Response {
    let Some(action) = action(&request).filter(|action| !reads(action)).map(str::to_owned) else {
        return streams::answer(state, request).await;
    };
    // An account's table shares its turn with one of that name in another account, which costs nobody much.
    let scope = Scope::of(request.headers(), request.uri());
    let region = scope.map(|scope| scope.region).unwrap_or_default();
    let (mut parts, body) = request.into_parts();
    // A client that is still sending keeps nobody waiting.
    let Ok(body) = axum::body::to_bytes(body, LONGEST).await else {
        let message = "The request's body broke off or is longer than 16 MB";
        return Refusal::new(StatusCode::BAD_REQUEST, "ValidationException", message).into_response();
    };
    parts.headers.remove(header::EXPECT);
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    let writes = writes(&action, &body);
    let request = Request::from_parts(parts, Body::from(body));
    let gateway = state.0;
    let work = async move {
        let _held = match &writes {
            Writes::Nothing => None,
            Writes::Table(table) => Some(gateway.tables.hold_within(&region, table).await),
            Writes::Several => Some(gateway.tables.hold(&region).await),
        };
        pass(&gateway, request).await
    };
    to_the_end(work).await
}

/// Takes the action from a call to DynamoDB.
fn action(request: &Request) -> Option<&str> {
    request.headers().get(TARGET)?.to_str().ok()?.strip_prefix(SERVICE)
}

/// Says whether an action changes nothing, by its name.
fn reads(action: &str) -> bool {
    let verbs = ["Get", "BatchGet", "TransactGet", "Query", "Scan", "Describe", "List"];
    verbs.iter().any(|verb| action.starts_with(verb))
}

/// Finds the tables that a call writes to.
fn writes(action: &str, body: &[u8]) -> Writes {
    // What is no JSON the emulator refuses.
    let Ok(asked) = serde_json::from_slice::<Value>(body) else {
        return Writes::Nothing;
    };
    let tables: BTreeSet<&str> = match action {
        "BatchWriteItem" => {
            asked["RequestItems"].as_object().into_iter().flatten().map(|(table, _)| name(table)).collect()
        }
        // The emulator puts whole tables back when a transaction fails.
        "TransactWriteItems" => return Writes::Several,
        _ => asked["TableName"].as_str().into_iter().map(name).collect(),
    };
    match tables.first() {
        Some(table) if tables.len() == 1 => Writes::Table((*table).to_owned()),
        _ => Writes::Several,
    }
}

/// A table may be named by its ARN.
fn name(table: &str) -> &str {
    table.rsplit_once(":table/").map_or(table, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_call_waits_for_the_tables_that_it_writes_to() {
        let table = |name: &str| Writes::Table(name.to_owned());
        let arn = "arn:aws:dynamodb:eu-central-1:111111111111:table/t";
        for (action, body, expected) in [
            ("PutItem", json!({ "TableName": "t", "Item": {} }), table("t")),
            ("UpdateItem", json!({ "TableName": arn }), table("t")),
            ("DeleteTable", json!({ "TableName": "t" }), table("t")),
            ("BatchWriteItem", json!({ "RequestItems": { "t": [], arn: [] } }), table("t")),
            ("BatchWriteItem", json!({ "RequestItems": { "t": [], "u": [] } }), Writes::Several),
            ("TransactWriteItems", json!({ "TransactItems": [] }), Writes::Several),
            ("ExecuteStatement", json!({ "Statement": "DELETE FROM t" }), Writes::Several),
        ] {
            assert_eq!(writes(action, body.to_string().as_bytes()), expected, "{action} {body}");
            assert!(!reads(action), "{action}");
        }
        assert_eq!(writes("PutItem", b"not JSON"), Writes::Nothing);
        for action in
            ["GetItem", "BatchGetItem", "TransactGetItems", "Query", "Scan", "DescribeTable", "ListTables"]
        {
            assert!(reads(action), "{action}");
        }
    }
}
