//! The Rust builder: cargo-lambda as a library, in its own program that is built once, before the first Rust build.
//!
//! In: a request file. Out: a response file with the binary and the versions of the tools. Errors: zig, a target or a
//! compiler is missing; the code does not compile (with cargo's output).

mod dep_info;
mod messages;

pub(crate) use self::messages::CompiledUnit;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use self::messages::Messages;
use super::install::{Tool, Tools};
use crate::architecture::Architecture;
use crate::digest::DigestBuilder;
use crate::exec::{self, Program, RunOptions, Stream};
use crate::failure::{self, Failure, Result};
use crate::interrupt::Interrupt;
use crate::progress::{Progress, Step};

/// A request to build one binary, as the builder reads it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct RustBuildRequest {
    /// 1.
    pub(crate) schema: u32,
    /// The workspace's `Cargo.toml`.
    pub(crate) manifest_path: PathBuf,
    /// The package.
    pub(crate) package: String,
    /// The binary.
    pub(crate) binary: String,
    /// The architecture to build for.
    pub(crate) architecture: Architecture,
    /// The glibc to link for, such as `2.34`.
    pub(crate) glibc: String,
    /// The folder for the binary.
    pub(crate) output_folder: PathBuf,
    /// Paths that must not appear in the binary.
    pub(crate) remap: Vec<PathRemap>,
    /// Features of the package, besides its default ones.
    pub(crate) features: Vec<String>,
    /// `release`.
    pub(crate) profile: String,
}

/// A path and its replacement in the binary.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct PathRemap {
    /// The path on this machine.
    pub(crate) from: PathBuf,
    /// The replacement.
    pub(crate) to: String,
}

/// The binary that was built.
#[derive(Debug, Clone)]
pub(crate) struct RustBuild {
    /// The binary.
    pub(crate) binary: PathBuf,
    /// Versions of compiler and linker, by tool.
    pub(crate) tools: BTreeMap<String, String>,
    /// What was compiled, with what it read.
    pub(crate) units: Vec<CompiledUnit>,
}

#[derive(Deserialize)]
struct RawResponse {
    ok: bool,
    binary: Option<PathBuf>,
    #[serde(default)]
    tools: BTreeMap<String, String>,
    error: Option<ResponseError>,
}

#[derive(Deserialize)]
struct ResponseError {
    kind: String,
    message: String,
    hint: Option<String>,
}

/// Builds and runs the Rust builder.
#[derive(Clone)]
pub(crate) struct RustBuilder {
    tools: Tools,
    interrupt: Interrupt,
    progress: Progress,
}

/// The builder's sources, in this crate's folder.
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/rust-builder");

impl RustBuilder {
    /// Makes the builder's handle; builds nothing.
    pub(crate) fn new(tools: Tools, interrupt: Interrupt, progress: Progress) -> Self {
        Self { tools, interrupt, progress }
    }

    /// Returns the same builder, which stops together with `interrupt`.
    pub(crate) fn with_interrupt(mut self, interrupt: Interrupt) -> Self {
        self.tools = self.tools.with_interrupt(interrupt.clone());
        self.interrupt = interrupt;
        self
    }

    /// Returns the builder's executable if it was built from its current sources.
    pub(crate) fn find(&self) -> Option<PathBuf> {
        let (executable, mark) = (self.executable(), self.mark());
        let digest = sources_digest().ok()?;
        (executable.is_file() && std::fs::read_to_string(mark).is_ok_and(|built| built == digest))
            .then_some(executable)
    }

    /// Returns the builder's executable; builds it if it is missing.
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
            let result =
                exec::run(&program, &RunOptions::default(), &self.interrupt, &mut |_, line| step.line(line))
                    .await?;
            if !result.success() {
                step.failed(if result.interrupted { "stopped" } else { "failed" });
                return Err(exec::exit_failure(&program, &result).hint(
                    "its crates come from crates.io: check the network, then run the same command again",
                ));
            }
            std::fs::write(self.mark(), sources_digest()?)
                .map_err(|error| failure::io("write", &self.mark(), error))?;
            step.done("built");
        }
        drop(lock);
        self.find().ok_or_else(|| Failure::defect("the Rust builder was built and cannot be found"))
    }

    /// Builds one binary with the variables of `environment` alone. `target` is cargo's target folder for functions, `work`
    /// holds request and response.
    pub(crate) async fn build(
        &self,
        request: &RustBuildRequest,
        environment: &[(String, String)],
        target: &Path,
        work: &Path,
        step: &Step,
    ) -> Result<RustBuild> {
        let builder = self.ensure().await?;
        let zig = self.tools.ensure(Tool::Zig).await?;
        std::fs::create_dir_all(work).map_err(|error| failure::io("create", work, error))?;
        let (request_file, response_file) = (work.join("request.json"), work.join("reply.json"));
        let text = serde_json::to_vec_pretty(request).map_err(|error| {
            Failure::defect("the build request cannot be written as JSON").caused_by(error)
        })?;
        std::fs::write(&request_file, text).map_err(|error| failure::io("write", &request_file, error))?;
        let folder = request.manifest_path.parent().unwrap_or(Path::new("."));
        let program =
            Program::new(&builder, folder).arg("build").arg(&request_file).arg(&response_file).clean_env();
        let program = environment.iter().fold(program, |program, (name, value)| program.env(name, value));
        let program = program
            .env("CARGO_TARGET_DIR", target)
            .env("CARGO_INCREMENTAL", "0")
            .env("CARGO_ZIGBUILD_ZIG_COMMAND", &zig);
        let mut messages = Messages::default();
        let mut read = |stream: Stream, line: &str| {
            if stream != Stream::Out || !messages.read(line) {
                step.line(line);
            }
        };
        let result = exec::run(&program, &RunOptions::default(), &self.interrupt, &mut read).await?;
        if result.interrupted {
            return Err(crate::interrupt::interrupted());
        }
        let response = std::fs::read(&response_file)
            .ok()
            .and_then(|bytes| serde_json::from_slice::<RawResponse>(&bytes).ok());
        match response {
            Some(RawResponse { ok: true, binary: Some(binary), tools, .. }) => {
                Ok(RustBuild { units: messages.units(folder, &binary)?, binary, tools })
            }
            Some(RawResponse { error: Some(error), .. }) => {
                let failure = Failure::failed(error.message).unchanged("Nothing was published.");
                let failure = if error.kind == "build" && !result.tail.is_empty() {
                    failure.body(result.tail.join("\n"))
                } else {
                    failure
                };
                Err(match error.hint {
                    Some(hint) => failure.hint(hint),
                    None => failure,
                })
            }
            // Without a response cargo itself stopped the builder; its output is the message.
            _ => Err(Failure::failed(format!("cargo could not build `{}`", request.binary))
                .body(result.tail.join("\n"))
                .unchanged("Nothing was published.")
                .hint(format!("cargo build --package {} shows the same error faster", request.package))),
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

/// Returns the digest of the builder's sources.
fn sources_digest() -> Result<String> {
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
