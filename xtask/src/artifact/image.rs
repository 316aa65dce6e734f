//! A container image: layers of our own on a base, made without a Docker daemon.
//!
//! In: the function's files, those of its dependencies apart; the base by digest. Out: layers on disk, and, once the release
//! has a name, an [`Image`] with the digest that it will have in every registry. Goes wrong: the base cannot be reached and
//! was never fetched, is for another architecture or lies about its digest; the image would be refused by Lambda.
//!
//! A code change gives a new layer for the code alone: the base's layers and that of the dependencies keep their digests, so
//! that no registry is sent them again. The base is referred to, never unpacked.

mod base;

pub(super) use base::cache as bases;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use slipway_archive::image::{ConfigEdit, LayerDescriptor, blob_path, check_image, compose, write_layout};
use slipway_archive::{Layer, Listing, Tree, write_layer};

use self::base::Stand;
use super::{Artifact, Workshop};
use crate::digest::Digest;
use crate::failure::{Failure, Result};
use crate::name::FunctionName;
use crate::ports::{BlobPlace, Image, ImageBlob};
use crate::progress::Step;
use crate::settings::{BuildSettings, FunctionSettings, Project};

/// What an image is made of, kept beside its layers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Parts {
    /// The base as the settings name it.
    base: String,
    /// The digest of the base's manifest for this architecture.
    base_manifest: Option<Digest>,
    /// What dates the layers, in seconds since 1970.
    epoch: i64,
    /// Our own layers, from the lowest on.
    layers: Vec<Part>,
}

/// One layer of our own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    /// What is in it: `dependencies` or `code`.
    what: String,
    digest: Digest,
    diff_id: Digest,
    size: u64,
    unpacked_size: u64,
}

impl Part {
    fn file(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{}.tar.gz", self.what))
    }

    fn layer(&self) -> Layer {
        Layer {
            digest: self.digest,
            diff_id: self.diff_id,
            size: self.size,
            unpacked_size: self.unpacked_size,
            listing: Listing::default(),
        }
    }
}

impl Parts {
    /// Tells whether our layers are on disk as they were written.
    pub(super) fn whole(&self, folder: &Path) -> bool {
        self.layers.iter().all(|part| {
            slipway_archive::sha256_file(&part.file(folder))
                .is_ok_and(|(sha256, size)| sha256 == part.digest && size == part.size)
        })
    }
}

/// What goes into our own layers.
pub(super) struct Layers {
    /// The function's own files.
    pub(super) code: Tree,
    /// Those of its dependencies.
    pub(super) dependencies: Tree,
    /// What dates them, in seconds since 1970.
    pub(super) epoch: i64,
}

/// Packs a function's files into layers and fetches the base.
pub(super) async fn pack(
    workshop: &Workshop<'_>,
    function: &FunctionName,
    settings: &FunctionSettings,
    Layers { code, dependencies, epoch }: Layers,
    folder: &Path,
    mut tools: BTreeMap<String, String>,
    step: &Step,
) -> Result<Artifact> {
    let image = image_settings(settings)?;
    let stand = base::fetch(workshop, &image.base, settings.architecture, step).await?;
    let mut layers = Vec::new();
    let mut content = Vec::new();
    for (what, tree) in [("dependencies", dependencies), ("code", code)] {
        if tree.is_empty() {
            continue;
        }
        let file = folder.join(format!("{what}.tar.gz"));
        let layer = write_layer(&tree, prefix(settings), epoch, &file, &|done| step.advance(done))
            .map_err(|error| Failure::failed(format!("`{function}` cannot be packed")).caused_by(error))?;
        content.extend(layer.content_digest().bytes());
        layers.push(Part {
            what: what.to_owned(),
            digest: layer.digest,
            diff_id: layer.diff_id,
            size: layer.size,
            unpacked_size: layer.unpacked_size,
        });
    }
    content.extend(image.base.to_string().into_bytes());
    tools.insert("compressor".into(), slipway_archive::compressor().to_owned());
    let parts = Parts {
        base: image.base.to_string(),
        base_manifest: stand.as_ref().map(|stand| stand.manifest),
        epoch,
        layers,
    };
    let unnamed = assemble(workshop.project, function, &parts, folder, &BTreeMap::new())?;
    Ok(Artifact {
        file: String::new(),
        sha256: unnamed.digest,
        size: unnamed.blobs.iter().map(|blob| blob.size).sum(),
        unpacked_size: parts.layers.iter().map(|part| part.unpacked_size).sum(),
        content_digest: Digest::of(content),
        tools,
        image: Some(parts),
    })
}

