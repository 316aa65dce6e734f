//! `completions` and `man`: generated from the types of the command line.

use serde::Serialize;

use super::CommandOutput;
use crate::failure::{Failure, Result};

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The shell.
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

/// Arguments of `man`.
#[derive(Debug, clap::Args)]
pub(crate) struct ManArguments {}

#[derive(Serialize)]
struct Text<'a> {
    text: &'a str,
}

/// Prints completions for the executable's name, `xtask`.
pub(crate) fn run(arguments: &Arguments, mut command: clap::Command) -> Result<CommandOutput> {
    let mut bytes = Vec::new();
    command.set_bin_name("xtask");
    clap_complete::generate(arguments.shell, &mut command, "xtask", &mut bytes);
    answer(&bytes)
}

/// Prints the manual page with all commands.
pub(crate) fn man(command: clap::Command) -> Result<CommandOutput> {
    let mut bytes = Vec::new();
    let command = command.name("slipway");
    let failed = |error| Failure::failed("the manual page cannot be written").caused_by(error);
    clap_mangen::Man::new(command.clone()).render(&mut bytes).map_err(failed)?;
    for sub in command.get_subcommands() {
        let sub = sub.clone().display_name(format!("slipway-{}", sub.get_name()));
        let page = clap_mangen::Man::new(sub);
        page.render_synopsis_section(&mut bytes).map_err(failed)?;
        page.render_description_section(&mut bytes).map_err(failed)?;
        page.render_options_section(&mut bytes).map_err(failed)?;
    }
    answer(&bytes)
}

fn answer(bytes: &[u8]) -> Result<CommandOutput> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    CommandOutput::new(&Text { text: &text }, text.clone())
}
