//! The canonical listing of an archive's files, which does not depend on the compressor.
//!
//! In: entries in any order. Out: the entries sorted bytewise by path, and the digest of their text form.

use std::fmt;

use slipway_values::digest::Digest;

/// One file of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListingEntry {
    /// The path inside the archive, with `/` between its parts.
    pub path: String,
    /// `0o755` for an executable file, `0o644` for others, `0o120777` for a link to a folder, whose content is its target.
    pub mode: u32,
    /// The length of the unpacked content, in bytes.
    pub size: u64,
    /// The SHA-256 of the unpacked content.
    pub sha256: Digest,
}

/// The files of an archive, sorted bytewise by path.
///
/// Its text form ([`fmt::Display`]) is a line that names the format, then one line a file: mode in four octal
/// digits (six for a link), size in decimal, SHA-256 in lower-case hex, path, with single spaces between them. Each line ends in
/// a line feed, which no path contains.
///
/// ```text
/// slipway.listing/1
/// 0755 1934 9c1f…e2a4 bootstrap
/// 0644 12 77ab…0c19 data/words.txt
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    entries: Vec<ListingEntry>,
}

impl Listing {
    pub(crate) fn new(mut entries: Vec<ListingEntry>) -> Self {
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Self { entries }
    }

    /// Returns the files, sorted bytewise by path.
    pub fn entries(&self) -> &[ListingEntry] {
        &self.entries
    }

    /// Returns the SHA-256 of the text form, which identifies the content independently of the compressor.
    pub fn content_digest(&self) -> Digest {
        Digest::of(self.to_string())
    }

    /// Returns the sum of the unpacked sizes, in bytes.
    pub fn unpacked_size(&self) -> u64 {
        self.entries.iter().map(|entry| entry.size).sum()
    }
}

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("slipway.listing/1\n")?;
        for ListingEntry { path, mode, size, sha256 } in &self.entries {
            writeln!(f, "{mode:04o} {size} {} {path}", sha256.hex())?;
        }
        Ok(())
    }
}

/// The mode of a link, with its file type.
pub(crate) const LINK_MODE: u32 = 0o120_777;

/// Returns the mode with which a file is stored and unpacked.
pub(crate) const fn mode(executable: bool) -> u32 {
    if executable { 0o755 } else { 0o644 }
}

#[cfg(test)]
mod tests {
    use super::{Digest, Listing, ListingEntry};

    #[test]
    fn listing_text_is_sorted_and_exact() {
        let entry = |path: &str, mode, size, content: &str| ListingEntry {
            path: path.to_owned(),
            mode,
            size,
            sha256: Digest::of(content),
        };
        let listing =
            Listing::new(vec![entry("data/wörds", 0o644, 0, ""), entry("bootstrap", 0o755, 1934, "code")]);
        let expected = format!(
            "slipway.listing/1\n0755 1934 {} bootstrap\n0644 0 {} data/wörds\n",
            Digest::of("code").hex(),
            Digest::of("").hex()
        );
        assert_eq!(listing.to_string(), expected);
        assert_eq!(listing.unpacked_size(), 1934);
    }
}