/// Gives a release's image its labels, and with them its digest.
pub(super) fn assemble(
    project: &Project,
    function: &FunctionName,
    parts: &Parts,
    folder: &Path,
    labels: &BTreeMap<String, String>,
) -> Result<Image> {
    let composed = composed(project, function, parts, labels)?;
    let files: BTreeMap<Digest, PathBuf> =
        parts.layers.iter().map(|part| (part.digest, part.file(folder))).collect();
    let mut blobs: Vec<ImageBlob> = composed
        .layers
        .iter()
        .map(|layer| ImageBlob {
            digest: layer.digest,
            size: layer.size,
            place: BlobPlace::File(
                files
                    .get(&layer.digest)
                    .cloned()
                    .unwrap_or_else(|| blob_path(&base::cache(project), layer.digest)),
            ),
        })
        .collect();
    blobs.push(ImageBlob {
        digest: composed.config_digest,
        size: composed.config.len() as u64,
        place: BlobPlace::Bytes(composed.config),
    });
    Ok(Image {
        digest: composed.digest,
        manifest: composed.manifest,
        media_type: composed.media_type.to_owned(),
        blobs,
    })
}

/// Writes a built image, as yet without labels, as an OCI image layout and returns its folder.
///
/// Layout: <https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md>.
pub(super) fn write(
    project: &Project,
    function: &FunctionName,
    parts: &Parts,
    folder: &Path,
) -> Result<PathBuf> {
    let composed = composed(project, function, parts, &BTreeMap::new())?;
    let own: Vec<PathBuf> = parts.layers.iter().map(|part| part.file(folder)).collect();
    let own: Vec<&Path> = own.iter().map(PathBuf::as_path).collect();
    let base = |layer: &LayerDescriptor| Some(blob_path(&base::cache(project), layer.digest));
    let layout = folder.join(format!("{function}.oci"));
    write_layout(&composed, &own, &base, None, &layout).map_err(|error| {
        Failure::failed(format!("the image of `{function}` cannot be written as a layout")).caused_by(error)
    })?;
    Ok(layout)
}

/// Puts layers, base and labels together, and checks what Lambda would refuse.
fn composed(
    project: &Project,
    function: &FunctionName,
    parts: &Parts,
    labels: &BTreeMap<String, String>,
) -> Result<slipway_archive::image::Image> {
    let failed = |error: slipway_archive::Error| {
        Failure::failed(format!("the image of `{function}` cannot be put together")).caused_by(error)
    };
    let settings = project.function(function)?;
    let architecture = settings.architecture;
    let image_settings = image_settings(settings)?;
    let stand = parts
        .base_manifest
        .as_ref()
        .map(|manifest| Stand::read(project, manifest, architecture))
        .transpose()?;
    let own: Vec<(Layer, String)> =
        parts.layers.iter().map(|part| (part.layer(), format!("slipway {}", part.what))).collect();
    let own: Vec<(&Layer, &str)> = own.iter().map(|(layer, by)| (layer, by.as_str())).collect();
    let edit = ConfigEdit {
        entrypoint: image_settings.entrypoint.clone().or_else(|| entrypoint(settings)),
        cmd: Some(vec![settings.handler.clone()]),
        working_dir: image_settings.working_dir.clone(),
        env: image_settings.env.clone(),
        labels: labels.clone(),
        ..ConfigEdit::new(architecture, parts.epoch)
    };
    let composed = compose(stand.as_ref().map(|stand| &stand.base), &own, &edit).map_err(failed)?;
    if !has_entrypoint(&composed.config) {
        return Err(Failure::refused(format!("the image of `{function}` has no entrypoint: nothing in it would call the handler"))
            .detail("base", &parts.base)
            .unchanged("Nothing was published.")
            .hint("take a base with a runtime client, such as Lambda's own for the runtime, or write `entrypoint` under [image] in function.toml"));
    }
    let findings = check_image(&composed, architecture);
    if !findings.is_empty() {
        let lines: Vec<String> = findings
            .iter()
            .map(|finding| {
                format!("{}: {} ({})\n  rule: {}", finding.place, finding.what, finding.limit, finding.source)
            })
            .collect();
        return Err(Failure::refused(format!("Lambda would refuse the image of `{function}`"))
            .body(lines.join("\n"))
            .unchanged("Nothing was published."));
    }
    Ok(composed)
}

/// Where the function's files lie: where Lambda's own base images look for them
/// (<https://docs.aws.amazon.com/lambda/latest/dg/images-create.html>).
fn prefix(settings: &FunctionSettings) -> &'static str {
    if is_custom(settings) { "var/runtime" } else { "var/task" }
}

/// A compiled function is its own runtime client; what else there is, the base's entrypoint starts.
fn entrypoint(settings: &FunctionSettings) -> Option<Vec<String>> {
    is_custom(settings).then(|| vec!["/var/runtime/bootstrap".to_owned()])
}

/// Tells whether a config says what is started; the command alone is the handler's name, and no program.
fn has_entrypoint(config: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(config)
        .is_ok_and(|config| config["config"]["Entrypoint"].as_array().is_some_and(|words| !words.is_empty()))
}

fn is_custom(settings: &FunctionSettings) -> bool {
    matches!(settings.build, BuildSettings::Cargo { .. }) || settings.runtime.is_custom()
}

fn image_settings(settings: &FunctionSettings) -> Result<&crate::settings::ImageSettings> {
    settings.image.as_ref().ok_or_else(|| Failure::defect("an image function without [image]"))
}
