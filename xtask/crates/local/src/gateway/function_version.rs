//! A function's versions and aliases, as the emulator describes them.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// One version of one function, as the emulator describes it.
#[derive(Debug, Clone)]
pub(crate) struct FunctionVersion {
    pub(super) configuration: Configuration,
    /// The S3 key that the emulator names for the code, if it names one.
    pub(super) emulator_key: Option<String>,
    pub(super) region: String,
    pub(super) account: String,
    /// Differs between configurations, and so between codes.
    pub(super) digest: String,
}

/// A version that a name and qualifier were resolved to.
#[derive(Debug, Clone)]
pub(crate) struct ResolvedFunction {
    pub(crate) configuration: Configuration,
    /// The S3 key that the emulator names for the code, if it names one.
    pub(crate) emulator_key: Option<String>,
    /// The ARN with the qualifier of the request.
    pub(crate) invoked_arn: String,
    pub(crate) region: String,
    /// Differs between configurations, and so between codes.
    pub(crate) digest: String,
}

/// The part of GetFunction's `Configuration` that matters for an invocation.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Configuration {
    pub(crate) function_name: String,
    pub(crate) function_arn: String,
    pub(crate) version: String,
    pub(crate) code_sha256: String,
    #[serde(default)]
    pub(crate) package_type: Option<String>,
    #[serde(default)]
    pub(crate) runtime: Option<String>,
    #[serde(default)]
    pub(crate) handler: Option<String>,
    #[serde(default)]
    pub(crate) role: Option<String>,
    #[serde(default)]
    pub(crate) timeout: Option<u64>,
    #[serde(default)]
    pub(crate) memory_size: Option<u64>,
    #[serde(default)]
    pub(crate) state: Option<String>,
    #[serde(default)]
    pub(crate) layers: Option<Vec<serde_json::Value>>,
    #[serde(default)]
    pub(crate) environment: Option<Environment>,
    #[serde(default)]
    pub(crate) logging_config: Option<LoggingConfig>,
    #[serde(default)]
    image_config_response: Option<ImageConfigResponse>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ImageConfigResponse {
    image_config: ImageConfig,
}

/// The settings with which a function overrides its image's.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct ImageConfig {
    pub(crate) entry_point: Option<Vec<String>>,
    pub(crate) command: Option<Vec<String>>,
    pub(crate) working_directory: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Environment {
    #[serde(default)]
    pub(crate) variables: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct LoggingConfig {
    #[serde(default)]
    pub(crate) log_group: Option<String>,
}

impl Configuration {
    /// Returns the time limit of a call; Lambda's default is 3 seconds.
    pub(crate) fn time_limit(&self) -> Duration {
        Duration::from_secs(self.timeout.unwrap_or(3))
    }

    /// Returns whether the function is an image; otherwise it is a zip.
    pub(crate) fn is_image(&self) -> bool {
        self.package_type.as_deref() == Some("Image")
    }

    /// Returns the overridden settings of the image; empty for a zip.
    pub(crate) fn image_config(&self) -> &ImageConfig {
        static NOTHING: ImageConfig =
            ImageConfig { entry_point: None, command: None, working_directory: None };
        self.image_config_response.as_ref().map_or(&NOTHING, |response| &response.image_config)
    }

    /// Returns the CloudWatch log group.
    pub(crate) fn log_group(&self) -> String {
        let configured = self.logging_config.as_ref().and_then(|config| config.log_group.clone());
        configured.unwrap_or_else(|| format!("/aws/lambda/{}", self.function_name))
    }
}

/// The versions that an alias points to.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Alias {
    function_version: String,
    #[serde(default)]
    routing_config: Option<RoutingConfig>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RoutingConfig {
    #[serde(default)]
    additional_version_weights: Option<BTreeMap<String, f64>>,
}

impl Alias {
    /// Chooses a version by a random number in [0, 1): the additional versions have their weights, the main one the rest.
    pub(super) fn choose_version(&self, mut random: f64) -> &str {
        let weights =
            self.routing_config.iter().filter_map(|routing| routing.additional_version_weights.as_ref());
        for (version, weight) in weights.flatten() {
            if random < *weight {
                return version;
            }
            random -= weight;
        }
        &self.function_version
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alias_chooses_versions_by_weight() {
        let alias = |routing: &str| -> Alias {
            let text = format!(r#"{{"FunctionVersion":"1","RoutingConfig":{routing}}}"#);
            serde_json::from_str(&text).unwrap()
        };
        assert_eq!(alias("null").choose_version(0.0), "1");
        assert_eq!(alias("{}").choose_version(0.0), "1");
        let weighted = alias(r#"{"AdditionalVersionWeights":{"2":0.1}}"#);
        assert_eq!(weighted.choose_version(0.0), "2");
        assert_eq!(weighted.choose_version(0.0999), "2");
        assert_eq!(weighted.choose_version(0.1), "1");
        assert_eq!(weighted.choose_version(0.99), "1");
    }
}
