//! What goes wrong while a command runs.

use std::fmt::Write as _;

use serde_json::json;

use super::processes::Victim;
use super::stored::{KINDS, Spoilt, Way};
use super::world::{Intent, Stack, World};
use crate::support::EchoProject;
use crate::support::process::Finished;
use crate::support::proxy::NetworkFault;

/// How a command ended under a fault.
pub struct Struck {
    pub finished: Finished,
    /// Whether the fault met anything.
    pub hit: bool,
}

/// One fault.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// Of a hundred requests so many fail.
    Network(NetworkFault, u8),
    /// One write fails, and so many attempts of it.
    Write { fault: NetworkFault, before: usize, times: usize },
    /// The state is never saved.
    StateIsNotSaved,
    /// The answers to everything that ends a deployment are lost.
    EndIsNotHeard,
    /// Somebody is killed after an event of the run.
    Kill(Victim, usize),
    /// A stored object is spoilt before the run.
    Spoilt(&'static str, Way),
    /// This machine's clock is so many hours off.
    Clock(i64),
    /// A process of another machine holds the deploy lock, by a clock so many hours off.
    ForeignLease(i64),
    /// Another checkout runs a command at the same time, from an event on.
    Race(&'static str, usize),
    /// So many files may be open.
    OpenFiles(u16),
    /// The disk below Slipway's working copies has so many kilobytes.
    Disk(u16),
}

impl Fault {
    /// Returns a fault that a stack can meet.
    pub fn random(stack: Stack, random: &mut fastrand::Rng) -> Self {
        let any = |random: &mut fastrand::Rng| NetworkFault::ALL[random.usize(..NetworkFault::ALL.len())];
        match random.u8(..14) {
            0 | 1 => Self::Network(any(random), if random.bool() { 5 } else { 20 }),
            2 => Self::Write { fault: any(random), before: random.usize(..30), times: random.usize(1..10) },
            3 => Self::Write {
                fault: NetworkFault::AnswerLost,
                before: random.usize(..30),
                times: random.usize(1..3),
            },
            4 => Self::StateIsNotSaved,
            5 => Self::EndIsNotHeard,
            6..=8 => {
                let victims: &[Victim] = match stack {
                    Stack::Plain => &[Victim::Slipway, Victim::Terraform, Victim::Tree],
                    Stack::Provider => &Victim::ALL,
                };
                Self::Kill(victims[random.usize(..victims.len())], random.usize(1..60))
            }
            9 | 10 => {
                Self::Spoilt(KINDS[random.usize(..KINDS.len())].0, Way::ALL[random.usize(..Way::ALL.len())])
            }
            11 => match random.bool() {
                true => Self::Clock(random.i64(-48..48)),
                false => Self::ForeignLease(random.i64(-48..48)),
            },
            12 => Self::Race(["recover", "status", "release"][random.usize(..3)], random.usize(1..50)),
            _ => match random.bool() {
                true => Self::OpenFiles(random.u16(12..64)),
                false => Self::Disk(random.u16(16..800)),
            },
        }
    }

    /// Returns its kind, for counting.
    pub fn kind(self) -> String {
        match self {
            Self::Network(fault, percent) => format!("{percent} % {fault:?}"),
            Self::Write { fault, .. } => format!("a write: {fault:?}"),
            Self::StateIsNotSaved => "the state is not saved".into(),
            Self::EndIsNotHeard => "the end is not heard".into(),
            Self::Kill(victim, _) => format!("killed: {victim:?}"),
            Self::Spoilt(kind, way) => format!("spoilt: {kind}, {way:?}"),
            Self::Clock(_) => "a clock".into(),
            Self::ForeignLease(_) => "a foreign lease".into(),
            Self::Race(other, _) => format!("at the same time: {other}"),
            Self::OpenFiles(_) => "few open files".into(),
            Self::Disk(_) => "a small disk".into(),
        }
    }

    /// Runs a command under the fault, and ends the fault. The error is what must not be.
    pub fn strike(
        self,
        world: &World,
        intent: &Intent,
        random: &mut fastrand::Rng,
    ) -> Result<Struck, String> {
        let mut hit = true;
        let finished = self.run(world, intent, random, &mut hit)?;
        // Of a fault of the network the proxy knows whether it met a request.
        let met = world.proxy.stop_failing();
        let of_network = matches!(self, Self::Network(..) | Self::Write { .. } | Self::EndIsNotHeard);
        Ok(Struck { finished, hit: hit && (met > 0 || !of_network) })
    }

    fn run(
        self,
        world: &World,
        intent: &Intent,
        random: &mut fastrand::Rng,
        hit: &mut bool,
    ) -> Result<Finished, String> {
        let account = &world.project.account;
        match self {
            Self::Network(fault, percent) => {
                world.proxy.fail_at_random(fault, percent, random.u64(..));
                Ok(world.start(&intent.arguments).wait())
            }
            Self::Write { fault, before, times } => {
                world.proxy.fail_write(fault, before, times);
                Ok(world.start(&intent.arguments).wait())
            }
            Self::StateIsNotSaved => {
                let put = format!("PUT /{}/{}.tfstate", account.buckets()[1], world.function);
                for end in [" ", "?"] {
                    world.proxy.fail(NetworkFault::Failed, &format!("{put}{end}"));
                }
                let finished = world.start(&intent.arguments).wait();
                let met = world.proxy.stop_failing();
                *hit = met > 0;
                self.unsaved(world, intent, finished)
            }
            Self::EndIsNotHeard => {
                world.proxy.fail(NetworkFault::AnswerLost, ".ended.json");
                Ok(world.start(&intent.arguments).wait())
            }
            Self::Kill(victim, event) => {
                let mut run = world.start(&intent.arguments);
                *hit = run.wait_for_event_number(event);
                while *hit && !victim.kill(&run) {
                    // It does not run yet, or any more.
                    *hit = !run.wait_for_end(std::time::Duration::from_millis(5));
                }
                Ok(run.wait())
            }
            Self::Spoilt(kind, way) => {
                let spoilt = Spoilt::one(account, kind, way, random);
                let finished = world.start(&intent.arguments).wait();
                match spoilt {
                    Some(spoilt) => {
                        let name = spoilt.name();
                        if !spoilt.restore(account) && kind == "ended" {
                            world.known.lose_end();
                        }
                        Ok(finished.named(&format!("{name} was spoilt: ")))
                    }
                    None => {
                        *hit = false;
                        Ok(finished)
                    }
                }
            }
            Self::Clock(hours) => {
                let now = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(hours);
                let now = now.to_string();
                Ok(world.start_within(&[], &intent.arguments, &[("SLIPWAY_NOW", &now)]).wait())
            }
            Self::ForeignLease(hours) => self.foreign_lease(world, intent, hours, hit),
            Self::Race(other, event) => self.race(world, intent, other, event),
            Self::OpenFiles(limit) => {
                let limit = format!("--nofile={limit}:{limit}");
                Ok(world.start_within(&["/usr/bin/prlimit", &limit], &intent.arguments, &[]).wait())
            }
            Self::Disk(kilobytes) => {
                let work = world.project.folder.join("target/slipway/terraform");
                std::fs::create_dir_all(&work).expect("the working copies");
                let script = format!(
                    "mount -t tmpfs -o size={kilobytes}k,mode=700 slipway {} && exec \"$@\"",
                    work.display()
                );
                let within = ["/usr/bin/unshare", "--mount", "/bin/sh", "-c", &script, "sh"];
                Ok(world.start_within(&within, &intent.arguments, &[]).wait())
            }
        }
    }

    /// Exit code 9 counts until `recover`: the same command again writes nothing.
    fn unsaved(self, world: &World, intent: &Intent, finished: Finished) -> Result<Finished, String> {
        if finished.code == Some(9) && intent.deploys {
            let again = world.start(&intent.arguments).wait();
            if again.code != Some(9) {
                return Err(format!("the state was not saved, and the next run did not refuse: {again}"));
            }
            let status = world.run(&["status", "--env", "local"]);
            if !status.stdout.contains("recover") {
                return Err(format!("the state was not saved, and {status}"));
            }
        }
        Ok(finished)
    }

    /// Another machine has begun a deployment: nobody may deploy until its lease is stale or somebody says that it is dead.
    fn foreign_lease(
        self,
        world: &World,
        intent: &Intent,
        hours: i64,
        hit: &mut bool,
    ) -> Result<Finished, String> {
        let account = &world.project.account;
        let [_, state] = account.buckets();
        let keys = account.keys(&state);
        let last = keys.iter().filter(|key| key.ends_with(".started.json")).min();
        // What a rollback that is cut off leaves has to be continued: that is another test's.
        let Some(last) = last.filter(|_| intent.deploys && world.known.after_release) else {
            *hit = false;
            return Ok(world.start(&intent.arguments).wait());
        };
        let number = last.rsplit('/').next().and_then(|name| name.split('.').next()).unwrap_or_default();
        let number: u64 = number.parse().expect("a ledger's key counts down");
        let deployment = 9_999_999_999 - number + 1;
        let mut started: serde_json::Value =
            serde_json::from_slice(&account.object(&state, last)).expect("an entry");
        let time = (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(hours)).to_string();
        started["deployment"] = deployment.into();
        started["at"] = time.clone().into();
        started["holder"]["host"] = "build-7".into();
        started["holder"]["since"] = time.clone().into();
        let key = format!("ledger/{}/{}.started.json", world.function, number - 1);
        account.put(&state, &key, started.to_string().as_bytes());
        let lease = json!({"deployment": deployment, "renewed_at": time});
        account.put(&state, &format!("leases/{}.json", world.function), lease.to_string().as_bytes());
        let finished = world.start(&intent.arguments).wait();
        // Where nothing is to be done nobody needs the lock.
        if finished.code == Some(0) && world.known.serving.as_ref() != Some(&intent.serves) {
            return Err(format!("another machine deploys, and {finished}"));
        }
        let mut close = String::new();
        write!(close, "{}/{deployment}", world.function).expect("a text");
        let closed = world.run(&["recover", "--env", "local", "--yes", "--close", &close]);
        if closed.code != Some(0) {
            return Err(format!("not closed: {closed}"));
        }
        Ok(finished)
    }

    /// A second checkout reads, recovers or releases meanwhile. Reading and recovering take nothing from the first.
    fn race(
        self,
        world: &World,
        intent: &Intent,
        other: &'static str,
        event: usize,
    ) -> Result<Finished, String> {
        let second: EchoProject = world.project.second_checkout();
        let url = world.proxy.url();
        let variables = [("SLIPWAY_LOCAL_EMULATOR", &*url)];
        // Its own gateway takes longer to start than an apply to end.
        second.start_with(&["local", "up"], &variables).wait().exits(0);
        let mut run = world.start(&intent.arguments);
        run.wait_for_event_number(event);
        let words: Vec<&str> = match other {
            "release" => intent.arguments.iter().map(String::as_str).collect(),
            "recover" => vec!["recover", "--yes", "--env", "local"],
            other => vec![other, "--env", "local"],
        };
        let raced = second.start_with(&words, &variables).wait();
        let finished = run.wait();
        if other != "release" && (finished.code != Some(0) || raced.code != Some(0)) {
            return Err(format!("{other} took something from a run: {finished}\n{raced}"));
        }
        Ok(finished)
    }
}
