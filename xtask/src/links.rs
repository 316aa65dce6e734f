//! Checks that every page and heading exists that a page links to or that a message or a comment names.
//!
//! A link is resolved from the folder of its page. `docs/….md` in a source file is resolved from the repository.
//! An anchor is what GitHub makes of a heading.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// Where messages and comments may name a page.
const SOURCES: &[&str] = &[
    "xtask/src",
    "xtask/crates",
    "xtask/rust-builder",
    "terraform",
    "pipelines",
    ".github",
    "Jenkinsfile",
    "lambda-src",
    "tests",
];

/// Addresses of this repository's files. A page under any other address is not ours to check.
const OWN_ADDRESS: &str = "github.com/slipway/slipway/blob/main/";

/// Folders that hold what a program wrote.
const GENERATED: &[&str] = &["target", ".git", ".terraform", "node_modules", "__pycache__", ".venv"];

/// A text file of the repository.
pub(crate) struct TextFile {
    /// Its path, relative to the repository.
    pub(crate) path: PathBuf,
    /// Its content.
    pub(crate) text: String,
}

/// A page, and perhaps a heading in it, that a file refers to.
#[derive(Debug, PartialEq, Eq)]
struct Reference {
    /// From 1.
    line: usize,
    /// As it is written, with its anchor.
    target: String,
}

/// Returns the repository's folder.
pub(crate) fn repository() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_path_buf()
}

/// Reads the text files below some of the repository's folders, or these files themselves, sorted by path.
pub(crate) fn text_files(below: &[&str]) -> Vec<TextFile> {
    let root = repository();
    let mut files = Vec::new();
    for start in below {
        let walk = walkdir::WalkDir::new(root.join(start))
            .sort_by_file_name()
            .into_iter()
            .filter_entry(|entry| !GENERATED.iter().any(|name| entry.file_name() == *name));
        for entry in walk {
            // Other tests may remove a file of their own meanwhile.
            let Ok(entry) = entry else { continue };
            let Ok(text) = std::fs::read_to_string(entry.path()) else { continue };
            files.push(TextFile { path: entry.path().strip_prefix(&root).unwrap().to_path_buf(), text });
        }
    }
    files
}

/// Reads all Markdown pages of the repository.
fn pages() -> Vec<TextFile> {
    let mut pages = text_files(&[""]);
    pages.retain(|file| is_page(&file.path));
    pages
}

fn is_page(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "md")
}

/// Returns the lines outside fenced code, with their numbers.
fn prose(text: &str) -> Vec<(usize, &str)> {
    let mut fence: Option<&str> = None;
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let marker = ["```", "~~~"].into_iter().find(|marker| line.trim_start().starts_with(marker));
        match (fence, marker) {
            (None, None) => lines.push((index + 1, line)),
            (None, Some(_)) => fence = marker,
            (Some(open), Some(close)) if open == close => fence = None,
            (Some(_), _) => {}
        }
    }
    lines
}

/// Removes code spans, in which brackets are no links.
fn without_code(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line;
    while let Some(at) = rest.find('`') {
        let ticks = rest[at..].len() - rest[at..].trim_start_matches('`').len();
        let span = &rest[at + ticks..];
        let Some(end) = span.find(&"`".repeat(ticks)) else { break };
        text.push_str(&rest[..at]);
        rest = &span[end + ticks..];
    }
    text + rest
}

/// Finds the relative links of a page: `[text](target)` and `[name]: target`.
fn links(page: &str) -> Vec<Reference> {
    let mut found = Vec::new();
    for (line, text) in prose(page) {
        let text = without_code(text);
        let inline = text.match_indices("](").map(|(at, _)| {
            let target = &text[at + 2..];
            &target[..target.find([')', ' ']).unwrap_or(target.len())]
        });
        let definition = text
            .strip_prefix('[')
            .and_then(|rest| rest.split_once("]:"))
            .map(|(_, target)| target.trim().split(' ').next().unwrap_or_default());
        for target in inline.chain(definition) {
            let target = target.trim_start_matches('<').trim_end_matches('>');
            if !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:") {
                found.push(Reference { line, target: target.to_owned() });
            }
        }
    }
    found
}

