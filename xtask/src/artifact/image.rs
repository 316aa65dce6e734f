//! A container image: the function's layers on a base, made without a Docker daemon.
//!
//! In: the function's files, and apart from them those of its dependencies; the base by digest. Out: layers on disk and,
//! once the release has a version, an [`Image`] with the digest that it has in every registry. Goes wrong: the base cannot
//! be reached and was never downloaded, is for another architecture or does not have the bytes of its digest; Lambda would
//! refuse the image.
//!
//! A code change makes one new layer, that of the code. The layers of the base and of the dependencies keep their digests,
//! so they are not uploaded again. The base is referred to, never unpacked.

mod base;

pub(super) use base::cache as base_images;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use slipway_archive::image::{ConfigEdit, LayerDescriptor, blob_path, check_image, compose, write_layout};
use slipway_archive::{Layer, Listing, Tree, write_layer};

use self::base::BaseImage;
use super::{Artifact, BuildContext};
use crate::digest::Digest;
use crate::failure::{Failure, Result};
use crate::name::FunctionName;
use crate::ports::{BlobPlace, Image, ImageBlob};
use crate::progress::Step;
use crate::settings::{BuildSettings, FunctionSettings, Project};

/// The layers that were built for an image, and its base; stored beside the layers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BuiltLayers {
    /// The base as the settings name it.
    base: String,
    /// The digest of the base's manifest for this architecture.
    base_manifest: Option<Digest>,
    /// SOURCE_DATE_EPOCH of the layers, in seconds since 1970.
    epoch: i64,
    /// The function's layers, lowest first.
    layers: Vec<BuiltLayer>,
}

/// One layer that was built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BuiltLayer {
    /// `dependencies` or `code`.
    #[serde(rename = "what")]
    name: String,
    digest: Digest,
    diff_id: Digest,
    size: u64,
    unpacked_size: u64,
}

