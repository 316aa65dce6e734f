//! The logs of the local environment: one of each server, and one of each function that ran.

use std::path::{Path, PathBuf};

use crate::failure::{self, Result};
use crate::name::FunctionName;

/// Returns the last lines of each file, file after file.
pub(crate) fn last_lines(files: &[PathBuf], lines: usize) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(path).map_err(|error| failure::io("read", path, error))?;
        let last: Vec<&str> = text.lines().rev().take(lines).collect();
        all.extend(last.into_iter().rev().map(str::to_owned));
    }
    Ok(all)
}

/// Returns the logs in a folder and its subfolders.
pub(crate) fn log_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = Vec::new();
    let mut pending = vec![folder.to_path_buf()];
    while let Some(folder) = pending.pop() {
        for entry in folder.read_dir().into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() && path.file_name().is_some_and(|name| name != "work") {
                pending.push(path);
            } else if path.extension().is_some_and(|extension| extension == "log") {
                files.push(path);
            }
        }
    }
    files
}

/// Returns the function of the project that wrote a log: of those whose name ends the log's, the one with the longest name.
///
/// Terraform puts a prefix before the name, so `shop-local-bucket-api.log` ends with `api` as well as with `bucket-api`.
pub(crate) fn function_of_log<'a>(
    path: &Path,
    functions: impl Iterator<Item = &'a FunctionName>,
) -> Option<&'a FunctionName> {
    let stem = path.file_stem()?.to_string_lossy();
    let ends_log = |function: &&FunctionName| {
        let prefix = stem.strip_suffix(function.as_str());
        prefix.is_some_and(|prefix| prefix.is_empty() || prefix.ends_with('-'))
    };
    functions.filter(ends_log).max_by_key(|function| function.as_str().len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_belongs_to_the_function_with_the_longest_matching_name() {
        let functions = ["api", "bucket-api"].map(|name| name.parse::<FunctionName>().unwrap());
        let function_of =
            |log: &str| function_of_log(Path::new(log), functions.iter()).map(|name| name.as_str());
        assert_eq!(function_of("logs/shop-local-api.log"), Some("api"));
        assert_eq!(function_of("logs/shop-local-bucket-api.log"), Some("bucket-api"));
        assert_eq!(function_of("logs/bucket-api.log"), Some("bucket-api"));
        assert_eq!(function_of("logs/shop-local-rapi.log"), None);
        assert_eq!(function_of("gateway.log"), None);
    }
}
