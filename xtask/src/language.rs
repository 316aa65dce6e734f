//! Checks that the sources and the pages use no word that docs/style.md retires.
//!
//! A word matches as a whole, in any case, also across the lines of a comment or paragraph and within a name: `_`
//! counts as a space.

use std::path::Path;

use crate::links::{TextFile, text_files};

/// The page that lists the words, and the only one that may use them.
const STYLE: &str = "docs/style.md";

/// Files and folders that are checked, in addition to `PAGES`.
const CHECKED: &[&str] =
    &["xtask/src", "xtask/crates", "docs", "README.md", "CONTRIBUTING.md", "CHANGELOG.md"];

/// Folders of which only the Markdown is checked.
const PAGES: &[&str] = &["terraform", "lambda-src", "tests"];

/// Returns the list of a style guide: the lines of the first fenced block after the heading.
fn retired_words(style: &str) -> Vec<String> {
    let list = style.split_once("\n## Retired words\n").map(|(_, rest)| rest);
    let block = list.and_then(|rest| rest.split("```").nth(1)).unwrap_or_default();
    // The rest of the line that opens the block names its language.
    let words = block.lines().skip(1).map(|line| line.trim().to_lowercase());
    words.filter(|line| !line.is_empty()).collect()
}

/// A text of single spaces in lower case, with the line that each of its bytes comes from.
struct Flat {
    text: String,
    lines: Vec<usize>,
}

impl Flat {
    /// Joins the lines of each comment, string and paragraph.
    fn of(text: &str) -> Self {
        let mut flat = Self { text: String::new(), lines: Vec::new() };
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            let marker = ["///", "//!", "//", ">"].into_iter().find(|marker| line.starts_with(marker));
            let line = line.trim_start_matches(marker.unwrap_or_default()).trim_end_matches('\\').trim();
            if line.is_empty() {
                flat.push('\n', index + 1);
            }
            for c in line.chars().chain([' ']) {
                if c == '_' || c.is_whitespace() {
                    flat.space(index + 1);
                } else {
                    c.to_lowercase().for_each(|c| flat.push(c, index + 1));
                }
            }
        }
        flat
    }

    fn push(&mut self, c: char, line: usize) {
        self.text.push(c);
        self.lines.resize(self.text.len(), line);
    }

    fn space(&mut self, line: usize) {
        if !self.text.ends_with([' ', '\n']) {
            self.push(' ', line);
        }
    }

    /// Returns the lines on which a phrase begins.
    fn lines_with(&self, phrase: &str) -> Vec<usize> {
        let joins = |c: char| c.is_alphanumeric();
        let matches = self.text.match_indices(phrase).filter(|(at, _)| {
            let (before, after) = (&self.text[..*at], &self.text[at + phrase.len()..]);
            let exists = phrase.starts_with("is no ") && before.ends_with("there ");
            !before.ends_with(joins) && !after.starts_with(joins) && !exists
        });
        matches.map(|(at, _)| self.lines[at]).collect()
    }
}

/// Lists the retired words in a file: `file:line: the word`.
fn found(file: &TextFile, words: &[String]) -> Vec<String> {
    let flat = Flat::of(&file.text);
    let mut found: Vec<(usize, &String)> = words
        .iter()
        .flat_map(|word| flat.lines_with(word).into_iter().map(move |line| (line, word)))
        .collect();
    found.sort();
    found.into_iter().map(|(line, word)| format!("{}:{line}: \"{word}\"", file.path.display())).collect()
}

/// Returns whether a file is checked. The tests of a crate and the generated schemas are not.
fn is_checked(path: &Path) -> bool {
    let in_crate_source = || path.components().nth(3).is_some_and(|part| part.as_os_str() == "src");
    let is = |extension: &str| path.extension().is_some_and(|found| found == extension);
    path != Path::new(STYLE)
        && if path.starts_with("xtask/crates") {
            in_crate_source()
        } else {
            path.starts_with("xtask") || is("md")
        }
}

#[test]
fn sources_and_pages_use_no_retired_word() {
    let style = text_files(&[STYLE]);
    let words = retired_words(&style[0].text);
    assert!(words.len() > 20, "{STYLE} retires only {words:?}");
    let mut files = text_files(CHECKED);
    files.extend(text_files(PAGES));
    files.retain(|file| is_checked(&file.path));
    let found: Vec<String> = files.iter().flat_map(|file| found(file, &words)).collect();
    assert!(
        found.is_empty(),
        "{STYLE} says what to write instead of these {} words:\n{}",
        found.len(),
        found.join("\n")
    );
}

#[test]
fn retired_words_are_the_lines_of_the_block_under_the_heading() {
    let style = "# S\n```\nnot this\n```\n## Retired words\n\nWhy.\n\n```text\nGyre\n\n is no tove \n```\n\n```\nnor this\n```\n";
    assert_eq!(retired_words(style), ["gyre", "is no tove"]);
    assert!(retired_words("# S\n").is_empty());
}

#[test]
fn phrase_is_found_as_whole_words_across_lines_and_in_names() {
    let lines = |text: &str| Flat::of(text).lines_with("did gyre");
    assert_eq!(lines("it did gyre, and Did  GYRE"), [1, 1]);
    assert_eq!(lines("gyred\n/// it did\n/// gyre"), [2]);
    assert_eq!(lines("fn what_did_gyre() {}"), [1]);
    assert_eq!(lines("\"did \\\n    gyre\""), [1]);
    assert_eq!(lines("undid gyre, did gyred, did, gyre, didgyre"), [0; 0]);
    assert_eq!(lines("the end of it did\n\nGyre is the next paragraph"), [0; 0]);
}

#[test]
fn is_no_phrase_matches_unless_there_precedes_it() {
    let lines = |text: &str| Flat::of(text).lines_with("is no tove");
    assert_eq!(lines("`x` is no tove\nwhere there is no tove\nThere\nis no tove"), [1]);
    assert_eq!(lines("x_is_no_tove"), [1]);
}

#[test]
fn found_words_name_file_and_line() {
    let file = TextFile { path: "a/b.rs".into(), text: "one\ntwo gyre\ntove gyre".to_owned() };
    let words = ["gyre".to_owned(), "tove".to_owned()];
    assert_eq!(found(&file, &words), ["a/b.rs:2: \"gyre\"", "a/b.rs:3: \"gyre\"", "a/b.rs:3: \"tove\""]);
}
