//! The variables and files of the user that reach Terraform: those that are taken away, and those that decide a plan.
//!
//! In: the variables of this process. Out: the names to remove from Terraform's environment, and what a plan depends on.
//! Errors: a `TF_VAR_*` that would decide a plan unseen.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::failure::{Failure, Result};
use crate::plan::Configuration;

/// The variables of this process that Terraform and the AWS provider read.
#[derive(Debug, Clone, Default)]
pub(crate) struct TerraformVariables {
    /// `TF_*`, `TERRAFORM_CONFIG` and `AWS_*`.
    variables: BTreeMap<String, String>,
    /// The PATH, which Terraform is found on.
    path: String,
    home: Option<PathBuf>,
}

/// Credentials: they change from run to run, and the account is checked apart.
const CREDENTIALS: [&str; 6] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
];

const VALUE: &str = "TF_VAR_";

impl TerraformVariables {
    /// Takes what Terraform reads from all variables of this process.
    pub(crate) fn of<'a>(process: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let all: BTreeMap<&str, &str> = process.into_iter().collect();
        let is_read =
            |name: &str| name.starts_with("TF_") || name.starts_with("AWS_") || name == "TERRAFORM_CONFIG";
        let read = all.iter().filter(|(name, _)| is_read(name));
        Self {
            variables: read.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            path: all.get("PATH").map(|path| (*path).to_owned()).unwrap_or_default(),
            home: all.get("HOME").map(PathBuf::from),
        }
    }

    /// Returns the PATH.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Returns the names of the variables that Terraform is not given.
    ///
    /// They would change the arguments or the workspace, or set values that no file holds. Two kinds of `TF_VAR_*` stay:
    /// for an ephemeral variable, whose value is in no plan and no state; and for one that has no other value, which only a
    /// configuration of an earlier version can have.
    pub(super) fn removed(&self, configuration: &Configuration) -> Vec<&str> {
        let names = self.variables.keys().map(String::as_str);
        names.filter(|name| self.is_removed(name, configuration)).collect()
    }

    fn is_removed(&self, name: &str, configuration: &Configuration) -> bool {
        if let Some(variable) = name.strip_prefix(VALUE) {
            let sources = &configuration.sources;
            let given = sources.given_values().unwrap_or_default();
            let is_needed = |has_default: bool| {
                configuration.project.is_none() && !has_default && !given.contains(variable)
            };
            return !sources
                .variables
                .get(variable)
                .is_some_and(|declared| declared.ephemeral || is_needed(declared.has_default));
        }
        name.starts_with("TF_CLI_ARGS") || matches!(name, "TF_WORKSPACE" | "TF_DATA_DIR")
    }

    /// Refuses a `TF_VAR_*` that would decide a plan of the project's files.
    pub(super) fn refuse_values(&self, configuration: &Configuration) -> Result<()> {
        if configuration.project.is_none() {
            return Ok(());
        }
        let sources = &configuration.sources;
        let values = self.variables.keys().filter_map(|name| name.strip_prefix(VALUE));
        for name in values {
            let decides = sources.variables.get(name).is_some_and(|variable| !variable.ephemeral)
                && !sources.given_values()?.contains(name)
                // Slipway gives these by its own var-file.
                && !configuration.inputs.contains_key(name)
                && !matches!(name, "releases" | "environment");
            if decides {
                let (stack, environment) = (&configuration.context.stack, &configuration.context.environment);
                return Err(Failure::usage(format!(
                    "{VALUE}{name} is set, and a rollback could not have that value: `{stack}` takes values from files"
                ))
                .unchanged("Nothing was changed.")
                .hint(format!(
                    "write `{name}` into terraform/environments/{environment}/{stack}.tfvars and unset {VALUE}{name}; for a secret, declare the variable with ephemeral = true"
                )));
            }
        }
        Ok(())
    }

    /// Returns what decides a plan or an `init` besides files: the variables that reach Terraform, without credentials, and
    /// the content of the user's configuration files.
    pub(super) fn identity(&self, configuration: &Configuration) -> Vec<(String, String)> {
        let mut reaching = self.variables.clone();
        self.removed(configuration).into_iter().for_each(|name| {
            reaching.remove(name);
        });
        for (name, value) in &configuration.context.variables {
            if name.starts_with("AWS_") || name.starts_with("TF_") {
                reaching.insert(name.clone(), value.clone());
            }
        }
        reaching.retain(|name, value| {
            let is_credential = CREDENTIALS.contains(&name.as_str()) || name.starts_with(VALUE);
            !is_credential && !value.is_empty()
        });
        let mut files: Vec<(&str, PathBuf)> = Vec::new();
        let cli = ["TF_CLI_CONFIG_FILE", "TERRAFORM_CONFIG"].iter().find_map(|name| reaching.get(*name));
        let home = |name: &str| self.home.as_ref().map(|home| home.join(name));
        // https://developer.hashicorp.com/terraform/cli/config/config-file#locations
        files.extend(
            cli.map(PathBuf::from).or_else(|| home(".terraformrc")).map(|file| ("cli configuration", file)),
        );
        let others = home(".terraform.d").into_iter().flat_map(|folder| files_in(&folder));
        let is_configuration = |file: &PathBuf| {
            let name = file.to_string_lossy();
            name.ends_with(".tfrc") || name.ends_with(".tfrc.json")
        };
        files.extend(others.filter(is_configuration).map(|file| ("cli configuration", file)));
        let aws = reaching.get("AWS_CONFIG_FILE").map(PathBuf::from).or_else(|| home(".aws/config"));
        files.extend(aws.map(|file| ("aws configuration", file)));
        let contents = files
            .into_iter()
            .filter_map(|(what, file)| Some((what.to_owned(), Digest::of(std::fs::read(&file).ok()?).hex())));
        let contents: Vec<(String, String)> = contents.collect();
        reaching.into_iter().chain(contents).collect()
    }
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        folder.read_dir().into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::FailureKind;
    use crate::plan::{ProviderLock, SourceFile, Variable};
    use crate::tools::terraform::commands::tests::configuration;

    fn variables(set: &[(&str, &str)]) -> TerraformVariables {
        TerraformVariables::of(set.iter().copied())
    }

    /// A configuration of the project's files that declares some variables; `given` has a value in a file.
    fn declaring(ephemeral: &str, open: &str, given: &str) -> Configuration {
        let mut configuration = configuration(ProviderLock::Completed);
        configuration.project = Some("/p".into());
        let sources = &mut configuration.sources;
        sources.variables.insert(ephemeral.into(), Variable { ephemeral: true, has_default: true });
        sources.variables.insert(open.into(), Variable { ephemeral: false, has_default: false });
        sources.variables.insert(given.into(), Variable { ephemeral: false, has_default: true });
        let content = format!("{given} = 1\n").into_bytes();
        sources.files.insert("e/s.tfvars".into(), SourceFile { content, executable: false });
        sources.values.push("e/s.tfvars".into());
        configuration
    }

    #[test]
    fn variables_that_change_the_arguments_are_removed() {
        let set = variables(&[
            ("TF_CLI_ARGS", "x"),
            ("TF_CLI_ARGS_plan", "-destroy"),
            ("TF_CLI_ARGS_state_push", "-force"),
            ("TF_WORKSPACE", "x"),
            ("TF_DATA_DIR", "x"),
            ("TF_LOG", "debug"),
            ("TF_PLUGIN_CACHE_DIR", "x"),
            ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9"),
        ]);
        let removed = set.removed(&configuration(ProviderLock::Completed));
        assert_eq!(
            removed,
            ["TF_CLI_ARGS", "TF_CLI_ARGS_plan", "TF_CLI_ARGS_state_push", "TF_DATA_DIR", "TF_WORKSPACE"]
        );
    }

    #[test]
    fn value_that_no_file_holds_is_refused_by_its_name_unless_it_is_ephemeral() {
        let mut project = declaring("secret", "open", "given");
        let set = |name: &str| variables(&[(name, "x")]);
        let failure = set("TF_VAR_open").refuse_values(&project).unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Usage);
        assert!(failure.message().starts_with("TF_VAR_open is set"), "{failure}");
        for name in ["TF_VAR_secret", "TF_VAR_given", "TF_VAR_of_another_stack"] {
            assert!(set(name).refuse_values(&project).is_ok(), "{name}");
        }
        assert_eq!(set("TF_VAR_secret").removed(&project), Vec::<&str>::new());
        for name in ["TF_VAR_open", "TF_VAR_given", "TF_VAR_of_another_stack"] {
            assert_eq!(set(name).removed(&project), [name]);
        }
        // An applied configuration that has no value for it took it from the variable, in an earlier version.
        project.project = None;
        assert!(set("TF_VAR_open").refuse_values(&project).is_ok());
        assert_eq!(set("TF_VAR_open").removed(&project), Vec::<&str>::new());
        assert_eq!(set("TF_VAR_given").removed(&project), ["TF_VAR_given"]);
    }

    #[test]
    fn identity_has_what_reaches_terraform_and_no_credentials() {
        let home = tempfile::tempdir().unwrap();
        let home_path = home.path().to_str().unwrap();
        let of = |set: &[(&str, &str)]| {
            let set: Vec<(&str, &str)> = set.iter().copied().chain([("HOME", home_path)]).collect();
            variables(&set).identity(&configuration(ProviderLock::Completed))
        };
        let before = of(&[]);
        for (name, value) in [
            ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9"),
            ("AWS_USE_FIPS_ENDPOINT", "true"),
            ("AWS_PROFILE", "x"),
            ("TF_LOG", "debug"),
        ] {
            assert_ne!(of(&[(name, value)]), before, "{name}");
        }
        for name in ["AWS_SESSION_TOKEN", "AWS_SECRET_ACCESS_KEY", "TF_CLI_ARGS_plan", "TF_VAR_x"] {
            assert_eq!(of(&[(name, "x")]), before, "{name}");
        }
        // What Slipway sets is what reaches Terraform.
        assert_eq!(of(&[("AWS_REGION", "us-east-1")]), before);
        for path in [".terraformrc", ".terraform.d/a.tfrc", ".aws/config"] {
            let file = home.path().join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            let before = of(&[]);
            std::fs::write(&file, "changed").unwrap();
            assert_ne!(of(&[]), before, "{path}");
        }
    }
}
