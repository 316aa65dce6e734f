//! The commands of docs/how-to/production.md, typed into a shell as they are written, and what GitHub does then.
//!
//! In: the page's blocks of `sh`. Out: runs of workflows. A block runs in the folder and with the variables that the block before left.
//! What a block asks of GitHub is started after it: a pull request, a push to main, a dispatch, an approval.

use std::path::Path;

use serde_json::Value;

use super::super::support::machine::repository;
use super::workflow::{Ended, Start, WorkflowRun};
use super::world::World;

const PAGE: &str = "docs/how-to/production.md";

/// One block of commands.
#[derive(Debug)]
pub struct Block {
    /// The number of its step.
    pub step: usize,
    pub commands: String,
}

/// Reads the page's blocks, in order.
pub fn blocks() -> Vec<Block> {
    let text = std::fs::read_to_string(repository().join(PAGE)).expect(PAGE);
    let (mut blocks, mut step) = (Vec::new(), 0);
    let mut inside: Option<(usize, String)> = None;
    for line in text.lines() {
        let trimmed = line.trim_start();
        if let Some((indent, commands)) = &mut inside {
            if trimmed == "```" {
                let (_, commands) = inside.take().expect("a block");
                blocks.push(Block { step, commands });
            } else {
                // Markdown takes the list's indentation from each line of a block.
                commands.push_str(line.get(*indent..).unwrap_or_default());
                commands.push('\n');
            }
        } else if trimmed == "```sh" {
            inside = Some((line.len() - trimmed.len(), String::new()));
        } else if let Some((number, _)) = line.split_once(". ")
            && let Ok(number) = number.parse::<usize>()
        {
            assert_eq!(number, step + 1, "the steps of {PAGE} are numbered one by one");
            step = number;
        }
    }
    blocks
}

/// The shell of who follows the page.
pub struct Typist<'a> {
    world: &'a World,
    /// The first commit of main that no run was started for.
    pushed: String,
    handled: usize,
}

impl<'a> Typist<'a> {
    pub fn new(world: &'a World) -> Self {
        Self { world, pushed: main_of(world), handled: 0 }
    }

    /// Types a block.
    pub fn type_block(&self, block: &Block) {
        let folder = self.world.folder.join("team");
        std::fs::create_dir_all(&folder).expect("a folder");
        let kept = folder.join(".shell");
        if !kept.exists() {
            std::fs::write(&kept, "").expect("the shell's variables");
        }
        let script = format!(
            "set -eu -o pipefail\nset +u; source '{kept}'; set -u\nset -v\n{}\nset +v\n{{ declare -p | grep -v '^declare -[^ ]*[rA]' | grep '^declare -[-x]* [a-zG]'; printf 'cd %q\\n' \"$PWD\"; }} > '{kept}'\n",
            self.world.with_own_names(&block.commands),
            kept = kept.display()
        );
        let mut command = self.world.command(Path::new("bash"), &folder);
        command.arg("-c").arg(script);
        self.world.start(command, &format!("step {} of {PAGE}", block.step)).0.wait().exits(0);
    }

    /// Starts what GitHub would start after a block, each row of drift.yml's matrix as a run.
    pub fn start_runs(&mut self) -> Vec<WorkflowRun> {
        let file = self.world.folder.join("github/requests.jsonl");
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let requests: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("a request")).collect();
        let mut started = Vec::new();
        for request in &requests[self.handled..] {
            let branch = request["branch"].as_str().unwrap_or("main");
            if request["pull_request"] == "create" {
                started.push(self.start("pr.yml", "pull_request", branch, &Value::Null, None));
            } else if request["pull_request"] == "merge" {
                self.merge(branch);
            } else if let Some(workflow) = request["workflow"].as_str() {
                let branch = request["ref"].as_str().expect("a branch");
                let rows: &[_] = match workflow {
                    "drift.yml" => &["dev", "staging", "prod"].map(|row| Some(("environment", row))),
                    _ => &[None],
                };
                for row in rows {
                    started.push(self.start(workflow, "workflow_dispatch", branch, &request["inputs"], *row));
                }
            }
        }
        self.handled = requests.len();
        let main = main_of(self.world);
        if main != self.pushed {
            self.pushed = main;
            started.push(self.start("release.yml", "push", "main", &Value::Null, None));
        }
        started
    }

    fn start(
        &self,
        workflow: &str,
        event: &str,
        branch: &str,
        inputs: &Value,
        matrix: Option<(&str, &str)>,
    ) -> WorkflowRun {
        let inputs = if inputs.is_null() { serde_json::json!({}) } else { inputs.clone() };
        self.world.start_workflow(&Start { workflow, event, branch, inputs, matrix })
    }

    /// Merges a branch, as GitHub does it: with a commit of its own, and main is protected against anything else.
    fn merge(&self, branch: &str) {
        let folder = self.world.folder.join("merge");
        let _ = std::fs::remove_dir_all(&folder);
        let url = format!("{}/acme/shop.git", self.world.github);
        self.world.git(&self.world.folder, &["clone", "--quiet", &url, &folder.to_string_lossy()]);
        let message = format!("Merge pull request #1 from acme/{branch}");
        self.world
            .git(&folder, &["merge", "--quiet", "--no-ff", "-m", &message, &format!("origin/{branch}")]);
        self.world.git(&folder, &["push", "--quiet", "origin", "main"]);
    }
}

fn main_of(world: &World) -> String {
    world.git(&world.origin, &["rev-parse", "refs/heads/main"]).trim().to_owned()
}

/// Waits for the only run; it must have ended without an approval.
#[track_caller]
pub fn ended(world: &World, runs: Vec<WorkflowRun>) -> Ended {
    let mut runs = runs.into_iter();
    let mut run = runs.next().expect("a run");
    assert!(runs.next().is_none(), "one run");
    assert!(run.settle(world), "the run waits for an approval");
    run.end()
}

/// Waits until the only run waits for an approval.
#[track_caller]
pub fn waiting(world: &World, runs: Vec<WorkflowRun>) -> WorkflowRun {
    let mut runs = runs.into_iter();
    let mut run = runs.next().expect("a run");
    assert!(runs.next().is_none(), "one run");
    if run.settle(world) {
        let ended = run.end();
        panic!("the run ended before anybody approved: {:?}\n{}", ended.jobs(), ended.readable());
    }
    run
}
