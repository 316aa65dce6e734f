//! A Lambda function that lists a bucket, as a container image; see the library `bucket_api` for its events and responses.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    bucket_api::run().await
}
