//! Links to folders: refused where a folder contains itself through them, and written relative to their own folder.
//!
//! In: links below one folder, with the names of the folders that they lead to. Out: the links to store, with their targets.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::{Error, Tree};

/// Links to folders of a tree: the link's name -> the folder's.
#[derive(Default)]
pub(super) struct FolderLinks(BTreeMap<String, String>);

impl FolderLinks {
    pub(super) fn add(&mut self, name: &str, folder: &str) {
        self.0.insert(name.to_owned(), folder.to_owned());
    }

    /// Refuses links through which a folder contains itself.
    pub(super) fn refuse_cycles(&self, root: &Path) -> Result<(), Error> {
        // Links that are being followed, and links behind which there is no circle.
        let (mut open, mut done) = (BTreeSet::new(), BTreeSet::new());
        for start in self.0.keys() {
            let mut stack = vec![(start.as_str(), false)];
            while let Some((link, left)) = stack.pop() {
                if left {
                    open.remove(link);
                    done.insert(link);
                } else if !done.contains(link) {
                    let folder = &self.0[link];
                    open.insert(link);
                    stack.push((link, true));
                    let below = below(&self.0, folder).map(|(name, _)| name.as_str());
                    for next in below {
                        if open.contains(next) {
                            let target = root.join(&self.0[next]);
                            return Err(Error::LinkCycle { link: root.join(next), target });
                        }
                        stack.push((next, false));
                    }
                }
            }
        }
        Ok(())
    }

    /// Lists the links whose folders have files, with their targets as links have them.
    pub(super) fn with_files(self, tree: &Tree) -> Vec<(String, String)> {
        let mut names: BTreeMap<String, ()> =
            tree.iter().map(|entry| (entry.name().to_owned(), ())).collect();
        let mut kept = BTreeMap::new();
        // A folder may have nothing but links to folders with files.
        loop {
            let before = kept.len();
            for (name, folder) in &self.0 {
                if !kept.contains_key(name) && below(&names, folder).next().is_some() {
                    kept.insert(name.clone(), relative_target(name, folder));
                    names.insert(name.clone(), ());
                }
            }
            if kept.len() == before {
                return kept.into_iter().collect();
            }
        }
    }
}

/// Lists the names below a folder; all where it is the root, whose name is empty.
fn below<'a, T>(names: &'a BTreeMap<String, T>, folder: &str) -> impl Iterator<Item = (&'a String, &'a T)> {
    let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    names.range(prefix.clone()..).take_while(move |(name, _)| name.starts_with(&prefix))
}

/// Returns a folder's name relative to the folder of a link: `..` first, then what both do not share.
fn relative_target(link: &str, folder: &str) -> String {
    let from: Vec<&str> = link.split('/').collect();
    let from = &from[..from.len() - 1];
    let to: Vec<&str> = folder.split('/').collect();
    let shared = from.iter().zip(&to).take_while(|(one, other)| one == other).count();
    let up = std::iter::repeat_n("..", from.len() - shared);
    up.chain(to[shared..].iter().copied()).collect::<Vec<_>>().join("/")
}
