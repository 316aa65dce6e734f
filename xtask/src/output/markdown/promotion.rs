//! Promotions and notes as markdown.

use super::{deliveries, escaped, heading, table};
use crate::delivery::Delivered;
use crate::delivery::promotion::FunctionDifference;
use crate::format::plural;
use crate::output::promotion::{EnvironmentNotes, Promoted, commits_text, versions_text};

fn functions(functions: &[FunctionDifference]) -> String {
    let rows: Vec<[String; 4]> = functions
        .iter()
        .map(|function| {
            let authors: Vec<&str> = function.authors.iter().map(String::as_str).collect();
            [
                function.function.to_string(),
                versions_text(function),
                function.not_known.clone().unwrap_or_else(|| commits_text(function)),
                authors.join(", "),
            ]
        })
        .collect();
    table(["Function", "Release", "Commits", "Authors"], &rows)
}

fn commits<'a>(title: &str, commits: impl IntoIterator<Item = &'a crate::source::CommitLine>) -> String {
    let lines: Vec<String> =
        commits.into_iter().map(|commit| format!("- {}\n", escaped(&commit.to_string()))).collect();
    if lines.is_empty() { String::new() } else { format!("{title}\n\n{}\n", lines.concat()) }
}

/// Renders a promotion: what differed, what a rollback leaves, what was delivered.
pub(crate) fn promotion(promoted: &Promoted, delivered: &[Delivered]) -> String {
    let Promoted { from, to, .. } = promoted;
    let mut text = heading(&format!("promote · {from} to {to}"));
    text.push_str(&functions(&promoted.functions));
    let all = || promoted.functions.iter();
    text.push_str(&commits("Commits:", all().flat_map(|function| &function.commits)));
    text.push_str(&commits(&format!("Only in {to}:"), all().flat_map(|function| &function.lost)));
    let rows: Vec<[String; 4]> = promoted
        .rollback_leaves
        .iter()
        .map(|one| {
            [one.stack.to_string(), one.action.clone(), one.address.clone(), one.reach.word().to_owned()]
        })
        .collect();
    if !rows.is_empty() {
        text.push_str("A rollback moves the alias back; it leaves:\n\n");
        text.push_str(&table(["Stack", "Action", "Resource", "Kind"], &rows));
    }
    let unsettled: Vec<String> =
        promoted.unsettled.iter().map(|(name, why)| format!("{name}: {why}")).collect();
    unsettled.iter().chain(&promoted.notes).chain(&promoted.refused).for_each(|note| {
        text.push_str(&format!("{}\n\n", escaped(note)));
    });
    if !delivered.is_empty() {
        text.push_str(&deliveries("promote", to, delivered));
    }
    text
}

/// Renders what an environment has that the next one lacks.
pub(crate) fn notes(notes: &EnvironmentNotes) -> String {
    let EnvironmentNotes { from, to, .. } = notes;
    let differing: Vec<FunctionDifference> =
        notes.functions.iter().filter(|function| !function.unchanged).cloned().collect();
    let what = match differing.len() {
        0 => "nothing".to_owned(),
        count => plural(count, "release"),
    };
    let mut text = heading(&format!("{from} has, and {to} lacks: {what}"));
    text.push_str(&functions(&differing));
    text.push_str(&commits("All commits:", &notes.commits));
    text.push_str(&commits(&format!("Only in {to}:"), differing.iter().flat_map(|function| &function.lost)));
    text
}
