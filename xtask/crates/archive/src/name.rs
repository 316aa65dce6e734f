//! Names in an archive: a check that they are safe, and a map of sorted, unique names.
//!
//! In: names from callers, folders and other tools' zips. Out: the same names, sorted bytewise. Errors: names that could be
//! unpacked outside the intended folder, or differently on another system.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::Error;

/// The longest name, in bytes: its length has 16 bits in a zip
/// ([APPNOTE 4.4.10](https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT)).
const LONGEST: usize = u16::MAX as usize;

/// Checks that a name is a relative path with `/` between its parts, and without `.` and `..`.
pub(crate) fn check(name: &str) -> Result<(), Error> {
    let reason = if name.is_empty() {
        "is empty"
    } else if name.len() > LONGEST {
        "is longer than 65535 bytes"
    } else if name.starts_with('/') {
        "is an absolute path"
    } else if name.contains('\\') {
        "contains a backslash, which some systems take for a separator"
    } else if name.contains('\0') {
        "contains a NUL"
    } else if name.chars().any(char::is_control) {
        "contains a control character"
    } else if name.split('/').any(|part| part == "..") {
        "leaves the tree with `..`"
    } else if name.split('/').any(|part| part == "." || part.is_empty()) {
        "has an empty part or a `.` between its slashes"
    } else {
        return Ok(());
    };
    Err(Error::Name { name: name.to_owned(), reason })
}

/// Maps checked names to values, sorted bytewise; no file is below another file.
#[derive(Debug, Clone)]
pub(crate) struct Names<T>(BTreeMap<String, T>);

impl<T> Names<T> {
    pub(crate) const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Adds a name, which must be safe, new, and neither above nor below another name.
    pub(crate) fn insert(&mut self, name: &str, value: T) -> Result<(), Error> {
        check(name)?;
        if self.0.contains_key(name) {
            return Err(Error::Duplicate { name: name.to_owned() });
        }
        for (slash, _) in name.match_indices('/') {
            if self.0.contains_key(&name[..slash]) {
                return Err(Error::FileIsFolder { file: name[..slash].to_owned(), below: name.to_owned() });
            }
        }
        let below = format!("{name}/");
        let first = self.0.range::<str, _>((Bound::Included(below.as_str()), Bound::Unbounded)).next();
        if let Some((other, _)) = first
            && other.starts_with(&below)
        {
            return Err(Error::FileIsFolder { file: name.to_owned(), below: other.clone() });
        }
        self.0.insert(name.to_owned(), value);
        Ok(())
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &T)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::{Names, check};
    use crate::Error;

    #[test]
    fn plain_relative_names_are_accepted() {
        for name in ["bootstrap", "a/b.py", "..a", "a..", ".hidden", "größe/naïve.txt", "a b", "C:x"] {
            assert!(check(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn names_that_could_leave_the_folder_are_refused() {
        let long = "x".repeat(65_536);
        for (name, reason) in [
            ("", "empty"),
            ("/etc/passwd", "absolute"),
            ("../up", "`..`"),
            ("a/../b", "`..`"),
            ("a/..", "`..`"),
            ("a\\b", "backslash"),
            ("a\0b", "NUL"),
            ("a\nb", "control"),
            ("a//b", "empty part"),
            ("./a", "`.`"),
            ("a/", "empty part"),
            (long.as_str(), "longer"),
        ] {
            let error = check(name).expect_err(name);
            assert!(error.to_string().contains(reason), "{name:?}: {error}");
        }
    }

    #[test]
    fn names_are_sorted_unique_and_never_below_a_file() {
        let mut names = Names::new();
        for name in ["b", "a-b", "a/c", "B", "ä"] {
            names.insert(name, ()).expect(name);
        }
        let sorted: Vec<_> = names.iter().map(|(name, ())| name).collect();
        assert_eq!(sorted, ["B", "a-b", "a/c", "b", "ä"]);

        assert!(matches!(names.insert("b", ()), Err(Error::Duplicate { name }) if name == "b"));
        assert!(matches!(
            names.insert("a", ()),
            Err(Error::FileIsFolder { file, below }) if file == "a" && below == "a/c"
        ));
        assert!(matches!(
            names.insert("a/c/d/e", ()),
            Err(Error::FileIsFolder { file, below }) if file == "a/c" && below == "a/c/d/e"
        ));
        assert_eq!(names.len(), 5);
    }
}
