//! Python functions: the host's interpreter runs a small runtime client over the unpacked zip.
//!
//! The interpreter of the named version is taken where the host has it, on the PATH or where version managers keep
//! theirs, else any `python3`; compiled wheels for another version then fail to import, as the function's log tells.
//! [`find_python`] answers beforehand what would run, and [`link_python`] adds an interpreter that only others know of.

mod places;

use crate::process::Launch;
use places::Places;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::Mutex;

/// Speaks the Runtime API and calls the handler.
const CLIENT: &str = include_str!("python_runtime.py");

/// Says where the interpreter behind a shim is, and its version; other ABIs than the usual one show as `3.13t`.
const ASK: &str =
    "import sys; print(sys.executable, 'python%d.%d' % sys.version_info[:2] + sys.abiflags, sep='\\n')";

/// Where, in the gateway's work folder, interpreters are linked that are in none of the usual places.
const LINKS: &str = "pythons";

/// A Python on this machine.
#[derive(Debug, Clone)]
pub struct Interpreter {
    /// The program itself, behind any shim.
    pub program: PathBuf,
    /// Its version as a runtime is named: `python3.13`.
    pub runtime: String,
}

/// Finds the interpreter that runs functions of a runtime in the local environment kept in `folder`: of that version, or
/// else any.
pub async fn find_python(folder: &Path, runtime: &str) -> Option<Interpreter> {
    look(&Places::of_this_machine(links(&crate::keeper::work_folder(folder))), runtime).await
}

/// Lists where a runtime's interpreter is looked for, in order.
pub fn places_of_python(folder: &Path) -> Vec<PathBuf> {
    Places::of_this_machine(links(&crate::keeper::work_folder(folder))).all()
}

/// Has the local environment kept in `folder` find this program as the interpreter of a runtime.
pub fn link_python(folder: &Path, runtime: &str, program: &Path) -> io::Result<()> {
    let version = runtime.strip_prefix("python").unwrap_or(runtime);
    let bin = links(&crate::keeper::work_folder(folder)).join(version).join("bin");
    std::fs::create_dir_all(&bin)?;
    let link = bin.join(runtime);
    match std::fs::remove_file(&link) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => std::os::unix::fs::symlink(program, link),
    }
}

/// The folder of links within a gateway's work folder.
pub(crate) fn links(work_folder: &Path) -> PathBuf {
    work_folder.join(LINKS)
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
    pub(crate) async fn find(&self, runtime: &str, links: &Path) -> Option<Interpreter> {
        let mut found = self.found.lock().await;
        if let Some(interpreter) = found.get(runtime) {
            return Some(interpreter.clone());
        }
        let interpreter = look(&Places::of_this_machine(links.to_owned()), runtime).await?;
        // Another version does only until the right one comes, which may be while the gateway runs.
        if interpreter.runtime == runtime {
            found.insert(runtime.to_owned(), interpreter.clone());
        }
        Some(interpreter)
    }
}

/// Asks one program after the other: first those of the version, then any.
async fn look(places: &Places, runtime: &str) -> Option<Interpreter> {
    let version = runtime.strip_prefix("python")?;
    for program in places.of_version(version) {
        // What is named so may be another version, or one that loads other wheels.
        if let Some(interpreter) = ask(program).await.filter(|interpreter| interpreter.runtime == runtime) {
            return Some(interpreter);
        }
    }
    for program in places.of_any_version() {
        if let Some(interpreter) = ask(program).await {
            return Some(interpreter);
        }
    }
    None
}

async fn ask(program: PathBuf) -> Option<Interpreter> {
    let launch =
        Launch { program, arguments: vec!["-c".into(), ASK.into()], variables: Vec::new(), marker: None };
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    /// A folder of stand-ins that lead to this machine's real interpreter, and nothing else.
    struct Machine {
        root: tempfile::TempDir,
        real: Interpreter,
        places: Places,
    }

    impl Machine {
        async fn new() -> Self {
            let real = match Places::of_this_machine(PathBuf::new()).of_any_version().into_iter().next() {
                Some(program) => ask(program).await.unwrap(),
                None => panic!("the tests need a python3"),
            };
            let root = tempfile::tempdir().unwrap();
            let at = |name: &str| root.path().join(name);
            let places = Places {
                path: vec![at("pyenv/shims"), at("bin")],
                versions: vec![at("pyenv/versions"), at("uv/python")],
                system: vec![at("system")],
                optional: at("optional"),
            };
            Self { root, real, places }
        }

        fn place(&self, name: &str) -> PathBuf {
            let path = self.root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            path
        }

        /// Puts the real interpreter behind a name.
        fn link(&self, name: &str) -> PathBuf {
            let path = self.place(name);
            symlink(&self.real.program, &path).unwrap();
            path
        }

        /// Puts a program there that does as pyenv's shim where no version is chosen.
        fn refusing(&self, name: &str) {
            let path = self.place(name);
            let script = "#!/bin/sh\necho \"pyenv: python: command not found\" >&2\nexit 127\n";
            fs::write(&path, script).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }

        async fn find(&self, runtime: &str) -> Option<(PathBuf, String)> {
            look(&self.places, runtime).await.map(|found| (found.program, found.runtime))
        }
    }

    #[tokio::test]
    async fn a_shim_that_refuses_is_passed_over_for_the_version_that_its_manager_has() {
        let machine = Machine::new().await;
        let runtime = machine.real.runtime.clone();
        let version = runtime.strip_prefix("python").unwrap();
        machine.refusing(&format!("pyenv/shims/{runtime}"));
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
    async fn another_version_runs_only_where_the_named_one_is_nowhere() {
        let machine = Machine::new().await;
        let runtime = machine.real.runtime.clone();
        // The name says 3.99, the program is another.
        machine.link("bin/python3.99");
        machine.link("pyenv/versions/3.99.0/bin/python3.99");
        assert_eq!(machine.find("python3.99").await, None);
        let any = machine.link("system/python3");
        assert_eq!(machine.find("python3.99").await, Some((any, runtime)));
    }

    #[tokio::test]
    async fn a_linked_interpreter_is_found_and_one_that_is_another_version_is_not() {
        let machine = Machine::new().await;
        let runtime = machine.real.runtime.clone();
        let folder = machine.root.path().join("local");
        let links = links(&crate::keeper::work_folder(&folder));
        let places = Places { versions: vec![links.clone()], ..Places::default() };
        assert!(look(&places, &runtime).await.is_none());
        // Twice, as two commands would.
        for _ in 0..2 {
            link_python(&folder, &runtime, &machine.real.program).unwrap();
        }
        let found = look(&places, &runtime).await.unwrap();
        assert_eq!(found.runtime, runtime);
        assert!(found.program.starts_with(&links), "{}", found.program.display());
        link_python(&folder, "python3.99", &machine.real.program).unwrap();
        assert!(look(&places, "python3.99").await.is_none());
        assert!(places_of_python(&folder).contains(&links));
    }
}
