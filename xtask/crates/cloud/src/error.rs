//! Why a call failed, in words and in a kind to decide by.
//!
//! In: the SDK's error, an I/O error, or bytes that are not the expected ones. Out: a [`CloudError`].
//! Codes come first, then the HTTP status: HEAD answers have no body and so no code.

use std::error::Error;
use std::fmt;
use std::ops::Deref;
use std::path::Path;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::operation::RequestId as _;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use slipway_values::digest::Digest;

/// A call that failed. Its fields are those of [`Failure`].
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct CloudError(Box<Failure>);

/// What is known of a failed call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What sort of failure it is: decide by this.
    pub kind: Kind,
    /// The service: `S3`, `Lambda`, `STS`, `ECR`, `KMS`, `registry`.
    pub service: &'static str,
    /// The operation, `PutObject`.
    pub operation: &'static str,
    /// `bucket/key`, `function:qualifier`, `host/repository@digest`, a role, a key, or the path of a local file.
    pub subject: String,
    /// The service's own code, `NoSuchKey`.
    pub code: Option<String>,
    /// What happened, in words.
    pub message: String,
    /// The service's name for this request, for its support.
    pub request_id: Option<String>,
}

/// The sorts of failure that a caller tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The bucket, object, function, version or alias does not exist.
    NotFound,
    /// Somebody else changed it first.
    PreconditionFailed,
    /// It is being changed right now, or is in a state that does not allow this.
    Conflict,
    /// The credentials do not allow this.
    AccessDenied,
    /// The service asks for fewer calls; the retries are used up.
    Throttled,
    /// Nothing answered at the endpoint.
    Unreachable,
    /// Something was reached, but no answer came in the time allowed.
    TimedOut,
    /// No credentials were found, or they are no longer valid.
    CredentialsMissing,
    /// What was read is not what its SHA-256 promised.
    WrongBytes {
        /// The digest that was promised.
        expected: Digest,
        /// The digest of what was read.
        got: Digest,
    },
    /// A local file could not be read or written.
    File,
    /// Anything else; the code and message say what.
    Other,
}

/// Which call an error belongs to.
pub(crate) struct Origin<'a> {
    pub(crate) service: &'static str,
    pub(crate) operation: &'static str,
    pub(crate) subject: &'a str,
    pub(crate) endpoint: &'a str,
}

impl Deref for CloudError {
    type Target = Failure;

    fn deref(&self) -> &Failure {
        &self.0
    }
}

impl From<Failure> for CloudError {
    fn from(failure: Failure) -> Self {
        Self(Box::new(failure))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, subject, message, .. } = self;
        match kind {
            // These messages name their subject.
            Kind::Unreachable | Kind::TimedOut | Kind::CredentialsMissing | Kind::File => {
                return f.write_str(message);
            }
            Kind::WrongBytes { expected, got } => {
                return write!(f, "`{subject}` has other bytes than expected: {got} instead of {expected}");
            }
            Kind::NotFound => write!(f, "`{subject}` was not found: {message}")?,
            Kind::PreconditionFailed => write!(f, "`{subject}` was changed by somebody else: {message}")?,
            Kind::Conflict => write!(f, "`{subject}` can't be changed right now: {message}")?,
            Kind::AccessDenied => write!(f, "access to `{subject}` was denied: {message}")?,
            Kind::Throttled => write!(f, "too many requests for `{subject}`: {message}")?,
            Kind::Other => write!(f, "`{subject}`: {message}")?,
        }
        write!(f, " ({} {}", self.service, self.operation)?;
        if let Some(code) = &self.code {
            write!(f, ", {code}")?;
        }
        if let Some(request) = &self.request_id {
            write!(f, ", request {request}")?;
        }
        f.write_str(")")
    }
}

impl CloudError {
    /// Makes an error that no service answered, for a caller's own implementations of its ports.
    pub fn new(
        kind: Kind,
        service: &'static str,
        operation: &'static str,
        subject: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        let (subject, message) = (subject.into(), message.into());
        Failure { kind, service, operation, subject, code: None, message, request_id: None }.into()
    }

    pub(crate) fn at(origin: &Origin<'_>, kind: Kind, message: impl Into<String>) -> Self {
        Self::new(kind, origin.service, origin.operation, origin.subject, message)
    }

    pub(crate) fn wrong_bytes(origin: &Origin<'_>, expected: Digest, got: Digest) -> Self {
        Self::at(origin, Kind::WrongBytes { expected, got }, "other bytes than expected")
    }

    pub(crate) fn file(origin: &Origin<'_>, path: &Path, error: &std::io::Error) -> Self {
        let path = path.display().to_string();
        let message = format!("`{path}`: {error} ({} of `{}`)", origin.operation, origin.subject);
        Self::new(Kind::File, origin.service, origin.operation, path, message)
    }

