//! A program's command line: built apart from running it, so that tests can compare it.

use std::error::Error as _;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use slipway_values::failure::{Failure, Result};
use tokio::process::Child;

/// A command line, built apart from running it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    program: OsString,
    arguments: Vec<OsString>,
    folder: PathBuf,
    clean: bool,
    set: Vec<(OsString, OsString)>,
    removed: Vec<OsString>,
    hint: Option<String>,
}

impl Program {
    /// Makes a command line without arguments.
    pub fn new(program: impl AsRef<OsStr>, folder: impl Into<PathBuf>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            arguments: Vec::new(),
            folder: folder.into(),
            clean: false,
            set: Vec::new(),
            removed: Vec::new(),
            hint: None,
        }
    }

    /// Adds an argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Sets an environment variable for it.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.set.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Removes an environment variable for it.
    pub fn without_env(mut self, name: impl AsRef<OsStr>) -> Self {
        self.removed.push(name.as_ref().to_owned());
        self
    }

    /// Starts it with no variable but those that are set here, instead of with this process's variables.
    pub fn clean_env(mut self) -> Self {
        self.clean = true;
        self
    }

    /// Sets the hint for when the program is missing.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Returns the arguments, for tests of command lines.
    pub fn argv(&self) -> Vec<String> {
        std::iter::once(&self.program)
            .chain(&self.arguments)
            .map(|part| part.to_string_lossy().into_owned())
            .collect()
    }

    /// Returns the command line as a shell would accept it.
    pub fn quoted(&self) -> String {
        let parts: Vec<String> = std::iter::once(&self.program)
            .chain(&self.arguments)
            .map(|part| part.to_string_lossy().into_owned())
            .collect();
        shlex::try_join(parts.iter().map(String::as_str)).unwrap_or_else(|_| parts.join(" "))
    }

    #[expect(clippy::disallowed_methods, reason = "the only place that starts programs")]
    pub(super) fn spawn(&self, stdin: Stdio, stdout: Stdio, stderr: Stdio) -> Result<Child> {
        let mut command = tokio::process::Command::new(&self.program);
        command
            .args(&self.arguments)
            .current_dir(&self.folder)
            .stdin(stdin)
            .stdout(stdout)
            .stderr(stderr)
            .process_group(0);
        if self.clean {
            command.env_clear();
        }
        self.removed.iter().for_each(|name| {
            command.env_remove(name);
        });
        command.envs(self.set.iter().map(|(name, value)| (name, value)));
        command.spawn().map_err(|error| self.not_started(error))
    }

    /// Runs the program to its end, with an input and nothing else to attend to.
    #[expect(clippy::disallowed_methods, reason = "the only place that starts programs")]
    pub(super) fn output(&self, input: &[u8]) -> Result<std::process::Output> {
        let mut command = std::process::Command::new(&self.program);
        command
            .args(&self.arguments)
            .current_dir(&self.folder)
            .stdin(if input.is_empty() { Stdio::null() } else { Stdio::piped() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if self.clean {
            command.env_clear();
        }
        self.removed.iter().for_each(|name| {
            command.env_remove(name);
        });
        command.envs(self.set.iter().map(|(name, value)| (name, value)));
        let mut child = command.spawn().map_err(|error| self.not_started(error))?;
        let pipe = child.stdin.take();
        let (written, output) = std::thread::scope(|scope| {
            // On a thread of its own: a program that prints while it reads would block otherwise.
            let writing = scope.spawn(|| pipe.map_or(Ok(()), |mut pipe| pipe.write_all(input)));
            let output = child.wait_with_output();
            (writing.join(), output)
        });
        let failed =
            |error| Failure::failed(format!("`{}` cannot be waited for", self.quoted())).caused_by(error);
        let output = output.map_err(failed)?;
        match written {
            // A program that ends without reading everything says why by its exit code.
            Ok(Err(error)) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(failed(error)),
            _ => Ok(output),
        }
    }

    fn not_started(&self, error: std::io::Error) -> Failure {
        let name = self.program.to_string_lossy();
        if error.kind() == std::io::ErrorKind::NotFound && self.folder.is_dir() {
            let missing = MissingProgram(name.clone().into_owned());
            let hint = || {
                format!("install {name}, or add its folder to PATH; cargo xtask doctor lists what is needed")
            };
            Failure::failed(missing.to_string())
                .caused_by(missing)
                .hint(self.hint.clone().unwrap_or_else(hint))
        } else {
            Failure::failed(format!("`{}` cannot be started in {}", self.quoted(), self.folder.display()))
                .caused_by(error)
        }
    }
}

/// The cause of a failure to start a program that does not exist.
#[derive(Debug)]
struct MissingProgram(String);

impl fmt::Display for MissingProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the program `{}` was not found", self.0)
    }
}

impl std::error::Error for MissingProgram {}

/// Returns whether a program could not be started because it does not exist.
pub fn is_program_missing(failure: &Failure) -> bool {
    failure.source().is_some_and(|cause| cause.is::<MissingProgram>())
}

/// Returns the path of an executable on a PATH; a name with a slash is a path already.
pub fn find_program(name: &str, path: &str) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    let runs = |file: &Path| {
        file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    };
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|file| runs(file));
    }
    path.split(':')
        .filter(|folder| !folder.is_empty())
        .map(|folder| Path::new(folder).join(name))
        .find(|file| runs(file))
}
