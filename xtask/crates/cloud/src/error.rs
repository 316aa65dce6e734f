//! Why a call failed: a message for people, and a kind to decide by.
//!
//! In: the SDK's error, an I/O error, or bytes with another digest than expected. Out: a [`CloudError`]. The service's
//! error code decides its kind; the HTTP status does where there is no code, as in responses to HEAD, which have no body.

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

/// A call that failed. Its fields are those of [`ErrorDetails`].
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct CloudError(Box<ErrorDetails>);

/// A failed call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorDetails {
    /// The kind of failure, to decide by.
    pub kind: CloudErrorKind,
    /// The service: `S3`, `Lambda`, `STS`, `ECR`, `KMS`, `registry`.
    pub service: &'static str,
    /// The operation, `PutObject`.
    pub operation: &'static str,
    /// `bucket/key`, `function:qualifier`, `host/repository@digest`, a role, a key, or the path of a local file.
    pub subject: String,
    /// The service's own code, `NoSuchKey`.
    pub code: Option<String>,
    /// The service's message, or ours.
    pub message: String,
    /// The service's id of the request, for its support.
    pub request_id: Option<String>,
}

/// The kinds of failure that callers distinguish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloudErrorKind {
    /// The bucket, object, function, version or alias does not exist.
    NotFound,
    /// Somebody else changed it first.
    PreconditionFailed,
    /// It is being changed, or is in a state that does not allow this.
    Conflict,
    /// The credentials do not allow this.
    AccessDenied,
    /// The service throttles calls, and the retries are used up.
    Throttled,
    /// The endpoint could not be reached, or the connection was lost.
    Unreachable,
    /// The endpoint was reached, but did not respond in time.
    TimedOut,
    /// No credentials were found, or they are no longer valid.
    CredentialsMissing,
    /// The bytes do not have the expected SHA-256.
    WrongBytes {
        /// The expected digest.
        expected: Digest,
        /// The digest of the bytes that were read.
        got: Digest,
    },
    /// A local file could not be read or written.
    File,
    /// Anything else; see code and message.
    Other,
}

/// The call that an error belongs to.
pub(crate) struct CallContext<'a> {
    pub(crate) service: &'static str,
    pub(crate) operation: &'static str,
    pub(crate) subject: &'a str,
    pub(crate) endpoint: &'a str,
}

impl Deref for CloudError {
    type Target = ErrorDetails;

    fn deref(&self) -> &ErrorDetails {
        &self.0
    }
}

impl From<ErrorDetails> for CloudError {
    fn from(failure: ErrorDetails) -> Self {
        Self(Box::new(failure))
    }
}

impl fmt::Display for ErrorDetails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, subject, message, .. } = self;
        match kind {
            // These messages name their subject.
            CloudErrorKind::Unreachable
            | CloudErrorKind::TimedOut
            | CloudErrorKind::CredentialsMissing
            | CloudErrorKind::File => {
                return f.write_str(message);
            }
            CloudErrorKind::WrongBytes { expected, got } => {
                return write!(f, "`{subject}` has other bytes than expected: {got} instead of {expected}");
            }
            CloudErrorKind::NotFound => write!(f, "`{subject}` was not found: {message}")?,
            CloudErrorKind::PreconditionFailed => {
                write!(f, "`{subject}` was changed by somebody else: {message}")?
            }
            CloudErrorKind::Conflict => write!(f, "`{subject}` cannot be changed right now: {message}")?,
            CloudErrorKind::AccessDenied => write!(f, "access to `{subject}` was denied: {message}")?,
            CloudErrorKind::Throttled => write!(f, "too many requests for `{subject}`: {message}")?,
            CloudErrorKind::Other => write!(f, "`{subject}`: {message}")?,
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
    /// Creates an error that no service sent, for callers' own implementations of ports.
    pub fn new(
        kind: CloudErrorKind,
        service: &'static str,
        operation: &'static str,
        subject: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        let (subject, message) = (subject.into(), message.into());
        ErrorDetails { kind, service, operation, subject, code: None, message, request_id: None }.into()
    }

    pub(crate) fn at(context: &CallContext<'_>, kind: CloudErrorKind, message: impl Into<String>) -> Self {
        Self::new(kind, context.service, context.operation, context.subject, message)
    }

    pub(crate) fn wrong_bytes(context: &CallContext<'_>, expected: Digest, got: Digest) -> Self {
        Self::at(context, CloudErrorKind::WrongBytes { expected, got }, "other bytes than expected")
    }

    pub(crate) fn file(context: &CallContext<'_>, path: &Path, error: &std::io::Error) -> Self {
        let path = path.display().to_string();
        let message = format!("`{path}`: {error} ({} of `{}`)", context.operation, context.subject);
        Self::new(CloudErrorKind::File, context.service, context.operation, path, message)
    }

    /// Returns the error for a response's body that was cut off.
    pub(crate) fn body(context: &CallContext<'_>, error: &(dyn Error + 'static)) -> Self {
        let CallContext { service, subject, endpoint, .. } = context;
        let message =
            format!("{service} at {endpoint} cut off the response about `{subject}`: {}", root_cause(error));
        Self::at(context, CloudErrorKind::Unreachable, message)
    }

    /// Returns the error of the call that was to fetch credentials, or one that says that none were found.
    pub(crate) fn from_credentials(context: &CallContext<'_>, error: &CredentialsError) -> Self {
        find_source::<Self>(error).cloned().unwrap_or_else(|| {
            let CallContext { service, subject, .. } = context;
            let cause = root_cause(error);
            // The chain appends a list of everything that it tried.
            let cause = cause.split(". Attempted").next().unwrap_or_default();
            let message = format!("no credentials for {service} (`{subject}`) were found: {cause}");
            Self::at(context, CloudErrorKind::CredentialsMissing, message)
        })
    }

    pub(crate) fn from_sdk<E>(context: &CallContext<'_>, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let status = error.raw_response().map(|response| response.status().as_u16());
        let request_id = error.request_id().map(str::to_owned);
        let code = error.meta().code().map(str::to_owned);
        if matches!(error, SdkError::ServiceError(_)) {
            let kind = error_kind(code.as_deref(), status);
            let message = error.meta().message().map(str::to_owned);
            let mut message = message.unwrap_or_else(|| match status {
                Some(200..=299) => format!("the response cannot be read: {}", root_cause(error)),
                _ => default_message(kind, status),
            });
            if kind == CloudErrorKind::CredentialsMissing {
                message = format!("{} did not accept the credentials: {message}", context.service);
            }
            let (service, operation) = (context.service, context.operation);
            let subject = context.subject.to_owned();
            return ErrorDetails { kind, service, operation, subject, code, message, request_id }.into();
        }
        if let Some(credentials) = find_source::<CredentialsError>(error) {
            return Self::from_credentials(context, credentials);
        }
        let CallContext { service, subject, endpoint, .. } = context;
        let cause = root_cause(error);
        let (kind, message) = match error {
            SdkError::TimeoutError(_) => (
                CloudErrorKind::TimedOut,
                format!("{service} at {endpoint} did not respond in time about `{subject}`: {cause}"),
            ),
            SdkError::DispatchFailure(_) => (
                CloudErrorKind::Unreachable,
                format!("{service} at {endpoint} cannot be reached (`{subject}`): {cause}"),
            ),
            SdkError::ResponseError(_) => (
                CloudErrorKind::Other,
                format!("{service} at {endpoint} sent a response that cannot be read: {cause}"),
            ),
            _ => (CloudErrorKind::Other, cause),
        };
        ErrorDetails { request_id, ..(*Self::at(context, kind, message).0) }.into()
    }
}

