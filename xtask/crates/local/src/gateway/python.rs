//! Python functions: an interpreter of this machine runs a small runtime client on the unpacked zip.
//!
//! The interpreter of the runtime's version is used if this machine has it, on the PATH or in the folder of a version
//! manager, otherwise any `python3`. Compiled wheels for another version then fail to import, and the function's log says
//! so. [`find_python`] returns which interpreter would run, and [`link_python`] adds an interpreter of another folder.

mod search_path;

use crate::layout;
use crate::programs::CommandLine;
use search_path::SearchPath;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::Mutex;

/// The runtime client: it speaks the Runtime API and calls the handler.
const RUNTIME_CLIENT: &str = include_str!("python_runtime.py");

/// Prints the path of the interpreter behind a shim, and its version; another ABI is part of it, as in `3.13t`.
const PRINT_VERSION: &str =
    "import sys; print(sys.executable, 'python%d.%d' % sys.version_info[:2] + sys.abiflags, sep='\\n')";

/// The folder, in the gateway's work folder, with links to interpreters that are in none of the usual folders.
const LINKS: &str = "pythons";

/// A Python interpreter on this machine.
#[derive(Debug, Clone)]
pub struct Interpreter {
    /// The program, not a shim for it.
    pub program: PathBuf,
    /// Its version in the form of a runtime: `python3.13`.
    pub runtime: String,
}

/// Returns the interpreter that runs functions of a runtime in the environment of a folder: of that version, or any.
pub async fn find_python(folder: &Path, runtime: &str) -> Option<Interpreter> {
    search(&SearchPath::of_this_machine(links(&layout::functions(folder))), runtime).await
}

/// Returns the folders that are searched for interpreters, in order.
pub fn python_search_paths(folder: &Path) -> Vec<PathBuf> {
    SearchPath::of_this_machine(links(&layout::functions(folder))).folders()
}

/// Adds a program as the interpreter of a runtime in the environment of a folder.
pub fn link_python(folder: &Path, runtime: &str, program: &Path) -> io::Result<()> {
    let version = runtime.strip_prefix("python").unwrap_or(runtime);
    let bin = links(&layout::functions(folder)).join(version).join("bin");
    std::fs::create_dir_all(&bin)?;
    let link = bin.join(runtime);
    match std::fs::remove_file(&link) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => std::os::unix::fs::symlink(program, link),
    }
}

/// Returns the folder of links in a gateway's work folder.
pub(crate) fn links(work_folder: &Path) -> PathBuf {
    work_folder.join(LINKS)
}

/// The interpreters that were found, by runtime.
#[derive(Default)]
pub(crate) struct Interpreters {
    found: Mutex<HashMap<String, Interpreter>>,
}

impl Interpreters {
    /// Returns the interpreter for a runtime such as `python3.13`.
    ///
    /// A program with that name may be a slow shim of a version manager, which may not even have the version. Each is
    /// run once to find the interpreter behind it.
    pub(crate) async fn find(&self, runtime: &str, links: &Path) -> Option<Interpreter> {
        let mut found = self.found.lock().await;
        if let Some(interpreter) = found.get(runtime) {
            return Some(interpreter.clone());
        }
        let interpreter = search(&SearchPath::of_this_machine(links.to_owned()), runtime).await?;
        // Another version is not remembered: the right one may be installed while the gateway runs.
        if interpreter.runtime == runtime {
            found.insert(runtime.to_owned(), interpreter.clone());
        }
        Some(interpreter)
    }
}

/// Tries the programs one after the other: first those of the version, then any.
async fn search(search_path: &SearchPath, runtime: &str) -> Option<Interpreter> {
    let version = runtime.strip_prefix("python")?;
    for program in search_path.programs_of_version(version) {
        // A program with the version's name may be of another version or ABI.
        if let Some(interpreter) = inspect(program).await.filter(|interpreter| interpreter.runtime == runtime)
        {
            return Some(interpreter);
        }
    }
    for program in search_path.programs_of_any_version() {
        if let Some(interpreter) = inspect(program).await {
            return Some(interpreter);
        }
    }
    None
}

/// Runs a program to find the interpreter behind it.
async fn inspect(program: PathBuf) -> Option<Interpreter> {
    let arguments = vec!["-c".into(), PRINT_VERSION.into()];
    let command = CommandLine { program, arguments, variables: Vec::new(), marker: None };
    let output = String::from_utf8(command.output(Duration::from_secs(10)).await.ok()?).ok()?;
    let (program, runtime) = output.trim().split_once('\n')?;
    let program = PathBuf::from(program);
    program.is_file().then(|| Interpreter { program, runtime: runtime.to_owned() })
}

