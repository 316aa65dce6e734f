//! The programs that Slipway runs; each file builds the command lines of one program and parses its output.

pub(crate) mod cargo;
pub(crate) mod cargo_tree;
pub(crate) mod git;
pub(crate) mod install;
pub(crate) mod terraform;
pub(crate) mod uv;
