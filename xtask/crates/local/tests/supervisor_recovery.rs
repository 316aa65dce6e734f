//! The supervisor with real servers: restart after each way in which a server can die.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::json;
use slipway_local::supervisor::{self, Event};
use slipway_local::{Component, Status};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use support::folder::{ANEW, Folder, kinds, marked};
use support::{Account, artifact, kill, moto_server, options, runs, up};

#[tokio::test]
async fn emulator_death_is_reported_as_loss_of_its_data() {
    let moto = require!(moto_server());
    let folder = Folder::new();
    let options = options(folder.path(), &moto, "300000000003");
    let (first, _) = up(&options).await.unwrap();
    kill(first.emulator.pid.unwrap());
    let Status::Broken { state, dead } = supervisor::find(folder.path()).await.unwrap() else {
        panic!("not broken")
    };
    assert_eq!(state, first);
    assert_eq!(dead.iter().map(|dead| dead.component.to_string()).collect::<Vec<_>>(), ["moto"]);
    let (second, events) = up(&options).await.unwrap();
    assert_eq!(kinds(&events)[..2], ["cleaned gateway", "cleaned moto"]);
    let reported = matches!(&events[1], Event::Cleaned { pid, reason, .. }
        if *pid == first.emulator.pid.unwrap() && reason.contains("has ended; everything in it is lost"));
    assert!(reported, "{events:?}");
    assert_eq!(kinds(&events)[2..], ANEW);
    assert_ne!(second.emulator.pid, first.emulator.pid);
    assert!(!runs(first.gateway.pid.unwrap()));
}

#[tokio::test]
async fn dead_gateway_is_replaced_and_its_functions_are_stopped() {
    let moto = require!(moto_server());
    let folder = Folder::new();
    let options = options(folder.path(), &moto, "300000000004");
    let (first, _) = up(&options).await.unwrap();
    let account = Account::enter(&first, "300000000004").await;
    account.create_function("left", &artifact("left"), json!({})).await;
    let pid = u32::try_from(account.invoke("left", json!({})).await.json()["pid"].as_u64().unwrap()).unwrap();
    assert!(marked(folder.path()).contains(&pid));
    // A sleeping function does not notice that its gateway is gone.
    let gateway = account.gateway.clone();
    let busy = tokio::spawn(async move {
        let authorization = account.authorization("lambda");
        let url = format!("{gateway}/2015-03-31/functions/left/invocations");
        let headers = [("authorization", authorization.as_str())];
        support::send("POST", &url, &headers, r#"{"do":"sleep","seconds":60}"#).await
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    kill(first.gateway.pid.unwrap());
    assert!(busy.await.is_err());
    assert!(runs(pid));
    let Status::Broken { dead, .. } = supervisor::find(folder.path()).await.unwrap() else {
        panic!("not broken")
    };
    assert_eq!(dead.iter().map(|dead| dead.component.to_string()).collect::<Vec<_>>(), ["gateway"]);

    let (second, events) = up(&options).await.unwrap();
    assert_eq!(
        kinds(&events),
        ["reused moto", "cleaned gateway", "cleaned process", "starting gateway", "started gateway"]
    );
    assert!(!runs(pid));
    assert_eq!(second.emulator, first.emulator);
    let account = Account::enter(&second, "300000000004").await;
    let response = account.invoke("left", json!({})).await.json();
    assert_eq!(response["label"], "left");

    // A gateway that is asked to stop stops its functions.
    let pid = u32::try_from(response["pid"].as_u64().unwrap()).unwrap();
    assert!(runs(pid));
    supervisor::down(folder.path()).await.unwrap();
    assert!(!runs(pid));
}

#[tokio::test]
async fn interrupted_start_is_detected_and_cleaned_up() {
    let moto = require!(moto_server());
    let folder = Folder::new();
    let options = options(folder.path(), &moto, "300000000005");
    // Dropped while the emulator starts: a SIGKILL of the supervisor leaves the same.
    let recorded = async {
        while !folder.path().join("state.json").exists() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let quiet = |_| ();
    tokio::select! {
        () = recorded => (),
        _ = supervisor::up(&options, &quiet) => panic!("it was ready before it was recorded"),
    }
    let left = marked(folder.path());
    assert_eq!(left.len(), 1);
    let Status::Broken { state, dead } = supervisor::find(folder.path()).await.unwrap() else {
        panic!("not broken")
    };
    assert_eq!((state.emulator.pid, dead.len()), (Some(left[0]), 2));
    let (state, events) = up(&options).await.unwrap();
    assert_eq!(kinds(&events)[0], "cleaned moto");
    assert!(!runs(left[0]));
    assert_eq!(marked(folder.path()).len(), 2);

    // Killed before it could record anything: only the mark identifies the process.
    supervisor::down(folder.path()).await.unwrap();
    assert!(!runs(state.emulator.pid.unwrap()));
    let stray = stray(folder.path());
    let (_, events) = up(&options).await.unwrap();
    assert!(events.contains(&Event::Cleaned {
        component: Component::Process,
        pid: stray,
        reason: "it was left behind".to_owned()
    }));
    assert!(!runs(stray));
}

#[expect(clippy::disallowed_methods, reason = "a process that another supervisor left behind")]
fn stray(folder: &Path) -> u32 {
    let mut command = std::process::Command::new("sleep");
    command.arg("600").env("SLIPWAY_LOCAL_SERVER_OF", folder.canonicalize().unwrap()).stdout(Stdio::null());
    let mut child = command.spawn().unwrap();
    let pid = child.id();
    std::thread::spawn(move || child.wait());
    // Its environment is readable once it runs `sleep`.
    let until = Instant::now() + Duration::from_secs(5);
    while !marked(folder).contains(&pid) {
        assert!(Instant::now() < until);
    }
    pid
}
