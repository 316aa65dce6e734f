//! A Rust build accounts for what it read: with cargo, rustc and build scripts as they are.

use super::support::EchoProject;
use crate::require;

const MAIN: &str = "lambda-src/echo/src/main.rs";
const SETTINGS: &str = "lambda-src/echo/function.toml";

fn edit(project: &EchoProject, path: &str, from: &str, to: &str) {
    let text = std::fs::read_to_string(project.folder.join(path)).expect("a file of the project");
    assert!(text.contains(from), "{path} has no {from}");
    project.write(path, &text.replace(from, to));
}

fn digests(project: &EchoProject, arguments: &[&str]) -> (String, String) {
    let built = project.run(arguments).exits(0).json();
    let artifact = &built["data"]["artifacts"][0];
    let text = |name: &str| artifact[name].as_str().expect("a digest").to_owned();
    (text("sha256"), text("inputs_digest"))
}

const BUILD: [&str; 3] = ["build", "--output", "json"];

#[test]
fn files_and_variables_that_were_used_and_not_declared_fail_the_build() {
    let project = require!(EchoProject::new());
    // A file outside the function's folder.
    project.write("data/words.txt", "one\n");
    edit(
        &project,
        MAIN,
        "const SAYS: &str = \"one\";",
        "const SAYS: &str = include_str!(\"../../../data/words.txt\");",
    );
    project.commit("feat: words in a file");
    project
        .run(&["build"])
        .exits(6)
        .says("the build read data/words.txt, which is not one of the inputs of this function")
        .says("inputs = [\"data/words.txt\"]");
    edit(&project, SETTINGS, "with = \"cargo\"\n", "with = \"cargo\"\ninputs = [\"data/words.txt\"]\n");
    let before = digests(&project, &BUILD);
    project.write("data/words.txt", "two\n");
    let after = digests(&project, &BUILD);
    assert!(before.0 != after.0 && before.1 != after.1, "{before:?} {after:?}");
    project
        .run(&["inputs", "echo", "--why", "data/words.txt"])
        .exits(0)
        .says("`inputs` in lambda-src/echo/function.toml");
    project
        .run(&["inputs", "echo", "--why", "README.md"])
        .exits(1)
        .says("README.md is not an input of `echo`");

    // A variable.
    edit(&project, MAIN, "fn main()", "const BASE: Option<&str> = option_env!(\"API_BASE\");\n\nfn main()");
    edit(&project, MAIN, "loop {", "eprintln!(\"{BASE:?}\");\n    loop {");
    digests(&project, &BUILD);
    let with = |value: &str, arguments: &[&str]| project.start_with(arguments, &[("API_BASE", value)]).wait();
    with("https://one", &["build", "--force"])
        .exits(6)
        .says("the variable API_BASE is compiled in, and is not one of the inputs of this function")
        .says("env = [\"API_BASE\"]");
    edit(&project, SETTINGS, "with = \"cargo\"\n", "with = \"cargo\"\nenv = [\"API_BASE\"]\n");
    let digest = |value: &str| with(value, &BUILD).exits(0).json()["data"]["artifacts"][0].clone();
    let (one, two) = (digest("https://one"), digest("https://two"));
    assert_ne!(one["inputs_digest"], two["inputs_digest"]);
    assert_ne!(one["sha256"], two["sha256"], "it reaches the build");

    // What a build script names.
    project.write("lambda-src/echo/build.rs", "fn main() { println!(\"cargo:rerun-if-changed=../../data/more.txt\"); println!(\"cargo:rerun-if-env-changed=EDITION\"); }\n");
    project.write("data/more.txt", "x");
    project.run(&["build"]).exits(6).says("the build read data/more.txt");
    edit(&project, SETTINGS, "\"data/words.txt\"", "\"data/*.txt\"");
    project.run(&["build"]).exits(0);
    project
        .start_with(&["build", "--force"], &[("EDITION", "2")])
        .wait()
        .exits(6)
        .says("the variable EDITION decides what the build script does");
}

