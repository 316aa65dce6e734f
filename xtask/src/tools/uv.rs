//! uv: locks requirements and installs wheels into a folder.
//!
//! In: requirements and a [`Target`]. Out: a lock's text; a folder of unpacked wheels. Goes wrong: a package has no wheel for
//! the target (named), a hash differs, PyPI cannot be reached and the cache does not hold what is needed.
//!
//! The user's indexes, certificates, credentials and cache hold: UV_INDEX*, UV_CACHE_DIR and the like, and uv.toml. Variables
//! that would change which packages are chosen, or what is written, are taken from uv: the lock and the settings decide.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::install::{Tool, Tools};
use crate::architecture::Architecture;
use crate::exec::{self, Conduct, Ended, OnSignal, Output, Program, Stream};
use crate::failure::{Failure, Result};
use crate::interrupt::{self, Interrupt};
use crate::progress::Step;
use crate::runtime::Runtime;

/// uv and what it needs.
pub(crate) struct Uv {
    tools: Tools,
    interrupt: Interrupt,
    /// Variables of the environment that uv would read and must not.
    removed: Vec<String>,
}

/// What wheels are chosen for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// Such as `3.13`.
    pub(crate) python: String,
    /// The architecture; `None` where wheels for all platforms are resolved.
    architecture: Option<Architecture>,
    /// uv's name for the platform, such as `x86_64-manylinux_2_28`.
    platform: String,
}

/// Variables that say where packages and interpreters come from, how they are fetched and where they are kept.
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

/// What uv says where it could not reach an index; the cache may still hold everything.
const UNREACHABLE: [&str; 4] = ["Failed to fetch", "error sending request", "Could not connect", "dns error"];

impl Target {
    /// Returns the target of a Python runtime and an architecture.
    pub(crate) fn new(runtime: &Runtime, architecture: Architecture) -> Result<Self> {
        let (python, system) = runtime.python_version().zip(runtime.operating_system()).ok_or_else(|| {
            Failure::usage(format!("`{runtime}` is not a Python runtime that Slipway knows"))
        })?;
        Ok(Self {
            python: python.to_owned(),
            architecture: Some(architecture),
            platform: format!("{}-{}", architecture.linux_name(), system.manylinux()),
        })
    }
}

