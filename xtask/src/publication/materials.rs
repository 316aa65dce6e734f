//! What goes into a build besides the source: lock files, the base image, the tools. Provenance lists it.
//!
//! In: a function and its manifest. Out: [`Material`]s. Errors: a lock file cannot be read.

use std::path::PathBuf;

use crate::digest::Digest;
use crate::failure::{self, Result};
use crate::name::FunctionName;
use crate::release::{Manifest, Material};
use crate::settings::{BaseReference, BuildSettings, Project};
use crate::source::DEFAULT_LOCK;

/// Lock files that a build by a command may read, in the function's folder.
const OF_COMMANDS: [&str; 8] = [
    "package-lock.json",
    "pnpm-lock.yaml",
    "yarn.lock",
    "go.sum",
    "uv.lock",
    "poetry.lock",
    "requirements.txt",
    "Cargo.lock",
];

/// Lists what goes into a function's build.
pub(super) fn of(project: &Project, function: &FunctionName, manifest: &Manifest) -> Result<Vec<Material>> {
    let settings = project.function(function)?;
    let in_folder = |name: &str| settings.folder.join(name);
    let locks: Vec<PathBuf> = match &settings.build {
        BuildSettings::Cargo { .. } => vec![PathBuf::from("Cargo.lock"), in_folder("Cargo.lock")],
        BuildSettings::Python { lock, .. } => vec![in_folder(lock.as_deref().unwrap_or(DEFAULT_LOCK))],
        BuildSettings::Command { .. } => OF_COMMANDS.iter().map(|name| in_folder(name)).collect(),
    };
    let mut materials = Vec::new();
    for lock in locks {
        let file = project.root.join(&lock);
        if !file.is_file() {
            continue;
        }
        let bytes = std::fs::read(&file).map_err(|error| failure::io("read", &file, error))?;
        materials.push(Material {
            name: lock.to_string_lossy().into_owned(),
            uri: None,
            sha256: Some(Digest::of(&bytes).hex()),
        });
    }
    let base = settings.image.as_ref().map(|image| &image.base);
    let base = match base {
        Some(BaseReference::Registry(reference)) => {
            reference.split_once('@').map(|(image, digest)| (image.to_owned(), digest))
        }
        Some(BaseReference::Layout { folder, digest }) => Some((format!("oci:{folder}"), digest.as_str())),
        Some(BaseReference::Scratch) | None => None,
    };
    materials.extend(base.map(|(image, digest)| Material {
        name: "base image".to_owned(),
        uri: Some(format!("{image}@{digest}")),
        sha256: digest.strip_prefix("sha256:").map(str::to_owned),
    }));
    materials.extend(manifest.built.tools.iter().map(|(tool, version)| Material {
        name: tool.clone(),
        uri: Some(format!("pkg:generic/{}@{}", escaped(tool), escaped(version))),
        sha256: None,
    }));
    Ok(materials)
}

/// Escapes a part of a package URL.
fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        })
        .collect()
}