#[test]
fn binaries_of_one_package_are_functions_with_features_and_files_beside_them() {
    let project = require!(EchoProject::new());
    let source = std::fs::read_to_string(project.folder.join(MAIN)).expect("the function's source");
    for binary in ["create", "list"] {
        project.write(
            &format!("lambda-src/{binary}/function.toml"),
            &format!(
                "runtime = \"provided.al2023\"\n[build]\nwith = \"cargo\"\npackage = \"echo\"\nbinary = \"{binary}\"\nfeatures = [\"lambda\"]\ninclude = [\"config/*.yml\"]\n"
            ),
        );
        project.write(&format!("lambda-src/{binary}/config/{binary}.yml"), "limit: 3\n");
        let says = format!("const SAYS: &str = \"word-{binary}\";");
        project.write(
            &format!("lambda-src/echo/src/bin/{binary}.rs"),
            &source.replace("const SAYS: &str = \"one\";", &says),
        );
    }
    let manifest = "lambda-src/echo/Cargo.toml";
    edit(
        &project,
        manifest,
        "publish = false\n",
        "publish = false\n[features]\nlambda = []\n[[bin]]\nname = \"echo\"\npath = \"src/main.rs\"\n[[bin]]\nname = \"create\"\nrequired-features = [\"lambda\"]\n[[bin]]\nname = \"list\"\nrequired-features = [\"lambda\"]\n",
    );
    edit(&project, "Cargo.toml", "[\"lambda-src/*\"]", "[\"lambda-src/echo\"]");
    project.commit("feat: two functions of one package");
    let built = project.run(&["build", "create", "list", "--output", "json"]).exits(0).json();
    let artifacts = built["data"]["artifacts"].as_array().expect("artifacts");
    assert_ne!(artifacts[0]["sha256"], artifacts[1]["sha256"]);
    for artifact in artifacts {
        let name = artifact["function"].as_str().expect("a name");
        let files = tempfile::tempdir().expect("a temporary folder");
        let zip = std::path::Path::new(artifact["path"].as_str().expect("a path"));
        slipway_archive::unpack_zip(zip, files.path()).expect("the zip's files");
        assert!(files.path().join(format!("config/{name}.yml")).is_file(), "{name}");
        let bytes = std::fs::read(files.path().join("bootstrap")).expect("the binary");
        let says = |word: &str| bytes.windows(word.len()).any(|window| window == word.as_bytes());
        let other = if name == "create" { "list" } else { "create" };
        assert!(
            says(&format!("word-{name}")) && !says(&format!("word-{other}")),
            "{name} is its own program"
        );
    }
    let before = built["data"]["artifacts"][1]["inputs_digest"].clone();
    edit(&project, "lambda-src/echo/src/bin/list.rs", "word-list", "word-all");
    let after = project.run(&["build", "list", "--output", "json"]).exits(0).json();
    assert_ne!(after["data"]["artifacts"][0]["inputs_digest"], before);
}

#[test]
fn release_says_which_inputs_changed_and_what_was_compared() {
    let project = require!(EchoProject::new());
    let release = ["release", "--env", "local", "--yes"];
    project.run(&release).exits(0).says("echo has no release yet (");
    project.run(&release).exits(0).says("echo 0.1.0 has the same ");
    project.change_code();
    project
        .run(&release)
        .exits(0)
        .says("echo differs from 0.1.0 in 1 of ")
        .says("~ lambda-src/echo/src/main.rs");
}

/// cargo itself goes by time stamps: it takes a file for compiled that has other bytes and the time that it had before.
#[test]
fn file_with_other_bytes_and_an_older_time_is_compiled_again() {
    let project = require!(EchoProject::new());
    let code = project.folder.join(MAIN);
    let last_year = std::time::SystemTime::now() - std::time::Duration::from_secs(365 * 24 * 3_600);
    let edit_with_old_time = |from: &str, to: &str| {
        edit(&project, MAIN, from, to);
        let file = std::fs::File::options().write(true).open(&code).expect("the code");
        file.set_modified(last_year).expect("the code's time");
    };
    edit_with_old_time("\"one\"", "\"111\"");
    let one = digests(&project, &BUILD);
    edit_with_old_time("\"111\"", "\"222\"");
    let two = digests(&project, &BUILD);
    assert!(one.0 != two.0 && one.1 != two.1, "{one:?} {two:?}");
    edit_with_old_time("\"222\"", "\"111\"");
    assert_eq!(digests(&project, &["build", "--force", "--output", "json"]), one);
}
