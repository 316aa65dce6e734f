//! A file that gets its final name only when it is complete.
//!
//! In: the final name. Out: a temporary file in the same folder, which [`AtomicFile::commit`] renames to the final name
//! and syncs to disk. Errors: the folder does not exist or is not writable, or the disk is full; the final name then has
//! its previous content. A killed run leaves at most a `.slipway-*.part`.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::Error;

/// A temporary file with a final name; dropped before it is committed, it is deleted.
pub(crate) struct AtomicFile {
    file: NamedTempFile,
    to: PathBuf,
}

impl AtomicFile {
    /// Creates the temporary file in the folder of `to`, with the mode of any new file.
    pub(crate) fn create_beside(to: &Path) -> Result<Self, Error> {
        let folder = folder_of(to);
        let file = tempfile::Builder::new()
            .prefix(".slipway-")
            .suffix(".part")
            .permissions(fs::Permissions::from_mode(0o666)) // minus the umask
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

    /// Renames the file to its final name; content and name survive a power cut.
    pub(crate) fn commit(self) -> Result<(), Error> {
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
