//! Measures what a command waits for before its first answer: opening a session, one LIST, two GETs.
//!
//!     cargo run -p slipway-cloud --example first_call -- http://127.0.0.1:5000 bucket

use std::io::Write as _;
use std::time::Instant;

use slipway_cloud::{Credentials, Session, SessionConfig};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let begin = Instant::now();
    let mut arguments = std::env::args().skip(1);
    let endpoint = arguments.next();
    let bucket = arguments.next().unwrap_or_else(|| "first-call".into());
    let credentials = match arguments.next() {
        Some(profile) => Credentials::Ambient { profile: Some(profile).filter(|name| name != "-") },
        None => Credentials::Static {
            access_key_id: "AKIAEXAMPLE".into(),
            secret_access_key: "secret".into(),
            session_token: None,
        },
    };
    let region = "eu-central-1".to_owned();
    let target = SessionConfig { region, credentials, assume_role: None, endpoint, lambda_endpoint: None };
    let session = Session::open(target, None).await?;
    let mut out = std::io::stdout();
    writeln!(out, "open       {:?}", begin.elapsed())?;
    let store = session.store(&bucket, None);
    store.create_bucket(false).await?;
    writeln!(out, "bucket     {:?}", begin.elapsed())?;
    let again = Instant::now();
    store.list("ledger/", Some(2)).await?;
    store.get("a").await?;
    store.get("b").await?;
    writeln!(out, "list, 2 get {:?}; all {:?}", again.elapsed(), begin.elapsed())?;
    Ok(())
}
