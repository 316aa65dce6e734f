//! `doctor`: every program and credential that is needed, its version, and what to do where it is missing.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::Answer;
use crate::app::AppContext;
use crate::emulator;
use crate::exec::{self, Program};
use crate::failure::{Failure, Result};
use crate::output::Table;
use crate::runtime::RuntimeFamily;
use crate::settings::{BuildSettings, PackageType};
use crate::tools::install::ALL;

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}

/// What was found.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// One for each thing that is needed.
    pub(crate) findings: Vec<Finding>,
}

/// One thing that is needed.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Finding {
    /// What.
    pub(crate) what: String,
    /// How it stands.
    pub(crate) verdict: Verdict,
    /// Its version or place.
    pub(crate) found: String,
    /// What it is needed for.
    pub(crate) needed_for: String,
    /// What to do.
    pub(crate) hint: Option<String>,
}

/// How something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// It is there.
    Good,
    /// It is not there, and comes by itself or is not needed for everything.
    Later,
    /// It is not there, and Slipway cannot work without it.
    Missing,
}

/// Runs the command.
pub(crate) async fn run(app: &AppContext, _arguments: Arguments) -> Result<Answer> {
    let mut findings = vec![repository(app)];
    let rust =
        app.project.functions.values().any(|settings| matches!(settings.build, BuildSettings::Cargo { .. }));
    if rust {
        findings.push(
            program(
                app,
                "cargo",
                &["--version"],
                "building Rust functions",
                Verdict::Missing,
                "install Rust from https://rustup.rs",
            )
            .await,
        );
        findings.push(
            program(
                app,
                "rustc",
                &["--version"],
                "building Rust functions",
                Verdict::Missing,
                "install Rust from https://rustup.rs",
            )
            .await,
        );
        findings.push(
            program(
                app,
                "cc",
                &["--version"],
                "building the Rust builder",
                Verdict::Missing,
                "install a C compiler (Debian: apt-get install gcc)",
            )
            .await,
        );
    }
    findings.push(
        program(
            app,
            "python3",
            &["--version"],
            "installing zig, uv and moto",
            Verdict::Missing,
            "install Python 3.10 or newer",
        )
        .await,
    );
    let venv = program(
        app,
        "python3",
        &["-c", "import venv, ensurepip; print('venv, ensurepip')"],
        "installing zig, uv and moto",
        Verdict::Missing,
        "Debian: apt-get install python3-venv",
    )
    .await;
    findings.push(Finding { what: "python3 venv".into(), ..venv });
    findings.extend(pythons(app).await);
    findings.push(terraform(app).await);
    findings.push(
        program(app, "git", &["--version"], "pushing release tags", Verdict::Later, "install git").await,
    );
    for tool in ALL {
        let path = app.tools.find(tool);
        findings.push(Finding {
            what: tool.name().into(),
            verdict: if path.is_some() { Verdict::Good } else { Verdict::Later },
            found: if path.is_some() { tool.version().into() } else { "not installed".into() },
            needed_for: "builds and the local environment".into(),
            hint: path
                .is_none()
                .then(|| "it is installed when it is needed, or now: cargo xtask tools install".into()),
        });
    }
    if rust {
        let built = app.rust_builder().find().is_some();
        findings.push(Finding {
            what: "Rust builder".into(),
            verdict: if built { Verdict::Good } else { Verdict::Later },
            found: if built { "built".into() } else { "not built".into() },
            needed_for: "building Rust functions".into(),
            hint: (!built).then(|| {
                "it is built on the first Rust build, once, or now: cargo xtask tools install".into()
            }),
        });
    }
    if let Some(store) = &app.project.settings.store {
        let reached = match app.catalogue(None).await {
            Ok(catalogue) => catalogue.store().list("releases/", Some(1)).await.map(drop),
            Err(failure) => Err(failure),
        };
        let (verdict, found, hint) = match reached {
            Ok(()) => (Verdict::Good, format!("{} answers", store.bucket), None),
            Err(failure) => (Verdict::Later, failure.to_string(), failure.report().hint),
        };
        let what = format!("store in account {}", store.account);
        findings.push(Finding { what, verdict, found, needed_for: "releases for the cloud".into(), hint });
    }
    for (name, settings) in &app.project.environments {
        if settings.is_emulated() {
            continue;
        }
        let (verdict, found, hint) = match app.account_if_there(name).await {
            Ok(_) => (Verdict::Good, "these credentials lead there".to_owned(), None),
            Err(failure) => (Verdict::Later, failure.to_string(), failure.report().hint),
        };
        findings.push(Finding {
            what: format!("account of {name}"),
            verdict,
            found,
            needed_for: format!("--env {name}"),
            hint,
        });
    }
    let mut table = Table::new(["", "what", "found", "needed for"]);
    for finding in &findings {
        let sign = match finding.verdict {
            Verdict::Good => "ok",
            Verdict::Later => "–",
            Verdict::Missing => "MISSING",
        };
        let found: String = finding.found.chars().take(70).collect();
        table.row([sign.to_owned(), finding.what.clone(), found, finding.needed_for.clone()]);
    }
    let mut text = table.render("");
    for finding in findings.iter().filter(|finding| finding.verdict != Verdict::Good) {
        if let Some(hint) = &finding.hint {
            text.push_str(&format!("{}: {hint}\n", finding.what));
        }
    }
    let missing: Vec<&str> = findings
        .iter()
        .filter(|finding| finding.verdict == Verdict::Missing)
        .map(|finding| finding.what.as_str())
        .collect();
    let failure = (!missing.is_empty()).then(|| {
        Failure::failed(format!("missing: {}", crate::format::list(&missing))).hint("see what to do above")
    });
    Ok(Answer::new(&Report { findings }, text)?.with_failure(failure))
}

