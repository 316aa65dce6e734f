//! Appends a folder as a layer to a base that a registry has, and pushes the image: what `benches/append.py` measures.
//!
//! In: a registry without TLS, a repository that has the base, the tag of the new image, the folder, the base's digest
//! and a cache. Manifest and config of the base are taken from the cache (`blobs/sha256/<hex>`), and from the registry
//! where they are missing there; with `layers` at the end its layers are fetched too, as `cargo xtask` does so that
//! later builds need no network. Out: the digest on stdout, and what became of each blob on stderr. Goes wrong: whatever
//! the two crates refuse.
//!
//!     cargo run -p slipway-cloud --example append_layer -- 127.0.0.1:5000 app 2 folder sha256:… cache

use std::error::Error;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use slipway_archive::image::{Architecture, Base, ConfigEdit, blob_path, compose};
use slipway_archive::{Tree, write_layer};
use slipway_cloud::{Anonymous, BlobSource, BlobToPush, Digest, ImageToPush, Put, Registry, RegistryOptions};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (host, repository, tag, folder, base, cache, layers) = match &arguments[..] {
        [host, repository, tag, folder, base, cache] => (host, repository, tag, folder, base, cache, false),
        [host, repository, tag, folder, base, cache, last] if last == "layers" => {
            (host, repository, tag, folder, base, cache, true)
        }
        _ => {
            return Err(
                "host, repository, tag, folder, base and cache are needed, then `layers` or nothing".into()
            );
        }
    };
    let options = RegistryOptions { plain_http: true, ..RegistryOptions::default() };
    let registry = Registry::new(host, Arc::new(Anonymous), options)?;
    let cache = Cache { registry: &registry, repository, folder: Path::new(cache) };
    let base = cache.base(base.parse()?, layers).await?;

    let work = tempfile::tempdir()?;
    let file = work.path().join("layer.tar.gz");
    let layer = write_layer(&Tree::from_folder(Path::new(folder))?, "var/task", 0, &file, &|_| ())?;
    let image = compose(Some(&base), &[(&layer, "append_layer")], &ConfigEdit::new(base.architecture(), 0))?;

    let mut blobs: Vec<BlobToPush> = image
        .layers
        .iter()
        .map(|layer| BlobToPush {
            digest: layer.digest,
            size: layer.size,
            from: BlobSource::File(if layer.own { file.clone() } else { cache.path(layer.digest) }),
            mount_from: None,
        })
        .collect();
    blobs.push(BlobToPush {
        digest: image.config_digest,
        size: image.config.len() as u64,
        from: BlobSource::Bytes(image.config.into()),
        mount_from: None,
    });
    let image = ImageToPush { blobs, manifest: image.manifest, media_type: image.media_type.into() };
    let pushed = registry.push_image(repository, tag, &image, &|_| ()).await?;
    for (blob, what) in &pushed.blobs {
        writeln!(std::io::stderr(), "{blob} {what:?}")?;
    }
    if pushed.put == Put::Different {
        return Err(format!("{host}/{repository}:{tag} is another image already").into());
    }
    writeln!(std::io::stdout(), "{}", pushed.digest)?;
    Ok(())
}

/// Keeps what was read of bases.
struct Cache<'a> {
    registry: &'a Registry,
    repository: &'a str,
    folder: &'a Path,
}

impl Cache<'_> {
    async fn base(&self, digest: Digest, layers: bool) -> Result<Base, Box<dyn Error>> {
        std::fs::create_dir_all(self.folder.join("blobs/sha256"))?;
        let path = self.path(digest);
        if !path.exists() {
            let there = self.registry.manifest(self.repository, &digest.to_string()).await?;
            std::fs::write(&path, there.ok_or_else(|| format!("no base {digest}"))?.bytes)?;
        }
        let manifest = std::fs::read(&path)?;
        let document: serde_json::Value = serde_json::from_slice(&manifest)?;
        let config: Digest = document["config"]["digest"].as_str().unwrap_or_default().parse()?;
        self.keep(config, document["config"]["size"].as_u64().unwrap_or_default()).await?;
        let base = Base::read(&manifest, &std::fs::read(self.path(config))?, Architecture::X86_64)?;
        if layers {
            for layer in base.layers() {
                self.keep(layer.digest, layer.size).await?;
            }
        }
        Ok(base)
    }

    async fn keep(&self, digest: Digest, size: u64) -> Result<(), Box<dyn Error>> {
        let path = self.path(digest);
        if !path.exists() {
            self.registry.fetch_blob(self.repository, digest, size, &path, &|_| ()).await?;
        }
        Ok(())
    }

    fn path(&self, digest: Digest) -> PathBuf {
        blob_path(self.folder, digest)
    }
}
