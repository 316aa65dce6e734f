//! The environment variables of functions.
//!
//! See <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html>.

use super::function_version::ResolvedFunction;
use crate::signing::Credential;
use std::ffi::OsString;

/// Returns the defaults, which a function may override.
pub(super) fn defaults(gateway_url: &str) -> impl Iterator<Item = (OsString, OsString)> {
    // With these addresses a function that invokes another one reaches it through the gateway.
    let pairs = [("TZ", ":UTC"), ("AWS_ENDPOINT_URL", gateway_url), ("AWS_ENDPOINT_URL_LAMBDA", gateway_url)];
    pairs.map(|(name, value)| (name.into(), value.into())).into_iter()
}

/// Returns the variables of the function's configuration.
pub(super) fn configured(function: &ResolvedFunction) -> impl Iterator<Item = (OsString, OsString)> + '_ {
    let environment = function.configuration.environment.iter();
    let pairs = environment.flat_map(|environment| &environment.variables);
    pairs.map(|(name, value)| (name.into(), value.into()))
}

/// Returns the variables that Lambda reserves, which a function cannot override.
pub(super) fn reserved(
    function: &ResolvedFunction,
    credential: &Credential,
    log_stream: &str,
) -> impl Iterator<Item = (OsString, OsString)> {
    let configuration = &function.configuration;
    let memory = configuration.memory_size.unwrap_or(128).to_string();
    let group = configuration.log_group();
    let pairs = [
        ("AWS_LAMBDA_FUNCTION_NAME", configuration.function_name.as_str()),
        ("AWS_LAMBDA_FUNCTION_VERSION", &configuration.version),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", &memory),
        ("AWS_LAMBDA_LOG_GROUP_NAME", &group),
        ("AWS_LAMBDA_LOG_STREAM_NAME", log_stream),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        ("AWS_REGION", &function.region),
        ("AWS_DEFAULT_REGION", &function.region),
        ("AWS_ACCESS_KEY_ID", &credential.access_key_id),
        ("AWS_SECRET_ACCESS_KEY", &credential.secret_access_key),
        ("AWS_SESSION_TOKEN", &credential.session_token),
    ];
    pairs.map(|(name, value)| (name.into(), value.into())).into_iter()
}
