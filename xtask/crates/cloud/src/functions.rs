//! Lambda functions: what runs, what it answers, and which version an alias points to.
//!
//! In: function names, qualifiers (a version number or an alias) and payloads. Out: configurations, answers,
//! aliases. What can go wrong: the function or version is missing ([`Kind::NotFound`], or `None` where that
//! is a fair answer), it is not ready ([`Kind::Conflict`]), somebody else moved the alias
//! ([`Kind::PreconditionFailed`]).

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

use crate::call::{Calls, unless_throttled};
use crate::error::{CloudError, Kind};
use crate::session::Shared;
pub use configuration::{FunctionConfiguration, ImageConfiguration, Logging};

/// What a function answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// Lambda's HTTP status; 200 also where the function itself failed.
    pub status: u16,
    /// `Handled` or `Unhandled` where the function failed; the payload then says why.
    pub function_error: Option<String>,
    /// The answer's bytes, mostly JSON.
    pub payload: Vec<u8>,
    /// The last 4 KiB of this invocation's log, by line.
    pub log_tail: Vec<String>,
    /// The version that ran.
    pub executed_version: Option<String>,
    /// The time from the request to the answer, as seen from here.
    pub took: Duration,
}

/// Which versions an alias sends calls to.
#[derive(Clone, Debug, PartialEq)]
pub struct Alias {
    /// The version that gets all calls that `weights` leaves.
    pub version: String,
    /// Fractions of the calls that go to other versions.
    pub weights: BTreeMap<String, f64>,
    /// Changes whenever the alias does.
    pub revision_id: Option<String>,
}

impl Alias {
    /// Tells whether all traffic goes to this version.
    pub fn points_only_to(&self, version: &str) -> bool {
        self.version == version && self.weights.is_empty()
    }
}

/// Access to the functions of one account and region.
#[derive(Clone)]
pub struct Functions {
    shared: Arc<Shared>,
    calls: Calls,
}

