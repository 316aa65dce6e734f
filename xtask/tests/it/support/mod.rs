//! Shared by the tests: sandboxes, the project in them, the emulated AWS behind them.

pub mod account;
pub mod base_images;
pub mod commands;
pub mod differences;
pub mod echo;
pub mod echo_project;
pub mod http;
pub mod machine;
pub mod observed_state;
pub mod packages;
pub mod process;
#[path = "../../../../tests/support/programs.rs"]
pub mod programs;
pub mod proxy;
pub mod python;
pub mod registry;
pub mod remaining_resources;
pub mod repository_copy;
pub mod rounds;
pub mod sandbox;
pub mod settings_files;
#[path = "../../../../tests/support/skip.rs"]
pub mod skip;
pub mod test_run;
pub mod two_environments;

pub use echo_project::EchoProject;
pub use observed_state::{ObservedState, redacted};
pub use process::Running;
pub use test_run::TestRun;
