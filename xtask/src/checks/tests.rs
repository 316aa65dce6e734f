//! Checks of a project in a repository of its own.

use std::sync::{Arc, Mutex};

use super::*;
use crate::progress::{Event, EventKind, Sink};

/// Keeps what a console would show of each ended step.
#[derive(Default)]
struct EndedSteps(Mutex<Vec<String>>);

impl Sink for EndedSteps {
    fn event(&self, event: &Event) {
        let mut ended = self.0.lock().unwrap();
        match &event.kind {
            EventKind::Finished { label, title, result, .. } => {
                ended.push(format!("{label} {title} {result}"));
            }
            EventKind::Note { text } => ended.push(text.clone()),
            _ => {}
        }
    }
}

/// A project in a repository of its own, with these checks.
struct Scene {
    project: Project,
    repository: Repository,
    process_env: ProcessEnvironment,
    trust_marks: bool,
    _folder: tempfile::TempDir,
}

impl Scene {
    fn new(checks: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pipelines/project.toml");
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, format!("schema = 1\nname = \"shop\"\n{checks}")).unwrap();
        std::fs::write(folder.path().join(".gitignore"), "/target/\n").unwrap();
        git2::Repository::init(folder.path()).unwrap();
        let project = Project::load(folder.path()).unwrap();
        std::fs::create_dir_all(project.work_folder()).unwrap();
        let repository = Repository::open(folder.path()).unwrap();
        let process_env = ProcessEnvironment::of(&[("PATH", "/usr/bin:/bin"), ("API_TOKEN", "secret")]);
        Self { project, repository, process_env, trust_marks: true, _folder: folder }
    }

    fn tools(&self) -> Tools {
        Tools::new(self.project.work_folder().join("tools"), Interrupt::never(), Progress::silent())
    }

    fn checks<'a>(
        &'a self,
        tools: &'a Tools,
        progress: &'a Progress,
        interrupt: &'a Interrupt,
        stop_on_failure: Option<&'a Stop>,
    ) -> Checks<'a> {
        Checks {
            project: &self.project,
            repository: &self.repository,
            process_env: &self.process_env,
            tools,
            logs: self.project.work_folder().join("logs"),
            progress,
            interrupt,
            stop_on_failure,
        }
    }

    /// Runs all checks as a release does; returns their reports and what the console shows.
    async fn run(&self, stop: Option<&Stop>) -> (Vec<CheckReport>, Vec<String>) {
        let ended = Arc::new(EndedSteps::default());
        let progress = Progress::new(vec![ended.clone()]);
        let (tools, interrupt) = (self.tools(), Interrupt::never());
        let checks = self.checks(&tools, &progress, &interrupt, stop);
        let reports = checks.run_for(&[], self.trust_marks).await.unwrap();
        let mut ended = ended.0.lock().unwrap().clone();
        ended.sort();
        (reports, ended)
    }
}

#[tokio::test]
async fn skipped_tests_of_a_check_are_counted() {
    let scene = Scene::new("[checks.one]\nrun = \"echo OK (skipped=2)\"");
    let (reports, ended) = scene.run(None).await;
    assert_eq!(reports[0].skipped_tests, 2);
    assert_eq!(ended, ["check one passed, 2 tests skipped"]);
}

#[tokio::test]
async fn passed_check_runs_again_only_when_files_change() {
    let scene = Scene::new("[checks.one]\nrun = \"true\"\n[checks.two]\nrun = \"test -e marker\"");
    let (reports, ended) = scene.run(None).await;
    assert_eq!(reports.iter().map(|report| report.passed).collect::<Vec<_>>(), [true, false]);
    assert_eq!(ended, ["check one passed", "check two failed"]);

    let (reports, ended) = scene.run(None).await;
    assert!(reports[0].remembered && !reports[1].remembered);
    assert_eq!(ended, ["check     passed before on these files: one", "check two failed"]);

    std::fs::write(scene.project.root.join("marker"), "").unwrap();
    let (reports, ended) = scene.run(None).await;
    assert!(reports.iter().all(|report| report.passed && !report.remembered));
    assert_eq!(ended, ["check one passed", "check two passed"]);
    let (reports, ended) = scene.run(None).await;
    assert!(reports.iter().all(|report| report.remembered));
    assert_eq!(ended, Vec::<String>::new());
}

#[tokio::test]
async fn mark_of_another_program_is_not_used_and_a_run_may_take_none() {
    let mut scene = Scene::new("[checks.one]\nrun = \"true\"");
    let programs = scene.project.root.join("target/programs");
    std::fs::create_dir_all(&programs).unwrap();
    std::fs::write(programs.join("true"), "one").unwrap();
    let path = format!("{}:/usr/bin:/bin", programs.display());
    scene.process_env = scene.process_env.with_variable("PATH", path);
    assert!(!scene.run(None).await.0[0].remembered);
    assert!(scene.run(None).await.0[0].remembered);
    std::fs::write(programs.join("true"), "another").unwrap();
    assert!(!scene.run(None).await.0[0].remembered, "the program was replaced");
    assert!(scene.run(None).await.0[0].remembered);
    scene.trust_marks = false;
    assert!(!scene.run(None).await.0[0].remembered);
}

