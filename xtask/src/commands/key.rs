//! `key new`: make a key pair that signs releases.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

use super::CommandOutput;
use crate::app::AppContext;
use crate::failure::Result;
use crate::release;

/// Arguments of `key`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: KeyAction,
}

#[derive(Debug, clap::Subcommand)]
enum KeyAction {
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
pub(crate) fn run(app: &AppContext, arguments: Arguments) -> Result<CommandOutput> {
    let KeyAction::New { path } = arguments.what;
    let path = app.process_env.folder.join(path);
    // Without a repository there is nothing that a private key could be committed to.
    let repository = app.repository().ok();
    let (key, public) = release::create_key_pair(&path, repository.as_ref())?;
    let key_id = key.id().to_owned();
    let (private_path, public_path) = (project_relative(app, &path), project_relative(app, &public));
    let text = format!(
        "key id       {key_id}\nprivate key  {private_path}   keep it secret, and keep a copy of it\npublic key   {public_path}   commit it\n\n\
         to sign with it, in pipelines/project.toml:\n    [store]\n    signing_key = \"{private_path}\"\n\
         or in CI: SLIPWAY_SIGNING_KEY=<a file with the private key>\n\n\
         to trust it, in terraform/environments/<environment>/environment.toml:\n    signatures = \"required\"\n    trusted_keys = [\"{public_path}\"]\n"
    );
    CommandOutput::new(&Report { key_id, private_key: path, public_key: public }, text)
}

/// Returns a path as the settings name it: relative to the project, if it is inside.
fn project_relative(app: &AppContext, path: &Path) -> String {
    path.strip_prefix(&app.project.root).unwrap_or(path).display().to_string()
}
