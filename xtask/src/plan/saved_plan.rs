//! A saved plan's file: it has sensitive values in clear text, so only its owner can read it, and it is deleted with the
//! last value that names it.

use std::fs::File;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::failure::{self, Result};

/// The name of a saved plan in the work folder.
pub(crate) const PLAN_FILE: &str = "plan.tfplan";

/// A saved plan; the file is deleted when the last clone is dropped.
#[derive(Debug, Clone)]
pub(crate) struct SavedPlan(Arc<PlanFile>);

#[derive(Debug)]
struct PlanFile {
    path: PathBuf,
    /// Held open, so that no other file can get its inode number.
    file: File,
}

impl SavedPlan {
    /// Makes an empty file in a work folder that only its owner can read. Terraform, which truncates it, keeps its mode.
    pub(crate) fn create(work: &Path) -> Result<Self> {
        let path = work.join(PLAN_FILE);
        // One that a killed run left.
        let _ = std::fs::remove_file(&path);
        let file = File::options().write(true).create_new(true).mode(0o600).open(&path);
        let file = file.map_err(|error| failure::io("create", &path, error))?;
        Ok(Self(Arc::new(PlanFile { path, file })))
    }

    /// Returns the file.
    pub(crate) fn path(&self) -> &Path {
        &self.0.path
    }

    /// Makes one that is gone already, for tests of what was planned.
    #[cfg(test)]
    pub(crate) fn of_temporary_folder() -> Self {
        Self::create(tempfile::tempdir().unwrap().path()).unwrap()
    }

    /// Deletes the file at once: it is stale after an apply.
    pub(crate) fn delete(&self) {
        self.0.delete();
    }
}

impl PlanFile {
    /// Deletes the file, unless another plan is there by now.
    fn delete(&self) {
        let number = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
        let there = std::fs::symlink_metadata(&self.path).ok().map(number);
        if there.is_some() && there == self.file.metadata().ok().map(number) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Drop for PlanFile {
    fn drop(&mut self) {
        self.delete();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn saved_plan_is_private_and_deleted_with_its_last_clone() {
        let work = tempfile::tempdir().unwrap();
        let plan = SavedPlan::create(work.path()).unwrap();
        std::fs::write(plan.path(), "secret").unwrap();
        assert_eq!(plan.path().metadata().unwrap().mode() & 0o777, 0o600);
        let clone = plan.clone();
        drop(plan);
        assert!(clone.path().exists());
        let path = clone.path().to_path_buf();
        drop(clone);
        assert!(!path.exists());
    }

    #[test]
    fn earlier_plan_does_not_delete_a_later_one() {
        let work = tempfile::tempdir().unwrap();
        let earlier = SavedPlan::create(work.path()).unwrap();
        let later = SavedPlan::create(work.path()).unwrap();
        drop(earlier);
        assert!(later.path().exists());
        later.delete();
        assert!(!later.path().exists());
    }
}
