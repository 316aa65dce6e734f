//! The pinned versions of what Slipway builds and runs with. They are inputs of an artifact's digest, too.

/// Requirements of moto, with hashes.
pub(crate) const MOTO_LOCK: &str = include_str!("../tools/moto.txt");
/// Requirements of uv, with hashes.
pub(crate) const UV_LOCK: &str = include_str!("../tools/uv.txt");
/// Requirements of zig, with hashes.
pub(crate) const ZIG_LOCK: &str = include_str!("../tools/zig.txt");
/// The Rust builder's lock file.
pub(crate) const RUST_BUILDER_LOCK: &str = include_str!("../rust-builder/Cargo.lock");
/// Requirements of checkov, with hashes.
pub(crate) const CHECKOV_LOCK: &str = include_str!("../tools/checkov.txt");
/// Requirements of gitleaks, with hashes.
pub(crate) const GITLEAKS_LOCK: &str = include_str!("../tools/gitleaks.txt");
/// Requirements of zizmor, with hashes.
pub(crate) const ZIZMOR_LOCK: &str = include_str!("../tools/zizmor.txt");
/// Requirements of actionlint, with hashes.
pub(crate) const ACTIONLINT_LOCK: &str = include_str!("../tools/actionlint.txt");
/// Requirements of act, with hashes.
pub(crate) const ACT_LOCK: &str = include_str!("../tools/act.txt");
