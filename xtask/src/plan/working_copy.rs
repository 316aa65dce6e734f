//! The copy of a stack's files that Terraform works in: the unpacked archive, in one folder of the stack's work folder.
//!
//! In: a stack's files, or an archive that was stored earlier. Out: a folder with exactly those files in the project's
//! layout. It is always the same folder, so that Terraform's data folder stays valid. States that Terraform could not save
//! stay where they are. Errors: a damaged archive, a full disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::sources::{LINKS, LOCK_FILE, SourceFile, StackSources, is_state, links_of};
use crate::digest::Digest;
use crate::failure::{self, Failure, Result};

/// A stack's files, packed.
pub(crate) struct PackedSources {
    /// The zip.
    pub(crate) zip: PathBuf,
    /// Its digest.
    pub(crate) digest: Digest,
}

/// Packs a stack's files into the work folder, unless the archive there is of the same files.
pub(crate) fn pack(sources: &StackSources, work: &Path) -> Result<PackedSources> {
    std::fs::create_dir_all(work).map_err(|error| failure::io("create", work, error))?;
    let (zip, mark) = (work.join("configuration.zip"), work.join("configuration.digests"));
    let wanted = sources.digest().hex();
    let known = std::fs::read_to_string(&mark).unwrap_or_default();
    if let Some((files, archive)) = known.split_once(' ')
        && files == wanted
        && let Ok((digest, _)) = slipway_archive::sha256_file(&zip)
        && digest.hex() == archive
    {
        return Ok(PackedSources { zip, digest });
    }
    let digest = sources.pack(&zip)?;
    // The mark only saves time: without it the files are packed again.
    let _ = std::fs::write(&mark, format!("{wanted} {}", digest.hex()));
    Ok(PackedSources { zip, digest })
}

/// Brings the copy to a stack's files; returns its folder.
pub(super) fn of_sources(sources: &StackSources, work: &Path, keep_lock: bool) -> Result<PathBuf> {
    let packed = pack(sources, work)?;
    let lock = sources.lock_path();
    unpack(&packed.zip, work, &|name| keep_lock && name == lock)
}

/// Brings the copy to an archive that was stored earlier; returns its folder.
pub(crate) fn unpack_stored(zip: &Path, work: &Path) -> Result<PathBuf> {
    // An archive without a lock file was applied with the providers that `init` chose.
    unpack(zip, work, &|name| name.ends_with(LOCK_FILE))
}

fn unpack(zip: &Path, work: &Path, keep: &dyn Fn(&str) -> bool) -> Result<PathBuf> {
    let copy = work.join("source");
    let failed = |error| Failure::failed("the stack's files cannot be unpacked").caused_by(error);
    let is_unsaved = |name: &str| is_state(name.rsplit('/').next().unwrap_or(name));
    slipway_archive::mirror_zip(zip, &copy, &|name| is_unsaved(name) || keep(name)).map_err(failed)?;
    let links = copy.join(LINKS);
    if links.is_file() {
        let content = std::fs::read(&links).map_err(|error| failure::io("read", &links, error))?;
        let file = SourceFile { content, executable: false };
        for (link, folder) in links_of(&BTreeMap::from([(LINKS.to_owned(), file)]))? {
            make_link(&copy, &link, &folder)?;
        }
    }
    Ok(copy)
}

/// Makes a link in the copy to one of its folders.
fn make_link(copy: &Path, link: &str, folder: &str) -> Result<()> {
    let place = copy.join(link);
    let up = "../".repeat(link.matches('/').count());
    let make = || {
        std::fs::create_dir_all(place.parent().unwrap_or(copy))?;
        std::os::unix::fs::symlink(format!("{up}{folder}"), &place)
    };
    make().map_err(|error| failure::io("link", &place, error))
}
