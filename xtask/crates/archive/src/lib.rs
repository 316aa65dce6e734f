//! Deterministic zip archives of a tree of files.
//!
//! In: a [`Tree`] of named files, from a folder, from single files or from memory. Out: a zip whose bytes
//! depend on nothing but the names, the contents and the executable bits ([`write_zip`]), with its SHA-256 and
//! the canonical [`Listing`] that identifies the content whatever compressor packed it; and the way back, the
//! listing ([`read_zip`]) and the files ([`unpack_zip`]) of an existing zip.
//!
//! What can go wrong is an [`Error`] that names the entry or the path concerned: a name that leaves the tree, a
//! name given twice, a link that points outside, a file that changes while it is packed, a full disk, a zip that
//! is damaged or hostile. Whatever happens, nothing half written stands under a final name.
//!
//! The crate is synchronous, compresses on rayon's threads, and knows nothing of releases.

mod compressor;
mod digest;
mod error;
mod listing;
mod name;
mod reading;
mod tree;
mod writing;

pub use compressor::compressor;
pub use digest::sha256_file;
pub use error::Error;
pub use listing::{Listing, ListingEntry};
pub use reading::{read_zip, unpack_zip};
pub use tree::{Entry, Tree};
pub use writing::{WINDOW, Written, write_zip};