impl Uv {
    /// Makes uv of the tool folder; `variables` are the names of all UV_ variables that are set.
    pub(crate) fn new<'a>(
        tools: Tools,
        interrupt: Interrupt,
        variables: impl Iterator<Item = &'a str>,
    ) -> Self {
        let removed = variables.filter(|name| !is_kept(name)).map(str::to_owned);
        Self { tools, interrupt, removed: removed.collect() }
    }

    /// Installs exactly what a lock pins into an empty folder, from wheels alone, each with a hash of the lock's.
    pub(crate) async fn install(&self, lock: &Path, target: &Target, to: &Path, step: &Step) -> Result<()> {
        let uv = self.tools.ensure(Tool::Uv).await?;
        let folder = lock.parent().unwrap_or(Path::new("."));
        let program = self.sealed(install(Program::new(&uv, folder), lock, target, to));
        let ended = self.run(&program, step).await?;
        if ended.success() {
            return Ok(());
        }
        if ended.tail.iter().any(|line| UNREACHABLE.iter().any(|words| line.contains(words))) {
            step.line("no index can be reached; trying with what uv's cache holds");
            let cached = self.run(&program.clone().arg("--offline"), step).await?;
            if cached.success() {
                return Ok(());
            }
            return Err(exec::unsuccessful(&program, &ended)
                .hint("packages come from PyPI, or from the index that UV_DEFAULT_INDEX or uv.toml names: check the network, proxy or that index"));
        }
        Err(explain(&program, &ended, target))
    }

    /// Resolves requirements for all platforms and returns the lock's text; `previous` keeps its versions where it may.
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
            .map_err(|error| Failure::failed("no temporary folder can be made").caused_by(error))?;
        let out = work.path().join("requirements.lock");
        if let Some(previous) = previous {
            std::fs::write(&out, previous).map_err(|error| crate::failure::io("write", &out, error))?;
        }
        let name = requirements.file_name().map_or(requirements, Path::new);
        let program = self.sealed(compile(Program::new(&uv, folder), name, python, &out));
        let ended = self.run(&program, step).await?;
        if !ended.success() {
            let target = Target { python: python.to_owned(), architecture: None, platform: String::new() };
            return Err(explain(&program, &ended, &target));
        }
        std::fs::read_to_string(&out).map_err(|error| crate::failure::io("read", &out, error))
    }

    /// Finds the interpreter of a version such as `3.13` among those that uv knows, without fetching one.
    pub(crate) async fn find_python(&self, version: &str, folder: &Path) -> Result<Option<PathBuf>> {
        let uv = self.tools.ensure(Tool::Uv).await?;
        let program = self.sealed(find_python(Program::new(&uv, folder), version));
        let mut said = None;
        let conduct = Conduct { within: Some(Duration::from_secs(60)), ..Conduct::default() };
        let ended = exec::run(&program, &conduct, &self.interrupt, &mut |_| {}, &mut |stream, line| {
            if stream == Stream::Out {
                said = Some(PathBuf::from(line.trim()));
            }
        })
        .await?;
        if ended.interrupted {
            return Err(interrupt::interrupted());
        }
        Ok(said.filter(|path| ended.success() && path.is_file()))
    }

    /// Installs an interpreter where uv keeps its own; the failure says why it could not be had.
    pub(crate) async fn install_python(&self, version: &str, folder: &Path, step: &Step) -> Result<()> {
        let uv = self.tools.ensure(Tool::Uv).await?;
        let program = self.sealed(install_python(Program::new(&uv, folder), version));
        let ended = self.run(&program, step).await?;
        if ended.success() { Ok(()) } else { Err(exec::unsuccessful(&program, &ended)) }
    }

    fn sealed(&self, program: Program) -> Program {
        let program = ["VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "PYTHONHOME"]
            .iter()
            .fold(program, |program, name| program.without_env(name));
        self.removed
            .iter()
            .fold(program, |program, name| program.without_env(name))
            .hint("cargo xtask tools install")
    }

    async fn run(&self, program: &Program, step: &Step) -> Result<Ended> {
        let conduct = Conduct {
            output: Output::Pipes,
            within: Some(Duration::from_secs(900)),
            on_signal: OnSignal::Forward,
            stdin: None,
        };
        let ended =
            exec::run(program, &conduct, &self.interrupt, &mut |_| {}, &mut |_, line| step.line(line))
                .await?;
        if ended.interrupted { Err(interrupt::interrupted()) } else { Ok(ended) }
    }
}

/// Tells whether uv may read a variable: `UV_INDEX_<NAME>_USERNAME` and `_PASSWORD` belong to indexes.
fn is_kept(name: &str) -> bool {
    KEPT.contains(&name)
        || (name.starts_with("UV_INDEX_") && (name.ends_with("_USERNAME") || name.ends_with("_PASSWORD")))
}

fn find_python(program: Program, version: &str) -> Program {
    program.args(["python", "find", "--color", "never", "--no-python-downloads", "--no-project", version])
}

/// Without a link in the user's folder of programs: Slipway finds it where uv keeps it.
fn install_python(program: Program, version: &str) -> Program {
    program.args(["python", "install", "--color", "never", "--no-progress", "--no-bin", version])
}

fn install(program: Program, lock: &Path, target: &Target, to: &Path) -> Program {
    program
        .args(["pip", "install", "--color", "never", "--no-python-downloads", "--target"])
        .arg(to)
        .args(["--python-platform", &target.platform, "--python-version", &target.python])
        .args(["--only-binary", ":all:", "--require-hashes", "--no-deps", "--link-mode", "copy", "-r"])
        .arg(lock)
}