impl BuiltLayer {
    fn file(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{}.tar.gz", self.name))
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

impl BuiltLayers {
    /// Returns whether the layers are on disk as they were written.
    pub(super) fn are_intact(&self, folder: &Path) -> bool {
        self.layers.iter().all(|layer| {
            slipway_archive::sha256_file(&layer.file(folder))
                .is_ok_and(|(sha256, size)| sha256 == layer.digest && size == layer.size)
        })
    }
}

/// The files of a function's layers.
pub(super) struct LayerTrees {
    /// The function's own files.
    pub(super) code: Tree,
    /// The files of its dependencies.
    pub(super) dependencies: Tree,
    /// SOURCE_DATE_EPOCH, in seconds since 1970.
    pub(super) epoch: i64,
}

/// Packs a function's files into layers and downloads the base.
pub(super) async fn pack(
    context: &BuildContext<'_>,
    function: &FunctionName,
    settings: &FunctionSettings,
    LayerTrees { code, dependencies, epoch }: LayerTrees,
    folder: &Path,
    mut tools: BTreeMap<String, String>,
    step: &Step,
) -> Result<Artifact> {
    let image = image_settings(settings)?;
    let base = base::download(context, &image.base, settings.architecture, step).await?;
    let mut layers = Vec::new();
    let mut content = Vec::new();
    for (name, tree) in [("dependencies", dependencies), ("code", code)] {
        if tree.is_empty() {
            continue;
        }
        let file = folder.join(format!("{name}.tar.gz"));
        let layer = write_layer(&tree, prefix(settings), epoch, &file, &|done| step.advance(done))
            .map_err(|error| Failure::failed(format!("`{function}` cannot be packed")).caused_by(error))?;
        content.extend(layer.content_digest().bytes());
        layers.push(BuiltLayer {
            name: name.to_owned(),
            digest: layer.digest,
            diff_id: layer.diff_id,
            size: layer.size,
            unpacked_size: layer.unpacked_size,
        });
    }
    content.extend(image.base.to_string().into_bytes());
    tools.insert("compressor".into(), slipway_archive::compressor().to_owned());
    let built = BuiltLayers {
        base: image.base.to_string(),
        base_manifest: base.as_ref().map(|base| base.digest),
        epoch,
        layers,
    };
    let unlabelled = assemble(context.project, function, &built, folder, &BTreeMap::new())?;
    Ok(Artifact {
        file: String::new(),
        sha256: unlabelled.digest,
        size: unlabelled.blobs.iter().map(|blob| blob.size).sum(),
        unpacked_size: built.layers.iter().map(|layer| layer.unpacked_size).sum(),
        content_digest: Digest::of(content),
        tools,
        image: Some(built),
    })
}

/// Returns an image with a release's labels, which decide its digest.
pub(super) fn assemble(
    project: &Project,
    function: &FunctionName,
    built: &BuiltLayers,
    folder: &Path,
    labels: &BTreeMap<String, String>,
) -> Result<Image> {
    let composed = composed(project, function, built, labels)?;
    let files: BTreeMap<Digest, PathBuf> =
        built.layers.iter().map(|layer| (layer.digest, layer.file(folder))).collect();
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

/// Writes a built image without labels as an OCI image layout; returns the layout's folder.
///
/// Layout: <https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md>.
pub(super) fn write_oci_layout(
    project: &Project,
    function: &FunctionName,
    built: &BuiltLayers,
    folder: &Path,
) -> Result<PathBuf> {
    let composed = composed(project, function, built, &BTreeMap::new())?;
    let files: Vec<PathBuf> = built.layers.iter().map(|layer| layer.file(folder)).collect();
    let files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    let base = |layer: &LayerDescriptor| Some(blob_path(&base::cache(project), layer.digest));
    let layout = folder.join(format!("{function}.oci"));
    write_layout(&composed, &files, &base, None, &layout).map_err(|error| {
        Failure::failed(format!("the image of `{function}` cannot be written as a layout")).caused_by(error)
    })?;
    Ok(layout)
}

/// Composes layers, base and labels, and refuses an image that Lambda would refuse.
fn composed(
    project: &Project,
    function: &FunctionName,
    built: &BuiltLayers,
    labels: &BTreeMap<String, String>,
) -> Result<slipway_archive::image::Image> {
    let failed = |error: slipway_archive::Error| {
        Failure::failed(format!("the image of `{function}` cannot be composed")).caused_by(error)
    };
    let settings = project.function(function)?;
    let architecture = settings.architecture;
    let image_settings = image_settings(settings)?;
    let base = built
        .base_manifest
        .as_ref()
        .map(|manifest| BaseImage::read(project, manifest, architecture))
        .transpose()?;
    let layers: Vec<(Layer, String)> =
        built.layers.iter().map(|layer| (layer.layer(), format!("slipway {}", layer.name))).collect();
    let layers: Vec<(&Layer, &str)> = layers.iter().map(|(layer, by)| (layer, by.as_str())).collect();
    let edit = ConfigEdit {
        entrypoint: image_settings.entrypoint.clone().or_else(|| entrypoint(settings)),
        cmd: Some(vec![settings.handler.clone()]),
        working_dir: image_settings.working_dir.clone(),
        env: image_settings.env.clone(),
        labels: labels.clone(),
        ..ConfigEdit::new(architecture, built.epoch)
    };
    let composed = compose(base.as_ref().map(|base| &base.image), &layers, &edit).map_err(failed)?;
    if !has_entrypoint(&composed.config) {
        return Err(Failure::refused(format!("the image of `{function}` has no entrypoint: nothing in it would call the handler"))
            .detail("base", &built.base)
            .unchanged("Nothing was published.")
            .hint("use a base with a runtime client, such as Lambda's image for the runtime, or write `entrypoint` under [image] in function.toml"));
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

/// Returns the folder of the function's files in the image: where Lambda's base images look for them
/// (<https://docs.aws.amazon.com/lambda/latest/dg/images-create.html>).
fn prefix(settings: &FunctionSettings) -> &'static str {
    if is_custom(settings) { "var/runtime" } else { "var/task" }
}

/// Returns the entrypoint of a compiled function, which is its own runtime client; other functions use the base's.
fn entrypoint(settings: &FunctionSettings) -> Option<Vec<String>> {
    is_custom(settings).then(|| vec!["/var/runtime/bootstrap".to_owned()])
}

/// Returns whether a config has an entrypoint. The command is the name of the handler, not a program.
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