fn error_kind(code: Option<&str>, status: Option<u16>) -> CloudErrorKind {
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
        | "ResourceNotFoundException" => CloudErrorKind::NotFound,
        "PreconditionFailed" | "PreconditionFailedException" => CloudErrorKind::PreconditionFailed,
        "ConditionalRequestConflict"
        | "OperationAborted"
        | "ResourceConflictException"
        | "AlreadyExistsException"
        | "RepositoryAlreadyExistsException"
        | "DisabledException"
        | "KMSInvalidStateException" => CloudErrorKind::Conflict,
        "ExpiredToken"
        | "ExpiredTokenException"
        | "InvalidAccessKeyId"
        | "InvalidClientTokenId"
        | "InvalidToken"
        | "SignatureDoesNotMatch"
        | "InvalidSignatureException"
        | "UnrecognizedClientException" => CloudErrorKind::CredentialsMissing,
        "SlowDown"
        | "Throttling"
        | "ThrottlingException"
        | "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "EC2ThrottledException" => CloudErrorKind::Throttled,
        denied if denied.contains("AccessDenied") || denied == "Forbidden" => CloudErrorKind::AccessDenied,
        _ => match status {
            Some(401 | 403) => CloudErrorKind::AccessDenied,
            Some(404) => CloudErrorKind::NotFound,
            Some(409) => CloudErrorKind::Conflict,
            Some(412) => CloudErrorKind::PreconditionFailed,
            Some(429 | 503) => CloudErrorKind::Throttled,
            Some(504) => CloudErrorKind::TimedOut,
            _ => CloudErrorKind::Other,
        },
    }
}

fn default_message(kind: CloudErrorKind, status: Option<u16>) -> String {
    let status = status.map_or_else(String::new, |status| format!("HTTP status {status}"));
    match kind {
        CloudErrorKind::NotFound => "it does not exist".to_owned(),
        CloudErrorKind::AccessDenied => format!("the credentials do not allow it ({status})"),
        _ => status,
    }
}

fn find_source<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

pub(crate) fn root_cause(error: &(dyn Error + 'static)) -> String {
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
    fn error_code_decides_the_kind_and_the_status_does_without_one() {
        assert_eq!(error_kind(Some("NoSuchKey"), Some(404)), CloudErrorKind::NotFound);
        assert_eq!(error_kind(Some("SlowDown"), Some(503)), CloudErrorKind::Throttled);
        assert_eq!(error_kind(Some("ExpiredToken"), Some(400)), CloudErrorKind::CredentialsMissing);
        assert_eq!(error_kind(Some("KMSAccessDeniedException"), Some(502)), CloudErrorKind::AccessDenied);
        assert_eq!(error_kind(None, Some(412)), CloudErrorKind::PreconditionFailed);
        assert_eq!(error_kind(None, Some(403)), CloudErrorKind::AccessDenied);
        assert_eq!(error_kind(Some("InvalidParameterValueException"), Some(400)), CloudErrorKind::Other);
    }

    #[test]
    fn error_message_names_subject_call_code_and_request() {
        let error = CloudError::from(ErrorDetails {
            kind: CloudErrorKind::AccessDenied,
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
