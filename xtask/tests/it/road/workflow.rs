//! A run of a workflow: started as GitHub would start it, by act.
//!
//! In: a workflow's name, the ref, the event. Out: each job's result, its summary and the log. Every run has a fresh clone of the bare
//! repository. act gives all jobs one set of variables, so that a variable's value is its name, which the stand-in of
//! configure-aws-credentials resolves.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::super::support::process::{Finished, Running};
use super::super::support::sandbox::{copy, init_repository};
use super::world::{World, tests_folder};

/// Actions that need GitHub's servers, and the folders of what stands in for them.
const STAND_INS: [(&str, &str); 6] = [
    ("actions/cache", "cache"),
    ("actions/upload-artifact", "upload-artifact"),
    ("actions/download-artifact", "download-artifact"),
    ("actions/attest-build-provenance", "attest-build-provenance"),
    ("aws-actions/configure-aws-credentials", "configure-aws-credentials"),
    ("hashicorp/setup-terraform", "setup-terraform"),
];

/// What starts a run.
pub struct Start<'a> {
    pub workflow: &'a str,
    pub event: &'a str,
    /// The branch that is checked out.
    pub branch: &'a str,
    pub inputs: Value,
    /// The one row of a matrix that runs: act cannot say to a stand-in which row it is.
    pub matrix: Option<(&'a str, &'a str)>,
}

/// A run that has not ended, or waits for an approval.
pub struct WorkflowRun {
    pub number: u64,
    running: Running,
    log: PathBuf,
}

/// A run that has ended.
pub struct Ended {
    finished: Finished,
    events: Vec<Value>,
}

impl World {
    /// Starts a run.
    pub fn start_workflow(&self, start: &Start<'_>) -> WorkflowRun {
        let runs = self.folder.join("github/runs");
        let number = 1 + runs.read_dir().map_or(0, Iterator::count) as u64;
        let folder = self.folder.join(format!("checkout-{number}"));
        let url = format!("{}/acme/shop.git", self.github);
        self.git(&self.folder, &["clone", "--quiet", &url, &folder.to_string_lossy()]);
        self.git(&folder, &["switch", "--quiet", start.branch]);
        let sha = self.git(&folder, &["rev-parse", "HEAD"]).trim().to_owned();
        let is_pull_request = start.event == "pull_request";
        let reference =
            if is_pull_request { "refs/pull/1/merge".into() } else { format!("refs/heads/{}", start.branch) };
        let matrix = start.matrix.map_or_else(|| json!({}), |(name, value)| json!({ name: value }));
        let run = json!({
            "workflow": start.workflow, "folder": folder, "ref": reference, "sha": sha, "event": start.event, "inputs": start.inputs,
            "matrix": matrix, "actor": "ada",
        });
        std::fs::create_dir_all(&runs).expect("a folder");
        std::fs::write(runs.join(format!("{number}.json")), run.to_string()).expect("the run");
        let repository = json!({ "full_name": "acme/shop", "default_branch": "main" });
        let mut payload = json!({ "ref": reference, "inputs": start.inputs, "repository": repository });
        if is_pull_request {
            payload["number"] = json!(1);
            payload["pull_request"] = json!({
                "number": 1, "head": { "ref": start.branch, "sha": sha, "repo": repository }, "base": { "ref": "main", "repo": repository },
            });
        }
        let event = self.folder.join(format!("event-{number}.json"));
        std::fs::write(&event, payload.to_string()).expect("the event");

        let mut command = self.command(&self.act, &folder);
        command
            .args([start.event, "--workflows", &format!(".github/workflows/{}", start.workflow), "--json"])
            .arg("--eventpath")
            .arg(event)
            .args(["--platform", "ubuntu-24.04=-self-hosted", "--no-cache-server", "--concurrent-jobs", "2"])
            .args(["--github-instance", self.github.trim_start_matches("https://"), "--actor", "ada"])
            .args([
                "--secret",
                "GITHUB_TOKEN=a-token-of-this-job",
                "--env",
                &format!("GITHUB_RUN_ID={number}"),
            ])
            .args(["--env", &format!("ROAD_WORKFLOW={}", start.workflow)]);
        for name in ["SLIPWAY_ROLE", "SLIPWAY_PLAN_ROLE", "SLIPWAY_REGION"] {
            command.args(["--var", &format!("{name}=variables.{name}")]);
        }
        for (name, value) in start.inputs.as_object().into_iter().flatten() {
            command.args(["--input", &format!("{name}={}", value.as_str().expect("a text"))]);
        }
        if let Some((name, value)) = start.matrix {
            command.args(["--matrix", &format!("{name}:{value}")]);
        }
        for (action, folder) in self.actions(&folder) {
            command.args(["--local-repository", &format!("{}/{action}={}", self.github, folder.display())]);
        }
        let (running, log) = self.start(command, &format!("act {} {}", start.event, start.workflow));
        WorkflowRun { number, running, log }
    }

