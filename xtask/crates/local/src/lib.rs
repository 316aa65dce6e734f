//! The local environment: an AWS account on one machine.
//!
//! [`keeper`] starts, finds and stops two servers that outlive the command: moto (the emulator) and the Lambda
//! gateway. [`gateway`] answers Lambda's Invoke by running the published artifact, feeds functions from streams, answers
//! their URLs and HTTP APIs, is a registry of images, and forwards everything else to moto. [`function_url`] puts an HTTP
//! server in front of one function; [`lambda_url_address`] and [`api_address`] tell where the gateway answers an address
//! of the cloud; [`find_python`] which interpreter runs a Python function. Nothing here knows of releases: functions are what the emulator says they are.

mod addresses;
mod emulator;
pub mod function_url;
pub mod gateway;
mod http;
mod http_event;
pub mod keeper;
mod process;
mod procfs;
mod registry;
mod signing;
mod state;

pub use addresses::{EXECUTE_API_PATH, LAMBDA_URL_PATH, api_address, lambda_url_address, local_address};
pub use gateway::{Interpreter, find_python, link_python, places_of_python};
pub use state::{Dead, Server, State, Status};
