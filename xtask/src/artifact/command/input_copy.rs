//! A copy of a function's inputs, in the project's layout, in a folder that has no project above it.
//!
//! The folder's path depends on the project's path alone, so that a command which writes its path into its output makes the
//! same bytes again on this machine. Goes wrong: the disk is full, a file changed since it was hashed, a link has an absolute
//! target, another user owns the folder.

use std::fs::{DirBuilder, File, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::failure::{self, Failure, Result};
use crate::name::FunctionName;
use crate::source::{FileContent, FileKind, SourceInputs};

/// A copy of inputs, removed in the end.
pub(in crate::artifact) struct InputCopy {
    folder: PathBuf,
    /// Held while the copy exists: two builds of a function do not share it.
    _lock: File,
}

impl InputCopy {
    /// Copies the inputs of a function.
    pub(super) fn make(root: &Path, function: &FunctionName, inputs: &SourceInputs) -> Result<Self> {
        let place = own_folder()?;
        let name = Digest::of(root.join(function.as_str()).as_os_str().as_encoded_bytes()).hex();
        let (folder, lock) = (place.join(&name[..16]), place.join(format!("{}.lock", &name[..16])));
        let file = File::create(&lock).map_err(|error| failure::io("create", &lock, error))?;
        file.lock().map_err(|error| failure::io("lock", &lock, error))?;
        remove(&folder)?;
        let copy = Self { folder, _lock: file };
        for (path, content) in &inputs.files {
            copy_input(&root.join(path), &copy.folder.join(path), path, content)?;
        }
        Ok(copy)
    }

    /// Returns the folder that stands for the project's.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for InputCopy {
    fn drop(&mut self) {
        // What stays is removed before the next build.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Returns this user's folder for copies: nobody else can put a file into it.
fn own_folder() -> Result<PathBuf> {
    let user = rustix::process::getuid().as_raw();
    let folder = std::env::temp_dir().join(format!("slipway-build-{user}"));
    match DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(failure::io("create", &folder, error));
        }
        _ => {}
    }
    let metadata = folder.symlink_metadata().map_err(|error| failure::io("read", &folder, error))?;
    if !metadata.is_dir() || metadata.uid() != user || metadata.permissions().mode() & 0o022 != 0 {
        return Err(Failure::refused(format!(
            "{} is not a folder that only this user can write",
            folder.display()
        ))
        .unchanged("Nothing was built.")
        .hint("remove it, or set TMPDIR to a folder of your own"));
    }
    Ok(folder)
}

fn copy_input(from: &Path, to: &Path, path: &str, content: &FileContent) -> Result<()> {
    let parent = to.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(parent).map_err(|error| failure::io("create", parent, error))?;
    if content.kind == FileKind::Link {
        let target = std::fs::read_link(from).map_err(|error| failure::io("read the link", from, error))?;
        if target.is_absolute() {
            return Err(Failure::usage(format!(
                "{path} is a link with an absolute target: {}",
                target.display()
            ))
            .unchanged("Nothing was built.")
            .hint("make it relative: another clone lies in another folder"));
        }
        return std::os::unix::fs::symlink(&target, to).map_err(|error| failure::io("link", to, error));
    }
    let bytes = std::fs::read(from).map_err(|error| failure::io("read", from, error))?;
    if FileContent::of(&bytes, content.kind) != *content {
        return Err(Failure::failed(format!("{path} changed since it was hashed"))
            .unchanged("Nothing was built.")
            .hint("run the same command again"));
    }
    std::fs::write(to, bytes).map_err(|error| failure::io("write", to, error))?;
    let mode = if content.executable() { 0o755 } else { 0o644 };
    std::fs::set_permissions(to, Permissions::from_mode(mode))
        .map_err(|error| failure::io("write", to, error))
}

fn remove(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(failure::io("remove", folder, error))
        }
        _ => Ok(()),
    }
}
