//! The local environment: an AWS account on this machine.
//!
//! [`supervisor`] starts, finds and stops two servers that outlive the command: moto, the emulator, and the Lambda
//! gateway. [`gateway`] runs functions from their published artifacts, polls streams for them, serves their URLs and HTTP
//! APIs, is an image registry, and forwards all other requests to moto. [`function_url`] serves one function over HTTP.
//! [`lambda_url_address`] and [`api_address`] translate cloud addresses to the gateway's. [`find_python`] finds the
//! interpreter that runs a Python function. Nothing here knows of releases: the emulator says which functions exist.

mod addresses;
mod emulator;
mod error_chain;
pub mod function_url;
pub mod gateway;
mod http;
mod http_event;
mod id;
mod layout;
#[cfg(test)]
mod module_graph;
mod open_files;
mod programs;
mod registry;
mod signing;
mod state;
pub mod supervisor;

pub use addresses::{EXECUTE_API_PATH, LAMBDA_URL_PATH, api_address, lambda_url_address, local_address};
pub use gateway::python::{Interpreter, find_python, link_python, python_search_paths};
pub use state::{Component, DeadServer, Server, State, StateError, Status};
