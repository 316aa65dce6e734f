//! Traces and spans in DynamoDB.
//!
//! In: what was checked before. Out: [`Record`]s. Each write is one conditional call, so that of two at the same time
//! one wins and the other learns what is stored. What can go wrong: 404, 409, 400 for an end before its start, 413
//! for an item that would outgrow DynamoDB; and of AWS's own, 503 for what may work later and 502 for the rest.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::ReturnValue;

use crate::aws::{Meaning, Refusal, Traced as _};
use crate::body::{Completion, NewSpan, NewTrace};
use crate::cursor::Cursor;
use crate::record::{COMPLETION_DIGEST, CorruptRecord, DIGEST, Item, Kind, Record, SPAN, TRACE, string};
use http_function::ApiError;

/// How much of records one answer gathers before it ends with a cursor, in bytes. A page of DynamoDB, at most 1 MB, may
/// come on top, and quoting may double it all: still below Lambda's 6 MB for an answer.
const LONGEST_PAGE: usize = 3 << 19;

/// Reads and writes both tables.
#[derive(Debug)]
pub(crate) struct Store {
    client: Client,
    traces_table: String,
    spans_table: String,
}

/// Whether a write created the record or found it created before.
#[derive(Debug)]
pub(crate) enum Put {
    Created(Record),
    Same(Record),
}

/// The selected records of a listing.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) partition: &'a str,
    /// Bounds of the start, both included.
    pub(crate) from: &'a str,
    pub(crate) to: &'a str,
    pub(crate) newest_first: bool,
    pub(crate) limit: usize,
    pub(crate) after: Option<Cursor>,
}

/// A page of a listing, with the cursor of the next page.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) records: Vec<Record>,
    pub(crate) next: Option<Cursor>,
}

impl Store {
    pub(crate) fn new(client: Client, traces_table: String, spans_table: String) -> Self {
        Self { client, traces_table, spans_table }
    }

    /// Creates a trace.
    pub(crate) async fn add_trace(&self, trace: &NewTrace) -> Result<Put, ApiError> {
        self.put(TRACE, &trace.trace_id, trace.item(), &trace.details.digest).await
    }

