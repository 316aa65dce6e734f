//! Runs the repository's own tests in the groups that `pipelines/project.toml` names: `cargo xtask test`.
//!
//! In: the groups' settings, the PATH and the tools. Out: a result for each group, with the tests that skipped themselves.
//! A group whose programs are missing does not run. Errors: an unknown group or tool, a tool that cannot be installed, a
//! program that cannot be started, a signal.
//!
//! A test that cannot run on a machine writes a line `<test name><TAB><what is missing>` into a file in the folder that
//! `SLIPWAY_SKIPPED_TESTS` names: tests/support/skip.rs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Instant;

use schemars::JsonSchema;
use serde::Serialize;

use crate::command_lines::{CommandLineOutput, CommandLines, FailedLineReason};
use crate::exec::find_program;
use crate::failure::{self, Failure, FailureKind, Result};
use crate::format::{list, plural};
use crate::interrupt::Interrupt;
use crate::settings::TestSettings;
use crate::tools::cargo::RustBuilder;
use crate::tools::install::{Tool, Tools};

/// The variable that names the folder where tests report that they were skipped.
const SKIPPED_TESTS: &str = "SLIPWAY_SKIPPED_TESTS";

/// One group.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct GroupReport {
    /// Its name.
    pub(crate) name: String,
    /// How it ended.
    pub(crate) verdict: GroupVerdict,
    /// Programs that are missing.
    pub(crate) missing: Vec<String>,
    /// Milliseconds.
    pub(crate) took_ms: u64,
}

/// How a group ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Verdict")]
pub(crate) enum GroupVerdict {
    /// All command lines passed.
    Passed,
    /// A command line failed.
    Failed,
    /// It did not run.
    LeftOut,
}

/// Result of a group: what the JSON document says, and which tests were skipped.
#[derive(Debug)]
pub(crate) struct GroupResult {
    /// The group.
    pub(crate) report: GroupReport,
    /// The tests that skipped themselves.
    pub(crate) skipped: SkippedTests,
}

/// Tests that skipped themselves.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct SkippedTests {
    /// How many.
    pub(crate) count: usize,
    /// What was missing, each once.
    pub(crate) reasons: BTreeSet<String>,
}

/// What every group uses.
pub(crate) struct TestGroups<'a> {
    /// The groups' settings.
    pub(crate) settings: &'a BTreeMap<String, TestSettings>,
    /// The project's folder.
    pub(crate) root: &'a Path,
    /// The folder below which each group's skipped tests are reported.
    pub(crate) skipped: PathBuf,
    /// The PATH, where programs are looked for.
    pub(crate) path: &'a str,
    /// The tools that groups may need.
    pub(crate) tools: &'a Tools,
    /// The Rust builder, which groups may need.
    pub(crate) rust_builder: &'a RustBuilder,
    /// Where output goes, line by line.
    pub(crate) print: &'a (dyn Fn(&str) + Sync),
    /// Signals.
    pub(crate) interrupt: &'a Interrupt,
}

