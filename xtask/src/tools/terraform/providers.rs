//! Failures of `init` that a stack's lock file of providers explains, with the command that repairs it.
//!
//! Texts of Terraform 1.10 to 1.15. Facts: docs/terraform.md#lock-files.

use crate::exec::{Program, ProgramResult, exit_failure};
use crate::failure::Failure;
use crate::plan::Configuration;

/// The platform that CI and most teams run on besides their own.
const PLATFORM: &str = "linux_amd64";

/// Returns the failure of an `init` that stopped at the project's lock file; `text` is all that it printed.
pub(super) fn lock_file_failure(
    program: &Program,
    ended: &ProgramResult,
    text: &str,
    configuration: &Configuration,
) -> Option<Failure> {
    configuration.project.as_ref()?;
    let (folder, path) = (&configuration.sources.folder, configuration.sources.lock_path());
    // Terraform breaks its lines at 78 characters.
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let write = |options: &str| format!("run terraform -chdir={folder} {options}, and commit {path}");
    if words.contains("Provider dependency changes detected") {
        let message = format!(
            "{path} lacks a provider that the stack `{}` requires, and {} may not complete it",
            configuration.context.stack, configuration.context.environment
        );
        return Some(
            Failure::refused(message)
                .body(ended.tail.join("\n"))
                .unchanged("Nothing was changed.")
                .hint(write("init -backend=false")),
        );
    }
    let hint = if words.contains("does not match configured version constraint") {
        write("init -backend=false -upgrade")
    } else if words.contains("checksums recorded in the dependency lock file")
        || words.contains("checksums previously recorded in the dependency lock file")
    {
        write(&format!("providers lock -platform={PLATFORM} (and each other platform that runs it)"))
    } else {
        return None;
    };
    Some(exit_failure(program, ended).unchanged("Nothing was changed.").hint(hint))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::plan::ProviderLock;
    use crate::tools::terraform::commands;
    use crate::tools::terraform::errors::explain;
    use crate::tools::terraform::stream::TerraformReport;

    /// Returns message and hint of the failure of an `init` that printed this.
    fn failure(output: &str, of_project: bool) -> String {
        let mut configuration = commands::tests::configuration(ProviderLock::Required);
        configuration.project = of_project.then(|| "/p".into());
        let ended = ProgramResult {
            code: Some(1),
            timed_out: false,
            interrupted: false,
            took: Duration::ZERO,
            tail: output.lines().map(str::to_owned).collect(),
        };
        let program = Program::new("terraform", "/p").arg("init");
        let report = explain(&program, &ended, &TerraformReport::default(), &configuration).report();
        assert!(report.body.is_some_and(|body| body.contains("Error: ")));
        format!("{:?} {} | {}", report.kind, report.message, report.hint.unwrap_or_default())
    }

    #[test]
    fn lock_file_that_stops_init_is_named_with_the_command_that_repairs_it() {
        // Terraform 1.11.
        let lacks = "Error: Provider dependency changes detected\n\nChanges to the required provider dependencies were detected, but the lock\nfile is read-only. To use and record these requirements, run \"terraform init\"\nwithout the \"-lockfile=readonly\" flag.";
        let other = "Error: Failed to query available provider packages\n\nCould not retrieve the list of available versions for provider hashicorp/aws:\nlocked provider registry.terraform.io/hashicorp/aws 5.100.0 does not match\nconfigured version constraint ~> 4.0; must use terraform init -upgrade to\nallow selection of new versions";
        let platform = "Error: Failed to install provider\n\nError while installing hashicorp/aws v5.100.0: the local package for\nregistry.terraform.io/hashicorp/aws 5.100.0 doesn't match any of the\nchecksums previously recorded in the dependency lock file (this might be\nbecause the available checksums are for packages targeting different\nplatforms)";
        insta::assert_snapshot!(
            [lacks, other, platform].map(|output| failure(output, true)).join("\n"),
            @r"
        Refused terraform/stacks/hello/.terraform.lock.hcl lacks a provider that the stack `hello` requires, and dev may not complete it | run terraform -chdir=terraform/stacks/hello init -backend=false, and commit terraform/stacks/hello/.terraform.lock.hcl
        Failed `terraform init` exited with 1 | run terraform -chdir=terraform/stacks/hello init -backend=false -upgrade, and commit terraform/stacks/hello/.terraform.lock.hcl
        Failed `terraform init` exited with 1 | run terraform -chdir=terraform/stacks/hello providers lock -platform=linux_amd64 (and each other platform that runs it), and commit terraform/stacks/hello/.terraform.lock.hcl
        "
        );
        for (output, of_project) in [(lacks, false), ("Error: Failed to install provider", true)] {
            assert_eq!(failure(output, of_project), "Failed `terraform init` exited with 1 | ");
        }
    }
}
