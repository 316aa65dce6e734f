//! Names what decides the compressed bytes.
//!
//! In: nothing. Out: one line for a release's record. It can only go wrong by telling an untruth, so a test
//! compares it with Cargo.lock, and the golden hash in `tests/golden.rs` notices another back end.

/// Compression level of every entry: zlib's usual compromise.
pub(crate) const LEVEL: u8 = 6;

/// Names the libraries, with their exact versions, and the level that decide a zip's bytes.
///
/// Two zips of the same tree are byte for byte equal where this line is equal.
pub fn compressor() -> &'static str {
    "zip 9.4.1, flate2 1.1.11, zlib-rs 0.6.8, level 6"
}

#[cfg(test)]
mod tests {
    use super::{LEVEL, compressor};

    /// Reads a package's versions from the text of a Cargo.lock.
    fn locked_versions<'lock>(lock: &'lock str, package: &str) -> Vec<&'lock str> {
        let name = format!("name = \"{package}\"");
        lock.split("[[package]]")
            .filter(|section| section.lines().any(|line| line == name))
            .filter_map(|section| {
                section.lines().find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'))
            })
            .collect()
    }

    #[test]
    fn names_the_versions_of_cargo_lock() {
        let lock = include_str!("../../../../Cargo.lock");
        let parts: Vec<String> = ["zip", "flate2", "zlib-rs"]
            .iter()
            .map(|package| match locked_versions(lock, package).as_slice() {
                [version] => format!("{package} {version}"),
                other => panic!("expected exactly one version of {package} in Cargo.lock, found {other:?}"),
            })
            .collect();
        assert_eq!(compressor(), format!("{}, level {LEVEL}", parts.join(", ")));
    }
}
