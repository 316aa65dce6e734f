//! Which version of which function an Invoke means, and how the emulator says that version is configured.
//!
//! In: the function's name in any of its forms, a qualifier, and the caller's credential. Out: a [`Target`]. What
//! can go wrong: the name is malformed, nothing of that name exists, or it is not in a state to be invoked.

use super::id::chance;
use super::known_functions::{Key, KnownFunctions};
use super::refusal::Refusal;
use crate::emulator::Caller;
use crate::http;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const LONGEST: usize = 8 << 20;
const LATEST: &str = "$LATEST";

/// A function's name as Lambda takes it: `name`, `name:qualifier`, `account:function:name`, or an ARN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FunctionName {
    pub(crate) account: Option<String>,
    pub(crate) name: String,
    pub(crate) qualifier: Option<String>,
}

impl FunctionName {
    /// Reads a name and the `Qualifier` parameter beside it; where both have a qualifier they must agree.
    pub(crate) fn parse(given: &str, parameter: Option<&str>) -> Result<Self, Refusal> {
        let parts: Vec<&str> = given.split(':').collect();
        let (account, rest) = match parts.as_slice() {
            ["arn", _, "lambda", _, account, "function", rest @ ..] => (Some(*account), rest),
            [account, "function", rest @ ..] if account.len() == 12 => (Some(*account), rest),
            ["function", rest @ ..] => (None, rest),
            rest => (None, rest),
        };
        let (name, within) = match *rest {
            [name] => (name, None),
            [name, qualifier] => (name, Some(qualifier)),
            _ => {
                return Err(Refusal::parameter(format!("`{given}` is not a function's name or ARN")));
            }
        };
        let fits = |text: &str, more: &str| {
            !text.is_empty() && text.chars().all(|char| char.is_ascii_alphanumeric() || more.contains(char))
        };
        if name.len() > 140 || !fits(name, "-_") {
            return Err(Refusal::parameter(format!("`{name}` is not a function's name")));
        }
        let qualifier = match (within, parameter) {
            (Some(within), Some(parameter)) if within != parameter => {
                return Err(Refusal::parameter(
                    "The derived qualifier from the function name does not match the specified qualifier.",
                ));
            }
            (within, parameter) => within.or(parameter),
        };
        if let Some(qualifier) = qualifier
            && !fits(qualifier, "-_$")
        {
            return Err(Refusal::parameter(format!("`{qualifier}` is neither a version nor an alias")));
        }
        let owned = |text: &str| text.to_owned();
        Ok(Self { account: account.map(owned), name: owned(name), qualifier: qualifier.map(owned) })
    }
}

/// One version of one function, as it is to be run.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) configuration: Configuration,
    /// The S3 key that the emulator gives for the code, if it gives one.
    pub(crate) emulator_key: Option<String>,
    /// The ARN with the qualifier it was invoked by.
    pub(crate) invoked_arn: String,
    pub(crate) region: String,
    /// Tells configurations (and codes) from each other.
    pub(crate) digest: String,
}

/// The part of GetFunction's `Configuration` that decides how code runs.
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

