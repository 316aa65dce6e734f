//! Resolves a function's name and qualifier to the version that an Invoke runs.
//!
//! In: the name, and the caller's credential. Out: a [`ResolvedFunction`], from the cache or from the emulator. Errors: the
//! function does not exist for this caller, or its state does not allow an invocation.

use super::function_cache::{CacheKey, FunctionCache};
use super::function_name::{FunctionName, LATEST, is_version_number};
use super::function_version::{Alias, Configuration, FunctionVersion, ResolvedFunction};
use super::lambda_error::LambdaError;
use crate::emulator::Caller;
use crate::http;
use crate::id::random_fraction;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// The longest response of the emulator, in bytes.
const LONGEST: usize = 8 << 20;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetFunctionResponse {
    configuration: Configuration,
    #[serde(default)]
    code: Option<CodeLocation>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CodeLocation {
    #[serde(default)]
    location: Option<String>,
}

/// Returns the version to run. An alias with weights chooses for each call.
pub(super) async fn resolve(
    cache: &FunctionCache,
    caller: &Caller,
    name: &FunctionName,
) -> Result<ResolvedFunction, LambdaError> {
    let version = match name.qualifier.as_deref() {
        None => LATEST.to_owned(),
        Some(qualifier) if qualifier == LATEST || is_version_number(qualifier) => qualifier.to_owned(),
        Some(alias) => {
            find_alias(cache, caller, &name.name, alias).await?.choose_version(random_fraction()).to_owned()
        }
    };
    let version = match is_version_number(&version) {
        true => find_published_version(cache, caller, name, &version).await?,
        false => Arc::new(fetch_version(caller, name, &version).await?),
    };
    let FunctionVersion { configuration, emulator_key, region, account, digest } = &*version;
    if name.account.as_deref().is_some_and(|wanted| wanted != account) {
        return Err(LambdaError::not_found(format!(
            "Function not found: {} in account {}; the caller's credentials are for account {account}",
            name.name,
            name.account.as_deref().unwrap_or_default()
        )));
    }
    let invoked_arn = match &name.qualifier {
        Some(qualifier) => format!("{}:{qualifier}", configuration.function_arn),
        None => configuration.function_arn.clone(),
    };
    Ok(ResolvedFunction {
        configuration: configuration.clone(),
        emulator_key: emulator_key.clone(),
        invoked_arn,
        region: region.clone(),
        digest: digest.clone(),
    })
}

async fn find_alias(
    cache: &FunctionCache,
    caller: &Caller,
    function: &str,
    alias: &str,
) -> Result<Arc<Alias>, LambdaError> {
    let key = CacheKey::new(caller, function, alias);
    if let Some(alias) = cache.alias(&key) {
        return Ok(alias);
    }
    let generation = cache.generation();
    let path = format!("/2015-03-31/functions/{function}/aliases/{alias}");
    let alias = Arc::new(fetch(caller, path).await?);
    cache.insert_alias(generation, key, &alias);
    Ok(alias)
}

async fn find_published_version(
    cache: &FunctionCache,
    caller: &Caller,
    name: &FunctionName,
    number: &str,
) -> Result<Arc<FunctionVersion>, LambdaError> {
    let key = CacheKey::new(caller, &name.name, number);
    if let Some(version) = cache.version(&key) {
        return Ok(version);
    }
    let generation = cache.generation();
    let version = Arc::new(fetch_version(caller, name, number).await?);
    cache.insert_version(generation, key, &version);
    Ok(version)
}

/// Fetches a version that can be invoked from the emulator, as the caller.
async fn fetch_version(
    caller: &Caller,
    name: &FunctionName,
    version: &str,
) -> Result<FunctionVersion, LambdaError> {
    // Without a qualifier in the request, an error must name the function without one as well.
    let path = match name.qualifier {
        None => format!("/2015-03-31/functions/{}", name.name),
        Some(_) => format!("/2015-03-31/functions/{}?Qualifier={}", name.name, http::encode(version)),
    };
    let function: GetFunctionResponse = fetch(caller, path).await?;
    let mut configuration = function.configuration;
    if let Some(state) = configuration.state.as_deref().filter(|state| *state != "Active") {
        return Err(LambdaError::conflict(format!(
            "The operation cannot be performed at this time. The function is currently in the following state: {state}"
        )));
    }
    // Without a qualifier the ARN has seven parts.
    let parts: Vec<&str> = configuration.function_arn.split(':').take(7).collect();
    let [_, _, _, region, account, _, _] = parts.as_slice() else {
        let arn = &configuration.function_arn;
        return Err(LambdaError::service(format!("The emulator's ARN of the function is `{arn}`")));
    };
    let (region, account) = ((*region).to_owned(), (*account).to_owned());
    configuration.function_arn = parts.join(":");
    configuration.version = version.to_owned();
    let digest = hex::encode(Sha256::digest(format!("{configuration:?}")));
    let emulator_key = function.code.and_then(|code| code.location).and_then(|location| {
        let (_, path) = location.split_once("://")?;
        path.split_once('/').map(|(_, key)| key.to_owned())
    });
    Ok(FunctionVersion { configuration, emulator_key, region, account, digest })
}

async fn fetch<T: serde::de::DeserializeOwned>(caller: &Caller, path: String) -> Result<T, LambdaError> {
    let response = caller.get("lambda", &path, LONGEST).await?;
    if !response.status.is_success() {
        return Err(LambdaError::Emulator(Box::new(response)));
    }
    serde_json::from_slice(&response.body).map_err(|error| {
        LambdaError::service(format!("The emulator's response to {path} cannot be parsed: {error}"))
    })
}
