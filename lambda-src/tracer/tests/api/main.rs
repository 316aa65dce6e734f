//! The function's handler with whole events, against a real moto: no part of it is replaced.
//!
//! Without moto the tests are skipped (see `moto` and `skip`).

#![expect(clippy::unwrap_used, reason = "what fails here fails its test, in helpers as well")]

mod access;
mod faults;
mod fixture;
mod listing;
mod log;
#[path = "../../../../tests/support/moto.rs"]
mod moto;
mod records;
mod serialization;
#[path = "../../../../tests/support/skip.rs"]
mod skip;
