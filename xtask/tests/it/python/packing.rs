//! What is packed: shared folders, links, handlers, pointers of Git LFS, files that change during the build.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::Value;

use super::{FOLDER, Shop};
use crate::require;
use crate::support::TestRun;
use crate::support::echo::SMALLEST_STACK;

/// A shop whose function has no packages.
fn shop(test_run: &'static TestRun, settings: &str) -> Shop {
    let shop = Shop::new(test_run);
    fs::remove_dir_all(shop.folder.join(FOLDER)).expect("the function");
    shop.write_source("function.toml", settings);
    shop
}

fn python(handler: &str, sources: &str) -> String {
    format!(
        "runtime = \"python3.11\"\nhandler = \"{handler}\"\n[build]\nwith = \"python\"\nsources = {sources}\n"
    )
}

const CODE: &str = "def handle(event, context):\n    return event\n";

#[test]
fn shared_folder_is_in_the_artifact_and_the_digest_of_each_function() {
    let test_run = require!(TestRun::shared());
    let shop = shop(test_run, &python("app.main.handle", "[\"src/app\", \"/lambda-src/common\"]"));
    shop.write_source("src/app/main.py", CODE);
    shop.write(
        "lambda-src/refund/function.toml",
        &python("main.handle", "[\"main.py\", \"/lambda-src/common\"]"),
    );
    shop.write("lambda-src/refund/main.py", CODE);
    shop.write("lambda-src/common/rates.py", "RATE = 1\n");
    shop.commit("feat: shared code");
    let digests = || {
        let document = shop.run(&["build", "--output", "json"]).exits(0).json();
        let artifacts = document["data"]["artifacts"].as_array().expect("artifacts").clone();
        artifacts.iter().map(|artifact| artifact["inputs_digest"].clone()).collect::<Vec<Value>>()
    };
    let before = digests();
    let files = shop.build_and_unpack();
    assert_eq!(fs::read_to_string(files.path().join("common/rates.py")).expect("a file"), "RATE = 1\n");
    shop.write("lambda-src/common/rates.py", "RATE = 2\n");
    let after = digests();
    assert_eq!(before.len(), 2);
    assert!(before.iter().zip(&after).all(|(before, after)| before != after), "{before:?} {after:?}");
    // A copy of the commit builds to the same bytes.
    shop.commit("feat: another rate");
    shop.run(&["build", "invoice", "--verify"]).exits(0);

    // A link is followed: what it leads to is an input, whether it is one of the sources or not.
    symlink("../../../common", shop.folder.join(FOLDER).join("src/app/shared")).expect("a link");
    let files = shop.build_and_unpack();
    assert!(files.path().join("app/shared/rates.py").is_file());
    shop.edit("function.toml", ", \"/lambda-src/common\"", "");
    let before = shop.build();
    assert!(shop.build_and_unpack().path().join("app/shared/rates.py").is_file());
    shop.write("lambda-src/common/rates.py", "RATE = 3\n");
    assert_ne!(shop.build()["inputs_digest"], before["inputs_digest"]);
    // What git ignores cannot be packed.
    shop.write(".gitignore", "/target/\ndist/\ngenerated/\n");
    shop.write("generated/rates.py", "RATE = 4\n");
    symlink("../../../../generated", shop.folder.join(FOLDER).join("src/app/generated")).expect("a link");
    shop.run(&["build", "invoice"])
        .exits(6)
        .says("lambda-src/invoice/src/app/generated is a link to")
        .says("if git ignores it, it cannot be packed");
    fs::remove_file(shop.folder.join(FOLDER).join("src/app/generated")).expect("the link");
    shop.edit("function.toml", "\"src/app\"", "\"src/app\", \"../common\"");
    shop.run(&["build", "invoice"]).exits(2).says("as in \"/lambda-src/common\"");
    shop.edit("function.toml", "../common", "/lambda-src/other/app");
    shop.run(&["build", "invoice"])
        .exits(2)
        .says("`/lambda-src/other/app` and `src/app` in `sources` would both be `app`");
    shop.edit("function.toml", ", \"/lambda-src/other/app\"", "");
}

