//! `[image]` of a function's settings: the base of its container image, and how the image starts.
//!
//! In: the table. Out: [`ImageSettings`]. Goes wrong: a base without a digest, whose content could change under its name.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The settings of a function's container image.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImageSettings {
    /// The base image.
    pub(crate) base: BaseReference,
    /// The entrypoint; by default the base's, or `bootstrap` for a compiled function.
    pub(crate) entrypoint: Option<Vec<String>>,
    /// The working folder of the entrypoint.
    pub(crate) working_dir: Option<String>,
    /// Environment variables of the image.
    #[serde(default)]
    pub(crate) env: BTreeMap<String, String>,
}

/// A reference to the base of an image.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum BaseReference {
    /// `scratch`: no base.
    Scratch,
    /// An image in a registry, `host/repository[:tag]@sha256:…`.
    Registry(String),
    /// An image in an OCI layout: `oci:<folder>@sha256:…`, relative to the project.
    Layout {
        /// The folder.
        folder: String,
        /// The digest of its manifest or index, `sha256:…`.
        digest: String,
    },
}

impl TryFrom<String> for BaseReference {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == "scratch" {
            return Ok(Self::Scratch);
        }
        let Some((image, digest)) = text.split_once('@') else {
            return Err(format!(
                "the base `{text}` has no digest: a tag can be moved, so write `{text}@sha256:…` (or \"scratch\")"
            ));
        };
        let hex = digest.strip_prefix("sha256:").unwrap_or_default();
        if hex.len() != 64 || !hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(format!(
                "the base `{text}` has no valid digest after its @: write sha256: and 64 hex digits"
            ));
        }
        if let Some(folder) = image.strip_prefix("oci:") {
            return Ok(Self::Layout { folder: folder.to_owned(), digest: digest.to_owned() });
        }
        if !image.contains('/') {
            return Err(format!(
                "the base `{text}` names no registry: write host/repository@sha256:…, or oci:<folder>@sha256:…"
            ));
        }
        Ok(Self::Registry(text))
    }
}

impl std::fmt::Display for BaseReference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Scratch => f.write_str("scratch"),
            Self::Registry(reference) => f.write_str(reference),
            Self::Layout { folder, digest } => write!(f, "oci:{folder}@{digest}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_needs_a_digest_and_a_registry() {
        let hex = "a".repeat(64);
        for good in [
            "scratch".to_owned(),
            format!("public.ecr.aws/lambda/python:3.13@sha256:{hex}"),
            format!("127.0.0.1:5000/base@sha256:{hex}"),
            format!("oci:bases/python@sha256:{hex}"),
        ] {
            assert_eq!(BaseReference::try_from(good.clone()).unwrap().to_string(), good);
        }
        for (bad, expected) in [
            ("public.ecr.aws/lambda/python:3.13".to_owned(), "has no digest"),
            ("public.ecr.aws/lambda/python@sha256:12".to_owned(), "no valid digest"),
            (format!("python@sha256:{hex}"), "names no registry"),
        ] {
            let error = BaseReference::try_from(bad).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
