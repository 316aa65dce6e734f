//! The local environment: an AWS account on one machine.
//!
//! [`keeper`] starts, finds and stops two servers that outlive the command: moto (the emulator) and the Lambda
//! gateway. [`gateway`] answers Lambda's Invoke by running the published artifact, is a registry of images, and forwards
//! everything else to moto. [`function_url`] puts an HTTP server in front of one function. Nothing here knows of releases: functions
//! are what the emulator says they are.

mod emulator;
pub mod function_url;
pub mod gateway;
mod http;
pub mod keeper;
mod process;
mod procfs;
mod registry;
mod state;

pub use state::{Dead, Server, State, Status};
