//! A function's configuration, and a digest of the settings that decide how its code runs.
//!
//! In: Lambda's response. Out: a [`FunctionConfiguration`]. Members that Lambda leaves out get their default, so that
//! the same configuration has the same digest wherever it was read. `Debug` output has no values of environment
//! variables.

use std::collections::BTreeMap;
use std::fmt;

use aws_sdk_lambda::operation::get_function_configuration::GetFunctionConfigurationOutput;
use aws_sdk_lambda::types;
use serde_json::{Value, json};
use slipway_values::digest::Digest;

/// The configuration of a function or of one of its versions.
#[derive(Clone, PartialEq, Eq)]
pub struct FunctionConfiguration {
    /// The function's name.
    pub function_name: String,
    /// Its ARN, with the requested qualifier.
    pub arn: String,
    /// The version's number, or `$LATEST`.
    pub version: String,
    /// The code's digest: base64 SHA-256 of a zip, hex SHA-256 of an image's manifest.
    pub code_sha256: String,
    /// Lambda's runtime identifier, `python3.13`; images have none.
    pub runtime: Option<String>,
    /// The handler in the code; images have none.
    pub handler: Option<String>,
    /// `Zip` or `Image`.
    pub package_type: String,
    /// `x86_64` or `arm64`.
    pub architecture: String,
    /// In MiB.
    pub memory_mb: u32,
    /// In seconds.
    pub timeout_s: u32,
    /// The execution role's ARN.
    pub role: String,
    /// The environment variables.
    pub environment: BTreeMap<String, String>,
    /// Why the variables cannot be read: the caller may not use their key. They are empty then.
    pub environment_unreadable: Option<String>,
    /// The layers' ARNs with versions, in order.
    pub layers: Vec<String>,
    /// The size of `/tmp` in MiB.
    pub ephemeral_storage_mb: u32,
    /// The subnets it is attached to, sorted.
    pub subnets: Vec<String>,
    /// Their security groups, sorted.
    pub security_groups: Vec<String>,
    /// File systems, as `<arn> <mount path>`, sorted.
    pub file_systems: Vec<String>,
    /// `Active` or `PassThrough`.
    pub tracing: String,
    /// The queue's or topic's ARN.
    pub dead_letter: Option<String>,
    /// The customer's key that the environment variables are encrypted with.
    pub kms_key: Option<String>,
    /// Settings that override the image's own configuration.
    pub image_config: Option<ImageConfiguration>,
    /// `PublishedVersions` where SnapStart is on.
    pub snap_start: Option<String>,
    /// Log group, format and levels.
    pub logging: Logging,
    /// `Active`, `Pending`, `Inactive` or `Failed`.
    pub state: Option<String>,
    /// Why it is in that state.
    pub state_reason: Option<String>,
    /// `Successful`, `InProgress` or `Failed`.
    pub last_update_status: Option<String>,
    /// Why the last update has that status.
    pub last_update_reason: Option<String>,
    /// The time of the last change, as Lambda writes it.
    pub last_modified: Option<String>,
    /// Changes whenever the function does.
    pub revision_id: Option<String>,
}

/// Settings that override an image's own configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageConfiguration {
    /// Replaces ENTRYPOINT.
    pub entry_point: Vec<String>,
    /// Replaces CMD.
    pub command: Vec<String>,
    /// Replaces WORKDIR.
    pub working_directory: Option<String>,
}

/// A function's log settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logging {
    /// The log group, where Lambda's response has it.
    pub group: Option<String>,
    /// `Text` or `JSON`.
    pub format: String,
    /// The minimum level of the function's own lines; only with `JSON`.
    pub application_level: Option<String>,
    /// The minimum level of Lambda's lines; only with `JSON`.
    pub system_level: Option<String>,
}