impl TestGroups<'_> {
    /// Returns the named groups, or all that do not have to be named, in the order in which they run.
    pub(crate) fn choose(&self, names: &[String]) -> Result<Vec<&str>> {
        if let Some(unknown) = names.iter().find(|name| !self.settings.contains_key(*name)) {
            return Err(Failure::usage(format!("unknown group of tests `{unknown}`"))
                .hint(format!("groups in pipelines/project.toml: {}", list(self.settings.keys()))));
        }
        let chosen = |name: &String, settings: &TestSettings| {
            if names.is_empty() { !settings.by_name } else { names.contains(name) }
        };
        let mut groups: Vec<(u32, &str)> = self
            .settings
            .iter()
            .filter(|(name, settings)| chosen(name, settings))
            .map(|(name, settings)| (settings.order, name.as_str()))
            .collect();
        groups.sort_unstable();
        Ok(groups.into_iter().map(|(_, name)| name).collect())
    }

    /// Runs a group.
    pub(crate) async fn run(&self, name: &str) -> Result<GroupResult> {
        let settings = self
            .settings
            .get(name)
            .ok_or_else(|| Failure::defect(format!("there is no group of tests `{name}`")))?;
        let needs = settings.needs.iter();
        let missing: Vec<String> =
            needs.filter(|program| find_program(program, self.path).is_none()).cloned().collect();
        let started = Instant::now();
        let (verdict, skipped) = if missing.is_empty() {
            let folder = self.skipped.join(name);
            make_empty(&folder)?;
            let passed = self.passes(name, settings, &folder).await?;
            let verdict = if passed { GroupVerdict::Passed } else { GroupVerdict::Failed };
            (verdict, SkippedTests::read(&folder)?)
        } else {
            (GroupVerdict::LeftOut, SkippedTests::default())
        };
        let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let report = GroupReport { name: name.to_owned(), verdict, missing, took_ms };
        Ok(GroupResult { report, skipped })
    }

    /// Runs a group's command lines and tells whether all passed.
    async fn passes(&self, name: &str, settings: &TestSettings, skipped: &Path) -> Result<bool> {
        self.install(&settings.tools).await?;
        let mut env = settings.env.clone();
        env.insert("SLIPWAY_TOOLS".into(), self.tools.folder().display().to_string());
        env.insert(SKIPPED_TESTS.into(), skipped.display().to_string());
        if let Some(moto) = self.tools.find(Tool::Moto) {
            env.insert("SLIPWAY_MOTO_SERVER".into(), moto.display().to_string());
        }
        let lines = CommandLines {
            owner: format!("[tests.{name}]"),
            lines: settings.run.lines().to_vec(),
            folder: self.root.join(&settings.folder),
            env: env.into_iter().map(|(name, value)| (name, Some(value))).collect(),
            ..CommandLines::default()
        };
        let failed = lines
            .run(self.interrupt, &mut |output| match output {
                CommandLineOutput::Command(line) => (self.print)(&format!("tests     {name}: {line}")),
                CommandLineOutput::Line(line) => (self.print)(line),
            })
            .await?;
        match failed.map(|failed| failed.reason) {
            None => Ok(true),
            Some(FailedLineReason::ProgramMissing(failure)) => Err(failure),
            Some(_) => Ok(false),
        }
    }

    /// Installs the tools that a group needs.
    async fn install(&self, tools: &[String]) -> Result<()> {
        for name in tools {
            if name == "rust-builder" {
                self.rust_builder.ensure().await?;
                continue;
            }
            self.tools.ensure(Tool::named(name, "pipelines/project.toml: `tools`")?).await?;
        }
        Ok(())
    }
}

impl SkippedTests {
    /// Reads the reports of a group's tests.
    fn read(folder: &Path) -> Result<Self> {
        let mut skipped = Self::default();
        let entries = folder.read_dir().map_err(|error| failure::io("read", folder, error))?;
        for path in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()) {
            let text = std::fs::read_to_string(&path).map_err(|error| failure::io("read", &path, error))?;
            for line in text.lines().filter(|line| !line.trim().is_empty()) {
                skipped.count += 1;
                let reason = line.split_once('\t').map_or(line, |(_, reason)| reason);
                skipped.reasons.insert(reason.trim().to_owned());
            }
        }
        Ok(skipped)
    }

    /// Returns `12 skipped: docker is missing, …`; empty where none was.
    pub(crate) fn text(&self) -> String {
        if self.count == 0 {
            return String::new();
        }
        let reasons: Vec<&str> = self.reasons.iter().map(String::as_str).collect();
        format!("{} skipped: {}", self.count, reasons.join("; "))
    }
}

/// Returns the failure of groups: of tests that failed; in CI also of groups and tests that did not run.
pub(crate) fn failure(groups: &[GroupResult], ci: bool) -> Option<Failure> {
    let names = |verdict| {
        let groups = groups.iter().map(|group| &group.report).filter(move |group| group.verdict == verdict);
        groups.map(|group| group.name.as_str()).collect::<Vec<_>>()
    };
    let failed = |message: String| Failure::new(FailureKind::ChecksFailed, message);
    let (broken, left_out) = (names(GroupVerdict::Failed), names(GroupVerdict::LeftOut));
    if !broken.is_empty() {
        return Some(failed(format!("tests failed: {}", list(&broken))));
    }
    if !ci {
        return None;
    }
    let hint = "install what is missing: cargo xtask doctor";
    if !left_out.is_empty() {
        let message = format!("tests were left out, which CI=true does not allow: {}", list(&left_out));
        return Some(failed(message).hint(hint));
    }
    let skipped: usize = groups.iter().map(|group| group.skipped.count).sum();
    let reasons: BTreeSet<&str> =
        groups.iter().flat_map(|group| &group.skipped.reasons).map(String::as_str).collect();
    (skipped > 0).then(|| {
        let lines: Vec<&str> = reasons.into_iter().collect();
        failed(format!("{} skipped, which CI=true does not allow", plural_were(skipped)))
            .body(lines.join("\n"))
            .hint(hint)
    })
}

fn plural_were(tests: usize) -> String {
    format!("{} {}", plural(tests, "test"), if tests == 1 { "was" } else { "were" })
}

