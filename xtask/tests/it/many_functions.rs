//! Many functions in one stack: what a release with nothing to do asks, and what it says.

use super::support::TestRun;
use super::support::commands::RELEASE;
use super::support::sandbox::{AutoStop, Sandbox, init_repository};
use super::support::settings_files::write_local_project;
use crate::require;

const FUNCTIONS: usize = 12;
const SETTINGS: &str = "runtime = \"python3.11\"\nhandler = \"app.handle\"\narchitecture = \"x86_64\"\n\n[build]\nwith = \"python\"\nsources = [\"src/app.py\"]\n";

fn many_functions(test_run: &'static TestRun) -> AutoStop {
    let sandbox = AutoStop(Sandbox::new(test_run));
    let names: Vec<String> = (0..FUNCTIONS).map(|number| format!("f{number:02}")).collect();
    write_local_project(&sandbox, "many", "");
    sandbox.write("terraform/stacks/many/main.tf", include_str!("../../../benches/many.tf"));
    sandbox.write("terraform/stacks/many/stack.toml", &format!("functions = {names:?}\n"));
    for name in &names {
        sandbox.write(&format!("lambda-src/{name}/function.toml"), SETTINGS);
        let code = format!("def handle(event, context):\n    return \"{name}\"\n");
        sandbox.write(&format!("lambda-src/{name}/src/app.py"), &code);
    }
    init_repository(&sandbox.folder);
    sandbox
}

#[test]
fn release_with_nothing_to_do_reads_every_alias_and_nothing_that_is_proven() {
    let project = many_functions(require!(TestRun::shared()));
    let first = project.run(&RELEASE).exits(0);
    assert_eq!(first.stdout.lines().count(), 1, "{first}");
    // Now the ledger is known, so that copies of the manifests are kept.
    project.run(&RELEASE).exits(0);
    let again = project.run(&RELEASE).exits(0).says("12 functions already serve in local (plan skipped");
    assert_eq!(again.stdout.lines().count(), 1, "{again}");
    let calls = |operation, subject| again.calls(operation, subject);
    assert_eq!(calls("GetAlias", ":live"), FUNCTIONS, "{again}");
    assert_eq!(calls("GetFunctionConfiguration", ""), 0);
    assert_eq!(calls("ListObjectsV2", "/releases/"), 1);
    assert_eq!(calls("GetObject", "/releases/"), 0);
    assert_eq!(calls("GetObject", "/attestations/"), 0);

    // An object that was replaced is read, although this machine has what was deployed.
    let bucket = format!("many-{}-artifacts", project.account.id);
    let key = "releases/f03/0.1.0.json";
    let bytes = project.account.object(&bucket, key);
    project.account.put(&bucket, key, &[bytes.as_slice(), b"\n"].concat());
    project.run(&RELEASE).exits(6).says("the manifest of `f03` 0.1.0 was edited");
    project.account.put(&bucket, key, &bytes);
    project.run(&RELEASE).exits(0);

    // An alias that was moved by hand is seen.
    let live = "/2015-03-31/functions/many-f05/aliases/live";
    let body = br#"{"FunctionVersion": "1", "Description": "by hand"}"#;
    project.account.call("lambda", "PUT", live, "application/json", body);
    let touched = project.run(&RELEASE).exits(0).says("12 functions already serve");
    assert_eq!(touched.calls("GetFunctionConfiguration", "f05"), 1, "{touched}");
}
