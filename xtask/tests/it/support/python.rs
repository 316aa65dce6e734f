//! Python on this machine: its version, and how uv reaches packages.

use std::path::Path;

use super::process;

/// Returns the runtime of this machine's python3, which runs functions locally: native wheels must be made for it.
pub fn local_python_runtime(path: &str) -> String {
    let output = process::command(Path::new("python3"))
        .args(["-c", "import sys; print('python%d.%d' % sys.version_info[:2])"])
        .env("PATH", path)
        .output()
        .expect("python3");
    String::from_utf8(output.stdout).expect("a version").trim().to_owned()
}

/// Returns the environment variables with which uv reaches this machine's package index, and its cache.
#[expect(clippy::disallowed_methods, reason = "a sandbox has no network settings of its own")]
pub fn package_index_variables() -> Vec<(String, String)> {
    let names =
        ["SSL_CERT_FILE", "SSL_CERT_DIR", "HTTPS_PROXY", "NO_PROXY", "UV_DEFAULT_INDEX", "UV_INDEX_URL"];
    let mut found: Vec<(String, String)> =
        names.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?))).collect();
    let cache = std::env::var("UV_CACHE_DIR")
        .ok()
        .or_else(|| Some(format!("{}/.cache/uv", std::env::var("HOME").ok()?)))
        .expect("a home");
    found.push(("UV_CACHE_DIR".into(), cache));
    found
}
