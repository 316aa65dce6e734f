//! New key pairs: the private key readable by its owner alone, the public key beside it.

use std::path::{Path, PathBuf};

use super::{PrivateKey, PublicKey};
use crate::failure::{self, Failure, Result};
use crate::source::Repository;

/// Makes a key pair: the private key at `path`, the public one beside it as `<name>.pub.pem`.
///
/// Returns the public key and its file. Existing files are never overwritten, and the private key must not be a file that
/// git would add.
pub(crate) fn create_key_pair(path: &Path, repository: Option<&Repository>) -> Result<(PublicKey, PathBuf)> {
    if path.file_name().is_none() || path.is_dir() {
        return Err(Failure::usage(format!("{} is not the name of a file", path.display()))
            .unchanged("No key was made.")
            .hint("name the file, such as keys/release.key"));
    }
    if repository.is_some_and(|repository| repository.would_be_added(path)) {
        return Err(Failure::refused(format!(
            "git would add {}: a private key does not belong in a repository",
            path.display()
        ))
        .unchanged("No key was made.")
        .hint("add it to .gitignore first (such as a line *.key), or name a file outside the repository"));
    }
    let public_path =
        path.with_file_name(format!("{}.pub.pem", path.file_stem().unwrap_or_default().to_string_lossy()));
    for file in [path, &public_path] {
        if file.symlink_metadata().is_ok() {
            return Err(Failure::refused(format!("{} exists already", file.display()))
                .unchanged("No key was made.")
                .hint("a key is never overwritten: name another file, or move the old pair away; keep its public half trusted for as long as releases that it signed are deployed"));
        }
    }
    let key = PrivateKey::generate()?;
    let public = key.public()?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| failure::io("create", folder, error))?;
    }
    write_new(path, 0o600, &key.pem()?)?;
    write_new(&public_path, 0o644, &public.pem()?).inspect_err(|_| {
        // A private key alone is useless, and would block the next attempt.
        let _ = std::fs::remove_file(path);
    })?;
    Ok((public, public_path))
}

fn write_new(path: &Path, mode: u32, text: &str) -> Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .map_err(|error| failure::io("create", path, error))?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|error| {
        let _ = std::fs::remove_file(path);
        failure::io("write", path, error)
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::failure::FailureKind;
    use crate::source::tests::Tree;

    #[test]
    fn key_pair_is_made_once_and_readable_by_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys/release.key");
        let (public, public_path) = create_key_pair(&path, None).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let pem = std::fs::read_to_string(&public_path).unwrap();
        assert_eq!(PublicKey::read(&pem, "a").unwrap(), public);
        assert!(public_path.ends_with("keys/release.pub.pem"));
        let before = std::fs::read(&path).unwrap();
        let failure = create_key_pair(&path, None).unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Refused);
        assert_eq!(std::fs::read(&path).unwrap(), before);
        assert_eq!(create_key_pair(folder.path(), None).unwrap_err().kind(), FailureKind::Usage);
    }

    #[test]
    fn private_key_that_git_would_add_is_refused() {
        let tree = Tree::new();
        let repository = tree.repository();
        let failure = create_key_pair(&tree.root().join("release.key"), Some(&repository)).unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Refused);
        assert!(failure.message().starts_with("git would add"), "{failure}");
        create_key_pair(&tree.root().join("release.ignored"), Some(&repository)).unwrap();
    }
}