/// What a function says instead of its image.
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
    /// The time a call may take; Lambda's default is 3 s.
    pub(crate) fn limit(&self) -> Duration {
        Duration::from_secs(self.timeout.unwrap_or(3))
    }

    /// Says whether it is an image, and not a zip.
    pub(crate) fn is_image(&self) -> bool {
        self.package_type.as_deref() == Some("Image")
    }

    /// What it says instead of its image; nothing for a zip.
    pub(crate) fn image_config(&self) -> &ImageConfig {
        static NOTHING: ImageConfig =
            ImageConfig { entry_point: None, command: None, working_directory: None };
        self.image_config_response.as_ref().map_or(&NOTHING, |response| &response.image_config)
    }

    /// Where its log goes in CloudWatch.
    pub(crate) fn log_group(&self) -> String {
        let named = self.logging_config.as_ref().and_then(|config| config.log_group.clone());
        named.unwrap_or_else(|| format!("/aws/lambda/{}", self.function_name))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Function {
    configuration: Configuration,
    #[serde(default)]
    code: Option<Location>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Location {
    #[serde(default)]
    location: Option<String>,
}

/// Which versions an alias points to.
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
    /// Chooses by a number from 0 to 1: the other versions have their weights, the alias's own the rest.
    fn choose(&self, mut chance: f64) -> &str {
        let weights =
            self.routing_config.iter().filter_map(|routing| routing.additional_version_weights.as_ref());
        for (version, weight) in weights.flatten() {
            if chance < *weight {
                return version;
            }
            chance -= weight;
        }
        &self.function_version
    }
}

/// One version of one function, as the emulator tells it.
#[derive(Debug, Clone)]
pub(super) struct Version {
    configuration: Configuration,
    emulator_key: Option<String>,
    region: String,
    account: String,
    digest: String,
}

/// Tells what is to be run: what is known, or what the emulator says to the caller.
pub(super) async fn resolve(
    known: &KnownFunctions,
    caller: &Caller,
    wanted: &FunctionName,
) -> Result<Target, Refusal> {
    let version = match wanted.qualifier.as_deref() {
        None => LATEST.to_owned(),
        Some(qualifier) if qualifier == LATEST || is_number(qualifier) => qualifier.to_owned(),
        Some(name) => alias(known, caller, &wanted.name, name).await?.choose(chance()).to_owned(),
    };
    let version = match is_number(&version) {
        true => published(known, caller, wanted, &version).await?,
        false => Arc::new(version_now(caller, wanted, &version).await?),
    };
    let Version { configuration, emulator_key, region, account, digest } = &*version;
    if wanted.account.as_deref().is_some_and(|wanted| wanted != account) {
        return Err(Refusal::not_found(format!(
            "Function not found: {} in account {}; the caller's credentials are of account {account}",
            wanted.name,
            wanted.account.as_deref().unwrap_or_default()
        )));
    }
    let invoked_arn = match &wanted.qualifier {
        Some(qualifier) => format!("{}:{qualifier}", configuration.function_arn),
        None => configuration.function_arn.clone(),
    };
    Ok(Target {
        configuration: configuration.clone(),
        emulator_key: emulator_key.clone(),
        invoked_arn,
        region: region.clone(),
        digest: digest.clone(),
    })
}

fn is_number(qualifier: &str) -> bool {
    qualifier.bytes().all(|byte| byte.is_ascii_digit())
}

async fn alias(
    known: &KnownFunctions,
    caller: &Caller,
    function: &str,
    name: &str,
) -> Result<Arc<Alias>, Refusal> {
    let key = Key::new(caller, function, name);
    if let Some(alias) = known.alias(&key) {
        return Ok(alias);
    }
    let moment = known.now();
    let path = format!("/2015-03-31/functions/{function}/aliases/{name}");
    let alias = Arc::new(ask(caller, path).await?);
    known.note_alias(moment, key, &alias);
    Ok(alias)
}

async fn published(
    known: &KnownFunctions,
    caller: &Caller,
    wanted: &FunctionName,
    number: &str,
) -> Result<Arc<Version>, Refusal> {
    let key = Key::new(caller, &wanted.name, number);
    if let Some(version) = known.version(&key) {
        return Ok(version);
    }
    let moment = known.now();
    let version = Arc::new(version_now(caller, wanted, number).await?);
    known.note_version(moment, key, &version);
    Ok(version)
}

/// Asks the emulator, as the caller, for a version that can be invoked.
async fn version_now(caller: &Caller, wanted: &FunctionName, version: &str) -> Result<Version, Refusal> {
    let name = &wanted.name;
    // Without a qualifier, so that an error names the function as the caller did.
    let path = match wanted.qualifier {
        None => format!("/2015-03-31/functions/{name}"),
        Some(_) => format!("/2015-03-31/functions/{name}?Qualifier={}", http::encode(version)),
    };
    let function: Function = ask(caller, path).await?;
    let mut configuration = function.configuration;
    if let Some(state) = configuration.state.as_deref().filter(|state| *state != "Active") {
        return Err(Refusal::conflict(format!(
            "The operation cannot be performed at this time. The function is currently in the following state: {state}"
        )));
    }
    // The ARN without a qualifier has seven parts.
    let parts: Vec<&str> = configuration.function_arn.split(':').take(7).collect();
    let [_, _, _, region, account, _, _] = parts.as_slice() else {
        let arn = &configuration.function_arn;
        return Err(Refusal::service(format!("The emulator gives `{arn}` as the function's ARN")));
    };
    let (region, account) = ((*region).to_owned(), (*account).to_owned());
    configuration.function_arn = parts.join(":");
    configuration.version = version.to_owned();
    let digest = hex::encode(Sha256::digest(format!("{configuration:?}")));
    let emulator_key = function.code.and_then(|code| code.location).and_then(|location| {
        let (_, path) = location.split_once("://")?;
        path.split_once('/').map(|(_, key)| key.to_owned())
    });
    Ok(Version { configuration, emulator_key, region, account, digest })
}

async fn ask<T: serde::de::DeserializeOwned>(caller: &Caller, path: String) -> Result<T, Refusal> {
    let answer = caller.ask("lambda", &path, LONGEST).await?;
    if !answer.status.is_success() {
        return Err(Refusal::Emulator(Box::new(answer)));
    }
    serde_json::from_slice(&answer.body).map_err(|error| {
        Refusal::service(format!("The emulator's answer to {path} is not understood: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_named_in_many_ways() {
        let parse = |given, parameter| FunctionName::parse(given, parameter).unwrap();
        let named = |account: Option<&str>, qualifier: Option<&str>| FunctionName {
            account: account.map(str::to_owned),
            name: "my-fn".to_owned(),
            qualifier: qualifier.map(str::to_owned),
        };
        let account = Some("111111111111");
        assert_eq!(parse("my-fn", None), named(None, None));
        assert_eq!(parse("my-fn", Some("live")), named(None, Some("live")));
        assert_eq!(parse("my-fn:live", None), named(None, Some("live")));
        assert_eq!(parse("my-fn:live", Some("live")), named(None, Some("live")));
        assert_eq!(parse("111111111111:function:my-fn", Some("7")), named(account, Some("7")));
        assert_eq!(parse("function:my-fn:$LATEST", None), named(None, Some("$LATEST")));
        let arn = "arn:aws:lambda:eu-central-1:111111111111:function:my-fn";
        assert_eq!(parse(arn, None), named(account, None));
        assert_eq!(parse(&format!("{arn}:live"), None), named(account, Some("live")));
        for (wrong, parameter) in
            [("a:b:c", None), ("a/b", None), ("", None), ("a:1", Some("2")), ("a", Some("x y"))]
        {
            assert!(FunctionName::parse(wrong, parameter).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_alias_is_weighed_for_each_call() {
        let alias = |routing: &str| -> Alias {
            let text = format!(r#"{{"FunctionVersion":"1","RoutingConfig":{routing}}}"#);
            serde_json::from_str(&text).unwrap()
        };
        assert_eq!(alias("null").choose(0.0), "1");
        assert_eq!(alias("{}").choose(0.0), "1");
        let weighted = alias(r#"{"AdditionalVersionWeights":{"2":0.1}}"#);
        assert_eq!(weighted.choose(0.0), "2");
        assert_eq!(weighted.choose(0.0999), "2");
        assert_eq!(weighted.choose(0.1), "1");
        assert_eq!(weighted.choose(0.99), "1");
    }
}
