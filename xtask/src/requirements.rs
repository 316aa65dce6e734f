//! What a project needs on this machine: programs, tools, credentials. Changes nothing and installs nothing.
//!
//! In: the project and its tools. Out: a requirement each, with its version or place, or what to do about it; names that
//! AWS would refuse; whether an account has room. Errors: what cannot be found out counts as missing.

mod account;
mod project_programs;

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;

pub(crate) use self::account::{AccountOf, account};
pub(crate) use self::project_programs::project_programs;
use crate::emulator;
use crate::exec::{self, Program};
use crate::failure::{Failure, Result};
use crate::format::list;
use crate::interrupt::Interrupt;
use crate::name::EnvironmentName;
use crate::plan;
use crate::runtime::RuntimeFamily;
use crate::settings::{BuildSettings, PackageType, Project};
use crate::source::{Gap, Repository};
use crate::tools::cargo::RustBuilder;
use crate::tools::install::{NEEDED_TOOLS, Tools};
use crate::tools::terraform::Terraform;

/// One thing that is needed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "Finding")]
pub(crate) struct Requirement {
    /// Its name.
    pub(crate) what: String,
    /// Whether it is available.
    pub(crate) verdict: Availability,
    /// Its version or place, or why it is not available.
    pub(crate) found: String,
    /// What it is needed for.
    pub(crate) needed_for: String,
    /// What to do.
    pub(crate) hint: Option<String>,
}

/// Whether something is available.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Verdict")]
pub(crate) enum Availability {
    /// It is available.
    #[serde(rename = "good")]
    Available,
    /// It is not available, and is installed when it is needed or not needed for everything.
    Later,
    /// It is not available, and Slipway cannot work without it.
    Missing,
}

/// A program that must be on the PATH.
struct NeededProgram {
    what: &'static str,
    command: &'static [&'static str],
    needed_for: &'static str,
    if_missing: Availability,
    hint: &'static str,
}

const INSTALL_RUST: &str = "install Rust from https://rustup.rs";

const RUST_PROGRAMS: [NeededProgram; 3] = [
    NeededProgram {
        what: "cargo",
        command: &["cargo", "--version"],
        needed_for: "building Rust functions",
        if_missing: Availability::Missing,
        hint: INSTALL_RUST,
    },
    NeededProgram {
        what: "rustc",
        command: &["rustc", "--version"],
        needed_for: "building Rust functions",
        if_missing: Availability::Missing,
        hint: INSTALL_RUST,
    },
    NeededProgram {
        what: "cc",
        command: &["cc", "--version"],
        needed_for: "building the Rust builder",
        if_missing: Availability::Missing,
        hint: "install a C compiler (Debian: apt-get install gcc)",
    },
];

const PYTHON_PROGRAMS: [NeededProgram; 2] = [
    NeededProgram {
        what: "python3",
        command: &["python3", "--version"],
        needed_for: "installing zig, uv and moto",
        if_missing: Availability::Missing,
        hint: "install Python 3.10 or newer",
    },
    NeededProgram {
        what: "python3 venv",
        command: &["python3", "-c", "import venv, ensurepip; print('venv, ensurepip')"],
        needed_for: "installing zig, uv and moto",
        if_missing: Availability::Missing,
        hint: "Debian: apt-get install python3-venv",
    },
];

const GIT: NeededProgram = NeededProgram {
    what: "git",
    command: &["git", "--version"],
    needed_for: "pushing release tags",
    if_missing: Availability::Later,
    hint: "install git",
};

/// The oldest Terraform whose S3 backend has `use_lockfile`.
const OLDEST_TERRAFORM: semver::Version = semver::Version::new(1, 10, 0);

impl Requirement {
    /// Makes a requirement from a look-up: its version or place, or the failure with its hint.
    pub(crate) fn new(
        what: impl Into<String>,
        needed_for: impl Into<String>,
        if_missing: Availability,
        found: Result<String>,
    ) -> Self {
        let (verdict, found, hint) = match found {
            Ok(found) => (Availability::Available, found, None),
            Err(failure) => (if_missing, failure.to_string(), failure.report().hint),
        };
        Self { what: what.into(), verdict, found, needed_for: needed_for.into(), hint }
    }
}

/// What the requirements are looked up with.
pub(crate) struct Requirements<'a> {
    /// The project.
    pub(crate) project: &'a Project,
    /// Slipway's tools.
    pub(crate) tools: &'a Tools,
    /// The Rust builder.
    pub(crate) rust_builder: &'a RustBuilder,
    /// Terraform.
    pub(crate) terraform: &'a Terraform,
    /// Signals.
    pub(crate) interrupt: &'a Interrupt,
}

