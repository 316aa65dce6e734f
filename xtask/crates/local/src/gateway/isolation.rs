//! A function's own root file system, through util-linux's `unshare`.
//!
//! In: an unpacked image, a program in it, its environment. Out: the command line that runs the program with the image
//! as its root: read-only, with an empty `/tmp`, `/proc` and the harmless devices, and with process numbers of its own;
//! the network stays the machine's, because the Runtime API is there. The mounts end with the instance. It needs to be
//! root, or a machine that lets users have namespaces; where neither works, the error says what was tried.

use crate::process::{self, Launch};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::OnceCell;

/// What stays alive beside the program as process 1, so that the program's signals are like any process's.
///
/// Arguments: root, working folder, the machine's PATH, user and group id or nothing, exports, `--`, the program and
/// its arguments.
const SCRIPT: &str = include_str!("isolation.sh");

/// The user and group that run functions in Lambda.
const IDENTITY: &str = "--setgid=990 --setuid=993";

/// How functions are isolated on this machine; found out once.
#[derive(Default)]
pub(super) struct Isolation {
    found: OnceCell<Result<Way, String>>,
}

/// One way that works.
#[derive(Debug, Clone)]
struct Way {
    unshare: PathBuf,
    shell: PathBuf,
    mode: Mode,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Root,
    UserNamespace,
}

impl Mode {
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
pub(super) struct Inside<'a> {
    /// The unpacked image.
    pub(super) root: &'a Path,
    /// Where the program starts, as it sees it.
    pub(super) working_dir: &'a str,
    /// The program, and its arguments.
    pub(super) command: Vec<OsString>,
    /// Its environment; of two values for a name the later one counts.
    pub(super) variables: Vec<(OsString, OsString)>,
}

impl Isolation {
    /// Gives the command line for a program; an error where this machine cannot isolate anything.
    pub(super) async fn launch(&self, inside: Inside<'_>, marker: Option<PathBuf>) -> Result<Launch, String> {
        let way = self.found.get_or_init(find).await.as_ref().map_err(Clone::clone)?;
        Ok(way.launch(inside, marker))
    }
}

impl Way {
    fn launch(&self, inside: Inside<'_>, marker: Option<PathBuf>) -> Launch {
        // What steers the loader is for the image's programs and not for ours on the way to them.
        let loader = |name: &OsString| name.as_encoded_bytes().starts_with(b"LD_");
        let (loading, variables): (Vec<_>, Vec<_>) =
            inside.variables.into_iter().partition(|(name, _)| loader(name));
        let exports = loading.into_iter().map(|(mut name, value)| {
            name.push("=");
            name.push(value);
            name
        });
        let identity = if self.mode == Mode::Root { IDENTITY } else { "" };
        let mut arguments = self.mode.arguments();
        arguments.extend([
            "--".into(),
            self.shell.clone().into(),
            "-euc".into(),
            SCRIPT.into(),
            "slipway".into(),
        ]);
        arguments.extend([
            inside.root.into(),
            inside.working_dir.into(),
            process::search_path(),
            identity.into(),
        ]);
        arguments.extend(exports);
        arguments.push("--".into());
        arguments.extend(inside.command);
        Launch { program: self.unshare.clone(), arguments, variables, marker }
    }
}

async fn find() -> Result<Way, String> {
    let program = |name: &str| {
        let mut folders = std::env::split_paths(&process::search_path()).collect::<Vec<_>>();
        folders.extend(["/usr/bin", "/bin"].map(PathBuf::from));
        folders.into_iter().map(|folder| folder.join(name)).find(|path| path.is_file())
    };
    let Some(unshare) = program("unshare") else {
        return Err("this machine has no `unshare`; it is part of util-linux".to_owned());
    };
    let shell = program("sh").ok_or("this machine has no `sh`")?;
    let mut tried = Vec::new();
    let root = rustix::process::geteuid().is_root();
    for mode in [Mode::Root, Mode::UserNamespace].into_iter().filter(|mode| root || *mode != Mode::Root) {
        let way = Way { unshare: unshare.clone(), shell: shell.clone(), mode };
        match way.try_out().await {
            Ok(()) => return Ok(way),
            Err(error) => tried.push(match mode {
                Mode::Root => format!("as root: {error}"),
                Mode::UserNamespace => format!("in a user namespace: {error}"),
            }),
        }
    }
    Err(format!(
        "this machine lets nobody run a program in a file system of its own ({}); allow user namespaces \
         (sysctl user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns) or run as root",
        tried.join("; ")
    ))
}

impl Way {
    /// Mounts something where nobody sees it.
    async fn try_out(&self) -> std::io::Result<()> {
        let mut arguments = self.mode.arguments();
        let script = "PATH=$1; mount -n -t tmpfs slipway /proc";
        arguments.extend(["--".into(), self.shell.clone().into(), "-euc".into(), script.into()]);
        arguments.extend(["slipway".into(), process::search_path()]);
        let launch = Launch { program: self.unshare.clone(), arguments, variables: Vec::new(), marker: None };
        launch.output(Duration::from_secs(10)).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_holds_no_value_but_the_loaders() {
        let way =
            Way { unshare: "/usr/bin/unshare".into(), shell: "/bin/sh".into(), mode: Mode::UserNamespace };
        let variables = [("SECRET", "hush"), ("LD_LIBRARY_PATH", "/var/lang/lib"), ("PATH", "/var/lang/bin")];
        let inside = Inside {
            root: Path::new("/images/abc"),
            working_dir: "/var/task",
            command: vec!["/var/task/bootstrap".into(), "a b".into()],
            variables: variables.map(|(name, value)| (name.into(), value.into())).to_vec(),
        };
        let launch = way.launch(inside, None);
        let path = process::search_path().into_string().unwrap();
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
        assert_eq!(launch.arguments, expected);
        let names: Vec<_> = launch.variables.iter().map(|(name, _)| name.to_str().unwrap()).collect();
        assert_eq!(names, ["SECRET", "PATH"]);
        let root = Way { mode: Mode::Root, ..way };
        let inside =
            Inside { root: Path::new("/r"), working_dir: "/", command: vec!["x".into()], variables: vec![] };
        let arguments = root.launch(inside, None).arguments;
        assert_eq!(arguments[0], "--mount");
        assert!(arguments.contains(&IDENTITY.into()));
    }
}
