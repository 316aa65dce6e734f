//! The processor architectures of Lambda, and what each is called elsewhere.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A processor architecture that Lambda runs functions on.
///
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/foundation-arch.html>.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(inline, with = "String")]
pub enum Architecture {
    /// 64-bit x86.
    #[serde(rename = "x86_64")]
    X86_64,
    /// 64-bit Arm (AWS Graviton).
    #[serde(rename = "arm64")]
    Arm64,
}

impl Architecture {
    /// Every architecture.
    pub const ALL: [Self; 2] = [Self::X86_64, Self::Arm64];

    /// Returns Lambda's name: `x86_64` or `arm64`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "arm64",
        }
    }

    /// Returns the name that Linux (`uname -m`), Rust and wheels use: `x86_64` or `aarch64`.
    pub const fn linux_name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }

    /// Returns the name that container images use: `amd64` or `arm64`
    /// ([image-spec, config.md](https://github.com/opencontainers/image-spec/blob/v1.1.1/config.md#properties)).
    pub const fn oci_name(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// Returns Rust's target for Linux with glibc.
    pub const fn rust_target(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-unknown-linux-gnu",
            Self::Arm64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// Returns the path of glibc's dynamic loader.
    pub const fn dynamic_loader(self) -> &'static str {
        match self {
            Self::X86_64 => "/lib64/ld-linux-x86-64.so.2",
            Self::Arm64 => "/lib/ld-linux-aarch64.so.1",
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn architecture_is_written_and_read_as_lambda_names_it() {
        for architecture in Architecture::ALL {
            let text = serde_json::to_string(&architecture).unwrap();
            assert_eq!(text, format!("\"{architecture}\""));
            assert_eq!(serde_json::from_str::<Architecture>(&text).unwrap(), architecture);
        }
        for other in ["\"amd64\"", "\"aarch64\"", "\"\""] {
            let error = serde_json::from_str::<Architecture>(other).unwrap_err().to_string();
            assert!(error.contains("expected `x86_64` or `arm64`"), "{error}");
        }
    }
}
