//! The indexes that a function's requirements name, which an installation of its lock needs as well.
//!
//! In: the options of `requirements.in` and of the lists that it includes; `[[tool.uv.index]]` of `pyproject.toml`. Out:
//! [`PackageIndexes`]. They are read from the same files at every build, never written into the lock: a lock has no
//! credentials, and its digest says that the files are those that it was made from.

use std::path::Path;

use toml::Value;

use super::value_of;
use crate::failure::{Failure, Result};

/// The indexes that requirements name, in the two forms in which uv takes them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PackageIndexes {
    /// Lines of a requirements file, such as `--extra-index-url https://…`. uv replaces `${NAME}` in them by an environment
    /// variable, which keeps credentials out of files and command lines.
    pub(crate) lines: Vec<String>,
    /// Words of a command line, such as `--index` and `name=https://…`: uv finds the credentials of an index by its name.
    pub(crate) options: Vec<String>,
}

impl PackageIndexes {
    /// Adds the index that a line of a requirements file in `folder` names, if it does.
    pub(super) fn read_line(&mut self, line: &str, folder: &Path) {
        if line == "--no-index" {
            self.lines.push(line.to_owned());
        } else if let Some(place) = value_of(line, &["--find-links", "-f"]) {
            let local = !place.contains("://") && !place.starts_with('$');
            let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
            let place = if local { folder.join(place).display().to_string() } else { place.to_owned() };
            self.lines.push(format!("--find-links {place}"));
        } else if let Some(url) = value_of(line, &["--extra-index-url"]) {
            self.lines.push(format!("--extra-index-url {url}"));
        } else if let Some(url) = value_of(line, &["--index-url", "-i"]) {
            self.lines.push(format!("--index-url {url}"));
        }
    }

    /// Reads `[[tool.uv.index]]`; `uv` is the table `[tool.uv]` of a `pyproject.toml`.
    ///
    /// An index that is `explicit` is offered for all packages here. That is safe because each file has a hash in the lock.
    pub(super) fn of_project(path: &Path, uv: Option<&Value>) -> Result<Self> {
        let mut indexes = Self::default();
        for index in uv.and_then(|uv| uv.get("index")).and_then(Value::as_array).into_iter().flatten() {
            let text = |key: &str| index.get(key).and_then(Value::as_str);
            let Some(url) = text("url") else { continue };
            if has_credentials(url) {
                let name = text("name").unwrap_or("<name>").to_ascii_uppercase().replace(['-', '.'], "_");
                return Err(Failure::usage(format!(
                    "the URL of an index in {} has credentials in it",
                    path.display()
                ))
                .unchanged("Nothing was built or locked.")
                .hint(format!(
                    "write the URL without them, and set UV_INDEX_{name}_USERNAME and UV_INDEX_{name}_PASSWORD, or use a netrc file"
                )));
            }
            let option = match index.get("default").and_then(Value::as_bool) {
                Some(true) => "--default-index",
                _ => "--index",
            };
            let named = text("name").map_or_else(|| url.to_owned(), |name| format!("{name}={url}"));
            indexes.options.extend([option.to_owned(), named]);
        }
        Ok(indexes)
    }
}

/// Returns whether a URL has a user or password in it; a name for an environment variable, as in `${TOKEN}`, is neither.
pub(super) fn has_credentials(url: &str) -> bool {
    let Some((_, rest)) = url.split_once("://") else { return false };
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let Some((user, _)) = authority.rsplit_once('@') else { return false };
    // `git@host` is the user of every SSH server of git's.
    user != "git"
        && user.split(':').any(|part| !(part.is_empty() || part.starts_with("${") && part.ends_with('}')))
}