#[test]
fn handlers_with_hyphens_and_handlers_of_layers_are_taken() {
    let test_run = require!(TestRun::shared());
    let shop = shop(test_run, &python("lambda-function.handle", "[\"lambda-function.py\"]"));
    shop.write_source("lambda-function.py", CODE);
    shop.build();
    shop.write_source(
        "function.toml",
        &python("newrelic_lambda_wrapper.handler", "[\"lambda-function.py\"]"),
    );
    shop.run(&["build"])
        .exits(6)
        .says("handler newrelic_lambda_wrapper.handler: its module is not in the artifact")
        .says("write handler_in_layer = true in function.toml");
    shop.edit("function.toml", "handler =", "handler_in_layer = true\nhandler =");
    shop.build();
}

#[test]
fn pointer_of_git_lfs_is_refused_unless_it_is_allowed() {
    let test_run = require!(TestRun::shared());
    let shop = shop(test_run, &python("main.handle", "[\"main.py\", \"model.bin\"]"));
    shop.write_source("main.py", CODE);
    let digest = "a".repeat(64);
    let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize 12345\n");
    shop.write_source("model.bin", &pointer);
    shop.run(&["build"]).exits(6).says("model.bin: is a pointer of Git LFS").says("git lfs pull");
    shop.edit("function.toml", "sources", "allow = [\"model.bin\"]\nsources");
    shop.build();
}

#[test]
fn file_that_changes_during_the_build_is_not_packed() {
    let test_run = require!(TestRun::shared());
    let shop = shop(test_run, &python("main.handle", "[\"main.py\"]"));
    shop.write_source("main.py", CODE);
    // A check runs after the inputs were read and before the build.
    let check = format!("\n[checks.edit]\nrun = \"sh -c 'echo x = 1 >> {FOLDER}/main.py'\"\n");
    shop.write("pipelines/project.toml", &format!("{}{check}", super::PROJECT));
    shop.write("terraform/environments/local/environment.toml", "emulated = true\n");
    shop.write("terraform/stacks/shop/stack.toml", "functions = [\"invoice\"]\n");
    shop.write("terraform/stacks/shop/main.tf", SMALLEST_STACK);
    shop.commit("feat: a check that edits");
    shop.run(&["release", "invoice", "--env", "local", "--yes"])
        .exits(1)
        .says(&format!("{FOLDER}/main.py does not have the content"))
        .says("run it again");
    let document = shop.run(&["releases", "invoice", "--env", "local", "--output", "json"]).exits(0).json();
    assert_eq!(document["data"]["total"], 0);

    // The lock as well: another one would install other packages under this name.
    let check = check.replace("main.py", "requirements.lock");
    shop.write("pipelines/project.toml", &format!("{}{check}", super::PROJECT));
    shop.write_source("requirements.lock", "# no package\n");
    shop.commit("feat: a lock");
    shop.run(&["release", "invoice", "--env", "local", "--yes"])
        .exits(1)
        .says("the lock is not the one that the inputs digest was made from")
        .says("run it again");
}

