//! Where releases and deployments come from: versions on several branches, and two projects that share buckets.
//!
//! In: accounts of the emulated AWS, with administrator credentials; a function that a command builds; stacks without a provider.

use super::support::TestRun;
use super::support::account::Account;
use super::support::process::Finished;
use super::support::sandbox::{Sandbox, init_repository};
use super::support::settings_files::{environment_in_account, project_with_store};
use crate::require;

const CODE: &str = "lambda-src/api/src/index.js";
const DEV: &str = "terraform/environments/dev/environment.toml";

const FUNCTION: &str = r#"runtime = "nodejs22.x"
handler = "index.handler"

[build]
with = "command"
run = "cp src/index.js dist/index.js"
output = "dist"
"#;

const STACK: &str = r#"terraform {
  backend "s3" {}
}

resource "terraform_data" "table" {
  input = "one"
}
"#;

/// A project with one function and one stack, which does not run the function.
struct Project {
    sandbox: Sandbox,
    name: &'static str,
    store: String,
    state: String,
}

impl Project {
    fn new(test_run: &'static TestRun, name: &'static str) -> Self {
        let sandbox = Sandbox::new(test_run);
        let id = sandbox.account.id.clone();
        let project = Self {
            sandbox,
            name,
            store: format!("shop-{id}-artifacts"),
            state: format!("shop-{id}-dev-state"),
        };
        project.account().create_bucket(&project.store);
        project.account().create_bucket(&project.state);
        project.write_files("", "");
        init_repository(&project.sandbox.folder);
        project
    }

    /// Creates another project over the same account and the same buckets.
    fn beside(&self, name: &'static str) -> Self {
        let parent = self.sandbox.test_run.folder.join(format!("{}-{name}", self.account().id));
        let sandbox = Sandbox::within(self.sandbox.test_run, self.account().clone(), &parent);
        let project = Self { sandbox, name, store: self.store.clone(), state: self.state.clone() };
        project.write_files("", "");
        init_repository(&project.sandbox.folder);
        project
    }

    /// Writes the project's files; `store` and `state` are further lines of these tables.
    fn write_files(&self, store: &str, state: &str) {
        let id = &self.account().id;
        for (path, text) in [
            ("pipelines/project.toml", project_with_store(self.name, id, &self.store) + store),
            (DEV, environment_in_account(id, &self.state) + state),
            (".gitignore", "/target/\n**/.terraform/\ndist/\n".to_owned()),
            ("lambda-src/api/function.toml", FUNCTION.to_owned()),
            (CODE, code(0)),
            ("terraform/stacks/data/main.tf", STACK.to_owned()),
            ("terraform/stacks/data/stack.toml", String::new()),
        ] {
            self.sandbox.write(path, &text);
        }
    }

    fn account(&self) -> &Account {
        &self.sandbox.account
    }

    fn run(&self, arguments: &[&str]) -> Finished {
        self.sandbox.run_as_administrator_of(self.account(), arguments)
    }

    fn commit(&self, number: u32, message: &str) -> String {
        self.sandbox.write(CODE, &code(number));
        self.sandbox.commit(message)
    }
}

fn code(number: u32) -> String {
    format!("exports.handler = async () => {number};\n")
}

#[test]
fn repair_of_an_earlier_release_is_published_on_its_own_line_and_the_later_line_names_it() {
    let test_run = require!(TestRun::shared());
    let project = Project::new(test_run, "shop");
    let release = ["release", "api"];
    let first = project.commit(1, "feat: one");
    project.run(&release).exits(0).says("first release: 0.1.0");
    project.commit(2, "feat: two\nas the accountants ask");
    project.run(&release).exits(0).says("1 change since 0.1.0: 0.2.0");
    project.commit(3, "Merged PR 42: feat!: three");
    project.run(&release).exits(0).says("1 change since 0.2.0: 0.3.0");

    project.sandbox.branch("hotfix", &first);
    let repair = project.commit(11, "fix: one");
    project.run(&release).exits(0).says("1 change since 0.1.0, as 0.3.0 is not in this history: 0.1.1");

    project.sandbox.check_out("main");
    let again = project.run(&release).exits(0);
    assert!(again.stdout.contains("api 0.3.0") && !again.ran_step("publish"), "{again}");
    project.sandbox.branch("topic", &first);
    project.commit(12, "feat: other");
    project
        .run(&release)
        .exits(6)
        .says("`api` needs a new minor version after 0.1.0, and 0.2.0 is a release")
        .says("--version 0.4.0");
    project.sandbox.check_out("main");
    project.commit(4, "no convention");
    project
        .run(&release)
        .exits(0)
        .says("1 change since 0.3.0 that says no type: 0.3.1")
        .says(&format!("0.1.1's commit {} is not in this history", &repair[..7]));
    // The same inputs as a release that is not the newest one.
    project.commit(3, "revert: to three");
    let again = project.run(&release).exits(0).says("0.3.0 has the same inputs and is taken again");
    assert!(!again.ran_step("publish"), "{again}");
    // As the one job of CI does that may.
    let remote = project.sandbox.home.join("remote.git");
    git2::Repository::init_bare(&remote).expect("a bare repository");
    let git = git2::Repository::open(&project.sandbox.folder).expect("a repository");
    git.remote("origin", &remote.display().to_string()).expect("a remote");
    project.run(&["tags", "--push"]).exits(0).says("release tags on the remote.");
}

