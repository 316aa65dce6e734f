//! A Lambda function that keeps traces; see the library `tracer` for its events and responses.

use lambda_runtime::tracing::error;
use lambda_runtime::{Error, LambdaEvent};
use tracer::{Api, Settings};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let function = function_log::start(tracer::LOGGED_AS);
    let settings =
        Settings::of_this_process().inspect_err(|why| error!("the function can't start: {why}"))?;
    let api = Api::new(settings);
    function.run(|event: LambdaEvent<_>| api.handle(event)).await
}
