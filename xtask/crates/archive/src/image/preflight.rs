//! Finds what Lambda would refuse about an image, before anything is uploaded.
//!
//! In: an image and the function's architecture. Out: findings, none where Lambda takes the image as far as can be
//! told from manifest and config. Nothing goes wrong: what can't be understood is a finding too, so that images from
//! elsewhere can be looked at as well as our own.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::image::base::of_layers;
use crate::image::index::is_index;
use crate::image::{Architecture, Image, LayerDescriptor, MediaTypes, digest_text};

/// The most that an image's layers may hold, unpacked, in bytes: 10 GiB.
const LARGEST: u64 = 10 << 30;
const REQUIREMENTS: &str = "https://docs.aws.amazon.com/lambda/latest/dg/images-create.html";
const QUOTAS: &str = "https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html";
const ARCHITECTURES: &str = "https://docs.aws.amazon.com/lambda/latest/dg/foundation-arch.html";
const INDEXES: &str = "https://github.com/aws/aws-lambda-roadmap/issues/82";
/// Why Lambda refuses layers (`UnsupportedImageLayerDetected`) is in no document, only in its users' reports.
const LAYERS: &str = "https://github.com/bazel-contrib/rules_oci/issues/777";
const HISTORY: &str = "https://github.com/bazel-contrib/rules_oci/issues/645";
const SPECIFICATION: &str = "https://github.com/opencontainers/image-spec/blob/v1.1.1/config.md";

/// Says what Lambda would refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub what: String,
    /// The part of the image concerned, by its digest.
    pub place: String,
    /// What would be right.
    pub limit: String,
    /// Where the rule comes from: a link.
    pub source: &'static str,
}

/// Looks for what Lambda would refuse about an image for a function of that architecture.
pub fn check_image(image: &Image, architecture: Architecture) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut find = |what: String, place: &str, limit: &str, source| {
        findings.push(Finding { what, place: place.to_owned(), limit: limit.to_owned(), source });
    };
    let manifest_place = format!("manifest {}", digest_text(&image.digest));
    let config_place = format!("config {}", digest_text(&image.config_digest));

    let manifest = object(&image.manifest);
    let config = object(&image.config);
    let said = manifest.get("mediaType").and_then(Value::as_str).unwrap_or(MediaTypes::Oci.manifest());
    let family = [MediaTypes::Oci, MediaTypes::Docker].into_iter().find(|family| family.manifest() == said);
    let Some(family) = family.filter(|_| !is_index(&manifest)) else {
        let limit = "one manifest for one architecture, OCI or Docker v2 schema 2";
        find(format!("it is no single image: {said}"), &manifest_place, limit, INDEXES);
        return findings;
    };
    if <[u8; 32]>::from(Sha256::digest(&image.config)) != image.config_digest {
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
    let history = of_layers(entries(&config, "history"));
    if history != layers.len() {
        let limit = format!("one for each of {} layers", layers.len());
        find(format!("its history has {history} entries for layers"), &config_place, &limit, HISTORY);
    }
    let run = config.get("config").and_then(Value::as_object).cloned().unwrap_or_default();
    if entries(&run, "Entrypoint").is_empty() && entries(&run, "Cmd").is_empty() {
        let limit = "an entrypoint, or a command that is one";
        find("it has neither Entrypoint nor Cmd".into(), &config_place, limit, REQUIREMENTS);
    }
    let unpacked = least_unpacked(&image.layers);
    if unpacked > LARGEST {
        let what = format!("its layers hold at least {unpacked} bytes unpacked");
        find(what, &manifest_place, &format!("{LARGEST} bytes"), QUOTAS);
    }
    findings
}

/// Adds up what the layers hold at least. A base's layers are not read: a packed length stands for the unpacked one,
/// which is hardly ever shorter.
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
