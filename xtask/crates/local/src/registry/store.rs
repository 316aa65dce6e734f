//! The registry's folder: blobs, repositories, manifests and tags.
//!
//! A blob is stored once, whatever the number of repositories that hold it. Files are moved to their place when they are
//! complete and match their digest, so that no reader sees half of one.

use super::name::{Digest, Reference, Repository};
use super::upload_sessions::UploadSessions;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The registry. All accounts share it, because a push over plain HTTP names no account.
///
/// ```text
/// blobs/sha256/<hex>                                      a blob or manifest
/// repositories/<repository>/_blobs/<hex>                  the repository holds the blob; empty
/// repositories/<repository>/_manifests/<hex>              the repository holds the manifest; content: its media type
/// repositories/<repository>/_tags/<tag>                   content: the digest of the manifest
/// repositories/<repository>/_referrers/<hex>/<hex>        subject, and a manifest that names it; content: its descriptor
/// uploads/                                                unfinished uploads
/// ```
///
/// No component of a repository's name begins with `_`, so a repository's folder may contain another repository's.
pub(crate) struct Registry {
    folder: PathBuf,
    pub(super) uploads: UploadSessions,
}

/// A manifest as it was pushed.
pub(crate) struct StoredManifest {
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
    pub(crate) bytes: Vec<u8>,
}

impl Registry {
    /// Opens the registry in a folder; unfinished uploads of an earlier registry are removed.
    pub(crate) fn open(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(folder.join("blobs/sha256"))?;
        fs::create_dir_all(folder.join("repositories"))?;
        let uploads = folder.join("uploads");
        match fs::remove_dir_all(&uploads) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir_all(&uploads)?,
        }
        Ok(Self { folder, uploads: UploadSessions::default() })
    }

    /// Returns a manifest by tag or digest; `None` if repository or manifest does not exist.
    pub(crate) fn manifest(
        &self,
        repository: &str,
        reference: &Reference,
    ) -> io::Result<Option<StoredManifest>> {
        let Some(repository) = Repository::parse(repository) else {
            return Ok(None);
        };
        let folder = self.repository_folder(&repository);
        let digest = match reference {
            Reference::Digest(digest) => *digest,
            Reference::Tag(tag) => {
                match read_text(&folder.join("_tags").join(tag))?.and_then(|text| text.parse().ok()) {
                    Some(digest) => digest,
                    None => return Ok(None),
                }
            }
        };
        let Some(media_type) = read_text(&folder.join("_manifests").join(digest.hex()))? else {
            return Ok(None);
        };
        let bytes = fs::read(self.blob_path(&digest))?;
        Ok(Some(StoredManifest { digest, media_type, bytes }))
    }

    /// Returns the path of a blob, which may not exist.
    pub(crate) fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.folder.join("blobs/sha256").join(digest.hex())
    }

    /// Returns a folder beside the images, for data that must be removed together with them.
    pub(crate) fn sibling_folder(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(super) fn repository_folder(&self, name: &Repository) -> PathBuf {
        self.folder.join("repositories").join(name.as_str())
    }

    pub(super) fn uploads_folder(&self) -> PathBuf {
        self.folder.join("uploads")
    }

    /// Returns the size of a blob in bytes; `None` if the repository does not hold it.
    pub(super) fn blob_size(&self, repository: &Repository, digest: &Digest) -> io::Result<Option<u64>> {
        if !self.repository_folder(repository).join("_blobs").join(digest.hex()).try_exists()? {
            return Ok(None);
        }
        match fs::metadata(self.blob_path(digest)) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Records that a repository holds a blob.
    pub(super) fn add_blob(&self, repository: &Repository, digest: &Digest) -> io::Result<()> {
        self.put(&self.repository_folder(repository).join("_blobs").join(digest.hex()), b"")
    }

    /// Writes a small file atomically.
    pub(super) fn put(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let file = self.temporary_file(path, content)?;
        file.persist(path).map(drop).map_err(|error| error.error)
    }

    /// Writes a small file atomically unless it exists; `false` if it does.
    pub(super) fn put_new(&self, path: &Path, content: &[u8]) -> io::Result<bool> {
        let file = self.temporary_file(path, content)?;
        match file.persist_noclobber(path) {
            Ok(_) => Ok(true),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error.error),
        }
    }

    fn temporary_file(&self, path: &Path, content: &[u8]) -> io::Result<tempfile::NamedTempFile> {
        fs::create_dir_all(path.parent().unwrap_or(&self.folder))?;
        let mut file = tempfile::NamedTempFile::new_in(self.uploads_folder())?;
        file.write_all(content)?;
        Ok(file)
    }
}

/// Reads a small file; `None` if it does not exist.
pub(super) fn read_text(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns the names of the files in a folder; none if the folder does not exist.
pub(super) fn file_names(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}
