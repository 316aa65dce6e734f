//! The contract of a stack with Slipway, as far as its files show it: docs/terraform.md.
//!
//! In: a stack's files. Out: nothing, or a refusal with the lines to write. It is checked before `init`, and by `release`
//! before anything is published.

use super::contract::UNPUBLISHED;
use super::sources::StackSources;
use crate::failure::{Failure, Result};
use crate::name::StackName;

/// Refuses a stack without an S3 backend, or one that runs functions without the variable `releases`, the output `functions`
/// or a function that publishes versions.
pub(crate) fn check_files_contract(
    sources: &StackSources,
    stack: &StackName,
    runs_functions: bool,
) -> Result<()> {
    let refused = |message: String, hint: String| {
        Err(Failure::usage(message).unchanged("Nothing was changed.").hint(hint))
    };
    let folder = &sources.folder;
    let backend = format!("write into {folder}/terraform.tf: terraform {{ backend \"s3\" {{}} }}");
    if let Some(other) = sources.backends.iter().find(|backend| *backend != "s3") {
        let message = format!("the stack `{stack}` keeps its state in `{other}`, which Slipway cannot read");
        return refused(message, backend);
    }
    if sources.backends.is_empty() {
        let message = format!(
            "the stack `{stack}` has no backend \"s3\": its state would be a file that the next run does not have"
        );
        return refused(message, backend);
    }
    if !runs_functions {
        return Ok(());
    }
    if !sources.variables.contains_key("releases") {
        let message = format!("the stack `{stack}` runs functions and declares no variable `releases`");
        return refused(
            message,
            format!(
                "copy it into {folder}/variables.tf from https://github.com/slipway/slipway/blob/main/docs/terraform.md#what-a-stack-must-provide"
            ),
        );
    }
    if !sources.outputs.contains("functions") {
        let message = format!("the stack `{stack}` runs functions and has no output `functions`");
        let hint = format!(
            "write into {folder}/outputs.tf: output \"functions\" {{ value = {{ <function> = {{ function_name, alias, version, code_sha256 }} }} }}"
        );
        return refused(message, hint);
    }
    if let Some(unpublished) = &sources.unpublished {
        let message = format!(
            "{} publishes no version, so `{UNPUBLISHED}` would serve before anything is tried",
            unpublished.resource
        );
        return refused(message, unpublished.line.clone());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::sources::Unpublished;
    use super::*;

    /// Returns the message and hint of the refusal of a stack that runs functions.
    fn refusal(sources: &StackSources) -> String {
        let report = check_files_contract(sources, &"web".parse().unwrap(), true).unwrap_err().report();
        format!("{} | {}", report.message, report.hint.unwrap_or_default())
    }

    #[test]
    fn each_missing_part_is_named_with_the_line_to_write() {
        let mut sources = StackSources::sample("terraform/stacks/web");
        assert!(refusal(&sources).starts_with("the stack `web` has no backend \"s3\""));
        assert!(
            refusal(&sources).ends_with("terraform/stacks/web/terraform.tf: terraform { backend \"s3\" {} }")
        );
        sources.backends.insert("local".into());
        assert!(refusal(&sources).starts_with("the stack `web` keeps its state in `local`"));
        sources.backends = ["s3".to_owned()].into();
        assert!(check_files_contract(&sources, &"web".parse().unwrap(), false).is_ok());
        assert!(refusal(&sources).contains(
            "no variable `releases` | copy it into terraform/stacks/web/variables.tf from https://"
        ));
        sources.variables.insert("releases".into(), Default::default());
        assert!(
            refusal(&sources).contains("no output `functions` | write into terraform/stacks/web/outputs.tf")
        );
        sources.outputs.insert("functions".into());
        assert!(check_files_contract(&sources, &"web".parse().unwrap(), true).is_ok());
        let (resource, line) = ("main.tf: this".to_owned(), "write in it: publish = true".to_owned());
        sources.unpublished = Some(Unpublished { resource, line });
        assert_eq!(
            refusal(&sources),
            "main.tf: this publishes no version, so `$LATEST` would serve before anything is tried | write in it: publish = true"
        );
        assert!(check_files_contract(&sources, &"web".parse().unwrap(), false).is_ok());
    }
}