/// Writes the runtime client to the work folder and returns its path.
pub(crate) fn write_runtime_client(work_folder: &Path) -> io::Result<PathBuf> {
    use std::io::Write;
    let path = work_folder.join(".python_runtime.py");
    if std::fs::read(&path).is_ok_and(|content| content == RUNTIME_CLIENT.as_bytes()) {
        return Ok(path);
    }
    let mut file = tempfile::NamedTempFile::new_in(work_folder)?;
    file.write_all(RUNTIME_CLIENT.as_bytes())?;
    file.persist(&path)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    /// A search path with links to this machine's real interpreter.
    struct Machine {
        root: tempfile::TempDir,
        real: Interpreter,
        search_path: SearchPath,
    }

    impl Machine {
        async fn new() -> Self {
            let installed = SearchPath::of_this_machine(PathBuf::new()).programs_of_any_version();
            let real = match installed.into_iter().next() {
                Some(program) => inspect(program).await.unwrap(),
                None => panic!("the tests need a python3"),
            };
            let root = tempfile::tempdir().unwrap();
            let at = |name: &str| root.path().join(name);
            let search_path = SearchPath {
                path: vec![at("pyenv/shims"), at("bin")],
                versions: vec![at("pyenv/versions"), at("uv/python")],
                system: vec![at("system")],
                optional: at("optional"),
            };
            Self { root, real, search_path }
        }

        fn path(&self, name: &str) -> PathBuf {
            let path = self.root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            path
        }

        /// Links a name to the real interpreter.
        fn link(&self, name: &str) -> PathBuf {
            let path = self.path(name);
            symlink(&self.real.program, &path).unwrap();
            path
        }

        /// Creates a program that fails as pyenv's shim does if no version is selected.
        fn create_failing_shim(&self, name: &str) {
            let path = self.path(name);
            let script = "#!/bin/sh\necho \"pyenv: python: command not found\" >&2\nexit 127\n";
            fs::write(&path, script).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }

        async fn find(&self, runtime: &str) -> Option<(PathBuf, String)> {
            search(&self.search_path, runtime).await.map(|found| (found.program, found.runtime))
        }
    }

    #[tokio::test]
    async fn failing_shim_is_skipped_for_the_version_in_its_managers_folder() {
        let machine = Machine::new().await;
        let runtime = machine.real.runtime.clone();
        let version = runtime.strip_prefix("python").unwrap();
        machine.create_failing_shim(&format!("pyenv/shims/{runtime}"));
        assert_eq!(machine.find(&runtime).await, None);
        let system = machine.link(&format!("system/{runtime}"));
        assert_eq!(machine.find(&runtime).await, Some((system, runtime.clone())));
        let uv = machine.link(&format!("uv/python/cpython-{version}.4-linux-x86_64-gnu/bin/{runtime}"));
        assert_eq!(machine.find(&runtime).await, Some((uv, runtime.clone())));
        let older = machine.link(&format!("pyenv/versions/{version}.9/bin/{runtime}"));
        assert_eq!(machine.find(&runtime).await, Some((older, runtime.clone())));
        let newer = machine.link(&format!("pyenv/versions/{version}.10/bin/{runtime}"));
        assert_eq!(machine.find(&runtime).await, Some((newer, runtime.clone())));
        let first = machine.link(&format!("bin/{runtime}"));
        assert_eq!(machine.find(&runtime).await, Some((first, runtime)));
    }

    #[tokio::test]
    async fn other_version_is_used_only_if_the_requested_one_is_missing() {
        let machine = Machine::new().await;
        let runtime = machine.real.runtime.clone();
        // The name says 3.99, but the program is another version.
        machine.link("bin/python3.99");
        machine.link("pyenv/versions/3.99.0/bin/python3.99");
        assert_eq!(machine.find("python3.99").await, None);
        let any = machine.link("system/python3");
        assert_eq!(machine.find("python3.99").await, Some((any, runtime)));
    }

    #[tokio::test]
    async fn linked_interpreter_is_found_unless_it_is_another_version() {
        let machine = Machine::new().await;
        let runtime = machine.real.runtime.clone();
        let folder = machine.root.path().join("local");
        let links = links(&layout::functions(&folder));
        let search_path = SearchPath { versions: vec![links.clone()], ..SearchPath::default() };
        assert!(search(&search_path, &runtime).await.is_none());
        // Linking twice is not an error.
        for _ in 0..2 {
            link_python(&folder, &runtime, &machine.real.program).unwrap();
        }
        let found = search(&search_path, &runtime).await.unwrap();
        assert_eq!(found.runtime, runtime);
        assert!(found.program.starts_with(&links), "{}", found.program.display());
        link_python(&folder, "python3.99", &machine.real.program).unwrap();
        assert!(search(&search_path, "python3.99").await.is_none());
        assert!(python_search_paths(&folder).contains(&links));
    }
}
