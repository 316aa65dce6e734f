//! The objects of the bucket.
//!
//! In: what was checked before. Out: objects as a caller is shown them; never what is in them. What can go wrong: 404
//! for an object that is not there; and of S3's own, 503 for what may work later and 502 for the rest.

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use aws_sdk_s3::types::{EncodingType, Object};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use crate::aws::{Meaning, Refusal};
use crate::cursor;
use crate::query::ListQuery;
use http_function::ApiError;

/// How much of objects one answer gathers before it ends with a cursor, in bytes. Quoting may double it: still below
/// Lambda's 6 MB for an answer, which a thousand keys of a thousand control characters would exceed.
const LONGEST_PAGE: usize = 5 << 19;

/// Reads one bucket.
#[derive(Debug)]
pub(crate) struct Objects {
    client: Client,
    bucket: String,
}

impl Objects {
    pub(crate) fn new(client: Client, bucket: String) -> Self {
        Self { client, bucket }
    }

    /// Lists one page, in the order of the keys' bytes.
    pub(crate) async fn list(&self, query: &ListQuery) -> Result<Value, ApiError> {
        let answer = self
            .client
            .list_objects_v2()
            .bucket(&self.bucket)
            .set_prefix(Some(query.prefix.clone()).filter(|prefix| !prefix.is_empty()))
            .set_start_after(query.after.clone())
            .max_keys(i32::from(query.limit))
            // A key may hold what XML can't.
            .encoding_type(EncodingType::Url)
            .send()
            .await
            .map_err(|error| refused(Refusal::of("ListObjectsV2", &error)))?;
        let mut shown = Vec::new();
        let mut last = None;
        let mut size = 0;
        let mut goes_on = answer.is_truncated() == Some(true);
        for object in answer.contents() {
            let key = decoded(object.key().unwrap_or_default()).ok_or_else(garbled)?;
            let one = listed(&key, object)?;
            size += one.to_string().len();
            if size > LONGEST_PAGE {
                goes_on = true;
                break;
            }
            shown.push(one);
            last = Some(key);
        }
        let next = last.filter(|_| goes_on).map(|key| cursor::encode(&query.prefix, &key));
        Ok(json!({ "objects": shown, "next_cursor": next }))
    }

    /// Describes one object.
    pub(crate) async fn describe(&self, key: &str) -> Result<Value, ApiError> {
        let answer = self.client.head_object().bucket(&self.bucket).key(key).send().await;
        let head = answer.map_err(|error| {
            let refusal = Refusal::of("HeadObject", &error);
            match refusal.meaning {
                Meaning::Missing => ApiError::not_found("there is no object with this key"),
                _ => refused(refusal),
            }
        })?;
        let mut shown = Map::new();
        shown.insert("key".to_owned(), json!(key));
        shown.insert("size".to_owned(), json!(head.content_length()));
        shown.insert("last_modified".to_owned(), time(head.last_modified())?);
        shown.insert("etag".to_owned(), json!(head.e_tag().map(unquoted)));
        shown.insert("content_type".to_owned(), json!(head.content_type()));
        shown.insert("version_id".to_owned(), json!(head.version_id()));
        // S3 leaves it out for the usual one.
        let class = head.storage_class().map_or("STANDARD", |class| class.as_str());
        shown.insert("storage_class".to_owned(), json!(class));
        shown.insert("metadata".to_owned(), json!(sorted(head.metadata())));
        Ok(Value::Object(shown))
    }
}

fn listed(key: &str, object: &Object) -> Result<Value, ApiError> {
    Ok(json!({
        "key": key,
        "size": object.size(),
        "last_modified": time(object.last_modified())?,
        "etag": object.e_tag().map(unquoted),
    }))
}

/// S3 gives a key of a listing as a form would: a space as `+`.
fn decoded(key: &str) -> Option<String> {
    let key = key.replace('+', " ");
    percent_decode_str(&key).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

fn sorted(
    metadata: Option<&std::collections::HashMap<String, String>>,
) -> std::collections::BTreeMap<&String, &String> {
    metadata.into_iter().flatten().collect()
}

/// Formats a time as RFC 3339 in UTC.
fn time(time: Option<&DateTime>) -> Result<Value, ApiError> {
    let text = time.map(|time| time.fmt(DateTimeFormat::DateTime)).transpose();
    text.map(|text| json!(text)).map_err(|_| garbled())
}

/// An HTTP header quotes it; JSON has quotes of its own.
fn unquoted(etag: &str) -> &str {
    etag.strip_prefix('"').and_then(|etag| etag.strip_suffix('"')).unwrap_or(etag)
}

fn garbled() -> ApiError {
    let cause = "S3's answer holds a key that is no UTF-8 or a time that is none".to_owned();
    ApiError::bad_gateway("storage_failed", "the storage answered what can't be read", cause)
}

fn refused(refusal: Refusal) -> ApiError {
    let cause = refusal.cause;
    match refusal.meaning {
        Meaning::Throttled => ApiError::unavailable("throttled", "too many requests; try again later", cause),
        Meaning::Unavailable => {
            let message = "the storage does not answer now; try again";
            ApiError::unavailable("storage_unavailable", message, cause)
        }
        Meaning::Missing | Meaning::Refused => {
            ApiError::bad_gateway("storage_failed", "the storage refused the request", cause)
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::primitives::DateTime;
    use serde_json::json;

    use super::{decoded, time, unquoted};

    #[test]
    fn shows_times_in_utc_and_etags_without_quotes() {
        assert_eq!(
            time(Some(&DateTime::from_secs(1_795_341_600))).expect("a time"),
            json!("2026-11-22T10:00:00Z")
        );
        assert_eq!(time(None).expect("no time"), json!(null));
        assert_eq!((unquoted("\"abc-2\""), unquoted("abc")), ("abc-2", "abc"));
    }

    #[test]
    fn decodes_keys_as_s3_encodes_them() {
        assert_eq!(decoded("a+b%2Bc%2F%C3%A4%01").as_deref(), Some("a b+c/ä\u{1}"));
        assert_eq!(decoded("%FF"), None);
    }
}
