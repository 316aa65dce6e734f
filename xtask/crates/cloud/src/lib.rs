//! Object stores, Lambda functions, signing keys and image registries in an AWS account, or in an emulator of one.
//!
//! In: a [`SessionConfig`] (region, credentials, role, endpoints) from the caller. Out: a [`Session`], and from it an
//! [`ObjectStore`] for each bucket, the account's [`Functions`], its ECR registry ([`Ecr`]) and a [`KmsKey`] to sign
//! with. A [`Registry`] is any OCI registry, ECR or not. No public item here has a type of the AWS SDK, and no other
//! crate names one. Nothing here knows of releases.
//!
//! Errors: a [`CloudError`] says what was called, on what, and has a [`CloudErrorKind`] to decide by. Every call is shown
//! to the [`Observer`] that the session was opened with.
//!
//! Apart from the credential chain of [`Credentials::Ambient`] and the proxy variables (`HTTPS_PROXY`, `NO_PROXY`),
//! nothing is read from environment variables or profiles: everything that a call depends on is in the
//! configuration.

mod call;
mod ecr;
mod error;
mod existing;
mod functions;
mod http;
mod quotas;
mod registry;
mod session;
mod signing;
mod store;

pub use call::{Call, CallOutcome, Observer};
pub use ecr::{Ecr, Repository, ScanFinding, ScanFindings};
pub use error::{CloudError, CloudErrorKind, ErrorDetails};
pub use existing::{ExistingResource, Resource};
pub use functions::{Alias, FunctionConfiguration, Functions, ImageConfiguration, Invocation, Logging};
pub use http::{HttpRequest, HttpResponse};
pub use quotas::{LambdaLimits, Quota};
pub use registry::{
    Anonymous, Attachment, BlobProgress, BlobSource, BlobToPush, CredentialHelper, Descriptor,
    DockerCredentials, HelperOutput, ImageReference, ImageToPush, Login, Pushed, PushedImage, ReferenceError,
    Referrer, Registry, RegistryCredentials, RegistryOptions, StoredManifest,
};
pub use session::{AssumeRole, Credentials, Identity, Session, SessionConfig};
pub use signing::{KmsKey, PublicKey};
pub use slipway_values::digest::{Digest, DigestError};
pub use store::{ListedObject, Object, ObjectInfo, ObjectStore, Ownership, Put, UploadOptions};
