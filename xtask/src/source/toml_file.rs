//! TOML files of other tools, which Slipway reads in part.

use std::path::Path;

use toml::Table;

use super::text_file;
use crate::failure::{self, Failure, Result};

/// Reads a TOML file.
pub(super) fn read(path: &Path) -> Result<Table> {
    let text = text_file::read(path).map_err(|error| failure::io("read", path, error))?;
    parse(path, &text)
}

/// Reads the text of a TOML file; `path` names it in errors.
pub(super) fn parse(path: &Path, text: &str) -> Result<Table> {
    text.parse().map_err(|error: toml::de::Error| {
        Failure::usage(format!("{} cannot be read as TOML", path.display())).caused_by(error)
    })
}
