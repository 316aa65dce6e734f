//! Puts layers on a base and edits its config.
//!
//! In: a base or none, layers, and what the config shall say. Out: an [`Image`] whose bytes depend on these alone.
//! The config keeps what is not edited, members in the order that they had; the manifest keeps the base's family of
//! media types. What can go wrong: another architecture than the base's, a time that no calendar has, a name that no
//! environment variable can have.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::image::json::wrong;
use crate::image::{
    Architecture, Base, Descriptor, Image, ImageError, LayerDescriptor, MediaTypes, digest_text,
};
use crate::{Error, Layer};

/// Says what an image's config shall hold; what is `None` or empty stays as the base has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigEdit {
    /// The processors that the image is for; the base's, where there is one.
    pub architecture: Architecture,
    /// The time of creation that config and history name, in seconds since 1970.
    pub epoch_seconds: i64,
    /// What is run. A new one takes the base's `Cmd` away, as Dockerfiles do: it belonged to the old one.
    pub entrypoint: Option<Vec<String>>,
    /// What is handed to the entrypoint, or run where there is none. For Lambda's own bases: the handler.
    pub cmd: Option<Vec<String>>,
    /// The folder in which it is run.
    pub working_dir: Option<String>,
    /// Environment variables; one of the base with the same name is replaced.
    pub env: BTreeMap<String, String>,
    /// Labels, such as `org.opencontainers.image.version`; one of the base with the same name is replaced.
    pub labels: BTreeMap<String, String>,
}

impl ConfigEdit {
    /// Creates an edit that names an architecture and a time and changes nothing else.
    pub const fn new(architecture: Architecture, epoch_seconds: i64) -> Self {
        Self {
            architecture,
            epoch_seconds,
            entrypoint: None,
            cmd: None,
            working_dir: None,
            env: BTreeMap::new(),
            labels: BTreeMap::new(),
        }
    }
}

/// Makes an image of a base, or of nothing, and layers, each with the words that its history says it was created by.
///
/// # Errors
/// For an architecture that is not the base's, a time that RFC 3339 can't say, the name of a variable that is
/// refused, and a base's config whose members are of unknown kinds.
pub fn compose(base: Option<&Base>, layers: &[(&Layer, &str)], edit: &ConfigEdit) -> Result<Image, Error> {
    if let Some(base) = base
        && base.architecture() != edit.architecture
    {
        return Err(ImageError::Platform {
            what: format!("the base image {}", digest_text(&base.digest())),
            found: format!("linux/{}", base.architecture().oci_name()),
            wanted: edit.architecture.oci_name(),
        }
        .into());
    }
    let media_types = base.map_or(MediaTypes::Oci, Base::media_types);
    let mut config = base.map_or_else(Map::new, |base| base.config().clone());
    edit_config(&mut config, layers, edit)?;
    let config = Value::Object(config).to_string().into_bytes();

    let mut described = base.map_or_else(Vec::new, |base| base.layers().to_vec());
    described.extend(layers.iter().map(|(layer, _)| LayerDescriptor {
        media_type: media_types.layer().to_owned(),
        digest: layer.digest,
        size: layer.size,
        own: true,
        unpacked_size: Some(layer.unpacked_size),
    }));
    let config_digest: [u8; 32] = Sha256::digest(&config).into();
    let config_descriptor = Descriptor {
        media_type: media_types.config().to_owned(),
        digest: config_digest,
        size: config.len() as u64,
    };
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": media_types.manifest(),
        "config": config_descriptor.to_json(),
        "layers": described.iter().map(LayerDescriptor::to_json).collect::<Vec<_>>(),
    });
    let manifest = manifest.to_string().into_bytes();
    let digest = Sha256::digest(&manifest).into();
    let media_type = media_types.manifest();
    Ok(Image { manifest, digest, config, config_digest, layers: described, media_type })
}

fn edit_config(
    config: &mut Map<String, Value>,
    layers: &[(&Layer, &str)],
    edit: &ConfigEdit,
) -> Result<(), ImageError> {
    let epoch_seconds = edit.epoch_seconds;
    let created = jiff::Timestamp::from_second(epoch_seconds)
        .map_err(|_| ImageError::Time { epoch_seconds })?
        .to_string();
    config.insert("created".into(), created.clone().into());
    config.insert("architecture".into(), edit.architecture.oci_name().into());
    config.insert("os".into(), "linux".into());
    edit_run(object(config, "config")?, edit)?;

    let rootfs = object(config, "rootfs")?;
    rootfs.entry("type").or_insert_with(|| "layers".into());
    list(rootfs, "diff_ids")?.extend(layers.iter().map(|(layer, _)| digest_text(&layer.diff_id).into()));
    list(config, "history")?
        .extend(layers.iter().map(|(_, by)| json!({ "created": created, "created_by": by })));
    Ok(())
}

/// Edits the part of a config that says how the image is run.
fn edit_run(run: &mut Map<String, Value>, edit: &ConfigEdit) -> Result<(), ImageError> {
    if let Some(entrypoint) = &edit.entrypoint {
        run.insert("Entrypoint".into(), entrypoint.clone().into());
        // `remove` would put the last member in its place.
        run.shift_remove("Cmd");
    }
    if let Some(cmd) = &edit.cmd {
        run.insert("Cmd".into(), cmd.clone().into());
    }
    if let Some(working_dir) = &edit.working_dir {
        run.insert("WorkingDir".into(), working_dir.clone().into());
    }
    if !edit.env.is_empty() {
        let env = list(run, "Env")?;
        for (name, value) in &edit.env {
            if name.is_empty() || name.contains(['=', '\0']) {
                return Err(ImageError::VariableName { name: name.clone() });
            }
            let line = Value::from(format!("{name}={value}"));
            let same = |old: &&mut Value| {
                old.as_str().and_then(|old| old.split_once('=')).is_some_and(|(old, _)| old == name)
            };
            match env.iter_mut().find(same) {
                Some(old) => *old = line,
                None => env.push(line),
            }
        }
    }
    if !edit.labels.is_empty() {
        let labels = object(run, "Labels")?;
        for (name, value) in &edit.labels {
            labels.insert(name.clone(), value.clone().into());
        }
        labels.sort_keys();
    }
    Ok(())
}

/// Returns a member that is an object, made where it is missing or null.
fn object<'a>(
    members: &'a mut Map<String, Value>,
    member: &str,
) -> Result<&'a mut Map<String, Value>, ImageError> {
    let value = members.entry(member).or_insert(Value::Null);
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut().ok_or_else(|| wrong("the base image's config", member, "an object"))
}

/// Returns a member that is a list, made where it is missing or null.
fn list<'a>(members: &'a mut Map<String, Value>, member: &str) -> Result<&'a mut Vec<Value>, ImageError> {
    let value = members.entry(member).or_insert(Value::Null);
    if value.is_null() {
        *value = Value::Array(Vec::new());
    }
    value.as_array_mut().ok_or_else(|| wrong("the base image's config", member, "a list"))
}
