//! uv: locks requirements and installs wheels into a folder.
//!
//! In: requirements or a `uv.lock`, and a [`WheelPlatform`]. Out: a lock's text; a folder of unpacked wheels. Errors: a package has no wheel
//! for the platform (named), a hash differs, PyPI cannot be reached and the cache lacks a package.
//!
//! uv uses the user's indexes, certificates, credentials and cache: UV_INDEX*, UV_CACHE_DIR and the like, and uv.toml.
//! Variables that would change which packages are chosen, or what is written, are removed: lock and settings decide.

mod errors;

use std::path::{Path, PathBuf};
use std::time::Duration;

use errors::{explain, is_unreachable};

use super::install::{Tool, Tools};
use crate::architecture::Architecture;
use crate::exec::{self, Program, ProgramResult, RunOptions, Stream};
use crate::failure::{Failure, Result};
use crate::interrupt::{self, Interrupt};
use crate::progress::Step;
use crate::runtime::Runtime;

/// Runs uv, and installs it if it is missing.
pub(crate) struct Uv {
    tools: Tools,
    interrupt: Interrupt,
    /// Environment variables that uv must not read.
    removed: Vec<String>,
}

/// The platform that wheels are chosen for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WheelPlatform {
    /// Such as `3.13`.
    pub(crate) python: String,
    /// The architecture; `None` where wheels for all platforms are resolved.
    architecture: Option<Architecture>,
    /// uv's name for the platform, such as `x86_64-manylinux_2_28`.
    uv_platform: String,
}

/// Variables that decide where packages and interpreters come from, how they are fetched and where they are stored.
const KEPT: [&str; 28] = [
    "UV_CACHE_DIR",
    "UV_CONCURRENT_DOWNLOADS",
    "UV_CONCURRENT_INSTALLS",
    "UV_CONFIG_FILE",
    "UV_CREDENTIALS_DIR",
    "UV_DEFAULT_INDEX",
    "UV_EXTRA_INDEX_URL",
    "UV_FIND_LINKS",
    "UV_HTTP_CONNECT_TIMEOUT",
    "UV_HTTP_PROXY",
    "UV_HTTP_RETRIES",
    "UV_HTTP_TIMEOUT",
    "UV_HTTPS_PROXY",
    "UV_INDEX",
    "UV_INDEX_STRATEGY",
    "UV_INDEX_URL",
    "UV_INSECURE_HOST",
    "UV_KEYRING_PROVIDER",
    "UV_NATIVE_TLS",
    "UV_NO_CONFIG",
    "UV_NO_PROXY",
    "UV_OFFLINE",
    "UV_PYTHON_DOWNLOADS",
    "UV_PYTHON_DOWNLOADS_JSON_URL",
    "UV_PYTHON_INSTALL_DIR",
    "UV_PYTHON_INSTALL_MIRROR",
    "UV_REQUEST_TIMEOUT",
    "UV_SYSTEM_CERTS",
];

/// A lock to install, and where its packages come from.
pub(crate) struct LockedPackages<'a> {
    /// The function's folder, in which uv runs.
    pub(crate) folder: &'a Path,
    /// The lock.
    pub(crate) lock: &'a Path,
    /// Lines of a requirements file that name indexes.
    pub(crate) index_lines: &'a [String],
    /// Words of uv's command line that name indexes.
    pub(crate) index_options: &'a [String],
}

impl WheelPlatform {
    /// Returns the platform of a Python runtime and an architecture.
    pub(crate) fn new(runtime: &Runtime, architecture: Architecture) -> Result<Self> {
        let (python, system) = runtime.python_version().zip(runtime.operating_system()).ok_or_else(|| {
            Failure::usage(format!("`{runtime}` is not a Python runtime that Slipway knows"))
        })?;
        Ok(Self {
            python: python.to_owned(),
            architecture: Some(architecture),
            uv_platform: format!("{}-{}", architecture.linux_name(), system.manylinux()),
        })
    }
}

impl Uv {
    /// Returns the tools, of which uv is one.
    pub(crate) fn tools(&self) -> &Tools {
        &self.tools
    }

