//! What others wrote commands neither the terminal nor GitHub's runner; JUnit holds it, too.

use std::path::Path;
use std::process::Output;

use super::support::machine::variable;
use super::support::process::command;

/// What a check prints: the clipboard of a terminal, commands of GitHub's runner in both forms, and a style that hides.
const PRINTED: &str = "printf '\\033]52;c;aGk=\\007\\n::add-mask::a\\n  ::error::b\\nx ##[group]c\\n\\033[8mhidden\\033[0m\\n'\nexit 1\n";

fn check(folder: &Path, variables: &[(&str, &str)]) -> Output {
    command(Path::new(env!("CARGO_BIN_EXE_xtask")))
        .args(["check", "--junit", "results/checks.xml"])
        .current_dir(folder)
        .env("HOME", folder)
        .env("PATH", variable("PATH").expect("a PATH"))
        .envs(variables.iter().copied())
        .output()
        .expect("a run of Slipway")
}

#[test]
fn output_of_a_check_commands_neither_the_terminal_nor_github() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    };
    write(
        "pipelines/project.toml",
        "schema = 1\nname = \"shop\"\n[checks.hostile]\nrun = \"sh hostile.sh\"\n",
    );
    write("hostile.sh", PRINTED);
    let path = variable("PATH").expect("a PATH");
    let made = command(Path::new("git"))
        .args(["init", "--quiet"])
        .env("PATH", path)
        .current_dir(folder.path())
        .status();
    assert!(made.expect("git").success());

    let text = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    let plain = check(folder.path(), &[]);
    assert_eq!(plain.status.code(), Some(3), "{}", text(&plain));
    assert!(text(&plain).contains("\\u001b]52;c;aGk=\\u0007\n"), "{}", text(&plain));
    assert!(text(&plain).contains("  ::add-mask::a\n"), "only GitHub has commands: {}", text(&plain));
    assert!(text(&plain).contains("  hidden\n"), "{}", text(&plain));

    let github = text(&check(folder.path(), &[("GITHUB_ACTIONS", "true")]));
    assert!(github.contains("\\u003a:add-mask::a") && github.contains("\\u003a:error::b"), "{github}");
    for line in github.lines() {
        assert!(!line.trim_start().starts_with("::") && !line.contains("##["), "{line}");
        assert!(!line.contains(['\u{1b}', '\u{7}']), "{line}");
    }

    let junit = std::fs::read_to_string(folder.path().join("results/checks.xml")).expect("the results");
    assert!(
        junit.contains("<failure message=\"`sh hostile.sh` exited with 1\">\u{fffd}]52;c;aGk=\u{fffd}&#10;"),
        "{junit}"
    );
}
