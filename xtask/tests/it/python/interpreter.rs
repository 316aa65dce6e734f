//! A machine without the Python that a function asks for.

use std::fs;
use std::path::Path;

use super::{FOLDER, Shop};
use crate::support::guard;

/// Makes a PATH without any Python of a version, which no system folder has either; returns the version and the PATH.
fn without_a_python(path: &str) -> (&'static str, String) {
    let has = |folder: &Path, version: &str| folder.join(format!("python{version}")).is_file();
    let system = ["/usr/local/bin", "/usr/bin", "/bin"].map(Path::new);
    let version = ["3.10", "3.14", "3.12", "3.13"]
        .into_iter()
        .find(|version| !system.iter().any(|folder| has(folder, version)))
        .expect("a version of Python that this machine's system does not have");
    // Behind a folder of shims a version manager is found.
    let folders = std::env::split_paths(path)
        .filter(|folder| !has(folder, version) && !folder.ends_with("shims"))
        .collect::<Vec<_>>();
    let path = std::env::join_paths(folders).expect("a PATH");
    (version, path.into_string().expect("a PATH in UTF-8"))
}

#[test]
fn a_python_that_is_nowhere_is_told_and_refused_before_the_plan_where_no_other_will_do() {
    let Some(run) = guard::run() else { return };
    let mut shop = Shop::new(run);
    let (version, path) = without_a_python(&run.machine.path);
    shop.network.push(("PATH".into(), path));
    // Nothing answers there: uv cannot fetch an interpreter, wherever this runs.
    shop.network.push(("UV_PYTHON_INSTALL_MIRROR".into(), "http://127.0.0.1:9".into()));
    shop.network.push(("UV_HTTP_RETRIES".into(), "0".into()));
    let runtime = format!("python{version}");
    shop.edit("function.toml", "python3.11", &runtime);
    shop.run(&["lock", "invoice"]).exits(0);
    shop.write("terraform/environments/local/environment.toml", "emulated = true\n");
    shop.write("terraform/stacks/shop/stack.toml", "functions = [\"invoice\"]\n");
    shop.write("terraform/stacks/shop/main.tf", "terraform {\n  backend \"s3\" {}\n}\n");
    shop.commit("feat: a stack");

    let told = shop.run(&["doctor", "--output", "json"]).json();
    let findings = told["data"]["findings"].as_array().expect("findings");
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
        // What uv said: it was asked, and where.
        .says("http://127.0.0.1:9")
        .says("nothing was planned or deployed");
    assert!(!refused.did("plan") && !refused.did("init"), "{refused}");

    // Without native parts any version runs it: it gets as far as the stack, which runs nothing.
    for file in ["requirements.in", "requirements.lock"] {
        fs::remove_file(shop.project.join(FOLDER).join(file)).expect("the requirements");
    }
    shop.edit("function.toml", "lock = \"requirements.lock\"\n", "");
    shop.commit("feat: no packages");
    shop.run(&release)
        .exits(2)
        .says(&format!("invoice: this machine has no {runtime}"))
        .says("declares no variable `releases`");
}
