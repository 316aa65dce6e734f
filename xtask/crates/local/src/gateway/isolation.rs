//! Runs the program of an image in its own root file system, through util-linux's `unshare`.
//!
//! In: an unpacked image, a program in it, its environment. Out: a command line that runs the program with the image as its
//! root: read-only, with an empty `/tmp`, with `/proc` and harmless devices, and in its own process namespace. The network
//! is the machine's, because the Runtime API is there. The mounts end with the instance. This needs root, or a system that
//! lets users create namespaces; otherwise the error says what was tried.

use crate::programs::{self, CommandLine};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::OnceCell;

/// The script that mounts the file systems and then runs the program. It stays alive as process 1 of the namespace, so
/// that signals have their usual effect on the program.
///
/// Arguments: root, working folder, the machine's PATH, user and group id or nothing, exports, `--`, the program and its
/// arguments.
const SCRIPT: &str = include_str!("isolation.sh");

/// The user and group of functions in Lambda.
const IDENTITY: &str = "--setgid=990 --setuid=993";

/// Isolation on this machine; which method works is found once.
#[derive(Default)]
pub(crate) struct Isolation {
    method: OnceCell<Result<IsolationMethod, String>>,
}

/// A method of isolation that works on this machine.
#[derive(Debug, Clone)]
struct IsolationMethod {
    unshare: PathBuf,
    shell: PathBuf,
    privilege: Privilege,
}

/// The privilege that allows the mounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Privilege {
    Root,
    UserNamespace,
}

impl Privilege {
    fn arguments(self) -> Vec<OsString> {
        let own: &[&str] = match self {
            Self::Root => &[],
            Self::UserNamespace => &["--user", "--map-root-user"],
        };
        let all = ["--mount", "--pid", "--fork", "--kill-child"];
        own.iter().chain(&all).map(OsString::from).collect()
    }
}

/// A program of an image.
pub(super) struct ImageProgram<'a> {
    /// The unpacked image.
    pub(super) root: &'a Path,
    /// The working folder inside the image.
    pub(super) working_dir: &'a str,
    /// The program and its arguments.
    pub(super) command: Vec<OsString>,
    /// The environment. The later one of two values for a name counts.
    pub(super) variables: Vec<(OsString, OsString)>,
}

impl Isolation {
    /// Returns the command line that isolates a program; the error says why this machine cannot isolate it.
    pub(super) async fn command_line(
        &self,
        program: ImageProgram<'_>,
        marker: Option<PathBuf>,
    ) -> Result<CommandLine, String> {
        let method = self.method.get_or_init(find_method).await.as_ref().map_err(Clone::clone)?;
        Ok(method.command_line(program, marker))
    }
}

impl IsolationMethod {
    fn command_line(&self, program: ImageProgram<'_>, marker: Option<PathBuf>) -> CommandLine {
        // The loader's variables are for the image's programs, so unshare and the shell must not get them.
        let is_for_loader = |name: &OsString| name.as_encoded_bytes().starts_with(b"LD_");
        let (exported, variables): (Vec<_>, Vec<_>) =
            program.variables.into_iter().partition(|(name, _)| is_for_loader(name));
        let exports = exported.into_iter().map(|(mut name, value)| {
            name.push("=");
            name.push(value);
            name
        });
        let identity = if self.privilege == Privilege::Root { IDENTITY } else { "" };
        let mut arguments = self.privilege.arguments();
        arguments.extend([
            "--".into(),
            self.shell.clone().into(),
            "-euc".into(),
            SCRIPT.into(),
            "slipway".into(),
        ]);
        arguments.extend([
            program.root.into(),
            program.working_dir.into(),
            programs::search_path(),
            identity.into(),
        ]);
        arguments.extend(exports);
        arguments.push("--".into());
        arguments.extend(program.command);
        CommandLine { program: self.unshare.clone(), arguments, variables, marker }
    }
}

async fn find_method() -> Result<IsolationMethod, String> {
    let program = |name: &str| {
        let mut folders = std::env::split_paths(&programs::search_path()).collect::<Vec<_>>();
        folders.extend(["/usr/bin", "/bin"].map(PathBuf::from));
        folders.into_iter().map(|folder| folder.join(name)).find(|path| path.is_file())
    };
    let Some(unshare) = program("unshare") else {
        return Err("this machine has no `unshare`; it is part of util-linux".to_owned());
    };
    let shell = program("sh").ok_or("this machine has no `sh`")?;
    let mut tried = Vec::new();
    let is_root = rustix::process::geteuid().is_root();
    let privileges = [Privilege::Root, Privilege::UserNamespace];
    for privilege in privileges.into_iter().filter(|privilege| is_root || *privilege != Privilege::Root) {
        let method = IsolationMethod { unshare: unshare.clone(), shell: shell.clone(), privilege };
        match method.probe().await {
            Ok(()) => return Ok(method),
            Err(error) => tried.push(match privilege {
                Privilege::Root => format!("as root: {error}"),
                Privilege::UserNamespace => format!("in a user namespace: {error}"),
            }),
        }
    }
    Err(format!(
        "this machine cannot run a program in its own file system ({}); allow user namespaces \
         (sysctl user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns) or run as root",
        tried.join("; ")
    ))
}

impl IsolationMethod {
    /// Tries a mount in a namespace of its own.
    async fn probe(&self) -> std::io::Result<()> {
        let mut arguments = self.privilege.arguments();
        let script = "PATH=$1; mount -n -t tmpfs slipway /proc";
        arguments.extend(["--".into(), self.shell.clone().into(), "-euc".into(), script.into()]);
        arguments.extend(["slipway".into(), programs::search_path()]);
        let command =
            CommandLine { program: self.unshare.clone(), arguments, variables: Vec::new(), marker: None };
        command.output(Duration::from_secs(10)).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_holds_no_variables_except_the_loaders() {
        let method = IsolationMethod {
            unshare: "/usr/bin/unshare".into(),
            shell: "/bin/sh".into(),
            privilege: Privilege::UserNamespace,
        };
        let variables = [("SECRET", "hush"), ("LD_LIBRARY_PATH", "/var/lang/lib"), ("PATH", "/var/lang/bin")];
        let program = ImageProgram {
            root: Path::new("/images/abc"),
            working_dir: "/var/task",
            command: vec!["/var/task/bootstrap".into(), "a b".into()],
            variables: variables.map(|(name, value)| (name.into(), value.into())).to_vec(),
        };
        let command = method.command_line(program, None);
        let path = programs::search_path().into_string().unwrap();
        let expected = [
            "--user",
            "--map-root-user",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--",
            "/bin/sh",
            "-euc",
            SCRIPT,
            "slipway",
            "/images/abc",
            "/var/task",
            &path,
            "",
            "LD_LIBRARY_PATH=/var/lang/lib",
            "--",
            "/var/task/bootstrap",
            "a b",
        ];
        assert_eq!(command.arguments, expected);
        let names: Vec<_> = command.variables.iter().map(|(name, _)| name.to_str().unwrap()).collect();
        assert_eq!(names, ["SECRET", "PATH"]);
        let as_root = IsolationMethod { privilege: Privilege::Root, ..method };
        let program = ImageProgram {
            root: Path::new("/r"),
            working_dir: "/",
            command: vec!["x".into()],
            variables: vec![],
        };
        let arguments = as_root.command_line(program, None).arguments;
        assert_eq!(arguments[0], "--mount");
        assert!(arguments.contains(&IDENTITY.into()));
    }
}
