//! The registry client against Debian's `docker-registry`, and against a fake with ECR's quirks and every fault that a
//! test needs.
//!
//! Without `docker-registry` or `skopeo` on the PATH the tests that need them are skipped (see `skip`).

#![expect(clippy::unwrap_used, reason = "what fails here fails its test, in helpers as well")]

mod attachments;
mod content;
mod copies;
mod docker_registry;
mod fake;
mod faults;
mod images;
mod logins;
#[path = "../../../../../tests/support/programs.rs"]
mod programs;
#[path = "../../../../../tests/support/skip.rs"]
mod skip;
