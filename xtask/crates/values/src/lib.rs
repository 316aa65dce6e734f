//! Slipway's values: names, versions, digests, runtimes and failures, and how they are formatted for people.
//!
//! Nothing here reads a file, calls a service or looks at a clock.

pub mod architecture;
pub mod digest;
pub mod failure;
pub mod format;
pub mod name;
pub mod partition;
pub mod runtime;
pub mod schema;
