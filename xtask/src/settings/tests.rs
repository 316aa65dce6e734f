//! Projects with one mistake each, and the failure that reports it.

mod function_file;

use std::path::Path;

use super::{EnvironmentAccount, ProcessEnvironment, Project, StackSettings, stack_graph};
use crate::failure::{ErrorReport, FailureKind};

/// A project without mistakes.
const FILES: [(&str, &str); 5] = [
    ("pipelines/project.toml", "schema = 1\nname = \"shop\"\n"),
    (
        "lambda-src/hello/function.toml",
        "runtime = \"provided.al2023\"\n\n[build]\nwith = \"cargo\"\n\n[[smoke]]\nname = \"greets\"\nexpect = { a = 1 }\nwithin = \"3s\"\n",
    ),
    ("terraform/stacks/web/stack.toml", "functions = [\"hello\"]\n"),
    ("terraform/environments/local/environment.toml", "emulated = true\n"),
    (
        "terraform/environments/prod/environment.toml",
        "account = \"333333333333\"\nregion = \"eu-central-1\"\nprotected = true\n\n[state]\nbucket = \"b\"\n",
    ),
];

pub(super) fn project() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    FILES.iter().for_each(|(path, text)| write(folder.path(), path, text));
    folder
}

pub(super) fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// Loads the project with one file as given.
fn report_of(path: &str, text: &str) -> ErrorReport {
    let folder = project();
    write(folder.path(), path, text);
    let failure = Project::load(folder.path()).expect_err(text);
    assert_eq!(failure.kind(), FailureKind::Usage, "{failure}");
    failure.report()
}

/// Returns the message, body and hint for a project with one file as given.
fn failure_text(path: &str, text: &str) -> String {
    let report = report_of(path, text);
    let parts = [Some(report.message), report.body, report.hint.map(|hint| format!("hint: {hint}"))];
    parts.into_iter().flatten().collect::<Vec<_>>().join("\n")
}

#[test]
fn project_is_loaded_from_any_of_its_folders() {
    let folder = project();
    let project = Project::load(&folder.path().join("lambda-src/hello")).unwrap();
    assert_eq!(project.root, folder.path());
    let hello = "hello".parse().unwrap();
    let settings = project.function(&hello).unwrap();
    assert_eq!((settings.handler.as_str(), settings.architecture.as_str()), ("bootstrap", "x86_64"));
    assert_eq!(settings.first_version.to_string(), "0.1.0");
    assert_eq!(settings.smoke[0].within.as_secs(), 3);
    assert!(!settings.smoke[0].safe);
    assert_eq!(project.stack_of(&hello).unwrap().as_str(), "web");
    let prod = project.environment(&"prod".parse().unwrap()).unwrap();
    assert!(prod.protected && prod.signatures_required, "required where nothing is said");
    assert!(
        matches!(&prod.account, EnvironmentAccount::Cloud(cloud) if cloud.account == "333333333333" && cloud.state_bucket == "b")
    );
    let local = project.environment(&"local".parse().unwrap()).unwrap();
    assert!(local.is_emulated() && !local.protected);
}

#[test]
fn folder_outside_a_project_is_refused_with_the_missing_file() {
    let folder = tempfile::tempdir().unwrap();
    let report = Project::load(folder.path()).unwrap_err().report();
    assert!(
        report.message.starts_with("no project here")
            && report.message.ends_with("has pipelines/project.toml")
    );
}

