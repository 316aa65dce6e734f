//! The artifact behind a function: fetched from the store, checked, unpacked once.
//!
//! The store's object is named by its digest, and the digest must be the function's CodeSha256: the emulator does not
//! compare them. Where the store has no such object, the key that the function was made with is tried there.

use super::functions::Target;
use super::refusal::{Refusal, chain};
use crate::emulator::Caller;
use axum::body::Bytes;
use axum::http::StatusCode;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};
use std::fs::{self, DirBuilder, File};
use std::io::{self, Cursor, Read};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};
use tokio::sync::Mutex;
use zip::ZipArchive;

/// Lambda's limit for an unpacked zip, in bytes.
const UNPACKED: u64 = 250 << 20;

/// Artifacts on this machine.
pub(crate) struct Code {
    bucket: String,
    folder: PathBuf,
    unpacking: Mutex<()>,
}

impl Code {
    pub(crate) fn new(bucket: String, folder: PathBuf) -> Self {
        Self { bucket, folder, unpacking: Mutex::new(()) }
    }

    /// Gives the folder that holds the function's unpacked artifact.
    pub(crate) async fn folder(&self, caller: &Caller, target: &Target) -> Result<PathBuf, Refusal> {
        let wanted = &target.configuration.code_sha256;
        let digest =
            BASE64_STANDARD.decode(wanted).ok().filter(|digest| digest.len() == 32).ok_or_else(|| {
                let name = &target.configuration.function_name;
                Refusal::conflict(format!(
                    "`{wanted}`, the CodeSha256 of {name}, is not the SHA-256 of a zip"
                ))
            })?;
        let digest = hex::encode(digest);
        let folder = self.folder.join(&digest);
        if folder.is_dir() {
            return Ok(folder);
        }
        let _one_at_a_time = self.unpacking.lock().await;
        if folder.is_dir() {
            return Ok(folder);
        }
        let zip = self.fetch(caller, target, &digest).await?;
        let (work, ready) = (self.folder.clone(), folder.clone());
        let unpacked = tokio::task::spawn_blocking(move || unpack(&zip, &work, &ready)).await;
        match unpacked {
            Ok(Ok(())) => Ok(folder),
            Ok(Err(error)) => Err(Refusal::new(
                StatusCode::BAD_GATEWAY,
                "InvalidZipFileException",
                format!("The artifact sha256:{digest} cannot be unpacked: {}", chain(&error)),
            )),
            Err(error) => Err(Refusal::service(error.to_string())),
        }
    }

    async fn fetch(&self, caller: &Caller, target: &Target, digest: &str) -> Result<Bytes, Refusal> {
        let bucket = &self.bucket;
        let function = format!("{}:{}", target.configuration.function_name, target.configuration.version);
        let named = format!("artifacts/sha256/{digest}.zip");
        let keys = [Some(&named), target.emulator_key.as_ref()];
        let mut refused = format!("the store has neither s3://{bucket}/{named} nor the key it was made with");
        for key in keys.into_iter().flatten() {
            let Some(object) = caller.object(bucket, key).await? else {
                continue;
            };
            let (object, found) = tokio::task::spawn_blocking(move || {
                let found = hex::encode(Sha256::digest(&object));
                (object, found)
            })
            .await
            .map_err(|error| Refusal::service(error.to_string()))?;
            if found == digest {
                return Ok(object);
            }
            refused = format!("s3://{bucket}/{key} holds sha256:{found}");
            if *key == named {
                // An object under the name of other bytes is not to be looked past.
                break;
            }
        }
        Err(Refusal::conflict(format!(
            "{function} was published with the code sha256:{digest}, but {refused}. It was not run."
        )))
    }
}

