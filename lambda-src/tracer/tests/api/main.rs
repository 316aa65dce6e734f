//! The function's handler with whole events, against a real moto: no part of it is replaced.
//!
//! `SLIPWAY_MOTO_SERVER` names moto's executable; without it, the one that Slipway installed under the repository's
//! `target/slipway/tools` is taken. Where there is none, the tests are left out and say so; with `CI=true` they fail.

#![expect(clippy::unwrap_used, reason = "what fails here fails its test, in helpers as well")]

mod access;
mod faults;
mod listing;
mod log;
mod moto;
mod records;
mod turns;
mod world;
