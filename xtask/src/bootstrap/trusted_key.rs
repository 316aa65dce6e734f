//! The key of an account that signs releases, in the files of the project that trust it.
//!
//! In: the key as PEM, and the project. Out: the file for the key and the environments that do not trust it yet; written, if
//! asked. Errors: files that cannot be read or written, a key that is none.

use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;
use toml_edit::{Array, DocumentMut, value};

use crate::failure::{self, Failure, Result};
use crate::format;
use crate::name::EnvironmentName;
use crate::release::PublicKey;
use crate::settings::{EnvironmentAccount, Project};

/// The file of the key that signs releases, and of one that followed it.
const FILE: &str = "keys/release.pub.pem";

/// The key that signs releases, and what the project's files need to trust it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct TrustedKey {
    /// The key's id.
    pub(crate) id: String,
    /// The file for it, relative to the project.
    pub(crate) file: String,
    /// The environments that do not trust it yet.
    pub(crate) environments: Vec<EnvironmentName>,
    /// Whether the file and the environments' `trusted_keys` were written.
    pub(crate) written: bool,
    #[serde(skip)]
    pem: String,
}

impl TrustedKey {
    /// Compares a key with the project's files.
    pub(crate) fn of(project: &Project, pem: &str) -> Result<Self> {
        let key = PublicKey::read(pem, "the key that signs releases")?;
        let id = key.id().to_owned();
        let has_key = |file: &str| {
            let text = std::fs::read_to_string(project.root.join(file)).ok();
            text.and_then(|text| PublicKey::read(&text, file).ok()).is_some_and(|found| found.id() == id)
        };
        let taken = project.root.join(FILE).exists() && !has_key(FILE);
        // Beside an earlier key, which environments may still trust.
        let file = if taken { format!("keys/release-{}.pub.pem", short(&id)) } else { FILE.to_owned() };
        let environments = project.environments.iter().filter(|(_, settings)| {
            matches!(settings.account, EnvironmentAccount::Cloud(_))
                && !settings.trusted_keys.iter().any(|file| has_key(file))
        });
        let environments = environments.map(|(name, _)| name.clone()).collect();
        Ok(Self { id, file, environments, written: false, pem: format!("{}\n", pem.trim()) })
    }

    /// Returns whether every environment trusts the key.
    pub(crate) fn is_trusted(&self) -> bool {
        self.environments.is_empty()
    }

    /// Returns the question that is asked before the key is trusted.
    pub(crate) fn question(&self) -> String {
        let names = format::list(self.environments.iter().map(EnvironmentName::as_str));
        format!("Trust the key {} ({}) for releases in {names}?", self.id, self.file)
    }

    /// Writes the key's file, and adds it to `trusted_keys` of the environments.
    pub(crate) fn write(&mut self, root: &Path) -> Result<()> {
        let path = root.join(&self.file);
        let folder = path.parent().unwrap_or(root);
        std::fs::create_dir_all(folder).map_err(|error| failure::io("create", folder, error))?;
        std::fs::write(&path, &self.pem).map_err(|error| failure::io("write", &path, error))?;
        for environment in &self.environments {
            let name = format!("terraform/environments/{environment}/environment.toml");
            let path = root.join(&name);
            let text = std::fs::read_to_string(&path).map_err(|error| failure::io("read", &path, error))?;
            std::fs::write(&path, trusting(&name, &text, &self.file)?)
                .map_err(|error| failure::io("write", &path, error))?;
        }
        self.written = true;
        Ok(())
    }

    /// Renders what was written, or what the files need.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("\nThe key that signs releases is {}.\n", self.id);
        if self.is_trusted() {
            text.push_str("Every environment trusts it.\n");
            return text;
        }
        let names = format::list(self.environments.iter().map(EnvironmentName::as_str));
        if self.written {
            text.push_str(&format!("{} has it, and {names} trust it. Commit that.\n", self.file));
            return text;
        }
        text.push_str(&format!(
            "{names} do not trust it yet (--write writes it): trusted_keys = [\"{}\"] in their environment.toml, and in that file:\n\n{}",
            self.file, self.pem
        ));
        text
    }
}

/// Returns the first characters of a key's id that a file name may have.
fn short(id: &str) -> String {
    id.rsplit(':').next().unwrap_or(id).chars().filter(char::is_ascii_alphanumeric).take(8).collect()
}

/// Returns an environment's file with a key added to `trusted_keys`.
fn trusting(name: &str, text: &str, file: &str) -> Result<String> {
    let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| {
        Failure::usage(format!("{name} cannot be read")).caused_by(error)
    })?;
    let entry = document.entry("trusted_keys").or_insert_with(|| value(Array::new()));
    let keys = entry
        .as_array_mut()
        .ok_or_else(|| Failure::usage(format!("{name}: `trusted_keys` must be a list")))?;
    if !keys.iter().any(|known| known.as_str() == Some(file)) {
        keys.push(file);
    }
    Ok(document.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::PrivateKey;
    use crate::source::tests::Tree;

    const CLOUD: &str =
        "account = \"222222222222\"\nregion = \"eu-central-1\"\n\n# state\n[state]\nbucket = \"b\"\n";
    const DEV: &str = "terraform/environments/dev/environment.toml";

    fn key() -> String {
        PrivateKey::generate().unwrap().public().unwrap().pem().unwrap()
    }

    #[test]
    fn key_is_written_beside_an_earlier_one_and_trusted_by_every_account() {
        let tree = Tree::new();
        tree.write(DEV, CLOUD);
        tree.write(
            "terraform/environments/prod/environment.toml",
            &format!("protected = true\n{CLOUD}").replace('2', "4"),
        );
        tree.write("terraform/environments/local/environment.toml", "emulated = true\n");
        let (first, second) = (key(), key());
        let read = |file: &str| std::fs::read_to_string(tree.root().join(file)).unwrap();

        let mut found = TrustedKey::of(&tree.project(), &first).unwrap();
        assert_eq!(found.file, FILE);
        assert!(found.question().contains("in dev and prod?"), "{}", found.question());
        assert!(found.text().contains("(--write writes it)") && found.text().contains(first.trim()));
        found.write(&tree.root()).unwrap();
        assert!(
            read(DEV).contains("trusted_keys = [\"keys/release.pub.pem\"]\n\n# state\n[state]"),
            "{}",
            read(DEV)
        );
        assert!(TrustedKey::of(&tree.project(), &first).unwrap().is_trusted());

        let mut found = TrustedKey::of(&tree.project(), &second).unwrap();
        assert!(found.file.starts_with("keys/release-") && found.environments.len() == 2, "{found:?}");
        found.write(&tree.root()).unwrap();
        assert!(
            read(DEV).contains(&format!("trusted_keys = [\"keys/release.pub.pem\", \"{}\"]", found.file))
        );
        for key in [first, second] {
            assert!(TrustedKey::of(&tree.project(), &key).unwrap().is_trusted(), "both are trusted");
        }
    }
}
