//! Slipway's values: what things are called, what identifies bytes, what went wrong and how it is written for people.
//!
//! Nothing here reads a file, asks a service or looks at a clock.

pub mod digest;
pub mod failure;
pub mod format;
pub mod name;
pub mod partition;