fn repository(app: &AppContext) -> Finding {
    let outcome =
        app.repository().and_then(|repository| repository.head().map(|head| (head, repository.is_shallow())));
    let (verdict, found, hint) = match outcome {
        Ok((checkout, shallow)) => {
            let place = checkout.branch.unwrap_or_else(|| "detached".into());
            (
                Verdict::Good,
                format!("{place} {}{}", &checkout.commit[..7], if shallow { ", shallow" } else { "" }),
                None,
            )
        }
        Err(failure) => (Verdict::Missing, failure.to_string(), failure.report().hint),
    };
    Finding { what: "git repository".into(), verdict, found, needed_for: "naming releases".into(), hint }
}

async fn program(
    app: &AppContext,
    name: &str,
    arguments: &[&str],
    needed_for: &str,
    otherwise: Verdict,
    hint: &str,
) -> Finding {
    let program = Program::new(name, &app.project.root).args(arguments);
    let (verdict, found, hint) = match exec::capture(&program, &app.interrupt).await {
        Ok(text) => (Verdict::Good, text.lines().next().unwrap_or_default().to_owned(), None),
        Err(failure) => (otherwise, failure.to_string(), Some(hint.to_owned())),
    };
    Finding { what: name.to_owned(), verdict, found, needed_for: needed_for.to_owned(), hint }
}

/// Tells of each Python that functions ask for whether the local environment has it, as its gateway looks.
async fn pythons(app: &AppContext) -> Vec<Finding> {
    let mut asked: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (function, settings) in &app.project.functions {
        if settings.package == PackageType::Zip && settings.runtime.family() == Some(RuntimeFamily::Python) {
            asked.entry(settings.runtime.as_str()).or_default().push(function.as_str());
        }
    }
    let folder = emulator::folder(&app.project);
    let mut findings = Vec::new();
    for (runtime, functions) in asked {
        let version = runtime.trim_start_matches("python");
        let looked = slipway_local::find_python(&folder, runtime).await;
        let (verdict, found, hint) = match looked {
            Some(looked) if looked.runtime == runtime => {
                (Verdict::Good, looked.program.display().to_string(), None)
            }
            looked => {
                let other = looked.map_or_else(|| "no python3".to_owned(), |looked| looked.runtime);
                let hint = format!(
                    "uv python install {version}, pyenv install {version} or the system's package; release --env local asks uv \
                     for it, and refuses what has native parts where there is none"
                );
                (Verdict::Later, format!("not found; there is {other}"), Some(hint))
            }
        };
        let needed_for = format!("{} in the local environment", crate::format::list(functions));
        findings.push(Finding { what: runtime.to_owned(), verdict, found, needed_for, hint });
    }
    findings
}

async fn terraform(app: &AppContext) -> Finding {
    let (verdict, found, hint) = match app.terraform().version().await {
        Ok(version) => {
            let old = semver::Version::parse(&version)
                .is_ok_and(|version| version < semver::Version::new(1, 10, 0));
            let hint = old.then(|| "use_lockfile needs Terraform 1.10 or newer: https://developer.hashicorp.com/terraform/install".to_owned());
            (if old { Verdict::Missing } else { Verdict::Good }, version, hint)
        }
        Err(failure) => (Verdict::Missing, failure.to_string(), failure.report().hint),
    };
    Finding { what: "terraform".into(), verdict, found, needed_for: "planning and applying".into(), hint }
}
