//! Layouts as bases, layouts that are written again, and layouts that are refused.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use slipway_values::digest::Digest;

use super::{TIME, X86, digest_of, edit, layer_in, parsed};
use crate::Error;
use crate::image::{
    Architecture, Base, ConfigEdit, Image, ImageError, LayerDescriptor, blob_path, compose, write_layout,
};

/// Writes an image of one layer without a base.
fn layout(folder: &Path) -> (Image, PathBuf) {
    let layer = layer_in(folder, "bootstrap");
    let image = compose(None, &[(&layer, "code")], &edit()).expect("made");
    let to = folder.join("layout");
    let own = folder.join("bootstrap");
    let written = write_layout(&image, &[&own], &|_| None, Some("1.4.2"), &to).expect("written");
    assert!(written.is_complete());
    (image, to)
}

#[test]
fn layout_can_be_a_base_and_its_layers_may_be_elsewhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let (below, at) = layout(folder.path());
    for reference in [None, Some(below.digest.to_string())] {
        let base = Base::from_layout(&at, reference.as_deref(), X86).expect("a base");
        assert_eq!((base.digest(), base.layers().len()), (below.digest, 1));
        assert_eq!(base.config_digest(), below.config_digest);
    }
    let base = Base::from_layout(&at, None, X86).expect("a base");
    let layer = layer_in(folder.path(), "more");
    let image = compose(Some(&base), &[(&layer, "more")], &ConfigEdit::new(X86, TIME)).expect("made");
    let own = folder.path().join("more");

    let apart = folder.path().join("apart");
    let written = write_layout(&image, &[&own], &|_| None, None, &apart).expect("written");
    assert_eq!(written.missing, base.layers());
    assert!(!blob_path(&apart, base.layers()[0].digest).exists());

    let whole = folder.path().join("whole");
    let lookup = |layer: &LayerDescriptor| Some(blob_path(&at, layer.digest));
    assert!(write_layout(&image, &[&own], &lookup, None, &whole).expect("written").is_complete());
    for layer in &image.layers {
        let bytes = fs::read(blob_path(&whole, layer.digest)).expect("a blob");
        assert_eq!((Digest::of(&bytes), bytes.len() as u64), (layer.digest, layer.size));
    }
}

#[test]
fn layout_is_repaired_by_writing_it_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let (image, at) = layout(folder.path());
    let blob = blob_path(&at, image.layers[0].digest);
    let good = fs::read(&blob).expect("a blob");
    // What a killed run may leave: no index, a part, and a blob that a full disk cut off.
    fs::remove_file(at.join("index.json")).expect("removed");
    fs::write(at.join("blobs/sha256/.slipway-x.part"), "half").expect("a part");
    fs::write(&blob, vec![0; good.len()]).expect("damaged");
    let (again, _) = layout(folder.path());
    assert_eq!(again, image);
    assert!(fs::read(&blob).expect("a blob") == good, "the damaged blob was kept");
    assert!(Base::from_layout(&at, None, X86).is_ok());

    // Another file than the layer's is refused, and the index stays as it was.
    let before = fs::read(at.join("index.json")).expect("an index");
    fs::remove_file(&blob).expect("removed");
    let wrong = folder.path().join("wrong");
    fs::write(&wrong, "another thing").expect("a file");
    let error = write_layout(&image, &[&wrong], &|_| None, None, &at).expect_err("refused");
    assert!(error.to_string().contains(&wrong.display().to_string()), "{error}");
    assert!(!blob.exists());
    assert_eq!(fs::read(at.join("index.json")).expect("an index"), before);
    let error = write_layout(&image, &[], &|_| None, None, &at).expect_err("a file is missing");
    assert!(matches!(error, Error::Image(ImageError::Files { layers: 1, files: 0 })), "{error}");
}

#[test]
fn layouts_with_missing_or_wrong_documents_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let refusal = |at: &Path, reference: Option<&str>| {
        Base::from_layout(at, reference, X86).expect_err("refused").to_string()
    };
    assert!(refusal(folder.path(), None).contains("not an OCI image layout"));
    let (image, at) = layout(folder.path());
    let absent = digest_of(9).to_string();
    assert!(refusal(&at, Some(&absent)).contains(&digest_of(9).hex()));
    assert!(refusal(&at, Some("latest")).contains("latest"));
    let arm = Base::from_layout(&at, None, Architecture::Arm64).expect_err("amd64").to_string();
    assert!(arm.contains("not for linux/arm64"), "{arm}");

    // A layout of two images for one architecture: which?
    let index = fs::read(at.join("index.json")).expect("an index");
    let mut twice = parsed(&index);
    let mut other = twice["manifests"][0].clone();
    other["digest"] = json!(absent);
    twice["manifests"].as_array_mut().expect("a list").push(other);
    fs::write(at.join("index.json"), twice.to_string()).expect("written");
    let error = refusal(&at, None);
    assert!(error.contains(&absent) && error.contains(&image.digest.to_string()), "{error}");
    twice["manifests"][1]["platform"]["architecture"] = json!("arm64");
    fs::write(at.join("index.json"), twice.to_string()).expect("written");
    assert_eq!(Base::from_layout(&at, None, X86).expect("the one for amd64").digest(), image.digest);

    let config = blob_path(&at, image.config_digest);
    let text = fs::read_to_string(&config).expect("a config");
    fs::write(&config, text.replace("1.4.2", "1.4.3")).expect("tampered with");
    let error = refusal(&at, Some(&image.digest.to_string()));
    assert!(
        error.contains("does not have the digest") && error.contains(&config.display().to_string()),
        "{error}"
    );
    fs::write(at.join("oci-layout"), r#"{"imageLayoutVersion":"2.0.0"}"#).expect("written");
    assert!(refusal(&at, None).contains("2.0.0"));
}