    /// The answer's body broke off.
    pub(crate) fn body(origin: &Origin<'_>, error: &(dyn Error + 'static)) -> Self {
        let Origin { service, subject, endpoint, .. } = origin;
        let message = format!("{service} at {endpoint} broke off in `{subject}`: {}", innermost(error));
        Self::at(origin, Kind::Unreachable, message)
    }

    /// No credentials; or the error of the call that was to bring them.
    pub(crate) fn from_credentials(origin: &Origin<'_>, error: &CredentialsError) -> Self {
        find::<Self>(error).cloned().unwrap_or_else(|| {
            let Origin { service, subject, .. } = origin;
            let cause = innermost(error);
            // The chain adds a list of all that it tried and did not find configured.
            let cause = cause.split(". Attempted").next().unwrap_or_default();
            let message = format!("no credentials for {service} (`{subject}`) were found: {cause}");
            Self::at(origin, Kind::CredentialsMissing, message)
        })
    }

    pub(crate) fn from_sdk<E>(origin: &Origin<'_>, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let status = error.raw_response().map(|response| response.status().as_u16());
        let request_id = error.request_id().map(str::to_owned);
        let code = error.meta().code().map(str::to_owned);
        if matches!(error, SdkError::ServiceError(_)) {
            let kind = kind_of(code.as_deref(), status);
            let said = error.meta().message().map(str::to_owned);
            let mut message = said.unwrap_or_else(|| match status {
                Some(200..=299) => format!("the answer can't be read: {}", innermost(error)),
                _ => words_for(kind, status),
            });
            if kind == Kind::CredentialsMissing {
                message = format!("{} did not accept the credentials: {message}", origin.service);
            }
            let (service, operation) = (origin.service, origin.operation);
            let subject = origin.subject.to_owned();
            return Failure { kind, service, operation, subject, code, message, request_id }.into();
        }
        if let Some(credentials) = find::<CredentialsError>(error) {
            return Self::from_credentials(origin, credentials);
        }
        let Origin { service, subject, endpoint, .. } = origin;
        let cause = innermost(error);
        let (kind, message) = match error {
            SdkError::TimeoutError(_) => (
                Kind::TimedOut,
                format!("{service} at {endpoint} did not answer in time about `{subject}`: {cause}"),
            ),
            SdkError::DispatchFailure(_) => (
                Kind::Unreachable,
                format!("{service} at {endpoint} can't be reached (`{subject}`): {cause}"),
            ),
            SdkError::ResponseError(_) => {
                (Kind::Other, format!("{service} at {endpoint} gave an answer that can't be read: {cause}"))
            }
            _ => (Kind::Other, cause),
        };
        Failure { request_id, ..(*Self::at(origin, kind, message).0) }.into()
    }
}

fn kind_of(code: Option<&str>, status: Option<u16>) -> Kind {
    match code.unwrap_or_default() {
        "NoSuchKey"
        | "NoSuchBucket"
        | "NoSuchUpload"
        | "NoSuchVersion"
        | "NotFound"
        | "NotFoundException"
        | "RepositoryNotFoundException"
        | "ImageNotFoundException"
        | "ScanNotFoundException"
        | "ResourceNotFoundException" => Kind::NotFound,
        "PreconditionFailed" | "PreconditionFailedException" => Kind::PreconditionFailed,
        "ConditionalRequestConflict"
        | "OperationAborted"
        | "ResourceConflictException"
        | "AlreadyExistsException"
        | "RepositoryAlreadyExistsException"
        | "DisabledException"
        | "KMSInvalidStateException" => Kind::Conflict,
        "ExpiredToken"
        | "ExpiredTokenException"
        | "InvalidAccessKeyId"
        | "InvalidClientTokenId"
        | "InvalidToken"
        | "SignatureDoesNotMatch"
        | "InvalidSignatureException"
        | "UnrecognizedClientException" => Kind::CredentialsMissing,
        "SlowDown"
        | "Throttling"
        | "ThrottlingException"
        | "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "EC2ThrottledException" => Kind::Throttled,
        denied if denied.contains("AccessDenied") || denied == "Forbidden" => Kind::AccessDenied,
        _ => match status {
            Some(401 | 403) => Kind::AccessDenied,
            Some(404) => Kind::NotFound,
            Some(409) => Kind::Conflict,
            Some(412) => Kind::PreconditionFailed,
            Some(429 | 503) => Kind::Throttled,
            Some(504) => Kind::TimedOut,
            _ => Kind::Other,
        },
    }
}

fn words_for(kind: Kind, status: Option<u16>) -> String {
    let status = status.map_or_else(String::new, |status| format!("HTTP status {status}"));
    match kind {
        Kind::NotFound => "there is no such thing".to_owned(),
        Kind::AccessDenied => format!("the credentials do not allow it ({status})"),
        _ => status,
    }
}

fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

pub(crate) fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_win_over_the_status_and_the_status_stands_in_for_a_missing_code() {
        assert_eq!(kind_of(Some("NoSuchKey"), Some(404)), Kind::NotFound);
        assert_eq!(kind_of(Some("SlowDown"), Some(503)), Kind::Throttled);
        assert_eq!(kind_of(Some("ExpiredToken"), Some(400)), Kind::CredentialsMissing);
        assert_eq!(kind_of(Some("KMSAccessDeniedException"), Some(502)), Kind::AccessDenied);
        assert_eq!(kind_of(None, Some(412)), Kind::PreconditionFailed);
        assert_eq!(kind_of(None, Some(403)), Kind::AccessDenied);
        assert_eq!(kind_of(Some("InvalidParameterValueException"), Some(400)), Kind::Other);
    }

    #[test]
    fn a_message_names_subject_call_code_and_request() {
        let error = CloudError::from(Failure {
            kind: Kind::AccessDenied,
            service: "S3",
            operation: "PutObject",
            subject: "bucket/key".into(),
            code: Some("AccessDenied".into()),
            message: "no".into(),
            request_id: Some("R1".into()),
        });
        assert_eq!(
            error.to_string(),
            "access to `bucket/key` was denied: no (S3 PutObject, AccessDenied, request R1)"
        );
    }
}
