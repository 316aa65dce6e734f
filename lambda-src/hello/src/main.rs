//! A Lambda function that greets the person that the event names; see `greeting` for its events and responses.

use lambda_runtime::Error;

mod greeting;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    function_log::start(module_path!()).run(greeting::handle).await
}
