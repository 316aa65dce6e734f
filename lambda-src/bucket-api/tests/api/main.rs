//! The function's handler with whole events, against a real moto: no part of it is replaced.
//!
//! Without moto the tests are skipped (see `moto` and `skip`).

#![expect(clippy::unwrap_used, reason = "what fails here fails its test, in helpers as well")]

mod faults;
mod fixture;
#[path = "../../../../tests/support/moto.rs"]
mod moto;
mod objects;
#[path = "../../../../tests/support/skip.rs"]
mod skip;
