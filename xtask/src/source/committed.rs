//! The guard of protected environments: only what a commit holds may run there.

use super::git::{NotCommitted, Repository};
use crate::failure::{Failure, Result};
use crate::name::{EnvironmentName, FunctionName, StackName, Version};
use crate::settings::{EnvironmentSettings, Project};

/// Something with changes that are not committed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Uncommitted<'a> {
    /// The inputs of a function, before it is built.
    Inputs(&'a FunctionName, &'a [String]),
    /// A release that was built from such inputs.
    Release(&'a FunctionName, &'a Version),
    /// The files of a stack.
    Stack(&'a StackName),
    /// A settings file or a key, with the reason.
    File(&'a str, NotCommitted),
}

/// Returns whether an environment is protected: by its settings, or by those of the commit that is checked out. Removing the
/// line without committing that does not lift the protection.
pub(crate) fn is_protected(
    repository: &Repository,
    environment: &EnvironmentName,
    settings: &EnvironmentSettings,
) -> Result<bool> {
    if settings.protected {
        return Ok(true);
    }
    let committed = repository.file_in_head(&settings_file(environment))?.unwrap_or_default();
    let table: Option<toml::Table> = toml::from_str(&String::from_utf8_lossy(&committed)).ok();
    Ok(table.is_some_and(|table| table.get("protected").and_then(toml::Value::as_bool) == Some(true)))
}

/// Returns the environment that another one is promoted from: by its settings, or by those of the commit that is checked out.
/// Removing the line without committing that opens no other way.
pub(crate) fn promoted_from(
    repository: &Repository,
    environment: &EnvironmentName,
    settings: &EnvironmentSettings,
) -> Result<Option<EnvironmentName>> {
    if settings.promote_from.is_some() {
        return Ok(settings.promote_from.clone());
    }
    let committed = repository.file_in_head(&settings_file(environment))?.unwrap_or_default();
    let table: Option<toml::Table> = toml::from_str(&String::from_utf8_lossy(&committed)).ok();
    let from = table.and_then(|table| table.get("promote_from")?.as_str()?.parse().ok());
    Ok(from)
}

/// Lists the files that decide a deployment besides functions and Terraform's files, and that the commit does not hold: the
/// settings of project, environment and stack, the stack's values, the trusted keys, and what decides about traffic.
pub(crate) fn uncommitted_settings(
    repository: &Repository,
    project: &Project,
    environment: &EnvironmentName,
    stack: Option<&StackName>,
) -> Result<Vec<(String, NotCommitted)>> {
    let mut files = vec!["pipelines/project.toml".to_owned(), settings_file(environment)];
    files.extend(project.environment(environment)?.trusted_keys.iter().cloned());
    if let Some(stack) = stack {
        files.push(format!("terraform/stacks/{stack}/stack.toml"));
        let values = ["tfvars", "tfvars.json"];
        files.extend(values.map(|kind| format!("terraform/environments/{environment}/{stack}.{kind}")));
        files.extend(gate_files(project, stack));
    }
    let mut found = Vec::new();
    for file in files {
        if let Some(why) = repository.not_committed(&file)? {
            found.push((file, why));
        }
    }
    Ok(found)
}

/// Lists the files that say what runs before traffic moves: the settings of the stack's functions, and the project's files that
/// the gates' command lines name.
fn gate_files(project: &Project, stack: &StackName) -> Vec<String> {
    let Some(settings) = project.stacks.get(stack) else { return Vec::new() };
    let functions = || settings.functions.iter().filter_map(|function| project.functions.get(function));
    let mut files: Vec<String> = functions()
        .map(|function| function.folder.join("function.toml").to_string_lossy().into_owned())
        .collect();
    let gates = functions().flat_map(|function| &function.before_traffic).chain(&settings.before_traffic);
    let words = gates.flat_map(|gate| gate.run.lines()).flat_map(|line| line.split_whitespace());
    let words = words.map(|word| word.trim_matches(['"', '\'']).trim_start_matches("./"));
    files.extend(
        words.filter(|word| !word.is_empty() && project.root.join(word).is_file()).map(str::to_owned),
    );
    files
}

fn settings_file(environment: &EnvironmentName) -> String {
    format!("terraform/environments/{environment}/environment.toml")
}

/// Refuses changes that are not committed, where the environment is protected.
pub(crate) fn refuse_uncommitted<'a>(
    environment: &EnvironmentName,
    settings: &EnvironmentSettings,
    found: impl IntoIterator<Item = Uncommitted<'a>>,
) -> Result<()> {
    if !settings.protected {
        return Ok(());
    }
    let Some(found) = found.into_iter().next() else { return Ok(()) };
    let (what, hint) = match found {
        Uncommitted::Inputs(function, changed) => (
            format!(
                "the inputs of `{function}` have changes that are not committed: {}",
                changed.first().map_or("", String::as_str)
            ),
            "commit them, or stash them with git stash",
        ),
        Uncommitted::Release(function, version) => (
            format!("`{function}` {version} was built from a tree with changes that are not committed"),
            "commit, then release again",
        ),
        Uncommitted::Stack(stack) => (
            format!("the files of `{stack}` have changes that are not committed"),
            "commit them, or stash them with git stash",
        ),
        Uncommitted::File(file, why) => match why {
            NotCommitted::Changed => (
                format!("{file} has changes that are not committed"),
                "commit them, or take them back with git restore",
            ),
            NotCommitted::Deleted => (
                format!("{file} is gone, and the commit has it"),
                "commit that, or take it back with git restore",
            ),
            NotCommitted::New => (format!("{file} is not committed"), "commit it, or remove it"),
            NotCommitted::Ignored => (
                format!("{file} is ignored by git, so that no commit has it"),
                "add it with git add --force and commit it, or remove it",
            ),
            NotCommitted::Outside => (
                format!("{file} is outside the repository, so that no commit has it"),
                "move it into the repository and commit it",
            ),
        },
    };
    Err(Failure::refused(format!("{environment} is protected and {what}"))
        .unchanged("Nothing was changed.")
        .hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::FailureKind;
    use crate::source::tests::Tree;

    const CLOUD: &str = "account = \"111111111111\"\nregion = \"eu-central-1\"\n[state]\nbucket = \"b\"\n";
    const PROD: &str = "terraform/environments/prod/environment.toml";

    #[test]
    fn uncommitted_changes_are_refused_in_protected_environments_only() {
        let tree = Tree::new();
        tree.write("terraform/environments/dev/environment.toml", CLOUD);
        tree.write(PROD, &format!("protected = true\n{CLOUD}"));
        let project = tree.project();
        let (function, version, stack) =
            ("hello".parse().unwrap(), "1.0.0-dirty.abcdef01".parse().unwrap(), "web".parse().unwrap());
        let changed = ["src/main.rs".to_owned()];
        for (found, words) in [
            (
                Uncommitted::Inputs(&function, &changed),
                "prod is protected and the inputs of `hello` have changes that are not committed: src/main.rs",
            ),
            (
                Uncommitted::Release(&function, &version),
                "prod is protected and `hello` 1.0.0-dirty.abcdef01 was built from a tree with changes",
            ),
            (Uncommitted::Stack(&stack), "prod is protected and the files of `web` have changes"),
            (
                Uncommitted::File("keys/a.pem", NotCommitted::Ignored),
                "prod is protected and keys/a.pem is ignored by git",
            ),
        ] {
            let check = |name: &str, found: Option<Uncommitted<'_>>| {
                let environment = name.parse().unwrap();
                refuse_uncommitted(&environment, project.environment(&environment).unwrap(), found)
            };
            let failure = check("prod", Some(found)).unwrap_err();
            assert_eq!(failure.kind(), FailureKind::Refused);
            assert!(failure.message().starts_with(words), "{failure}");
            check("dev", Some(found)).unwrap();
            check("prod", None).unwrap();
        }
    }

    /// A project with a protected environment that trusts a key, and a stack; everything is committed.
    fn protected() -> Tree {
        let tree = Tree::new();
        let settings = "protected = true\nsignatures = \"required\"\ntrusted_keys = [\"keys/a.pem\"]\n";
        tree.write(PROD, &format!("{settings}{CLOUD}"));
        tree.write("keys/a.pem", "key\n");
        tree.write("terraform/stacks/web/stack.toml", "");
        tree.commit("feat: prod");
        tree
    }

    fn uncommitted(tree: &Tree) -> Vec<(String, NotCommitted)> {
        let (environment, stack) = ("prod".parse().unwrap(), "web".parse().unwrap());
        uncommitted_settings(&tree.repository(), &tree.project(), &environment, Some(&stack)).unwrap()
    }

    #[test]
    fn line_that_names_where_to_promote_from_counts_until_its_removal_is_committed() {
        let tree = Tree::new();
        tree.write("terraform/environments/dev/environment.toml", CLOUD);
        tree.write(PROD, &format!("promote_from = \"dev\"\n{CLOUD}"));
        tree.commit("feat: prod");
        let from = || {
            let (project, environment) = (tree.project(), "prod".parse().unwrap());
            let settings = project.environment(&environment).unwrap();
            promoted_from(&tree.repository(), &environment, settings).unwrap().map(|from| from.to_string())
        };
        assert_eq!(from().as_deref(), Some("dev"));
        tree.write(PROD, CLOUD);
        assert_eq!(from().as_deref(), Some("dev"));
        tree.commit("feat: prod takes releases directly");
        assert_eq!(from(), None);
    }

    #[test]
    fn files_that_decide_about_traffic_are_found_as_well() {
        let tree = protected();
        let gate = "[[before_traffic]]\nname = \"asks\"\nrun = \"sh bin/asks.sh --all\"\n";
        tree.write("terraform/stacks/web/stack.toml", &format!("functions = [\"hello\"]\n{gate}"));
        tree.write("bin/asks.sh", "exit 0\n");
        let found: Vec<String> = uncommitted(&tree).into_iter().map(|(file, _)| file).collect();
        assert_eq!(found, ["terraform/stacks/web/stack.toml", "bin/asks.sh"]);
        tree.commit("feat: a gate");
        assert_eq!(uncommitted(&tree), []);
        let function = "lambda-src/hello/function.toml";
        let text = std::fs::read_to_string(tree.root().join(function)).unwrap();
        tree.write(function, &format!("{text}\n"));
        assert_eq!(uncommitted(&tree), [(function.to_owned(), NotCommitted::Changed)]);
    }

    #[test]
    fn each_file_that_decides_is_found_in_each_way_of_not_being_committed() {
        assert_eq!(uncommitted(&protected()), []);
        for file in ["pipelines/project.toml", PROD, "terraform/stacks/web/stack.toml", "keys/a.pem"] {
            let tree = protected();
            let text = std::fs::read_to_string(tree.root().join(file)).unwrap();
            tree.write(file, &format!("{text}\n"));
            assert_eq!(uncommitted(&tree), [(file.to_owned(), NotCommitted::Changed)]);
            tree.git(&["add", "--all"]);
            assert_eq!(uncommitted(&tree).len(), 1, "staged is not committed: {file}");
            tree.git(&["update-index", "--assume-unchanged", file]);
            tree.git(&["update-index", "--skip-worktree", file]);
            assert_eq!(uncommitted(&tree).len(), 1, "git does not show it: {file}");
            tree.write(file, &text.replace('\n', "\r\n"));
            assert_eq!(uncommitted(&tree), [], "line endings change nothing in {file}");
        }
        let tree = protected();
        let values = "terraform/environments/prod/web.tfvars";
        tree.write(values, "x = 1\n");
        assert_eq!(uncommitted(&tree), [(values.to_owned(), NotCommitted::New)]);
        tree.write(".git/info/exclude", "*.tfvars\n");
        assert_eq!(uncommitted(&tree), [(values.to_owned(), NotCommitted::Ignored)]);
        tree.git(&["add", "--force", values]);
        tree.commit("feat: values");
        assert_eq!(uncommitted(&tree), []);
        std::fs::remove_file(tree.root().join(values)).unwrap();
        assert_eq!(uncommitted(&tree), [(values.to_owned(), NotCommitted::Deleted)]);
    }

    #[test]
    fn link_is_committed_only_with_what_it_leads_to() {
        let tree = protected();
        let link = |target: &str| {
            let path = tree.root().join("keys/a.pem");
            let _ = std::fs::remove_file(&path);
            std::os::unix::fs::symlink(target, path).unwrap();
        };
        tree.write("keys/real.pem", "key\n");
        tree.write("keys/other.pem", "other\n");
        link("real.pem");
        tree.commit("feat: link");
        assert_eq!(uncommitted(&tree), []);
        link("other.pem");
        assert_eq!(uncommitted(&tree), [("keys/a.pem".to_owned(), NotCommitted::Changed)], "its own text");
        link("real.pem");
        tree.write("keys/real.pem", "changed\n");
        assert_eq!(
            uncommitted(&tree),
            [("keys/a.pem".to_owned(), NotCommitted::Changed)],
            "what it leads to"
        );
        link("/etc/hostname");
        tree.commit("feat: away");
        assert_eq!(uncommitted(&tree), [("keys/a.pem".to_owned(), NotCommitted::Outside)]);
    }

    #[test]
    fn protection_is_lifted_by_a_commit_and_an_unreadable_commit_is_an_error() {
        let tree = protected();
        let environment = "prod".parse().unwrap();
        let check = || {
            let project = tree.project();
            is_protected(&tree.repository(), &environment, project.environment(&environment).unwrap())
        };
        assert!(check().unwrap());
        tree.write(PROD, CLOUD);
        assert!(check().unwrap(), "the commit still says so");
        let commit = tree.commit("feat: open");
        assert!(!check().unwrap());
        let object = tree.git(&["rev-parse", &format!("{commit}^{{tree}}")]);
        std::fs::remove_file(tree.root().join(".git/objects").join(&object[..2]).join(&object[2..])).unwrap();
        assert!(check().is_err());
    }
}
