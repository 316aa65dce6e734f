//! Random walks of changes over generated repositories: nothing that decides a result may go unnoticed.
//!
//! After each change of a function's files every function is built twice, once as a user would and once by force: one inputs
//! digest must never have two artifacts, and a file is dirty if git says so. After each change of a stack's files it is
//! released, and plain Terraform must find nothing to do. A refusal is no miss: it is loud.
//!
//! `SLIPWAY_MUTATIONS` says how many changes are made, `SLIPWAY_SEED` which. A failure prints both and is shrunk to the shortest
//! end of its walk that still fails.

mod build_world;
mod change;
mod oracle;
mod plain_terraform;
mod rust_project;
mod stack_world;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io::Write as _;
use std::sync::Mutex;

use self::build_world::BuildWorld;
use self::change::Change;
use self::stack_world::{StackChange, StackWorld};
use super::support::TestRun;
use super::support::machine::variable;
use super::support::rounds::rounds;
use crate::require;

/// How many changes are made where nobody says.
const CHANGES: usize = 100;

/// What walks found.
#[derive(Debug, Default)]
pub struct Tally {
    /// Changes that were made.
    pub changes: usize,
    /// Builds or releases whose result was compared.
    pub compared: usize,
    /// Those that had another result than before.
    pub other_results: usize,
    /// Those that were refused.
    pub refused: usize,
    /// Why, with how often.
    pub reasons: BTreeMap<String, usize>,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.changes += other.changes;
        self.compared += other.compared;
        self.other_results += other.other_results;
        self.refused += other.refused;
        for (reason, times) in &other.reasons {
            *self.reasons.entry(reason.clone()).or_default() += times;
        }
    }

    /// Notes a refusal.
    pub fn refuse(&mut self, message: &str) {
        self.refused += 1;
        *self.reasons.entry(message.lines().next().unwrap_or_default().to_owned()).or_default() += 1;
    }
}

/// Walks of one kind.
struct Walks<'a, C> {
    /// How many changes one repository sees, before the next walk begins with a new one.
    length: usize,
    /// One of this many of the changes that were asked for.
    share: usize,
    random_change: fn(&mut fastrand::Rng) -> C,
    /// Makes changes in a new repository; the error is what was missed.
    run: &'a (dyn Fn(&[C]) -> Result<Tally, String> + Sync),
}

#[test]
fn builds_of_changed_repositories_are_never_taken_for_unchanged() {
    let test_run = require!(TestRun::shared());
    let run = |changes: &[Change]| build_after_each(test_run, build_world::QUICK, changes);
    let walks = Walks { length: 50, share: 1, random_change: Change::random, run: &run };
    let total = walks.take();
    assert!(total.other_results * 10 > total.changes, "the changes hardly change anything: {total:?}");
}

/// Each change takes two builds.
#[test]
fn rust_builds_of_changed_repositories_are_never_taken_for_unchanged() {
    let test_run = require!(TestRun::shared());
    let run = |changes: &[Change]| build_after_each(test_run, build_world::RUST, changes);
    Walks { length: 8, share: 25, random_change: rust_project::random_change, run: &run }.take();
}

/// Each change takes a release and a plan.
#[test]
fn stacks_of_changed_repositories_are_never_taken_for_unchanged() {
    let _ = require!(TestRun::shared());
    let run = |changes: &[StackChange]| {
        let mut world = StackWorld::new();
        world.check()?;
        for change in changes {
            world.make(change)?;
            world.check()?;
            world.restore_after_refusals();
        }
        Ok(world.tally)
    };
    let total = Walks { length: 25, share: 4, random_change: StackChange::random, run: &run }.take();
    assert!(total.other_results * 5 > total.changes, "the changes hardly change anything: {total:?}");
}

fn build_after_each(
    test_run: &'static TestRun,
    functions: &'static [&'static str],
    changes: &[Change],
) -> Result<Tally, String> {
    let mut world = BuildWorld::new(test_run, functions);
    world.check()?;
    for change in changes {
        world.make(change);
        world.check()?;
        world.restore_after_refusals();
    }
    Ok(world.tally)
}

impl<C: Clone + Debug> Walks<'_, C> {
    /// Takes the walks, two at a time, and prints what they found.
    fn take(&self) -> Tally {
        let number = |name: &str, default: usize| {
            variable(name).map_or(default, |text| text.parse().expect("a number"))
        };
        let changes = number("SLIPWAY_MUTATIONS", CHANGES).div_ceil(self.share);
        let seed = number("SLIPWAY_SEED", 1);
        let total = Mutex::new(Tally::default());
        rounds(0..changes.div_ceil(self.length), |walk| {
            let mut random = fastrand::Rng::with_seed((seed as u64) << 32 | walk as u64);
            let length = self.length.min(changes - walk * self.length);
            let list: Vec<C> = (0..length).map(|_| (self.random_change)(&mut random)).collect();
            match (self.run)(&list) {
                Ok(tally) => total.lock().expect("the tally").add(&tally),
                Err(miss) => {
                    let (list, miss) = self.shrunk(list, miss);
                    panic!("SLIPWAY_SEED={seed}, walk {walk}, after {list:#?}:\n{miss}");
                }
            }
        });
        let total = total.into_inner().expect("the tally");
        let mut report = format!(
            "{} changes, {} results compared, {} others than before, {} refused; none was silent\n",
            total.changes, total.compared, total.other_results, total.refused
        );
        for (reason, times) in &total.reasons {
            report.push_str(&format!("{times:6} refused: {reason}\n"));
        }
        // Of a test that passes, `cargo test` shows only what is written to the stream itself.
        let _ = std::io::stderr().write_all(report.as_bytes());
        total
    }

    /// Returns the shortest end of a list of changes that still fails.
    fn shrunk(&self, list: Vec<C>, miss: String) -> (Vec<C>, String) {
        let mut length = 1;
        while length < list.len() {
            let end = &list[list.len() - length..];
            if let Err(miss) = (self.run)(end) {
                return (end.to_vec(), miss);
            }
            length *= 2;
        }
        (list, miss)
    }
}
