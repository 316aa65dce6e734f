//! What a person or a program reads: progress on stderr, data on stdout; one value rendered as text or JSON.

mod console;
mod events;
mod json;
mod table;
mod text;

pub(crate) use console::{Console, Verbosity};
pub(crate) use events::RunLog;
#[cfg(test)]
pub(crate) use json::Document;
pub(crate) use json::document;
pub(crate) use table::Table;
pub(crate) use text::failure_text;

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum OutputFormat {
    /// For people.
    Text,
    /// One JSON document.
    Json,
    /// NAME=value lines, for `output` alone.
    Dotenv,
}
