//! Errors of trees, zips, layers and images. Every message names the entry, the path or both.

use std::io;
use std::path::{Path, PathBuf};

use crate::image::ImageError;

/// Why a tree could not be collected, packed, read or unpacked, or an image not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A name that cannot be unpacked safely on every system.
    #[error("the name {name:?} cannot be stored in an archive: it {reason}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it, as the end of a sentence.
        reason: &'static str,
    },

    /// A time that a layer cannot store.
    #[error(
        "{epoch_seconds} is not a valid time for a layer: it must be from 0 to 8589934591 seconds since 1970"
    )]
    Time {
        /// The time, in seconds since 1970.
        epoch_seconds: i64,
    },

    /// The same name for two files.
    #[error("two files have the same name in the archive: {name:?}")]
    Duplicate {
        /// The name.
        name: String,
    },

    /// A name that is both a file and a folder.
    #[error("{file:?} cannot be a file in the archive, because {below:?} is below it")]
    FileIsFolder {
        /// The name of the file.
        file: String,
        /// The name below it.
        below: String,
    },

    /// A symbolic link whose target is outside the tree.
    #[error(
        "the link {} points outside the tree, to {}: replace it with a copy",
        link.display(),
        target.display()
    )]
    LinkEscapes {
        /// The link.
        link: PathBuf,
        /// Its target, as written in the link.
        target: PathBuf,
    },

    /// A symbolic link whose target cannot be read: it does not exist, or links form a circle.
    #[error("the link {} is broken, its target {} cannot be read: {source}", link.display(), target.display())]
    LinkBroken {
        /// The link.
        link: PathBuf,
        /// Its target, as written in the link.
        target: PathBuf,
        /// Why the target cannot be read.
        source: io::Error,
    },

    /// A symbolic link to a folder that contains the link, directly or through other links.
    #[error(
        "the link {} points to a folder that contains it, {}: following it would never end",
        link.display(),
        target.display()
    )]
    LinkCycle {
        /// The link.
        link: PathBuf,
        /// The folder.
        target: PathBuf,
    },

    /// A socket, device, pipe or folder where a file is expected.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// Its path.
        path: PathBuf,
    },

    /// A file whose length changed while it was packed.
    #[error(
        "{} changed while it was packed: it had {expected} bytes, then another length; nothing was written",
        path.display()
    )]
    Changed {
        /// The file.
        path: PathBuf,
        /// Its length in bytes when it was listed.
        expected: u64,
    },

    /// A folder to unpack into that is not empty.
    #[error("{} already exists and is not an empty folder; nothing was unpacked", path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
    },

    /// A symbolic link in a zip whose target is not below the folder that the zip is unpacked into.
    #[error("{} contains a symbolic link, {name:?}, that could lead outside and is not unpacked", archive.display())]
    LinkInZip {
        /// The zip.
        archive: PathBuf,
        /// The entry's name.
        name: String,
    },

    /// An entry of a zip whose content cannot be unpacked or does not have its checksum.
    #[error("{name:?} in {} is damaged: {source}", archive.display())]
    DamagedEntry {
        /// The zip.
        archive: PathBuf,
        /// The entry's name.
        name: String,
        /// What is wrong.
        source: io::Error,
    },

    /// An entry of a zip that has another length than the zip's directory says.
    #[error("{name:?} in {} does not have the {expected} bytes that the archive declares", archive.display())]
    WrongSize {
        /// The zip.
        archive: PathBuf,
        /// The entry's name.
        name: String,
        /// The length in bytes that the directory declares.
        expected: u64,
    },

    /// A zip with entries that are unpacked from the same bytes, of which a small zip could become any size.
    #[error("{} cannot be used: some of its entries share their bytes", archive.display())]
    Overlapping {
        /// The zip.
        archive: PathBuf,
    },

    /// A zip that is larger unpacked than any that is read.
    #[error("{} cannot be used: it has more than {limit} bytes unpacked", archive.display())]
    TooLarge {
        /// The zip.
        archive: PathBuf,
        /// The limit, in bytes.
        limit: u64,
    },

    /// A zip with an entry whose name is refused.
    #[error("{} cannot be used: {source}", archive.display())]
    RefusedEntry {
        /// The zip.
        archive: PathBuf,
        /// What is wrong with the name.
        source: Box<Error>,
    },

    /// A zip that could not be read.
    #[error("cannot {action} the zip {}: {source}", path.display())]
    Zip {
        /// The action, as a verb.
        action: &'static str,
        /// The zip.
        path: PathBuf,
        /// The zip library's error.
        source: zip::result::ZipError,
    },

    /// An image that was refused or could not be made.
    #[error(transparent)]
    Image(#[from] ImageError),

    /// An error of the operating system.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// The action, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

impl Error {
    /// Returns a closure that turns an I/O error into one that names the action and the path.
    pub(crate) fn io<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }

    /// Returns a closure that turns a zip error into one that names the action and the path.
    pub(crate) fn zip<'a>(
        action: &'static str,
        path: &'a Path,
    ) -> impl FnOnce(zip::result::ZipError) -> Self + 'a {
        move |source| match source {
            zip::result::ZipError::Io(source) => Self::Io { action, path: path.to_owned(), source },
            source => Self::Zip { action, path: path.to_owned(), source },
        }
    }
}
