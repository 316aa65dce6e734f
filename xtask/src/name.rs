//! The domain's names as types: what a function, a stack, an environment, a version and a digest may be.
//!
//! All parse from text with an error that says what is allowed; none can hold anything else.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Why a text is no name, version or digest.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{text}` is no {what}: {allowed}")]
pub(crate) struct NameError {
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
        pub(crate) struct $type(String);

        impl $type {
            /// Returns the name as text.
            pub(crate) fn as_str(&self) -> &str { &self.0 }
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
    /// A function: the name of its folder below `lambda-src/`.
    FunctionName, "function name";
    /// A stack: the name of its folder below `terraform/stacks/`.
    StackName, "stack name";
    /// An environment: the name of its folder below `terraform/environments/`.
    EnvironmentName, "environment name";
}

/// A semantic version without build metadata (a `+` is neither an image tag nor a safe key).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub(crate) struct Version(semver::Version);

impl Version {
    /// Makes a release version from its three numbers.
    pub(crate) fn new(major: u64, minor: u64, patch: u64) -> Self {
        Self(semver::Version::new(major, minor, patch))
    }

    /// Returns the three numbers.
    pub(crate) fn numbers(&self) -> (u64, u64, u64) {
        (self.0.major, self.0.minor, self.0.patch)
    }

    /// Tells whether this is a plain release: no pre-release part.
    pub(crate) fn is_release(&self) -> bool {
        self.0.pre.is_empty()
    }

    /// Tells whether this names the bytes of a dirty tree (`1.2.3-dirty.0a1b2c3d`).
    pub(crate) fn is_dirty(&self) -> bool {
        self.0.pre.as_str().starts_with("dirty.")
    }

    /// Returns the version that names a dirty tree's bytes: `<self>-dirty.<8 hex of the inputs digest>`.
    pub(crate) fn dirty(&self, inputs: &Digest) -> Self {
        let (major, minor, patch) = self.numbers();
        let mut version = semver::Version::new(major, minor, patch);
        // A leading zero is allowed only in identifiers with a letter, so the hex stands behind an `x` there.
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

/// A SHA-256, written `sha256:<64 hex>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub(crate) struct Digest([u8; 32]);

impl Digest {
    /// Hashes bytes.
    pub(crate) fn of(bytes: impl AsRef<[u8]>) -> Self {
        Self(Sha256::digest(bytes.as_ref()).into())
    }

    /// Takes the 32 bytes of a SHA-256 computed elsewhere.
    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the 32 bytes.
    pub(crate) fn bytes(&self) -> [u8; 32] {
        self.0
    }

    /// Returns 64 lower-case hex characters.
    pub(crate) fn hex(&self) -> String {
        hex::encode(self.0)
    }

    /// Returns standard base64, which is how Lambda reports a zip's `CodeSha256`.
    pub(crate) fn base64(&self) -> String {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(self.0)
    }

    /// Returns `sha256:9c1f…e2a4`: enough to tell two apart on a screen.
    pub(crate) fn short(&self) -> String {
        let hex = self.hex();
        format!("sha256:{}…{}", &hex[..4], &hex[60..])
    }
}

impl FromStr for Digest {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let error = || NameError {
            text: text.to_owned(),
            what: "digest",
            allowed: "sha256: and 64 lower-case hex characters",
        };
        let hex_part = text.strip_prefix("sha256:").ok_or_else(error)?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(hex_part, &mut bytes).map_err(|_| error())?;
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Digest {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.to_string()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

/// Hashes a sequence of named parts without ambiguity: each part's length goes in before its bytes.
pub(crate) struct DigestBuilder(Sha256);

impl DigestBuilder {
    /// Starts a digest of a given purpose, so that equal parts in two uses never collide.
    pub(crate) fn new(purpose: &str) -> Self {
        let mut builder = Self(Sha256::new());
        builder.part(purpose, b"");
        builder
    }

    /// Adds one named part.
    pub(crate) fn part(&mut self, name: &str, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        self.0.update((name.len() as u64).to_be_bytes());
        self.0.update(name.as_bytes());
        self.0.update((bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
    }

    /// Ends the digest.
    pub(crate) fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

/// Returns up to `limit` of the known names that are nearest to a mistyped one.
pub(crate) fn nearest<'a>(
    wanted: &str,
    known: impl IntoIterator<Item = &'a str>,
    limit: usize,
) -> Vec<&'a str> {
    let mut scored: Vec<(usize, &str)> =
        known.into_iter().map(|name| (strsim::damerau_levenshtein(wanted, name), name)).collect();
    scored.sort();
    scored.into_iter().take(limit).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_hold_only_what_every_service_takes() {
        for good in ["hello", "stream-ingest", "a1"] {
            assert_eq!(good.parse::<FunctionName>().unwrap().as_str(), good);
        }
        for bad in ["", "Hello", "-a", "a-", "a--b", "1a", "a_b", "a/b", "..", &"a".repeat(41)] {
            assert!(bad.parse::<FunctionName>().is_err(), "{bad} was taken");
        }
        let error = "Hello".parse::<StackName>().unwrap_err().to_string();
        assert!(error.contains("`Hello` is no stack name"), "{error}");
    }

    #[test]
    fn versions_refuse_build_metadata_and_name_dirty_bytes() {
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

    #[test]
    fn parts_cannot_be_moved_across_their_border() {
        let digest = |parts: &[(&str, &str)]| {
            let mut builder = DigestBuilder::new("test");
            parts.iter().for_each(|(name, value)| builder.part(name, value));
            builder.finish()
        };
        assert_ne!(digest(&[("a", "bc")]), digest(&[("ab", "c")]));
        assert_ne!(digest(&[("a", "b"), ("c", "d")]), digest(&[("a", "bcd")]));
    }

    #[test]
    fn digests_read_back_what_they_print() {
        let digest = Digest::of("hello");
        assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
        assert_eq!(digest.base64(), "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=");
        assert!("md5:00".parse::<Digest>().is_err());
    }
}
