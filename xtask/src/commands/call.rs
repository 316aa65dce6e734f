//! `call`: send a request to a function's URL or HTTP API, signed with the caller's credentials where it asks for that.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::Answer;
use crate::app::{Account, AppContext};
use crate::failure::{self, Failure, Result};
use crate::format;
use crate::name::{EnvironmentName, FunctionName};
use crate::plan::{self, FunctionOutput};
use crate::ports::HttpRequest;

/// Arguments of `call`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The path, with its query.
    path: String,
    /// The environment.
    #[arg(long, short)]
    env: EnvironmentName,
    /// The function; may be left out where one has an address.
    #[arg(long)]
    function: Option<FunctionName>,
    /// The method.
    #[arg(long, short = 'X', default_value = "GET")]
    method: String,
    /// A header, as in "x-api-key: secret"; may be repeated.
    #[arg(long, short = 'H', value_name = "NAME: VALUE")]
    header: Vec<String>,
    /// The body; @FILE reads a file.
    #[arg(long, short = 'd')]
    data: Option<String>,
    /// Do not sign, though the address asks for it.
    #[arg(long)]
    unsigned: bool,
    /// How long the answer may take, in seconds.
    #[arg(long, default_value_t = 30)]
    within: u64,
}

/// What was answered.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// The function.
    pub(crate) function: FunctionName,
    /// The address that was asked.
    pub(crate) url: String,
    /// The service that the request was signed for.
    pub(crate) signed_for: Option<String>,
    /// The HTTP status.
    pub(crate) status: u16,
    /// Headers, in their order.
    pub(crate) headers: Vec<(String, String)>,
    /// The body: JSON where it is JSON, else text.
    pub(crate) body: serde_json::Value,
    /// Milliseconds.
    pub(crate) took_ms: u64,
}

/// Runs the command.
pub(crate) async fn run(app: &AppContext, arguments: Arguments) -> Result<Answer> {
    let environment = &arguments.env;
    if !arguments.path.starts_with('/') {
        return Err(Failure::usage(format!("the path `{}` must begin with /", arguments.path)));
    }
    app.project.functions_in(environment, arguments.function.as_slice())?;
    let mut headers = Vec::new();
    for header in &arguments.header {
        let (name, value) = header
            .split_once(':')
            .ok_or_else(|| Failure::usage(format!("`{header}` is no header: write \"name: value\"")))?;
        headers.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    let body = match arguments.data.as_deref() {
        None => Vec::new(),
        Some(data) => match data.strip_prefix('@') {
            Some(file) => {
                let path = app.process_env.folder.join(file);
                std::fs::read(&path).map_err(|error| failure::io("read", &path, error))?
            }
            None => data.as_bytes().to_vec(),
        },
    };
    let account = app.account_if_there(environment).await?.ok_or_else(|| {
        Failure::failed(format!("{environment} does not run, so nothing answers"))
            .hint(format!("cargo xtask release --env {environment}"))
    })?;
    let (function, output) = chosen(app, &account, &arguments).await?;
    let base = account.address(&output).unwrap_or_default();
    let url = format!("{}{}", base.trim_end_matches('/'), arguments.path);
    let signed_for = output.url_signed_for.clone().filter(|_| !arguments.unsigned);
    let request = HttpRequest { method: arguments.method.to_uppercase(), url: url.clone(), headers, body };
    let answer =
        account.services.send(&request, signed_for.as_deref(), Duration::from_secs(arguments.within)).await?;
    app.progress.note(format!(
        "{} {} -> {}  {}",
        request.method,
        arguments.path,
        answer.status,
        format::seconds(answer.took)
    ));
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let body = serde_json::from_slice(&answer.body).unwrap_or_else(|_| text.clone().into());
    let refused = (answer.status >= 400).then(|| {
        let failure = Failure::failed(format!("{function} answered {}", answer.status));
        match answer.status {
            403 if signed_for.is_some() => failure
                .hint("the caller's credentials may not invoke it: see who is let in by the stack's values"),
            403 => failure.hint("it may want a signature: leave out --unsigned"),
            _ => failure,
        }
    });
    let report = Report {
        function,
        url,
        signed_for,
        status: answer.status,
        headers: answer.headers,
        body,
        took_ms: u64::try_from(answer.took.as_millis()).unwrap_or(u64::MAX),
    };
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    Ok(Answer::new(&report, format!("{text}{end}"))?.with_failure(refused))
}

/// Returns the one function that is meant, with what its stack says of it.
async fn chosen(
    app: &AppContext,
    account: &Account,
    arguments: &Arguments,
) -> Result<(FunctionName, FunctionOutput)> {
    let mut reachable = Vec::new();
    for stack in app.project.stacks_in(&arguments.env)?.into_keys() {
        let Some(applied) = plan::read_outputs(account.state.as_ref(), &stack).await? else { continue };
        reachable.extend(applied.functions()?.into_iter().filter(|(_, output)| output.url.is_some()));
    }
    let names = format::list(reachable.iter().map(|(function, _)| function.as_str()));
    let wanted = arguments.function.as_ref();
    reachable.retain(|(function, _)| wanted.is_none_or(|wanted| wanted == function));
    match (reachable.len(), wanted) {
        (1, _) => Ok(reachable.remove(0)),
        (0, Some(wanted)) => Err(Failure::usage(format!("`{wanted}` has no address in {}", arguments.env))
            .hint(format!(
                "its stack must put out functions.{wanted}.url; these have one: {}",
                if names.is_empty() { "none" } else { &names }
            ))),
        (0, None) => Err(Failure::usage(format!("no function has an address in {}", arguments.env))
            .hint("a stack must be applied that puts out functions.<function>.url")),
        _ => Err(Failure::usage("several functions have an address").hint(format!("--function {names}"))),
    }
}