    /// Returns every action of a stand-in that a clone's workflows use, with its version, and the repository that stands in.
    fn actions(&self, clone: &Path) -> Vec<(String, PathBuf)> {
        let mut used = BTreeSet::new();
        let workflows = clone.join(".github/workflows").read_dir().expect("workflows").flatten();
        let setup = clone.join(".github/actions/setup/action.yml");
        for file in workflows.map(|entry| entry.path()).chain([setup]) {
            let text = std::fs::read_to_string(&file).expect("a workflow");
            let uses = text.lines().filter_map(|line| line.split_once("uses: "));
            used.extend(uses.filter_map(|(_, action)| Some(action.split_whitespace().next()?.to_owned())));
        }
        let repositories = self.folder.join("actions");
        let mut found = BTreeMap::new();
        for (action, stand_in) in STAND_INS {
            for name in used.iter().filter(|name| name.starts_with(action)) {
                let version = name.split_once('@').expect("a pinned action").1;
                let repository = repositories.join(stand_in);
                if !repository.exists() {
                    copy(&tests_folder().join("actions").join(stand_in), &repository);
                    init_repository(&repository);
                }
                found.insert(format!("{action}@{version}"), repository);
            }
        }
        found.into_iter().collect()
    }
}

impl WorkflowRun {
    /// Waits until the run has ended; returns nothing if it waits for an approval before.
    pub fn settle(&mut self, world: &World) -> bool {
        loop {
            if self.running.wait_for_end(std::time::Duration::from_millis(200)) {
                return true;
            }
            if self.waits_for(world).is_some() {
                return false;
            }
        }
    }

    /// The environment whose approval the run waits for.
    pub fn waits_for(&self, world: &World) -> Option<String> {
        let names = |kind: &str| -> BTreeSet<String> {
            let files = world.folder.join("github").join(kind).read_dir().into_iter().flatten().flatten();
            files.map(|file| file.file_name().to_string_lossy().into_owned()).collect()
        };
        let prefix = format!("{}.", self.number);
        let waiting = &names("waiting") - &names("approvals");
        let mut own = waiting.iter().filter_map(|name| name.strip_prefix(&prefix)?.strip_suffix(".json"));
        own.next().map(str::to_owned)
    }

    /// What the run has printed so far, as events.
    pub fn events(&self) -> Vec<Value> {
        events(&std::fs::read_to_string(&self.log).unwrap_or_default())
    }

    pub fn end(self) -> Ended {
        let finished = self.running.wait();
        let events = events(&finished.stdout);
        Ended { finished, events }
    }
}

fn events(text: &str) -> Vec<Value> {
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The summary that a job wrote, of a run's events.
pub fn summary_of(events: &[Value], job: &str) -> String {
    let own = events.iter().filter(|event| event["jobID"] == job);
    own.filter_map(|event| {
        event["msg"].as_str()?.trim_start().strip_prefix("⚙  Summary - ").map(str::to_owned)
    })
    .collect()
}

impl Ended {
    /// Each job's result, by its id; of the rows of a matrix the worst.
    pub fn jobs(&self) -> BTreeMap<String, String> {
        let mut jobs = BTreeMap::new();
        for event in &self.events {
            if let (Some(job), Some(result)) = (event["jobID"].as_str(), event["jobResult"].as_str())
                && jobs.get(job).is_none_or(|known| known == "success")
            {
                jobs.insert(job.to_owned(), result.to_owned());
            }
        }
        jobs
    }

    /// What the steps of a job printed.
    pub fn log(&self, job: &str) -> String {
        let own = self.events.iter().filter(|event| event["jobID"] == job);
        own.filter_map(|event| event["msg"].as_str())
            .fold(String::new(), |text, line| text + line.trim_end() + "\n")
    }

    /// Panics unless these jobs ran, and ended so.
    #[track_caller]
    pub fn ran(self, expected: &[(&str, &str)]) -> Self {
        let expected: BTreeMap<String, String> =
            expected.iter().map(|(job, result)| ((*job).to_owned(), (*result).to_owned())).collect();
        assert_eq!(self.jobs(), expected, "{}", self.readable());
        self
    }

    /// Panics unless a job printed these words.
    #[track_caller]
    pub fn says(self, job: &str, words: &str) -> Self {
        assert!(self.log(job).contains(words), "no `{words}` in {}", self.readable());
        self
    }

    pub fn readable(&self) -> String {
        let lines = self.events.iter().filter_map(|event| {
            Some(format!(
                "{} | {}",
                event["jobID"].as_str().unwrap_or("-"),
                event["msg"].as_str()?.trim_end()
            ))
        });
        format!("{}\n{}", lines.collect::<Vec<_>>().join("\n"), self.finished.stderr)
    }
}
