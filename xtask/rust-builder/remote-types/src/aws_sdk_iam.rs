//! The one IAM type that cargo-lambda-metadata names.

/// Types of IAM's API.
pub mod types {
    /// Key and value of a tag; made by [`Tag::builder`].
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Tag {
        /// The key.
        pub key: String,
        /// The value.
        pub value: String,
    }

    impl Tag {
        /// Starts a tag.
        pub fn builder() -> TagBuilder {
            TagBuilder::default()
        }
    }

    /// Collects what a [`Tag`] needs.
    #[derive(Clone, Debug, Default)]
    pub struct TagBuilder {
        key: Option<String>,
        value: Option<String>,
    }

    impl TagBuilder {
        /// Sets the key.
        pub fn key(mut self, key: impl Into<String>) -> Self {
            self.key = Some(key.into());
            self
        }

        /// Sets the value.
        pub fn value(mut self, value: impl Into<String>) -> Self {
            self.value = Some(value.into());
            self
        }

        /// Makes the tag. Fails with the name of the part that was not set.
        pub fn build(self) -> Result<Tag, MissingPart> {
            Ok(Tag {
                key: self.key.ok_or(MissingPart("key"))?,
                value: self.value.ok_or(MissingPart("value"))?,
            })
        }
    }

    /// Names the part of a tag that was not set.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct MissingPart(pub &'static str);
}
