//! A Lambda function that greets whoever the event names; see `greeting` for what comes in and goes out.

use lambda_runtime::{Error, run, service_fn};

mod greeting;
mod logging;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logging::start();
    run(service_fn(greeting::handle)).await
}
