//! Drives the real executable in sealed worlds: a project, a home and an account of its own for each test, one emulated
//! AWS for all of them, the real git, Terraform and builder.
//!
//! In: the executable under test, Terraform on the PATH, Slipway's tool folder. Where one of them is missing the tests
//! are left out and say so; with CI=true that is a failure. Nothing is left running: see `support::guard`.

mod back;
mod bases;
mod bootstrap;
mod cloud;
mod concurrency;
mod environments;
mod half_applied;
mod kill;
mod kinds;
mod modules;
mod namespaces;
mod provider;
mod python;
mod refusals;
mod reproducible;
mod secrets;
mod signals;
mod signing;
mod stacks;
mod story;
mod support;
mod systems;
