//! Faults at random and at every place of a run. After each, the same command is typed once more, and `recover` where that does not
//! help; then everything agrees: ledger, alias, state, store, processes and files.
//!
//! `SLIPWAY_FAULTS` says how many faults there are, `SLIPWAY_SEED` which. A failure prints both with what was done before. The moment
//! at which a process is killed depends on the machine.

mod every_place;
mod fault;
mod oracle;
pub(crate) mod processes;
mod stored;
mod world;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Mutex;

use self::fault::{Fault, Struck};
use self::world::{Command, Intent, Stack, World};
use super::support::TestRun;
use super::support::machine::variable;
use super::support::process::Finished;
use super::support::rounds::rounds;
use crate::require;

/// How many faults one project sees.
const LENGTH: usize = 20;
/// How many faults there are where nobody says.
const FAULTS: usize = 24;

/// How the faults of one kind ended.
#[derive(Debug, Default, Clone, Copy)]
struct Ended {
    /// The command succeeded under the fault.
    unharmed: usize,
    /// The same command again succeeded.
    by_rerun: usize,
    /// It did after `recover`.
    by_recover: usize,
}

/// How faults ended, by their kind.
#[derive(Debug, Default)]
struct Tally(BTreeMap<String, Ended>);

impl Tally {
    fn add(&mut self, other: Self) {
        for (kind, ended) in other.0 {
            let own = self.0.entry(kind).or_default();
            own.unharmed += ended.unharmed;
            own.by_rerun += ended.by_rerun;
            own.by_recover += ended.by_recover;
        }
    }

    fn faults(&self) -> usize {
        self.0.values().map(|ended| ended.unharmed + ended.by_rerun + ended.by_recover).sum()
    }

    fn print(&self) {
        let mut report = "unharmed  by rerun  by recover  fault\n".to_owned();
        let mut total = Ended::default();
        for (kind, ended) in &self.0 {
            report.push_str(&format!(
                "{:8}  {:8}  {:10}  {kind}\n",
                ended.unharmed, ended.by_rerun, ended.by_recover
            ));
            total.unharmed += ended.unharmed;
            total.by_rerun += ended.by_rerun;
            total.by_recover += ended.by_recover;
        }
        report.push_str(&format!(
            "{:8}  {:8}  {:10}  {} faults\n",
            total.unharmed,
            total.by_rerun,
            total.by_recover,
            self.faults()
        ));
        // Of a test that passes, `cargo test` shows only what is written to the stream itself.
        let _ = std::io::stderr().write_all(report.as_bytes());
    }
}

/// One fault while one command runs, and what it took until everything agreed; nothing where the fault met nothing.
fn one_fault(
    world: &mut World,
    intent: &Intent,
    fault: Fault,
    random: &mut fastrand::Rng,
) -> Result<Tally, String> {
    let Struck { finished: struck, hit } = fault.strike(world, intent, random)?;
    let mut ended = Ended::default();
    if struck.code == Some(0) {
        ended.unharmed = 1;
        if intent.deploys {
            // What it says is so, without another command.
            oracle::serves(world, &intent.serves).map_err(|error| format!("{error}\nafter {struck}"))?;
        }
    }
    settle(world, intent, struck, &mut ended)?;
    world.known.note(intent);
    Ok(if hit { Tally(BTreeMap::from([(fault.kind(), ended)])) } else { Tally::default() })
}

/// Types the command again, and `recover` where that does not help; then everything has to agree.
fn settle(world: &mut World, intent: &Intent, struck: Finished, ended: &mut Ended) -> Result<(), String> {
    let again = world.start(&intent.arguments).wait();
    let Err(why) = succeeded(world, intent, &[&again]) else {
        ended.by_rerun = usize::from(ended.unharmed == 0);
        return Ok(());
    };
    *ended = Ended { by_recover: 1, ..Ended::default() };
    let recovered = world.run(&["recover", "--env", "local", "--yes"]);
    let last = world.start(&intent.arguments).wait();
    let mut settled = succeeded(world, intent, &[&recovered, &last]);
    // With the end of a deployment the configuration that it applied is lost. Traffic is back, and Terraform waits for a deployment.
    if settled.is_err() && world.known.lost_an_end() && intent.arguments[0] == "rollback" {
        oracle::serves(world, &intent.serves)?;
        let deploy = ["deploy", world.function, "--yes", "--version", &intent.serves, "--env", "local"];
        let deployed = world.run(&deploy);
        settled = succeeded(world, intent, &[&recovered, &deployed]);
    }
    settled.map_err(|error| {
        format!("{error}\nafter {struck}\nthen {again}\nwhich left: {why}\nthen {recovered}\nthen {last}")
    })
}

/// Compares everything after commands that had to succeed.
fn succeeded(world: &mut World, intent: &Intent, commands: &[&Finished]) -> Result<(), String> {
    match commands.iter().find(|command| command.code != Some(0)) {
        Some(failed) => Err(format!("the exit code {:?}", failed.code)),
        None => oracle::agree(world, &intent.serves),
    }
}

/// A walk of faults through one project.
fn walk(stack: Stack, seed: u64, length: usize) -> Result<Tally, String> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut world = World::new(stack).expect("a project");
    let mut tally = Tally::default();
    let mut done = Vec::new();
    while tally.faults() < length {
        let command = Command::ALL[random.usize(..Command::ALL.len())];
        let fault = Fault::random(stack, &mut random);
        let intent = world.intend(command, &mut random);
        done.push(format!("{fault:?} while `xtask {}`", intent.arguments.join(" ")));
        let one = one_fault(&mut world, &intent, fault, &mut random);
        tally.add(one.map_err(|error| format!("{done:#?}\n{error}"))?);
    }
    oracle::no_secret_is_stored(&world).map_err(|error| format!("{done:#?}\n{error}"))?;
    Ok(tally)
}

fn number(name: &str, default: usize) -> usize {
    variable(name).map_or(default, |text| text.parse().expect("a number"))
}

/// Walks over a stack, two at a time.
fn walks(stack: Stack, faults: usize) {
    let seed = number("SLIPWAY_SEED", 1);
    let total = Mutex::new(Tally::default());
    rounds(0..faults.div_ceil(LENGTH), |round| {
        let length = LENGTH.min(faults - round * LENGTH);
        match walk(stack, (seed as u64) << 32 | round as u64, length) {
            Ok(tally) => total.lock().expect("the tally").add(tally),
            Err(error) => panic!("SLIPWAY_SEED={seed}: {error}"),
        }
    });
    total.into_inner().expect("the tally").print();
}

#[test]
fn everything_agrees_after_faults() {
    let _ = require!(TestRun::shared());
    walks(Stack::Plain, number("SLIPWAY_FAULTS", FAULTS));
}

/// The same with the AWS provider: each command takes longer.
#[test]
#[ignore = "minutes; cargo xtask test chaos"]
fn everything_agrees_after_faults_with_the_provider() {
    let _ = require!(TestRun::shared());
    walks(Stack::Provider, number("SLIPWAY_FAULTS", FAULTS).div_ceil(8));
}
