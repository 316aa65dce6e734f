//! Runs the gateway as a program of its own: `slipway-gateway <configuration file>`, until SIGTERM or SIGINT.

use std::path::Path;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = std::env::args_os().nth(1).ok_or("usage: slipway-gateway <configuration file>")?;
    Ok(slipway_local::gateway::run(Path::new(&config)).await?)
}
