//! Questions to the program `git`, for what libgit2 does not do: filters that are programs, and checkouts as git writes them.

use std::collections::BTreeSet;
use std::path::Path;

use crate::exec::{self, Program};
use crate::failure::Result;

/// How many paths go into one command line.
const PATHS_AT_ONCE: usize = 500;

/// Variables that would have git look at another repository than the one of its folder. Hooks run with them.
const PLACES: [&str; 8] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
];

/// Returns git's command line in a folder.
pub(super) fn git(folder: &Path) -> Program {
    let program = Program::new("git", folder)
        // A monitor's answer is not evidence.
        .args(["-c", "core.fsmonitor=false", "-c", "core.quotePath=false"])
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("GIT_LITERAL_PATHSPECS", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("LC_ALL", "C");
    PLACES.iter().fold(program, |program, name| program.without_env(name))
}

/// Returns which of these files differ from HEAD as git sees it, filters included; nothing where git is not installed.
pub(super) fn changed(repository: &git2::Repository, paths: &[String]) -> Result<Option<BTreeSet<String>>> {
    let root = repository.workdir().unwrap_or_else(|| repository.path());
    let mut found = BTreeSet::new();
    for paths in paths.chunks(PATHS_AT_ONCE) {
        let program = git(root)
            .args(["status", "--porcelain=v2", "-z", "--untracked-files=no", "--no-renames", "--"])
            .args(paths);
        let output = match exec::output(&program, &[]) {
            Ok(output) => output,
            Err(failure) if exec::is_program_missing(&failure) => return Ok(None),
            Err(failure) => return Err(failure),
        };
        // `1 XY sub mH mI mW hH hI path`, `u XY sub m1 m2 m3 mW h1 h2 h3 path`.
        for line in String::from_utf8_lossy(&output).split('\0') {
            let fields = match line.get(..2) {
                Some("1 ") => 9,
                Some("u ") => 11,
                _ => continue,
            };
            found.extend(line.splitn(fields, ' ').nth(fields - 1).map(str::to_owned));
        }
    }
    Ok(Some(found))
}

/// Returns whether a file has the bytes that a checkout of HEAD would write; nothing where git is not installed.
pub(super) fn checkout_matches(repository: &git2::Repository, path: &str) -> Result<Option<bool>> {
    let root = repository.workdir().unwrap_or_else(|| repository.path());
    let program = git(root).args(["cat-file", "--filters"]).arg(format!("HEAD:{path}"));
    match exec::output(&program, &[]) {
        Ok(written) => {
            let file = root.join(path);
            let bytes = std::fs::read(&file).map_err(|error| crate::failure::io("read", &file, error))?;
            Ok(Some(bytes == written))
        }
        Err(failure) if exec::is_program_missing(&failure) => Ok(None),
        Err(failure) => Err(failure),
    }
}
