//! What the project's files have to say of an account that is prepared.
//!
//! In: what `terraform/bootstrap` put out, and a file's text. Out: the keys that are missing or say something else, and
//! the text with them, its comments and order kept. Goes wrong: a file that is no TOML, a key that is no table where one
//! is needed.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use toml_edit::{DocumentMut, Item, Table, value};

use super::Wanted;
use crate::failure::{Failure, Result};
use crate::plan::Applied;

const PROJECT_FILE: &str = "pipelines/project.toml";

/// One key of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Edit {
    /// Its table; empty for the top of the file.
    pub(crate) table: String,
    /// The key.
    pub(crate) key: String,
    /// What it has to say.
    pub(crate) value: String,
    /// What it says now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<String>,
}

/// What one file has to say.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct FileEdits {
    /// The file, relative to the project.
    pub(crate) file: String,
    /// What is missing there or differs.
    pub(crate) edits: Vec<Edit>,
    /// Whether it was written.
    pub(crate) written: bool,
    /// The whole text with it.
    #[serde(skip)]
    pub(crate) text: String,
}

impl FileEdits {
    /// Writes the keys as TOML to paste, each table once.
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

/// Compares what files say with what they have to say; files that say it all are left out.
pub(crate) fn edits(
    wanted: &Wanted,
    applied: &Applied,
    read: impl Fn(&str) -> Result<String>,
) -> Result<Vec<FileEdits>> {
    let mut files: BTreeMap<String, Vec<(&str, &str, String)>> = BTreeMap::new();
    let output =
        |name: &str| applied.outputs.get(name).map(|output| output.value.clone()).unwrap_or_default();
    let (state, roles, store) = (output("state"), output("deployment_roles"), output("store"));
    let text = |value: &Value| value.as_str().map(str::to_owned);
    for name in wanted.environments.keys() {
        let mut keys = Vec::new();
        keys.extend(text(&roles[name.as_str()]).map(|role| ("", "role", role)));
        let state = &state[name.as_str()];
        keys.extend(text(&state["bucket"]).map(|bucket| ("state", "bucket", bucket)));
        keys.extend(text(&state["lock_table"]).map(|table| ("state", "lock_table", table)));
        files.insert(format!("terraform/environments/{name}/environment.toml"), keys);
    }
    if let Some(here) = &wanted.artifact_store {
        let mut keys =
            vec![("store", "account", wanted.account.clone()), ("store", "region", wanted.region.clone())];
        keys.extend(text(&store["bucket"]).map(|bucket| ("store", "bucket", bucket)));
        keys.extend(text(&store["kms_key"]).map(|key| ("store", "kms_key", key)));
        if store["repositories"].as_object().is_some_and(|repositories| !repositories.is_empty()) {
            keys.push(("store", "repositories", here.registry.clone()));
        }
        keys.extend(text(&store["signing_alias"]).map(|alias| ("store", "signing_key", alias)));
        files.insert(PROJECT_FILE.to_owned(), keys);
    }
    let mut out = Vec::new();
    for (file, keys) in files {
        let found = edited(&file, &read(&file)?, &keys)?;
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
            // A comment behind the value stays.
            Some(there) => {
                let decor = there.decor().clone();
                *there = wanted.as_str().into();
                *there.decor_mut() = decor;
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
    fn only_what_is_missing_or_differs_is_written_and_comments_stay() {
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
    fn what_is_no_table_is_named() {
        let keys = [("state", "bucket", "b".to_owned())];
        let wrong = edited("environment.toml", "state = 1\n", &keys).unwrap_err();
        assert!(wrong.message().contains("environment.toml: `state` must be a table"), "{wrong}");
        assert!(edited("environment.toml", "state = [", &keys).is_err());
    }
}