    /// Creates a span of a trace that exists. Nothing here deletes traces, so it still exists when the span is written.
    pub(crate) async fn add_span(&self, span: &NewSpan) -> Result<Put, ApiError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.traces_table)
            .key(TRACE.id, string(&span.trace_id))
            .projection_expression("#id")
            .expression_attribute_names("#id", TRACE.id)
            .consistent_read(true)
            .send()
            .traced("DynamoDB.GetItem")
            .await
            .map_err(|error| refused(&Refusal::of("GetItem", &error)))?;
        answer.item.ok_or_else(|| unknown(TRACE))?;
        self.put(SPAN, &span.span_id, span.item(), &span.details.digest).await
    }

    /// Completes a record; a repeated completion with the same content succeeds.
    pub(crate) async fn complete(
        &self,
        kind: Kind,
        id: &str,
        completion: &Completion,
    ) -> Result<Record, ApiError> {
        let mut update = self
            .client
            .update_item()
            .table_name(self.table(kind))
            .key(kind.id, string(id))
            .condition_expression(
                "attribute_exists(#id) AND attribute_not_exists(#done) AND #start <= :end_time",
            )
            .expression_attribute_names("#id", kind.id)
            .expression_attribute_names("#done", COMPLETION_DIGEST)
            .expression_attribute_names("#start", "start_time")
            .return_values(ReturnValue::AllNew);
        let mut assignments = Vec::new();
        for (name, value) in completion.attributes() {
            assignments.push(format!("#{name} = :{name}"));
            update = update
                .expression_attribute_names(format!("#{name}"), name)
                .expression_attribute_values(format!(":{name}"), value);
        }
        let update = update.update_expression(format!("SET {}", assignments.join(", ")));
        match update.send().traced("DynamoDB.UpdateItem").await {
            Ok(answer) => checked(kind, answer.attributes.unwrap_or_default()),
            Err(error) => {
                let refusal = Refusal::of("UpdateItem", &error);
                if !is_condition(&refusal) {
                    return Err(refused(&refusal));
                }
                let stored = self.get(kind, id).await?.ok_or_else(|| unknown(kind))?;
                if stored.has(COMPLETION_DIGEST, &completion.digest) {
                    return Ok(stored);
                }
                let noun = kind.noun;
                if stored.is_complete() {
                    return Err(ApiError::conflict(format!(
                        "the {noun} was completed before, with something else"
                    )));
                }
                let message = format!("is before the start_time of the {noun}");
                Err(ApiError::field("invalid_field", "end_time", message))
            }
        }
    }

    /// Reads a record as it is now.
    pub(crate) async fn get(&self, kind: Kind, id: &str) -> Result<Option<Record>, ApiError> {
        let answer = self
            .client
            .get_item()
            .table_name(self.table(kind))
            .key(kind.id, string(id))
            .consistent_read(true)
            .send()
            .traced("DynamoDB.GetItem")
            .await
            .map_err(|error| refused(&Refusal::of("GetItem", &error)))?;
        answer.item.map(|item| checked(kind, item)).transpose()
    }

    /// Lists records through their index, which may be a moment behind the table.
    pub(crate) async fn list(&self, kind: Kind, wanted: &Wanted<'_>) -> Result<Page, ApiError> {
        let mut records = Vec::new();
        let mut size = 0;
        let mut after = wanted.after.as_ref().map(|cursor| key(kind, cursor));
        let is_cut = loop {
            // One more than wanted tells whether the listing goes on.
            let missing = wanted.limit + 1 - records.len();
            let answer = self
                .client
                .query()
                .table_name(self.table(kind))
                .index_name(kind.index)
                .key_condition_expression("#partition = :partition AND #start BETWEEN :from AND :to")
                .expression_attribute_names("#partition", kind.partition)
                .expression_attribute_names("#start", "start_time")
                .expression_attribute_values(":partition", string(wanted.partition))
                .expression_attribute_values(":from", string(wanted.from))
                .expression_attribute_values(":to", string(wanted.to))
                .scan_index_forward(!wanted.newest_first)
                .limit(i32::try_from(missing).unwrap_or(i32::MAX))
                .set_exclusive_start_key(after.take())
                .send()
                .traced("DynamoDB.Query")
                .await
                .map_err(|error| refused(&Refusal::of("Query", &error)))?;
            for item in answer.items.unwrap_or_default() {
                let record = checked(kind, item)?;
                size += record.size();
                records.push(record);
            }
            after = answer.last_evaluated_key;
            if records.len() > wanted.limit {
                records.truncate(wanted.limit);
                break true;
            }
            if after.is_none() || size >= LONGEST_PAGE {
                break after.is_some();
            }
        };
        let next = records.last().filter(|_| is_cut).map(Record::cursor);
        Ok(Page { records, next })
    }

    async fn put(&self, kind: Kind, id: &str, item: Item, digest: &str) -> Result<Put, ApiError> {
        let put = self
            .client
            .put_item()
            .table_name(self.table(kind))
            .set_item(Some(item.clone()))
            .condition_expression("attribute_not_exists(#id)")
            .expression_attribute_names("#id", kind.id);
        match put.send().traced("DynamoDB.PutItem").await {
            Ok(_) => Ok(Put::Created(checked(kind, item)?)),
            Err(error) => {
                let refusal = Refusal::of("PutItem", &error);
                if !is_condition(&refusal) {
                    return Err(refused(&refusal));
                }
                // Gone again, by hand: the caller's next attempt makes it.
                let gone = || ApiError::unavailable("storage_unavailable", LATER, refusal.cause.clone());
                let stored = self.get(kind, id).await?.ok_or_else(gone)?;
                if stored.has(DIGEST, digest) {
                    return Ok(Put::Same(stored));
                }
                let message = format!("the {} is taken by a {} with other content", kind.id, kind.noun);
                Err(ApiError::conflict(message))
            }
        }
    }

    fn table(&self, kind: Kind) -> &str {
        if kind.id == TRACE.id { &self.traces_table } else { &self.spans_table }
    }
}

/// Returns the error for a record that does not exist.
pub(crate) fn unknown(kind: Kind) -> ApiError {
    ApiError::not_found(format!("there is no {} with this id", kind.noun))
}

const LATER: &str = "the storage does not answer now; try again";

fn key(kind: Kind, cursor: &Cursor) -> Item {
    Item::from([
        (kind.id.to_owned(), string(&cursor.id)),
        (kind.partition.to_owned(), string(&cursor.partition)),
        ("start_time".to_owned(), string(cursor.start_time.to_string())),
    ])
}

fn checked(kind: Kind, item: Item) -> Result<Record, ApiError> {
    let wrong = |error: CorruptRecord| {
        ApiError::bad_gateway("storage_failed", "the storage holds what it should not", error.to_string())
    };
    Record::of(kind, item).map_err(wrong)
}

fn is_condition(refusal: &Refusal) -> bool {
    refusal.code.as_deref() == Some("ConditionalCheckFailedException")
}

fn refused(refusal: &Refusal) -> ApiError {
    let cause = refusal.cause.clone();
    if refusal.code.as_deref() == Some("ValidationException") && cause.contains("tem size") {
        return ApiError::too_large("with this, what is stored would be longer than 400 KB");
    }
    match refusal.meaning {
        Meaning::Throttled => ApiError::unavailable("throttled", "too many requests; try again later", cause),
        Meaning::Unavailable => ApiError::unavailable("storage_unavailable", LATER, cause),
        Meaning::Refused => ApiError::bad_gateway("storage_failed", "the storage refused the request", cause),
    }
}
