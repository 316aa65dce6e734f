//! A folder with the evidence of an audit, which openssl and sha256sum verify offline.
//!
//! In: an empty folder, what was audited, the ledgers' entries. Out: the files, `SHA256SUMS` of them, `verify.sh` and
//! `VERIFY.md`. Goes wrong: the folder has something in it, or cannot be written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::AuditedFunction;
use crate::digest::Digest;
use crate::failure::{self, Failure, Result};
use crate::ledger::Ledger;
use crate::release::{Catalogue, PublicKey};

/// What the files are, and how each is verified.
const GUIDE: &str = include_str!("evidence/VERIFY.md");
/// The commands.
const SCRIPT: &str = include_str!("evidence/verify.sh");

/// A folder of evidence.
pub(crate) struct Evidence {
    folder: PathBuf,
    /// SHA-256 of each file, by path in the folder.
    files: BTreeMap<String, Digest>,
}

impl Evidence {
    /// Begins a folder, which must be empty or not exist.
    pub(crate) fn begin(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(|error| failure::io("create", folder, error))?;
        let mut entries = folder.read_dir().map_err(|error| failure::io("read", folder, error))?;
        if entries.next().is_some() {
            return Err(Failure::refused(format!("{} is not empty", folder.display()))
                .unchanged("Nothing was written.")
                .hint(
                    "name a folder that does not exist: what is in it already would be taken for evidence",
                ));
        }
        Ok(Self { folder: folder.to_owned(), files: BTreeMap::new() })
    }

    /// Writes a file.
    pub(crate) fn write(&mut self, path: &str, bytes: &[u8]) -> Result<()> {
        let file = self.folder.join(path);
        if let Some(parent) = file.parent() {
            std::fs::create_dir_all(parent).map_err(|error| failure::io("create", parent, error))?;
        }
        std::fs::write(&file, bytes).map_err(|error| failure::io("write", &file, error))?;
        self.files.insert(path.to_owned(), Digest::of(bytes));
        Ok(())
    }

    /// Writes every entry of a ledger, as it is stored.
    pub(crate) async fn add_ledger(&mut self, place: &str, ledger: &Ledger) -> Result<()> {
        for (key, bytes) in ledger.stored_entries().await? {
            self.write(&format!("{place}/{key}"), &bytes)?;
        }
        Ok(())
    }

    /// Writes the trusted keys.
    pub(crate) fn add_keys_of(&mut self, place: &str, keys: &[PublicKey]) -> Result<()> {
        let file = |key: &PublicKey| format!("{place}/keys/{}.pem", key.id());
        keys.iter().try_for_each(|key| self.write(&file(key), key.pem()?.as_bytes()))
    }

    /// Writes what proves the claims about a function.
    pub(crate) async fn add_function(
        &mut self,
        place: &str,
        audited: &AuditedFunction,
        catalogue: &Catalogue,
        scratch: &Path,
    ) -> Result<()> {
        let lambda = serde_json::json!({
            "alias": audited.alias.as_ref().map(|alias| serde_json::json!({
                "points_to": alias.points_to(),
            })),
            "version": audited.configuration.as_ref().map(|found| serde_json::json!({
                "arn": found.arn,
                "version": found.version,
                "package_type": found.package_type,
                "code_sha256": found.code_sha256,
            })),
        });
        self.write(&format!("{place}/lambda.json"), format!("{lambda:#}\n").as_bytes())?;
        if let Some(manifest) = &audited.manifest {
            self.write(&format!("{place}/manifest.json"), &manifest.bytes()?)?;
            if manifest.artifact.key.ends_with(".zip") {
                let zip = scratch.join("evidence.zip");
                // One that is not what the manifest says is a finding of the audit, and no evidence.
                if catalogue.download_zip(manifest, &zip).await.is_ok() {
                    let bytes = std::fs::read(&zip).map_err(|error| failure::io("read", &zip, error))?;
                    self.write(&format!("{place}/artifact.zip"), &bytes)?;
                }
            } else if let Ok(bytes) = catalogue.image_manifest(manifest).await {
                self.write(&format!("{place}/image-manifest.json"), &bytes)?;
            }
        }
        if let Some(bundle) = &audited.audit.bundle {
            self.write(&format!("{place}/sigstore.json"), &bundle.bytes)?;
        }
        let Some(attestation) = &audited.attestation else { return Ok(()) };
        self.write(&format!("{place}/envelope.json"), &attestation.envelope)?;
        self.write(&format!("{place}/statement.json"), &attestation.payload)?;
        self.write(&format!("{place}/signed"), &attestation.signed)?;
        self.write(&format!("{place}/signature.der"), &attestation.signature)?;
        if let Some(key) = &attestation.signed_by {
            self.write(&format!("{place}/key"), format!("{}\n", key.id()).as_bytes())?;
        }
        Ok(())
    }

    /// Writes the audit, the commands, and the digests of all files.
    pub(crate) fn finish(mut self, audit: &[u8]) -> Result<usize> {
        self.write("audit.json", audit)?;
        self.write("VERIFY.md", GUIDE.as_bytes())?;
        self.write("verify.sh", SCRIPT.as_bytes())?;
        let lines = self.files.iter().map(|(path, digest)| format!("{}  {path}\n", digest.hex()));
        let sums: String = lines.collect();
        let count = self.files.len();
        self.write("SHA256SUMS", sums.as_bytes())?;
        Ok(count)
    }
}
