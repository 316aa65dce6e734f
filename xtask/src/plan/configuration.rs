//! Terraform's inputs: the root module's folder, the var-files that Slipway writes, the backend, the environment.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::inputs::StackInputs;
use super::lock::WorkLock;
use super::sources::StackSources;
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
    /// Whether `init` may not change the lock file.
    pub(crate) readonly_lock: bool,
    /// How long to wait for the state's lock.
    pub(crate) lock_timeout: Duration,
}

/// One stack in one environment with the releases it is to run, ready to be planned.
#[derive(Debug, Clone)]
pub(crate) struct Configuration {
    /// What does not depend on the releases.
    pub(crate) context: Arc<PlanContext>,
    /// The root module's folder.
    pub(crate) folder: PathBuf,
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
}

impl Configuration {
    /// Reads the module's files again: `init` completes lock files.
    pub(crate) fn read_again(&self) -> Result<StackSources> {
        let terraform = self.folder.ancestors().skip(1).find(|folder| folder.ends_with("terraform"));
        let root = terraform.and_then(Path::parent).unwrap_or(&self.folder);
        let folder = self.folder.strip_prefix(root).unwrap_or(&self.folder);
        StackSources::read_root(root, folder, None)
    }
}

/// How many times the provider and the backend try a call to an emulator.
pub(super) const EMULATOR_ATTEMPTS: u32 = 3;

/// Where the state is kept.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Backend {
    /// The bucket.
    pub(crate) bucket: String,
    /// What each key begins with.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) prefix: String,
    /// The region.
    pub(crate) region: String,
    /// The account that it must be in.
    pub(crate) account: String,
    /// A DynamoDB table that locks besides the lock file.
    pub(crate) lock_table: Option<String>,
    /// The address of an emulator.
    pub(crate) endpoint: Option<String>,
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

/// Reads a stack's files below `root` and writes the var-file and the backend file for it.
///
/// `root` is the project, or an unpacked copy of the files that are applied.
pub(crate) fn prepare(
    context: &Arc<PlanContext>,
    root: &Path,
    releases: &BTreeMap<FunctionName, ReleaseInput>,
    inputs: StackInputs,
    lock: &WorkLock,
) -> Result<Configuration> {
    let PlanContext { stack, environment, project, work, backend, .. } = context.as_ref();
    let sources = StackSources::read(root, stack, environment)?;
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
    if sources.variables.contains("releases") {
        values.insert("releases", serde_json::to_value(releases).map_err(json)?);
    } else if !releases.is_empty() {
        return Err(Failure::usage(format!(
            "the stack `{stack}` runs functions and declares no variable `releases`"
        ))
        .hint("copy it from docs/terraform.md into terraform/stacks/<stack>/variables.tf"));
    }
    if sources.variables.contains("environment") {
        values.insert("environment", serde_json::to_value(environment_input).map_err(json)?);
    }
    for (variable, input) in &inputs {
        if !sources.variables.contains(variable) {
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
    let values_file = format!("terraform/environments/{environment}/{stack}.tfvars");
    let tfvars = root.join(&values_file);
    if let Some(text) = sources.files.get(&values_file) {
        check_values(&values_file, text, stack, &sources.variables)?;
    }
    let var_files = tfvars.is_file().then_some(tfvars).into_iter().chain([var_file]).collect();
    let folder = root.join("terraform/stacks").join(stack.as_str());
    Ok(Configuration {
        context: context.clone(),
        folder,
        var_files,
        backend_file,
        sources,
        inputs,
        lock: lock.clone(),
    })
}

/// Refuses a value for a variable that the stack does not declare. Terraform only warns.
pub(super) fn check_values(
    file: &str,
    text: &[u8],
    stack: &StackName,
    declared: &BTreeSet<String>,
) -> Result<()> {
    let body: hcl::Body = hcl::parse(&String::from_utf8_lossy(text)).map_err(|error| {
        Failure::usage(format!("{file} cannot be read")).caused_by(error).unchanged("Nothing was changed.")
    })?;
    match body.attributes().map(|attribute| attribute.key()).find(|key| !declared.contains(*key)) {
        None => Ok(()),
        Some(key) => {
            let near = nearest(key, declared.iter().map(String::as_str), 5).join(", ");
            Err(Failure::usage(format!("{file}: the stack `{stack}` declares no variable `{key}`"))
                .unchanged("Nothing was changed.")
                .hint(format!("variables there: {near}")))
        }
    }
}

/// Writes the S3 backend's settings: <https://developer.hashicorp.com/terraform/language/backend/s3>.
pub(super) fn backend_text(stack: &StackName, backend: &Backend) -> String {
    let mut text = format!(
        "bucket = {:?}\nkey = \"{}{stack}.tfstate\"\nregion = {:?}\nuse_lockfile = true\nallowed_account_ids = [{:?}]\n",
        backend.bucket, backend.prefix, backend.region, backend.account
    );
    if let Some(table) = &backend.lock_table {
        text.push_str(&format!("dynamodb_table = {table:?}\n"));
    }
    if let Some(endpoint) = &backend.endpoint {
        let services: Vec<String> = ["s3", "sts", "iam", "dynamodb"]
            .iter()
            .map(|service| format!("  {service} = {endpoint:?}\n"))
            .collect();
        text.push_str(&format!(
            "use_path_style = true\nmax_retries = {EMULATOR_ATTEMPTS}\nendpoints = {{\n{}}}\n",
            services.concat()
        ));
    }
    text
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
