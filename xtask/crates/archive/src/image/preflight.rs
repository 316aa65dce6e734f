//! Checks an image for the reasons for which Lambda refuses images, before anything is uploaded.
//!
//! In: an image and the function's architecture. Out: findings, none where Lambda accepts the image as far as manifest and
//! config show. There are no errors: a document that cannot be read is a finding too, so that images of other tools can be
//! checked as well.

use serde_json::{Map, Value};
use slipway_values::digest::Digest;

use crate::image::base::layer_entries;
use crate::image::index::is_index;
use crate::image::{Architecture, Image, LayerDescriptor, MediaTypes};

/// The largest uncompressed size of an image's layers, in bytes: 10 GiB.
const LARGEST: u64 = 10 << 30;
const REQUIREMENTS: &str = "https://docs.aws.amazon.com/lambda/latest/dg/images-create.html";
const QUOTAS: &str = "https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html";
const ARCHITECTURES: &str = "https://docs.aws.amazon.com/lambda/latest/dg/foundation-arch.html";
const INDEXES: &str = "https://github.com/aws/aws-lambda-roadmap/issues/82";
/// Lambda's documentation does not say why layers are refused (`UnsupportedImageLayerDetected`), only users' reports do.
const LAYERS: &str = "https://github.com/bazel-contrib/rules_oci/issues/777";
const HISTORY: &str = "https://github.com/bazel-contrib/rules_oci/issues/645";
const SPECIFICATION: &str = "https://github.com/opencontainers/image-spec/blob/v1.1.1/config.md";

/// A reason for which Lambda would refuse an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFinding {
    /// What is wrong.
    pub what: String,
    /// The part of the image, by its digest.
    pub place: String,
    /// What Lambda accepts.
    pub limit: String,
    /// A link to the source of the rule.
    pub source: &'static str,
}

/// Returns the reasons for which Lambda would refuse an image for a function of this architecture.
pub fn check_image(image: &Image, architecture: Architecture) -> Vec<ImageFinding> {
    let mut findings = Vec::new();
    let mut find = |what: String, place: &str, limit: &str, source| {
        findings.push(ImageFinding { what, place: place.to_owned(), limit: limit.to_owned(), source });
    };
    let manifest_place = format!("manifest {}", image.digest);
    let config_place = format!("config {}", image.config_digest);

    let manifest = object(&image.manifest);
    let config = object(&image.config);
    let media_type = manifest.get("mediaType").and_then(Value::as_str).unwrap_or(MediaTypes::Oci.manifest());
    let family =
        [MediaTypes::Oci, MediaTypes::Docker].into_iter().find(|family| family.manifest() == media_type);
    let Some(family) = family.filter(|_| !is_index(&manifest)) else {
        let limit = "one manifest for one architecture, OCI or Docker v2 schema 2";
        find(format!("it is not a single image: {media_type}"), &manifest_place, limit, INDEXES);
        return findings;
    };
    if Digest::of(&image.config) != image.config_digest {
        find(
            "it does not have its digest".into(),
            &config_place,
            "the config that the manifest names",
            SPECIFICATION,
        );
    }

    let layers = entries(&manifest, "layers");
    for layer in layers {
        let member = |name| layer.get(name).and_then(Value::as_str).unwrap_or_default();
        if member("mediaType") != family.layer() {
            let what = format!("its media type is {:?}", member("mediaType"));
            find(what, &format!("layer {}", member("digest")), family.layer(), LAYERS);
        }
    }
    let (os, found) = (text(&config, "os"), text(&config, "architecture"));
    if os != "linux" || found != architecture.oci_name() {
        let limit = format!("linux/{}, as the function", architecture.oci_name());
        find(format!("it is for {os}/{found}"), &config_place, &limit, ARCHITECTURES);
    }
    let rootfs = config.get("rootfs").and_then(Value::as_object).cloned().unwrap_or_default();
    let diff_ids = entries(&rootfs, "diff_ids").len();
    if diff_ids != layers.len() {
        let limit = format!("one for each of {} layers", layers.len());
        find(format!("rootfs names {diff_ids} diff_ids"), &config_place, &limit, SPECIFICATION);
    }
    let history = layer_entries(entries(&config, "history"));
    if history != layers.len() {
        let limit = format!("one for each of {} layers", layers.len());
        find(format!("its history has {history} entries for layers"), &config_place, &limit, HISTORY);
    }
    let run = config.get("config").and_then(Value::as_object).cloned().unwrap_or_default();
    if entries(&run, "Entrypoint").is_empty() && entries(&run, "Cmd").is_empty() {
        let limit = "an Entrypoint, or a Cmd that starts a program";
        find("it has neither Entrypoint nor Cmd".into(), &config_place, limit, REQUIREMENTS);
    }
    let unpacked = least_unpacked(&image.layers);
    if unpacked > LARGEST {
        let what = format!("its layers have at least {unpacked} bytes unpacked");
        find(what, &manifest_place, &format!("{LARGEST} bytes"), QUOTAS);
    }
    findings
}

/// Returns the smallest possible uncompressed size of the layers. A base's layers are not read: their compressed length is
/// used, which is hardly ever larger.
fn least_unpacked(layers: &[LayerDescriptor]) -> u64 {
    layers.iter().map(|layer| layer.unpacked_size.unwrap_or(layer.size)).fold(0, u64::saturating_add)
}

fn object(bytes: &[u8]) -> Map<String, Value> {
    serde_json::from_slice(bytes).unwrap_or_default()
}

fn text<'a>(members: &'a Map<String, Value>, member: &str) -> &'a str {
    members.get(member).and_then(Value::as_str).unwrap_or("nothing named")
}

fn entries<'a>(members: &'a Map<String, Value>, member: &str) -> &'a [Value] {
    members.get(member).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}
