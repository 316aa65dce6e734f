//! One listing of git's for several functions: HEAD's tree, the index and the untracked files are read once, and each function
//! takes its part. What a file contains is read from the disk for each function.

use std::cell::RefCell;
use std::ops::Bound;

use super::work_tree::{Listing, is_below};
use super::{Repository, library};
use crate::failure::Result;

/// The listing that is shared, and the places of the repository that it covers.
#[derive(Default)]
pub(super) struct Shared(RefCell<Option<(Vec<String>, Listing)>>);

/// Shares a listing until it is dropped: afterwards git is asked anew.
pub(crate) struct SharedListing<'a>(&'a Repository);

impl Drop for SharedListing<'_> {
    fn drop(&mut self) {
        self.0.shared.0.take();
    }
}

impl Repository {
    /// Reads git's listing of some project-relative folders once, for all that is read below them until the guard is dropped.
    pub(crate) fn share_listing(&self, below: &[String]) -> Result<SharedListing<'_>> {
        let places: Vec<String> = below.iter().map(|path| format!("{}{path}", self.prefix)).collect();
        let listing = library::listing(&self.git, &places)?;
        self.shared.0.replace(Some((places, listing)));
        Ok(SharedListing(self))
    }

    /// Returns git's listing of some places: the part of the shared one, where that covers them all.
    pub(super) fn listing(&self, places: &[String]) -> Result<Listing> {
        if let Some((covered, listing)) = &*self.shared.0.borrow()
            && places.iter().all(|place| is_below(place, covered))
        {
            return Ok(listing.part(places));
        }
        library::listing(&self.git, places)
    }
}

impl Listing {
    /// Returns what a listing of these places alone has.
    fn part(&self, places: &[String]) -> Self {
        let mut part = Self::default();
        for place in places {
            let place = place.trim_end_matches('/');
            let from = (Bound::Included(place.to_owned()), Bound::Unbounded);
            let own = |path: &str| path.starts_with(place);
            let below = |path: &str| is_below(path, &[place]);
            let head = self.head.range(from.clone()).take_while(|(path, _)| own(path));
            part.head.extend(
                head.filter(|(path, _)| below(path)).map(|(path, entry)| (path.clone(), entry.clone())),
            );
            let index = self.index.range(from.clone()).take_while(|(path, _)| own(path));
            part.index.extend(
                index.filter(|(path, _)| below(path)).map(|(path, entry)| (path.clone(), entry.clone())),
            );
            let untracked = self.untracked.range(from).take_while(|path| own(path));
            part.untracked.extend(untracked.filter(|path| below(path)).cloned());
            // A place inside a submodule has the submodule's entry; one below what is a file in HEAD, that file's.
            for above in std::path::Path::new(place).ancestors().skip(1) {
                let above = above.to_string_lossy();
                if let Some((path, entry)) = self.head.get_key_value(&*above) {
                    part.head.insert(path.clone(), entry.clone());
                }
                let submodule = self.index.get_key_value(&*above);
                if let Some((path, entry)) = submodule.filter(|(_, entry)| entry.mode == library::SUBMODULE) {
                    part.index.insert(path.clone(), entry.clone());
                }
            }
        }
        part
    }
}
