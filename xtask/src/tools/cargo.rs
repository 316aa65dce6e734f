//! The Rust builder: cargo-lambda as a library, in a program of its own that is built once, on the first Rust build.
//!
//! In: a request file. Out: a reply file with the binary and the versions of all that made it. Goes wrong: zig, a target
//! or a compiler is missing, the code does not compile; cargo's own words are kept.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::install::{Tool, Tools};
use crate::architecture::Architecture;
use crate::digest::DigestBuilder;
use crate::exec::{self, Conduct, OnSignal, Output, Program};
use crate::failure::{self, Failure, Result};
use crate::interrupt::Interrupt;
use crate::progress::{Progress, Step};

/// What is to be built, as the builder reads it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Request {
    /// 1.
    pub(crate) schema: u32,
    /// The workspace's `Cargo.toml`.
    pub(crate) manifest_path: PathBuf,
    /// The only package that is selected.
    pub(crate) package: String,
    /// The binary.
    pub(crate) binary: String,
    /// The architecture to build for.
    pub(crate) architecture: Architecture,
    /// The glibc to link for, such as `2.34`.
    pub(crate) glibc: String,
    /// Where the binary is put.
    pub(crate) output_folder: PathBuf,
    /// Paths that must not be seen in the binary.
    pub(crate) remap: Vec<Remap>,
    /// `release`.
    pub(crate) profile: String,
}

/// One path and what stands for it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Remap {
    /// The path on this machine.
    pub(crate) from: PathBuf,
    /// What the binary says instead.
    pub(crate) to: String,
}

/// What was built.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Reply {
    /// The binary.
    pub(crate) binary: PathBuf,
    /// Versions by tool.
    pub(crate) tools: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct RawReply {
    ok: bool,
    binary: Option<PathBuf>,
    #[serde(default)]
    tools: BTreeMap<String, String>,
    error: Option<ReplyError>,
}

#[derive(Deserialize)]
struct ReplyError {
    kind: String,
    message: String,
    hint: Option<String>,
}

/// The builder and what it needs.
#[derive(Clone)]
pub(crate) struct RustBuilder {
    tools: Tools,
    interrupt: Interrupt,
    progress: Progress,
}

/// The builder's sources, beside this crate's.
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/rust-builder");

impl RustBuilder {
    /// Makes the builder; nothing is built yet.
    pub(crate) fn new(tools: Tools, interrupt: Interrupt, progress: Progress) -> Self {
        Self { tools, interrupt, progress }
    }

    /// Has it end with a part of the run.
    pub(crate) fn with_interrupt(mut self, interrupt: Interrupt) -> Self {
        self.tools = self.tools.with_interrupt(interrupt.clone());
        self.interrupt = interrupt;
        self
    }

    /// Returns the builder's executable where it is built from its present sources.
    pub(crate) fn find(&self) -> Option<PathBuf> {
        let (executable, mark) = (self.executable(), self.mark());
        let stamp = stamp().ok()?;
        (executable.is_file() && std::fs::read_to_string(mark).is_ok_and(|built| built == stamp))
            .then_some(executable)
    }

    /// Returns the builder's executable, building it first where it is missing.
    pub(crate) async fn ensure(&self) -> Result<PathBuf> {
        if let Some(executable) = self.find() {
            return Ok(executable);
        }
        let lock = self.tools.lock().await?;
        if self.find().is_none() {
            let step =
                self.progress.slow_step("tools", "the Rust builder (cargo-lambda), once: a few minutes");
            let sources = Path::new(SOURCES);
            let program = cargo_program(sources)
                .args(["build", "--locked", "--manifest-path"])
                .arg(sources.join("Cargo.toml"))
                .env("CARGO_TARGET_DIR", self.target())
                .without_env("CARGO_PROFILE_DEV_DEBUG");
            let conduct =
                Conduct { output: Output::Pipes, within: None, on_signal: OnSignal::Forward, stdin: None };
            let ended =
                exec::run(&program, &conduct, &self.interrupt, &mut |_| {}, &mut |_, line| step.line(line))
                    .await?;
            if !ended.success() {
                step.failed(if ended.interrupted { "stopped" } else { "failed" });
                return Err(exec::unsuccessful(&program, &ended).hint("it is built from crates.io with a lock file of its own: check the network, then run the same command again"));
            }
            std::fs::write(self.mark(), stamp()?)
                .map_err(|error| failure::io("write", &self.mark(), error))?;
            step.done("built");
        }
        drop(lock);
        self.find().ok_or_else(|| Failure::defect("the Rust builder was built and cannot be found"))
    }

