//! Random walks of changes over a generated repository: what decides the bytes of a build must be in its digest.
//!
//! After each change every function is built twice, once as a user would and once by force. One inputs digest must never have
//! two artifacts, and a file is dirty if git says so. A refusal is no miss: it is loud. `SLIPWAY_MUTATIONS` says how many changes
//! are made, `SLIPWAY_SEED` which; a failure prints both and is shrunk to the shortest end of its walk that still fails.

mod build_world;
mod change;
mod oracle;
mod rust_project;

use std::collections::BTreeMap;
use std::sync::Mutex;

use self::build_world::BuildWorld;
use self::change::Change;
use super::support::TestRun;
use super::support::machine::variable;
use super::support::rounds::rounds;
use crate::require;

/// How many changes one repository sees, before the next walk begins with a new one.
const WALK: usize = 50;
/// The same for Rust.
const RUST_WALK: usize = 8;
/// How many changes are made where nobody says.
const CHANGES: usize = 100;

/// What a walk found.
#[derive(Debug, Default)]
pub struct Tally {
    /// Changes that were made.
    pub changes: usize,
    /// Builds that were compared.
    pub compared: usize,
    /// Builds that gave other bytes than before.
    pub other_bytes: usize,
    /// Builds that were refused.
    pub refused: usize,
    /// Why, with how often.
    pub reasons: BTreeMap<String, usize>,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.changes += other.changes;
        self.compared += other.compared;
        self.other_bytes += other.other_bytes;
        self.refused += other.refused;
        for (reason, times) in &other.reasons {
            *self.reasons.entry(reason.clone()).or_default() += times;
        }
    }
}

#[test]
fn builds_of_changed_repositories_are_never_taken_for_unchanged() {
    let test_run = require!(TestRun::shared());
    let total = walks(test_run, build_world::QUICK, WALK, 1, Change::random);
    assert!(total.other_bytes * 10 > total.changes, "the changes hardly change anything: {total:?}");
}

/// One change of 25 is one of Rust: each takes two builds.
#[test]
fn rust_builds_of_changed_repositories_are_never_taken_for_unchanged() {
    let test_run = require!(TestRun::shared());
    walks(test_run, build_world::RUST, RUST_WALK, 25, rust_project::random_change);
}

/// Makes random changes in walks of a length; one of `share` of the changes that are asked for.
fn walks(
    test_run: &'static TestRun,
    functions: &'static [&'static str],
    length: usize,
    share: usize,
    random_change: fn(&mut fastrand::Rng) -> Change,
) -> Tally {
    let number =
        |name: &str, default: usize| variable(name).map_or(default, |text| text.parse().expect("a number"));
    let (changes, seed) = (number("SLIPWAY_MUTATIONS", CHANGES).div_ceil(share), number("SLIPWAY_SEED", 1));
    let total = Mutex::new(Tally::default());
    rounds(0..changes.div_ceil(length), |walk| {
        let mut random = fastrand::Rng::with_seed((seed as u64) << 32 | walk as u64);
        let list: Vec<Change> =
            (0..length.min(changes - walk * length)).map(|_| random_change(&mut random)).collect();
        match walk_over(test_run, functions, &list) {
            Ok(tally) => total.lock().expect("the tally").add(&tally),
            Err(miss) => {
                let (list, miss) = shrunk(test_run, functions, list, miss);
                panic!("SLIPWAY_SEED={seed}, walk {walk}, after {list:#?}:\n{miss}");
            }
        }
    });
    let total = total.into_inner().expect("the tally");
    println!(
        "{} changes, {} builds compared, {} with other bytes, {} refused; none was silent",
        total.changes, total.compared, total.other_bytes, total.refused
    );
    total.reasons.iter().for_each(|(reason, times)| println!("{times:6} refused: {reason}"));
    total
}

/// Makes the changes one after the other in a new repository.
fn walk_over(
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

/// Returns the shortest end of a list of changes that still fails.
fn shrunk(
    test_run: &'static TestRun,
    functions: &'static [&'static str],
    list: Vec<Change>,
    miss: String,
) -> (Vec<Change>, String) {
    let mut length = 1;
    while length < list.len() {
        let end = &list[list.len() - length..];
        if let Err(miss) = walk_over(test_run, functions, end) {
            return (end.to_vec(), miss);
        }
        length *= 2;
    }
    (list, miss)
}
