//! git itself, for what needs the user's credentials: pushing tags.
//!
//! In: tags of the repository. Out: the tags on the remote `origin`. Goes wrong: no remote, no right to push.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::exec::{self, Program, RunOptions};
use crate::failure::{Failure, Result};
use crate::format;
use crate::interrupt::Interrupt;
use crate::progress::Progress;

/// Pushes tags to the remote `origin`; `token` is GitHub's, where CI provides one.
pub(crate) async fn push_tags(
    root: &Path,
    tags: &[String],
    token: Option<&str>,
    interrupt: &Interrupt,
    progress: &Progress,
) -> Result<()> {
    let program = push_program(root, tags, token);
    let step = progress.slow_step("tags", format!("push {}", format::plural(tags.len(), "tag")));
    let options = RunOptions { time_limit: Some(Duration::from_secs(120)), ..RunOptions::default() };
    let ended = exec::run(&program, &options, interrupt, &mut |_, line| step.line(line)).await?;
    if !ended.success() {
        step.failed("failed");
        return Err(Failure::failed("the release tags were not pushed")
            .body(ended.tail.join("\n"))
            .unchanged("The releases are not affected: the catalogue decides which versions exist, tags only mirror it.")
            .hint("check the remote `origin` and the right to push tags, then run cargo xtask tags --push again"));
    }
    step.done("pushed");
    Ok(())
}

fn push_program(root: &Path, tags: &[String], token: Option<&str>) -> Program {
    let mut program = Program::new("git", root).env("GIT_TERMINAL_PROMPT", "0");
    if let Some(token) = token {
        // In the environment, never on the command line, which other processes can read.
        let basic = BASE64_STANDARD.encode(format!("x-access-token:{token}"));
        program = program
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", "http.extraHeader")
            .env("GIT_CONFIG_VALUE_0", format!("Authorization: Basic {basic}"));
    }
    program.args(["push", "origin"]).args(tags.iter().map(|tag| format!("refs/tags/{tag}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn push_names_each_tag_and_keeps_the_token_off_the_command_line() {
        let tags = ["hello-v1.0.0".to_owned(), "hello-v1.1.0".to_owned()];
        for token in [None, Some("secret")] {
            let argv = push_program(Path::new("/p"), &tags, token).argv().join(" ");
            assert_eq!(argv, "git push origin refs/tags/hello-v1.0.0 refs/tags/hello-v1.1.0");
        }
    }
}
