//! The supervisor with real servers: started, started again, beside other environments, and stopped.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use slipway_local::supervisor::{self, Emulator, Error};
use slipway_local::{Component, Status};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use support::folder::{ANEW, Folder, REUSED, kinds, marked};
use support::{moto_server, options, up};

#[tokio::test]
async fn servers_start_once_stop_and_start_again() {
    let moto = require!(moto_server());
    let folder = Folder::new();
    assert_eq!(supervisor::find(folder.path()).await.unwrap(), Status::Stopped);
    let options = options(folder.path(), &moto, "300000000001");
    let (first, events) = up(&options).await.unwrap();
    assert_eq!(kinds(&events), ANEW);
    assert_eq!((first.account.as_str(), first.region.as_str()), ("300000000001", support::REGION));
    let mut pids = marked(folder.path());
    pids.sort_unstable();
    let mut expected = [first.emulator.pid.unwrap(), first.gateway.pid.unwrap()];
    expected.sort_unstable();
    assert_eq!(pids, expected);

    let begun = Instant::now();
    let (second, events) = up(&options).await.unwrap();
    assert_eq!((kinds(&events), &second), (REUSED.map(str::to_owned).to_vec(), &first));
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(supervisor::find(folder.path()).await.unwrap(), Status::Running(first.clone()));

    // Another account changes the credentials and nothing else.
    let other = supervisor::Options { account: "300000000002".to_owned(), ..options.clone() };
    let (entered, events) = up(&other).await.unwrap();
    assert_eq!(kinds(&events), REUSED);
    assert_eq!((entered.account.as_str(), &entered.emulator), ("300000000002", &first.emulator));
    assert_ne!(entered.access_key_id, first.access_key_id);
    // Another store needs another gateway.
    let other = supervisor::Options { store_bucket: "other".to_owned(), ..other };
    let (_, events) = up(&other).await.unwrap();
    assert_eq!(kinds(&events), ["reused moto", "cleaned gateway", "starting gateway", "started gateway"]);

    let stopped = supervisor::down(folder.path()).await.unwrap();
    let whats: Vec<_> = stopped.iter().map(|stopped| stopped.component.to_string()).collect();
    assert_eq!(whats, ["gateway", "moto"]);
    assert_eq!(stopped[0].end, supervisor::ProcessEnd::Terminated);
    assert_ne!(stopped[1].end, supervisor::ProcessEnd::AlreadyGone);
    assert_eq!(marked(folder.path()), [0; 0]);
    assert_eq!(supervisor::find(folder.path()).await.unwrap(), Status::Stopped);
    assert_eq!(supervisor::down(folder.path()).await.unwrap(), []);
    assert_eq!(kinds(&up(&options).await.unwrap().1), ANEW);
}

#[tokio::test]
async fn concurrent_starts_create_one_environment() {
    let moto = require!(moto_server());
    let folder = Folder::new();
    let options = options(folder.path(), &moto, "300000000006");
    let (one, other) = tokio::join!(up(&options), up(&options));
    let ((one, first), (other, second)) = (one.unwrap(), other.unwrap());
    assert_eq!(one, other);
    assert_eq!(kinds(&first), ANEW);
    assert_eq!(kinds(&second), ["waiting", "reused moto", "reused gateway"]);
    assert_eq!(marked(folder.path()).len(), 2);
}

#[tokio::test]
async fn requested_port_is_used_or_its_holder_is_named() {
    let moto = require!(moto_server());
    let folder = Folder::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut options = options(folder.path(), &moto, "300000000007");
    options.emulator = Emulator::Start { moto_server: moto.clone(), port: Some(port) };
    let error = up(&options).await.unwrap_err();
    let holder = std::process::id().to_string();
    assert!(
        matches!(&error, Error::PortTaken { component: Component::Emulator, holder: Some(name), .. } if name.contains(&holder))
    );
    assert!(error.to_string().contains(&port.to_string()), "{error}");
    assert_eq!(supervisor::find(folder.path()).await.unwrap(), Status::Stopped);

    options.emulator = Emulator::Start { moto_server: moto.clone(), port: None };
    options.gateway_port = Some(port);
    let error = up(&options).await.unwrap_err();
    assert!(matches!(error, Error::PortTaken { component: Component::Gateway, .. }), "{error}");
    // The emulator is running and stays; the gateway starts on the requested port once it is free.
    drop(taken);
    let (state, events) = up(&options).await.unwrap();
    assert_eq!(kinds(&events)[0], "reused moto");
    assert!(state.gateway.url.ends_with(&format!(":{port}")));
    // The emulator does not change its port: a restart would lose its data.
    options.emulator = Emulator::Start { moto_server: moto, port: Some(port) };
    assert!(matches!(up(&options).await, Err(Error::OtherPort { .. })));
}

#[tokio::test]
async fn attached_emulator_is_neither_started_nor_stopped() {
    let moto = require!(moto_server());
    let (theirs, ours) = (Folder::new(), Folder::new());
    let (host, _) = up(&options(theirs.path(), &moto, "300000000008")).await.unwrap();
    let mut options = options(ours.path(), &moto, "300000000009");
    options.emulator = Emulator::Attach { url: host.emulator.url.clone() };
    let (state, events) = up(&options).await.unwrap();
    assert_eq!(kinds(&events), ["reused moto", "starting gateway", "started gateway"]);
    assert_eq!((state.emulator.pid, state.account.as_str()), (None, "300000000009"));
    assert_eq!(kinds(&up(&options).await.unwrap().1), REUSED);
    assert_eq!(supervisor::down(ours.path()).await.unwrap().len(), 1);
    assert_eq!(supervisor::find(theirs.path()).await.unwrap(), Status::Running(host));

    options.emulator = Emulator::Attach { url: "http://127.0.0.1:1".to_owned() };
    assert!(matches!(up(&options).await, Err(Error::Attach { .. })));
}

#[tokio::test]
async fn failed_server_start_shows_the_end_of_its_log() {
    let folder = Folder::new();
    let program = folder.path().join("moto_server");
    write_program(&program, "#!/bin/sh\necho a first line\necho no module named moto >&2\nexit 3\n");
    let options = options(folder.path(), &program, "300000000010");
    let error = up(&options).await.unwrap_err().to_string();
    assert!(error.contains("moto did not start: it ended with exit status: 3"), "{error}");
    assert!(error.contains("moto.log") && error.ends_with("a first line\nno module named moto"), "{error}");
    let absent = supervisor::Options {
        emulator: Emulator::Start { moto_server: PathBuf::from("/nowhere/moto_server"), port: None },
        ..options.clone()
    };
    let error = up(&absent).await.unwrap_err().to_string();
    assert!(error.contains("/nowhere/moto_server"), "{error}");
    let wrong = supervisor::Options { account: "12".to_owned(), ..options };
    assert!(matches!(up(&wrong).await, Err(Error::Options(_))));
}

fn write_program(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test]
async fn state_file_of_another_format_is_not_trusted() {
    let moto = require!(moto_server());
    let folder = Folder::new();
    std::fs::write(folder.path().join("state.json"), "{}").unwrap();
    assert!(matches!(supervisor::find(folder.path()).await, Err(Error::State(_))));
    let events = Mutex::new(Vec::new());
    let options = options(folder.path(), &moto, "300000000011");
    let state = supervisor::up(&options, &|event| events.lock().unwrap().push(event)).await.unwrap();
    assert_eq!(kinds(&events.into_inner().unwrap()), ANEW);
    assert_eq!(supervisor::find(folder.path()).await.unwrap(), Status::Running(state));
}