    /// Builds one binary. `target` is cargo's target folder for functions, `log` keeps cargo's words.
    pub(crate) async fn build(
        &self,
        request: &Request,
        environment: &[(String, String)],
        target: &Path,
        work: &Path,
        step: &Step,
    ) -> Result<Reply> {
        let builder = self.ensure().await?;
        let zig = self.tools.ensure(Tool::Zig).await?;
        std::fs::create_dir_all(work).map_err(|error| failure::io("create", work, error))?;
        let (request_file, reply_file) = (work.join("request.json"), work.join("reply.json"));
        let text = serde_json::to_vec_pretty(request).map_err(|error| {
            Failure::defect("the build request cannot be written as JSON").caused_by(error)
        })?;
        std::fs::write(&request_file, text).map_err(|error| failure::io("write", &request_file, error))?;
        let folder = request.manifest_path.parent().unwrap_or(Path::new("."));
        let program = Program::new(&builder, folder)
            .arg("build")
            .arg(&request_file)
            .arg(&reply_file)
            .env("CARGO_TARGET_DIR", target)
            .env("CARGO_INCREMENTAL", "0")
            .env("CARGO_ZIGBUILD_ZIG_COMMAND", &zig);
        // These would replace what the builder decides; a release does not depend on who builds it.
        let program = [
            "RUSTFLAGS",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_BUILD_RUSTFLAGS",
            "CARGO_ZIGBUILD_ZIG_VERSION",
            "RUSTC_WRAPPER",
            "CARGO_BUILD_TARGET",
        ]
        .iter()
        .fold(program, |program, name| program.without_env(name));
        let program = environment.iter().fold(program, |program, (name, value)| program.env(name, value));
        let conduct =
            Conduct { output: Output::Pipes, within: None, on_signal: OnSignal::Forward, stdin: None };
        let ended =
            exec::run(&program, &conduct, &self.interrupt, &mut |_| {}, &mut |_, line| step.line(line))
                .await?;
        if ended.interrupted {
            return Err(crate::interrupt::interrupted());
        }
        let reply =
            std::fs::read(&reply_file).ok().and_then(|bytes| serde_json::from_slice::<RawReply>(&bytes).ok());
        match reply {
            Some(RawReply { ok: true, binary: Some(binary), tools, .. }) => Ok(Reply { binary, tools }),
            Some(RawReply { error: Some(error), .. }) => {
                let failure = Failure::failed(error.message).unchanged("Nothing was published.");
                let failure = if error.kind == "build" && !ended.tail.is_empty() {
                    failure.body(ended.tail.join("\n"))
                } else {
                    failure
                };
                Err(match error.hint {
                    Some(hint) => failure.hint(hint),
                    None => failure,
                })
            }
            // Without a reply cargo itself ended the builder, and its last words are the message.
            _ => Err(Failure::failed(format!("cargo could not build `{}`", request.binary))
                .body(ended.tail.join("\n"))
                .unchanged("Nothing was published.")
                .hint(format!("see the same error faster with cargo build --package {}", request.package))),
        }
    }

    fn target(&self) -> PathBuf {
        self.tools.folder().join("rust-builder")
    }

    fn executable(&self) -> PathBuf {
        self.target().join("debug/slipway-rust-builder")
    }

    fn mark(&self) -> PathBuf {
        self.target().join("built-from")
    }
}

fn cargo_program(folder: &Path) -> Program {
    Program::new("cargo", folder).hint("install Rust from https://rustup.rs")
}

/// Hashes the builder's sources.
fn stamp() -> Result<String> {
    let mut digest = DigestBuilder::new("slipway.rust-builder/1");
    let folder = Path::new(SOURCES);
    for entry in walkdir::WalkDir::new(folder)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| entry.file_name() != "target" && entry.file_name() != "tests")
    {
        let entry = entry
            .map_err(|error| Failure::failed("the Rust builder's sources cannot be read").caused_by(error))?;
        if entry.file_type().is_file() {
            let path = entry.path();
            digest.part(
                &path.strip_prefix(folder).unwrap_or(path).to_string_lossy(),
                std::fs::read(path).map_err(|error| failure::io("read", path, error))?,
            );
        }
    }
    Ok(digest.finish().hex())
}