#[derive(Debug, thiserror::Error)]
enum UnpackError {
    #[error("it is not a zip")]
    Zip(#[from] zip::result::ZipError),
    #[error("{0}")]
    File(PathBuf, #[source] io::Error),
    #[error("its entry `{0}` leads out of it")]
    Outside(String),
    #[error("it has more than {UNPACKED} bytes")]
    Large,
}

/// Unpacks into a folder of its own and moves that to its place, so that what is there is whole.
fn unpack(zip: &[u8], work: &Path, ready: &Path) -> Result<(), UnpackError> {
    let temporary = tempfile::Builder::new()
        .prefix(".unpacking-")
        .permissions(fs::Permissions::from_mode(0o755))
        .tempdir_in(work)
        .map_err(|error| UnpackError::File(work.to_owned(), error))?;
    let mut archive = ZipArchive::new(Cursor::new(zip))?;
    let mut left = UNPACKED;
    let mut links: Vec<PathBuf> = Vec::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index)?;
        let name = entry.name()?.into_owned();
        let outside = || UnpackError::Outside(name.clone());
        let inner = entry.enclosed_name().ok_or_else(outside)?;
        if links.iter().any(|link| inner.starts_with(link)) {
            return Err(outside());
        }
        let path = temporary.path().join(&inner);
        let failed = |error| UnpackError::File(inner.clone(), error);
        let folder = if entry.is_dir() { path.as_path() } else { path.parent().unwrap_or(temporary.path()) };
        DirBuilder::new().recursive(true).mode(0o755).create(folder).map_err(failed)?;
        if entry.is_dir() {
            continue;
        }
        if entry.is_symlink() {
            let mut link = String::new();
            entry.read_to_string(&mut link).map_err(failed)?;
            if !stays_inside(&inner, Path::new(&link)) {
                return Err(outside());
            }
            std::os::unix::fs::symlink(&link, &path).map_err(failed)?;
            links.push(inner);
            continue;
        }
        let mode = entry.unix_mode().unwrap_or(0o644) & 0o777;
        // A second entry of that name is refused, not written over.
        let mut file = File::create_new(&path).map_err(failed)?;
        let written = io::copy(&mut (&mut entry).take(left + 1), &mut file).map_err(failed)?;
        left = left.checked_sub(written).ok_or(UnpackError::Large)?;
        file.set_permissions(fs::Permissions::from_mode(mode)).map_err(failed)?;
    }
    let unpacked = temporary.keep();
    let placed = fs::rename(&unpacked, ready).map_err(|error| UnpackError::File(ready.to_owned(), error));
    if placed.is_err() {
        let _ = fs::remove_dir_all(&unpacked);
        // Another gateway on the same folder was faster.
        return if ready.is_dir() { Ok(()) } else { placed };
    }
    Ok(())
}

fn stays_inside(entry: &Path, link: &Path) -> bool {
    let mut depth = entry.components().count() as isize - 1;
    for component in link.components() {
        match component {
            Component::Normal(_) => depth += 1,
            Component::ParentDir => depth -= 1,
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return false,
        }
        if depth < 0 {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    fn archive(entries: &[(&str, &str, u32)]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content, mode) in entries {
            writer.start_file(*name, SimpleFileOptions::default().unix_permissions(*mode)).unwrap();
            writer.write_all(content.as_bytes()).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    #[test]
    fn an_artifact_is_unpacked_whole_with_its_modes() {
        let work = tempfile::tempdir().unwrap();
        let ready = work.path().join("abc");
        unpack(&archive(&[("bootstrap", "run", 0o755), ("a/b.txt", "b", 0o644)]), work.path(), &ready)
            .unwrap();
        assert_eq!(fs::read_to_string(ready.join("a/b.txt")).unwrap(), "b");
        assert_eq!(fs::metadata(ready.join("bootstrap")).unwrap().permissions().mode() & 0o777, 0o755);
        assert_eq!(fs::metadata(ready.join("a/b.txt")).unwrap().permissions().mode() & 0o777, 0o644);
        // Unpacked a second time, it is left as it is.
        unpack(&archive(&[("bootstrap", "run", 0o755)]), work.path(), &ready).unwrap();
        assert!(ready.join("a/b.txt").exists());
        assert_eq!(fs::read_dir(work.path()).unwrap().count(), 1);
    }

    #[test]
    fn nothing_is_written_outside() {
        let work = tempfile::tempdir().unwrap();
        for entries in [&[("../evil", "x", 0o644)][..], &[("a", "x", 0o644), ("/../../evil", "x", 0o644)]] {
            let error = unpack(&archive(entries), work.path(), &work.path().join("abc")).unwrap_err();
            assert!(matches!(error, UnpackError::Outside(_)), "{error:?}");
        }
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        writer.add_symlink("lib/link", "../../evil", SimpleFileOptions::default()).unwrap();
        let zip = writer.finish().unwrap().into_inner();
        assert!(matches!(unpack(&zip, work.path(), &work.path().join("abc")), Err(UnpackError::Outside(_))));
        assert_eq!(fs::read_dir(work.path()).unwrap().count(), 0);
        assert!(stays_inside(Path::new("lib/link"), Path::new("../bootstrap")));
        assert!(!stays_inside(Path::new("link"), Path::new("/etc/passwd")));
    }
}
