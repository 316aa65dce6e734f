//! A file that takes its final name only when it is whole.
//!
//! In: the final name. Out: a temporary file beside it, and, once everything is in it, that file under the final
//! name, on the disk. What can go wrong: the folder is missing or may not be written, or the disk is full; the
//! final name then still holds what it held before. A killed run leaves at most a `.slipway-*.part`.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::Error;

/// A file on its way to its final name; dropped before that, it vanishes.
pub(crate) struct Part {
    file: NamedTempFile,
    to: PathBuf,
}

impl Part {
    /// Creates the temporary file beside `to`, with the mode that any new file gets.
    pub(crate) fn beside(to: &Path) -> Result<Self, Error> {
        let folder = folder_of(to);
        let file = tempfile::Builder::new()
            .prefix(".slipway-")
            .suffix(".part")
            .permissions(fs::Permissions::from_mode(0o666)) // less the umask
            .tempfile_in(folder)
            .map_err(Error::io("create a temporary file in", folder))?;
        Ok(Self { file, to: to.to_owned() })
    }

    pub(crate) fn file(&self) -> &File {
        self.file.as_file()
    }

    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    /// Renames the finished file and makes its content and the renaming itself survive a power cut.
    pub(crate) fn put_in_place(self) -> Result<(), Error> {
        self.file().sync_all().map_err(Error::io("write", &self.to))?;
        let Self { file, to } = self;
        file.persist(&to).map_err(|error| Error::io("write", &to)(error.error))?;
        let folder = folder_of(&to);
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::io("write", folder))
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