#[test]
fn folder_links_of_node_modules_are_packed_as_links() {
    let test_run = require!(TestRun::shared());
    let command = |run: &str| {
        format!(
            "runtime = \"nodejs22.x\"\nhandler = \"index.handler\"\n[build]\nwith = \"command\"\nrun = \"sh {run}\"\noutput = \"dist\"\n"
        )
    };
    let shop = shop(test_run, &command("pnpm.sh"));
    let modules = "dist/node_modules";
    shop.write_source(
        "pnpm.sh",
        &format!(
            "set -eu\nfor package in a b; do\n  mkdir -p {modules}/.pnpm/$package@1/node_modules/$package\n  \
             echo \"exports.name = '$package'\" > {modules}/.pnpm/$package@1/node_modules/$package/index.js\ndone\n\
             ln -s .pnpm/a@1/node_modules/a {modules}/a\n\
             ln -s ../../b@1/node_modules/b {modules}/.pnpm/a@1/node_modules/b\n\
             ln -s ../../a@1/node_modules/a {modules}/.pnpm/b@1/node_modules/a\n\
             echo 'exports.handler = require(\"a\")' > dist/index.js\n"
        ),
    );
    let built = shop.build();
    let zip = Path::new(built["path"].as_str().expect("the zip's path"));
    let listing = slipway_archive::read_zip(zip).expect("a zip");
    let links = listing.entries().iter().filter(|entry| entry.mode == 0o120_777).count();
    assert_eq!((links, listing.entries().len()), (3, 6));
    let files = shop.build_and_unpack();
    assert!(files.path().join("node_modules/.pnpm/a@1/node_modules/b/index.js").is_file());
    let again = shop.run(&["build", "--force", "--output", "json"]).exits(0).json();
    assert_eq!(again["data"]["artifacts"][0]["sha256"], built["sha256"]);

    shop.write_source("outside.sh", "mkdir dist/node_modules && ln -s ../../lib dist/node_modules/lib\n");
    shop.write_source("lib/index.js", "");
    shop.write_source("function.toml", &command("outside.sh"));
    shop.run(&["build"]).exits(1).says("points outside the tree").says("pnpm deploy --prod");
    shop.write_source("round.sh", "mkdir -p dist/a dist/b && ln -s ../b dist/a/b && ln -s ../a dist/b/a\n");
    shop.write_source("function.toml", &command("round.sh"));
    shop.run(&["build"]).exits(1).says("dist/a/b points to a folder that contains it");
}

#[test]
fn name_that_lambda_will_not_take_is_refused_before_anything_is_published() {
    let test_run = require!(TestRun::shared());
    let shop = shop(test_run, &python("main.handle", "[\"main.py\"]"));
    shop.write_source("main.py", CODE);
    shop.write("terraform/environments/local/environment.toml", "emulated = true\n");
    shop.write("terraform/stacks/shop/stack.toml", "functions = [\"invoice\"]\n");
    let long = "-".repeat(40);
    shop.write(
        "terraform/stacks/shop/main.tf",
        &format!(
            "{SMALLEST_STACK}locals {{\n  name_prefix = \"${{var.environment.project}}-${{var.environment.account_id}}-${{var.environment.name}}\"\n}}\n\
             module \"invoice\" {{\n  source = \"../../modules/lambda-function\"\n  name = \"${{local.name_prefix}}-{long}-invoice\"\n}}\n"
        ),
    );
    shop.commit("feat: a long name");
    shop.run(&["release", "--env", "local", "--yes"])
        .exits(2)
        .says("the Lambda function of `module.invoice` in the stack `shop` would be called shop-000000000000-local-")
        .says("Nothing was built, published or deployed.")
        .says("terraform/stacks/shop/main.tf");
    let document = shop.run(&["releases", "invoice", "--env", "local", "--output", "json"]).exits(0).json();
    assert_eq!(document["data"]["total"], 0);
    let doctor = shop.run(&["doctor", "--output", "json"]).json();
    let findings = doctor["data"]["findings"].as_array().expect("findings");
    assert!(findings.iter().any(|finding| finding["what"] == "name of module.invoice in shop"), "{doctor}");
}

#[test]
fn work_folder_is_ignored_by_git_without_a_line_of_the_project() {
    let test_run = require!(TestRun::shared());
    let shop = shop(test_run, &python("main.handle", "[\"main.py\"]"));
    shop.write_source("main.py", CODE);
    shop.write(".gitignore", "");
    shop.build();
    let repository = git2::Repository::open(&shop.folder).expect("a repository");
    let mut index = repository.index().expect("its index");
    index.add_all(["*"], git2::IndexAddOption::DEFAULT, None).expect("all files in the index");
    let added: Vec<String> =
        index.iter().map(|entry| String::from_utf8_lossy(&entry.path).into_owned()).collect();
    assert!(added.iter().all(|path| !path.starts_with("target")), "{added:?}");
}
