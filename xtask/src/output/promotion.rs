//! What an environment lacks that the one before it serves, as values and as text for people.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use super::Table;
use crate::delivery::StackPlan;
use crate::delivery::promotion::FunctionDifference;
use crate::format::{list, plural};
use crate::name::{EnvironmentName, StackName};
use crate::plan::{self, Reach};
use crate::source::CommitLine;

/// How many commits of a function are shown.
const SHOWN: usize = 10;

/// A change that a rollback leaves as it is.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Remaining {
    /// The stack.
    pub(crate) stack: StackName,
    /// What it touches.
    pub(crate) reach: Reach,
    /// The action, as Terraform's users know it.
    pub(crate) action: String,
    /// The address.
    pub(crate) address: String,
}

/// What a promotion changes.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Promoted {
    /// The environment where it serves verified.
    pub(crate) from: EnvironmentName,
    /// The environment that it is brought to.
    pub(crate) to: EnvironmentName,
    /// The functions.
    pub(crate) functions: Vec<FunctionDifference>,
    /// What is there, by function or stack, and does not serve verified there, with the reason.
    pub(crate) unsettled: BTreeMap<String, String>,
    /// Files of stacks that differ from those that are applied.
    pub(crate) files: BTreeMap<StackName, Vec<String>>,
    /// The plans.
    pub(crate) plans: Vec<StackPlan>,
    /// Stacks that cannot be planned yet, each with the stack whose outputs it waits for.
    pub(crate) waiting: BTreeMap<StackName, StackName>,
    /// Stacks that take a value of these, and are applied after them if it changes.
    pub(crate) dependents: Vec<StackName>,
    /// What a rollback, which moves the alias, does not take back.
    pub(crate) rollback_leaves: Vec<Remaining>,
    /// What cannot be compared.
    pub(crate) notes: Vec<String>,
    /// Why it would be refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) refused: Vec<String>,
}

impl Promoted {
    /// Begins without differences.
    pub(crate) fn new(from: EnvironmentName, to: EnvironmentName) -> Self {
        Self {
            from,
            to,
            functions: Vec::new(),
            unsettled: BTreeMap::new(),
            files: BTreeMap::new(),
            plans: Vec::new(),
            waiting: BTreeMap::new(),
            dependents: Vec::new(),
            rollback_leaves: Vec::new(),
            notes: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// Adds a stack's plan.
    pub(crate) fn plan(&mut self, plan: StackPlan) {
        let leaves = plan.changes.iter().filter_map(|change| {
            let reach = plan::reach(change);
            (reach != Reach::Function).then(|| Remaining {
                stack: plan.stack.clone(),
                reach,
                action: change.action.word().to_owned(),
                address: change.address.clone(),
            })
        });
        self.rollback_leaves.extend(leaves);
        self.plans.push(plan);
    }

    /// Returns whether there is nothing to change.
    pub(crate) fn is_empty(&self) -> bool {
        self.functions.iter().all(|function| function.unchanged)
            && self.unsettled.is_empty()
            && self.plans.iter().all(StackPlan::is_empty)
            && self.waiting.is_empty()
            && self.files.is_empty()
    }

    /// Says of a function what a rollback would do.
    fn undo(&self, function: &FunctionDifference) -> String {
        let reaches: BTreeSet<Reach> = self
            .rollback_leaves
            .iter()
            .filter(|one| one.stack == function.stack)
            .map(|one| one.reach)
            .collect();
        if self.waiting.contains_key(&function.stack) {
            return "not planned yet".to_owned();
        }
        match reaches.is_empty() {
            true if function.before.is_none() => "first release there".to_owned(),
            true => "code only: rollback in a second".to_owned(),
            false => format!("rollback leaves {}", list(reaches.iter().map(|reach| reach.word()))),
        }
    }
}

/// What an environment has that the next one lacks.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct EnvironmentNotes {
    /// The environment that has more.
    pub(crate) from: EnvironmentName,
    /// The next one.
    pub(crate) to: EnvironmentName,
    /// By function.
    pub(crate) functions: Vec<FunctionDifference>,
    /// All commits, each once.
    pub(crate) commits: Vec<CommitLine>,
    /// Their authors.
    pub(crate) authors: BTreeSet<String>,
}

impl EnvironmentNotes {
    /// Begins without differences.
    pub(crate) fn new(from: EnvironmentName, to: EnvironmentName) -> Self {
        Self { from, to, functions: Vec::new(), commits: Vec::new(), authors: BTreeSet::new() }
    }

