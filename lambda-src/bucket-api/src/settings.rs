//! The configuration of the function, read from its environment once, when an instance starts.
//!
//! In: environment variables. Out: [`Settings`]. What can go wrong: a variable that is missing or empty is an error
//! that names it; the instance then doesn't start, so that a version with it is never rolled out.

/// The configuration of the function.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The bucket that is listed: `BUCKET`.
    pub bucket: String,
    /// The endpoints of AWS, and the credentials.
    pub aws: Aws,
}

/// The endpoints of AWS, and the credentials of the function.
///
/// Lambda gives a function the credentials of its role
/// [in these variables](https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html), good for as long as
/// the instance lives; the SDK's chain of providers would bring dozens of crates to find the same.
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
    /// `AWS_ENDPOINT_URL_S3`, else `AWS_ENDPOINT_URL`; none is AWS itself.
    pub s3_endpoint: Option<String>,
}

impl std::fmt::Debug for Aws {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.debug_struct("Aws").field("region", &self.region).finish_non_exhaustive()
    }
}

/// The error for a variable that keeps the function from starting.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the environment variable {name} is not set: {what}")]
pub struct SettingsError {
    /// The variable.
    pub name: &'static str,
    /// What it is for.
    pub what: &'static str,
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
        let needed = |name, what| given(name).ok_or(SettingsError { name, what });
        Ok(Self {
            bucket: needed("BUCKET", "it names the bucket that is listed")?,
            aws: Aws {
                region: needed("AWS_REGION", "Lambda sets it")?,
                access_key_id: needed("AWS_ACCESS_KEY_ID", "Lambda sets it")?,
                secret_access_key: needed("AWS_SECRET_ACCESS_KEY", "Lambda sets it")?,
                session_token: given("AWS_SESSION_TOKEN"),
                s3_endpoint: given("AWS_ENDPOINT_URL_S3").or_else(|| given("AWS_ENDPOINT_URL")),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Settings, SettingsError};

    const WHOLE: &[(&str, &str)] = &[
        ("BUCKET", "shop-objects"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "wholly-secret"),
        ("AWS_SESSION_TOKEN", "token-of-the-role"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
    ];

    fn settings(but: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        Settings::from_variables(|name| {
            let mut all = but.iter().chain(WHOLE);
            all.find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn reads_what_lambda_and_the_stack_set() {
        let plain = settings(&[]).expect("settings");
        assert_eq!(plain.bucket, "shop-objects");
        assert_eq!(plain.aws.s3_endpoint.as_deref(), Some("http://127.0.0.1:1"));
        let own = settings(&[("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:2")]).expect("settings");
        assert_eq!(own.aws.s3_endpoint.as_deref(), Some("http://127.0.0.1:2"));
    }

    #[test]
    fn names_the_variable_that_is_missing() {
        for name in ["BUCKET", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
            let error = settings(&[(name, " ")]).expect_err(name);
            assert_eq!(error.name, name);
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn shows_no_credentials() {
        let shown = format!("{:?}", settings(&[]).expect("settings"));
        assert!(!shown.contains("wholly-secret") && !shown.contains("token-of-the-role"), "{shown}");
    }
}
