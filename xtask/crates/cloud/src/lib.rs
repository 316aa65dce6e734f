//! Object stores, Lambda functions, signing keys and image registries in an AWS account, or in an emulator of one.
//!
//! In: a [`Target`] (region, credentials, role, endpoints), settled by the caller. Out: a [`Session`], and
//! from it an [`ObjectStore`] for each bucket, the account's [`Functions`], its image registry ([`Ecr`]) and a
//! [`KmsKey`] to sign with. A [`Registry`] is any OCI registry, Amazon's or not. No type of the AWS SDK
//! appears in what is public here, and no other crate names one. Nothing here knows of releases.
//!
//! What can go wrong is a [`CloudError`]: what was called, on what, and a [`Kind`] to decide by. Every call
//! is shown to the [`Observer`] that the session was opened with.
//!
//! Apart from the credential chain of [`Credentials::Ambient`] and the proxy variables (`HTTPS_PROXY`,
//! `NO_PROXY`), nothing is taken from environment variables or profiles: what a call depends on is in the
//! target.

pub use slipway_values::digest::{Digest, DigestError};

mod call;
mod ecr;
mod error;
mod existing;
mod functions;
mod http;
mod registry;
mod session;
mod sha256;
mod signing;
mod store;

pub use call::{Call, Observer, Outcome};
pub use ecr::{Ecr, Repository, ScanFinding, ScanFindings};
pub use error::{CloudError, Failure, Kind};
pub use existing::{Found, Resource};
pub use functions::{Alias, FunctionConfiguration, Functions, ImageConfiguration, Invocation, Logging};
pub use http::{HttpAnswer, HttpRequest};
pub use registry::{
    Anonymous, Attachment, BlobProgress, BlobSource, BlobToPush, CredentialHelper, Descriptor,
    DockerCredentials, HelperOutput, ImageReference, ImageToPush, Login, Pushed, PushedImage, ReferenceError,
    Referrer, Registry, RegistryCredentials, RegistryOptions, StoredManifest,
};
pub use session::{AssumeRole, Credentials, Identity, Session, Target};
pub use signing::{KmsKey, PublicKey};
pub use store::{Head, Listed, Object, ObjectStore, Ownership, Put, Uploads};
