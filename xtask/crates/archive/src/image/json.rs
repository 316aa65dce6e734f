//! Reads members of JSON documents; errors name the document and the member.

use serde_json::{Map, Value};

use crate::image::{Descriptor, ImageError};

/// A document, or an object in one, with its name in errors.
pub(super) struct Document<'a> {
    pub(super) what: &'a str,
    pub(super) members: &'a Map<String, Value>,
}

/// Parses a document, which must be an object.
pub(super) fn parse(what: &str, bytes: &[u8]) -> Result<Map<String, Value>, ImageError> {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err(member_error(what, "", "an object")),
        Err(source) => Err(ImageError::Json { what: what.to_owned(), source }),
    }
}

impl<'a> Document<'a> {
    pub(super) const fn new(what: &'a str, members: &'a Map<String, Value>) -> Self {
        Self { what, members }
    }

    pub(super) fn text(&self, member: &str) -> Result<&'a str, ImageError> {
        self.members
            .get(member)
            .and_then(Value::as_str)
            .ok_or_else(|| member_error(self.what, member, "a text"))
    }

    pub(super) fn list(&self, member: &str) -> Result<&'a [Value], ImageError> {
        let list = self.members.get(member).and_then(Value::as_array);
        list.map(Vec::as_slice).ok_or_else(|| member_error(self.what, member, "a list"))
    }

    pub(super) fn object(&self, member: &str) -> Result<Document<'a>, ImageError> {
        let members = self.members.get(member).and_then(Value::as_object);
        let members = members.ok_or_else(|| member_error(self.what, member, "an object"))?;
        Ok(Document { what: self.what, members })
    }

    /// Returns the objects of a list.
    pub(super) fn objects(&self, member: &str) -> Result<Vec<Document<'a>>, ImageError> {
        self.list(member)?
            .iter()
            .map(|value| {
                let members =
                    value.as_object().ok_or_else(|| member_error(self.what, member, "a list of objects"))?;
                Ok(Document { what: self.what, members })
            })
            .collect()
    }

    /// Returns this object as a descriptor.
    pub(super) fn descriptor(&self) -> Result<Descriptor, ImageError> {
        let digest = self.text("digest")?;
        Ok(Descriptor {
            media_type: self.text("mediaType")?.to_owned(),
            digest: digest.parse().map_err(|_| ImageError::NotSha256 {
                what: self.what.to_owned(),
                digest: digest.to_owned(),
            })?,
            size: self
                .members
                .get("size")
                .and_then(Value::as_u64)
                .ok_or_else(|| member_error(self.what, "size", "a number of bytes"))?,
        })
    }
}

pub(super) fn member_error(what: &str, member: &str, expected: &'static str) -> ImageError {
    ImageError::Member { what: what.to_owned(), member: member.to_owned(), expected }
}
