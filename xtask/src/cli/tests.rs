//! Parses the command lines in CI files and pages with the definitions of the command line.

use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser as _};

use super::Cli;

/// The values of variables and placeholders.
const VALUES: [(&str, &str); 19] = [
    ("$BUNDLE", "attestation.json"),
    ("$CHECKS", "format clippy"),
    ("$TARGET", "prod"),
    ("$PREBUILT", "sha256:4a70fe9aa6436e02c2dea340fbd1e352e4ef2d8ce6ca52ad25d4b95471fc8bf2"),
    ("$prebuilt", "sha256:4a70fe9aa6436e02c2dea340fbd1e352e4ef2d8ce6ca52ad25d4b95471fc8bf2"),
    ("$PLAN", "7f3a-91c2-0b44"),
    ("$plan", "7f3a-91c2-0b44"),
    ("$ENVIRONMENT", "prod"),
    ("$FUNCTION", "hello"),
    ("$VERSION", "1.4.1"),
    ("<environment>", "prod"),
    ("<env>", "prod"),
    ("<function>", "hello"),
    ("<version>", "1.4.1"),
    ("<number>", "30"),
    ("<stack>", "hello"),
    ("<time>", "10m"),
    ("<shell>", "bash"),
    ("<group>", "unit"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = root()
        .join(folder)
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|own| own == extension))
        .collect();
    found.sort();
    found
}

