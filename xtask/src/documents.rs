//! Checks what docs/documents.md says: each file, test, output, variable and command that it names exists, and each promise has
//! a standing and something that shows it.

use std::path::Path;

use clap::CommandFactory as _;

use crate::cli::Cli;
use crate::links::repository;

const PAGE: &str = "docs/documents.md";

/// How a row's second column may begin.
const STANDINGS: [&str; 6] = ["kept", "stricter", "differently", "better", "beyond", "done"];

/// Words in a row that leave a promise open.
const LEFT_OUT: &str = "left out, with the reasons";

/// Returns what is wrong with the page.
fn mistakes(page: &str, root: &Path) -> Vec<String> {
    let mut mistakes = Vec::new();
    for (number, line) in (1..).zip(page.lines()) {
        let wrong = |what: String| format!("{PAGE}:{number}: {what}");
        for named in backticked(line) {
            if let Some(mistake) = unknown(named, root) {
                mistakes.push(wrong(mistake));
            }
        }
        let Some(row) = line.strip_prefix("| ") else { continue };
        let [promise, standing, shown] = row.trim_end_matches(" |").split(" | ").collect::<Vec<_>>()[..]
        else {
            continue;
        };
        if ["Promise", "Asked for"].contains(&promise) {
            continue;
        }
        let begins = |word: &&str| {
            standing.strip_prefix(*word).is_some_and(|rest| !rest.starts_with(char::is_alphabetic))
        };
        if !STANDINGS.iter().any(begins) && !standing.contains(LEFT_OUT) {
            mistakes.push(wrong(format!("`{standing}` says not where the promise stands")));
        }
        if standing.starts_with("differently") && !standing.starts_with("differently: ") {
            mistakes.push(wrong("what is done differently has a reason after a colon".to_owned()));
        }
        if backticked(shown).is_empty() {
            mistakes.push(wrong(format!("nothing shows `{promise}`")));
        }
    }
    mistakes
}

fn backticked(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// Returns why a file, a name in it or a command does not exist; nothing for other words.
fn unknown(named: &str, root: &Path) -> Option<String> {
    if let Some(command) = named.strip_prefix("cargo xtask ") {
        let words: Vec<&str> = command.split(' ').take_while(|word| !word.starts_with("--")).collect();
        let known = Cli::command().find_subcommand(words[0]).is_some();
        return (!known).then(|| format!("there is no command `{}`", words[0]));
    }
    let (path, name) = named.split_once('#').map_or((named, None), |(path, name)| (path, Some(name)));
    let is_path = path.contains('/') && path.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
    if !is_path {
        return None;
    }
    let place = root.join(path);
    if !place.exists() {
        return Some(format!("{path} does not exist"));
    }
    let name = name?;
    let text = if place.is_dir() { terraform_of(&place) } else { std::fs::read_to_string(&place).ok()? };
    let ways = [
        format!("fn {name}("),
        format!("def {name}("),
        format!("run \"{name}\" {{"),
        format!("output \"{name}\" {{"),
        format!("variable \"{name}\" {{"),
    ];
    let found = text.lines().any(|line| ways.iter().any(|way| line.contains(way.as_str())));
    (!found).then(|| format!("{path} has no test, output or variable `{name}`"))
}

/// Returns the text of a folder's Terraform files.
fn terraform_of(folder: &Path) -> String {
    let files = folder.read_dir().into_iter().flatten().flatten().map(|entry| entry.path());
    let terraform = files.filter(|path| path.extension().is_some_and(|extension| extension == "tf"));
    terraform.filter_map(|path| std::fs::read_to_string(path).ok()).collect()
}

#[test]
fn every_promise_stands_somewhere_and_what_shows_it_exists() {
    let page = std::fs::read_to_string(repository().join(PAGE)).expect(PAGE);
    let mistakes = mistakes(&page, &repository());
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
    let promises = page.lines().filter(|line| line.starts_with("| ")).count();
    assert!(promises > 100, "{promises} rows were read");
}

#[test]
fn names_that_do_not_exist_are_found() {
    let page = "| Promise | Where it stands | Shown by |\n\
        | a | kept | `terraform/nowhere` |\n\
        | b | kept | `terraform/stacks/hello#no_such_variable` |\n\
        | c | kept: `cargo xtask fly` | `docs/cost.md` |\n\
        | d | missing | `docs/cost.md` |\n\
        | e | kept | nothing |\n\
        | f | differently | `docs/cost.md` |\n\
        | g | left out, with the reasons | `docs/limits.md` |\n\
        | h | stricter: by name | `terraform/stacks/hello#memory_size` |\n";
    let found = mistakes(page, &repository());
    let lines: Vec<&str> = found.iter().filter_map(|mistake| mistake.split(':').nth(1)).collect();
    assert_eq!(lines, ["2", "3", "4", "5", "6", "7"], "{found:#?}");
}
