//! The registry of the local environment: images by digest and tag, as the OCI distribution specification 1.1 has it.
//!
//! In: requests under `/v2/`, see <https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md>. Out:
//! answers, and images for the gateway, which runs them. A blob lies once on the disk however many repositories hold
//! it; what is there is whole and has the digest that names it, because it is moved to its place only then. Tags never
//! move, as in a repository of ECR with immutable tags. What can go wrong is answered with the specification's codes.

mod answer;
mod blobs;
mod fault;
mod manifest;
mod manifests;
mod name;
mod referrers;
mod uploads;

pub(crate) use answer::answer;
pub(crate) use manifest::{Descriptor, Manifest, is_image};
pub(crate) use name::{Digest, ImageUri, Reference};

use name::Repository;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use uploads::Uploads;

/// The folder that holds the registry. It is one for all accounts: a push over plain HTTP names none.
///
/// ```text
/// blobs/sha256/<hex>                                      what was pushed
/// repositories/<repository>/_blobs/<hex>                  that the repository holds the blob
/// repositories/<repository>/_manifests/<hex>              the same of a manifest; holds its media type
/// repositories/<repository>/_tags/<tag>                   holds the digest
/// repositories/<repository>/_referrers/<hex>/<hex>        subject, then the manifest that names it; holds a descriptor
/// uploads/                                                what is on its way
/// ```
///
/// No component of a repository's name begins with `_`, so one repository may lie within another.
pub(crate) struct Registry {
    folder: PathBuf,
    uploads: Uploads,
}

/// A manifest as it was pushed.
pub(crate) struct Stored {
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
    pub(crate) bytes: Vec<u8>,
}

impl Registry {
    /// Opens the registry of a folder; uploads that nobody can go on with are removed.
    pub(crate) fn open(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(folder.join("blobs/sha256"))?;
        fs::create_dir_all(folder.join("repositories"))?;
        let uploads = folder.join("uploads");
        match fs::remove_dir_all(&uploads) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir_all(&uploads)?,
        }
        Ok(Self { folder, uploads: Uploads::default() })
    }

    /// Finds a manifest by tag or digest; `None` where repository or manifest is not there.
    pub(crate) fn manifest(&self, repository: &str, reference: &Reference) -> io::Result<Option<Stored>> {
        let Some(repository) = Repository::parse(repository) else {
            return Ok(None);
        };
        let folder = self.repository(&repository);
        let digest = match reference {
            Reference::Digest(digest) => digest.clone(),
            Reference::Tag(tag) => {
                match text(&folder.join("_tags").join(tag))?.and_then(|text| Digest::parse(&text)) {
                    Some(digest) => digest,
                    None => return Ok(None),
                }
            }
        };
        let Some(media_type) = text(&folder.join("_manifests").join(digest.hex()))? else {
            return Ok(None);
        };
        let bytes = fs::read(self.blob(&digest))?;
        Ok(Some(Stored { digest, media_type, bytes }))
    }

    /// Tells where a blob lies, whether it is there or not.
    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        self.folder.join("blobs/sha256").join(digest.hex())
    }

    /// Tells where other parts of the local environment keep what belongs to the images of this registry.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn repository(&self, name: &Repository) -> PathBuf {
        self.folder.join("repositories").join(name.as_str())
    }

    fn uploads_folder(&self) -> PathBuf {
        self.folder.join("uploads")
    }

    /// Says whether a repository holds a blob, and how many bytes that has.
    fn held(&self, repository: &Repository, digest: &Digest) -> io::Result<Option<u64>> {
        if !self.repository(repository).join("_blobs").join(digest.hex()).try_exists()? {
            return Ok(None);
        }
        match fs::metadata(self.blob(digest)) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Notes that a repository holds a blob.
    fn hold(&self, repository: &Repository, digest: &Digest) -> io::Result<()> {
        self.put(&self.repository(repository).join("_blobs").join(digest.hex()), b"")
    }

    /// Writes a small file so that a reader sees all of it or nothing.
    fn put(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let file = self.prepared(path, content)?;
        file.persist(path).map(drop).map_err(|error| error.error)
    }

    /// The same where nothing may be there yet; `false` where something is.
    fn put_new(&self, path: &Path, content: &[u8]) -> io::Result<bool> {
        let file = self.prepared(path, content)?;
        match file.persist_noclobber(path) {
            Ok(_) => Ok(true),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error.error),
        }
    }

    fn prepared(&self, path: &Path, content: &[u8]) -> io::Result<tempfile::NamedTempFile> {
        fs::create_dir_all(path.parent().unwrap_or(&self.folder))?;
        let mut file = tempfile::NamedTempFile::new_in(self.uploads_folder())?;
        file.write_all(content)?;
        Ok(file)
    }
}

/// Reads a small file; `None` where there is none.
fn text(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