#[test]
fn two_projects_that_share_buckets_refuse_each_other_until_they_have_a_prefix() {
    let test_run = require!(TestRun::shared());
    let shop = Project::new(test_run, "shop");
    let mini = shop.beside("mini");
    let (deploy, release) = (["deploy", "--stack", "data", "--env", "dev", "--yes"], ["release", "api"]);
    shop.run(&deploy).exits(0).says("data is applied in dev.");
    shop.run(&release).exits(0).says("0.1.0");
    let (state, store) = (shop.account().keys(&shop.state), shop.account().keys(&shop.store));
    assert!(state.contains(&"ledger/data/project.json".to_owned()), "{state:?}");
    assert!(store.contains(&"releases/api/project.shop.json".to_owned()), "{store:?}");

    for command in [
        &deploy[..],
        &["plan", "--env", "dev"],
        &["destroy", "--env", "dev", "--yes"],
        &["recover", "--env", "dev", "--yes"],
        &["history", "--env", "dev"],
        &["status", "--env", "dev"],
    ] {
        let refused = mini.run(command).exits(6);
        let refused = refused.says("the stack `data`").says("belongs to the project shop, and this is mini");
        assert!(!refused.ran_step("plan"), "{refused}");
    }
    mini.run(&release)
        .exits(6)
        .says("the releases of `api`")
        .says("belong to the project shop, and this is mini");
    assert_eq!(shop.account().keys(&shop.state), state, "something was written");
    assert_eq!(shop.account().keys(&shop.store), store, "something was written");

    // With prefixes both have keys of their own.
    mini.write_files("prefix = \"mini/\"\n", "prefix = \"mini/\"\n");
    mini.sandbox.commit("build: keys of its own");
    mini.run(&deploy).exits(0).says("data is applied in dev.");
    mini.run(&release).exits(0).says("0.1.0");
    let added: Vec<String> = [&shop.state, &shop.store]
        .into_iter()
        .flat_map(|bucket| shop.account().keys(bucket))
        .filter(|key| !state.contains(key) && !store.contains(key))
        .collect();
    assert!(added.contains(&"mini/data.tfstate".to_owned()), "{added:?}");
    assert!(added.iter().all(|key| key.starts_with("mini/")), "{added:?}");
    shop.run(&["plan", "--env", "dev", "--exit-code"]).exits(0);
    // A prefix that is set later would hide what is there.
    shop.write_files("", "prefix = \"shop/\"\n");
    shop.run(&deploy)
        .exits(6)
        .says("the ledger and the state of `data` in dev are in s3://")
        .says("without the prefix that is set now")
        .says("/shop/data.tfstate");
    mini.run(&["plan", "--env", "dev", "--exit-code"]).exits(0);
}