impl Requirements<'_> {
    /// Looks up everything that is needed on this machine.
    pub(crate) async fn look_up(&self) -> Vec<Requirement> {
        let is_rust = |build: &BuildSettings| matches!(build, BuildSettings::Cargo { .. });
        let rust = self.project.functions.values().any(|settings| is_rust(&settings.build));
        let mut found = vec![repository(&self.project.root)];
        for needed in RUST_PROGRAMS.iter().filter(|_| rust).chain(&PYTHON_PROGRAMS) {
            found.push(self.program(needed).await);
        }
        found.extend(self.pythons().await);
        found.push(terraform(self.terraform.version().await));
        found.push(self.program(&GIT).await);
        for tool in NEEDED_TOOLS {
            let version = self.tools.find(tool).map(|_| tool.version());
            found.push(installable(tool.name(), "builds and the local environment", version));
        }
        if rust {
            let built = self.rust_builder.find().map(|_| "built");
            found.push(Requirement {
                hint: built.is_none().then(|| {
                    "it is built once, on the first Rust build, or now: cargo xtask tools install".into()
                }),
                found: built.unwrap_or("not built").into(),
                ..installable("Rust builder", "building Rust functions", built)
            });
        }
        found
    }

    async fn program(&self, needed: &NeededProgram) -> Requirement {
        let program = Program::new(needed.command[0], &self.project.root).args(&needed.command[1..]);
        let output = exec::capture(&program, self.interrupt).await;
        let version = output.map(|text| text.lines().next().unwrap_or_default().to_owned());
        let mut found = Requirement::new(needed.what, needed.needed_for, needed.if_missing, version);
        if found.verdict != Availability::Available {
            found.hint = Some(needed.hint.to_owned());
        }
        found
    }

    /// Looks up each Python that functions ask for, as the local environment's gateway does.
    async fn pythons(&self) -> Vec<Requirement> {
        let mut wanted: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (function, settings) in &self.project.functions {
            if settings.package == PackageType::Zip
                && settings.runtime.family() == Some(RuntimeFamily::Python)
            {
                wanted.entry(settings.runtime.as_str()).or_default().push(function.as_str());
            }
        }
        let mut requirements = Vec::new();
        for (runtime, functions) in wanted {
            let found = emulator::find_python(self.project, runtime).await;
            let found = found.as_ref().map(|(version, program)| (version.as_str(), program.as_path()));
            requirements.push(python(runtime, &functions, found));
        }
        requirements
    }
}

/// Returns the requirement of a git repository around a folder.
fn repository(root: &Path) -> Requirement {
    let found = Repository::open(root).and_then(|repository| {
        let head = repository.head()?;
        let branch = head.branch.unwrap_or_else(|| "detached".into());
        Ok((format!("{branch} {}", &head.commit[..7]), repository.gap()))
    });
    let (found, gap) = match found {
        Ok((found, gap)) => (Ok(found), gap),
        Err(failure) => (Err(failure), None),
    };
    let mut requirement = Requirement::new("git repository", "naming releases", Availability::Missing, found);
    let (verdict, what, hint) = match gap {
        None => return requirement,
        Some(Gap::Folders) => (
            Availability::Later,
            "lacks folders of earlier commits",
            "the version of a function that was released before cannot be found: git fetch --refetch --filter=blob:none",
        ),
        Some(Gap::Commits) => (
            Availability::Later,
            "shallow",
            "a version needs the commit of the newest release: git fetch --unshallow (in GitHub Actions: fetch-depth: 0)",
        ),
        Some(Gap::Files) => (
            Availability::Available,
            "partial clone",
            "it may lack files of earlier commits, which only rebuild needs: git fetch --refetch",
        ),
    };
    requirement.verdict = verdict;
    requirement.found.push_str(&format!(", {what}"));
    requirement.hint = Some(hint.to_owned());
    requirement
}

/// Returns the requirement of a Python; `found` is the interpreter that the gateway would start, with its own runtime.
fn python(runtime: &str, functions: &[&str], found: Option<(&str, &Path)>) -> Requirement {
    let version = runtime.trim_start_matches("python");
    let found = match found {
        Some((own, program)) if own == runtime => Ok(program.display().to_string()),
        other => {
            let other = other.map_or("no python3", |(own, _)| own);
            Err(Failure::failed(format!("not found; there is {other}")).hint(format!(
                "uv python install {version}, pyenv install {version} or the system's package; release --env local asks uv \
                 for it, and refuses functions with native parts if there is none"
            )))
        }
    };
    let needed_for = format!("{} in the local environment", list(functions));
    Requirement::new(runtime, needed_for, Availability::Later, found)
}

/// Returns the requirement of Terraform by its version.
fn terraform(version: Result<String>) -> Requirement {
    let mut found = Requirement::new("terraform", "planning and applying", Availability::Missing, version);
    if semver::Version::parse(&found.found).is_ok_and(|version| version < OLDEST_TERRAFORM) {
        found.verdict = Availability::Missing;
        found.hint = Some(
            "use_lockfile needs Terraform 1.10 or newer: https://developer.hashicorp.com/terraform/install"
                .into(),
        );
    }
    found
}

