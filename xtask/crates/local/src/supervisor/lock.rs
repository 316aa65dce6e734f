//! The folder of a local environment, and the lock that lets one command at a time change the environment.

use super::error::Error;
use super::event::Event;
use crate::layout;
use std::fs::{DirBuilder, File, TryLockError};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Creates the folder if it is missing, accessible by its owner only, and returns its canonical path.
pub(super) fn create_folder(folder: &Path) -> Result<PathBuf, Error> {
    let failed = |source| Error::Folder { path: folder.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    folder.canonicalize().map_err(failed)
}

/// An flock(2) on `<folder>/lock`. The system releases it when its holder ends.
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Waits until no other command holds the lock.
    pub(super) async fn acquire(
        folder: &Path,
        report: &(dyn Fn(Event) + Send + Sync),
    ) -> Result<Self, Error> {
        let path = layout::lock(folder);
        let failed = |source| Error::Folder { path: path.clone(), source };
        let file = File::options().create(true).append(true).open(&path).map_err(failed)?;
        let mut reported = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) if reported => {}
                Err(TryLockError::WouldBlock) => {
                    reported = true;
                    report(Event::Waiting { lock: path.clone() });
                }
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
