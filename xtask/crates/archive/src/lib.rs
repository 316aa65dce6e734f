//! Deterministic archives of a tree of files: zips, image layers, images.
//!
//! In: a [`Tree`] of named files, from a folder, single files or memory. Out: a zip ([`write_zip`]) or an image layer
//! ([`write_layer`]) whose bytes depend only on the names, the contents and the executable bits (for a layer, also on
//! prefix and time), with its SHA-256 and the canonical [`Listing`], which identifies the content independently of the
//! compressor; images of such layers ([`image`]). From an existing zip: its listing ([`read_zip`]) and its files
//! ([`unpack_zip`], [`mirror_zip`]).
//!
//! Errors: an [`Error`] names the entry, path or image: a name that leaves the tree, a duplicate name, a link that points
//! outside, a file that changes while it is packed, a full disk, a damaged or hostile zip, a base image that Lambda would
//! not run. A final name never has a partly written file.
//!
//! The crate is synchronous, compresses on rayon's threads, and knows nothing of releases.

pub mod image;

mod atomic_file;
mod compressor;
mod contents;
mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod hashing;
mod layer;
mod listing;
mod name;
mod tree;
mod zip_reader;
mod zip_writer;

pub use compressor::{compressor, layer_compressor};
pub use error::Error;
pub use hashing::sha256_file;
pub use layer::{Layer, write_layer};
pub use listing::{Listing, ListingEntry};
pub use tree::{Entry, Tree};
pub use zip_reader::{mirror_zip, read_zip, unpack_zip};
pub use zip_writer::{WINDOW, WrittenZip, write_zip};