impl FunctionConfiguration {
    /// Hashes the settings that decide how the code runs. The same settings always have the same digest.
    ///
    /// Included: runtime, handler, package type, architecture, memory, time limit, role, environment variables (their
    /// values only as SHA-256), layers in order, size of `/tmp`, subnets, security groups, file systems, tracing,
    /// dead-letter target, KMS key, image configuration, SnapStart, log group, format and levels. Left out: the code's
    /// digest, which is compared by itself; name, ARN, version, description, states, dates and revision.
    pub fn digest(&self) -> Digest {
        let environment: BTreeMap<_, _> =
            self.environment.iter().map(|(name, value)| (name.as_str(), Digest::of(value).hex())).collect();
        let image = self
            .image_config
            .as_ref()
            .map(|image| json!([image.entry_point, image.command, image.working_directory]));
        let Logging { group, format, application_level, system_level } = &self.logging;
        // Sorted by name, and without objects inside: serde_json's order of members depends on its features.
        let parts: BTreeMap<&str, Value> = BTreeMap::from([
            ("schema", json!("slipway.function-configuration/1")),
            ("runtime", json!(self.runtime)),
            ("handler", json!(self.handler)),
            ("package_type", json!(self.package_type)),
            ("architecture", json!(self.architecture)),
            ("memory_mb", json!(self.memory_mb)),
            ("timeout_s", json!(self.timeout_s)),
            ("role", json!(self.role)),
            ("environment", json!(environment.into_iter().collect::<Vec<_>>())),
            ("environment_unreadable", json!(self.environment_unreadable.is_some())),
            ("layers", json!(self.layers)),
            ("ephemeral_storage_mb", json!(self.ephemeral_storage_mb)),
            ("subnets", json!(self.subnets)),
            ("security_groups", json!(self.security_groups)),
            ("file_systems", json!(self.file_systems)),
            ("tracing", json!(self.tracing)),
            ("dead_letter", json!(self.dead_letter)),
            ("kms_key", json!(self.kms_key)),
            ("image", json!(image)),
            ("snap_start", json!(self.snap_start)),
            ("logging", json!([group, format, application_level, system_level])),
        ]);
        let mut text = String::new();
        for (name, value) in &parts {
            text.push_str(&format!("{name}={value}\n"));
        }
        Digest::of(text)
    }
}

impl fmt::Debug for FunctionConfiguration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FunctionConfiguration")
            .field("arn", &self.arn)
            .field("version", &self.version)
            .field("code_sha256", &self.code_sha256)
            .field("runtime", &self.runtime)
            .field("handler", &self.handler)
            .field("architecture", &self.architecture)
            .field("memory_mb", &self.memory_mb)
            .field("timeout_s", &self.timeout_s)
            .field("environment", &self.environment.keys())
            .field("state", &self.state)
            .field("last_update_status", &self.last_update_status)
            .field("revision_id", &self.revision_id)
            .finish_non_exhaustive()
    }
}

/// The two response types have the same members.
macro_rules! from_response {
    ($response:ty) => {
        impl From<$response> for FunctionConfiguration {
            fn from(response: $response) -> Self {
                let environment = response.environment;
                let unreadable = environment.as_ref().and_then(|found| found.error.as_ref());
                let vpc = response.vpc_config;
                let layers = response.layers.into_iter().flatten();
                let systems = response.file_system_configs.into_iter().flatten();
                Self {
                    function_name: response.function_name.unwrap_or_default(),
                    arn: response.function_arn.unwrap_or_default(),
                    version: response.version.unwrap_or_default(),
                    code_sha256: response.code_sha256.unwrap_or_default(),
                    runtime: non_empty(response.runtime.as_ref().map(types::Runtime::as_str)),
                    handler: non_empty(response.handler.as_deref()),
                    package_type: response.package_type.map_or("Zip".into(), |kind| kind.as_str().into()),
                    architecture: response
                        .architectures
                        .and_then(|all| all.first().map(|one| one.as_str().to_owned()))
                        .unwrap_or_else(|| "x86_64".to_owned()),
                    memory_mb: response.memory_size.map_or(128, i32::unsigned_abs),
                    timeout_s: response.timeout.map_or(3, i32::unsigned_abs),
                    role: response.role.unwrap_or_default(),
                    environment_unreadable: unreadable
                        .map(|error| error.message.clone().unwrap_or_else(|| "no reason given".into())),
                    environment: environment
                        .and_then(|found| found.variables)
                        .map(|variables| variables.into_iter().collect())
                        .unwrap_or_default(),
                    layers: layers.filter_map(|layer| layer.arn).collect(),
                    ephemeral_storage_mb: response
                        .ephemeral_storage
                        .map_or(512, |size| size.size.unsigned_abs()),
                    subnets: sorted(vpc.as_ref().and_then(|vpc| vpc.subnet_ids.clone())),
                    security_groups: sorted(vpc.and_then(|vpc| vpc.security_group_ids)),
                    file_systems: sorted(Some(
                        systems.map(|system| format!("{} {}", system.arn, system.local_mount_path)).collect(),
                    )),
                    tracing: response
                        .tracing_config
                        .and_then(|tracing| tracing.mode)
                        .map_or("PassThrough".into(), |mode| mode.as_str().into()),
                    dead_letter: non_empty(
                        response.dead_letter_config.and_then(|dead| dead.target_arn).as_deref(),
                    ),
                    kms_key: non_empty(response.kms_key_arn.as_deref()),
                    image_config: response
                        .image_config_response
                        .and_then(|image| image.image_config)
                        .and_then(image),
                    snap_start: response
                        .snap_start
                        .and_then(|snap| snap.apply_on)
                        .filter(|on| *on != types::SnapStartApplyOn::None)
                        .map(|on| on.as_str().to_owned()),
                    logging: logging(response.logging_config),
                    state: response.state.map(|state| state.as_str().to_owned()),
                    state_reason: response.state_reason,
                    last_update_status: response.last_update_status.map(|status| status.as_str().to_owned()),
                    last_update_reason: response.last_update_status_reason,
                    last_modified: response.last_modified,
                    revision_id: response.revision_id,
                }
            }
        }
    };
}

