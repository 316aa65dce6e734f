//! Deterministic archives of a tree of files: zips, image layers, images.
//!
//! In: a [`Tree`] of named files, from a folder, from single files or from memory. Out: a zip ([`write_zip`]) or an
//! image layer ([`write_layer`]) whose bytes depend on nothing but the names, the contents and the executable bits
//! (and, for a layer, the place and the time given), with its SHA-256 and the canonical [`Listing`] that identifies
//! the content whatever compressor packed it; images of such layers ([`image`]); and the way back from a zip, its
//! listing ([`read_zip`]) and its files ([`unpack_zip`]).
//!
//! What can go wrong is an [`Error`] that names the entry, the path or the image concerned: a name that leaves the
//! tree, a name given twice, a link that points outside, a file that changes while it is packed, a full disk, a zip
//! that is damaged or hostile, a base image that Lambda would not run. Whatever happens, nothing half written stands
//! under a final name.
//!
//! The crate is synchronous, compresses on rayon's threads, and knows nothing of releases.

pub mod image;

mod compressor;
mod digest;
mod error;
mod layer;
mod listing;
mod name;
mod part;
mod pouring;
mod reading;
mod tree;
mod writing;

pub use compressor::{compressor, layer_compressor};
pub use digest::sha256_file;
pub use error::Error;
pub use layer::{Layer, write_layer};
pub use listing::{Listing, ListingEntry};
pub use reading::{read_zip, unpack_zip};
pub use tree::{Entry, Tree};
pub use writing::{WINDOW, Written, write_zip};