/// Finds each `docs/….md` or `docs/….md#anchor` in a source file.
fn named_pages(text: &str) -> Vec<Reference> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for (at, _) in line.match_indices("docs/") {
            let before = &line[..at];
            let word = before.rsplit(|c: char| c.is_whitespace() || "\"'`(<".contains(c)).next();
            let word = word.unwrap_or_default();
            let elsewhere = word.contains("://") && !word.ends_with(OWN_ADDRESS);
            if elsewhere || before.ends_with(|c: char| c.is_alphanumeric() || c == '-' || c == '_') {
                continue;
            }
            let length = |text: &str, others: &str| {
                text.find(|c: char| !c.is_ascii_alphanumeric() && !others.contains(c)).unwrap_or(text.len())
            };
            let path = &line[at..][..length(&line[at..], "_-./")];
            let path = path.trim_end_matches('.');
            if !path.ends_with(".md") {
                continue;
            }
            let anchor = line[at + path.len()..].strip_prefix('#').unwrap_or_default();
            let anchor = &anchor[..length(anchor, "_-")];
            let target = if anchor.is_empty() { path.to_owned() } else { format!("{path}#{anchor}") };
            found.push(Reference { line: index + 1, target });
        }
    }
    found
}

/// Returns the anchors of a page's headings, as GitHub makes them: the text in lower case, without punctuation, with
/// hyphens for spaces, and numbered where it repeats.
fn anchors(page: &str) -> Vec<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let headings = prose(page).into_iter().filter_map(|(_, line)| {
        let text = line.trim_start_matches('#');
        (line.starts_with('#') && text.starts_with(' ')).then_some(text)
    });
    headings
        .map(|heading| {
            let text = without_targets(heading.trim().trim_end_matches('#').trim_end());
            let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
            let kept = text.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            let anchor: String = kept.flat_map(char::to_lowercase).collect::<String>().replace(' ', "-");
            let before = seen.entry(anchor.clone()).and_modify(|times| *times += 1).or_default();
            if *before == 0 { anchor } else { format!("{anchor}-{before}") }
        })
        .collect()
}

/// Leaves of each link its text.
fn without_targets(heading: &str) -> String {
    let mut parts = heading.split("](");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push_str(part.split_once(')').map_or("", |(_, rest)| rest));
    }
    text
}

/// Says what is missing of a target, which is relative to `folder`; nothing where all of it exists.
fn missing(root: &Path, folder: &Path, page: &Path, target: &str) -> Option<String> {
    let (path, anchor) = target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
    let path = if path.is_empty() { page.to_path_buf() } else { resolved(&folder.join(path)) };
    if !root.join(&path).exists() {
        return Some(format!("there is no file {}", path.display()));
    }
    let anchor = anchor?;
    let text = std::fs::read_to_string(root.join(&path)).unwrap_or_default();
    let found = is_page(&path) && anchors(&text).iter().any(|known| known == anchor);
    (!found).then(|| format!("{} has no heading for #{anchor}", path.display()))
}

/// Resolves `.` and `..` in a path that is relative to the repository.
fn resolved(path: &Path) -> PathBuf {
    let mut parts = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                parts.pop();
            }
            Component::Normal(name) => parts.push(name),
            _ => {}
        }
    }
    parts
}

/// Lists what the pages link to and does not exist: `page:line: what is missing`.
fn broken_links(root: &Path, pages: &[TextFile]) -> Vec<String> {
    let mut broken = Vec::new();
    for TextFile { path, text } in pages {
        for Reference { line, target } in links(text) {
            let folder = path.parent().unwrap_or(Path::new(""));
            let missing = missing(root, folder, path, &target);
            broken.extend(missing.map(|missing| format!("{}:{line}: {missing}", path.display())));
        }
    }
    broken
}

/// Lists the pages that source files name and that do not exist: `file:line: what is missing`.
fn broken_names(root: &Path, sources: &[TextFile]) -> Vec<String> {
    let mut broken = Vec::new();
    for TextFile { path, text } in sources {
        for Reference { line, target } in named_pages(text) {
            let missing = missing(root, Path::new(""), path, &target);
            broken.extend(missing.map(|missing| format!("{}:{line}: {missing}", path.display())));
        }
    }
    broken
}

