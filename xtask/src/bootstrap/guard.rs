//! The guard of `bootstrap`: what runs as an account's administrator is what the default branch holds.
//!
//! In: the repository, the project and the account. Errors: a refusal (exit code 6) that names the branch or the file; no
//! repository.

use std::collections::BTreeSet;

use super::AccountSpec;
use crate::failure::{Failure, Result};
use crate::plan::{self, StackSources};
use crate::settings::Project;
use crate::source::{NotCommitted, Repository};

/// Refuses files that no commit of the default branch holds. With `any_branch`, a commit of any branch is enough.
pub(crate) fn refuse_unreviewed(
    repository: &Repository,
    project: &Project,
    spec: &AccountSpec,
    any_branch: bool,
) -> Result<()> {
    let refused = |why: String| {
        Failure::refused(format!("bootstrap runs as the administrator of {}, and {why}", spec.account))
            .unchanged("Nothing was changed.")
    };
    let branch = repository.default_branch()?;
    if !branch.holds_head && !any_branch {
        let found = match &branch.current {
            Some(current) => format!("the branch {current} is checked out, not {}", branch.name),
            None => format!("the commit that is checked out is not on {}", branch.name),
        };
        return Err(refused(found).hint(format!(
            "git switch {}; or, where somebody has read what terraform/bootstrap and terraform/modules are here: --any-branch",
            branch.name
        )));
    }
    for file in deciding_files(repository, project)? {
        let Some(why) = repository.not_committed(&file)? else { continue };
        let (what, hint) = match why {
            NotCommitted::Changed => {
                ("has changes that are not committed", "commit them, or take them back with git restore")
            }
            NotCommitted::Deleted => {
                ("is gone, and the commit has it", "commit that, or take it back with git restore")
            }
            NotCommitted::New => ("is not committed", "commit it, or remove it"),
            NotCommitted::Ignored => (
                "is ignored by git, so that no commit has it",
                "add it with git add --force and commit it, or remove it",
            ),
            NotCommitted::Outside => (
                "is outside the repository, so that no commit has it",
                "move it into the repository and commit it",
            ),
        };
        return Err(refused(format!("{file} {what}")).hint(hint));
    }
    Ok(())
}

/// Lists the files that decide what an account gets: Terraform's, those that a commit has and the disk has not, and the
/// settings.
fn deciding_files(repository: &Repository, project: &Project) -> Result<BTreeSet<String>> {
    let sources = StackSources::read_root(&project.root, plan::ACCOUNT_FOLDER)?;
    let folders: BTreeSet<String> = sources
        .files
        .keys()
        .filter_map(|file| file.rsplit_once('/').map(|(folder, _)| folder.to_owned()))
        .chain([plan::ACCOUNT_FOLDER.to_owned()])
        .collect();
    // A module's own lock file, which `terraform test` leaves, decides nothing: that of the root does.
    let lock = sources.lock_path();
    let decides = |file: &String| *file == lock || !file.ends_with("/.terraform.lock.hcl");
    let mut files: BTreeSet<String> = sources.files.into_keys().filter(decides).collect();
    for folder in folders {
        let committed = repository.committed_below(&folder)?;
        files.extend(committed.into_iter().filter(|file| !project.root.join(file).exists()));
    }
    files.insert("pipelines/project.toml".to_owned());
    let environments = project.environments.iter().filter(|(_, settings)| !settings.is_emulated());
    files.extend(environments.map(|(name, _)| format!("terraform/environments/{name}/environment.toml")));
    files.extend(project.functions.keys().map(|name| format!("lambda-src/{name}/function.toml")));
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::FailureKind;
    use crate::source::tests::Tree;

    const MAIN: &str = "terraform/bootstrap/main.tf";
    const MODULE: &str = "terraform/modules/bucket/main.tf";
    const DEV: &str = "terraform/environments/dev/environment.toml";

    fn tree() -> Tree {
        let tree = Tree::new();
        tree.write(MAIN, "module \"bucket\" {\n  source = \"../modules/bucket\"\n}\n");
        tree.write(MODULE, "variable \"x\" {}\n");
        tree.write("terraform/bootstrap/222222222222.tfvars", "x = 1\n");
        tree.write("terraform/bootstrap/README.md", "for people\n");
        tree.write(DEV, "account = \"222222222222\"\nregion = \"eu-central-1\"\n[state]\nbucket = \"b\"\n");
        tree.commit("feat: accounts");
        tree
    }

    fn guard(tree: &Tree, any_branch: bool) -> Result<()> {
        let spec = AccountSpec::for_tests("222222222222");
        refuse_unreviewed(&tree.repository(), &tree.project(), &spec, any_branch)
    }

    fn refusal(tree: &Tree, any_branch: bool) -> String {
        let failure = guard(tree, any_branch).unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Refused);
        failure.message().to_owned()
    }

    #[test]
    fn committed_files_of_the_default_branch_alone_are_run() {
        let tree = tree();
        guard(&tree, false).unwrap();
        tree.git(&["switch", "--quiet", "--create", "feature"]);
        assert!(refusal(&tree, false).ends_with("the branch feature is checked out, not main"));
        guard(&tree, true).unwrap();
        tree.git(&["checkout", "--quiet", "--detach"]);
        assert!(refusal(&tree, false).ends_with("the commit that is checked out is not on main"));
        // As CI checks out: a commit alone, which the remote's default branch has.
        tree.git(&["update-ref", "refs/remotes/origin/trunk", "HEAD"]);
        tree.git(&["symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/trunk"]);
        guard(&tree, false).unwrap();
        tree.write(MAIN, "");
        tree.commit("feat: not pushed");
        assert!(refusal(&tree, false).ends_with("is not on trunk"));
    }

    #[test]
    fn each_file_that_decides_must_be_committed_on_any_branch_too() {
        for file in [MAIN, MODULE, "terraform/bootstrap/222222222222.tfvars", DEV, "pipelines/project.toml"] {
            let tree = tree();
            let text = std::fs::read_to_string(tree.root().join(file)).unwrap();
            tree.write(file, &format!("{text}\n"));
            assert!(refusal(&tree, true).contains(&format!("{file} has changes")), "{file}");
            tree.git(&["update-index", "--assume-unchanged", file]);
            assert!(
                refusal(&tree, true).contains(&format!("{file} has changes")),
                "git does not show it: {file}"
            );
        }
        for new in ["terraform/bootstrap/planted.tf", "terraform/modules/bucket/planted_override.tf.json"] {
            let tree = tree();
            tree.write(new, if new.ends_with("json") { "{}" } else { "locals {}\n" });
            assert!(refusal(&tree, true).contains(&format!("{new} is not committed")), "{new}");
            tree.write(".git/info/exclude", "*planted*\n");
            assert!(refusal(&tree, true).contains(&format!("{new} is ignored by git")), "{new}");
        }
        let tree = tree();
        std::fs::remove_file(tree.root().join("terraform/bootstrap/222222222222.tfvars")).unwrap();
        assert!(refusal(&tree, true).contains("222222222222.tfvars is gone"));
        let tree = self::tree();
        tree.write("terraform/modules/bucket/.terraform.lock.hcl", "# of a test\n");
        guard(&tree, false).unwrap();
        tree.write("terraform/bootstrap/README.md", "for other people\n");
        guard(&tree, false).unwrap();
    }
}
