//! The reply: what was built and with what, or why not.
//!
//! What comes in: a [`Built`] or a [`Failure`]. What goes out: a JSON file that is either whole or not there
//! (written beside its place, then renamed). What can go wrong: the folder can't be written; the error names
//! the file.

use crate::{failure::Failure, toolchain::Tools};
use serde_json::{Value, json};
use std::{
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
};
use thiserror::Error;

const SCHEMA: u32 = 1;

/// What a build left behind.
#[derive(Debug)]
pub(crate) struct Built {
    /// The `bootstrap` file.
    pub(crate) binary: PathBuf,
    pub(crate) tools: Tools,
    /// All flags that rustc got from cargo's configuration and from the request, in order.
    pub(crate) rustflags: Vec<String>,
}

/// Says why the reply file could not be removed or written.
#[derive(Debug, Error)]
#[error("reply {}: {source}", path.display())]
pub(crate) struct ReplyError {
    path: PathBuf,
    source: io::Error,
}

/// Tells of a success.
pub(crate) fn built(built: &Built) -> Value {
    json!({
        "schema": SCHEMA, "ok": true,
        "binary": built.binary, "tools": built.tools, "rustflags": built.rustflags,
    })
}

/// Tells of a failure.
pub(crate) fn failed(failure: &Failure) -> Value {
    json!({
        "schema": SCHEMA, "ok": false,
        "error": { "kind": failure.kind(), "message": failure.to_string(), "hint": failure.hint() },
    })
}

/// Removes an earlier run's reply, so that it can't be taken for this one's.
pub(crate) fn clear(path: &Path) -> Result<(), ReplyError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(ReplyError { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// Writes the reply: whole, or not at all.
pub(crate) fn write(path: &Path, document: &Value) -> Result<(), ReplyError> {
    let wrap = |source| ReplyError { path: path.to_owned(), source };
    let folder = path.parent().unwrap_or(Path::new("/"));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(wrap)?;
    writeln!(file, "{document:#}").map_err(wrap)?;
    file.as_file().sync_all().map_err(wrap)?;
    file.persist(path).map_err(|error| wrap(error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Kind;

    #[test]
    fn a_reply_replaces_an_earlier_one_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("reply.json");
        fs::write(&path, "old").unwrap();
        write(&path, &json!({"ok": true})).unwrap();
        let read: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(read, json!({"ok": true}));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        clear(&path).unwrap();
        assert!(!path.exists());
        clear(&path).unwrap();
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let message = write(Path::new("/nowhere/reply.json"), &json!({})).unwrap_err().to_string();
        assert!(message.starts_with("reply /nowhere/reply.json: "), "{message}");
    }

    #[test]
    fn a_failure_carries_kind_message_and_hint() {
        let failure = Failure::TargetMissing {
            triple: "aarch64-unknown-linux-gnu".into(),
            folder: "/sysroot/lib/rustlib/aarch64-unknown-linux-gnu/lib".into(),
        };
        assert_eq!(failure.kind(), Kind::TargetMissing);
        let error = &failed(&failure)["error"];
        assert_eq!(error["kind"], "target_missing");
        assert!(error["message"].as_str().unwrap().contains("aarch64-unknown-linux-gnu"));
        assert_eq!(error["hint"], "rustup target add aarch64-unknown-linux-gnu");
    }
}
