//! Object stores and Lambda functions in an AWS account, or in an emulator of one.
//!
//! In: a [`Target`] (region, credentials, role, endpoints), settled by the caller. Out: a [`Session`], and
//! from it an [`ObjectStore`] for each bucket and the account's [`Functions`]. No type of the AWS SDK
//! appears in what is public here, and no other crate names one. Nothing here knows of releases.
//!
//! What can go wrong is a [`CloudError`]: what was called, on what, and a [`Kind`] to decide by. Every call
//! is shown to the [`Observer`] that the session was opened with.
//!
//! Apart from the credential chain of [`Credentials::Ambient`] and the proxy variables (`HTTPS_PROXY`,
//! `NO_PROXY`), nothing is taken from environment variables or profiles: what a call depends on is in the
//! target.

mod call;
mod error;
mod functions;
mod session;
mod sha256;
mod store;

pub use call::{Call, Observer, Outcome};
pub use error::{CloudError, Failure, Kind};
pub use functions::{Alias, FunctionConfiguration, Functions, ImageConfiguration, Invocation, Logging};
pub use session::{AssumeRole, Credentials, Identity, Session, Target};
pub use store::{Head, Listed, Object, ObjectStore, Put, Uploads};
