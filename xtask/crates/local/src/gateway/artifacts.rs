//! The zips of functions: fetched from the store, compared with their digest, and unpacked once.
//!
//! The store's object is named by its digest, which must be the function's CodeSha256. The emulator does not compare them.
//! If the store has no such object, the key that the function was created with is tried.

use super::function_version::ResolvedFunction;
use super::lambda_error::LambdaError;
use crate::emulator::Caller;
use crate::error_chain::error_chain;
use axum::body::Bytes;
use axum::http::StatusCode;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Cursor, Read};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};
use tokio::sync::Mutex;
use zip::ZipArchive;

/// Lambda's limit for an unpacked zip, in bytes.
const UNPACKED: u64 = 250 << 20;
/// The longest target of a link, in bytes: Linux has no longer paths.
const LONGEST_LINK: u64 = 4096;

/// The unpacked zips on this machine.
pub(crate) struct Artifacts {
    bucket: String,
    folder: PathBuf,
    unpacking: Mutex<()>,
}

impl Artifacts {
    pub(crate) fn new(bucket: String, folder: PathBuf) -> Self {
        Self { bucket, folder, unpacking: Mutex::new(()) }
    }

    /// Returns the folder with the function's unpacked zip.
    pub(crate) async fn unpacked(
        &self,
        caller: &Caller,
        function: &ResolvedFunction,
    ) -> Result<PathBuf, LambdaError> {
        let expected = &function.configuration.code_sha256;
        let digest =
            BASE64_STANDARD.decode(expected).ok().filter(|digest| digest.len() == 32).ok_or_else(|| {
                let name = &function.configuration.function_name;
                LambdaError::conflict(format!(
                    "`{expected}`, the CodeSha256 of {name}, is not the SHA-256 of a zip"
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
        let zip = self.fetch(caller, function, &digest).await?;
        let (work, ready) = (self.folder.clone(), folder.clone());
        let unpacked = tokio::task::spawn_blocking(move || unpack(&zip, &work, &ready)).await;
        match unpacked {
            Ok(Ok(())) => Ok(folder),
            Ok(Err(error)) => Err(LambdaError::new(
                StatusCode::BAD_GATEWAY,
                "InvalidZipFileException",
                format!("The artifact sha256:{digest} cannot be unpacked: {}", error_chain(&error)),
            )),
            Err(error) => Err(LambdaError::service(error.to_string())),
        }
    }

    async fn fetch(
        &self,
        caller: &Caller,
        function: &ResolvedFunction,
        digest: &str,
    ) -> Result<Bytes, LambdaError> {
        let bucket = &self.bucket;
        let named = format!("artifacts/sha256/{digest}.zip");
        let keys = [Some(&named), function.emulator_key.as_ref()];
        let mut problem =
            format!("the store has neither s3://{bucket}/{named} nor the key it was created with");
        for key in keys.into_iter().flatten() {
            let Some(object) = caller.object(bucket, key).await? else {
                continue;
            };
            let (object, actual) = tokio::task::spawn_blocking(move || {
                let actual = hex::encode(Sha256::digest(&object));
                (object, actual)
            })
            .await
            .map_err(|error| LambdaError::service(error.to_string()))?;
            if actual == digest {
                return Ok(object);
            }
            problem = format!("s3://{bucket}/{key} holds sha256:{actual}");
            if *key == named {
                // Other bytes under this name are an error, even if the other key has the right ones.
                break;
            }
        }
        let configuration = &function.configuration;
        Err(LambdaError::conflict(format!(
            "{}:{} was published with the code sha256:{digest}, but {problem}. It was not run.",
            configuration.function_name, configuration.version
        )))
    }
}

#[derive(Debug, thiserror::Error)]
pub(super) enum UnpackError {
    #[error("it is not a zip")]
    Zip(#[from] zip::result::ZipError),
    #[error("{0}")]
    File(PathBuf, #[source] io::Error),
    #[error("its entry `{0}` points outside of it")]
    Outside(String),
    #[error("it has more than {UNPACKED} bytes unpacked")]
    TooLarge,
    #[error("some of its entries share their bytes")]
    Overlapping,
}

/// Unpacks into a temporary folder that is moved to its place at the end, so that no folder there is incomplete.
pub(super) fn unpack(zip: &[u8], work: &Path, ready: &Path) -> Result<(), UnpackError> {
    let temporary = tempfile::Builder::new()
        .prefix(".unpacking-")
        .permissions(fs::Permissions::from_mode(0o755))
        .tempdir_in(work)
        .map_err(|error| UnpackError::File(work.to_owned(), error))?;
    let mut archive = ZipArchive::new(Cursor::new(zip))?;
    if archive.has_overlapping_files()? {
        return Err(UnpackError::Overlapping);
    }
    let mut left = UNPACKED;
    let mut links: HashSet<PathBuf> = HashSet::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index)?;
        let name = entry.name()?.into_owned();
        let outside = || UnpackError::Outside(name.clone());
        let inner = entry.enclosed_name().ok_or_else(outside)?;
        if inner.ancestors().any(|path| links.contains(path)) {
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
            (&mut entry).take(LONGEST_LINK + 1).read_to_string(&mut link).map_err(failed)?;
            if link.len() as u64 > LONGEST_LINK {
                return Err(failed(io::ErrorKind::InvalidFilename.into()));
            }
            if !stays_inside(&inner, Path::new(&link)) {
                return Err(outside());
            }
            std::os::unix::fs::symlink(&link, &path).map_err(failed)?;
            links.insert(inner);
            continue;
        }
        let mode = entry.unix_mode().unwrap_or(0o644) & 0o777;
        // A second entry with the same name is an error.
        let mut file = File::create_new(&path).map_err(failed)?;
        let written = io::copy(&mut (&mut entry).take(left + 1), &mut file).map_err(failed)?;
        left = left.checked_sub(written).ok_or(UnpackError::TooLarge)?;
        file.set_permissions(fs::Permissions::from_mode(mode)).map_err(failed)?;
    }
    let unpacked = temporary.keep();
    let placed = fs::rename(&unpacked, ready).map_err(|error| UnpackError::File(ready.to_owned(), error));
    if placed.is_err() {
        let _ = fs::remove_dir_all(&unpacked);
        // Another gateway with the same folder was faster.
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
    fn artifact_is_unpacked_with_its_modes() {
        let work = tempfile::tempdir().unwrap();
        let ready = work.path().join("abc");
        unpack(&archive(&[("bootstrap", "run", 0o755), ("a/b.txt", "b", 0o644)]), work.path(), &ready)
            .unwrap();
        assert_eq!(fs::read_to_string(ready.join("a/b.txt")).unwrap(), "b");
        assert_eq!(fs::metadata(ready.join("bootstrap")).unwrap().permissions().mode() & 0o777, 0o755);
        assert_eq!(fs::metadata(ready.join("a/b.txt")).unwrap().permissions().mode() & 0o777, 0o644);
        // Unpacking again changes nothing.
        unpack(&archive(&[("bootstrap", "run", 0o755)]), work.path(), &ready).unwrap();
        assert!(ready.join("a/b.txt").exists());
        assert_eq!(fs::read_dir(work.path()).unwrap().count(), 1);
    }

    #[test]
    fn zip_that_would_become_many_times_larger_is_an_error() {
        let work = tempfile::tempdir().unwrap();
        let unpacked = |zip: &[u8]| unpack(zip, work.path(), &work.path().join("abc")).unwrap_err();
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        // The target of a link is held in memory.
        writer.add_symlink("link", "x/".repeat(100_000), SimpleFileOptions::default()).unwrap();
        let error = unpacked(&writer.finish().unwrap().into_inner());
        assert!(matches!(&error, UnpackError::File(path, _) if path == Path::new("link")), "{error:?}");
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        writer.start_file("a", SimpleFileOptions::default()).unwrap();
        writer.write_all(&[0; 1000]).unwrap();
        writer.shallow_copy_file("a", "b").unwrap();
        let error = unpacked(&writer.finish().unwrap().into_inner());
        assert!(matches!(error, UnpackError::Overlapping), "{error:?}");
    }

    #[test]
    fn entry_that_points_outside_is_an_error() {
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