#[tokio::test]
async fn failed_check_names_its_last_lines_log_and_hint_and_stops_other_work() {
    let scene = Scene::new(
        "[checks.format]\nrun = \"sh -c 'echo wrong line 3; exit 1'\"\nhint = \"cargo fmt\"\n[checks.lint]\nrun = \"no-such-program-here\"",
    );
    let (other, stop) = Interrupt::never().stoppable();
    let (reports, _) = scene.run(Some(&stop)).await;
    assert!(other.check().is_err());
    assert_eq!(reports[0].why.as_deref(), Some("`sh -c 'echo wrong line 3; exit 1'` exited with 1"));
    let log = std::fs::read_to_string(reports[0].log.as_ref().unwrap()).unwrap();
    assert_eq!(log, "$ sh -c 'echo wrong line 3; exit 1'\nwrong line 3\n");
    assert_eq!(reports[1].why.as_deref(), Some("the program `no-such-program-here` was not found"));
    let failure = failure(&reports).unwrap();
    assert_eq!(failure.kind(), FailureKind::ChecksFailed);
    assert_eq!(failure.message(), "2 checks did not pass: format and lint");
    let body = failure.report().body.unwrap();
    assert!(body.contains("  wrong line 3\n  -> cargo fmt\n"), "{body}");
    assert!(body.contains("-> install no-such-program-here"), "{body}");
}

#[tokio::test]
async fn check_beyond_its_time_limit_fails_with_the_key_to_raise() {
    let scene = Scene::new("[checks.slow]\nrun = \"sleep 60\"\nwithin = \"100ms\"");
    let (reports, _) = scene.run(None).await;
    assert_eq!(reports[0].why.as_deref(), Some("took longer than 0.1 s"));
    assert_eq!(reports[0].hint.as_deref(), Some("raise `within` of [checks.slow]"));
}

#[test]
fn check_runs_for_the_functions_that_it_names_or_for_all() {
    let check = |text: &str| toml::from_str::<CheckSettings>(text).unwrap();
    let hello: FunctionName = "hello".parse().unwrap();
    let other: FunctionName = "other".parse().unwrap();
    let for_hello = check("run = \"true\"\nfunctions = [\"hello\"]");
    assert!(concerns(&for_hello, &[other.clone(), hello]));
    assert!(!concerns(&for_hello, std::slice::from_ref(&other)));
    assert!(!concerns(&for_hello, &[]));
    assert!(concerns(&check("run = \"true\""), &[other]));
}

#[tokio::test]
async fn check_sees_no_credential_but_those_that_it_names() {
    let scene = Scene::new(
        "[checks.none]\nrun = \"true\"\n[checks.one]\nrun = \"true\"\ncredentials = [\"API_TOKEN\"]",
    );
    let variable = async |check: &str| {
        let interrupt = Interrupt::never();
        let progress = Progress::silent();
        let tools = scene.tools();
        let checks = scene.checks(&tools, &progress, &interrupt, None);
        let settings = &scene.project.settings.checks[check];
        let lines = checks.command_lines(check, settings).await.unwrap();
        lines.env.into_iter().find(|(name, _)| name == "API_TOKEN")
    };
    assert_eq!(variable("none").await, Some(("API_TOKEN".to_owned(), None)), "it is removed");
    assert_eq!(variable("one").await, None, "it is left as it is");
}

#[tokio::test]
async fn check_that_belongs_to_no_release_runs_in_check_alone() {
    let scene = Scene::new("[checks.scan]\nrun = \"false\"\nbefore_release = false");
    assert!(scene.run(None).await.0.is_empty());
    let (interrupt, progress, tools) = (Interrupt::never(), Progress::silent(), scene.tools());
    std::fs::create_dir_all(scene.project.work_folder().join("logs")).unwrap();
    let reports = scene.checks(&tools, &progress, &interrupt, None).run(&[]).await.unwrap();
    assert!(!reports[0].passed);
}

#[tokio::test]
async fn unknown_tool_of_a_check_is_named_with_those_that_there_are() {
    let scene = Scene::new("[checks.scan]\nrun = \"true\"\ntools = [\"chekov\"]");
    let (interrupt, progress, tools) = (Interrupt::never(), Progress::silent(), scene.tools());
    let failure = scene.checks(&tools, &progress, &interrupt, None).run(&[]).await.unwrap_err();
    assert_eq!(failure.message(), "pipelines/project.toml: [checks.scan] names the tool `chekov`");
    assert!(failure.report().hint.unwrap().contains("checkov, gitleaks"));
}

#[tokio::test]
async fn check_without_its_program_is_left_out_and_named_and_did_not_pass() {
    let scene = Scene::new(
        "[checks.scan]\nrun = \"true\"\nonly_with = [\"true\", \"no-such-scanner\"]\n[checks.unit]\nrun = \"true\"",
    );
    let (reports, ended) = scene.run(None).await;
    let why = "`no-such-scanner` is not on the PATH";
    assert_eq!(reports[0].left_out.as_deref(), Some(why));
    assert!(!reports[0].passed && !reports[0].failed() && !reports[0].remembered);
    assert!(failure(&reports).is_none(), "nothing failed");
    assert_eq!(ended, [format!("check     left out: scan, because {why}"), "check unit passed".to_owned()]);
    // It left no mark: it runs as soon as the program is there.
    let (reports, _) = scene.run(None).await;
    assert!(reports[0].left_out.is_some() && reports[1].remembered);
    let document = serde_json::to_value(&reports).unwrap();
    assert_eq!((&document[0]["passed"], &document[0]["left_out"]), (&false.into(), &why.into()));
    assert!(document[1].get("left_out").is_none());
}

#[tokio::test]
async fn check_runs_where_its_program_is_there() {
    let scene = Scene::new("[checks.scan]\nrun = \"false\"\nonly_with = [\"false\"]");
    assert!(scene.run(None).await.0[0].failed());
}
