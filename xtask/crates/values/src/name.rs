//! The names of functions, stacks and environments, and versions.
//!
//! Each type parses from text, with an error that says what is allowed, and holds valid values only.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// The error for a text that is not a valid name or version.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{text}` is not a valid {what}: {allowed}")]
pub struct NameError {
    text: String,
    what: &'static str,
    allowed: &'static str,
}

const NAME_RULE: &str =
    "lower-case letters, digits and single hyphens, beginning with a letter, at most 40 characters";

fn is_name(text: &str) -> bool {
    text.len() <= 40
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('-')
        && !text.contains("--")
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

macro_rules! names {
    ($($(#[$doc:meta])* $type:ident, $what:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schemars(with = "String")]
        pub struct $type(String);

        impl $type {
            /// Returns the name as text.
            pub fn as_str(&self) -> &str { &self.0 }
        }

        impl FromStr for $type {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                if is_name(text) { Ok(Self(text.to_owned())) }
                else { Err(NameError { text: text.to_owned(), what: $what, allowed: NAME_RULE }) }
            }
        }

        impl TryFrom<String> for $type {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> { text.parse() }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String { name.0 }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.pad(&self.0) }
        }
    )*};
}

names! {
    /// The name of a function: its folder in `lambda-src/`.
    FunctionName, "function name";
    /// The name of a stack: its folder in `terraform/stacks/`.
    StackName, "stack name";
    /// The name of an environment: its folder in `terraform/environments/`.
    EnvironmentName, "environment name";
}

/// A semantic version without build metadata, because `+` is not valid in an image tag nor safe in an object key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Version(semver::Version);

impl Version {
    /// Returns the version with these numbers and no pre-release.
    pub fn new(major: u64, minor: u64, patch: u64) -> Self {
        Self(semver::Version::new(major, minor, patch))
    }

    /// Returns the three numbers.
    pub fn numbers(&self) -> (u64, u64, u64) {
        (self.0.major, self.0.minor, self.0.patch)
    }

    /// Returns whether the version has no pre-release part.
    pub fn is_release(&self) -> bool {
        self.0.pre.is_empty()
    }

    /// Returns whether the version is that of a dirty tree, such as `1.2.3-dirty.0a1b2c3d`.
    pub fn is_dirty(&self) -> bool {
        self.0.pre.as_str().starts_with("dirty.")
    }

    /// Returns the version of a dirty tree: `<self>-dirty.<8 hex digits of the inputs digest>`.
    pub fn dirty(&self, inputs: &Digest) -> Self {
        let (major, minor, patch) = self.numbers();
        let mut version = semver::Version::new(major, minor, patch);
        // A numeric identifier may not begin with zero, so digits alone get an `x` in front.
        let hex = &inputs.hex()[..8];
        let word =
            if hex.bytes().all(|b| b.is_ascii_digit()) { format!("x{}", &hex[..7]) } else { hex.to_owned() };
        version.pre = semver::Prerelease::new(&format!("dirty.{word}")).unwrap_or(semver::Prerelease::EMPTY);
        Self(version)
    }
}

impl FromStr for Version {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let error = || NameError {
            text: text.to_owned(),
            what: "semantic version",
            allowed: "three numbers such as 1.4.2, with a pre-release such as 1.5.0-rc.1 allowed and no build metadata",
        };
        let version = semver::Version::parse(text).map_err(|_| error())?;
        if version.build.is_empty() { Ok(Self(version)) } else { Err(error()) }
    }
}

impl TryFrom<String> for Version {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> String {
        version.0.to_string()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.to_string())
    }
}

/// The longest text, in bytes, whose edit distance to a name is computed: that takes memory for the product of both lengths.
const LONGEST_COMPARED: usize = 200;

/// Returns up to `limit` of the known names, those with the least edit distance to `wanted` first; none for a text that is
/// too long to be meant for one of them.
pub fn nearest<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>, limit: usize) -> Vec<&'a str> {
    if wanted.len() > LONGEST_COMPARED {
        return Vec::new();
    }
    let mut scored: Vec<(usize, &str)> =
        known.into_iter().map(|name| (strsim::damerau_levenshtein(wanted, name), name)).collect();
    scored.sort();
    scored.into_iter().take(limit).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_allows_only_what_every_service_accepts() {
        for good in ["hello", "stream-ingest", "a1"] {
            assert_eq!(good.parse::<FunctionName>().unwrap().as_str(), good);
        }
        for bad in ["", "Hello", "-a", "a-", "a--b", "1a", "a_b", "a/b", "..", &"a".repeat(41)] {
            assert!(bad.parse::<FunctionName>().is_err(), "{bad} was accepted");
        }
        let error = "Hello".parse::<StackName>().unwrap_err().to_string();
        assert!(error.contains("`Hello` is not a valid stack name"), "{error}");
    }

    #[test]
    fn version_refuses_build_metadata_and_marks_dirty_trees() {
        assert!("1.2.3+build".parse::<Version>().is_err());
        assert!("1.2".parse::<Version>().is_err());
        let digest = Digest::of("x");
        let dirty = Version::new(1, 2, 3).dirty(&digest);
        assert!(dirty.is_dirty() && !dirty.is_release());
        assert_eq!(dirty.to_string(), format!("1.2.3-dirty.{}", &digest.hex()[..8]));
        assert!(dirty < Version::new(1, 2, 3));
        let digits: Digest = format!("sha256:0123456{}", "7".repeat(57)).parse().unwrap();
        assert_eq!(Version::new(1, 0, 0).dirty(&digits).to_string(), "1.0.0-dirty.x0123456");
    }
}
