//! Lambda functions: configurations, invocations, and the version that an alias points to.
//!
//! In: function names, qualifiers (a version number or an alias) and payloads. Out: configurations, responses, aliases.
//! Errors: the function or version does not exist ([`CloudErrorKind::NotFound`], or `None` where callers ask whether it
//! does), it is not ready ([`CloudErrorKind::Conflict`]), somebody else moved the alias
//! ([`CloudErrorKind::PreconditionFailed`]).

mod configuration;
mod event_sources;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_sdk_lambda::config::StalledStreamProtectionConfig;
use aws_sdk_lambda::config::retry::RetryConfig;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{AliasRoutingConfiguration, LogType};
use aws_smithy_types::timeout::TimeoutConfig;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::call::{ServiceCalls, retry_throttled};
use crate::error::{CloudError, CloudErrorKind};
use crate::session::Shared;
pub use configuration::{FunctionConfiguration, ImageConfiguration, Logging};

/// A function's response to an invocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// Lambda's HTTP status. It is 200 also where the function itself failed.
    pub status: u16,
    /// `Handled` or `Unhandled` where the function failed; the payload has the error.
    pub function_error: Option<String>,
    /// The response's bytes, usually JSON.
    pub payload: Vec<u8>,
    /// The last 4 KiB of this invocation's log, by line.
    pub log_tail: Vec<String>,
    /// The version that ran.
    pub executed_version: Option<String>,
    /// The time from the request to the response, measured by the client.
    pub took: Duration,
}

/// The versions that an alias sends invocations to.
#[derive(Clone, Debug, PartialEq)]
pub struct Alias {
    /// The version that gets the rest of the invocations.
    pub version: String,
    /// The fraction of invocations that each other version gets.
    pub weights: BTreeMap<String, f64>,
    /// Changes whenever the alias does.
    pub revision_id: Option<String>,
}

impl Alias {
    /// Returns whether all traffic goes to this version.
    pub fn points_only_to(&self, version: &str) -> bool {
        self.version == version && self.weights.is_empty()
    }

    /// Returns where it points: `7`, or `7 and 10 % to 8`.
    pub fn points_to(&self) -> String {
        let shares =
            self.weights.iter().map(|(version, share)| format!("{:.0} % to {version}", share * 100.0));
        std::iter::once(self.version.clone()).chain(shares).collect::<Vec<_>>().join(" and ")
    }
}

/// The functions of one account and region.
#[derive(Clone)]
pub struct Functions {
    shared: Arc<Shared>,
    calls: ServiceCalls,
}