/// Returns the requirement of something that Slipway installs when it is needed.
fn installable(what: &str, needed_for: &str, version: Option<&str>) -> Requirement {
    let found = version.map(str::to_owned).ok_or_else(|| {
        Failure::failed("not installed")
            .hint("it is installed when it is needed, or now: cargo xtask tools install")
    });
    Requirement::new(what, needed_for, Availability::Later, found)
}

/// Returns a requirement for each name that is too long in an environment.
pub(crate) fn long_names(
    project: &Project,
    environment: &EnvironmentName,
    if_missing: Availability,
) -> Result<Vec<Requirement>> {
    let found = plan::long_names(project, environment)?.into_iter().map(|found| {
        let what = format!("name of {} in {}", found.address, found.stack);
        Requirement::new(what, format!("--env {environment}"), if_missing, Err(found.requirement()))
    });
    Ok(found.collect())
}

/// Returns the failure of requirements that are missing.
pub(crate) fn failure(requirements: &[Requirement]) -> Option<Failure> {
    let missing = requirements.iter().filter(|requirement| requirement.verdict == Availability::Missing);
    let missing: Vec<&str> = missing.map(|requirement| requirement.what.as_str()).collect();
    (!missing.is_empty())
        .then(|| Failure::failed(format!("missing: {}", list(&missing))).hint("see what to do above"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Progress;
    use crate::tools::terraform::TerraformVariables;

    #[test]
    fn terraform_before_1_10_is_missing() {
        let found = terraform(Ok("1.9.8".into()));
        assert_eq!((found.verdict, found.found.as_str()), (Availability::Missing, "1.9.8"));
        assert!(found.hint.unwrap().starts_with("use_lockfile needs Terraform 1.10"));
        assert_eq!(terraform(Ok("1.10.0".into())).verdict, Availability::Available);
        let missing = terraform(Err(Failure::failed("not found").hint("install it")));
        assert_eq!(missing.hint.as_deref(), Some("install it"));
        let failure = failure(&[missing, installable("uv", "builds", None)]).unwrap();
        assert_eq!(failure.message(), "missing: terraform");
    }

    #[test]
    fn python_of_another_version_is_named() {
        let program = Path::new("/usr/bin/python3");
        let found = python("python3.13", &["invoice"], Some(("python3.11", program)));
        assert_eq!(
            (found.verdict, found.found.as_str()),
            (Availability::Later, "not found; there is python3.11")
        );
        assert_eq!(found.needed_for, "invoice in the local environment");
        assert!(found.hint.unwrap().starts_with("uv python install 3.13"));
        let found = python("python3.11", &["invoice"], Some(("python3.11", program)));
        assert_eq!((found.verdict, found.found.as_str()), (Availability::Available, "/usr/bin/python3"));
        assert_eq!(python("python3.13", &[], None).found, "not found; there is no python3");
    }

    #[test]
    fn optional_requirements_are_no_failure() {
        let tool = installable("zig", "builds", None);
        assert_eq!((tool.verdict, tool.found.as_str()), (Availability::Later, "not installed"));
        assert_eq!(installable("zig", "builds", Some("0.17.1")).found, "0.17.1");
        assert!(failure(&[tool]).is_none());
    }

    #[tokio::test]
    async fn this_repository_needs_rust_python_terraform_and_git() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let project = Project::load(root).unwrap();
        let (interrupt, progress) = (Interrupt::never(), Progress::silent());
        let folder = tempfile::tempdir().unwrap();
        let tools = Tools::new(folder.path().to_path_buf(), interrupt.clone(), progress.clone());
        let rust_builder = RustBuilder::new(tools.clone(), interrupt.clone(), progress.clone());
        let terraform = Terraform::new(
            "no-such-terraform",
            TerraformVariables::default(),
            folder.path(),
            interrupt.clone(),
            progress,
        );
        let requirements = Requirements {
            project: &project,
            tools: &tools,
            rust_builder: &rust_builder,
            terraform: &terraform,
            interrupt: &interrupt,
        };
        let found = requirements.look_up().await;
        let names: Vec<&str> = found.iter().map(|requirement| requirement.what.as_str()).collect();
        for name in ["git repository", "cargo", "rustc", "cc", "python3", "python3 venv", "terraform", "git"]
        {
            assert!(names.contains(&name), "{name} in {names:?}");
        }
        let of = |name: &str| found.iter().find(|requirement| requirement.what == name).unwrap();
        assert_eq!(of("cargo").verdict, Availability::Available);
        assert_eq!(of("terraform").verdict, Availability::Missing);
        assert_eq!(of("zig").found, "not installed");
        assert_eq!(of("Rust builder").found, "not built");
    }
}
