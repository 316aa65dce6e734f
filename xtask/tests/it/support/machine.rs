//! What the tests need from this machine: Terraform, Slipway's tools, Rust's homes. Read once.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::programs::find_program;
use super::skip::Missing;

/// What this machine provides.
pub struct Machine {
    pub path: String,
    pub cargo_home: PathBuf,
    pub rustup_home: PathBuf,
    /// Terraform's CLI configuration, where this machine has a mirror of providers.
    pub terraform_settings: Option<String>,
    /// Slipway's tool folder.
    pub tools: PathBuf,
    /// moto's executable.
    pub moto: PathBuf,
}

/// The repository whose tool is under test.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tool is in a folder of the repository")
}

/// Returns what this machine provides.
pub fn machine() -> Result<&'static Machine, Missing> {
    static MACHINE: OnceLock<Result<Machine, Missing>> = OnceLock::new();
    MACHINE.get_or_init(read).as_ref().map_err(Clone::clone)
}

fn read() -> Result<Machine, Missing> {
    for program in ["terraform", "python3", "cargo", "sh"] {
        find_program(program)?;
    }
    let home = variable("HOME").map(PathBuf::from).unwrap_or_default();
    let home_of = |name: &str, folder: &str| variable(name).map_or_else(|| home.join(folder), PathBuf::from);
    let tools =
        variable("SLIPWAY_TOOLS").map_or_else(|| repository().join("target/slipway/tools"), PathBuf::from);
    let moto = variable("SLIPWAY_MOTO_SERVER")
        .map(PathBuf::from)
        .or_else(|| installed(&tools, "moto-", "venv/bin/moto_server"))
        .ok_or_else(|| {
            Missing::new(format!("moto is not in {} (cargo xtask tools install)", tools.display()))
        })?;
    installed(&tools, "zig-", "whole")
        .and_then(|_| installed(&tools, "rust-builder", "built-from"))
        .ok_or_else(|| {
            let tools = tools.display();
            Missing::new(format!("zig or the Rust builder is not in {tools} (cargo xtask tools install)"))
        })?;
    Ok(Machine {
        path: variable("PATH").unwrap_or_default(),
        cargo_home: home_of("CARGO_HOME", ".cargo"),
        rustup_home: home_of("RUSTUP_HOME", ".rustup"),
        terraform_settings: variable("TF_CLI_CONFIG_FILE"),
        tools,
        moto,
    })
}

/// Returns the program that runs GitHub's workflows on this machine.
pub fn act(machine: &Machine) -> Result<PathBuf, Missing> {
    installed(&machine.tools, "act-", "venv/bin/act").ok_or_else(|| {
        Missing::new(format!("act is not in {} (cargo xtask tools install act)", machine.tools.display()))
    })
}

fn installed(tools: &Path, prefix: &str, file: &str) -> Option<PathBuf> {
    tools
        .read_dir()
        .ok()?
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path().join(file))
        .find(|path| path.exists())
}

#[expect(clippy::disallowed_methods, reason = "a test binary has no settings but the environment")]
/// Returns an environment variable of the test run.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
