//! The crate against a real moto, and against a scripted server where moto has no such quirk.
//!
//! `SLIPWAY_MOTO_SERVER` names the executable. Without it the tests that need it are left out and say so;
//! with `CI=true` they fail instead.

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
