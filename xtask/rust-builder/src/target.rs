//! Names of what a function is built for.
//!
//! What comes in: Lambda's word for the architecture, and a glibc version. What goes out: Rust's target, the
//! target as cargo-zigbuild wants it, and the CPU. What can go wrong: a glibc version that is not two numbers.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Instruction set of a function, in Lambda's words.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Architecture {
    /// 64-bit x86.
    X86_64,
    /// 64-bit Arm (Graviton).
    Arm64,
}

impl Architecture {
    /// Rust's target, for glibc.
    pub(crate) fn triple(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-unknown-linux-gnu",
            Self::Arm64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// The CPU that cargo-lambda compiles for in release: the oldest that Lambda runs on.
    /// cargo-lambda keeps it private (`TargetArch::target_cpu`); [`crate::build`] checks that both agree.
    pub(crate) fn cpu(self) -> &'static str {
        match self {
            Self::X86_64 => "haswell",
            Self::Arm64 => "neoverse-n1",
        }
    }
}

/// Newest glibc that the binary may need, as in `2.34`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "String")]
pub(crate) struct Glibc {
    major: u16,
    minor: u16,
}

impl TryFrom<String> for Glibc {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.split_once('.')
            .and_then(|(major, minor)| Some(Self { major: number(major)?, minor: number(minor)? }))
            .ok_or_else(|| format!("glibc version `{text}` is not two numbers such as 2.34"))
    }
}

impl fmt::Display for Glibc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The target as cargo-zigbuild wants it: `x86_64-unknown-linux-gnu.2.34`.
pub(crate) fn with_glibc(architecture: Architecture, glibc: Glibc) -> String {
    format!("{}.{glibc}", architecture.triple())
}

/// Reads digits only: `parse` alone would take a sign.
fn number(digits: &str) -> Option<u16> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glibc(text: &str) -> Result<Glibc, String> {
        Glibc::try_from(text.to_owned())
    }

    #[test]
    fn targets_carry_the_glibc_version() {
        let glibc = glibc("2.34").unwrap();
        assert_eq!(with_glibc(Architecture::X86_64, glibc), "x86_64-unknown-linux-gnu.2.34");
        assert_eq!(with_glibc(Architecture::Arm64, glibc), "aarch64-unknown-linux-gnu.2.34");
    }

    #[test]
    fn lambdas_words_name_the_architectures() {
        let read = |word: &str| serde_json::from_value::<Architecture>(word.into()).ok();
        assert_eq!(read("x86_64"), Some(Architecture::X86_64));
        assert_eq!(read("arm64"), Some(Architecture::Arm64));
        assert_eq!(read("aarch64"), None);
    }

    #[test]
    fn a_glibc_version_is_two_numbers() {
        for wrong in ["", "2", "2.", ".34", "2.34.1", "+2.34", "2.x", "2. 34"] {
            let message = glibc(wrong).unwrap_err();
            assert!(message.contains(&format!("`{wrong}`")), "{message}");
        }
    }
}