    /// Makes uv of the tool folder; `variables` are the names of all UV_ variables that are set.
    pub(crate) fn new<'a>(
        tools: Tools,
        interrupt: Interrupt,
        variables: impl Iterator<Item = &'a str>,
    ) -> Self {
        let removed = variables.filter(|name| !is_kept(name)).map(str::to_owned);
        Self { tools, interrupt, removed: removed.collect() }
    }

    /// Installs the packages of a lock into an empty folder: wheels only, each with a hash from the lock.
    pub(crate) async fn install(
        &self,
        packages: &LockedPackages<'_>,
        platform: &WheelPlatform,
        to: &Path,
        step: &Step,
    ) -> Result<()> {
        let uv = self.tools.ensure(Tool::Uv).await?;
        let work = tempfile::tempdir()
            .map_err(|error| Failure::failed("a temporary folder cannot be created").caused_by(error))?;
        // In a file uv replaces ${NAME} by the variable: no credentials are on the command line.
        let indexes = work.path().join("indexes.txt");
        std::fs::write(&indexes, packages.index_lines.join("\n"))
            .map_err(|error| crate::failure::io("write", &indexes, error))?;
        let program = Program::new(&uv, packages.folder);
        let program = self.without_user_settings(install(program, packages, &indexes, platform, to));
        let result = self.run(&program, step).await?;
        if result.success() {
            return Ok(());
        }
        if is_unreachable(&result) {
            step.line("no index can be reached; trying with uv's cache");
            let cached = self.run(&program.clone().arg("--offline"), step).await?;
            if cached.success() {
                return Ok(());
            }
            return Err(exec::exit_failure(&program, &result)
                .hint("packages come from PyPI, or from the index that UV_DEFAULT_INDEX or uv.toml names: check the network, proxy or that index"));
        }
        Err(explain(&program, &result, platform))
    }

    /// Resolves requirements for all platforms and returns the lock's text. Versions of `previous` stay if they fit.
    pub(crate) async fn compile(
        &self,
        requirements: &Path,
        python: &str,
        previous: Option<&str>,
        step: &Step,
    ) -> Result<String> {
        let uv = self.tools.ensure(Tool::Uv).await?;
        let folder = requirements.parent().unwrap_or(Path::new("."));
        let work = tempfile::tempdir()
            .map_err(|error| Failure::failed("a temporary folder cannot be created").caused_by(error))?;
        let out = work.path().join("requirements.lock");
        if let Some(previous) = previous {
            std::fs::write(&out, previous).map_err(|error| crate::failure::io("write", &out, error))?;
        }
        let name = requirements.file_name().map_or(requirements, Path::new);
        let program = self.without_user_settings(compile(Program::new(&uv, folder), name, python, &out));
        let result = self.run(&program, step).await?;
        if !result.success() {
            let platform =
                WheelPlatform { python: python.to_owned(), architecture: None, uv_platform: String::new() };
            return Err(explain(&program, &result, &platform));
        }
        std::fs::read_to_string(&out).map_err(|error| crate::failure::io("read", &out, error))
    }

    /// Writes the packages of a project's `uv.lock` as a lock; `folder` has it and its `pyproject.toml`.
    pub(crate) async fn export(&self, folder: &Path, step: &Step) -> Result<String> {
        let uv = self.tools.ensure(Tool::Uv).await?;
        let work = tempfile::tempdir()
            .map_err(|error| Failure::failed("a temporary folder cannot be created").caused_by(error))?;
        let out = work.path().join("requirements.lock");
        let program = self.without_user_settings(export(Program::new(&uv, folder), &out));
        let result = self.run(&program, step).await?;
        if result.success() {
            return std::fs::read_to_string(&out).map_err(|error| crate::failure::io("read", &out, error));
        }
        let failure = exec::exit_failure(&program, &result);
        let said = |words: &str| result.tail.iter().any(|line| line.contains(words));
        Err(if said("needs to be updated") || said("Unable to find lockfile") {
            Failure::usage(format!(
                "{}/uv.lock is out of date with pyproject.toml beside it",
                folder.display()
            ))
            .hint(format!("uv lock --directory {}, then cargo xtask lock", folder.display()))
        } else if said("No interpreter found") {
            failure.hint("uv compares uv.lock with pyproject.toml by a Python that `requires-python` allows: install one with uv python install")
        } else {
            failure
        })
    }

    /// Returns the interpreter of a version such as `3.13` if uv finds one; downloads none.
    pub(crate) async fn find_python(&self, version: &str, folder: &Path) -> Result<Option<PathBuf>> {
        let uv = self.tools.ensure(Tool::Uv).await?;
        let program = self.without_user_settings(find_python(Program::new(&uv, folder), version));
        let mut path = None;
        let options = RunOptions { time_limit: Some(Duration::from_secs(60)), ..RunOptions::default() };
        let result = exec::run(&program, &options, &self.interrupt, &mut |stream, line| {
            if stream == Stream::Out {
                path = Some(PathBuf::from(line.trim()));
            }
        })
        .await?;
        if result.interrupted {
            return Err(interrupt::interrupted());
        }
        Ok(path.filter(|path| result.success() && path.is_file()))
    }

    /// Installs an interpreter into uv's own folder. Errors: it cannot be downloaded.
    pub(crate) async fn install_python(&self, version: &str, folder: &Path, step: &Step) -> Result<()> {
        let uv = self.tools.ensure(Tool::Uv).await?;
        let program = self.without_user_settings(install_python(Program::new(&uv, folder), version));
        let result = self.run(&program, step).await?;
        if result.success() { Ok(()) } else { Err(exec::exit_failure(&program, &result)) }
    }

    /// Removes the variables that must not change the result.
    fn without_user_settings(&self, program: Program) -> Program {
        let program = ["VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "PYTHONHOME"]
            .iter()
            .fold(program, |program, name| program.without_env(name));
        self.removed
            .iter()
            .fold(program, |program, name| program.without_env(name))
            .hint("cargo xtask tools install")
    }

    async fn run(&self, program: &Program, step: &Step) -> Result<ProgramResult> {
        let options = RunOptions { time_limit: Some(Duration::from_secs(900)), ..RunOptions::default() };
        let result = exec::run(program, &options, &self.interrupt, &mut |_, line| step.line(line)).await?;
        if result.interrupted { Err(interrupt::interrupted()) } else { Ok(result) }
    }
}

