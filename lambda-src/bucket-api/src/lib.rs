//! An HTTP API that lists the objects of a bucket, for functions that are nothing but its package: a Lambda function
//! stays a zip or an image for ever, so there is one of each.
//!
//! A request goes through `event` (what Lambda calls HTTP), `route` and `query` (what may be asked), `objects` (what
//! there is), and comes back through `http_function::ApiError`. `api` alone knows this order.

mod api;
mod aws;
mod cursor;
mod event;
mod objects;
mod query;
mod route;
mod settings;
mod text;

use lambda_runtime::tracing::error;
use lambda_runtime::{Error, LambdaEvent};

pub use api::Api;
pub use http_function::{InvalidEvent, Response};
pub use settings::{Aws, Settings, SettingsError};

/// The root of the targets of this crate's lines in the log.
pub const LOGGED_AS: &str = module_path!();

/// Runs the function: reads its settings and answers events for as long as the instance lives.
pub async fn run() -> Result<(), Error> {
    let function = function_log::start(LOGGED_AS);
    let settings =
        Settings::of_this_process().inspect_err(|why| error!("the function can't start: {why}"))?;
    let api = Api::new(settings);
    function.run(|event: LambdaEvent<_>| api.handle(event)).await
}
