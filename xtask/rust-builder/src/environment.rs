//! Refuses environment variables that would silently replace what this builder decides.
//!
//! What comes in: names of the variables that are set. What goes out: nothing, or the first offender. What can
//! go wrong: only that; a variable set to the empty text counts as unset, as it does for cargo.

use crate::{failure::Failure, target::Architecture};

/// Fails on the first variable that overrules the flags, the linker or zig.
pub(crate) fn check<'a>(
    architecture: Architecture,
    set: impl IntoIterator<Item = &'a str>,
) -> Result<(), Failure> {
    let linker =
        format!("CARGO_TARGET_{}_LINKER", architecture.triple().replace('-', "_").to_ascii_uppercase());
    for name in set {
        let effect = match name {
            "RUSTFLAGS" | "CARGO_ENCODED_RUSTFLAGS" => "would replace the path remapping and the target CPU",
            "CARGO_ZIGBUILD_ZIG_VERSION" => "would be believed instead of zig's own version",
            name if name == linker => "would replace zig as the linker, and glibc's version with it",
            _ => continue,
        };
        return Err(Failure::Environment { variable: name.to_owned(), effect });
    }
    Ok(())
}

/// Names of the variables that are set to something.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where the builder looks at its whole environment"
)]
pub(crate) fn names() -> Vec<String> {
    std::env::vars_os()
        .filter(|(_, value)| !value.is_empty())
        .filter_map(|(name, _)| name.into_string().ok())
        .collect()
}

/// Path of zig that the caller pinned, `None` where it did not.
#[expect(clippy::disallowed_methods, reason = "the caller's contract names this variable")]
pub(crate) fn pinned_zig() -> Option<std::path::PathBuf> {
    std::env::var_os("CARGO_ZIGBUILD_ZIG_COMMAND").filter(|path| !path.is_empty()).map(Into::into)
}

/// The cargo that called this program, else the one on the PATH: the rule of cargo-options.
#[expect(clippy::disallowed_methods, reason = "cargo tells its children which cargo it is")]
pub(crate) fn cargo() -> std::path::PathBuf {
    std::env::var_os("CARGO").map_or_else(|| "cargo".into(), Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(architecture: Architecture, name: &str) -> Option<String> {
        check(architecture, ["PATH", name]).err().map(|failure| failure.to_string())
    }

    #[test]
    fn what_overrules_flags_or_linker_is_refused_by_name() {
        for name in [
            "RUSTFLAGS",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_ZIGBUILD_ZIG_VERSION",
            "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER",
        ] {
            let message = refused(Architecture::X86_64, name).unwrap();
            assert!(message.starts_with(name), "{message}");
        }
    }

    #[test]
    fn what_does_not_concern_this_build_passes() {
        assert_eq!(refused(Architecture::Arm64, "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER"), None);
        assert_eq!(refused(Architecture::X86_64, "CARGO_TARGET_DIR"), None);
    }
}