fn compile(program: Program, requirements: &Path, python: &str, out: &Path) -> Program {
    program
        .args(["pip", "compile", "--color", "never", "--no-python-downloads", "--quiet"])
        .arg(requirements)
        .args(["--universal", "--generate-hashes", "--python-version", python])
        .args(["--only-binary", ":all:", "--no-header", "--output-file"])
        .arg(out)
}

/// Makes the failure of a uv that could not choose, with the package's name first where uv tells it.
fn explain(program: &Program, ended: &Ended, target: &Target) -> Failure {
    let told = ended.tail.join(" ");
    let failure = exec::unsuccessful(program, ended);
    if ended.timed_out || ended.code.is_none() {
        return failure;
    }
    let body = ended.tail.join("\n");
    let place = match target.architecture {
        None => format!("Python {}", target.python),
        Some(architecture) => format!("Python {} on {architecture} ({})", target.python, target.platform),
    };
    if let Some(package) = without_wheel(&told) {
        return Failure::usage(format!("{package} has no wheel for {place}"))
            .body(body)
            .unchanged("Nothing was built.")
            .hint("take a version that has one, or build the function with with = \"command\": nothing is compiled from a source distribution");
    }
    if let Some(package) = between(&told, "Hash mismatch for `", "`") {
        return Failure::refused(format!("what the index has for {package} is not what the lock says"))
            .body(body)
            .unchanged("Nothing was built.")
            .hint("if the lock is to be trusted, the index is not; else make the lock anew with cargo xtask lock");
    }
    failure
}

/// Finds `name==version` in uv's "Because name==version has no (usable) wheels".
fn without_wheel(told: &str) -> Option<String> {
    let at = ["has no wheels with", "has no usable wheels", "has no wheels"]
        .iter()
        .filter_map(|words| told.find(words))
        .min()?;
    let package = told[..at].split_whitespace().next_back()?;
    Some(package.trim_matches(['`', ',']).replacen("==", " ", 1))
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let rest = &text[text.find(before)? + before.len()..];
    Some(&rest[..rest.find(after)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_lines() {
        let target = Target::new(&Runtime::Python313, Architecture::Arm64).unwrap();
        let program = install(Program::new("uv", "."), Path::new("l"), &target, Path::new("o"));
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
    fn the_platform_is_what_the_runtimes_glibc_can_load() {
        let platform = |runtime, architecture| Target::new(&runtime, architecture).unwrap().platform;
        assert_eq!(platform(Runtime::Python311, Architecture::X86_64), "x86_64-manylinux2014");
        assert_eq!(platform(Runtime::Python312, Architecture::X86_64), "x86_64-manylinux_2_28");
        assert_eq!(platform(Runtime::Python310, Architecture::Arm64), "aarch64-manylinux2014");
        assert!(Target::new(&Runtime::ProvidedAl2023, Architecture::X86_64).is_err());
    }

    #[test]
    fn only_what_says_where_packages_come_from_reaches_uv() {
        for kept in ["UV_CACHE_DIR", "UV_DEFAULT_INDEX", "UV_INDEX_OURS_PASSWORD"] {
            assert!(is_kept(kept), "{kept}");
        }
        for removed in ["UV_NO_BINARY", "UV_CONSTRAINT", "UV_EXCLUDE_NEWER", "UV_PRERELEASE", "UV_TARGET"] {
            assert!(!is_kept(removed), "{removed}");
        }
    }

    #[test]
    fn the_package_without_a_wheel_is_named() {
        for (told, named) in [
            (
                "  cause: Because pywin32==312 has no wheels with a matching platform tag (e.g., `x`) and you",
                "pywin32 312",
            ),
            (
                "  cause: Because docopt==0.6.2 has no usable wheels and you require docopt==0.6.2",
                "docopt 0.6.2",
            ),
        ] {
            assert_eq!(without_wheel(told).as_deref(), Some(named));
        }
        assert_eq!(without_wheel("something else"), None);
    }
}
