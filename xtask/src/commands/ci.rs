//! `ci`: what a CI system has to run for a change.
//!
//! `ci matrix` lists the checks of what changed, as the matrix of a job: a row for the checks of the project, and one for each group of
//! functions whose inputs differ from those of the commit that the change is based on. Both sides are read in the same way, so a
//! function counts as changed exactly if it would be built again.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use super::CommandOutput;
use crate::app::AppContext;
use crate::digest::Digest;
use crate::failure::{self, Failure, Result};
use crate::name::FunctionName;
use crate::settings::{ProcessEnvironment, Project};
use crate::source::{Repository, Source};

/// Arguments of `ci`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: CiCommand,
}

#[derive(Debug, clap::Subcommand)]
enum CiCommand {
    /// Print the checks of what changed as a job's matrix: `{"include": […]}` in one line.
    Matrix {
        /// The branch or commit that the change is compared with; in a pull request of GitHub its base, else the commit before HEAD.
        #[arg(long, value_name = "REVISION")]
        base: Option<String>,
    },
}

/// The matrix of a job.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// The commit that the change is compared with.
    pub(crate) base: String,
    /// The functions whose inputs changed.
    pub(crate) changed: Vec<FunctionName>,
    /// The rows, as GitHub takes them in `strategy.matrix`.
    pub(crate) include: Vec<Row>,
}

/// One job.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Row {
    /// The job's name.
    pub(crate) name: String,
    /// Names of checks, with blanks between them: `cargo xtask check <checks>`.
    pub(crate) checks: String,
}

/// Runs the command.
pub(crate) fn run(app: &AppContext, arguments: Arguments) -> Result<CommandOutput> {
    let CiCommand::Matrix { base } = arguments.command;
    let repository = app.repository()?;
    let base = base.unwrap_or_else(|| match app.process_env.get("GITHUB_BASE_REF") {
        Some(branch) => format!("origin/{branch}"),
        None => "HEAD^".to_owned(),
    });
    let commit = repository.common_commit(&base)?;
    let changed = changed_functions(&app.project, &app.process_env, &repository, &commit)?;
    let include = rows(&app.project, &changed);
    let line = serde_json::to_string(&serde_json::json!({ "include": include }))
        .map_err(|error| Failure::defect("a matrix cannot be written as JSON").caused_by(error))?;
    let report = Report { base: commit, changed: changed.into_iter().collect(), include };
    Ok(CommandOutput::new(&report, format!("{line}\n"))?.with_step_output("matrix", line))
}

/// Returns the functions whose inputs differ from those of a commit, or that the commit does not have.
fn changed_functions(
    project: &Project,
    process_env: &ProcessEnvironment,
    repository: &Repository,
    commit: &str,
) -> Result<BTreeSet<FunctionName>> {
    let folder = tempfile::Builder::new().prefix("slipway-base-").tempdir();
    let folder = folder.map_err(|error| failure::io("create", &std::env::temp_dir(), error))?;
    let root = repository.check_out_copy(commit, &folder.path().join("source"))?;
    let now = digests(project, process_env, repository)?;
    // A commit whose settings cannot be read, or that has no project yet, has no function that is the same.
    let before = Project::load(&root)
        .and_then(|project| digests(&project, process_env, &Repository::open(&project.root)?))
        .unwrap_or_default();
    Ok(now
        .into_iter()
        .filter(|(name, digest)| before.get(name) != Some(digest))
        .map(|(name, _)| name)
        .collect())
}

fn digests(
    project: &Project,
    process_env: &ProcessEnvironment,
    repository: &Repository,
) -> Result<BTreeMap<FunctionName, Digest>> {
    let functions: Vec<FunctionName> = project.functions.keys().cloned().collect();
    let sources = Source::read_all(project, process_env, repository, &functions)?;
    Ok(functions.into_iter().zip(sources.into_iter().map(|source| source.inputs_digest)).collect())
}

/// Returns the rows: the checks of the project, and those of each group of functions of which one changed.
fn rows(project: &Project, changed: &BTreeSet<FunctionName>) -> Vec<Row> {
    let mut groups: BTreeMap<&[FunctionName], Vec<&str>> = BTreeMap::new();
    for (name, check) in &project.settings.checks {
        let concerned =
            check.functions.is_empty() || check.functions.iter().any(|name| changed.contains(name));
        if concerned {
            groups.entry(&check.functions).or_default().push(name);
        }
    }
    let row = |(functions, checks): (&[FunctionName], Vec<&str>)| {
        let names: Vec<&str> = functions.iter().map(FunctionName::as_str).collect();
        Row {
            name: if names.is_empty() { "project".to_owned() } else { names.join(" ") },
            checks: checks.join(" "),
        }
    };
    groups.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::tests::Tree;

    const FUNCTION: &str = "handler = \"app.handle\"\nruntime = \"python3.13\"\n[build]\nwith = \"python\"\nsources = [\"src\"]\n";

    fn tree() -> Tree {
        let tree = Tree::new();
        std::fs::remove_dir_all(tree.root().join("lambda-src/hello")).unwrap();
        std::fs::remove_file(tree.root().join("Cargo.toml")).unwrap();
        tree.write(
            "pipelines/project.toml",
            "schema = 1\nname = \"shop\"\n[checks.format]\nrun = \"true\"\n[checks.a]\nfunctions = [\"a\"]\nrun = \"true\"\n[checks.b]\nfunctions = [\"b\", \"c\"]\nrun = \"true\"\n[checks.lint]\nrun = \"true\"\n",
        );
        for name in ["a", "b", "c"] {
            tree.write(&format!("lambda-src/{name}/function.toml"), FUNCTION);
            tree.write(&format!("lambda-src/{name}/src/app.py"), "def handle(event, context): pass\n");
        }
        tree.commit("feat: three functions");
        tree
    }

    fn changed_since(tree: &Tree, base: &str) -> Vec<String> {
        let (project, repository) = (tree.project(), tree.repository());
        let commit = repository.common_commit(base).unwrap();
        let env = ProcessEnvironment::of(&[]);
        let changed = changed_functions(&project, &env, &repository, &commit).unwrap();
        let rows = rows(&project, &changed);
        rows.into_iter().map(|row| format!("{}: {}", row.name, row.checks)).collect()
    }

    #[test]
    fn matrix_has_the_checks_of_the_project_and_of_changed_functions() {
        let tree = tree();
        let base = tree.git(&["rev-parse", "HEAD"]);
        assert_eq!(changed_since(&tree, &base), ["project: format lint"]);
        tree.write("lambda-src/c/src/app.py", "def handle(event, context): return 1\n");
        tree.commit("fix: c");
        assert_eq!(changed_since(&tree, "HEAD^"), ["project: format lint", "b c: b"]);
        // Changes that are not committed, and a function that the base does not have.
        tree.write("lambda-src/a/src/more.py", "");
        assert_eq!(changed_since(&tree, &base), ["project: format lint", "a: a", "b c: b"]);
        let first = tree.git(&["rev-list", "--max-parents=0", "HEAD"]);
        assert!(changed_since(&tree, &first).len() >= 3);
    }

    #[test]
    fn unknown_base_is_named() {
        let tree = tree();
        let failure = tree.repository().common_commit("origin/gone").unwrap_err();
        assert_eq!(failure.message(), "`origin/gone` is no commit that HEAD has anything in common with");
    }
}