impl Functions {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let calls = shared.calls("Lambda");
        Self { shared, calls }
    }

    /// Returns the configuration of `$LATEST`, a version or an alias; `None` if there is no such function or version.
    pub async fn configuration(
        &self,
        function: &str,
        qualifier: Option<&str>,
    ) -> Result<Option<FunctionConfiguration>, CloudError> {
        let subject = qualifier.map_or_else(|| function.to_owned(), |name| format!("{function}:{name}"));
        let request = self.shared.lambda().get_function_configuration().function_name(function);
        let request = request.set_qualifier(qualifier.map(str::to_owned));
        match self.calls.run("GetFunctionConfiguration", &subject, request.send()).await {
            Ok(response) => Ok(Some(response.into())),
            Err(error) if error.kind == CloudErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Invokes a version or alias and waits for its response, at most `time_limit`.
    ///
    /// The invocation is retried only where Lambda throttled it, because it was not executed then.
    ///
    /// # Errors
    /// [`CloudErrorKind::TimedOut`] after `time_limit`; the function may still be running. A function that fails is not
    /// an error here: see [`Invocation::function_error`].
    pub async fn invoke(
        &self,
        function: &str,
        qualifier: &str,
        payload: &[u8],
        time_limit: Duration,
    ) -> Result<Invocation, CloudError> {
        let subject = format!("{function}:{qualifier}");
        let limit = TimeoutConfig::builder().operation_timeout(time_limit);
        let limit = limit.operation_attempt_timeout(time_limit).build();
        let (response, took) = retry_throttled(|| {
            let config = aws_sdk_lambda::Config::builder()
                .timeout_config(limit.clone())
                .retry_config(RetryConfig::disabled())
                // While the function runs, no byte moves: that is not a stalled connection.
                .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
            let request = self.shared.lambda().invoke().function_name(function).qualifier(qualifier);
            let request = request.log_type(LogType::Tail).payload(Blob::new(payload));
            let subject = &subject;
            async move {
                let started = Instant::now();
                let send = request.customize().config_override(config).send();
                let response = self.calls.run("Invoke", subject, send).await?;
                Ok((response, started.elapsed()))
            }
        })
        .await?;
        let log = response.log_result().and_then(|log| BASE64.decode(log).ok()).unwrap_or_default();
        let log_tail = whole_lines(&log);
        Ok(Invocation {
            status: response.status_code().try_into().unwrap_or_default(),
            function_error: response.function_error().map(str::to_owned),
            executed_version: response.executed_version().map(str::to_owned),
            payload: response.payload.map(Blob::into_inner).unwrap_or_default(),
            log_tail,
            took,
        })
    }

    /// Returns an alias; `None` if the function or the alias does not exist.
    pub async fn alias(&self, function: &str, alias: &str) -> Result<Option<Alias>, CloudError> {
        let subject = format!("{function}:{alias}");
        let request = self.shared.lambda().get_alias().function_name(function).name(alias);
        match self.calls.run("GetAlias", &subject, request.send()).await {
            Ok(response) => {
                let routing =
                    response.routing_config().and_then(|routing| routing.additional_version_weights());
                Ok(Some(Alias {
                    version: response.function_version().unwrap_or_default().to_owned(),
                    weights: routing.into_iter().flatten().map(|(k, v)| (k.clone(), *v)).collect(),
                    revision_id: response.revision_id().map(str::to_owned),
                }))
            }
            Err(error) if error.kind == CloudErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Points an alias to one version, removes its weights, and returns the alias as it is then.
    ///
    /// With `revision_id`, the alias is moved only if it still has this revision. Lambda compares it; it is also compared
    /// before the call, because emulators do not.
    ///
    /// # Errors
    /// [`CloudErrorKind::PreconditionFailed`] if somebody else moved the alias; [`CloudErrorKind::NotFound`] if alias or
    /// version does not exist.
    pub async fn move_alias(
        &self,
        function: &str,
        alias: &str,
        version: &str,
        revision_id: Option<&str>,
    ) -> Result<Alias, CloudError> {
        let subject = format!("{function}:{alias}");
        let context = self.calls.context("UpdateAlias", &subject);
        if let Some(expected) = revision_id {
            let now = self.alias(function, alias).await?;
            let now = now.ok_or_else(|| {
                CloudError::at(&context, CloudErrorKind::NotFound, "the alias does not exist")
            })?;
            if now.revision_id.as_deref() != Some(expected) {
                let message = format!("it points to version {} in another revision", now.version);
                return Err(CloudError::at(&context, CloudErrorKind::PreconditionFailed, message));
            }
        }
        let no_weights =
            AliasRoutingConfiguration::builder().set_additional_version_weights(Some(HashMap::new())).build();
        let request = self.shared.lambda().update_alias().function_name(function).name(alias);
        let request = request.function_version(version).routing_config(no_weights);
        let request = request.set_revision_id(revision_id.map(str::to_owned));
        let refused = match self.calls.run("UpdateAlias", &subject, request.send()).await {
            Ok(_) => None,
            // An attempt may have succeeded although its response was lost. The retry then finds a new revision, so
            // the alias itself decides.
            Err(error) if error.kind == CloudErrorKind::PreconditionFailed => Some(error),
            Err(error) => return Err(error),
        };
        let now = self.alias(function, alias).await?;
        let now = now.ok_or_else(|| {
            CloudError::at(&context, CloudErrorKind::NotFound, "the alias no longer exists")
        })?;
        if now.version == version && now.weights.is_empty() {
            return Ok(now);
        }
        Err(refused.unwrap_or_else(|| {
            let weights = if now.weights.is_empty() { "" } else { ", with weights" };
            let message =
                format!("it was moved to version {version} and now points to {}{weights}", now.version);
            CloudError::at(&context, CloudErrorKind::PreconditionFailed, message)
        }))
    }

    /// Deletes a published version. Lambda refuses one that an alias points to.
    ///
    /// # Errors
    /// Those of the call; a version that is gone already counts as deleted.
    pub async fn delete_version(&self, function: &str, version: &str) -> Result<(), CloudError> {
        let request = self.shared.lambda().delete_function().function_name(function).qualifier(version);
        let subject = format!("{function}:{version}");
        match self.calls.run("DeleteFunction", &subject, request.send()).await {
            Ok(_) => Ok(()),
            Err(error) if error.kind == CloudErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Lists a function's published versions, oldest first, without `$LATEST`.
    ///
    /// # Errors
    /// [`CloudErrorKind::NotFound`] if there is no such function.
    pub async fn versions(&self, function: &str) -> Result<Vec<FunctionConfiguration>, CloudError> {
        let mut found: Vec<FunctionConfiguration> = Vec::new();
        let mut marker = None;
        let mut exists = false;
        loop {
            let request = self.shared.lambda().list_versions_by_function().function_name(function);
            let request = request.set_marker(marker);
            let page = self.calls.run("ListVersionsByFunction", function, request.send()).await?;
            marker = page.next_marker;
            let page = page.versions.unwrap_or_default();
            // Every function has a `$LATEST`; moto returns an empty list for one that does not exist.
            exists |= !page.is_empty();
            let page = page.into_iter().map(FunctionConfiguration::from);
            found.extend(page.filter(|version| version.version != "$LATEST"));
            if marker.is_none() {
                if !exists {
                    let context = self.calls.context("ListVersionsByFunction", function);
                    return Err(CloudError::at(
                        &context,
                        CloudErrorKind::NotFound,
                        "the function does not exist",
                    ));
                }
                found.sort_by_key(|version| version.version.parse::<u64>().unwrap_or(u64::MAX));
                return Ok(found);
            }
        }
    }
}

impl fmt::Debug for Functions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Functions").field("endpoint", &self.calls.endpoint).finish_non_exhaustive()
    }
}

/// How much of a log Lambda returns, in bytes: <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>, `LogType`.
const LOG_TAIL: usize = 4 * 1024;

/// Returns the lines of a log's tail, without a first one whose beginning was cut off: a part of a value would be shown that
/// nobody recognises, such as a part of a secret.
fn whole_lines(log: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(log);
    text.lines().skip(usize::from(log.len() >= LOG_TAIL)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_whose_beginning_was_cut_off_is_left_out() {
        assert_eq!(whole_lines(b"START\nEND"), ["START", "END"]);
        let cut = format!("{}\nEND", "x".repeat(LOG_TAIL - 4));
        assert_eq!(whole_lines(cut.as_bytes()), ["END"]);
    }
}
