//! Pushes one file as a blob to a registry without TLS: what `benches/push.py` measures.
//!
//!     cargo run -p slipway-cloud --example push_blob -- 127.0.0.1:5000 repository layer.tar

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use slipway_cloud::{Anonymous, Digest, Registry, RegistryOptions};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [host, repository, path] = &arguments[..] else {
        return Err("host, repository and file are needed".into());
    };
    let path = std::path::Path::new(path);
    let digest = digest_of(path)?;
    let options = RegistryOptions { plain_http: true, ..RegistryOptions::default() };
    let registry = Registry::new(host, Arc::new(Anonymous), options)?;
    let size = path.metadata()?.len();
    let pushed = registry.push_blob(repository, digest, size, path, None, &|_| {}).await?;
    writeln!(std::io::stdout(), "{digest} {pushed:?}")?;
    Ok(())
}

/// Whoever packs a layer knows its digest; here it is hashed first, which is measured as well.
fn digest_of(path: &std::path::Path) -> std::io::Result<Digest> {
    use sha2::Digest as _;
    let (mut file, mut hasher) = (std::fs::File::open(path)?, sha2::Sha256::new());
    let mut piece = vec![0; 256 << 10];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hasher.into()),
            read => hasher.update(&piece[..read]),
        }
    }
}
