//! A machine without the Python that a function asks for.

use std::fs;
use std::path::Path;

use super::{FOLDER, Shop};
use crate::require;
use crate::support::TestRun;
use crate::support::echo::SMALLEST_STACK;

/// Finds a version of Python that the system does not have; returns it, and a PATH without that version.
fn missing_python(path: &str) -> (&'static str, String) {
    let has = |folder: &Path, version: &str| folder.join(format!("python{version}")).is_file();
    let system = ["/usr/local/bin", "/usr/bin", "/bin"].map(Path::new);
    let version = ["3.10", "3.14", "3.12", "3.13"]
        .into_iter()
        .find(|version| !system.iter().any(|folder| has(folder, version)))
        .expect("a version of Python that this machine's system does not have");
    // A folder of shims leads to a version manager's Pythons.
    let folders = std::env::split_paths(path)
        .filter(|folder| !has(folder, version) && !folder.ends_with("shims"))
        .collect::<Vec<_>>();
    let path = std::env::join_paths(folders).expect("a PATH");
    (version, path.into_string().expect("a PATH in UTF-8"))
}

#[test]
fn missing_python_version_is_refused_before_the_plan_only_if_native_code_needs_it() {
    let test_run = require!(TestRun::shared());
    let mut shop = Shop::new(test_run);
    let (version, path) = missing_python(&test_run.machine.path);
    shop.variables.push(("PATH".into(), path));
    // Nothing listens there: uv cannot download an interpreter on any machine.
    shop.variables.push(("UV_PYTHON_INSTALL_MIRROR".into(), "http://127.0.0.1:9".into()));
    shop.variables.push(("UV_HTTP_RETRIES".into(), "0".into()));
    let runtime = format!("python{version}");
    shop.edit("function.toml", "python3.11", &runtime);
    shop.run(&["lock", "invoice"]).exits(0);
    shop.write("terraform/environments/local/environment.toml", "emulated = true\n");
    shop.write("terraform/stacks/shop/stack.toml", "functions = [\"invoice\"]\n");
    shop.write("terraform/stacks/shop/main.tf", SMALLEST_STACK);
    shop.commit("feat: a stack");

    let document = shop.run(&["doctor", "--output", "json"]).json();
    let findings = document["data"]["findings"].as_array().expect("findings");
    let finding = findings.iter().find(|finding| finding["what"] == runtime).expect("the Python");
    assert_eq!(finding["verdict"], "later", "{finding}");
    assert_eq!(finding["needed_for"], "invoice in the local environment", "{finding}");
    let hint = finding["hint"].as_str().expect("a hint");
    assert!(hint.contains(&format!("uv python install {version}")), "{hint}");

    let release = ["release", "--env", "local", "--yes"];
    let refused = shop
        .run(&release)
        .exits(6)
        .says(&format!("`invoice` needs Python {version}, and this machine has none"))
        .says("_pydantic_core.cpython-3")
        .says("/opt/python")
        .says("local/functions/pythons")
        // uv's error: it tried to download the interpreter.
        .says("http://127.0.0.1:9")
        .says("nothing was planned or deployed");
    assert!(!refused.ran_step("plan") && !refused.ran_step("init"), "{refused}");

    // Without native code any version runs it: the release fails only at the stack, which runs no function.
    for file in ["requirements.in", "requirements.lock"] {
        fs::remove_file(shop.folder.join(FOLDER).join(file)).expect("the requirements");
    }
    shop.edit("function.toml", "lock = \"requirements.lock\"\n", "");
    shop.commit("feat: no packages");
    shop.run(&release)
        .exits(6)
        .says(&format!("invoice: this machine has no {runtime}"))
        .says("does not contain `invoice`");
}