/// Returns whether uv may read a variable. `UV_INDEX_<NAME>_USERNAME` and `_PASSWORD` belong to indexes.
fn is_kept(name: &str) -> bool {
    KEPT.contains(&name)
        || (name.starts_with("UV_INDEX_") && (name.ends_with("_USERNAME") || name.ends_with("_PASSWORD")))
}

fn find_python(program: Program, version: &str) -> Program {
    program.args(["python", "find", "--color", "never", "--no-python-downloads", "--no-project", version])
}

/// Creates no link in the user's folder of programs: Slipway finds the interpreter in uv's folder.
fn install_python(program: Program, version: &str) -> Program {
    program.args(["python", "install", "--color", "never", "--no-progress", "--no-bin", version])
}

fn install(
    program: Program,
    packages: &LockedPackages<'_>,
    indexes: &Path,
    platform: &WheelPlatform,
    to: &Path,
) -> Program {
    let program = program
        .args(["pip", "install", "--color", "never", "--no-python-downloads", "--target"])
        .arg(to)
        .args(["--python-platform", &platform.uv_platform, "--python-version", &platform.python])
        .args(["--only-binary", ":all:", "--require-hashes", "--no-deps", "--link-mode", "copy", "-r"])
        .arg(packages.lock);
    let program = match packages.index_lines {
        [] => program,
        _ => program.arg("-r").arg(indexes),
    };
    match (packages.index_lines, packages.index_options) {
        ([], []) => program,
        // Each package may come from any of the indexes: its hash decides.
        (_, options) => program.args(options).args(["--index-strategy", "unsafe-best-match"]),
    }
}

