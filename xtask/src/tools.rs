//! The programs that Slipway runs, each behind a file that knows its command line and its words.

pub(crate) mod cargo;
pub(crate) mod cargo_tree;
pub(crate) mod git;
pub(crate) mod install;
pub(crate) mod terraform;
pub(crate) mod uv;
