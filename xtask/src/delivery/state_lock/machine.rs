//! The Terraforms that run on this machine, and the states that they work on.
//!
//! In: /proc. Out: each with the state of its backend, as far as it can be read. Nothing goes wrong: what cannot be read is unknown,
//! and counts as the state that is asked about.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::StateLock;
use crate::delivery::EnvironmentStack;
use crate::ledger::Holder;
use crate::process;

/// This machine, as far as it shows who may hold a lock.
#[derive(Debug, Clone, Default)]
pub(crate) struct Machine {
    /// Its name, as Terraform writes it into its locks.
    pub(crate) host: String,
    /// Whether this process sees all processes of the machine.
    pub(crate) sees_all: bool,
    /// The Terraforms that run.
    pub(crate) terraforms: Vec<RunningTerraform>,
}

/// A Terraform that runs on this machine.
#[derive(Debug, Clone)]
pub(crate) struct RunningTerraform {
    /// Its process number.
    pub(crate) pid: u32,
    /// What it works on.
    pub(crate) works_on: WorksOn,
    /// How long ago it was started.
    pub(crate) age: Option<Duration>,
}

/// The state that a Terraform works on, or locks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WorksOn {
    /// One in a bucket.
    Object { bucket: String, key: String },
    /// None in a bucket: its command locks no state, or its backend is another one.
    NoObject,
    /// It cannot be read.
    Unknown,
}

/// Commands of Terraform that lock no state: <https://developer.hashicorp.com/terraform/cli/commands>.
const LOCK_NOTHING: [&str; 11] = [
    "fmt",
    "get",
    "graph",
    "login",
    "logout",
    "metadata",
    "providers",
    "test",
    "validate",
    "version",
    "-version",
];

/// How much the machine's clock and the age of its processes may differ.
const CLOCK_ERROR: jiff::SignedDuration = jiff::SignedDuration::from_millis(200);

impl Machine {
    /// Looks at this machine.
    pub(crate) fn look() -> Self {
        let is_terraform = |name: &str| {
            // A provider holds no lock: its name is cut to `terraform-provi`.
            (name.starts_with("terraform") && !name.starts_with("terraform-p")) || name == "tofu"
        };
        let terraforms = process::named(is_terraform).into_iter().map(|found| RunningTerraform {
            pid: found.pid,
            works_on: WorksOn::of(found.pid),
            age: process::age(found.pid),
        });
        Self { host: Holder::here().host, sees_all: process::sees_all(), terraforms: terraforms.collect() }
    }

    /// Returns a Terraform that may hold the lock of a stack's state, which was made on this machine: one that works on that state, or
    /// on one that is not known, and that was there when the lock was made.
    pub(super) fn terraform_of(
        &self,
        stack: &EnvironmentStack,
        lock: &StateLock,
    ) -> Option<&RunningTerraform> {
        let now = stack.clock.real_time();
        let since_lock =
            lock.created.parse().ok().map(|created: jiff::Timestamp| now.duration_since(created));
        let is_younger = |terraform: &RunningTerraform| {
            let age = terraform.age.and_then(|age| jiff::SignedDuration::try_from(age).ok());
            age.zip(since_lock).is_some_and(|(age, since)| age + CLOCK_ERROR < since)
        };
        self.terraforms.iter().find(|terraform| {
            let may_work_on_it = match &terraform.works_on {
                WorksOn::Object { bucket, key } => stack.plan.is_state_at(bucket, key),
                WorksOn::NoObject => false,
                WorksOn::Unknown => true,
            };
            may_work_on_it && !is_younger(terraform)
        })
    }
}

impl WorksOn {
    /// Reads what a living Terraform works on, from the backend that its `init` noted.
    fn of(pid: u32) -> Self {
        let (Some(arguments), Some(folder)) = (process::arguments(pid), process::folder(pid)) else {
            return Self::Unknown;
        };
        Self::by(&arguments, &folder, process::variable_of(pid, "TF_DATA_DIR").as_deref())
    }

    fn by(arguments: &[String], folder: &Path, data: Option<&str>) -> Self {
        let mut options = arguments.iter().skip(1);
        let mut folder = PathBuf::from(folder);
        let command = loop {
            match options.next().map(String::as_str) {
                Some(option) if option.starts_with("-chdir=") => folder.push(&option["-chdir=".len()..]),
                Some(command) => break command,
                None => break "version",
            }
        };
        if LOCK_NOTHING.contains(&command) {
            return Self::NoObject;
        }
        let data = folder.join(data.unwrap_or(".terraform"));
        match std::fs::read(data.join("terraform.tfstate")) {
            Ok(bytes) => Self::noted(&bytes),
            // Only `init` works where none was noted yet; it may be bringing a state to another backend.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && folder.is_dir() => {
                if command == "init" { Self::Unknown } else { Self::NoObject }
            }
            Err(_) => Self::Unknown,
        }
    }

    fn noted(bytes: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Noted {
            backend: Option<Backend>,
        }
        #[derive(Deserialize)]
        struct Backend {
            r#type: String,
            config: Settings,
        }
        #[derive(Deserialize)]
        struct Settings {
            bucket: Option<String>,
            key: Option<String>,
        }
        match serde_json::from_slice(bytes) {
            Ok(Noted { backend: None }) => Self::NoObject,
            Ok(Noted { backend: Some(backend) }) if backend.r#type != "s3" => Self::NoObject,
            Ok(Noted {
                backend: Some(Backend { config: Settings { bucket: Some(bucket), key: Some(key) }, .. }),
            }) => Self::Object { bucket, key },
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn state_is_the_one_of_the_backend_that_init_noted() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("stack/.terraform");
        std::fs::create_dir_all(&data).unwrap();
        let of = |line: &str| WorksOn::by(&words(line), folder.path(), None);
        assert_eq!(of("terraform -chdir=stack apply"), WorksOn::NoObject, "a state in the folder");
        assert_eq!(of("terraform -chdir=stack init"), WorksOn::Unknown);
        assert_eq!(of("terraform -chdir=gone apply"), WorksOn::Unknown);
        let note = |text: &str| std::fs::write(data.join("terraform.tfstate"), text).unwrap();
        note(r#"{"version":3,"backend":{"type":"s3","config":{"bucket":"b","key":"k","region":null}}}"#);
        let object = WorksOn::Object { bucket: "b".into(), key: "k".into() };
        for command in ["apply -auto-approve", "plan", "init -migrate-state", "state rm a", "console"] {
            assert_eq!(of(&format!("terraform -chdir=stack {command}")), object, "{command}");
        }
        for command in ["fmt -check", "validate", "version -json", "-version"] {
            assert_eq!(of(&format!("terraform -chdir=stack {command}")), WorksOn::NoObject, "{command}");
        }
        let named = WorksOn::by(&words("terraform plan"), folder.path(), data.to_str());
        assert_eq!(named, object);
        note(r#"{"version":3,"backend":{"type":"gcs","config":{"bucket":"b","prefix":"k"}}}"#);
        assert_eq!(of("terraform -chdir=stack plan"), WorksOn::NoObject);
        note("{");
        assert_eq!(of("terraform -chdir=stack plan"), WorksOn::Unknown);
    }
}
