//! The registry client against Debian's `docker-registry`, and against a fake that shows Amazon's quirks and every
//! fault that a test can think of.
//!
//! Without `docker-registry` or `skopeo` on PATH the tests that need them are left out and say so; with `CI=true`
//! they fail instead.

#![expect(clippy::unwrap_used, reason = "what fails here fails its test, in helpers as well")]

mod attachments;
mod content;
mod copies;
mod debian;
mod fake;
mod faults;
mod images;
mod logins;
