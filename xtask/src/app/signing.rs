//! The signing key of releases, and the keys that an environment trusts: from files or KMS.
//!
//! In: `[store] signing_key`, SLIPWAY_SIGNING_KEY, and an environment's `trusted_keys`. Out: a [`Signer`], or none; a
//! [`Trust`]. Errors: a file that does not exist or has no such key.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

use super::AppContext;
use super::ports::explain;
use crate::failure::{self, Failure, Result};
use crate::name::EnvironmentName;
use crate::ports::Signer;
use crate::release::{Circumstances, PrivateKey, PublicKey, Trust};
use crate::source::Source;

/// The environment variable with the path of a private key; it has precedence over the settings.
const VARIABLE: &str = "SLIPWAY_SIGNING_KEY";

/// A key in KMS.
struct KmsSigner {
    key: slipway_cloud::KmsKey,
    public: PublicKey,
}

#[async_trait]
impl Signer for KmsSigner {
    fn key_id(&self) -> &str {
        self.public.id()
    }

    fn public_key(&self) -> Result<Vec<u8>> {
        self.public.der()
    }

    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        self.key.sign(message).await.map_err(explain)
    }
}

/// A private key from a file.
struct FileSigner {
    key: PrivateKey,
    public: PublicKey,
}

#[async_trait]
impl Signer for FileSigner {
    fn key_id(&self) -> &str {
        self.public.id()
    }

    fn public_key(&self) -> Result<Vec<u8>> {
        self.public.der()
    }

    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        Ok(self.key.sign(message))
    }
}

impl AppContext {
    /// Returns the signer of releases; `None` if no key is configured.
    ///
    /// With `emulated`, the releases go to a local store, and a key in KMS is not used.
    pub(crate) async fn signer(&self, emulated: bool) -> Result<Option<Arc<dyn Signer>>> {
        let (named, file) = match (self.process_env.get(VARIABLE), &self.project.settings.store) {
            (Some(file), _) => (VARIABLE.to_owned(), self.process_env.folder.join(file)),
            (None, Some(store)) => match &store.signing_key {
                Some(key) if key.starts_with("alias/") || key.starts_with("arn:") => {
                    return if emulated { Ok(None) } else { self.kms_signer(key).await.map(Some) };
                }
                Some(key) => {
                    ("[store] signing_key in pipelines/project.toml".to_owned(), self.project.root.join(key))
                }
                None => return Ok(None),
            },
            (None, None) => return Ok(None),
        };
        let pem = std::fs::read_to_string(&file).map_err(|error| {
            Failure::usage(format!("{named} names {}, which cannot be read", file.display()))
                .caused_by(error)
                .hint("create a key with cargo xtask key new; in CI, write it to a file and set SLIPWAY_SIGNING_KEY to its path")
        })?;
        let key = PrivateKey::read(&pem, &file.display().to_string())?;
        let public = key.public()?;
        Ok(Some(Arc::new(FileSigner { key, public })))
    }

    /// Returns the signer of a KMS key in the store's account.
    async fn kms_signer(&self, key: &str) -> Result<Arc<dyn Signer>> {
        let (session, _) = self.store_session().await?;
        let kms_key = session.kms_key(key);
        let hint = "[store] signing_key in pipelines/project.toml names it; it must be in the store's account and region";
        let public = kms_key.public_key().await.map_err(|error| explain(error).hint(hint))?;
        let public = PublicKey::read_der(&public.der, &format!("the KMS key {key}"))?;
        Ok(Arc::new(KmsSigner { key: kms_key, public }))
    }

    /// Returns the keys and claims that an environment trusts.
    pub(crate) fn trust(&self, environment: &EnvironmentName) -> Result<Trust> {
        let settings = self.project.environment(environment)?;
        let keys = settings.trusted_keys.iter().map(|path| {
            let place = format!(
                "terraform/environments/{environment}/environment.toml: `trusted_keys` names {path}, which"
            );
            let file = self.project.root.join(path);
            let pem = std::fs::read_to_string(&file).map_err(|error| {
                let failure = Failure::usage(format!("{place} cannot be read"));
                failure.caused_by(error).hint(
                    "the path is relative to the project; commit the .pub.pem that cargo xtask key new wrote",
                )
            })?;
            PublicKey::read(&pem, &place)
        });
        Ok(Trust {
            required: settings.signatures_required,
            keys: keys.collect::<Result<_>>()?,
            claims: settings.claims.clone(),
        })
    }

    /// Returns the circumstances of a build that began at this time, for its provenance.
    pub(crate) fn circumstances(&self, source: &Source, started_on: jiff::Timestamp) -> Circumstances {
        let process_env = &self.process_env;
        let invocation =
            process_env.run_url().unwrap_or_else(|| format!("{} {started_on}", process_env.actor()));
        let branch = || source.branch.as_ref().map(|branch| format!("refs/heads/{branch}"));
        Circumstances {
            builder: process_env.builder(),
            invocation,
            started_on,
            git_ref: process_env.git_ref().or_else(branch),
            workflow: process_env.workflow(),
        }
    }
}

/// Writes a key pair: a private key that only its owner may read, and the public key next to it. Existing files are never
/// overwritten.
///
/// Returns the public key's path.
pub(crate) fn write_pair(path: &Path, key: &PrivateKey) -> Result<std::path::PathBuf> {
    let public =
        path.with_file_name(format!("{}.pub.pem", path.file_stem().unwrap_or_default().to_string_lossy()));
    for file in [path, &public] {
        if file.symlink_metadata().is_ok() {
            return Err(Failure::refused(format!("{} exists already", file.display()))
                .unchanged("No key was created.")
                .hint("name another file, or move the old pair away; keep the old public key in `trusted_keys` for as long as releases that it signed are deployed"));
        }
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| failure::io("create", folder, error))?;
    }
    write_new(path, 0o600, &key.pem()?)?;
    write_new(&public, 0o644, &key.public()?.pem()?).inspect_err(|_| {
        // A private key without its public key is useless, and would make the next attempt fail.
        let _ = std::fs::remove_file(path);
    })?;
    Ok(public)
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
