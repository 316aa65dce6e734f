//! Runs the real executable in sandboxes: each test has its own project, home and account; all share one emulated AWS; git,
//! Terraform and the builder are the real ones.
//!
//! In: the executable under test, Terraform on the PATH, Slipway's tool folder. Where one of them is missing the tests
//! are skipped (see `support::skip`). Nothing is left running (see `support::test_run`).

mod adopted_state;
mod adopting;
mod aws_provider;
mod base_images;
mod before_traffic;
mod bootstrap;
mod bootstrap_trust;
mod chaos;
mod concurrency;
mod contract;
mod crash_recovery;
mod doctor;
mod drift;
mod environments;
mod harmless_output;
mod held_locks;
mod lock_files;
mod lock_tables;
mod lost_answers;
mod many_functions;
mod modules;
mod mutations;
mod namespaces;
mod origins;
mod package_types;
mod partial_apply;
mod planted_secrets;
mod promotion;
mod protection;
mod provenance;
mod prune;
mod python;
mod refusals;
mod release_lifecycle;
mod replaced_objects;
mod reproducible;
mod road;
mod roles_of_the_account;
mod rollback;
mod rust_inputs;
mod saved_plans;
mod secrets;
mod signals;
mod signing;
mod skipped_tests;
mod stack_files;
mod stacks;
mod support;
mod systems;
mod two_emulated;
mod typed_commands;
mod typed_states;
mod undo;
mod unknown_resources;
mod unsaved_states;