#[test]
fn ledger_from_before_there_were_markers_is_used_where_it_is_or_claimed() {
    let test_run = require!(TestRun::shared());
    let shop = Project::new(test_run, "shop");
    let deploy = ["deploy", "--stack", "data", "--env", "dev", "--yes"];
    shop.run(&deploy).exits(0);
    // As an earlier version left it: entries without a marker.
    shop.account().delete(&shop.state, "ledger/data/project.json");
    shop.run(&["plan", "--env", "dev", "--exit-code"]).exits(0);
    shop.sandbox.write("terraform/stacks/data/main.tf", &STACK.replace("one", "two"));
    shop.sandbox.commit("feat: two");
    shop.run(&deploy).exits(0).says("data is applied in dev.");
    let keys = shop.account().keys(&shop.state);
    assert!(keys.contains(&"ledger/data/project.json".to_owned()), "the next entry marks it: {keys:?}");

    // Another project, to which nothing in it belongs.
    shop.account().delete(&shop.state, "ledger/data/project.json");
    let mini = shop.beside("mini");
    mini.run(&deploy)
        .exits(6)
        .says("the ledger of `data` in dev may be another project's")
        .says("cargo xtask claim data --env dev");
    mini.run(&["claim", "data", "--env", "dev"]).exits(6).says("there is no terminal to ask at");
    mini.run(&["claim", "data", "--env", "dev", "--yes"])
        .exits(0)
        .says("Marked as mini's: the ledger and the state of `data` in dev.");
    mini.run(&["plan", "--env", "dev"]).exits(0);
    shop.run(&deploy).exits(6).says("belongs to the project mini, and this is shop");
    shop.run(&["claim", "data", "--env", "dev", "--yes", "--from", "mini"]).exits(0);
    shop.run(&deploy).exits(0);
}

#[test]
fn protected_environment_takes_no_settings_that_the_commit_does_not_hold() {
    let test_run = require!(TestRun::shared());
    let shop = Project::new(test_run, "shop");
    let deploy = ["deploy", "--stack", "data", "--env", "dev", "--yes"];
    let settings = std::fs::read_to_string(shop.sandbox.folder.join(DEV)).expect("the settings");
    let protected = format!("protected = true\n{settings}");
    shop.sandbox.write(DEV, &protected);
    shop.run(&deploy).exits(6).says(
        "dev is protected and terraform/environments/dev/environment.toml has changes that are not committed",
    );
    shop.sandbox.commit("feat: protect dev");
    shop.run(&deploy).exits(0);
    let before = shop.account().keys(&shop.state);

    // Taking the protection away without a commit does not help.
    shop.sandbox.write(DEV, &settings);
    shop.run(&deploy)
        .exits(6)
        .says("dev is protected and terraform/environments/dev/environment.toml has changes");
    shop.sandbox.write(DEV, &protected);
    let ignored = "terraform/environments/dev/data.tfvars.json";
    shop.sandbox.write(".git/info/exclude", "*.tfvars.json\n");
    shop.sandbox.write(ignored, "{}\n");
    shop.run(&deploy).exits(6).says(&format!("dev is protected and {ignored} is ignored by git"));
    std::fs::remove_file(shop.sandbox.folder.join(ignored)).expect("that file");
    let project = shop.sandbox.folder.join("pipelines/project.toml");
    let text = std::fs::read_to_string(&project).expect("the settings");
    shop.sandbox.write("pipelines/project.toml", &format!("{text}\n# changed\n"));
    shop.run(&deploy).exits(6).says("dev is protected and pipelines/project.toml has changes");
    shop.sandbox.write("pipelines/project.toml", &text);
    // An index that cannot be read is not a clean one.
    let index = shop.sandbox.folder.join(".git/index");
    let bytes = std::fs::read(&index).expect("the index");
    std::fs::write(&index, b"not an index").expect("a broken index");
    shop.run(&deploy).exits(6).says("git cannot say whether the files of `data` are committed");
    std::fs::write(&index, bytes).expect("the index");
    assert_eq!(shop.account().keys(&shop.state), before, "something was written");

    // A commit that takes it away is weaker than what the ledger has.
    shop.sandbox.write(DEV, &settings);
    shop.sandbox.commit("feat: open dev");
    let plan = [&deploy[..], &["--plan"]].concat();
    shop.run(&plan)
        .exits(6)
        .says("the trust settings of dev are weaker than at deployment 1 of `data`")
        .says("protected = true before, now false");
    shop.run(&[&plan[..], &["--accept-weaker-trust"]].concat()).exits(0);
    let history = shop.run(&["history", "--env", "dev", "--output", "json"]).exits(0).json();
    let trust = &history["data"]["deployments"][0]["trust"];
    assert_eq!(trust["accepted_weaker"][0], "protected = true before, now false", "{trust}");
    shop.run(&deploy).exits(0);
}
