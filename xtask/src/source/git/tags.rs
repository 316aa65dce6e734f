//! Tags of the repository: listed by prefix, written once, never moved.

use std::collections::BTreeMap;

use git2::{ErrorClass, ErrorCode, ObjectType, Oid};

use super::Repository;
use crate::failure::{Failure, Result};

impl Repository {
    /// Lists the tags with a prefix: name without the prefix -> commit.
    pub(crate) fn tags(&self, prefix: &str) -> Result<BTreeMap<String, String>> {
        let failed = |error| Failure::failed("the git tags cannot be listed").caused_by(error);
        let mut found = BTreeMap::new();
        for name in self.git.tag_names(Some(&format!("{prefix}*"))).map_err(failed)?.iter() {
            let Ok(Some(name)) = name else { continue };
            let Ok(object) = self.git.revparse_single(&format!("refs/tags/{name}")) else {
                continue;
            };
            let Ok(commit) = object.peel(ObjectType::Commit) else {
                continue;
            };
            if let Some(rest) = name.strip_prefix(prefix) {
                found.insert(rest.to_owned(), commit.id().to_string());
            }
        }
        Ok(found)
    }

    /// Returns the message of an annotated tag.
    pub(crate) fn tag_message(&self, name: &str) -> Option<String> {
        let object = self.git.revparse_single(&format!("refs/tags/{name}")).ok()?;
        object.as_tag()?.message().ok().flatten().map(str::to_owned)
    }

    /// Writes an annotated tag; returns whether it is new. A tag of that name at another commit is refused and not moved.
    pub(crate) fn tag(&self, name: &str, commit: &str, message: &str) -> Result<bool> {
        let failed = |error: git2::Error| {
            Failure::failed(format!("the tag {name} cannot be written")).caused_by(error)
        };
        let object = self
            .git
            .find_object(Oid::from_str(commit).map_err(failed)?, Some(ObjectType::Commit))
            .map_err(failed)?;
        if let Ok(existing) = self
            .git
            .revparse_single(&format!("refs/tags/{name}"))
            .and_then(|tag| tag.peel(ObjectType::Commit))
        {
            if existing.id() == object.id() {
                return Ok(false);
            }
            return Err(Failure::refused(format!("the tag {name} exists at another commit"))
                .detail("tag", existing.id().to_string())
                .detail("release", commit)
                .unchanged(
                    "The tag was not moved; the catalogue decides which versions exist, tags only mirror it.",
                )
                .hint(format!(
                    "delete the wrong tag with git tag --delete {name}, then run cargo xtask tags"
                )));
        }
        let signature = self
            .git
            .signature()
            .or_else(|_| git2::Signature::now("slipway", "slipway@localhost"))
            .map_err(failed)?;
        match self.git.tag(name, &object, &signature, message, false) {
            Ok(_) => Ok(true),
            Err(error) if error.class() == ErrorClass::Tag && error.code() == ErrorCode::Exists => Ok(false),
            Err(error) => Err(failed(error)),
        }
    }
}
