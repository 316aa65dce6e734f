//! Terraform's inputs: the copy of the stack's files, the var-files that Slipway writes, the backend, the environment.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::backend::{Backend, EMULATOR_ATTEMPTS, backend_text};
use super::inputs::StackInputs;
use super::lock::WorkLock;
use super::provider_lock::ProviderLock;
use super::sources::{SourceFile, StackSources, Variable, value_names};
use super::working_copy::{self, PackedSources};
use crate::architecture::Architecture;
use crate::failure::{self, Failure, Result};
use crate::name::{EnvironmentName, FunctionName, StackName, nearest};
use crate::release::Manifest;
use crate::runtime::Runtime;
use crate::settings::PackageType;

/// What planning one stack in one environment needs, whichever releases it is to run.
#[derive(Debug)]
pub(crate) struct PlanContext {
    /// The stack.
    pub(crate) stack: StackName,
    /// The environment.
    pub(crate) environment: EnvironmentName,
    /// The project's name.
    pub(crate) project: String,
    /// Slipway's own folder for this stack and environment: data, plan, var-file, backend file.
    pub(crate) work: PathBuf,
    /// Where the state is kept.
    pub(crate) backend: Backend,
    /// Environment variables that Terraform gets besides those of this process.
    pub(crate) variables: Vec<(String, String)>,
    /// What happens where the lock file of the providers lacks one.
    pub(crate) provider_lock: ProviderLock,
    /// How long to wait for the state's lock.
    pub(crate) lock_timeout: Duration,
}

impl PlanContext {
    /// Returns whether this is `terraform/bootstrap` of an account, and not a stack.
    pub(crate) fn is_account(&self) -> bool {
        self.project.is_empty()
    }
}

/// One stack in one environment with the releases it is to run, ready to be planned.
#[derive(Debug, Clone)]
pub(crate) struct Configuration {
    /// What does not depend on the releases.
    pub(crate) context: Arc<PlanContext>,
    /// The root module's folder, in the copy of the files.
    pub(crate) folder: PathBuf,
    /// The project's folder, where the files are those of the project and not those that were applied before.
    pub(crate) project: Option<PathBuf>,
    /// Var-files in order of precedence, lowest first.
    pub(crate) var_files: Vec<PathBuf>,
    /// The file with the backend's settings.
    pub(crate) backend_file: PathBuf,
    /// The files, read.
    pub(crate) sources: StackSources,
    /// Values from other stacks.
    pub(crate) inputs: StackInputs,
    /// The lock on the work folder.
    pub(crate) lock: WorkLock,
    /// Whether a plan takes the state's lock. One that only looks does not: it could stop a deployment.
    pub(crate) takes_lock: bool,
}

/// A stack's files in the copy that Terraform works in.
pub(crate) struct StackFiles {
    copy: PathBuf,
    sources: StackSources,
    project: Option<PathBuf>,
}

impl StackFiles {
    /// Brings the copy to the project's files.
    pub(crate) fn of_project(context: &PlanContext, project: &Path, sources: StackSources) -> Result<Self> {
        // A lock file that is not the project's stays in the copy, so that the next run uses the same providers.
        let keep_lock = sources.lock_ignored || context.provider_lock == ProviderLock::Kept;
        let copy = working_copy::of_sources(&sources, &context.work, keep_lock)?;
        Ok(Self { copy, sources, project: Some(project.to_path_buf()) })
    }

    /// Brings the copy to a module that declares the backend and nothing else.
    pub(crate) fn of_backend(context: &PlanContext) -> Result<Self> {
        let sources = StackSources::of_backend(&context.stack);
        let copy = working_copy::of_sources(&sources, &context.work, true)?;
        Ok(Self { copy, sources, project: None })
    }

    /// Takes the files that are in the copy already: those of an applied configuration.
    pub(crate) fn of_copy(context: &PlanContext, copy: &Path) -> Result<Self> {
        let sources = StackSources::of_copy(copy, &context.stack, &context.environment)?;
        Ok(Self { copy: copy.to_path_buf(), sources, project: None })
    }
}

impl PlanContext {
    /// Returns whether an object may be the state of this stack. Buckets have names of their own in all of AWS; another endpoint
    /// proves nothing, since two checkouts reach one emulator through gateways of their own.
    pub(crate) fn is_state_at(&self, bucket: &str, key: &str) -> bool {
        bucket == self.backend.bucket && key == self.backend.state_key(&self.stack)
    }

