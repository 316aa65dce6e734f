//! A write whose answer was lost is looked at, not repeated: a command that is typed again ends where the first one meant to.

use super::support::commands::{RELEASE, ROLLBACK};
use super::support::echo;
use super::support::process::Finished;
use super::support::proxy::Proxy;
use super::support::skip::Missing;
use super::support::{EchoProject, ObservedState};
use crate::require;

/// A project whose emulator is reached through a proxy, with three releases; the third has the first one's code.
struct Proxied {
    project: EchoProject,
    proxy: Proxy,
}

impl Proxied {
    fn released_three_times() -> Result<Self, Missing> {
        let project = EchoProject::new()?;
        let proxy = Proxy::to(project.emulator_port());
        let this = Self { project, proxy };
        this.run(&RELEASE).exits(0);
        this.project.change_code();
        this.run(&RELEASE).exits(0);
        this.project.write("lambda-src/echo/src/main.rs", echo::SOURCE);
        this.project.commit("feat: say one again");
        this.run(&[&RELEASE[..], &["--version", "0.3.0"]].concat()).exits(0);
        Ok(this)
    }

    fn run(&self, command: &[&str]) -> Finished {
        let through = [("SLIPWAY_LOCAL_EMULATOR", &*self.proxy.url())];
        self.project.start_with(command, &through).wait()
    }
}

#[test]
fn rollback_whose_end_nobody_heard_goes_no_further_back_when_it_is_typed_again() {
    let proxied = require!(Proxied::released_three_times());
    let Proxied { project, proxy } = &proxied;
    // Both attempts to write the end, and every look at it.
    proxy.lose_answers("ledger/echo/9999999995.ended.json", 100);
    let failed = proxied
        .run(&ROLLBACK)
        .exits(1)
        .says("local serves echo 0.2.0; only the end of deployment 4 could not be recorded.")
        .says("whether s3://")
        .says("run the same command again");
    assert!(!failed.stderr.contains("what it held is lost"), "the emulator is there: {failed}");
    assert!(proxy.stop_losing() < 98, "no answer was lost");
    let [_, state] = project.account.buckets();
    let key = "ledger/echo/9999999995.ended.json".to_owned();
    assert!(project.account.keys(&state).contains(&key), "it was written");
    proxied.run(&["status", "--env", "local"]).exits(0).says("0.2.0");
    for _ in 0..2 {
        proxied
            .run(&ROLLBACK)
            .exits(0)
            .says("echo 0.2.0 already serves in local. Nothing was changed.")
            .says("echo stays: rollback 4 brought 0.2.0 back (further back: cargo xtask rollback echo --env local --to 0.1.0).");
        assert_eq!(project.account.alias("echo"), "2");
    }
    let observed = ObservedState::of(project);
    assert_eq!(observed.status["held"], serde_json::json!(["0.3.0"]), "nothing more is held");
    assert_eq!((observed.unfinished, observed.locks), (vec![], vec![]));
}

#[test]
fn write_whose_answer_was_lost_counts_where_it_can_be_seen() {
    let proxied = require!(Proxied::released_three_times());
    let Proxied { project, proxy } = &proxied;
    for (text, attempts, command) in [
        // What the command writes first: the entry that begins it. Then the alias.
        ("PUT /echo-", 2, &ROLLBACK[..]),
        ("PUT /2015-03-31/functions/", 1, &["rollback", "--env", "local", "--yes", "--to", "0.1.0"][..]),
    ] {
        proxy.lose_answers(text, attempts);
        proxied.run(command).exits(0);
        assert_eq!(proxy.stop_losing(), 0, "no answer was lost: {text}");
    }
    assert_eq!(project.account.alias("echo"), "1");
}

/// Terraform locks the state, the answer is lost, and its next attempt finds its own lock.
#[test]
fn lock_of_this_run_whose_answer_was_lost_does_not_lock_it_out() {
    let proxied = require!(Proxied::released_three_times());
    let Proxied { project, proxy } = &proxied;
    proxy.lose_answers("/echo.tfstate.tflock", 1);
    proxied
        .run(&ROLLBACK)
        .exits(0)
        .says("on the state was this run's own")
        .says("echo 0.2.0 serves in local again.");
    assert_eq!(proxy.stop_losing(), 0, "no answer was lost");
    let observed = ObservedState::of(project);
    assert_eq!((observed.unfinished, observed.locks), (vec![], vec![]));
}
