//! Names of environments that would give one of them the other's account.
//!
//! All that an environment owns begins with `<project>-<account id>-<environment>-`. Where one name begins another and a
//! hyphen follows (`dev`, `dev-eu`), the roles of the first reach everything of the second.

use super::{EnvironmentAccount, Project};
use crate::failure::{Failure, Result};
use crate::name::EnvironmentName;

/// The name in the bucket of an account's own state, `<project>-<account id>-bootstrap-tfstate`.
const RESERVED: &str = "bootstrap";

impl Project {
    /// Refuses environments of one account of which one's name begins the other's, and one with a reserved name.
    pub(super) fn check_environment_names(&self) -> Result<()> {
        let clouds: Vec<(&EnvironmentName, &str)> = self
            .environments
            .iter()
            .filter_map(|(name, settings)| match &settings.account {
                EnvironmentAccount::Cloud(cloud) => Some((name, cloud.account.as_str())),
                EnvironmentAccount::Emulated => None,
            })
            .collect();
        for (name, account) in &clouds {
            if name.as_str() == RESERVED {
                return Err(Failure::usage(format!(
                    "no environment can be called `{RESERVED}`: the bucket of the account's own state, <project>-{account}-bootstrap-tfstate, would be the environment's"
                ))
                .hint(format!("rename terraform/environments/{RESERVED}")));
            }
            let begins =
                |other: &str| other.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('-'));
            let inside = clouds.iter().find(|(other, its)| its == account && begins(other.as_str()));
            if let Some((other, _)) = inside {
                return Err(Failure::usage(format!(
                    "the environments {name} and {other} are in one account, {account}, and the roles of {name} reach all that begins with `{name}-`, so all of {other}"
                ))
                .hint(format!(
                    "give {other} a name that does not begin with `{name}-`, such as {}, or an account of its own",
                    turned(name.as_str(), other.as_str())
                )));
            }
        }
        Ok(())
    }
}

/// Returns a name with the same parts in another order: `eu-dev` for `dev-eu`.
fn turned(name: &str, other: &str) -> String {
    format!("{}-{name}", other[name.len()..].trim_matches('-'))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{project, write};
    use super::*;

    fn loaded(environments: &[(&str, &str)]) -> Result<Project> {
        let folder = project();
        for (name, account) in environments {
            let text =
                format!("account = \"{account}\"\nregion = \"eu-central-1\"\n[state]\nbucket = \"b\"\n");
            write(folder.path(), &format!("terraform/environments/{name}/environment.toml"), &text);
        }
        Project::load(folder.path())
    }

    #[test]
    fn environment_that_begins_another_is_refused_in_one_account_only() {
        let (one, two) = ("111111111111", "222222222222");
        let failure = loaded(&[("dev", one), ("dev-eu", one)]).unwrap_err();
        assert!(
            failure.message().starts_with("the environments dev and dev-eu are in one account"),
            "{failure}"
        );
        assert!(failure.report().hint.unwrap().contains("such as eu-dev"));
        loaded(&[("dev", one), ("dev-eu", two)]).unwrap();
        loaded(&[("dev", one), ("dev2", one), ("eu-dev", one), ("develop", one)]).unwrap();
    }

    #[test]
    fn environment_called_bootstrap_is_refused() {
        let failure = loaded(&[("bootstrap", "111111111111")]).unwrap_err();
        assert!(failure.message().starts_with("no environment can be called `bootstrap`"), "{failure}");
    }
}
