//! The schema of a stored document: its member `schema`, such as `slipway.release/1`.
//!
//! Readers ask for it first and choose by it, so that a later version of a format can be added beside the earlier ones.

use serde::Deserialize;

use crate::failure::Failure;

/// Returns the schema that a JSON document names; nothing where it names none or is not JSON.
pub fn schema_of(document: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        schema: String,
    }
    serde_json::from_slice::<Named>(document).ok().map(|named| named.schema)
}

/// Makes the failure of a document whose schema is unknown; `newest` is the newest schema of such documents that is known.
pub fn unknown_schema(document: &str, found: &str, newest: &str) -> Failure {
    Failure::failed(format!(
        "{document} has the schema {found}; the newest that this Slipway reads is {newest}"
    ))
    .hint("use the version of Slipway that the project pins")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schema_is_read_whatever_else_the_document_holds() {
        assert_eq!(schema_of(br#"{"a":[1],"schema":"x/2","b":{}}"#).as_deref(), Some("x/2"));
        for without in [&br#"{"a":1}"#[..], br#"{"schema":1}"#, b"[]", b"not JSON", b""] {
            assert_eq!(schema_of(without), None);
        }
    }
}
