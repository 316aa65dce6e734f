//! One build: everything is looked at first, then cargo-lambda runs cargo.
//!
//! What comes in: a [`Request`]. What goes out: [`Built`], with a fresh `bootstrap` in the output folder. What
//! can go wrong: anything that [`Failure`] names; and when cargo itself fails, cargo-lambda leaves the process
//! with cargo's exit code and this function does not return.

use crate::{
    environment,
    failure::Failure,
    project,
    reply::Built,
    request::{Profile, Request},
    rustflags::{self, Rustflags},
    target, toolchain,
};
use cargo_lambda_metadata::cargo::{
    CargoMetadata,
    build::{Build, CompilerOptions, OutputFormat},
};
use std::{fs, io, path::Path};

/// The name that Lambda's `provided` runtimes start.
const BOOTSTRAP: &str = "bootstrap";

/// Builds what the request asks for.
pub(crate) fn run(request: &Request) -> Result<Built, Failure> {
    let architecture = request.architecture;
    environment::check(architecture, environment::names().iter().map(String::as_str))?;
    let manifest_folder = request.manifest_path.parent().unwrap_or(Path::new("/"));
    let cargo = toolchain::cargo(if manifest_folder.is_dir() { manifest_folder } else { Path::new("/") })?;
    let metadata = project::load(request)?;

    // rust-toolchain.toml and .cargo/config.toml are found from the working directory, not from the manifest.
    let root = metadata.workspace_root.clone().into_std_path_buf();
    std::env::set_current_dir(&root)
        .map_err(|error| build_failure(request, format!("{}: {error}", root.display())))?;
    let (project_flags, rustc) = project::configuration(&root, architecture)?;
    let tools = toolchain::find(cargo, &rustc, architecture, request.glibc, &root)?;
    let flags = rustflags::decide(&project_flags, architecture, &request.remap);

    let binary = request.output_folder.join(BOOTSTRAP);
    remove_stale(&binary)
        .map_err(|error| build_failure(request, format!("{}: {error}", binary.display())))?;
    compile(request, &metadata, &flags)?;
    if !binary.is_file() {
        let reason = format!("cargo succeeded and left no binary under {}", metadata.target_directory);
        return Err(build_failure(request, reason));
    }
    Ok(Built { binary, tools, rustflags: flags.effective })
}

/// Lets cargo-lambda build. Does not return when cargo fails.
fn compile(request: &Request, metadata: &CargoMetadata, flags: &Rustflags) -> Result<(), Failure> {
    let failed = |reason: String| build_failure(request, reason);
    let mut options = options(request, flags);
    let runtime =
        tokio::runtime::Builder::new_current_thread().build().map_err(|error| failed(error.to_string()))?;
    runtime
        .block_on(cargo_lambda_build::run(&mut options, metadata))
        .map_err(|report| failed(report.chain().map(ToString::to_string).collect::<Vec<_>>().join(": ")))?;
    // cargo-lambda tells its choice of a CPU only here.
    let cpu = format!("target-cpu={}", request.architecture.cpu());
    let its_own = options.cargo_opts.common.config.iter().find(|value| value.starts_with("build.rustflags="));
    match its_own {
        Some(value) if !value.contains(&cpu) => {
            Err(failed(format!("cargo-lambda chose `{value}` where this builder expects {cpu}")))
        }
        _ => Ok(()),
    }
}

/// The options of `cargo lambda build` that stand for the request.
fn options(request: &Request, flags: &Rustflags) -> Build {
    let mut build = Build {
        output_format: Some(OutputFormat::Binary),
        lambda_dir: Some(request.output_folder.clone()),
        flatten: Some(request.binary.clone()),
        compiler: Some(CompilerOptions::CargoZigbuild),
        // Looked at in `toolchain`; cargo-lambda would run `rustup target add` by itself.
        skip_target_check: true,
        ..Build::default()
    };
    let cargo = &mut build.cargo_opts;
    cargo.manifest_path = Some(request.manifest_path.clone());
    cargo.packages = vec![request.package.clone()];
    cargo.bin = vec![request.binary.clone()];
    cargo.release = match request.profile {
        Profile::Release => true,
    };
    cargo.common.locked = true;
    // The caller reads on standard output which units were compiled, and so which files and variables were used.
    cargo.common.message_format = vec!["json-render-diagnostics".to_owned()];
    cargo.common.features = request.features.clone();
    cargo.common.target = vec![target::with_glibc(request.architecture, request.glibc)];
    cargo.common.config = vec![flags.config.clone()];
    build
}

fn remove_stale(binary: &Path) -> io::Result<()> {
    match fs::remove_file(binary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn build_failure(request: &Request, reason: String) -> Failure {
    Failure::Build { package: request.package.clone(), binary: request.binary.clone(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rustflags::ProjectFlags;

    fn request() -> Request {
        serde_json::from_value(serde_json::json!({
            "schema": 1, "manifest_path": "/w/Cargo.toml", "package": "hello", "binary": "greeter",
            "architecture": "arm64", "glibc": "2.34", "output_folder": "/out",
            "remap": [{"from": "/w", "to": "/src"}], "features": ["metrics"], "profile": "release",
        }))
        .unwrap()
    }

    /// The command that cargo-options makes of the options is the one that is run.
    #[test]
    fn the_command_selects_one_binary_of_one_package_with_the_lock_as_it_is() {
        let request = request();
        let flags = rustflags::decide(&ProjectFlags::default(), request.architecture, &request.remap);
        let options = options(&request, &flags);
        let command = options.cargo_opts.command();
        let words: Vec<_> = command.get_args().map(|word| word.to_str().unwrap()).collect();
        assert_eq!(
            words,
            [
                "build",
                "--features",
                "metrics",
                "--target",
                "aarch64-unknown-linux-gnu",
                "--message-format",
                "json-render-diagnostics",
                "--locked",
                "--config",
                flags.config.as_str(),
                "--manifest-path",
                "/w/Cargo.toml",
                "--release",
                "--package",
                "hello",
                "--bin",
                "greeter",
            ]
        );
        assert_eq!(options.cargo_opts.common.target, ["aarch64-unknown-linux-gnu.2.34"]);
    }
}
