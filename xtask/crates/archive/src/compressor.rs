//! Names the compressor, which decides the bytes of archives.
//!
//! Out: one line for a release's record. A test compares it with Cargo.lock, and the golden hashes in `tests/golden.rs`
//! notice another back end.

/// Compression level of every entry and layer: zlib's default.
pub(crate) const LEVEL: u8 = 6;

/// Returns everything that decides a zip's bytes: the libraries with their exact versions, the level, and the version
/// of our own rules (which entries are stored, which are streamed, which fields a zip has).
///
/// Two zips of the same tree have the same bytes if this line is the same.
pub fn compressor() -> &'static str {
    "libdeflater 1.26.1, libdeflate-sys 1.26.1, flate2 1.1.11, zlib-rs 0.6.8, level 6, zip rules 2"
}

/// Returns everything that decides the bytes of an image layer: the libraries with their exact versions, the level, and
/// the version of our own rules.
///
/// Two layers of the same tree, prefix and time have the same bytes if this line is the same.
pub fn layer_compressor() -> &'static str {
    "tar 0.4.46, flate2 1.1.11, zlib-rs 0.6.8, level 6, layer rules 1"
}

#[cfg(test)]
mod tests {
    use super::{LEVEL, compressor, layer_compressor};

    /// Returns a package's versions in the text of a Cargo.lock.
    fn locked_versions<'lock>(lock: &'lock str, package: &str) -> Vec<&'lock str> {
        let name = format!("name = \"{package}\"");
        lock.split("[[package]]")
            .filter(|section| section.lines().any(|line| line == name))
            .filter_map(|section| {
                section.lines().find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'))
            })
            .collect()
    }

    fn locked(packages: &[&str]) -> String {
        let lock = include_str!("../../../../Cargo.lock");
        let named = packages.iter().map(|package| match locked_versions(lock, package).as_slice() {
            [version] => format!("{package} {version}"),
            other => panic!("expected exactly one version of {package} in Cargo.lock, found {other:?}"),
        });
        named.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn compressor_lines_have_the_versions_of_cargo_lock() {
        let zip = locked(&["libdeflater", "libdeflate-sys", "flate2", "zlib-rs"]);
        assert_eq!(compressor(), format!("{zip}, level {LEVEL}, zip rules 2"));
        let layer = locked(&["tar", "flate2", "zlib-rs"]);
        assert_eq!(layer_compressor(), format!("{layer}, level {LEVEL}, layer rules 1"));
    }
}
