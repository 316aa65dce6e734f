//! `inputs`: what the inputs digest of a function covers, and why.

use schemars::JsonSchema;
use serde::Serialize;

use super::CommandOutput;
use crate::app::AppContext;
use crate::digest::Digest;
use crate::failure::{Failure, Result};
use crate::format;
use crate::name::FunctionName;
use crate::source::Source;

/// Arguments of `inputs`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The function.
    function: FunctionName,
    /// Says why this file is an input, or that it is none (exit code 1).
    #[arg(long, value_name = "PATH")]
    why: Option<String>,
}

/// The inputs of a function.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Report")]
pub(crate) struct Inputs {
    /// The function.
    function: FunctionName,
    /// The digest of all inputs.
    inputs_digest: Digest,
    /// The commit that is checked out.
    commit: String,
    /// The inputs that differ from it.
    changed: Vec<String>,
    /// Files.
    files: Vec<InputFile>,
    /// Parts of files, variables, tools, and what comes from Slipway itself.
    parts: Vec<InputPart>,
}

/// A file that is an input.
#[derive(Debug, Serialize, JsonSchema)]
struct InputFile {
    /// Its path, relative to the project.
    path: String,
    /// SHA-256 of its bytes, followed by ` x` for an executable file and ` l` for a link.
    content: String,
    /// Why it is an input.
    why: String,
}

/// An input that is not a file.
#[derive(Debug, Serialize, JsonSchema)]
struct InputPart {
    /// What it is.
    name: String,
    /// Its text.
    text: String,
}

/// Runs the command.
pub(crate) fn run(app: &AppContext, arguments: &Arguments) -> Result<CommandOutput> {
    let Arguments { function, why } = arguments;
    let repository = app.repository()?;
    let source = Source::read(&app.project, &app.process_env, &repository, function)?;
    let inputs = Inputs::of(function, &source);
    let text = match why {
        None => inputs.text(),
        Some(path) => inputs.why(path)?,
    };
    CommandOutput::new(&inputs, text)
}

impl Inputs {
    fn of(function: &FunctionName, source: &Source) -> Self {
        let files = source.inputs.files.iter().map(|(path, content)| InputFile {
            path: path.clone(),
            content: content.to_text(),
            why: source.inputs.reason(path).unwrap_or_default().to_owned(),
        });
        let parts = source.inputs.parts.iter();
        Self {
            function: function.clone(),
            inputs_digest: source.inputs_digest,
            commit: source.commit.clone(),
            changed: source.inputs.changed.clone(),
            files: files.collect(),
            parts: parts.map(|(name, text)| InputPart { name: name.clone(), text: text.clone() }).collect(),
        }
    }

    fn text(&self) -> String {
        let mut text = format!(
            "{}  {}  {} and {}\n",
            self.function,
            self.inputs_digest,
            format::plural(self.files.len(), "file"),
            format::plural(self.parts.len(), "other input")
        );
        if !self.changed.is_empty() {
            text.push_str(&format!("\nnot as in {}\n", &self.commit[..7]));
            self.changed.iter().for_each(|path| text.push_str(&format!("  {path}\n")));
        }
        let mut reason = "";
        for file in &self.files {
            if file.why != reason {
                reason = &file.why;
                text.push_str(&format!("\n{reason}\n"));
            }
            text.push_str(&format!("  {}\n", file.path));
        }
        text.push_str("\nother inputs\n");
        for part in &self.parts {
            let lines: Vec<&str> = part.text.lines().collect();
            match lines[..] {
                [line] => text.push_str(&format!("  {}: {line}\n", part.name)),
                _ => text.push_str(&format!("  {}: {}\n", part.name, format::plural(lines.len(), "line"))),
            }
        }
        text
    }

    fn why(&self, path: &str) -> Result<String> {
        let path = path.trim_start_matches("./");
        let function = &self.function;
        if let Some(file) = self.files.iter().find(|file| file.path == path) {
            return Ok(format!("{path} is an input of `{function}`: {}\n", file.why));
        }
        Err(Failure::failed(format!("{path} is not an input of `{function}`")).hint(format!(
            "paths are relative to the project; cargo xtask inputs {function} lists all inputs, and `inputs` under [build] in its function.toml adds one"
        )))
    }
}
