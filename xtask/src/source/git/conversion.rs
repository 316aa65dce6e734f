//! Files that git converts between the repository and the work tree: line endings, attributes, filters such as Git LFS.
//!
//! For these the bytes on disk do not say whether a file differs from HEAD: git is asked, and what it says is checked where a
//! checkout could write other bytes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::library;
use super::work_tree::WorkTree;
use crate::failure::Result;

/// How git converts a file between the repository and the work tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Conversion {
    /// Not at all.
    None,
    /// By a program that the attribute `filter` names.
    Filter(String),
    /// By an attribute that fixes the result for everybody.
    Attribute(&'static str),
    /// Line endings, by the attribute `eol=lf`: a checkout writes line feeds as they are committed.
    LineFeeds,
    /// Line endings, as this machine's configuration says.
    LineEndings,
}

impl Conversion {
    /// Returns whether bytes stay the same without asking git: a conversion of line endings changes none without a carriage
    /// return.
    pub(super) fn keeps_line_feeds(&self) -> bool {
        matches!(self, Self::LineFeeds | Self::LineEndings)
    }
}

/// How a Git LFS pointer begins: <https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md>.
pub(super) const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/v1";

/// Where attributes of git can come from, so that they are asked for only where there are any.
pub(super) struct Attributes<'a> {
    root: &'a Path,
    everywhere: bool,
    folders: BTreeMap<PathBuf, bool>,
}

impl<'a> Attributes<'a> {
    pub(super) fn of(git: &git2::Repository, root: &'a Path) -> Self {
        let config = git.config().and_then(|mut config| config.snapshot()).ok();
        let has_file = config.is_some_and(|config| config.get_string("core.attributesfile").is_ok());
        let own = git.commondir().join("info/attributes").exists();
        let home =
            git2::Config::find_xdg().ok().and_then(|file| Some(file.parent()?.join("attributes").exists()));
        Self { root, everywhere: has_file || own || home.unwrap_or_default(), folders: BTreeMap::new() }
    }

    /// Returns whether a file's folder or one above it has attributes.
    pub(super) fn apply_to(&mut self, path: &str) -> bool {
        self.everywhere
            || Path::new(path).ancestors().skip(1).any(|folder| {
                let has = || self.root.join(folder).join(".gitattributes").exists();
                *self.folders.entry(folder.to_path_buf()).or_insert_with(has)
            })
    }
}

/// A file of HEAD that git converts.
pub(super) struct ConvertedFile {
    /// Relative to its repository.
    pub(super) path: String,
    /// The hex object id of what HEAD has.
    pub(super) blob: String,
    /// Git's mode.
    pub(super) mode: u32,
    pub(super) conversion: Conversion,
}

/// Decides about files that git converts: changed, or as a checkout writes them. Of those that are not, the first is named.
pub(super) fn judge_converted(
    tree: &mut WorkTree,
    git: &git2::Repository,
    converted: &[ConvertedFile],
    name: &dyn Fn(&str) -> String,
) -> Result<()> {
    if converted.is_empty() {
        return Ok(());
    }
    let by_library = || {
        let paths: Vec<String> = converted.iter().map(|file| file.path.clone()).collect();
        library::changed(git, &paths)
    };
    let changed = super::program::changed(git, converted)?.map_or_else(by_library, Ok)?;
    let mut by_attribute = Vec::new();
    for file in converted {
        if changed.contains(&file.path) {
            tree.changed.push(name(&file.path));
            continue;
        }
        match file.conversion {
            // A program decides: that git runs it and finds the committed content is all that can be asked.
            Conversion::Filter(_) | Conversion::None => {}
            Conversion::LineEndings => {
                let reason = "its line endings are not those of the commit (core.autocrlf, or `text` in .gitattributes)";
                tree.converted.insert(name(&file.path), reason.to_owned());
            }
            Conversion::Attribute(_) | Conversion::LineFeeds => by_attribute.push(file),
        }
    }
    if !by_attribute.is_empty()
        && let Some(file) = super::program::differs_from_checkout(git, &by_attribute)?
    {
        let attribute = if let Conversion::Attribute(name) = file.conversion { name } else { "eol" };
        let reason = format!("`{attribute}` in .gitattributes converts it, and a checkout gives other bytes");
        tree.converted.insert(name(&file.path), reason);
    }
    Ok(())
}
