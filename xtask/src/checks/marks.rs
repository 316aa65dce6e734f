//! Marks of checks that passed: what was checked, with which settings, and what made the mark.
//!
//! A mark only saves time, on the machine that made it: anybody who can write the file can write a mark. So a run that signs, or that
//! releases for a protected environment, takes none. A mark made by another Slipway or another program on the PATH is not used.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Checks;
use crate::digest::{Digest, DigestBuilder};
use crate::settings::CheckSettings;
use crate::tools::install::Tool;

/// The checks that passed on this machine: `target/slipway/checks.json`.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct PassedChecks {
    /// Digests of a check's settings, the files, and what ran it.
    pub(super) passed: BTreeSet<String>,
}

impl Checks<'_> {
    /// Returns the mark of a check that passes on these files.
    pub(super) fn mark(&self, name: &str, settings: &CheckSettings, tree: &Digest) -> String {
        let mut digest = DigestBuilder::new("slipway.check/2");
        digest.part("name", name);
        settings.run.lines().iter().for_each(|line| digest.part("run", line));
        digest.part("folder", settings.folder.to_string_lossy().as_bytes());
        settings.env.iter().for_each(|(name, value)| digest.part(name, value));
        settings.credentials.iter().for_each(|name| digest.part("credential", name));
        settings.only_with.iter().for_each(|program| {
            let path = settings.env.get("PATH").map(String::as_str).or(self.process_env.get("PATH"));
            let file = crate::exec::find_program(program, path.unwrap_or_default());
            digest.part("only_with", identity(file.as_deref()));
        });
        settings.tools.iter().for_each(|tool| digest.part("tool", tool));
        digest.part("tree", tree.bytes());
        digest.part("slipway", identity(std::env::current_exe().ok().as_deref()));
        for line in settings.run.lines() {
            digest.part("program", identity(self.program(settings, line).as_deref()));
        }
        digest.finish().hex()
    }

    /// Reads the checks that passed on this machine; none if the file cannot be read.
    pub(super) fn passed_checks(&self) -> PassedChecks {
        let bytes = std::fs::read(self.passed_checks_file()).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    /// Writes the checks that passed. That only saves time: if it fails, the checks run again.
    pub(super) fn remember(&self, passed: &PassedChecks) {
        let _ = serde_json::to_vec(passed).map(|bytes| std::fs::write(self.passed_checks_file(), bytes));
    }

    fn passed_checks_file(&self) -> PathBuf {
        self.project.work_folder().join("checks.json")
    }

    /// Returns the file of a command line's program.
    fn program(&self, settings: &CheckSettings, line: &str) -> Option<PathBuf> {
        let name = shlex::split(line)?.into_iter().next()?;
        if name.contains('/') {
            return Some(self.project.root.join(&settings.folder).join(name));
        }
        let named = settings.tools.contains(&name);
        if let Some(tool) = Tool::named(&name, "").ok().filter(|_| named) {
            return self.tools.find(tool);
        }
        let path = settings.env.get("PATH").map(String::as_str);
        let path = path.or(self.process_env.get("PATH")).unwrap_or_default();
        path.split(':').map(|folder| Path::new(folder).join(&name)).find(|file| file.is_file())
    }
}

/// Identifies a program's file by its place, size and time: a program that was replaced is another one.
fn identity(file: Option<&Path>) -> String {
    let Some(file) = file.and_then(|file| file.canonicalize().ok()) else { return String::new() };
    let metadata = file.metadata();
    let (size, time) = metadata.map_or((0, 0), |metadata| {
        (metadata.len(), i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec()))
    });
    format!("{} {size} {time}", file.display())
}
