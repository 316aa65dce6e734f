//! Image references: `host[:port]/repository[:tag]@sha256:…`.
//!
//! In: a text from a settings file. Out: an [`ImageReference`], which always has a digest, because the image that a release
//! is built on must not change. Errors: a part is missing or not valid.

use std::fmt;

use slipway_values::digest::{Digest, DigestError};

/// An image in a registry, by digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageReference {
    /// The registry's host, with its port if it has one.
    pub host: String,
    /// The repository, `lambda/python`.
    pub repository: String,
    /// The tag that the digest was found under, for people.
    pub tag: Option<String>,
    /// The digest of its manifest or index.
    pub digest: Digest,
}

/// A text that is not an image reference with a digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// There is no host before the first slash.
    #[error("the image `{0}` names no registry: write `host/repository@sha256:…`")]
    Host(String),
    /// The part after the host is not a repository.
    #[error(
        "the image `{0}` has no valid repository after its host: lower-case letters, digits, `.`, `_`, `-`, `/`"
    )]
    Repository(String),
    /// The part after the colon is not a tag.
    #[error("the image `{0}` has no valid tag after its colon")]
    Tag(String),
    /// There is no `@`.
    #[error("the image `{0}` has no digest: a tag can be moved, so write `…@sha256:…`")]
    DigestMissing(String),
    /// The part after the `@` is not a digest.
    #[error("the image `{text}`: {source}")]
    Digest {
        /// The text.
        text: String,
        /// The error in its digest.
        source: DigestError,
    },
}

impl ImageReference {
    /// Reads `host[:port]/repository[:tag]@sha256:…`.
    ///
    /// # Errors
    /// The error names the text and the part that is missing or not valid.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (text, None),
        };
        let (host, rest) = name.split_once('/').ok_or_else(|| ReferenceError::Host(text.to_owned()))?;
        // Some tools read `library/python` as a repository of Docker Hub; here the first part is always a host.
        if !(host.contains(['.', ':']) || host == "localhost") || host.starts_with([':', '.']) {
            return Err(ReferenceError::Host(text.to_owned()));
        }
        let (repository, tag) = match rest.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (rest, None),
        };
        if !is_repository(repository) {
            return Err(ReferenceError::Repository(text.to_owned()));
        }
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(ReferenceError::Tag(text.to_owned()));
        }
        let digest = digest.ok_or_else(|| ReferenceError::DigestMissing(text.to_owned()))?;
        let wrong = |source| ReferenceError::Digest { text: text.to_owned(), source };
        Ok(Self {
            host: host.to_owned(),
            repository: repository.to_owned(),
            tag: tag.map(str::to_owned),
            digest: digest.parse().map_err(wrong)?,
        })
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        write!(f, "@{}", self.digest)
    }
}

/// Returns whether a text is a valid repository name.
pub(super) fn is_repository(text: &str) -> bool {
    let part = |part: &str| {
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        edge(part.chars().next())
            && edge(part.chars().next_back())
            && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c))
    };
    text.len() <= 255 && text.split('/').all(part)
}

/// Returns whether a text is a valid tag.
pub(super) fn is_tag(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.len() <= 128
        && text.chars().next().is_some_and(word)
        && text.chars().all(|c| word(c) || c == '.' || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

    #[test]
    fn image_references_are_parsed_and_printed() {
        for (name, host, repository, tag) in [
            ("public.ecr.aws/lambda/python:3.13", "public.ecr.aws", "lambda/python", Some("3.13")),
            ("localhost:5000/base", "localhost:5000", "base", None),
            ("127.0.0.1:5000/a/b-c/d_e", "127.0.0.1:5000", "a/b-c/d_e", None),
        ] {
            let text = format!("{name}@sha256:{HEX}");
            let read = ImageReference::parse(&text).unwrap();
            assert_eq!((read.host.as_str(), read.repository.as_str()), (host, repository));
            assert_eq!((read.tag.as_deref(), read.digest.hex().as_str()), (tag, HEX));
            assert_eq!(read.to_string(), text);
        }
    }

    #[test]
    fn image_reference_errors_name_the_wrong_part() {
        for (text, missing) in [
            (format!("python@sha256:{HEX}"), "names no registry"),
            (format!("library/python@sha256:{HEX}"), "names no registry"),
            (format!("public.ecr.aws/@sha256:{HEX}"), "no valid repository"),
            (format!("public.ecr.aws/Lambda@sha256:{HEX}"), "no valid repository"),
            (format!("public.ecr.aws/../x@sha256:{HEX}"), "no valid repository"),
            (format!("public.ecr.aws/lambda:@sha256:{HEX}"), "no valid tag"),
            ("public.ecr.aws/lambda/python:3.13".into(), "has no digest"),
            ("public.ecr.aws/lambda@sha256:12".into(), "`sha256:12` is not a valid digest"),
            (format!("public.ecr.aws/lambda@sha512:{HEX}"), "is not a valid digest"),
        ] {
            let error = ImageReference::parse(&text).unwrap_err().to_string();
            assert!(error.contains(missing) && error.contains(&format!("`{text}`")), "{text}: {error}");
        }
    }
}
