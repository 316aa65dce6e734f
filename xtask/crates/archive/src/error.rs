//! What can go wrong with a tree, a zip, a layer or an image. Every message names the entry, the path or both.

use std::io;
use std::path::{Path, PathBuf};

use crate::image::ImageError;

/// Says why a tree could not be gathered, packed, read or unpacked, or an image not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A name that could not be unpacked safely everywhere.
    #[error("the name {name:?} cannot be stored in an archive: it {reason}")]
    Name {
        /// The name as it was given.
        name: String,
        /// What is wrong with it, as the end of a sentence.
        reason: &'static str,
    },

    /// A time that no archive can say.
    #[error(
        "{epoch_seconds} seconds since 1970 is no time that a layer can hold: it has room from 0 to 8589934591"
    )]
    Time {
        /// The time as it was given.
        epoch_seconds: i64,
    },

    /// The same name for two files.
    #[error("two files have the same name in the archive: {name:?}")]
    Duplicate {
        /// The name given twice.
        name: String,
    },

    /// A name that is both a file and a folder.
    #[error("{file:?} cannot be a file in the archive, because {below:?} lies below it")]
    FileIsFolder {
        /// The name of the file.
        file: String,
        /// The name that needs it to be a folder.
        below: String,
    },

    /// A symbolic link whose target lies outside the tree.
    #[error(
        "the link {} points outside the tree, to {}: replace it by a copy of the file",
        link.display(),
        target.display()
    )]
    LinkEscapes {
        /// The link itself.
        link: PathBuf,
        /// What it points to, as written in the link.
        target: PathBuf,
    },

    /// A symbolic link whose target can't be reached: it is missing, or links go round in a circle.
    #[error("the link {} leads nowhere, to {}: {source}", link.display(), target.display())]
    LinkBroken {
        /// The link itself.
        link: PathBuf,
        /// What it points to, as written in the link.
        target: PathBuf,
        /// Why the target can't be reached.
        source: io::Error,
    },

    /// A symbolic link to a folder: its files would be stored twice, or for ever.
    #[error(
        "the link {} points to a folder, {}: only links to files can be stored",
        link.display(),
        target.display()
    )]
    LinkToFolder {
        /// The link itself.
        link: PathBuf,
        /// What it points to, as written in the link.
        target: PathBuf,
    },

    /// A socket, a device, a pipe or a folder where a file was expected.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// Where it lies.
        path: PathBuf,
    },

    /// A file whose length changed between being listed and being read.
    #[error(
        "{} changed while it was packed: it had {expected} bytes, then another length; nothing was written",
        path.display()
    )]
    Changed {
        /// The file.
        path: PathBuf,
        /// Its length in bytes when packing began.
        expected: u64,
    },

    /// A folder to unpack into that already holds something.
    #[error("{} already exists and is not an empty folder; nothing was unpacked", path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
    },

    /// An entry of a zip that is neither a file nor a folder.
    #[error("{} holds a symbolic link, {name:?}, which is not unpacked", archive.display())]
    LinkInZip {
        /// The zip.
        archive: PathBuf,
        /// The entry's name.
        name: String,
    },

    /// An entry of a zip whose content can't be unpacked or does not have its checksum.
    #[error("{name:?} in {} is damaged: {source}", archive.display())]
    DamagedEntry {
        /// The zip.
        archive: PathBuf,
        /// The entry's name.
        name: String,
        /// What was wrong.
        source: io::Error,
    },

    /// An entry of a zip that holds more or fewer bytes than the zip's directory says.
    #[error("{name:?} in {} does not have the {expected} bytes that the archive declares", archive.display())]
    WrongSize {
        /// The zip.
        archive: PathBuf,
        /// The entry's name.
        name: String,
        /// The length in bytes that the directory declares.
        expected: u64,
    },

    /// A zip with an entry whose name is refused.
    #[error("{} is refused: {source}", archive.display())]
    RefusedEntry {
        /// The zip.
        archive: PathBuf,
        /// What is wrong with the name.
        source: Box<Error>,
    },

    /// A zip that could not be written or understood.
    #[error("cannot {action} the zip {}: {source}", path.display())]
    Zip {
        /// What was tried, as a verb.
        action: &'static str,
        /// The zip.
        path: PathBuf,
        /// What the zip library says.
        source: zip::result::ZipError,
    },

    /// An image that was refused or could not be made.
    #[error(transparent)]
    Image(#[from] ImageError),

    /// The operating system refused something.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl Error {
    /// Makes the closure that turns an I/O error into one which names the action and the path.
    pub(crate) fn io<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }

    /// Makes the closure that turns a zip error into one which names the action and the path.
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