    /// Returns what Terraform calls this stack's state in a lock table: bucket and key.
    pub(crate) fn lock_path(&self) -> String {
        format!("{}/{}", self.backend.bucket, self.backend.state_key(&self.stack))
    }
}

impl Configuration {
    /// Returns the lock file as it is in the copy: `init` completes it.
    pub(crate) fn lock_file(&self) -> Option<Vec<u8>> {
        std::fs::read(self.folder.join(super::sources::LOCK_FILE)).ok()
    }

    /// Returns the files that Terraform plans with: those that were read, with the lock file as `init` left it.
    pub(crate) fn planned_sources(&self) -> Cow<'_, StackSources> {
        let path = self.sources.lock_path();
        let lock = self.lock_file();
        if self.sources.files.get(&path).map(|file| &file.content) == lock.as_ref() {
            return Cow::Borrowed(&self.sources);
        }
        let mut sources = self.sources.clone();
        match lock {
            Some(content) => sources.files.insert(path, SourceFile { content, executable: false }),
            None => sources.files.remove(&path),
        };
        Cow::Owned(sources)
    }

    /// Returns how to add a file to the stack that Terraform did not find in the copy, by the path in its message.
    pub(crate) fn hint_for_missing(&self, path: &str) -> Option<String> {
        let stack = &self.context.stack;
        let Some(project) = &self.project else {
            return Some(format!(
                "the files that were applied do not have it: deploy the release instead, cargo xtask deploy --env {} --version …",
                self.context.environment
            ));
        };
        let found = project.join(&self.sources.folder).join(path);
        found.exists().then(|| {
            let path = path.trim_start_matches("./");
            format!("the plan sees only files of the stack: add it to terraform/stacks/{stack}/stack.toml, files = [\"{path}\"], unless git ignores it")
        })
    }

    /// Packs the files that Terraform plans with, as they are stored next to the ledger.
    pub(crate) fn pack(&self) -> Result<PackedSources> {
        working_copy::pack(&self.planned_sources(), &self.context.work)
    }
}

/// One element of the variable `releases`: the contract with stacks.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ReleaseInput {
    version: String,
    architecture: Architecture,
    runtime: Runtime,
    handler: String,
    code: ReleaseCode,
}

#[derive(Debug, Clone, Serialize)]
struct ReleaseCode {
    sha256: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    s3: Option<S3Code>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_uri: Option<String>,
}

/// Where an environment's Lambda finds code.
#[derive(Debug, Clone)]
pub(crate) struct CodePlaces {
    /// The bucket of zips.
    pub(crate) bucket: String,
    /// What each key of a zip begins with.
    pub(crate) prefix: String,
    /// The registry of images with the prefix of its repositories, as Lambda knows it.
    pub(crate) registry: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
struct S3Code {
    bucket: String,
    key: String,
}

impl ReleaseInput {
    /// Returns the element for a release whose artifact is in these places.
    pub(crate) fn new(manifest: &Manifest, places: &CodePlaces) -> Self {
        let key = &manifest.artifact.key;
        let (s3, image_uri) = match manifest.package {
            PackageType::Zip => {
                let key = format!("{}{key}", places.prefix);
                (Some(S3Code { bucket: places.bucket.clone(), key }), None)
            }
            PackageType::Image => {
                (None, places.registry.as_ref().map(|registry| format!("{registry}/{key}")))
            }
        };
        Self {
            version: manifest.version.to_string(),
            architecture: manifest.architecture,
            runtime: manifest.runtime.clone(),
            handler: manifest.handler.clone(),
            code: ReleaseCode { sha256: manifest.artifact.code_sha256.clone(), s3, image_uri },
        }
    }
}

/// The variable `environment` of a stack.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct EnvironmentInput {
    name: String,
    project: String,
    account_id: String,
    region: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_retries: Option<u32>,
}

