//! Mistakes in `function.toml`.

use super::{failure_text, project, write};
use crate::settings::Project;

#[test]
fn function_file_mistakes_are_reported() {
    let path = "lambda-src/hello/function.toml";
    insta::assert_snapshot!(failure_text(path, "runtime = \"provided.al2023\"\narchitecture = \"amd64\"\n[build]\nwith = \"cargo\"\n"), @r#"
    lambda-src/hello/function.toml:2: unknown value `amd64`
    2 | architecture = "amd64"
      |                ^^^^^^^ did you mean `arm64`?
    hint: allowed here: x86_64, arm64
    "#);
    insta::assert_snapshot!(failure_text(path, "runtime = \"provided.al2023\"\n[build]\nwith = \"make\"\n"), @r#"
    lambda-src/hello/function.toml:3: unknown value `make`
    3 | with = "make"
      |        ^^^^^^
    hint: allowed here: cargo, python, command
    "#);
    insta::assert_snapshot!(failure_text(path, "runtime = \"provided.al2023\"\n[build]\nwith = \"cargo\"\nbin = \"hello\"\n"), @r"
    lambda-src/hello/function.toml:2: unknown key `bin`
    2 | [build]
      | ^^^^^^^
    hint: allowed here: binary, package, features, include, inputs, env
    ");
    insta::assert_snapshot!(failure_text(path, "runtime = \"python3.13\"\n[build]\nwith = \"cargo\"\n"), @r#"lambda-src/hello/function.toml: a Rust function needs `runtime = "provided.al2023"`, not `python3.13`"#);
    insta::assert_snapshot!(failure_text(path, "runtime = \"provided.al2023\"\nfirst_version = \"1\"\n[build]\nwith = \"cargo\"\n"), @r#"
    lambda-src/hello/function.toml:2: `1` is not a valid semantic version: three numbers such as 1.4.2, with a pre-release such as 1.5.0-rc.1 allowed and no build metadata
    2 | first_version = "1"
      |                 ^^^
    "#);
    insta::assert_snapshot!(failure_text(path, "runtime = \"provided.al2023\"\nfirst_version = \"1.0.0-rc.1\"\n[build]\nwith = \"cargo\"\n"), @r#"lambda-src/hello/function.toml: `first_version = "1.0.0-rc.1"` must be a release such as 0.1.0"#);
    insta::assert_snapshot!(failure_text(path, "runtime = \"provided.al2023\"\n[build]\nwith = \"cargo\"\n[[smoke]]\nname = \"x\"\nexpect = 1\nexpect_error = \"E\"\n"), @"lambda-src/hello/function.toml: the smoke event `x` has both `expect` and `expect_error`: keep one of them");
    insta::assert_snapshot!(failure_text(path, "runtime = \"provided.al2023\"\npackage = \"image\"\n[build]\nwith = \"cargo\"\n"), @r#"
    lambda-src/hello/function.toml: `package = "image"` needs a table [image] with `base`
    hint: name the base by digest, as in base = "public.ecr.aws/lambda/provided:al2023@sha256:…"
    "#);
    insta::assert_snapshot!(failure_text(path, "runtime = \"provided.al2023\"\nmemory = 128\n[build]\nwith = \"cargo\"\n"), @r"
    lambda-src/hello/function.toml:2: unknown key `memory`
    2 | memory = 128
      | ^^^^^^
    hint: allowed here: runtime, handler, handler_in_layer, architecture, package, first_version, build, image, smoke, deployment_tests, before_traffic
    ");
}

#[test]
fn smoke_request_mistakes_are_reported() {
    let path = "lambda-src/hello/function.toml";
    let smoke = |text: &str| {
        failure_text(
            path,
            &format!(
                "runtime = \"provided.al2023\"\n[build]\nwith = \"cargo\"\n[[smoke]]\nname = \"x\"\n{text}\n"
            ),
        )
    };
    insta::assert_snapshot!(smoke("request = { path = \"things\" }"), @r#"lambda-src/hello/function.toml: the smoke event `x`: `path = "things"` must begin with /"#);
    insta::assert_snapshot!(smoke("request = { path = \"/${id}\" }"), @"lambda-src/hello/function.toml: the smoke event `x` uses ${id}, which no earlier smoke event captures");
    insta::assert_snapshot!(smoke("request = { path = \"/\" }\nevent = { a = 1 }"), @"lambda-src/hello/function.toml: the smoke event `x` has both `event` and `request`");
    insta::assert_snapshot!(smoke("request = { path = \"/\" }\ncapture = { id = \"id\" }"), @r#"lambda-src/hello/function.toml: the smoke event `x`: `id = "id"` must be a JSON pointer such as /body/id"#);
    insta::assert_snapshot!(smoke("request = { path = \"/\" }\nexpect_error = \"E\""), @"lambda-src/hello/function.toml: the smoke event `x` is a request: write `expect = { status = … }` instead of `expect_error`");
}

#[test]
fn python_and_command_build_mistakes_are_reported() {
    let path = "lambda-src/hello/function.toml";
    let python = |runtime: &str, handler: &str, build: &str| {
        failure_text(
            path,
            &format!("runtime = \"{runtime}\"\n{handler}\n[build]\nwith = \"python\"\n{build}\n"),
        )
    };
    let handler = "handler = \"app.main.handle\"";
    insta::assert_snapshot!(python("python3.9", handler, "sources = [\"src/app\"]"), @r#"
    lambda-src/hello/function.toml: with = "python" needs a Python runtime, not `python3.9`
    hint: allowed here: python3.10, python3.11, python3.12, python3.13, python3.14
    "#);
    insta::assert_snapshot!(python("python3.13", "", "sources = [\"src/app\"]"), @r#"
    lambda-src/hello/function.toml: missing key `handler`: the function that python3.13 calls
    hint: write module.function, as in handler = "ingest.app.handle"
    "#);
    insta::assert_snapshot!(python("python3.13", "handler = \"main\"", "sources = [\"src/app\"]"), @r#"
    lambda-src/hello/function.toml: `handler = "main"` is not a valid Python handler
    hint: write module.function, as in handler = "ingest.app.handle"
    "#);
    insta::assert_snapshot!(python("python3.13", handler, ""), @r#"
    lambda-src/hello/function.toml:3: missing key `sources`
    3 | [build]
      | ^^^^^^^
    "#);
    insta::assert_snapshot!(python("python3.13", handler, "sources = []"), @r#"
    lambda-src/hello/function.toml: `sources` is empty
    hint: name the folder of your package, as in sources = ["src/ingest"]
    "#);
    insta::assert_snapshot!(python("python3.13", handler, "sources = [\"../other\"]"), @r#"
    lambda-src/hello/function.toml: `sources` names "../other", which is not a path below the function's folder
    hint: write it relative to the folder of function.toml, without . and ..; for a folder that functions share, relative to the project with a leading slash, as in "/lambda-src/common"
    "#);
    insta::assert_snapshot!(python("python3.13", handler, "sources = [\"src/app\", \"/lambda-src/shared/app\"]"), @r#"
    lambda-src/hello/function.toml: `/lambda-src/shared/app` and `src/app` in `sources` would both be `app` in the artifact
    hint: rename one of the two folders: each source keeps its last name
    "#);
    for outside in ["/", "/../other", "/lambda-src/../../other"] {
        let said = python("python3.13", handler, &format!("sources = [{outside:?}]"));
        assert!(said.contains("which is not a path below the function's folder"), "{said}");
    }
    insta::assert_snapshot!(python("python3.13", handler, "sources = [\"src/app\"]\nlock = \"/tmp/lock\""), @r#"
    lambda-src/hello/function.toml: `lock` names "/tmp/lock", which is not a path below the function's folder
    hint: write it relative to the folder of function.toml, without . and ..
    "#);
    let command = |build: &str| {
        failure_text(path, &format!("runtime = \"provided.al2023\"\n[build]\nwith = \"command\"\n{build}\n"))
    };
    insta::assert_snapshot!(command("run = \"make\""), @r#"
    lambda-src/hello/function.toml:2: missing key `output`
    2 | [build]
      | ^^^^^^^
    "#);
    insta::assert_snapshot!(command("run = []\noutput = \"dist\""), @r#"lambda-src/hello/function.toml: `run` is empty"#);
    insta::assert_snapshot!(command("run = \"make\"\noutput = \".\""), @r#"
    lambda-src/hello/function.toml: `output` names ".", which is not a path below the function's folder
    hint: write it relative to the folder of function.toml, without . and ..
    "#);
    insta::assert_snapshot!(command("run = \"make\"\noutput = \"dist\"\nwithin = \"soon\""), @r#"
    lambda-src/hello/function.toml:2: `soon` is not a valid duration: write a number and ms, s, m or h, such as "3s"
    2 | [build]
      | ^^^^^^^
    "#);
}

#[test]
fn python_handlers_are_taken_as_lambda_takes_them() {
    let load = |handler: &str| {
        let text = format!(
            "runtime = \"python3.13\"\nhandler = \"{handler}\"\n[build]\nwith = \"python\"\nsources = [\"src/app\"]\n"
        );
        let folder = project();
        write(folder.path(), "lambda-src/hello/function.toml", &text);
        Project::load(folder.path())
    };
    for good in
        ["app.handle", "lambda-function.handle", "src/my-func.handle", "app.v1-2.main.handle", "größe.handle"]
    {
        load(good).expect(good);
    }
    for bad in ["handle", ".handle", "app.", "app..handle", "app.my-handle", "a b.handle", "src//app.handle"]
    {
        assert!(load(bad).is_err(), "{bad}");
    }
}

#[test]
fn handler_of_a_layer_does_not_fit_a_rust_function() {
    let path = "lambda-src/hello/function.toml";
    insta::assert_snapshot!(failure_text(path, "runtime = \"provided.al2023\"\nhandler_in_layer = true\n[build]\nwith = \"cargo\"\n"), @r#"
    lambda-src/hello/function.toml: `handler_in_layer = true` does not fit with = "cargo": the binary that is built is the `bootstrap`
    hint: remove the key
    "#);
}