#[test]
fn links_of_all_pages_point_to_files_and_headings_that_exist() {
    let pages = pages();
    assert!(pages.len() > 20, "only {} pages were found", pages.len());
    let broken = broken_links(&repository(), &pages);
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn pages_named_in_sources_exist_with_their_headings() {
    let mut sources = text_files(SOURCES);
    // The examples below name pages that are not there.
    sources.retain(|file| !file.path.ends_with("src/links.rs"));
    let named: usize = sources.iter().map(|file| named_pages(&file.text).len()).sum();
    assert!(named > 10, "only {named} pages are named");
    let broken = broken_names(&repository(), &sources);
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Lists the files of Slipway that pages name as code (`xtask/src/…`) and that do not exist: `file:line: what is missing`.
fn missing_source_files(root: &Path, pages: &[TextFile]) -> Vec<String> {
    let mut missing = Vec::new();
    for TextFile { path, text } in pages {
        for (line, text) in text.lines().enumerate() {
            for code in text.split('`').skip(1).step_by(2) {
                // The name after `#` is checked where docs/documents.md is.
                let code = code.split('#').next().unwrap_or(code);
                let is_path = code.starts_with("xtask/") && !code.contains(['*', '<', ' ', '…']);
                if is_path && !root.join(code).exists() {
                    missing.push(format!("{}:{}: there is no {code}", path.display(), line + 1));
                }
            }
        }
    }
    missing
}

#[test]
fn source_files_named_in_pages_exist() {
    let missing = missing_source_files(&repository(), &pages());
    assert!(missing.is_empty(), "{}", missing.join("\n"));
    let page = TextFile { path: "p.md".into(), text: "see `xtask/src/main.rs`\nand `xtask/gone.rs`".into() };
    assert_eq!(missing_source_files(&repository(), &[page]), ["p.md:2: there is no xtask/gone.rs"]);
}

#[test]
fn missing_file_and_missing_heading_are_named_with_file_and_line() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(root.path().join("docs/how-to")).unwrap();
    std::fs::write(root.path().join("docs/a.md"), "# A\n\n## One thing\n").unwrap();
    let file = |path: &str, text: &str| TextFile { path: path.into(), text: text.to_owned() };
    let page = file(
        "docs/how-to/b.md",
        "# B\n[a](../a.md#one-thing) [self](#b) [folder](..)\n[x](../gone.md)\n[y](../a.md#gone) [z](#gone)\n",
    );
    std::fs::write(root.path().join(&page.path), &page.text).unwrap();
    assert_eq!(
        broken_links(root.path(), &[page]),
        [
            "docs/how-to/b.md:3: there is no file docs/gone.md",
            "docs/how-to/b.md:4: docs/a.md has no heading for #gone",
            "docs/how-to/b.md:4: docs/how-to/b.md has no heading for #gone",
        ]
    );
    let source = file("x.rs", "// docs/a.md#one-thing.\n\"docs/gone.md\"\n// see docs/a.md#gone\n");
    assert_eq!(
        broken_names(root.path(), &[source]),
        ["x.rs:2: there is no file docs/gone.md", "x.rs:3: docs/a.md has no heading for #gone"]
    );
}

#[test]
fn links_are_read_outside_code_and_without_other_hosts() {
    let page = "[a](b.md) `[c](d.md)` [`e`](f.md#g \"title\")\n```\n[h](i.md)\n```\n[j]: k.md\n[l](https://m.n/o.md)\n";
    let targets: Vec<(usize, String)> =
        links(page).into_iter().map(|Reference { line, target }| (line, target)).collect();
    assert_eq!(
        targets,
        [(1, "b.md"), (1, "f.md#g"), (5, "k.md")].map(|(line, target)| (line, target.into()))
    );
}

#[test]
fn pages_named_in_sources_are_read_without_other_hosts() {
    let text = format!(
        "see docs/a.md, or ../../docs/how-to/b.md.\n\
         https://{OWN_ADDRESS}docs/c.md#d-1 https://example.com/docs/e.md mydocs/f.md\n\
         docs/reference/schemas docs.md"
    );
    let expected = [(1, "docs/a.md"), (1, "docs/how-to/b.md"), (2, "docs/c.md#d-1")];
    let expected = expected.map(|(line, target)| Reference { line, target: target.to_owned() });
    assert_eq!(named_pages(&text), expected);
}

#[test]
fn anchors_follow_githubs_rule() {
    let page = "# The *first*, `one`!\n## A [link](x.md#y) here\n## Same\n## Same\n```\n# no heading\n```\n\
                ### lambda-src/&lt;function&gt;/function.toml\n## completions, man ##\n#no heading\n";
    assert_eq!(
        anchors(page),
        [
            "the-first-one",
            "a-link-here",
            "same",
            "same-1",
            "lambda-srcfunctionfunctiontoml",
            "completions-man"
        ]
    );
}