fn make_empty(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(failure::io("empty", folder, error));
        }
        _ => {}
    }
    std::fs::create_dir_all(folder).map_err(|error| failure::io("create", folder, error))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::progress::Progress;

    const GROUPS: &str = r#"
        [unit]
        order = 2
        run = ["echo one", "sh -c 'printf \"a::b\\tzig is missing\n\" > $SLIPWAY_SKIPPED_TESTS/1'"]

        [lints]
        order = 1
        run = "sh -c 'exit 1'"

        [far]
        run = "true"
        needs = ["no-such-program-here"]

        [policies]
        run = "true"
        by_name = true

        [strange]
        run = "true"
        by_name = true
        tools = ["hammer"]
    "#;

    /// Calls `work` with the groups above in a project of its own; returns its result and what was printed.
    async fn with_groups<T>(work: impl AsyncFnOnce(&TestGroups<'_>) -> T) -> (T, Vec<String>) {
        let settings: BTreeMap<String, TestSettings> = toml::from_str(GROUPS).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let interrupt = Interrupt::never();
        let tools = Tools::new(folder.path().join("tools"), interrupt.clone(), Progress::silent());
        let rust_builder = RustBuilder::new(tools.clone(), interrupt.clone(), Progress::silent());
        let printed = Mutex::new(Vec::new());
        let groups = TestGroups {
            settings: &settings,
            root: folder.path(),
            skipped: folder.path().join("skipped"),
            path: "/usr/bin:/bin",
            tools: &tools,
            rust_builder: &rust_builder,
            print: &|line| printed.lock().unwrap().push(line.to_owned()),
            interrupt: &interrupt,
        };
        let result = work(&groups).await;
        (result, printed.into_inner().unwrap())
    }

    #[tokio::test]
    async fn groups_are_chosen_by_name_or_all_but_those_to_be_named() {
        with_groups(async |groups| {
            assert_eq!(groups.choose(&[]).unwrap(), ["far", "lints", "unit"]);
            assert_eq!(groups.choose(&["policies".into(), "far".into()]).unwrap(), ["far", "policies"]);
            let failure = groups.choose(&["unti".into()]).unwrap_err();
            assert_eq!(failure.message(), "unknown group of tests `unti`");
        })
        .await;
    }

    #[tokio::test]
    async fn group_passes_with_its_skipped_tests_counted_afresh() {
        let (_, printed) = with_groups(async |groups| {
            for _ in 0..2 {
                let unit = groups.run("unit").await.unwrap();
                assert_eq!(unit.report.verdict, GroupVerdict::Passed);
                assert_eq!(unit.skipped.text(), "1 skipped: zig is missing");
            }
        })
        .await;
        assert_eq!(printed[..2], ["tests     unit: echo one", "one"]);
    }

    #[tokio::test]
    async fn group_fails_with_a_command_line_and_is_left_out_without_its_programs() {
        with_groups(async |groups| {
            assert_eq!(groups.run("lints").await.unwrap().report.verdict, GroupVerdict::Failed);
            let far = groups.run("far").await.unwrap().report;
            assert_eq!(far.verdict, GroupVerdict::LeftOut);
            assert_eq!(far.missing, ["no-such-program-here"]);
            let failure = groups.run("strange").await.unwrap_err();
            assert_eq!(failure.message(), "pipelines/project.toml: `tools` names the tool `hammer`");
        })
        .await;
    }

    #[test]
    fn failure_names_broken_groups_and_in_ci_what_did_not_run() {
        let group = |name: &str, verdict, count| GroupResult {
            report: GroupReport { name: name.into(), verdict, missing: Vec::new(), took_ms: 0 },
            skipped: SkippedTests { count, reasons: BTreeSet::from(["zig is missing".to_owned()]) },
        };
        let message = |groups: &[GroupResult], ci| {
            failure(groups, ci).map(|failure| failure.message().to_owned()).unwrap_or_default()
        };
        let passed = group("a", GroupVerdict::Passed, 0);
        let skipped = group("b", GroupVerdict::Passed, 2);
        let left_out = group("c", GroupVerdict::LeftOut, 0);
        let broken = group("d", GroupVerdict::Failed, 0);
        assert_eq!(message(&[passed], true), "");
        assert_eq!(message(&[skipped], true), "2 tests were skipped, which CI=true does not allow");
        assert_eq!(message(&[group("b", GroupVerdict::Passed, 2)], false), "");
        assert_eq!(message(&[left_out, broken], false), "tests failed: d");
        assert_eq!(
            message(&[group("c", GroupVerdict::LeftOut, 0)], true),
            "tests were left out, which CI=true does not allow: c"
        );
    }

    #[test]
    fn skipped_tests_are_counted_over_files_with_distinct_reasons() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("1"), "x::y\tdocker is missing\nx::z\tdocker is missing\n")
            .unwrap();
        std::fs::write(folder.path().join("2"), "w\tPyPI: cannot be reached\n\n").unwrap();
        let skipped = SkippedTests::read(folder.path()).unwrap();
        assert_eq!(skipped.text(), "3 skipped: PyPI: cannot be reached; docker is missing");
    }
}
