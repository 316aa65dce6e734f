//! Refuses what a copy of this repository forgot to make its own, before anything runs as an administrator: the trust in
//! Slipway's address on GitHub, and the account numbers of the pages.
//!
//! In: the account, its tfvars, and the repository that the remote `origin` is on GitHub. Errors: a refusal (exit code 6) that
//! names the file. Terraform refuses that trust as well; it would have to be installed and planned with first.

use std::path::Path;

use hcl::Expression;

use super::AccountSpec;
use crate::failure::{Failure, Result};

/// Slipway's own address on GitHub.
const SLIPWAY: &str = "slipway/slipway";

/// Refuses placeholders in the values of an account, except where an emulator stands in for AWS. `remote` is the repository on
/// GitHub that this checkout came from, `owner/name`.
pub(crate) fn refuse_placeholders(root: &Path, spec: &AccountSpec, remote: Option<&str>) -> Result<()> {
    let file = format!("terraform/bootstrap/{}.tfvars", spec.account);
    // Without the file, or with one that is no HCL, nobody is trusted, or Terraform says what is wrong.
    let text = std::fs::read_to_string(root.join(&file)).unwrap_or_default();
    let values = hcl::parse(&text).unwrap_or_default();
    let value = |name: &str| {
        let mut attributes = values.attributes();
        attributes.find(|attribute| attribute.key() == name).map(|attribute| attribute.expr())
    };
    if matches!(value("emulated"), Some(Expression::Bool(true))) {
        return Ok(());
    }
    let refused = |why: String| Failure::refused(why).unchanged("Nothing was changed.");
    // 222222222222 and the like: numbers of documentation, which AWS gives to nobody who reads it.
    if let Some(first) = spec.account.chars().next()
        && spec.account.chars().all(|digit| digit == first)
    {
        return Err(refused(format!(
            "{} has the account {}, which is a placeholder of Slipway's pages",
            spec.label, spec.account
        ))
        .hint(format!(
            "put your own account's number into terraform/environments, pipelines/project.toml and the name of {file}"
        )));
    }
    if let Some(Expression::String(repository)) = value("github_repository")
        && repository.eq_ignore_ascii_case(SLIPWAY)
        && !remote.is_some_and(|remote| remote.eq_ignore_ascii_case(SLIPWAY))
    {
        let from = remote.map_or_else(String::new, |remote| format!("; this checkout is of {remote}"));
        return Err(refused(format!(
            "{file} trusts {repository}, Slipway's own address on GitHub: its jobs could deploy here{from}"
        ))
        .hint(format!("set github_repository in {file} to your repository, or leave it out")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::FailureKind;

    /// Returns the refusal of an account with these values.
    fn refusal(account: &str, values: &str, remote: Option<&str>) -> Option<String> {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("terraform/bootstrap");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{account}.tfvars")), values).unwrap();
        let refused = refuse_placeholders(root.path(), &AccountSpec::for_tests(account), remote).err()?;
        assert_eq!(refused.kind(), FailureKind::Refused);
        Some(refused.message().to_owned())
    }

    const OWN: &str = "210987654321";

    #[test]
    fn trust_in_slipways_own_address_is_refused_unless_the_checkout_is_of_it() {
        for repository in ["slipway/slipway", "Slipway/slipway"] {
            let values = format!("github_repository = \"{repository}\"\n");
            let why = refusal(OWN, &values, Some("acme/shop")).unwrap();
            assert!(
                why.starts_with(&format!("terraform/bootstrap/{OWN}.tfvars trusts {repository}")),
                "{why}"
            );
            assert!(why.ends_with("this checkout is of acme/shop"), "{why}");
            assert!(refusal(OWN, &values, None).is_some());
            assert_eq!(refusal(OWN, &values, Some("slipway/slipway")), None);
            assert_eq!(refusal(OWN, &format!("{values}emulated = true\n"), None), None);
            assert!(refusal(OWN, &format!("{values}emulated = false\n"), None).is_some());
        }
        assert_eq!(refusal(OWN, "github_repository = \"acme/slipway\"\n", None), None);
        assert_eq!(refusal(OWN, "", None), None);
    }

    #[test]
    fn account_of_the_pages_is_refused() {
        let why = refusal("222222222222", "", None).unwrap();
        assert_eq!(why, "dev has the account 222222222222, which is a placeholder of Slipway's pages");
        assert_eq!(refusal("222222222222", "emulated = true\n", None), None);
        assert_eq!(refusal("222222222223", "", None), None);
    }
}
