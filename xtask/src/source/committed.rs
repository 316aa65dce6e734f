//! The guard of protected environments: only what a commit holds may run there.

use crate::failure::{Failure, Result};
use crate::name::{EnvironmentName, FunctionName, StackName, Version};
use crate::settings::EnvironmentSettings;

/// Something with changes that are not committed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Uncommitted<'a> {
    /// The inputs of a function, before it is built.
    Inputs(&'a FunctionName),
    /// A release that was built from such inputs.
    Release(&'a FunctionName, &'a Version),
    /// The files of a stack.
    Stack(&'a StackName),
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
        Uncommitted::Inputs(function) => (
            format!("the inputs of `{function}` have changes that are not committed"),
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

    #[test]
    fn uncommitted_changes_are_refused_in_protected_environments_only() {
        let tree = Tree::new();
        let cloud = "account = \"111111111111\"\nregion = \"eu-central-1\"\n[state]\nbucket = \"b\"\n";
        tree.write("terraform/environments/dev/environment.toml", cloud);
        let protected = format!("protected = true\n{cloud}");
        tree.write("terraform/environments/prod/environment.toml", &protected);
        let project = tree.project();
        let (function, version, stack) =
            ("hello".parse().unwrap(), "1.0.0-dirty.abcdef01".parse().unwrap(), "web".parse().unwrap());
        for (found, words) in [
            (Uncommitted::Inputs(&function), "prod is protected and the inputs of `hello` have changes"),
            (
                Uncommitted::Release(&function, &version),
                "prod is protected and `hello` 1.0.0-dirty.abcdef01 was built from a tree with changes",
            ),
            (Uncommitted::Stack(&stack), "prod is protected and the files of `web` have changes"),
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
}