/// Parses a command line as a shell would pass it; the error says why it is not valid.
fn parse(line: &str) -> Result<(), String> {
    let filled = VALUES.iter().fold(line.to_owned(), |line, (name, value)| line.replace(name, value));
    if filled.contains(['$', '`']) {
        return Err("a variable without a value in this test".into());
    }
    let words = shlex::split(&filled).ok_or("quotes that do not close")?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (["cargo", "xtask", arguments @ ..] | ["slipway", arguments @ ..]) = words.as_slice() else {
        return Err("not a `cargo xtask` command".into());
    };
    if let Some(more) = arguments.iter().find(|word| ["|", "||", "&&", ";", ">", "&"].contains(word)) {
        return Err(format!("more than one command: {more}"));
    }
    match Cli::try_parse_from(std::iter::once(&"xtask").chain(arguments)) {
        Ok(_) => Ok(()),
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// Asserts that there are lines, and that each is one command.
fn assert_all_parse(file: &Path, lines: &[(usize, String)]) {
    assert!(!lines.is_empty(), "{} runs nothing", file.display());
    for (number, line) in lines {
        if let Err(why) = parse(line) {
            panic!("{}:{number}: {line}\n{why}", file.display());
        }
    }
}

/// Asserts that each step is one command in the place of its shell, and returns the commands.
///
/// A cancelled GitHub job signals the step's shell alone, and kills the whole tree ten seconds later: without `exec`
/// Slipway does not know of it, and Terraform loses what it did since it last saved its state.
fn commands_in_place_of_shells(file: &Path, steps: &[(usize, String)]) -> Vec<(usize, String)> {
    let commands = steps.iter().map(|(number, step)| match step.strip_prefix("exec ") {
        Some(command) => (*number, command.to_owned()),
        None => panic!("{}:{number}: {step}\nwrite `exec` before it", file.display()),
    });
    commands.collect()
}

#[test]
fn definitions_are_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn workflow_steps_are_one_command_each() {
    let workflows = files(".github/workflows", "yml");
    assert!(!workflows.is_empty());
    for workflow in workflows {
        let text = std::fs::read_to_string(&workflow).unwrap();
        let steps: Vec<(usize, String)> = text
            .lines()
            .enumerate()
            .filter_map(|(at, line)| {
                let step = line.trim_start().trim_start_matches("- ").strip_prefix("run:")?;
                Some((at + 1, step.trim().to_owned()))
            })
            .collect();
        let mut commands = commands_in_place_of_shells(&workflow, &steps);
        // The comment of a pull request is written by a job that has none of its files.
        commands.retain(|(_, command)| !command.starts_with("gh pr comment "));
        assert_all_parse(&workflow, &commands);
        // Values that others choose reach the shell as variables, never as a part of the script.
        assert!(steps.iter().all(|(_, step)| !step.contains("${{")), "{}", workflow.display());
    }
}

#[test]
fn jenkinsfile_steps_are_one_command_each() {
    let file = root().join("Jenkinsfile");
    let text = std::fs::read_to_string(&file).unwrap();
    let mut steps = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        if let Some((_, rest)) = code.split_once("sh '") {
            let (step, _) = rest.rsplit_once('\'').expect("a quote that closes on the same line");
            steps.push((at + 1, step.to_owned()));
        }
        // Groovy replaces variables within double quotes: then they would be a part of the script.
        assert!(!code.contains("sh \"") && !code.contains("sh("), "{}:{}", file.display(), at + 1);
    }
    assert_all_parse(&file, &commands_in_place_of_shells(&file, &steps));
}

#[test]
fn steps_on_the_page_about_gitlab_are_one_command_each() {
    let file = root().join("docs/how-to/gitlab.md");
    let text = std::fs::read_to_string(&file).unwrap();
    let steps: Vec<(usize, String)> = text
        .lines()
        .enumerate()
        .filter_map(|(at, line)| Some((at + 1, line.trim().strip_prefix("- ")?.to_owned())))
        .filter(|(_, step)| step.starts_with("exec ") || step.starts_with("cargo "))
        .collect();
    assert!(steps.len() >= 8, "{steps:?}");
    assert_all_parse(&file, &commands_in_place_of_shells(&file, &steps));
}

/// Returns the command lines in a page's code blocks, fenced or indented.
fn commands_of(text: &str) -> Vec<(usize, String)> {
    let (mut fenced, mut found) = (false, Vec::new());
    for (at, line) in text.lines().enumerate() {
        let trimmed = line.trim_start();
        if trimmed.starts_with("```") {
            fenced = !fenced;
        } else if fenced || line.starts_with("    ") {
            let command = trimmed.strip_prefix("$ ").unwrap_or(trimmed);
            if command == "cargo xtask" || command.starts_with("cargo xtask ") {
                let end = [" | ", " > ", " && ", " ; "]
                    .iter()
                    .filter_map(|mark| command.find(mark))
                    .min()
                    .unwrap_or(command.len());
                found.push((at + 1, command[..end].to_owned()));
            }
        }
    }
    found
}

#[test]
fn commands_on_the_pages_exist() {
    let mut documents = files("docs", "md");
    for folder in root().join("docs").read_dir().unwrap() {
        let folder = folder.unwrap();
        if folder.path().is_dir() {
            documents.extend(files(&format!("docs/{}", folder.file_name().to_string_lossy()), "md"));
        }
    }
    documents.extend(["README.md", "CONTRIBUTING.md"].map(|name| root().join(name)));
    let mut count = 0;
    for document in documents {
        let Ok(text) = std::fs::read_to_string(&document) else { continue };
        let lines = commands_of(&text);
        count += lines.len();
        if !lines.is_empty() {
            assert_all_parse(&document, &lines);
        }
    }
    assert!(count >= 2, "README.md has at least two commands");
}

#[test]
fn invalid_commands_are_rejected() {
    for wrong in [
        "cargo xtask deploy --env dev hello@1.4.1",
        "cargo xtask release --environment dev",
        "cargo xtask rollback --env dev && cargo xtask status",
        "cargo build",
        "cargo xtask deploy --env \"$NOBODY_KNOWS\" --version 1.0.0",
        "cargo xtask release --env 'dev",
    ] {
        assert!(parse(wrong).is_err(), "{wrong}");
    }
    parse("cargo xtask release --env dev --yes   # the main job").unwrap();
    let text =
        "x\n```sh\n$ cargo xtask status | jq .\n```\ncargo xtask never\n\n    cargo xtask plan --env dev\n";
    let lines: Vec<String> = commands_of(text).into_iter().map(|(_, line)| line).collect();
    assert_eq!(lines, ["cargo xtask status", "cargo xtask plan --env dev"]);
}