/// Writes the var-file and the backend file for a stack's files.
pub(crate) fn prepare(
    context: &Arc<PlanContext>,
    files: StackFiles,
    releases: &BTreeMap<FunctionName, ReleaseInput>,
    inputs: StackInputs,
    lock: &WorkLock,
) -> Result<Configuration> {
    let PlanContext { stack, environment, project, work, backend, .. } = context.as_ref();
    let StackFiles { copy, sources, project: own } = files;
    std::fs::create_dir_all(work).map_err(|error| failure::io("create", work, error))?;
    let environment_input = EnvironmentInput {
        name: environment.to_string(),
        project: project.clone(),
        account_id: backend.account.clone(),
        region: backend.region.clone(),
        // The emulator answers a call that it does not implement with 500, which the provider would retry for minutes.
        // A lost connection must not fail a plan.
        max_retries: backend.endpoint.is_some().then_some(EMULATOR_ATTEMPTS),
    };
    let mut values: BTreeMap<&str, serde_json::Value> = BTreeMap::new();
    let json =
        |error: serde_json::Error| Failure::defect("the var-file cannot be written as JSON").caused_by(error);
    // Terraform warns on every run about a value for a variable that the stack does not declare.
    if sources.variables.contains_key("releases") {
        values.insert("releases", serde_json::to_value(releases).map_err(json)?);
    }
    if sources.variables.contains_key("environment") {
        values.insert("environment", serde_json::to_value(environment_input).map_err(json)?);
    }
    for (variable, input) in &inputs {
        if !sources.variables.contains_key(variable) {
            return Err(Failure::usage(format!(
                "terraform/stacks/{stack}/stack.toml: [inputs] fills `{variable}`, which the stack does not declare"
            ))
            .unchanged("Nothing was changed.")
            .hint(format!("add variable \"{variable}\" to terraform/stacks/{stack}/variables.tf")));
        }
        values.insert(variable, input.value.clone());
    }
    let var_file = work.join("slipway.tfvars.json");
    write_private(&var_file, &serde_json::to_vec_pretty(&values).map_err(json)?)?;
    let backend_file = work.join("backend.hcl");
    write_private(&backend_file, backend_text(stack, backend).as_bytes())?;
    for path in &sources.values {
        check_values(path, &sources.files[path].content, stack, &sources.variables)?;
    }
    let var_files = sources.values.iter().map(|path| copy.join(path)).chain([var_file]).collect();
    Ok(Configuration {
        context: context.clone(),
        folder: copy.join(&sources.folder),
        project: own,
        var_files,
        backend_file,
        sources,
        inputs,
        lock: lock.clone(),
        takes_lock: true,
    })
}

/// Refuses a value for a variable that the stack does not declare. Terraform only warns.
pub(super) fn check_values(
    file: &str,
    text: &[u8],
    stack: &StackName,
    declared: &BTreeMap<String, Variable>,
) -> Result<()> {
    match value_names(file, text)?.into_iter().find(|key| !declared.contains_key(key)) {
        None => Ok(()),
        Some(key) => {
            // Slipway fills these two.
            let own = |name: &&str| !matches!(*name, "releases" | "environment");
            let near = nearest(&key, declared.keys().map(String::as_str).filter(own), 5).join(", ");
            Err(Failure::usage(format!("{file}: the stack `{stack}` declares no variable `{key}`"))
                .unchanged("Nothing was changed.")
                .hint(if near.is_empty() {
                    "it declares none of its own".to_owned()
                } else {
                    format!("variables there: {near}")
                }))
        }
    }
}

/// Writes a file that only its owner can read.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let write = || {
        let mut file =
            std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(bytes)
    };
    write().map_err(|error| failure::io("write", path, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backend_names_its_account() {
        let backend = Backend {
            bucket: "b".into(),
            prefix: "shop/".into(),
            region: "eu-central-1".into(),
            account: "333333333333".into(),
            lock_table: Some("locks".into()),
            endpoint: None,
        };
        insta::assert_snapshot!(backend_text(&"hello".parse().unwrap(), &backend), @r#"
        bucket = "b"
        key = "shop/hello.tfstate"
        region = "eu-central-1"
        use_lockfile = true
        allowed_account_ids = ["333333333333"]
        dynamodb_table = "locks"
        "#);
    }

    #[test]
    fn release_input_has_the_documented_shape() {
        let manifest = crate::release::sample_manifest("hello", "1.2.3");
        let mut input = serde_json::to_value(ReleaseInput::new(
            &manifest,
            &CodePlaces { bucket: "store".into(), prefix: String::new(), registry: None },
        ))
        .unwrap();
        input["code"]["sha256"] = "[base64]".into();
        input["code"]["s3"]["key"] = "[key]".into();
        insta::assert_json_snapshot!(input, @r#"
        {
          "version": "1.2.3",
          "architecture": "x86_64",
          "runtime": "provided.al2023",
          "handler": "bootstrap",
          "code": {
            "sha256": "[base64]",
            "s3": {
              "bucket": "store",
              "key": "[key]"
            }
          }
        }
        "#);
    }
}
