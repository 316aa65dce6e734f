//! The configuration of the function, read from its environment once, when an instance starts.
//!
//! In: environment variables. Out: [`Settings`]. What can go wrong: a variable that is missing, empty or malformed is
//! an error that names it; the instance then doesn't start, so that a version with it is never rolled out.

use std::time::Duration;

use crate::cors::Origins;

/// The configuration of the function.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Table of the traces: hash key `trace_id`, index `by-project`.
    pub traces_table: String,
    /// Table of the spans: hash key `span_id`, index `by-trace`.
    pub spans_table: String,
    /// Name or ARN of the secret with the API keys.
    pub api_keys_secret: String,
    /// Pages that a browser lets call the API.
    pub origins: Origins,
    /// How often the secret is read.
    pub pace: Pace,
    /// The endpoints of AWS, and the credentials.
    pub aws: Aws,
}

/// The intervals at which the secret with the API keys is read.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How long keys are used before they are read again.
    pub keep: Duration,
    /// How long after one reading an unknown key, or a failure, may cause the next.
    pub again: Duration,
    /// How long keys are used while Secrets Manager does not respond.
    pub stale: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            keep: Duration::from_secs(5 * 60),
            again: Duration::from_secs(20),
            stale: Duration::from_secs(60 * 60),
        }
    }
}

/// The endpoints of AWS, and the credentials of the function.
///
/// Lambda gives a function the credentials of its role
/// [in these variables](https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html), which last longer
/// than the instance: no chain of providers is needed.
#[derive(Clone)]
pub struct Aws {
    /// `AWS_REGION`
    pub region: String,
    /// `AWS_ACCESS_KEY_ID`
    pub access_key_id: String,
    /// `AWS_SECRET_ACCESS_KEY`
    pub secret_access_key: String,
    /// `AWS_SESSION_TOKEN`
    pub session_token: Option<String>,
    /// `AWS_ENDPOINT_URL_DYNAMODB`, else `AWS_ENDPOINT_URL`; none is AWS itself.
    pub dynamodb_endpoint: Option<String>,
    /// `AWS_ENDPOINT_URL_SECRETS_MANAGER`, else `AWS_ENDPOINT_URL`; none is AWS itself.
    pub secrets_endpoint: Option<String>,
    /// How long it may take to answer.
    pub patience: Patience,
}

/// The time limits of calls to AWS.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// One attempt: DynamoDB answers in milliseconds, a new connection included.
    pub attempt: Duration,
    /// One call with its retries: twice that, for the keys and for a table, is less than the stack's 10 s.
    pub call: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { attempt: Duration::from_secs(2), call: Duration::from_secs(4) }
    }
}

impl std::fmt::Debug for Aws {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.debug_struct("Aws").field("region", &self.region).finish_non_exhaustive()
    }
}

/// The error for a variable that keeps the function from starting.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// Not set, or empty.
    #[error("the environment variable {0} is not set: {1}")]
    Missing(&'static str, &'static str),
    /// Set to an invalid value.
    #[error("the environment variable {0} is wrong: {1}")]
    Malformed(&'static str, String),
}

impl Settings {
    /// Reads the environment of this process.
    #[expect(clippy::disallowed_methods, reason = "the function's one look at its environment")]
    pub fn of_this_process() -> Result<Self, SettingsError> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    /// Reads the settings through `variable`, which returns a variable's value.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let given = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let needed = |name, what| given(name).ok_or(SettingsError::Missing(name, what));
        let endpoint = given("AWS_ENDPOINT_URL");
        Ok(Self {
            traces_table: needed("TRACES_TABLE", "it names the table of the traces")?,
            spans_table: needed("SPANS_TABLE", "it names the table of the spans")?,
            api_keys_secret: needed("API_KEYS_SECRET", "it names the secret with the API keys")?,
            origins: Origins::parse(&given("CORS_ALLOW_ORIGINS").unwrap_or_default())
                .map_err(|why| SettingsError::Malformed("CORS_ALLOW_ORIGINS", why))?,
            pace: Pace::default(),
            aws: Aws {
                region: needed("AWS_REGION", "Lambda sets it")?,
                access_key_id: needed("AWS_ACCESS_KEY_ID", "Lambda sets it")?,
                secret_access_key: needed("AWS_SECRET_ACCESS_KEY", "Lambda sets it")?,
                session_token: given("AWS_SESSION_TOKEN"),
                dynamodb_endpoint: given("AWS_ENDPOINT_URL_DYNAMODB").or_else(|| endpoint.clone()),
                secrets_endpoint: given("AWS_ENDPOINT_URL_SECRETS_MANAGER").or(endpoint),
                patience: Patience::default(),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Settings, SettingsError};

    const WHOLE: &[(&str, &str)] = &[
        ("TRACES_TABLE", "traces"),
        ("SPANS_TABLE", "spans"),
        ("API_KEYS_SECRET", "keys"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "wholly-secret"),
        ("AWS_SESSION_TOKEN", "token-of-the-role"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
        ("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:2"),
    ];

    fn settings(but: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        Settings::from_variables(|name| {
            let all = but.iter().chain(WHOLE);
            all.filter(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()).next()
        })
    }

    #[test]
    fn reads_what_lambda_and_the_stack_set() {
        let settings = settings(&[]).expect("settings");
        assert_eq!((settings.traces_table.as_str(), settings.spans_table.as_str()), ("traces", "spans"));
        assert_eq!(settings.aws.dynamodb_endpoint.as_deref(), Some("http://127.0.0.1:2"));
        assert_eq!(settings.aws.secrets_endpoint.as_deref(), Some("http://127.0.0.1:1"));
    }

    #[test]
    fn names_the_variable_that_is_missing_or_wrong() {
        for name in ["TRACES_TABLE", "SPANS_TABLE", "API_KEYS_SECRET", "AWS_REGION", "AWS_ACCESS_KEY_ID"] {
            let error = settings(&[(name, " ")]).expect_err(name);
            assert!(matches!(error, SettingsError::Missing(missing, _) if missing == name), "{error}");
            assert!(error.to_string().contains(name), "{error}");
        }
        let error = settings(&[("CORS_ALLOW_ORIGINS", "https://shop.example/")]).expect_err("a path");
        assert!(error.to_string().contains("CORS_ALLOW_ORIGINS"), "{error}");
    }

    #[test]
    fn shows_no_credentials() {
        let shown = format!("{:?}", settings(&[]).expect("settings"));
        assert!(!shown.contains("wholly-secret") && !shown.contains("token-of-the-role"), "{shown}");
    }
}