    /// Adds a function.
    pub(crate) fn add(&mut self, function: FunctionDifference) {
        for commit in &function.commits {
            if !self.commits.contains(commit) {
                self.commits.push(commit.clone());
            }
        }
        self.authors.extend(function.authors.iter().cloned());
        self.functions.push(function);
    }
}

/// Returns how many commits by how many people, or why that is not known.
pub(super) fn commits_text(function: &FunctionDifference) -> String {
    if function.unchanged {
        return "unchanged".to_owned();
    }
    if function.not_known.is_some() {
        return "commits not known".to_owned();
    }
    match (&function.before, function.commits.len()) {
        (None, _) => "first release".to_owned(),
        (Some(_), 0) if function.lost.is_empty() => "no commit".to_owned(),
        (Some(_), count) => {
            let people = match function.authors.len() {
                0 | 1 => String::new(),
                several => format!(" by {several} people"),
            };
            let loses = match function.lost.len() {
                0 => String::new(),
                lost => format!(", loses {lost}"),
            };
            format!("{}{people}{loses}", plural(count, "commit"))
        }
    }
}

/// Returns the releases of a function: `1.4.2 -> 1.5.0`.
pub(super) fn versions_text(function: &FunctionDifference) -> String {
    let unverified = if function.verified { "" } else { " (not verified)" };
    match &function.before {
        Some(before) if !function.unchanged => format!("{before} -> {}{unverified}", function.release),
        _ => format!("{}{unverified}", function.release),
    }
}

fn commit_lines(function: &FunctionDifference) -> String {
    let mut text = String::new();
    let mut lines = |mark: &str, commits: &[CommitLine]| {
        for commit in commits.iter().take(SHOWN) {
            text.push_str(&format!("      {mark} {commit}\n"));
        }
        if commits.len() > SHOWN {
            text.push_str(&format!("      {mark} {} more\n", commits.len() - SHOWN));
        }
    };
    lines("+", &function.commits);
    lines("-", &function.lost);
    if let Some(why) = &function.not_known {
        text.push_str(&format!("      ? {why}\n"));
    }
    text
}

/// Renders what a promotion would change.
pub(crate) fn promotion_text(promoted: &Promoted) -> String {
    let Promoted { from, to, functions, files, plans, waiting, .. } = promoted;
    let Promoted { unsettled, dependents, rollback_leaves, notes, refused, .. } = promoted;
    let mut text = format!("from {from}, serving and verified there, to {to}:\n");
    let mut table = Table::new(["function", "release", "commits", ""]);
    for function in functions {
        let undo = if function.unchanged { String::new() } else { promoted.undo(function) };
        table.row([function.function.to_string(), versions_text(function), commits_text(function), undo]);
    }
    if !table.is_empty() {
        text.push_str(&table.render("  "));
    }
    for (name, why) in unsettled {
        text.push_str(&format!("  {name}: {why}\n"));
    }
    for function in functions {
        let lines = commit_lines(function);
        if !lines.is_empty() {
            text.push_str(&format!("  {}\n{lines}", function.function));
        }
    }
    for (stack, files) in files {
        text.push_str(&format!("files     {stack}: {}\n", list(files)));
    }
    for plan in plans {
        text.push_str(&format!("plan      {} in {to}  {}\n", plan.stack, plan.summary));
        text.push_str(&plan::changes_text(&plan.changes, false));
    }
    for (stack, upstream) in waiting {
        text.push_str(&format!("plan      {stack} is planned when {upstream} is applied in {to}\n"));
    }
    if !dependents.is_empty() {
        text.push_str(&format!(
            "then      {}, if a value that it takes changes\n",
            list(dependents.iter().map(StackName::as_str))
        ));
    }
    if !rollback_leaves.is_empty() {
        text.push_str("rollback  moves the alias back; it leaves:\n");
        for one in rollback_leaves {
            text.push_str(&format!("          {:8} {}  ({})\n", one.action, one.address, one.reach.word()));
        }
    }
    notes.iter().for_each(|note| text.push_str(&format!("history   {note}\n")));
    refused.iter().for_each(|why| text.push_str(&format!("refused   {why}\n")));
    text
}

/// Renders what an environment has that the next one lacks.
pub(crate) fn notes_text(notes: &EnvironmentNotes) -> String {
    let EnvironmentNotes { from, to, functions, commits, authors } = notes;
    let differing: Vec<&FunctionDifference> = functions.iter().filter(|one| !one.unchanged).collect();
    if differing.is_empty() {
        return format!("{to} has everything that serves in {from}.\n");
    }
    let mut text = format!("{from} has, and {to} lacks:\n");
    for function in differing {
        text.push_str(&format!(
            "  {}  {}  {}\n{}",
            function.function,
            versions_text(function),
            commits_text(function),
            commit_lines(function)
        ));
    }
    if !commits.is_empty() {
        let people = list(authors);
        text.push_str(&format!("  all: {} by {people}\n", plural(commits.len(), "commit")));
        commits.iter().for_each(|commit| text.push_str(&format!("      {commit}\n")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::markdown;
    use crate::plan::{Action, Change};

    fn commit(id: &str, author: &str, subject: &str) -> CommitLine {
        CommitLine { commit: id.repeat(40), author: author.into(), subject: subject.into() }
    }

    fn function(name: &str, before: Option<&str>, release: &str) -> FunctionDifference {
        FunctionDifference {
            function: name.parse().unwrap(),
            stack: name.parse().unwrap(),
            before: before.map(|version| version.parse().unwrap()),
            release: release.parse().unwrap(),
            unchanged: before == Some(release),
            verified: true,
            commits: Vec::new(),
            authors: BTreeSet::new(),
            lost: Vec::new(),
            not_known: None,
        }
    }

    fn hello() -> FunctionDifference {
        let commits = vec![commit("a", "Ada", "feat: greet | all"), commit("b", "Bob", "fix: <b>")];
        let authors = commits.iter().map(|commit| commit.author.clone()).collect();
        let lost = vec![commit("c", "Cy", "fix: the leak")];
        FunctionDifference { commits, authors, lost, ..function("hello", Some("1.4.2"), "1.5.0") }
    }

    fn promoted() -> Promoted {
        let mut promoted = Promoted::new("dev".parse().unwrap(), "staging".parse().unwrap());
        let ingest = FunctionDifference {
            not_known: Some("git does not have it".into()),
            ..function("ingest", Some("2.0.3"), "2.1.0")
        };
        promoted.functions = vec![hello(), ingest, function("tracer", Some("0.9.0"), "0.9.0")];
        let plan = |stack: &str, address: &str| StackPlan {
            stack: stack.parse().unwrap(),
            summary: "+0 ~1 -0".into(),
            changes: vec![Change { address: address.into(), action: Action::Update, reason: None }],
            drift: Vec::new(),
            outputs_change: false,
            rows: Vec::new(),
            drift_rows: Vec::new(),
            destroys: Vec::new(),
            losses: Vec::new(),
            refused: None,
        };
        promoted.plan(plan("hello", "module.hello.aws_lambda_function.this"));
        promoted.plan(plan("ingest", "module.ingest.aws_iam_role_policy.this"));
        promoted
    }

    #[test]
    fn promotion_says_what_differs_and_what_a_rollback_leaves() {
        insta::assert_snapshot!(promotion_text(&promoted()), @r"
        from dev, serving and verified there, to staging:
          function   release          commits
          hello      1.4.2 -> 1.5.0   2 commits by 2 people, loses 1   code only: rollback in a second
          ingest     2.0.3 -> 2.1.0   commits not known                rollback leaves IAM
          tracer     0.9.0            unchanged
          hello
              + aaaaaaa Ada: feat: greet | all
              + bbbbbbb Bob: fix: <b>
              - ccccccc Cy: fix: the leak
          ingest
              ? git does not have it
        plan      hello in staging  +0 ~1 -0
                  update   module.hello.aws_lambda_function.this
        plan      ingest in staging  +0 ~1 -0
                  update   module.ingest.aws_iam_role_policy.this
        rollback  moves the alias back; it leaves:
                  update   module.ingest.aws_iam_role_policy.this  (IAM)
        ");
    }

    #[test]
    fn notes_are_by_function_and_as_one_list() {
        let mut notes = EnvironmentNotes::new("dev".parse().unwrap(), "staging".parse().unwrap());
        notes.add(hello());
        notes.add(FunctionDifference {
            commits: hello().commits,
            ..function("second", Some("0.1.0"), "0.2.0")
        });
        notes.add(function("tracer", Some("0.9.0"), "0.9.0"));
        insta::assert_snapshot!(notes_text(&notes), @r"
        dev has, and staging lacks:
          hello  1.4.2 -> 1.5.0  2 commits by 2 people, loses 1
              + aaaaaaa Ada: feat: greet | all
              + bbbbbbb Bob: fix: <b>
              - ccccccc Cy: fix: the leak
          second  0.1.0 -> 0.2.0  2 commits
              + aaaaaaa Ada: feat: greet | all
              + bbbbbbb Bob: fix: <b>
          all: 2 commits by Ada and Bob
              aaaaaaa Ada: feat: greet | all
              bbbbbbb Bob: fix: <b>
        ");
        let page = markdown::notes(&notes);
        assert!(page.contains("dev has, and staging lacks: 2 releases"), "{page}");
        assert!(page.contains("- bbbbbbb Bob: fix: &lt;b&gt;"), "markup is harmless: {page}");
        let same = EnvironmentNotes { functions: vec![function("a", Some("1.0.0"), "1.0.0")], ..notes };
        assert_eq!(notes_text(&same), "staging has everything that serves in dev.\n");
    }
}
