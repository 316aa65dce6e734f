//! A registry on loopback that stands for the public one: Debian's `docker-registry`, filled by skopeo; and one that lies.
//!
//! In: the run's base images. Out: an address that `base` in a function's settings can name. Goes wrong: one of the two
//! programs is missing: then what needs it is left out and says so; with CI=true that is a failure.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::base::{Base, bases};
use super::guard::Run;
use super::http;
use super::process;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A running registry with all base images.
pub struct Registry {
    port: u16,
    child: Child,
    held: &'static Held,
}

/// What every registry of the run holds.
struct Held {
    storage: PathBuf,
    /// Names the C library's base for x86_64, and the foreign one for arm64.
    index: String,
    /// Names the foreign one alone.
    foreign_index: String,
}

/// What a lying registry changes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    Manifest,
    Blob,
}

impl Registry {
    /// Starts a registry, or returns nothing where tests are left out.
    pub fn start(run: &'static Run) -> Option<Self> {
        static HELD: OnceLock<Option<Held>> = OnceLock::new();
        let held = HELD.get_or_init(|| fill(run)).as_ref()?;
        let (port, child) = serve(run, &held.storage);
        Some(Self { port, child, held })
    }

    /// Names an image of this registry.
    pub fn name(&self, repository: &str, digest: &str) -> String {
        format!("127.0.0.1:{}/{repository}:latest@{digest}", self.port)
    }

    /// Names the base for Rust functions, by an index of two architectures.
    pub fn libc(&self) -> String {
        self.name("lambda/provided", &self.held.index)
    }

    /// Names an index that has nothing for x86_64.
    pub fn foreign_index(&self) -> String {
        self.name("lambda/provided", &self.held.foreign_index)
    }

    /// Stops answering.
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
fn fill(run: &'static Run) -> Option<Held> {
    for program in ["docker-registry", "skopeo"] {
        if !std::env::split_paths(&run.machine.path).any(|folder| folder.join(program).is_file()) {
            left_out(program);
            return None;
        }
    }
    let storage = run.folder.join("registry");
    let (port, mut child) = serve(run, &storage);
    let bases = bases(run);
    copy(run, &bases.python, port, "lambda/python:latest");
    copy(run, &bases.foreign, port, "lambda/provided:foreign");
    copy(run, &bases.libc, port, "lambda/provided:latest");
    let put = |tag: &str, images: &[(&Base, &str)]| {
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
        let answer = http::send(port, "PUT", &path, &[("Content-Type", INDEX)], index.as_bytes());
        let answer = answer.expect("the registry's answer");
        assert_eq!(answer.status, 201, "{}", answer.text());
        format!("sha256:{}", hex::encode(Sha256::digest(&index)))
    };
    let index = put("both", &[(&bases.foreign, "arm64"), (&bases.libc, "amd64")]);
    let foreign_index = put("foreign-index", &[(&bases.foreign, "arm64")]);
    let _ = child.kill();
    let _ = child.wait();
    Some(Held { storage, index, foreign_index })
}

fn serve(run: &Run, storage: &Path) -> (u16, Child) {
    let port = free_port();
    let settings = run.folder.join(format!("registry-{port}.yml"));
    let text = format!(
        "version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: true\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:{port}\n",
        storage.display()
    );
    fs::write(&settings, text).expect("the registry's settings");
    let child = process::command(Path::new("docker-registry"))
        .arg("serve")
        .arg(&settings)
        .env("PATH", &run.machine.path)
        // The run's guard ends what carries this mark, should this process be killed.
        .env("SLIPWAY_LOCAL_SERVER_OF", run.folder.join("registry"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("docker-registry");
    let begun = Instant::now();
    while !http::send(port, "GET", "/v2/", &[], &[]).is_ok_and(|answer| answer.status == 200) {
        assert!(begun.elapsed() < Duration::from_secs(30), "docker-registry does not answer");
        std::thread::sleep(Duration::from_millis(20));
    }
    (port, child)
}

fn copy(run: &Run, base: &Base, port: u16, name: &str) {
    let output = process::command(Path::new("skopeo"))
        .args(["--insecure-policy", "copy", "--preserve-digests", "--dest-tls-verify=false"])
        .arg(format!("oci:{}", base.layout.display()))
        .arg(format!("docker://127.0.0.1:{port}/{name}"))
        .env("PATH", &run.machine.path)
        .env("HOME", &run.folder)
        .output()
        .expect("skopeo");
    assert!(output.status.success(), "skopeo: {}", String::from_utf8_lossy(&output.stderr));
}

/// Starts a registry that answers a layout's image, each manifest or each blob with its last byte changed.
///
/// It ends with this process.
pub fn liar(base: &Base, lie: Lie) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let blobs = base.layout.join("blobs/sha256");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = answer(&stream, &blobs, lie);
        }
    });
    port
}

fn answer(mut stream: &TcpStream, blobs: &Path, lie: Lie) -> std::io::Result<()> {
    let mut head = Vec::new();
    for line in BufReader::new(stream).lines() {
        let line = line?;
        if line.is_empty() {
            break;
        }
        head.push(line);
    }
    let path = head.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
    let kind = if path.contains("/manifests/") { Lie::Manifest } else { Lie::Blob };
    let mut body = match path.rsplit_once("sha256:") {
        Some((_, hex)) => fs::read(blobs.join(hex))?,
        None => b"{}".to_vec(),
    };
    // A config is a blob like the layers, and would be noticed before them; it stays as it is.
    if kind == lie && (kind == Lie::Manifest || body.first() != Some(&b'{')) {
        *body.last_mut().expect("a body") ^= 1;
    }
    let media_type = match kind {
        Lie::Manifest => "application/vnd.oci.image.manifest.v1+json",
        Lie::Blob => "application/octet-stream",
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

#[expect(clippy::disallowed_methods, reason = "whether tests may be left out is the machine's to say")]
fn left_out(program: &str) {
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "CI=true and tests of images would be left out: {program} is not installed"
    );
    // Written past the capture of tests' output: a test that is left out has to say so.
    let _ = std::io::stderr().write_all(format!("left out: {program} is not installed\n").as_bytes());
}
