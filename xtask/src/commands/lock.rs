//! `lock`: pin a Python function's packages, with hashes, from what its pyproject.toml or requirements.in asks for, or from
//! its uv.lock.

use super::CommandOutput;
use crate::app::AppContext;
use crate::artifact::{self, LockUpdate};
use crate::failure::Result;
use crate::format;
use crate::name::FunctionName;

/// Arguments of `lock`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The Python function.
    function: FunctionName,
    /// Take the newest versions that are asked for, instead of keeping those that still fit.
    #[arg(long)]
    upgrade: bool,
}

/// Runs the command.
pub(crate) async fn run(app: &AppContext, arguments: Arguments) -> Result<CommandOutput> {
    let Arguments { function, upgrade } = arguments;
    let update = artifact::update_lock(&app.project, &function, &app.uv(), upgrade, &app.progress).await?;
    CommandOutput::new(&update, text(&update))
}

fn text(update: &LockUpdate) -> String {
    let mut text = String::new();
    update.added.iter().for_each(|(name, version)| text.push_str(&format!("+ {name} {version}\n")));
    update.removed.iter().for_each(|(name, version)| text.push_str(&format!("- {name} {version}\n")));
    let changed = update.changed.iter();
    changed.for_each(|(name, change)| text.push_str(&format!("~ {name} {} -> {}\n", change.from, change.to)));
    let lock = update.lock.display();
    let packages = format::plural(update.packages, "package");
    text.push_str(&match (update.written, text.is_empty()) {
        (false, _) => format!("{lock} is up to date: {packages}.\n"),
        (true, true) => format!("{lock} pins the same {packages} as before.\n"),
        (true, false) => format!("{lock} pins {packages}. Commit it.\n"),
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_update_is_shown_by_package() {
        let packages = |name: &str| [(name.to_owned(), "1".to_owned())].into();
        let change = artifact::VersionChange { from: "1".into(), to: "2".into() };
        let update = LockUpdate {
            function: "ingest".parse().unwrap(),
            lock: "lambda-src/ingest/requirements.lock".into(),
            packages: 3,
            written: true,
            added: packages("d"),
            removed: packages("c"),
            changed: [("b".to_owned(), change)].into(),
        };
        insta::assert_snapshot!(text(&update), @r"
        + d 1
        - c 1
        ~ b 1 -> 2
        lambda-src/ingest/requirements.lock pins 3 packages. Commit it.
        ");
    }
}
