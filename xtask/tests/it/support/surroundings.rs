//! What the tests need from this machine: Terraform, Slipway's tools, Rust's homes. Read once.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// What this machine gives.
pub struct Surroundings {
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
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tool lies in a folder of the repository")
}

/// Returns what this machine gives, or nothing where a test must be left out; with CI=true that is a failure.
pub fn surroundings() -> Option<&'static Surroundings> {
    static FOUND: OnceLock<Result<Surroundings, String>> = OnceLock::new();
    match FOUND.get_or_init(read) {
        Ok(found) => Some(found),
        Err(missing) => {
            assert!(
                variable("CI").as_deref() != Some("true"),
                "CI=true and tests would be left out: {missing}"
            );
            // Written past the capture of tests' output: a test that is left out has to say so.
            let _ = std::io::stderr().write_all(format!("left out: {missing}\n").as_bytes());
            None
        }
    }
}

fn read() -> Result<Surroundings, String> {
    let path = variable("PATH").unwrap_or_default();
    for program in ["terraform", "python3", "cargo", "sh"] {
        if !std::env::split_paths(&path).any(|folder| folder.join(program).is_file()) {
            return Err(format!("{program} is not on the PATH"));
        }
    }
    let home = variable("HOME").map(PathBuf::from).unwrap_or_default();
    let own = |name: &str, folder: &str| variable(name).map_or_else(|| home.join(folder), PathBuf::from);
    let tools =
        variable("SLIPWAY_TOOLS").map_or_else(|| repository().join("target/slipway/tools"), PathBuf::from);
    let moto = variable("SLIPWAY_MOTO_SERVER")
        .map(PathBuf::from)
        .or_else(|| installed(&tools, "moto-", "venv/bin/moto_server"))
        .ok_or_else(|| format!("moto is not in {} (cargo xtask tools installs it)", tools.display()))?;
    installed(&tools, "zig-", "whole")
        .and_then(|_| installed(&tools, "rust-builder", "built-from"))
        .ok_or_else(|| {
            format!("zig or the Rust builder is not in {} (cargo xtask tools)", tools.display())
        })?;
    Ok(Surroundings {
        path,
        cargo_home: own("CARGO_HOME", ".cargo"),
        rustup_home: own("RUSTUP_HOME", ".rustup"),
        terraform_settings: variable("TF_CLI_CONFIG_FILE"),
        tools,
        moto,
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

#[expect(clippy::disallowed_methods, reason = "the tests' one look at the environment")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
