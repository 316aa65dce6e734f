//! Why nothing was built: kind, message and hint, as the reply carries them.
//!
//! What comes in: what the stages found. What goes out: one sentence that names the thing concerned, a kind
//! that a program can match, and what to do next.

use serde::Serialize;
use std::path::PathBuf;
use thiserror::Error;

/// What a program can match on.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    ZigMissing,
    TargetMissing,
    CompilerMissing,
    Manifest,
    Build,
}

/// Says why nothing was built.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    #[error("CARGO_ZIGBUILD_ZIG_COMMAND names {}, where there is no zig", path.display())]
    ZigNotThere { path: PathBuf },
    #[error("zig was not found: {reason}")]
    ZigNotFound { reason: String },
    #[error("`{command}` gives no version: {reason}")]
    ZigUnusable { command: String, reason: String },
    #[error("Rust's standard library for {triple} is not installed (no libstd in {})", folder.display())]
    TargetMissing { triple: String, folder: PathBuf },
    #[error("`{program}` does not run: {reason}")]
    CompilerMissing { program: String, reason: String },
    #[error("{}: {reason}", manifest.display())]
    Manifest { manifest: PathBuf, reason: String },
    #[error("{} has no package `{package}`; it has {}", manifest.display(), listed(packages))]
    PackageUnknown { package: String, manifest: PathBuf, packages: Vec<String> },
    #[error("package `{package}` has no binary `{binary}`; it has {}", listed(binaries))]
    BinaryUnknown { package: String, binary: String, binaries: Vec<String> },
    #[error("{} is set in the environment, which {effect}", variable)]
    Environment { variable: String, effect: &'static str },
    #[error("building `{binary}` of package `{package}`: {reason}")]
    Build { package: String, binary: String, reason: String },
}

impl Failure {
    /// What a program can match on.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::ZigNotThere { .. } | Self::ZigNotFound { .. } | Self::ZigUnusable { .. } => {
                Kind::ZigMissing
            }
            Self::TargetMissing { .. } => Kind::TargetMissing,
            Self::CompilerMissing { .. } => Kind::CompilerMissing,
            Self::Manifest { .. } | Self::PackageUnknown { .. } | Self::BinaryUnknown { .. } => {
                Kind::Manifest
            }
            Self::Environment { .. } | Self::Build { .. } => Kind::Build,
        }
    }

    /// What to do next.
    pub(crate) fn hint(&self) -> String {
        match self {
            Self::ZigNotThere { .. } | Self::ZigNotFound { .. } | Self::ZigUnusable { .. } => {
                "install the pinned zig with `cargo xtask tools install`; CARGO_ZIGBUILD_ZIG_COMMAND names its path"
                    .to_owned()
            }
            Self::TargetMissing { triple, .. } => format!("rustup target add {triple}"),
            Self::CompilerMissing { program, .. } => {
                format!("install Rust with rustup, or the toolchain that rust-toolchain.toml names; `{program} --version` must work")
            }
            Self::Manifest { .. } => "`cargo metadata` in that folder shows the same error".to_owned(),
            Self::PackageUnknown { .. } => "the package's name is the one in its Cargo.toml".to_owned(),
            Self::BinaryUnknown { .. } => "function.toml names the binary under [build]".to_owned(),
            Self::Environment { variable, .. } => format!("run without {variable}"),
            Self::Build { .. } => "what cargo printed comes before this message".to_owned(),
        }
    }
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