#[test]
fn project_file_mistakes_are_reported() {
    let path = "pipelines/project.toml";
    insta::assert_snapshot!(failure_text(path, "schema = 1\nnme = \"shop\"\n"), @r#"
    pipelines/project.toml:2: unknown key `nme`
    2 | nme = "shop"
      | ^^^ did you mean `name`?
    hint: allowed here: schema, name, terraform, tag_prefix, store, builders, plan, tools, checks, tests
    "#);
    insta::assert_snapshot!(failure_text(path, "schema = 2\nname = \"shop\"\n"), @r"
    pipelines/project.toml:1: schema 2 is not known to this version of Slipway, which reads schema 1
    1 | schema = 2
      |          ^
    ");
    insta::assert_snapshot!(failure_text(path, "schema = 1\nname = \"The Shop\"\n"), @r#"
    pipelines/project.toml:2: `The Shop` is not a valid project name: lower-case letters, digits and hyphens, at most 20 characters
    2 | name = "The Shop"
      |        ^^^^^^^^^^
    "#);
    insta::assert_snapshot!(failure_text(path, "schema = 1\n"), @r"
    pipelines/project.toml:1: missing key `name`
    1 | schema = 1
      | ^
    ");
    insta::assert_snapshot!(failure_text(path, "schema = 1\nname = \"shop\"\n[checks.fmt]\nrun = \"cargo fmt\"\nwithin = \"10 minutes\"\n"), @r#"
    pipelines/project.toml:5: `10 minutes` is not a valid duration: write a number and ms, s, m or h, such as "3s"
    5 | within = "10 minutes"
      |          ^^^^^^^^^^^^
    "#);
    insta::assert_snapshot!(failure_text(path, "schema = 1\nname = \"shop\"\n[checks.fmt]\nrun = \"cargo fmt\"\nfunctions = [\"helo\"]\n"), @r"
    pipelines/project.toml: the check `fmt` is for `helo`, which has no lambda-src/helo/function.toml
    hint: functions here: hello
    ");
    insta::assert_snapshot!(failure_text(path, "schema = 1\nname = \"shop\n"), @r#"
    pipelines/project.toml:2: invalid basic string, expected `"`
    2 | name = "shop
      |             ^
    "#);
}

#[test]
fn stack_file_mistakes_are_reported() {
    let path = "terraform/stacks/web/stack.toml";
    insta::assert_snapshot!(failure_text(path, "function = [\"hello\"]\n"), @r#"
    terraform/stacks/web/stack.toml:1: unknown key `function`
    1 | function = ["hello"]
      | ^^^^^^^^ did you mean `functions`?
    hint: allowed here: functions, after, protect, files, inputs, environments, github, before_traffic
    "#);
    insta::assert_snapshot!(failure_text(path, "functions = [\"Hello\"]\n"), @r#"
    terraform/stacks/web/stack.toml:1: `Hello` is not a valid function name: lower-case letters, digits and single hyphens, beginning with a letter, at most 40 characters
    1 | functions = ["Hello"]
      |             ^^^^^^^^^
    "#);
    insta::assert_snapshot!(failure_text(path, "functions = [\"helo\"]\n"), @r"
    terraform/stacks/web/stack.toml: `functions` names `helo`, which has no lambda-src/helo/function.toml
    hint: functions here: hello
    ");
    insta::assert_snapshot!(failure_text(path, "after = [\"network\"]\n"), @r"
    terraform/stacks/web/stack.toml: unknown stack `network`
    hint: stacks here: web
    ");
    insta::assert_snapshot!(failure_text(path, "[inputs]\nids = \"network\"\n"), @r#"
    terraform/stacks/web/stack.toml: `ids = "network"` under [inputs] must be "<stack>.<output>"
    hint: such as subnet_ids = "network.private_subnet_ids"
    "#);
    insta::assert_snapshot!(failure_text(path, "[inputs]\nids = \"wbe.ids\"\n"), @r"
    terraform/stacks/web/stack.toml: unknown stack `wbe`
    hint: stacks here: web
    ");
    insta::assert_snapshot!(failure_text(path, "[inputs]\nreleases = \"web.ids\"\n"), @"terraform/stacks/web/stack.toml: [inputs] names `releases`, which Slipway sets itself");
    insta::assert_snapshot!(failure_text(path, "after = [\"web\"]\n"), @r"
    stacks depend on each other: `web` -> `web`
    hint: remove one of them from `after` or [inputs] in its stack.toml
    ");
    insta::assert_snapshot!(failure_text("terraform/stacks/api/stack.toml", "functions = [\"hello\"]\n"), @"`hello` is in two stacks, `api` and `web`: only one stack may run a function");
}

#[test]
fn environment_file_mistakes_are_reported() {
    let path = "terraform/environments/prod/environment.toml";
    insta::assert_snapshot!(failure_text(path, "account = \"333333333333\"\nregion = \"eu-central-1\"\nprotect = true\n[state]\nbucket = \"b\"\n"), @r"
    terraform/environments/prod/environment.toml:3: unknown key `protect`
    3 | protect = true
      | ^^^^^^^ did you mean `protected`?
    hint: allowed here: emulated, account, region, role, read_role, external_id, promote_from, protected, signatures, trusted_keys, provenance, state, plan, stacks
    ");
    insta::assert_snapshot!(failure_text(path, "account = \"3333\"\nregion = \"eu-central-1\"\n[state]\nbucket = \"b\"\n"), @r#"terraform/environments/prod/environment.toml: `account = "3333"` must be 12 digits"#);
    insta::assert_snapshot!(failure_text(path, "account = 333333333333\nregion = \"eu-central-1\"\n"), @r"
    terraform/environments/prod/environment.toml:1: invalid type: integer `333333333333`, expected a string
    1 | account = 333333333333
      |           ^^^^^^^^^^^^
    ");
    insta::assert_snapshot!(failure_text(path, "region = \"eu-central-1\"\n"), @"terraform/environments/prod/environment.toml: missing key `account`: the 12 digits of the AWS account");
    insta::assert_snapshot!(failure_text(path, "account = \"333333333333\"\nregion = \"eu-central-1\"\n"), @"terraform/environments/prod/environment.toml: missing table `[state]` with `bucket`, the bucket that stores state and ledger");
    insta::assert_snapshot!(failure_text(path, "account = \"333333333333\"\nregion = \"eu-central-1\"\nsignatures = \"requried\"\n"), @r#"
    terraform/environments/prod/environment.toml:3: unknown value `requried`
    3 | signatures = "requried"
      |              ^^^^^^^^^^ did you mean `required`?
    hint: allowed here: required, optional
    "#);
    insta::assert_snapshot!(failure_text("terraform/environments/local/environment.toml", "emulated = true\nsignatures = \"required\"\n"), @r#"
    terraform/environments/local/environment.toml: `signatures = "required"` needs `trusted_keys`: without them no release could be deployed
    hint: create a key with cargo xtask key new and add its .pub.pem: trusted_keys = ["keys/release.pub.pem"]
    "#);
    insta::assert_snapshot!(failure_text("terraform/environments/local/environment.toml", "emulated = true\n[provenance]\nref = \"refs/heads/main\"\n"), @r#"terraform/environments/local/environment.toml: `[provenance]` needs `signatures = "required"`: only a signature proves what provenance claims"#);
    let local = "terraform/environments/local/environment.toml";
    insta::assert_snapshot!(failure_text(local, "emulated = true\npromote_from = \"devv\"\n"), @r"
    terraform/environments/local/environment.toml: `promote_from` names the unknown environment `devv`
    hint: environments here: prod, local
    ");
    insta::assert_snapshot!(failure_text(local, "emulated = true\npromote_from = \"local\"\n"), @r"
    terraform/environments/local/environment.toml: `promote_from` leads back to `local`
    hint: an environment is promoted from one that comes before it
    ");
    insta::assert_snapshot!(failure_text(local, "emulated = true\n[stacks.wbe]\nenabled = false\n"), @r"
    terraform/environments/local/environment.toml: unknown stack `wbe`
    hint: stacks here: web
    ");
    insta::assert_snapshot!(failure_text(local, "emulated = true\n[stacks.web]\nfunctions = [\"helo\"]\n"), @r"
    terraform/environments/local/environment.toml: the stack `web` does not run `helo`
    hint: it runs hello
    ");
    insta::assert_snapshot!(failure_text("terraform/environments/local/environment.toml", "emulated = true\naccount = \"333333333333\"\n"), @"terraform/environments/local/environment.toml: an emulated environment cannot set `account`, `region`, `role`, `read_role`, `external_id` or `[state]`: the local emulator provides them");
}

#[test]
fn environment_runs_the_stacks_and_functions_that_it_selects() {
    let folder = project();
    write(folder.path(), "terraform/stacks/base/stack.toml", "");
    write(folder.path(), "terraform/stacks/web/stack.toml", "functions = [\"hello\"]\nafter = [\"base\"]\n");
    let local = "terraform/environments/local/environment.toml";
    write(folder.path(), local, "emulated = true\n[stacks.web]\nfunctions = []\n");
    let project = Project::load(folder.path()).unwrap();
    let (local_name, prod) = ("local".parse().unwrap(), "prod".parse().unwrap());
    let web = "web".parse().unwrap();
    assert!(project.stack_in(&local_name, &web).unwrap().functions.is_empty());
    assert_eq!(project.stack_in(&prod, &web).unwrap().functions.len(), 1);
    write(folder.path(), local, "emulated = true\n[stacks.web]\nenabled = false\n");
    let project = Project::load(folder.path()).unwrap();
    assert!(
        project.stack_in(&local_name, &web).unwrap_err().message().contains("does not run the stack `web`")
    );
    write(folder.path(), local, "emulated = true\n[stacks.base]\nenabled = false\n");
    let failure = Project::load(folder.path()).unwrap_err();
    assert!(
        failure.message().ends_with("`web` depends on the stack `base`, which is not enabled there"),
        "{failure}"
    );
}

#[test]
fn stack_takes_further_inputs_in_one_environment() {
    let folder = project();
    write(folder.path(), "terraform/stacks/base/stack.toml", "");
    let stack = "terraform/stacks/web/stack.toml";
    let joined = "[environments.prod.inputs]\nsubnet_ids = \"base.subnet_ids\"\n";
    write(folder.path(), stack, &format!("functions = [\"hello\"]\n{joined}"));
    write(
        folder.path(),
        "terraform/environments/local/environment.toml",
        "emulated = true\n[stacks.base]\nenabled = false\n",
    );
    let project = Project::load(folder.path()).unwrap();
    let (local, prod) = ("local".parse().unwrap(), "prod".parse().unwrap());
    let web: crate::name::StackName = "web".parse().unwrap();
    assert!(project.stack_in(&local, &web).unwrap().inputs.is_empty());
    let inputs = project.stack_in(&prod, &web).unwrap().inputs;
    assert_eq!(inputs["subnet_ids"].to_string(), "base.subnet_ids");
    let order = stack_graph::apply_order(&project.stacks_in(&prod).unwrap());
    assert_eq!(order, ["base".parse().unwrap(), web]);

    // A copy of the files that were applied has them, too.
    let kept = StackSettings::load_from_copy(folder.path(), &"web".parse().unwrap()).unwrap();
    assert_eq!(kept.in_environment(&prod).inputs, inputs);

    insta::assert_snapshot!(failure_text(stack, &joined.replace("prod", "staging")), @r"
    terraform/stacks/web/stack.toml: [environments.staging] names an unknown environment
    hint: environments here: local, prod
    ");
    insta::assert_snapshot!(failure_text(stack, &joined.replace("base.", "bese.")), @r"
    terraform/stacks/web/stack.toml: unknown stack `bese`
    hint: stacks here: web
    ");
    insta::assert_snapshot!(failure_text(stack, "[environments.prod.inputs]\nreleases = \"base.releases\"\n"), @"terraform/stacks/web/stack.toml: [environments.prod.inputs] names `releases`, which Slipway sets itself");
}

#[test]
fn external_id_is_sent_with_a_role() {
    let cloud = "terraform/environments/prod/environment.toml";
    let text = |lines: &str| {
        format!("account = \"333333333333\"\nregion = \"eu-central-1\"\n{lines}\n[state]\nbucket = \"b\"\n")
    };
    let folder = project();
    let role = "role = \"arn:aws:iam::333333333333:role/ci\"\n";
    write(folder.path(), cloud, &text(&format!("{role}external_id = \"shop-jenkins\"")));
    let project = Project::load(folder.path()).unwrap();
    let prod = "prod".parse().unwrap();
    let EnvironmentAccount::Cloud(account) = &project.environment(&prod).unwrap().account else {
        panic!("prod is an account of AWS")
    };
    assert_eq!(account.external_id.as_deref(), Some("shop-jenkins"));
    insta::assert_snapshot!(failure_text(cloud, &text("external_id = \"shop-jenkins\"")), @"terraform/environments/prod/environment.toml: `external_id` needs `role`: it is sent as that role is assumed");
    insta::assert_snapshot!(failure_text(cloud, &text(&format!("{role}external_id = \"a b\""))), @"terraform/environments/prod/environment.toml: `external_id` must be 2 to 1224 letters, digits and characters of _+=,.@:/-: the limit of STS");
}

#[test]
fn store_is_the_local_one_unless_the_project_or_the_command_names_another() {
    let folder = project();
    let (local, prod) = ("local".parse().unwrap(), "prod".parse().unwrap());
    let project = Project::load(folder.path()).unwrap();
    assert_eq!(project.store_environment(None), Some(&local));
    assert_eq!(project.store_environment(Some(&prod)), Some(&prod));
    assert_eq!(project.environments_of_store(Some(&local)), [&local]);
    let store = "[store]\naccount = \"111111111111\"\nregion = \"eu-central-1\"\nbucket = \"b\"\n";
    write(folder.path(), "pipelines/project.toml", &format!("{}{store}", FILES[0].1));
    let project = Project::load(folder.path()).unwrap();
    assert_eq!(project.store_environment(None), None);
    assert_eq!(
        project.environments_of_store(None),
        [&prod],
        "the emulated environment has a store of its own"
    );
}

#[test]
fn folder_name_must_be_a_valid_name() {
    insta::assert_snapshot!(failure_text("terraform/environments/Prod_EU/environment.toml", "emulated = true\n"), @"terraform/environments/Prod_EU/environment.toml: `Prod_EU` is not a valid environment name: lower-case letters, digits and single hyphens, beginning with a letter, at most 40 characters");
    insta::assert_snapshot!(failure_text("lambda-src/hello_world/function.toml", ""), @"lambda-src/hello_world/function.toml: `hello_world` is not a valid function name: lower-case letters, digits and single hyphens, beginning with a letter, at most 40 characters");
}

#[test]
fn unknown_name_is_reported_with_the_nearest_ones() {
    let folder = project();
    let project = Project::load(folder.path()).unwrap();
    let unknown = |report: ErrorReport| format!("{}\n{}", report.message, report.hint.unwrap_or_default());
    let failure = project.function(&"helo".parse().unwrap()).unwrap_err();
    assert_eq!(unknown(failure.report()), "unknown function `helo`\nfunctions here: hello");
    let failure = project.environment(&"prd".parse().unwrap()).unwrap_err();
    assert_eq!(unknown(failure.report()), "unknown environment `prd`\nenvironments here: prod, local");
    let failure = project.stack_of(&"other".parse().unwrap()).unwrap_err();
    assert!(
        unknown(failure.report()).starts_with("no stack runs the function `other`\nadd it to `functions`")
    );
    std::fs::remove_dir_all(folder.path().join("terraform/environments")).unwrap();
    let project = Project::load(folder.path()).unwrap();
    let failure = project.environment(&"prod".parse().unwrap()).unwrap_err();
    assert!(unknown(failure.report()).ends_with("add terraform/environments/<environment>/environment.toml"));
}

#[test]
fn settings_of_this_repository_have_no_mistakes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let project = Project::load(&root).unwrap();
    assert!(!project.functions.is_empty() && !project.stacks.is_empty() && !project.environments.is_empty());
    for function in project.functions.keys() {
        project.stack_of(function).unwrap();
    }
    ProcessEnvironment::read().unwrap();
}
