//! Registries on loopback in place of the public one: Debian's `docker-registry`, filled by skopeo, and one that corrupts what
//! it sends.
//!
//! In: the base images of the test run. Out: an address that `base` in a function's settings can name. Goes wrong: one of
//! the two programs is missing, and the test is skipped.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::base_images::{BaseImage, base_images};
use super::http;
use super::process;
use super::programs::find_program;
use super::skip::Missing;
use super::test_run::TestRun;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A running registry with all base images.
pub struct Registry {
    port: u16,
    child: Child,
    content: &'static RegistryContent,
}

/// What every registry of the test run contains.
struct RegistryContent {
    storage: PathBuf,
    /// The digest of an index with the C library's base for x86_64 and the arm64 base.
    index: String,
    /// The digest of an index with the arm64 base alone.
    arm64_index: String,
}

/// What a corrupting registry changes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Corruption {
    Manifest,
    Blob,
}

impl Registry {
    /// Starts a registry with all base images.
    pub fn start(test_run: &'static TestRun) -> Result<Self, Missing> {
        static CONTENT: OnceLock<Result<RegistryContent, Missing>> = OnceLock::new();
        let content = CONTENT.get_or_init(|| fill(test_run)).as_ref().map_err(Clone::clone)?;
        let (port, child) = serve(test_run, &content.storage);
        Ok(Self { port, child, content })
    }

    /// Returns its port on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns its host, with the port.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Returns the name of an image in this registry.
    pub fn name(&self, repository: &str, digest: &str) -> String {
        format!("127.0.0.1:{}/{repository}:latest@{digest}", self.port)
    }

    /// Returns the name of the base for Rust functions: an index of two architectures.
    pub fn libc(&self) -> String {
        self.name("lambda/provided", &self.content.index)
    }

    /// Makes a function in a copy of this repository take its base from here.
    pub fn give_base(&self, project: &Path, function: &str) {
        let settings = project.join(format!("lambda-src/{function}/function.toml"));
        let text = fs::read_to_string(&settings).expect("the function's settings");
        let line = |line: &str| match line.starts_with("base = ") {
            true => format!("base = \"{}\"\n", self.libc()),
            false => format!("{line}\n"),
        };
        fs::write(&settings, text.lines().map(line).collect::<String>()).expect("the function's settings");
    }

    /// Returns the name of an index without an image for x86_64.
    pub fn arm64_index(&self) -> String {
        self.name("lambda/provided", &self.content.arm64_index)
    }

    /// Stops the registry.
    pub fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Fills the storage of all registries.
fn fill(test_run: &'static TestRun) -> Result<RegistryContent, Missing> {
    for program in ["docker-registry", "skopeo"] {
        find_program(program)?;
    }
    let storage = test_run.folder.join("registry");
    let (port, mut child) = serve(test_run, &storage);
    let bases = base_images(test_run);
    copy(test_run, &bases.python, port, "lambda/python:latest");
    copy(test_run, &bases.arm64, port, "lambda/provided:arm64");
    copy(test_run, &bases.libc, port, "lambda/provided:latest");
    let put = |tag: &str, images: &[(&BaseImage, &str)]| {
        let manifests: Vec<_> = images
            .iter()
            .map(|(base, architecture)| {
                json!({
                    "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": base.digest,
                    "size": base.manifest_size, "platform": { "os": "linux", "architecture": architecture },
                })
            })
            .collect();
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests }).to_string();
        let path = format!("/v2/lambda/provided/manifests/{tag}");
        let response = http::send(port, "PUT", &path, &[("Content-Type", INDEX)], index.as_bytes());
        let response = response.expect("the registry's response");
        assert_eq!(response.status, 201, "{}", response.text());
        format!("sha256:{}", hex::encode(Sha256::digest(&index)))
    };
    let index = put("both", &[(&bases.arm64, "arm64"), (&bases.libc, "amd64")]);
    let arm64_index = put("arm64-index", &[(&bases.arm64, "arm64")]);
    let _ = child.kill();
    let _ = child.wait();
    Ok(RegistryContent { storage, index, arm64_index })
}

fn serve(test_run: &TestRun, storage: &Path) -> (u16, Child) {
    let port = free_port();
    let settings = test_run.folder.join(format!("registry-{port}.yml"));
    let text = format!(
        "version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: true\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:{port}\n",
        storage.display()
    );
    fs::write(&settings, text).expect("the registry's settings");
    let child = process::command(Path::new("docker-registry"))
        .arg("serve")
        .arg(&settings)
        .env("PATH", &test_run.machine.path)
        // If this process is killed, the test run's cleanup stops every process with this mark.
        .env("SLIPWAY_LOCAL_SERVER_OF", test_run.folder.join("registry"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("docker-registry");
    let started = Instant::now();
    while !http::send(port, "GET", "/v2/", &[], &[]).is_ok_and(|response| response.status == 200) {
        assert!(started.elapsed() < Duration::from_secs(30), "docker-registry does not respond");
        std::thread::sleep(Duration::from_millis(20));
    }
    (port, child)
}

fn copy(test_run: &TestRun, base: &BaseImage, port: u16, name: &str) {
    let output = process::command(Path::new("skopeo"))
        .args(["--insecure-policy", "copy", "--preserve-digests", "--dest-tls-verify=false"])
        .arg(format!("oci:{}", base.layout.display()))
        .arg(format!("docker://127.0.0.1:{port}/{name}"))
        .env("PATH", &test_run.machine.path)
        .env("HOME", &test_run.folder)
        .output()
        .expect("skopeo");
    assert!(output.status.success(), "skopeo: {}", String::from_utf8_lossy(&output.stderr));
}

/// Starts a registry that serves the image of a layout with the last byte of each manifest or of each layer changed; returns
/// its port.
///
/// It runs until this process ends.
pub fn corrupting_registry(base: &BaseImage, corruption: Corruption) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let blobs = base.layout.join("blobs/sha256");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = respond(&stream, &blobs, corruption);
        }
    });
    port
}

fn respond(mut stream: &TcpStream, blobs: &Path, corruption: Corruption) -> std::io::Result<()> {
    let mut head = Vec::new();
    for line in BufReader::new(stream).lines() {
        let line = line?;
        if line.is_empty() {
            break;
        }
        head.push(line);
    }
    let path = head.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
    let kind = if path.contains("/manifests/") { Corruption::Manifest } else { Corruption::Blob };
    let mut body = match path.rsplit_once("sha256:") {
        Some((_, hex)) => fs::read(blobs.join(hex))?,
        None => b"{}".to_vec(),
    };
    // A config is a blob too, and would be noticed before the layers: it is not changed.
    if kind == corruption && (kind == Corruption::Manifest || body.first() != Some(&b'{')) {
        *body.last_mut().expect("a body") ^= 1;
    }
    let media_type = match kind {
        Corruption::Manifest => "application/vnd.oci.image.manifest.v1+json",
        Corruption::Blob => "application/octet-stream",
    };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    )?;
    stream.write_all(&body)
}

/// Returns a port on which nothing listens.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}
