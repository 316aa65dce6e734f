//! `call`: send a request to a function's URL or HTTP API, signed with the caller's credentials if it requires that.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::CommandOutput;
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
    /// The function; may be left out if only one has an address.
    #[arg(long)]
    function: Option<FunctionName>,
    /// The method.
    #[arg(long, short = 'X', default_value = "GET")]
    method: String,
    /// A header, as in "accept: text/plain", or @FILE with a header in each line, for secrets; may be repeated.
    #[arg(long, short = 'H', value_name = "NAME: VALUE")]
    header: Vec<String>,
    /// The body; @FILE reads a file.
    #[arg(long, short = 'd')]
    data: Option<String>,
    /// Do not sign, although the address requires it.
    #[arg(long)]
    unsigned: bool,
    /// The time limit of the response, in seconds.
    #[arg(long, default_value_t = 30)]
    within: u64,
}

/// The response.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// The function.
    pub(crate) function: FunctionName,
    /// The address.
    pub(crate) url: String,
    /// The service that the request was signed for: `lambda` or `execute-api`.
    pub(crate) signed_for: Option<String>,
    /// The HTTP status.
    pub(crate) status: u16,
    /// The headers, in their order.
    pub(crate) headers: Vec<(String, String)>,
    /// The body: JSON if it can be parsed, otherwise text.
    pub(crate) body: serde_json::Value,
    /// Milliseconds.
    pub(crate) took_ms: u64,
}

/// Splits a header into its name and value.
fn parse_header(text: &str) -> Result<(String, String)> {
    let (name, value) = text
        .split_once(':')
        .ok_or_else(|| Failure::usage(format!("`{text}` is not a header: write \"name: value\"")))?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// Runs the command.
pub(crate) async fn run(app: &AppContext, arguments: Arguments) -> Result<CommandOutput> {
    let environment = &arguments.env;
    if !arguments.path.starts_with('/') {
        return Err(Failure::usage(format!("the path `{}` must begin with /", arguments.path)));
    }
    app.project.functions_in(environment, arguments.function.as_slice())?;
    let mut headers = Vec::new();
    for argument in &arguments.header {
        match argument.strip_prefix('@') {
            None => headers.push(parse_header(argument)?),
            Some(file) => {
                let path = app.process_env.folder.join(file);
                let text =
                    std::fs::read_to_string(&path).map_err(|error| failure::io("read", &path, error))?;
                for line in text.lines().filter(|line| !line.trim().is_empty()) {
                    // The line may be a secret: it is not shown.
                    let header = parse_header(line).map_err(|_| {
                        Failure::usage(format!("{file} has a line without a colon, so it is not a header"))
                    })?;
                    headers.push(header);
                }
            }
        }
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
        Failure::failed(format!("{environment} is not running, so no function can be called"))
            .hint(format!("cargo xtask release --env {environment}"))
    })?;
    let (function, output) = function_with_address(app, &account, &arguments).await?;
    let base = account.address(&output).unwrap_or_default();
    let url = format!("{}{}", base.trim_end_matches('/'), arguments.path);
    let signed_for = output.url_signed_for.clone().filter(|_| !arguments.unsigned);
    let request = HttpRequest { method: arguments.method.to_uppercase(), url: url.clone(), headers, body };
    let response =
        account.services.send(&request, signed_for.as_deref(), Duration::from_secs(arguments.within)).await?;
    app.progress.note(format!(
        "{} {} -> {}  {}",
        request.method,
        arguments.path,
        response.status,
        format::seconds(response.took)
    ));
    let text = String::from_utf8_lossy(&response.body).into_owned();
    let body = serde_json::from_slice(&response.body).unwrap_or_else(|_| text.clone().into());
    let failure = (response.status >= 400).then(|| {
        let failure = Failure::failed(format!("{function} answered {}", response.status));
        match response.status {
            403 if signed_for.is_some() => {
                failure.hint("the caller's credentials may not invoke it: the stack's values say who may")
            }
            403 => failure.hint("it may require a signature: leave out --unsigned"),
            _ => failure,
        }
    });
    let report = Report {
        function,
        url,
        signed_for,
        status: response.status,
        headers: response.headers,
        body,
        took_ms: u64::try_from(response.took.as_millis()).unwrap_or(u64::MAX),
    };
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    Ok(CommandOutput::new(&report, format!("{text}{end}"))?.with_failure(failure))
}

/// Returns the named function with an address, or the only one that has one.
async fn function_with_address(
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
                "its stack must have an output functions.{wanted}.url; these have one: {}",
                if names.is_empty() { "none" } else { &names }
            ))),
        (0, None) => Err(Failure::usage(format!("no function has an address in {}", arguments.env))
            .hint("apply a stack with an output functions.<function>.url")),
        _ => Err(Failure::usage("several functions have an address").hint(format!("--function {names}"))),
    }
}
