//! A Lambda function that keeps traces; see the library `tracer` for its events and responses.

use lambda_runtime::tracing::error;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::Value;
use tracer::{Api, Settings};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    function_log::start(tracer::LOGGED_AS);
    let settings =
        Settings::of_this_process().inspect_err(|why| error!("the function can't start: {why}"))?;
    let api = Api::new(settings);
    run(service_fn(|event: LambdaEvent<Value>| api.handle(event))).await
}
