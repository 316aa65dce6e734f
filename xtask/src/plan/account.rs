//! The configuration `terraform/bootstrap` of one account, ready to be planned.
//!
//! In: values that Slipway knows, the hand-written `terraform/bootstrap/<account id>.tfvars`, and the existing resources
//! to adopt. Out: a [`Configuration`]. If resources are adopted, it is a copy in the work folder with `import` blocks
//! added; the project's own folder is not changed. Errors: unreadable files, a value for an undeclared variable.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::backend::{Backend, EMULATOR_ATTEMPTS, backend_text};
use super::configuration::{Configuration, PlanContext, check_values, write_private};
use super::lock::WorkLock;
use super::provider_lock::ProviderLock;
use super::sources::{SourceFile, StackSources};
use super::unsaved::refuse_unsaved;
use crate::failure::{self, Failure, Result};
use crate::name::{EnvironmentName, StackName};

/// The root module's folder, relative to the project.
pub(crate) const ACCOUNT_FOLDER: &str = "terraform/bootstrap";

/// What [`prepare_account`] needs besides the files.
pub(crate) struct AccountPreparation<'a> {
    /// The project.
    pub(crate) root: &'a Path,
    /// Slipway's own folder for this account.
    pub(crate) work: PathBuf,
    /// An environment of the account, for messages.
    pub(crate) label: &'a EnvironmentName,
    /// Where the state is kept.
    pub(crate) backend: &'a Backend,
    /// Values of the module's variables, without `max_retries` of `account`.
    pub(crate) values: BTreeMap<&'static str, Value>,
    /// Existing resources to adopt: address and import id.
    pub(crate) adopted: &'a [(String, String)],
    /// Environment variables that Terraform gets besides those of this process.
    pub(crate) variables: Vec<(String, String)>,
    /// What happens where the lock file of the providers lacks one.
    pub(crate) provider_lock: ProviderLock,
    /// How long to wait for the state's lock.
    pub(crate) lock_timeout: Duration,
    /// The lock on the work folder.
    pub(crate) lock: &'a WorkLock,
}

/// Reads the module's files and writes the var-file, the backend file and, if something is adopted, the copy.
pub(crate) fn prepare_account(preparation: AccountPreparation<'_>) -> Result<Configuration> {
    let AccountPreparation { root, mut values, adopted, lock, .. } = preparation;
    let stack: StackName = "bootstrap".parse().map_err(|error: crate::name::NameError| {
        Failure::defect("`bootstrap` is not a valid stack name").caused_by(error)
    })?;
    let context = Arc::new(PlanContext {
        stack,
        environment: preparation.label.clone(),
        project: String::new(),
        work: preparation.work,
        backend: preparation.backend.clone(),
        variables: preparation.variables,
        provider_lock: preparation.provider_lock,
        lock_timeout: preparation.lock_timeout,
    });
    refuse_unsaved(&context, &[root.join(ACCOUNT_FOLDER)])?;
    let PlanContext { stack, work, backend, .. } = context.as_ref();
    if !root.join(ACCOUNT_FOLDER).is_dir() {
        return Err(Failure::usage(format!("this project has no {ACCOUNT_FOLDER}")).hint(
            "copy terraform/bootstrap and terraform/modules from Slipway's repository: https://github.com/slipway/slipway/blob/main/docs/adopting.md",
        ));
    }
    let mut sources = StackSources::read_root(root, ACCOUNT_FOLDER)?;
    if backend.endpoint.is_some()
        && let Some(account) = values.get_mut("account")
    {
        account["max_retries"] = json!(EMULATOR_ATTEMPTS);
    }
    let var_file = work.join("slipway.tfvars.json");
    let text = serde_json::to_vec_pretty(&values)
        .map_err(|error| Failure::defect("the var-file cannot be written as JSON").caused_by(error))?;
    write_private(&var_file, &text)?;
    let backend_file = work.join("backend.hcl");
    write_private(&backend_file, backend_text(stack, backend).as_bytes())?;
    let by_hand = format!("{ACCOUNT_FOLDER}/{}.tfvars", backend.account);
    let by_hand_file = root.join(&by_hand);
    if let Some(file) = sources.files.get(&by_hand) {
        check_values(&by_hand, &file.content, stack, &sources.variables)?;
    }
    let folder = if adopted.is_empty() {
        root.join(ACCOUNT_FOLDER)
    } else {
        let content = imports_text(adopted).into_bytes();
        sources.files.insert(format!("{ACCOUNT_FOLDER}/adopt.tf"), SourceFile { content, executable: false });
        copy(&sources, &work.join("adopting"))?.join(ACCOUNT_FOLDER)
    };
    let var_files = by_hand_file.is_file().then_some(by_hand_file).into_iter().chain([var_file]).collect();
    Ok(Configuration {
        context: context.clone(),
        folder,
        project: None,
        var_files,
        backend_file,
        sources,
        inputs: BTreeMap::new(),
        lock: lock.clone(),
        takes_lock: true,
    })
}

/// Writes the files into a folder that holds nothing else.
fn copy(sources: &StackSources, to: &Path) -> Result<PathBuf> {
    if to.exists() {
        std::fs::remove_dir_all(to).map_err(|error| failure::io("remove", to, error))?;
    }
    for (path, source) in &sources.files {
        let file = to.join(path);
        let folder = file.parent().unwrap_or(to);
        std::fs::create_dir_all(folder).map_err(|error| failure::io("create", folder, error))?;
        std::fs::write(&file, &source.content).map_err(|error| failure::io("write", &file, error))?;
    }
    Ok(to.to_path_buf())
}

/// Writes import blocks: <https://developer.hashicorp.com/terraform/language/block/import>.
fn imports_text(adopted: &[(String, String)]) -> String {
    let block = |(address, id): &(String, String)| {
        let id = id.replace('\\', "\\\\").replace('"', "\\\"").replace("${", "$${").replace("%{", "%%{");
        format!("import {{\n  to = {address}\n  id = \"{id}\"\n}}\n")
    };
    adopted.iter().map(block).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adopted_resources_become_import_blocks() {
        let adopted = [
            ("module.state[\"dev\"].aws_s3_bucket.this".to_owned(), "shop-state".to_owned()),
            ("aws_x.y".to_owned(), "${a}\"".to_owned()),
        ];
        insta::assert_snapshot!(imports_text(&adopted), @r#"
        import {
          to = module.state["dev"].aws_s3_bucket.this
          id = "shop-state"
        }

        import {
          to = aws_x.y
          id = "$${a}\""
        }
        "#);
    }
}
