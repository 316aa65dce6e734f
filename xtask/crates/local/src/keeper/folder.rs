//! The keeper's folder and the lock that lets one command at a time change what is kept in it.

use super::{Error, Event};
use std::fs::{DirBuilder, File, TryLockError};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Makes the folder where it is missing, for its owner alone, and gives its one true path.
pub(super) fn prepare(folder: &Path) -> Result<PathBuf, Error> {
    let failed = |source| Error::Folder { path: folder.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    folder.canonicalize().map_err(failed)
}

/// An flock(2) on `<folder>/lock`; the system lets go of it when its holder dies.
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Waits until the folder is ours.
    pub(super) async fn acquire(
        folder: &Path,
        report: &(dyn Fn(Event) + Send + Sync),
    ) -> Result<Self, Error> {
        let path = folder.join("lock");
        let failed = |source| Error::Folder { path: path.clone(), source };
        let file = File::options().create(true).append(true).open(&path).map_err(failed)?;
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) if told => {}
                Err(TryLockError::WouldBlock) => {
                    told = true;
                    report(Event::Waiting { lock: path.clone() });
                }
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