impl Functions {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let calls = shared.calls("Lambda");
        Self { shared, calls }
    }

    /// Reads a function's configuration, of `$LATEST` or of a version or alias; `None` if there is no such
    /// function or version.
    pub async fn configuration(
        &self,
        function: &str,
        qualifier: Option<&str>,
    ) -> Result<Option<FunctionConfiguration>, CloudError> {
        let subject = qualifier.map_or_else(|| function.to_owned(), |name| format!("{function}:{name}"));
        let request = self.shared.lambda().get_function_configuration().function_name(function);
        let request = request.set_qualifier(qualifier.map(str::to_owned));
        match self.calls.run("GetFunctionConfiguration", &subject, request.send()).await {
            Ok(answer) => Ok(Some(answer.into())),
            Err(error) if error.kind == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Calls a version or alias and waits for its answer, at most `time_limit`.
    ///
    /// A call is made once; only where Lambda turned it away for the rate of calls is it made again.
    ///
    /// # Errors
    /// [`Kind::TimedOut`] when the time is over: the function may still be running. A function that fails
    /// is no error here, but a [`Invocation::function_error`].
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
        let (answer, took) = unless_throttled(|| {
            let config = aws_sdk_lambda::Config::builder()
                .timeout_config(limit.clone())
                .retry_config(RetryConfig::disabled())
                // The silence of a function that is thinking is no stalled connection.
                .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
            let request = self.shared.lambda().invoke().function_name(function).qualifier(qualifier);
            let request = request.log_type(LogType::Tail).payload(Blob::new(payload));
            let subject = &subject;
            async move {
                let started = Instant::now();
                let send = request.customize().config_override(config).send();
                let answer = self.calls.run("Invoke", subject, send).await?;
                Ok((answer, started.elapsed()))
            }
        })
        .await?;
        let log = answer.log_result().and_then(|log| BASE64.decode(log).ok()).unwrap_or_default();
        let log_tail = String::from_utf8_lossy(&log).lines().map(str::to_owned).collect();
        Ok(Invocation {
            status: answer.status_code().try_into().unwrap_or_default(),
            function_error: answer.function_error().map(str::to_owned),
            executed_version: answer.executed_version().map(str::to_owned),
            payload: answer.payload.map(Blob::into_inner).unwrap_or_default(),
            log_tail,
            took,
        })
    }

    /// Reads an alias; `None` if the function or the alias does not exist.
    pub async fn alias(&self, function: &str, alias: &str) -> Result<Option<Alias>, CloudError> {
        let subject = format!("{function}:{alias}");
        let request = self.shared.lambda().get_alias().function_name(function).name(alias);
        match self.calls.run("GetAlias", &subject, request.send()).await {
            Ok(answer) => {
                let routing =
                    answer.routing_config().and_then(|routing| routing.additional_version_weights());
                Ok(Some(Alias {
                    version: answer.function_version().unwrap_or_default().to_owned(),
                    weights: routing.into_iter().flatten().map(|(k, v)| (k.clone(), *v)).collect(),
                    revision_id: answer.revision_id().map(str::to_owned),
                }))
            }
            Err(error) if error.kind == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Points an alias to one version with all its calls, ends weights, and reads back what came of it.
    ///
    /// With a revision, only if the alias still has it: this is compared before the call, since emulators
    /// don't, and by Lambda itself.
    ///
    /// # Errors
    /// [`Kind::PreconditionFailed`] if somebody else moved the alias, before or since; [`Kind::NotFound`] if
    /// alias or version do not exist.
    pub async fn point(
        &self,
        function: &str,
        alias: &str,
        version: &str,
        revision_id: Option<&str>,
    ) -> Result<Alias, CloudError> {
        let subject = format!("{function}:{alias}");
        let origin = self.calls.origin("UpdateAlias", &subject);
        if let Some(expected) = revision_id {
            let now = self.alias(function, alias).await?;
            let now = now.ok_or_else(|| CloudError::at(&origin, Kind::NotFound, "there is no such alias"))?;
            if now.revision_id.as_deref() != Some(expected) {
                let message = format!("it points to version {} in another revision", now.version);
                return Err(CloudError::at(&origin, Kind::PreconditionFailed, message));
            }
        }
        let no_weights =
            AliasRoutingConfiguration::builder().set_additional_version_weights(Some(HashMap::new())).build();
        let request = self.shared.lambda().update_alias().function_name(function).name(alias);
        let request = request.function_version(version).routing_config(no_weights);
        let request = request.set_revision_id(revision_id.map(str::to_owned));
        let refused = match self.calls.run("UpdateAlias", &subject, request.send()).await {
            Ok(_) => None,
            // The answer to an attempt that succeeded may have been lost, and its repetition then finds a
            // new revision: what the alias says decides.
            Err(error) if error.kind == Kind::PreconditionFailed => Some(error),
            Err(error) => return Err(error),
        };
        let now = self.alias(function, alias).await?;
        let now = now.ok_or_else(|| CloudError::at(&origin, Kind::NotFound, "the alias is gone"))?;
        if now.version == version && now.weights.is_empty() {
            return Ok(now);
        }
        Err(refused.unwrap_or_else(|| {
            let weights = if now.weights.is_empty() { "" } else { ", with weights" };
            let message =
                format!("it was pointed to version {version} and now says {}{weights}", now.version);
            CloudError::at(&origin, Kind::PreconditionFailed, message)
        }))
    }

    /// Lists a function's published versions, oldest first, without `$LATEST`.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is no such function.
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
            // Every function has a `$LATEST`; moto lists nothing of one that does not exist.
            exists |= !page.is_empty();
            let page = page.into_iter().map(FunctionConfiguration::from);
            found.extend(page.filter(|version| version.version != "$LATEST"));
            if marker.is_none() {
                if !exists {
                    let origin = self.calls.origin("ListVersionsByFunction", function);
                    return Err(CloudError::at(&origin, Kind::NotFound, "there is no such function"));
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
