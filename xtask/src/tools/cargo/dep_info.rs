//! What rustc writes beside each compiled unit: the files that it read, and the variables that it compiled in.
//!
//! The format is a Makefile's, with `# env-dep:NAME=value` lines: <https://doc.rust-lang.org/rustc/command-line-arguments.html>.

use std::path::PathBuf;

/// What a unit was compiled from.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct DepInfo {
    /// Files, absolute or relative to the compiler's folder.
    pub(super) files: Vec<PathBuf>,
    /// Variables that `env!` or `option_env!` asked for; nothing as the value where they were not set.
    pub(super) variables: Vec<(String, Option<String>)>,
}

/// Reads the text of a `.d` file.
pub(super) fn parse(text: &str) -> DepInfo {
    let mut found = DepInfo::default();
    for line in text.lines() {
        if let Some(variable) = line.strip_prefix("# env-dep:") {
            let (name, value) = match variable.split_once('=') {
                Some((name, value)) => (name, Some(unescape(value))),
                None => (variable, None),
            };
            found.variables.push((unescape(name), value));
        } else if let Some((_, files)) = line.split_once(": ") {
            found.files.extend(words(files));
        }
    }
    found.files.sort();
    found.files.dedup();
    found
}

/// Splits at spaces that no backslash precedes.
fn words(text: &str) -> Vec<PathBuf> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' if characters.peek() == Some(&' ') => {
                word.push(' ');
                characters.next();
            }
            ' ' => words.push(std::mem::take(&mut word)),
            other => word.push(other),
        }
    }
    words.push(word);
    words.into_iter().filter(|word| !word.is_empty()).map(PathBuf::from).collect()
}

/// Undoes rustc's escapes of a variable: `\n`, `\r`, `\\`.
fn unescape(text: &str) -> String {
    text.replace("\\\\", "\u{0}").replace("\\n", "\n").replace("\\r", "\r").replace('\u{0}', "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_variables_of_a_unit_are_read() {
        let text = "target/hello-1.d: src/main.rs src/with\\ space.rs /abs/data.json\n\nsrc/main.rs:\nsrc/with\\ space.rs:\n\n\
                    # env-dep:API_BASE=https://x\\\\y\n# env-dep:NOT_SET\n";
        let found = parse(text);
        let files: Vec<&str> = found.files.iter().map(|file| file.to_str().unwrap()).collect();
        assert_eq!(files, ["/abs/data.json", "src/main.rs", "src/with space.rs"]);
        assert_eq!(
            found.variables,
            [("API_BASE".to_owned(), Some("https://x\\y".to_owned())), ("NOT_SET".to_owned(), None)]
        );
    }
}
