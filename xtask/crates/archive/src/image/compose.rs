//! Adds layers to a base and edits its config.
//!
//! In: a base or none, layers, and changes to the config. Out: an [`Image`] whose bytes depend only on these. The config
//! keeps the members that are not changed, in the same order; the manifest keeps the base's family of media types. Errors:
//! another architecture than the base's, a time out of range, a name that is not valid for an environment variable.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use slipway_values::digest::Digest;

use crate::image::json::member_error;
use crate::image::{Architecture, Base, Descriptor, Image, ImageError, LayerDescriptor, MediaTypes};
use crate::{Error, Layer};

/// Changes to an image's config; members that are `None` or empty stay as in the base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigEdit {
    /// The image's architecture; it must be the base's if there is a base.
    pub architecture: Architecture,
    /// The time of creation in config and history, in seconds since 1970.
    pub epoch_seconds: i64,
    /// The program to run. A new one removes the base's `Cmd`, as in Dockerfiles: it belonged to the old one.
    pub entrypoint: Option<Vec<String>>,
    /// The arguments of the entrypoint, or the program where there is none. For Lambda's own bases: the handler.
    pub cmd: Option<Vec<String>>,
    /// The working directory.
    pub working_dir: Option<String>,
    /// Environment variables; they replace those of the base with the same name.
    pub env: BTreeMap<String, String>,
    /// Labels, such as `org.opencontainers.image.version`; they replace those of the base with the same name.
    pub labels: BTreeMap<String, String>,
}

impl ConfigEdit {
    /// Creates an edit with an architecture and a time, and no other change.
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

/// Creates an image from a base, or from nothing, and layers. Each layer has its `created_by` text for the history.
///
/// # Errors
/// Another architecture than the base's, a time that RFC 3339 cannot express, a name that is not valid for a variable,
/// and members of the base's config with an unexpected type.
pub fn compose(base: Option<&Base>, layers: &[(&Layer, &str)], edit: &ConfigEdit) -> Result<Image, Error> {
    if let Some(base) = base
        && base.architecture() != edit.architecture
    {
        return Err(ImageError::Platform {
            what: format!("the base image {}", base.digest()),
            found: format!("linux/{}", base.architecture().oci_name()),
            wanted: edit.architecture.oci_name(),
        }
        .into());
    }
    let media_types = base.map_or(MediaTypes::Oci, Base::media_types);
    let mut config = base.map_or_else(Map::new, |base| base.config().clone());
    edit_config(&mut config, layers, edit)?;
    let config = Value::Object(config).to_string().into_bytes();

    let mut descriptors = base.map_or_else(Vec::new, |base| base.layers().to_vec());
    descriptors.extend(layers.iter().map(|(layer, _)| LayerDescriptor {
        media_type: media_types.layer().to_owned(),
        digest: layer.digest,
        size: layer.size,
        own: true,
        unpacked_size: Some(layer.unpacked_size),
    }));
    let config_digest = Digest::of(&config);
    let config_descriptor = Descriptor {
        media_type: media_types.config().to_owned(),
        digest: config_digest,
        size: config.len() as u64,
    };
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": media_types.manifest(),
        "config": config_descriptor.to_json(),
        "layers": descriptors.iter().map(LayerDescriptor::to_json).collect::<Vec<_>>(),
    });
    let manifest = manifest.to_string().into_bytes();
    let digest = Digest::of(&manifest);
    let media_type = media_types.manifest();
    Ok(Image { manifest, digest, config, config_digest, layers: descriptors, media_type })
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
    list(rootfs, "diff_ids")?.extend(layers.iter().map(|(layer, _)| layer.diff_id.to_string().into()));
    list(config, "history")?
        .extend(layers.iter().map(|(_, by)| json!({ "created": created, "created_by": by })));
    Ok(())
}

/// Edits the member `config`, which says how the image is run.
fn edit_run(run: &mut Map<String, Value>, edit: &ConfigEdit) -> Result<(), ImageError> {
    if let Some(entrypoint) = &edit.entrypoint {
        run.insert("Entrypoint".into(), entrypoint.clone().into());
        // `remove` would move the last member to its position.
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

/// Returns a member that is an object; one that is missing or null is created.
fn object<'a>(
    members: &'a mut Map<String, Value>,
    member: &str,
) -> Result<&'a mut Map<String, Value>, ImageError> {
    let value = members.entry(member).or_insert(Value::Null);
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut().ok_or_else(|| member_error("the base image's config", member, "an object"))
}

/// Returns a member that is a list; one that is missing or null is created.
fn list<'a>(members: &'a mut Map<String, Value>, member: &str) -> Result<&'a mut Vec<Value>, ImageError> {
    let value = members.entry(member).or_insert(Value::Null);
    if value.is_null() {
        *value = Value::Array(Vec::new());
    }
    value.as_array_mut().ok_or_else(|| member_error("the base image's config", member, "a list"))
}
