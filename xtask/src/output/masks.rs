//! Registers secrets with GitHub's runner, which then hides them in the log of the job:
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#masking-a-value-in-a-log>.

use std::collections::BTreeSet;
use std::sync::Mutex;

/// The least length of a value that is registered, in bytes. The runner replaces a value everywhere, also within words: a shorter
/// one would make the log unreadable, and say what it is.
const SHORTEST: usize = 4;

/// The secrets that were registered already.
#[derive(Default)]
pub(super) struct Masks(Mutex<BTreeSet<String>>);

impl Masks {
    /// Returns the commands that register a secret and each of its lines, or nothing if that was done before.
    pub(super) fn commands(&self, secret: &str) -> String {
        let Ok(mut known) = self.0.lock() else { return String::new() };
        let lines = secret.lines().map(str::trim).chain([secret]);
        let new = lines.filter(|text| text.len() >= SHORTEST && known.insert((*text).to_owned()));
        new.map(|text| format!("::add-mask::{}\n", escaped(text))).collect()
    }
}

/// Escapes the value of a command as the runner reads it.
fn escaped(value: &str) -> String {
    value.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_and_its_lines_are_registered_once() {
        let masks = Masks::default();
        assert_eq!(masks.commands("key 100%"), "::add-mask::key 100%25\n");
        assert_eq!(masks.commands("key 100%"), "");
        assert_eq!(
            masks.commands("first\nab\nsecond"),
            "::add-mask::first\n::add-mask::second\n::add-mask::first%0Aab%0Asecond\n"
        );
        assert_eq!(masks.commands("abc"), "", "too short");
    }
}
