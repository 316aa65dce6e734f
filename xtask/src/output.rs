//! Everything that Slipway prints: progress on stderr, data on stdout. One value is rendered as text, JSON or markdown.

mod console;
mod deliveries;
mod dotenv;
pub(crate) mod drift;
mod events;
mod harmless;
pub(crate) mod html;
mod json;
pub(crate) mod markdown;
mod masks;
mod promotion;
mod table;
mod text;

pub(crate) use console::{Console, Verbosity};
pub(crate) use deliveries::{deliveries_text, rollback_text};
pub(crate) use dotenv::dotenv;
pub(crate) use events::RunLog;
#[cfg(test)]
pub(crate) use json::Document;
pub(crate) use json::document;
pub(crate) use promotion::{EnvironmentNotes, Promoted, notes_text, promotion_text};
pub(crate) use table::Table;
pub(crate) use text::failure_text;

/// The format of the data on stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum OutputFormat {
    /// Text for people.
    Text,
    /// One JSON document.
    Json,
    /// NAME=value lines, for `output` alone.
    Dotenv,
}
