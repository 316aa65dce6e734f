//! How the emulator is started: requests to one service are serialized, except those that wait for something.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::Path;

#[tokio::test]
async fn requests_to_one_service_are_serialized() {
    let moto = require!(support::moto_server());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    #[expect(
        clippy::disallowed_methods,
        reason = "the emulator's own interpreter, with a script of this test"
    )]
    let output = tokio::process::Command::new(moto.parent().unwrap().join("python"))
        .arg(folder.join("tests/support/serialization.py"))
        .arg(folder.join("src/supervisor/start_moto.py"))
        .output()
        .await
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(stdout.trim(), "dynamodb 1,form 3,json 3,query 1,unsigned 3");
}
