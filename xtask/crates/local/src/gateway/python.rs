//! Python functions: the host's interpreter runs a small runtime client over the unpacked zip.
//!
//! The interpreter of the named version is taken where the host has it, else any `python3`; compiled wheels for
//! another version then fail to import, as the function's log tells.

use crate::process::{self, Launch};
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::Mutex;

/// Speaks the Runtime API and calls the handler.
const CLIENT: &str = include_str!("python_runtime.py");

/// A Python on this machine.
#[derive(Debug, Clone)]
pub(crate) struct Interpreter {
    pub(crate) program: PathBuf,
    /// Its version as a runtime is named: `python3.13`.
    pub(crate) runtime: String,
}

/// The interpreters found so far, by runtime.
#[derive(Default)]
pub(crate) struct Interpreters {
    found: Mutex<HashMap<String, Interpreter>>,
}

impl Interpreters {
    /// Finds the interpreter for a runtime such as `python3.13`.
    ///
    /// A program of that name may be a version manager's shim that has no such version, and is slow besides: each is
    /// asked once for the interpreter behind it.
    pub(crate) async fn find(&self, runtime: &str) -> Option<Interpreter> {
        let mut found = self.found.lock().await;
        if let Some(interpreter) = found.get(runtime) {
            return Some(interpreter.clone());
        }
        let folders: Vec<PathBuf> = std::env::split_paths(&process::search_path()).collect();
        for name in [runtime, "python3"] {
            for program in folders.iter().map(|folder| folder.join(name)).filter(|program| program.is_file())
            {
                if let Some(interpreter) = ask(program).await {
                    found.insert(runtime.to_owned(), interpreter.clone());
                    return Some(interpreter);
                }
            }
        }
        None
    }
}

async fn ask(program: PathBuf) -> Option<Interpreter> {
    let script = "import sys; print(sys.executable, 'python%d.%d' % sys.version_info[:2], sep='\\n')";
    let launch =
        Launch { program, arguments: vec!["-c".into(), script.into()], variables: Vec::new(), marker: None };
    let output = String::from_utf8(launch.output(Duration::from_secs(10)).await.ok()?).ok()?;
    let (program, runtime) = output.trim().split_once('\n')?;
    let program = PathBuf::from(program);
    program.is_file().then(|| Interpreter { program, runtime: runtime.to_owned() })
}

/// Puts the runtime client where an interpreter can read it.
pub(crate) fn client(work_folder: &Path) -> io::Result<PathBuf> {
    use std::io::Write;
    let path = work_folder.join(".python_runtime.py");
    if std::fs::read(&path).is_ok_and(|content| content == CLIENT.as_bytes()) {
        return Ok(path);
    }
    let mut file = tempfile::NamedTempFile::new_in(work_folder)?;
    file.write_all(CLIENT.as_bytes())?;
    file.persist(&path)?;
    Ok(path)
}
