//! The settings that the project's files need for a prepared account.
//!
//! In: the outputs of `terraform/bootstrap`, and a file's text. Out: the keys that are missing or have another value, and
//! the text with them; comments and order are kept. Errors: a file that is not TOML, a key that must be a table.

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use toml_edit::{DocumentMut, Item, Table, value};

use super::AccountSpec;
use crate::failure::{self, Failure, Result};
use crate::plan::Applied;

const PROJECT_FILE: &str = "pipelines/project.toml";

/// A key of a file that is missing or has another value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Edit {
    /// The table; empty for the top of the file.
    pub(crate) table: String,
    /// The key.
    pub(crate) key: String,
    /// The value that it needs.
    pub(crate) value: String,
    /// The current value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<String>,
}

/// The edits of one file.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct FileEdits {
    /// The file, relative to the project.
    pub(crate) file: String,
    /// The keys that are missing or have another value.
    pub(crate) edits: Vec<Edit>,
    /// Whether the edits were written.
    pub(crate) written: bool,
    /// The file's text with the edits.
    #[serde(skip)]
    pub(crate) text: String,
}

impl FileEdits {
    /// Writes the edits into the file below the project's root.
    pub(crate) fn write(&mut self, root: &Path) -> Result<()> {
        let path = root.join(&self.file);
        std::fs::write(&path, &self.text).map_err(|error| failure::io("write", &path, error))?;
        self.written = true;
        Ok(())
    }

    /// Returns the edits as TOML to paste, each table once.
    pub(crate) fn toml(&self) -> String {
        let mut out = String::new();
        let mut table = "";
        for edit in &self.edits {
            if edit.table != table {
                table = &edit.table;
                out.push_str(&format!("[{table}]\n"));
            }
            out.push_str(&format!("{} = {}", edit.key, value(&edit.value)));
            out.push_str(
                &edit.before.as_ref().map(|before| format!("   # now {before}")).unwrap_or_default(),
            );
            out.push('\n');
        }
        out
    }
}

/// Returns the edits that the project's files need; files without edits are left out.
pub(crate) fn file_edits(spec: &AccountSpec, applied: &Applied, root: &Path) -> Result<Vec<FileEdits>> {
    let mut files: BTreeMap<String, Vec<(&str, &str, String)>> = BTreeMap::new();
    let (state, roles, store) =
        (applied.output("state"), applied.output("deployment_roles"), applied.output("store"));
    let read_roles = applied.output("read_roles");
    let text = |value: &Value| value.as_str().map(str::to_owned);
    for name in spec.environments.keys() {
        let mut keys = Vec::new();
        keys.extend(text(&roles[name.as_str()]).map(|role| ("", "role", role)));
        keys.extend(text(&read_roles[name.as_str()]).map(|role| ("", "read_role", role)));
        let state = &state[name.as_str()];
        keys.extend(text(&state["bucket"]).map(|bucket| ("state", "bucket", bucket)));
        keys.extend(text(&state["lock_table"]).map(|table| ("state", "lock_table", table)));
        files.insert(format!("terraform/environments/{name}/environment.toml"), keys);
    }
    if let Some(artifact_store) = &spec.artifact_store {
        let mut keys =
            vec![("store", "account", spec.account.clone()), ("store", "region", spec.region.clone())];
        keys.extend(text(&store["bucket"]).map(|bucket| ("store", "bucket", bucket)));
        keys.extend(text(&store["kms_key"]).map(|key| ("store", "kms_key", key)));
        if store["repositories"].as_object().is_some_and(|repositories| !repositories.is_empty()) {
            keys.push(("store", "repositories", artifact_store.registry.clone()));
        }
        keys.extend(text(&store["signing_alias"]).map(|alias| ("store", "signing_key", alias)));
        files.insert(PROJECT_FILE.to_owned(), keys);
    }
    let mut out = Vec::new();
    for (file, keys) in files {
        let path = root.join(&file);
        let text = std::fs::read_to_string(&path).map_err(|error| failure::io("read", &path, error))?;
        let found = edited(&file, &text, &keys)?;
        out.extend((!found.edits.is_empty()).then_some(found));
    }
    Ok(out)
}

fn edited(file: &str, text: &str, keys: &[(&str, &str, String)]) -> Result<FileEdits> {
    let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| {
        Failure::usage(format!("{file} cannot be read")).caused_by(error)
    })?;
    let mut edits = Vec::new();
    for (table, key, wanted) in keys {
        let into = if table.is_empty() {
            document.as_table_mut()
        } else {
            let entry = document.entry(table).or_insert_with(|| Item::Table(Table::new()));
            entry
                .as_table_mut()
                .ok_or_else(|| Failure::usage(format!("{file}: `{table}` must be a table, [{table}]")))?
        };
        let before = into.get(key).and_then(Item::as_value).map(|value| {
            let mut bare = value.clone();
            bare.decor_mut().clear();
            bare.to_string()
        });
        if into.get(key).and_then(Item::as_str) == Some(wanted) {
            continue;
        }
        match into.get_mut(key).and_then(Item::as_value_mut) {
            // A comment after the value is kept.
            Some(current) => {
                let decor = current.decor().clone();
                *current = wanted.as_str().into();
                *current.decor_mut() = decor;
            }
            None => {
                into.insert(key, value(wanted.as_str()));
            }
        }
        edits.push(Edit {
            table: (*table).to_owned(),
            key: (*key).to_owned(),
            value: wanted.clone(),
            before,
        });
    }
    Ok(FileEdits { file: file.to_owned(), edits, written: false, text: document.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# ours\naccount = \"1\" # the account\nrole = \"old\"   # replaced\nprotected = true\n\n# state\n[state]\nbucket = \"b\"\n";

    #[test]
    fn file_edits_keep_comments_and_equal_values() {
        let keys = [
            ("", "role", "new".to_owned()),
            ("state", "bucket", "b".to_owned()),
            ("state", "lock_table", "locks".to_owned()),
            ("store", "bucket", "s".to_owned()),
        ];
        let file = edited("f", TEXT, &keys).unwrap();
        insta::assert_snapshot!(file.text, @r#"
        # ours
        account = "1" # the account
        role = "new"   # replaced
        protected = true

        # state
        [state]
        bucket = "b"
        lock_table = "locks"

        [store]
        bucket = "s"
        "#);
        insta::assert_snapshot!(file.toml(), @r#"
        role = "new"   # now "old"
        [state]
        lock_table = "locks"
        [store]
        bucket = "s"
        "#);
        assert_eq!(edited("f", &file.text, &keys).unwrap().edits, []);
    }

    #[test]
    fn file_edits_name_a_key_that_must_be_a_table() {
        let keys = [("state", "bucket", "b".to_owned())];
        let wrong = edited("environment.toml", "state = 1\n", &keys).unwrap_err();
        assert!(wrong.message().contains("environment.toml: `state` must be a table"), "{wrong}");
        assert!(edited("environment.toml", "state = [", &keys).is_err());
    }
}
