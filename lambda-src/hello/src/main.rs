//! A Lambda function that greets the person that the event names; see `greeting` for its events and responses.

use lambda_runtime::{Error, run, service_fn};

mod greeting;
mod logging;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logging::start();
    run(service_fn(greeting::handle)).await
}
