//! `key new`: make a key pair that signs releases.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

use super::Answer;
use crate::app::{AppContext, write_pair};
use crate::failure::{Failure, Result};
use crate::release::PrivateKey;

/// Arguments of `key`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Make a P-256 key pair: the private key at PATH, the public one beside it as <name>.pub.pem.
    New {
        /// The private key's file, such as keys/release.key; it must not be one that git would add.
        path: PathBuf,
    },
}

/// A new key pair.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// SHA-256 of the public key (SPKI in DER), hex.
    pub(crate) key_id: String,
    /// The private key's file.
    pub(crate) private_key: PathBuf,
    /// The public key's file.
    pub(crate) public_key: PathBuf,
}

/// Runs the command.
pub(crate) fn run(app: &AppContext, arguments: Arguments) -> Result<Answer> {
    let What::New { path } = arguments.what;
    let path = app.process_env.folder.join(path);
    if path.file_name().is_none() || path.is_dir() {
        return Err(Failure::usage(format!("{} is no file's name", path.display()))
            .unchanged("No key was made.")
            .hint("name the file, such as keys/release.key"));
    }
    // Without a repository there is nothing that a private key could be committed to.
    if app.repository().is_ok_and(|repository| repository.would_add(&path)) {
        return Err(Failure::refused(format!(
            "git would add {}: a private key does not belong in a repository",
            path.display()
        ))
        .unchanged("No key was made.")
        .hint("add it to .gitignore first (such as a line *.key), or name a file outside the repository"));
    }
    let key = PrivateKey::generate()?;
    let public = write_pair(&path, &key)?;
    let key_id = key.public()?.id().to_owned();
    let (private_told, public_told) = (told(app, &path), told(app, &public));
    let text = format!(
        "key id       {key_id}\nprivate key  {private_told}   keep it secret, and keep a copy of it\npublic key   {public_told}   commit it\n\n\
         who signs, in pipelines/project.toml:\n    [store]\n    signing_key = \"{private_told}\"\n\
         or in CI: SLIPWAY_SIGNING_KEY=<a file with the private key>\n\n\
         who trusts it, in terraform/environments/<environment>/environment.toml:\n    signatures = \"required\"\n    trusted_keys = [\"{public_told}\"]\n"
    );
    Answer::new(&Report { key_id, private_key: path, public_key: public }, text)
}

/// Writes a path as the settings name it: relative to the project where it lies there.
fn told(app: &AppContext, path: &Path) -> String {
    path.strip_prefix(&app.project.root).unwrap_or(path).display().to_string()
}