from_response!(GetFunctionConfigurationOutput);
from_response!(types::FunctionConfiguration);

/// Lambda writes some absent values as empty texts.
fn non_empty(text: Option<&str>) -> Option<String> {
    text.filter(|text| !text.is_empty()).map(str::to_owned)
}

fn sorted(list: Option<Vec<String>>) -> Vec<String> {
    let mut list = list.unwrap_or_default();
    list.sort();
    list
}

fn image(found: types::ImageConfig) -> Option<ImageConfiguration> {
    let image = ImageConfiguration {
        entry_point: found.entry_point.unwrap_or_default(),
        command: found.command.unwrap_or_default(),
        working_directory: non_empty(found.working_directory.as_deref()),
    };
    (image != ImageConfiguration::default()).then_some(image)
}

fn logging(found: Option<types::LoggingConfig>) -> Logging {
    let format = found.as_ref().and_then(|logging| logging.log_format.as_ref());
    let format = format.map_or("Text", types::LogFormat::as_str).to_owned();
    let found = found.as_ref();
    let application = found.and_then(|logging| logging.application_log_level.as_ref());
    let system = found.and_then(|logging| logging.system_log_level.as_ref());
    Logging {
        group: non_empty(found.and_then(|logging| logging.log_group.as_deref())),
        format,
        application_level: application.map(|level| level.as_str().to_owned()),
        system_level: system.map(|level| level.as_str().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(change: impl FnOnce(&mut GetFunctionConfigurationOutput)) -> FunctionConfiguration {
        let mut response = GetFunctionConfigurationOutput::builder()
            .function_name("hello")
            .runtime(types::Runtime::from("python3.13"))
            .role("arn:aws:iam::123456789012:role/hello")
            .environment(
                types::EnvironmentResponse::builder().variables("A", "1").variables("B", "hush").build(),
            )
            .build();
        change(&mut response);
        response.into()
    }

    #[test]
    fn configuration_digest_is_the_same_in_every_run() {
        let digest = read(|_| {}).digest().hex();
        assert_eq!(digest, "c6926c323f1c578f9184df6e6b9ff2fdc0637a295a6d6aa0970401a872455d30");
    }

    #[test]
    fn configuration_digest_changes_only_with_what_decides_how_code_runs() {
        let digest = read(|_| {}).digest();
        let ignored: [fn(&mut GetFunctionConfigurationOutput); 5] = [
            |response| response.version = Some("7".into()),
            |response| response.description = Some("other".into()),
            |response| response.revision_id = Some("r".into()),
            |response| response.state = Some(types::State::Inactive),
            // An explicit default is not a change.
            |response| {
                response.architectures = Some(vec![types::Architecture::X8664]);
                response.memory_size = Some(128);
                response.vpc_config = Some(types::VpcConfigResponse::builder().build());
            },
        ];
        for change in ignored {
            assert_eq!(read(change).digest(), digest);
        }
        let followed: [fn(&mut GetFunctionConfigurationOutput); 6] = [
            |response| response.memory_size = Some(256),
            |response| response.timeout = Some(4),
            |response| response.handler = Some("app.handle".into()),
            |response| response.role = None,
            |response| response.environment = None,
            |response| {
                let changed = types::EnvironmentResponse::builder().variables("A", "1").variables("B", "x");
                response.environment = Some(changed.build());
            },
        ];
        for change in followed {
            assert_ne!(read(change).digest(), digest);
        }
    }

    #[test]
    fn debug_output_has_no_values_of_variables() {
        let text = format!("{:?}", read(|_| {}));
        assert!(text.contains("\"B\"") && !text.contains("hush"), "{text}");
    }
}
