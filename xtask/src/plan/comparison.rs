//! Two versions of a stack's files compared: those of the checkout with those that an environment applied and keeps.
//!
//! In: a stored archive, a stack's files. Out: the paths that differ. An environment's own values do not count: they differ on
//! purpose. Errors: an archive that cannot be unpacked.

use std::collections::BTreeSet;

use super::sources::StackSources;
use super::working_copy::unpack_stored;
use crate::failure::{self, Failure, Result};
use crate::name::{EnvironmentName, StackName};

/// Where each environment has its own settings and values.
const OF_ENVIRONMENTS: &str = "terraform/environments/";

/// Reads the files of a stored archive.
pub(crate) fn stored_sources(
    zip: &[u8],
    stack: &StackName,
    environment: &EnvironmentName,
) -> Result<StackSources> {
    let folder = tempfile::tempdir()
        .map_err(|error| Failure::failed("no temporary folder can be made").caused_by(error))?;
    let path = folder.path().join("stored.zip");
    std::fs::write(&path, zip).map_err(|error| failure::io("write", &path, error))?;
    StackSources::of_copy(&unpack_stored(&path, folder.path())?, stack, environment)
}

/// Lists the files in which two versions of a stack's files differ, without the values of environments.
pub(crate) fn differing_files(one: &StackSources, other: &StackSources) -> Vec<String> {
    let names: BTreeSet<&String> = one.files.keys().chain(other.files.keys()).collect();
    let differs = |name: &&String| {
        let (one, other) = (one.files.get(*name), other.files.get(*name));
        let parts = |file: Option<&super::sources::SourceFile>| {
            file.map(|file| (file.content.clone(), file.executable))
        };
        parts(one) != parts(other)
    };
    let shared = names.into_iter().filter(|name| !name.starts_with(OF_ENVIRONMENTS));
    shared.filter(differs).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::SourceFile;

    #[test]
    fn values_of_environments_do_not_count() {
        let sources = |files: &[(&str, &str)]| {
            let file = |text: &str| SourceFile { content: text.into(), executable: false };
            let files = files.iter().map(|(path, text)| ((*path).to_owned(), file(text))).collect();
            let mut sources = StackSources::default();
            sources.files = files;
            sources
        };
        let main = "terraform/stacks/s/main.tf";
        let dev = sources(&[(main, "a"), ("terraform/environments/dev/s.tfvars", "x = 1")]);
        let prod = sources(&[(main, "a"), ("terraform/environments/prod/s.tfvars", "x = 2")]);
        assert_eq!(differing_files(&dev, &prod), Vec::<String>::new());
        let changed = sources(&[(main, "b"), ("terraform/modules/m/main.tf", "m")]);
        assert_eq!(differing_files(&dev, &changed), ["terraform/modules/m/main.tf", main]);
    }
}