/// Without groups: they are for development. `--locked` refuses a `uv.lock` that is older than its `pyproject.toml`.
fn export(program: Program, out: &Path) -> Program {
    program
        .args(["export", "--color", "never", "--no-python-downloads", "--quiet", "--locked"])
        .args(["--no-default-groups", "--no-emit-project", "--no-header", "--format", "requirements.txt"])
        .arg("--output-file")
        .arg(out)
}

fn compile(program: Program, requirements: &Path, python: &str, out: &Path) -> Program {
    program
        .args(["pip", "compile", "--color", "never", "--no-python-downloads", "--quiet"])
        .arg(requirements)
        .args(["--universal", "--generate-hashes", "--python-version", python])
        .args(["--only-binary", ":all:", "--no-header", "--output-file"])
        .arg(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_are_complete() {
        let platform = WheelPlatform::new(&Runtime::Python313, Architecture::Arm64).unwrap();
        let lines = ["--index-url https://example.com".to_owned()];
        let options = ["--index".to_owned(), "ours=https://example.com".to_owned()];
        let installed = |index_lines, index_options| {
            let folder = Path::new(".");
            let packages = LockedPackages { folder, lock: Path::new("l"), index_lines, index_options };
            install(Program::new("uv", "."), &packages, Path::new("i"), &platform, Path::new("o"))
        };
        for (lines, options, end) in [
            (lines.as_slice(), [].as_slice(), "-r l -r i --index-strategy unsafe-best-match"),
            (&[], &options, "-r l --index ours=https://example.com --index-strategy unsafe-best-match"),
        ] {
            let line = installed(lines, options).argv().join(" ");
            assert!(line.ends_with(end), "{line}");
        }
        let program = export(Program::new("uv", "."), Path::new("o"));
        assert_eq!(
            program.argv().join(" "),
            "uv export --color never --no-python-downloads --quiet --locked --no-default-groups --no-emit-project \
             --no-header --format requirements.txt --output-file o"
        );
        let program = installed(&[], &[]);
        assert_eq!(
            program.argv().join(" "),
            "uv pip install --color never --no-python-downloads --target o --python-platform aarch64-manylinux_2_28 \
             --python-version 3.13 --only-binary :all: --require-hashes --no-deps --link-mode copy -r l"
        );
        let program = find_python(Program::new("uv", "."), "3.13");
        assert_eq!(
            program.argv().join(" "),
            "uv python find --color never --no-python-downloads --no-project 3.13"
        );
        let program = install_python(Program::new("uv", "."), "3.13");
        assert_eq!(program.argv().join(" "), "uv python install --color never --no-progress --no-bin 3.13");
        let program = compile(Program::new("uv", "."), Path::new("pyproject.toml"), "3.13", Path::new("o"));
        assert_eq!(
            program.argv().join(" "),
            "uv pip compile --color never --no-python-downloads --quiet pyproject.toml --universal --generate-hashes \
             --python-version 3.13 --only-binary :all: --no-header --output-file o"
        );
    }

    #[test]
    fn platform_fits_the_glibc_of_the_runtime() {
        let platform =
            |runtime, architecture| WheelPlatform::new(&runtime, architecture).unwrap().uv_platform;
        assert_eq!(platform(Runtime::Python311, Architecture::X86_64), "x86_64-manylinux2014");
        assert_eq!(platform(Runtime::Python312, Architecture::X86_64), "x86_64-manylinux_2_28");
        assert_eq!(platform(Runtime::Python310, Architecture::Arm64), "aarch64-manylinux2014");
        assert!(WheelPlatform::new(&Runtime::ProvidedAl2023, Architecture::X86_64).is_err());
    }

    #[test]
    fn uv_reads_only_variables_about_the_source_of_packages() {
        for kept in ["UV_CACHE_DIR", "UV_DEFAULT_INDEX", "UV_INDEX_OURS_PASSWORD"] {
            assert!(is_kept(kept), "{kept}");
        }
        for removed in ["UV_NO_BINARY", "UV_CONSTRAINT", "UV_EXCLUDE_NEWER", "UV_PRERELEASE", "UV_TARGET"] {
            assert!(!is_kept(removed), "{removed}");
        }
    }
}
