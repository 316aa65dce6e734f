//! The crate against a real moto, and against a scripted server for what moto does not do.
//!
//! `SLIPWAY_MOTO_SERVER` names moto's executable. Without it the tests that need moto are skipped (see `skip`).

#![expect(clippy::unwrap_used, reason = "what fails here fails its test, in helpers as well")]

mod content;
mod ecr;
mod files;
mod functions;
mod interrupted;
mod moto;
mod objects;
mod scripted;
mod sessions;
mod signing;
#[path = "../../../../../tests/support/skip.rs"]
mod skip;
