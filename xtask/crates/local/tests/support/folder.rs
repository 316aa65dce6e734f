//! A supervisor's folder for one test, the processes that belong to it, and names for the supervisor's events.

use super::runs;
use slipway_local::supervisor::{self, Event};
use std::path::Path;

/// A folder whose servers are stopped when it is dropped, even if the test fails.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let folder = self.path().to_owned();
        let ended = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(supervisor::down(&folder)).unwrap();
            assert_eq!(marked(&folder), [0; 0], "processes were left behind");
        });
        assert!(ended.join().is_ok() || std::thread::panicking());
    }
}

/// Lists the processes that carry a folder's mark.
pub fn marked(folder: &Path) -> Vec<u32> {
    let folder = folder.canonicalize().unwrap();
    let marker = format!("SLIPWAY_LOCAL_SERVER_OF={}", folder.display()).into_bytes();
    let pids = std::fs::read_dir("/proc").unwrap().flatten();
    pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| {
            std::fs::read(format!("/proc/{pid}/environ"))
                .is_ok_and(|environment| environment.split(|byte| *byte == 0).any(|entry| entry == marker))
        })
        .filter(|pid| runs(*pid))
        .collect()
}

pub fn kinds(events: &[Event]) -> Vec<String> {
    let kind = |event: &Event| match event {
        Event::Waiting { .. } => "waiting".to_owned(),
        Event::Starting { component } => format!("starting {component}"),
        Event::Started { component, .. } => format!("started {component}"),
        Event::Reused { component, .. } => format!("reused {component}"),
        Event::Cleaned { component, .. } => format!("cleaned {component}"),
    };
    events.iter().map(kind).collect()
}

/// The supervisor's events where no server runs.
pub const ANEW: [&str; 4] = ["starting moto", "started moto", "starting gateway", "started gateway"];
/// The supervisor's events where all servers run.
pub const REUSED: [&str; 2] = ["reused moto", "reused gateway"];
