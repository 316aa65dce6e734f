//! Accounts bootstrapped with the real provider: once, again, after the loss of their state, and with an archived state.
//!
//! In: the repository's own terraform/bootstrap. The emulator ignores the conditions of bucket policies and takes a minute
//! for lifecycle rules: `emulated = true` omits them. It does not change the encryption of a table either, so that an
//! adopted lock table is planned again in each run.

use std::path::Path;

use serde_json::{Value, json};

use super::support::TestRun;
use super::support::account::Account;
use super::support::machine::repository;
use super::support::process::Finished;
use super::support::sandbox::{Sandbox, init_repository};
use crate::require;

const PROJECT: &str = "pipelines/project.toml";
const DEV: &str = "terraform/environments/dev/environment.toml";

/// A project with its store and dev in one account, prod in another.
struct Accounts {
    sandbox: Sandbox,
    other: Account,
}

impl Accounts {
    fn new(test_run: &'static TestRun) -> Self {
        let (sandbox, other) = (Sandbox::new(test_run), Account::new(test_run));
        sandbox.copy_from_repository("terraform/bootstrap");
        sandbox.copy_from_repository("terraform/modules");
        let (own, prod) = (&sandbox.account.id, &other.id);
        sandbox.write(
            PROJECT,
            &format!(
                "schema = 1\nname = \"shop\"\n\n# Where releases are.\n[store]\naccount = \"{own}\"\nregion = \"eu-central-1\"\nbucket = \"shop-{own}-artifacts\" # ours\n"
            ),
        );
        sandbox.write(
            DEV,
            &format!(
                "# dev\naccount = \"{own}\"\nregion = \"eu-central-1\"\n\n[state]\nbucket = \"shop-{own}-dev-state\"\n"
            ),
        );
        sandbox.write(
            "terraform/environments/prod/environment.toml",
            &format!(
                "account = \"{prod}\"\nregion = \"eu-central-1\"\n\n[state]\nbucket = \"shop-{prod}-prod-state\"\nlock_table = \"shop-{prod}-prod-locks\"\n"
            ),
        );
        sandbox.write("terraform/environments/local/environment.toml", "emulated = true\n");
        let digest = "0".repeat(64);
        sandbox.write(
            "lambda-src/greeter/function.toml",
            &format!(
                "runtime = \"provided.al2023\"\nhandler = \"bootstrap\"\npackage = \"image\"\n[build]\nwith = \"cargo\"\nbinary = \"greeter\"\n[image]\nbase = \"public.ecr.aws/lambda/provided:al2023@sha256:{digest}\"\n"
            ),
        );
        sandbox.write(
            &format!("terraform/bootstrap/{own}.tfvars"),
            "emulated = true\ngithub_repository = \"acme/shop\"\nci = { dev = { github_environment = \"dev\", plan_reads_secrets = true } }\npublisher = { github_environment = \"release\" }\nfunction_roles = { dev = [\"tracer\"] }\n",
        );
        sandbox.write(&format!("terraform/bootstrap/{prod}.tfvars"), "emulated = true\n");
        sandbox.write(".gitignore", "/target/\n**/.terraform/\n");
        init_repository(&sandbox.folder);
        Self { sandbox, other }
    }

    fn commit(&self) {
        self.sandbox.commit("chore: what bootstrap wrote");
    }

    fn run(&self, account: &Account, arguments: &[&str]) -> Finished {
        self.sandbox.run_as_administrator_of(account, arguments)
    }

    /// Bootstraps dev with credentials for the store's account.
    fn bootstrap(&self, more: &[&str]) -> Finished {
        self.run(&self.sandbox.account, &[&["bootstrap", "--env", "dev"], more].concat())
    }

    fn bootstrap_bucket(&self) -> String {
        format!("shop-{}-bootstrap-tfstate", self.sandbox.account.id)
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.sandbox.folder.join(file)).expect(file)
    }
}

/// Everything in an account that bootstrap creates once and must not create twice.
fn account_resources(account: &Account) -> Value {
    let names = |list: &Value, name: &str| -> Vec<Value> {
        list.as_array().expect("a list").iter().map(|item| item[name].clone()).collect()
    };
    let keys = account.call_json("kms", "TrentService.ListKeys", "1.1", &json!({}));
    let aliases = account.call_json("kms", "TrentService.ListAliases", "1.1", &json!({}));
    let aliases: Vec<Value> = aliases["Aliases"]
        .as_array()
        .expect("aliases")
        .iter()
        .filter(|alias| !alias["AliasName"].as_str().is_some_and(|name| name.starts_with("alias/aws/")))
        .map(|alias| json!([alias["AliasName"], alias["TargetKeyId"]]))
        .collect();
    let repositories = account.call_json(
        "ecr",
        "AmazonEC2ContainerRegistry_V20150921.DescribeRepositories",
        "1.1",
        &json!({}),
    );
    let iam = |action: &str, tag: &str| {
        let body = format!("Action={action}&Version=2010-05-08&Scope=Local");
        let xml =
            account.call("iam", "POST", "/", "application/x-www-form-urlencoded", body.as_bytes()).text();
        elements(&xml, tag)
    };
    let buckets = account.call("s3", "GET", "/", "application/octet-stream", b"").text();
    let mut buckets = elements(&buckets, "Name");
    buckets.sort_unstable();
    json!({
        "keys": names(&keys["Keys"], "KeyId"),
        "aliases": aliases,
        "repositories": names(&repositories["repositories"], "repositoryName"),
        "roles": iam("ListRoles", "RoleName"),
        "policies": iam("ListPolicies", "PolicyName"),
        "providers": iam("ListOpenIDConnectProviders", "Arn"),
        "buckets": buckets,
    })
}

fn elements(xml: &str, tag: &str) -> Vec<String> {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    xml.split(&open).skip(1).filter_map(|rest| Some(rest.split_once(&close)?.0.to_owned())).collect()
}

#[test]
fn account_is_bootstrapped_once_adopted_after_state_loss_and_archived() {
    let test_run = require!(TestRun::shared());
    let accounts = Accounts::new(test_run);
    let account = &accounts.sandbox.account;
    let id = &account.id;
    let minimal = accounts.bootstrap_bucket();

    // Nobody confirms: the bucket that Terraform needs exists, and nothing that Terraform creates.
    accounts.bootstrap(&[]).exits(6).says("there is no terminal to ask at").says("Nothing was applied.");
    assert_eq!(account_resources(account)["buckets"], json!([minimal]));

    let first = accounts.bootstrap(&["--yes", "--write", "--output", "json"]).exits(0).json();
    assert_eq!(first["data"]["adopted"], json!([]));
    let made = account_resources(account);
    assert_eq!(
        made["buckets"],
        json!([format!("shop-{id}-artifacts"), minimal, format!("shop-{id}-dev-state")])
    );
    assert_eq!(made["repositories"], json!(["shop/greeter"]));
    assert_eq!(made["keys"].as_array().map(Vec::len), Some(3));
    assert_eq!(made["roles"].as_array().map(Vec::len), Some(4), "{made}");
    let key = edited_value(&first["data"]["files"], "kms_key");
    insta::with_settings!({ filters => vec![(id.as_str(), "[account]"), (key.rsplit('/').next().expect("an id"), "[key]")] }, {
        insta::assert_snapshot!(accounts.read(PROJECT), @r#"
        schema = 1
        name = "shop"

        # Where releases are.
        [store]
        account = "[account]"
        region = "eu-central-1"
        bucket = "shop-[account]-artifacts" # ours
        kms_key = "arn:aws:kms:eu-central-1:[account]:key/[key]"
        repositories = "[account].dkr.ecr.eu-central-1.amazonaws.com/shop"
        signing_key = "alias/shop-release"
        "#);
        insta::assert_snapshot!(accounts.read(DEV), @r#"
        # dev
        account = "[account]"
        region = "eu-central-1"
        role = "arn:aws:iam::[account]:role/slipway/ci/shop-[account]-dev-ci-apply"
        trusted_keys = ["keys/release.pub.pem"]

        [state]
        bucket = "shop-[account]-dev-state"
        "#);
    });
    assert_release_key_is_trusted(&accounts, &first["data"]["trusted_key"]);
    // What it wrote is read by the next run, so it is committed first.
    accounts.bootstrap(&[]).exits(6).says("has changes that are not committed");
    accounts.commit();
    assert_store_is_shared_with_prod(&accounts);
    assert_document_has_policies(&accounts);

    let again = accounts.bootstrap(&[]).exits(0);
    assert!(again.stdout.contains("no changes") && !again.stdout.contains("needs"), "{again}");
    for (name, what) in [
        ("permissions_boundary_arn", "policy/shop-{}-dev-boundary"),
        ("function_role_arn", "role/shop-{}-dev-tracer"),
    ] {
        let line = format!("{name} = \"arn:aws:iam::{id}:{}\"", what.replace("{}", id));
        assert!(again.stdout.contains(&line), "{line}: {again}");
    }

    // The state is lost: everything is found by its name, and nothing is created twice.
    account.call("s3", "DELETE", &format!("/{minimal}/bootstrap.tfstate"), "application/octet-stream", b"");
    let adopted = accounts.bootstrap(&["--yes", "--output", "json"]).exits(0).json();
    let addresses = adopted["data"]["adopted"].as_array().expect("addresses");
    let buckets = addresses.iter().filter(|address| address.to_string().contains(".aws_s3_bucket.")).count();
    assert_eq!((addresses.len(), buckets), (35, 2), "{addresses:?}");
    assert!(
        !adopted.to_string().contains("bootstrap-tfstate.aws"),
        "the bootstrap bucket is not part of the state"
    );
    assert_eq!(account_resources(account), made);
    accounts.bootstrap(&[]).exits(0);

    let state = account.object(&minimal, "bootstrap.tfstate");
    let bucket = format!("shop-{id}-dev-state");
    let key = "archive/bootstrap/0001.tfstate";
    let archived = accounts.bootstrap(&["--archive"]).exits(0);
    assert!(archived.stdout.contains(&format!("s3://{bucket}/{key}")), "{archived}");
    assert_eq!(account.keys(&minimal), Vec::<String>::new());
    assert_eq!(account.object(&bucket, key), state);
    accounts.bootstrap(&["--archive"]).exits(1).says("archived already");
    let back = accounts.bootstrap(&["--output", "json"]).exits(0).json();
    assert_eq!(back["data"]["restored"], format!("s3://{bucket}/{key}"));
    assert_eq!((&back["data"]["changes"], &back["data"]["adopted"]), (&json!([]), &json!([])));
    assert_eq!(account.object(&minimal, "bootstrap.tfstate"), state);

    // An environment that is removed from the settings keeps its states.
    std::fs::remove_file(accounts.sandbox.folder.join(DEV)).expect("an environment to remove");
    accounts.sandbox.write(&format!("terraform/bootstrap/{id}.tfvars"), "emulated = true\n");
    accounts.commit();
    let kept = accounts.run(account, &["bootstrap", "--store", "--yes"]);
    kept.exits(6)
        .says("would destroy a resource with prevent_destroy")
        .says("aws_s3_bucket.this")
        .says("Nothing was changed.");
}

#[test]
fn lock_table_is_created_before_terraform_and_adopted() {
    let test_run = require!(TestRun::shared());
    let accounts = Accounts::new(test_run);
    let prod = &accounts.other;
    let table = format!("shop-{}-prod-locks", prod.id);
    let document =
        accounts.run(prod, &["bootstrap", "--env", "prod", "--yes", "--output", "json"]).exits(0).json();
    let bucket = format!("shop-{}-bootstrap-tfstate", prod.id);
    assert_eq!(document["data"]["made"], json!([format!("bucket {bucket}"), format!("table {table}")]));
    assert_eq!(document["data"]["adopted"], json!(["module.state[\"prod\"].aws_dynamodb_table.locks[0]"]));
    assert_eq!(document["data"]["files"], json!([]), "the repository has all of it");
    let described =
        prod.call_json("dynamodb", "DynamoDB_20120810.DescribeTable", "1.1", &json!({ "TableName": table }));
    assert_eq!(described["Table"]["KeySchema"], json!([{ "AttributeName": "LockID", "KeyType": "HASH" }]));
    assert_eq!(account_resources(prod)["roles"], json!([]), "no deployment role is configured");
    accounts
        .run(prod, &["bootstrap", "--env", "prod", "--policies"])
        .exits(1)
        .says("has no deployment roles");
}

#[test]
fn wrong_account_bucket_or_region_is_refused_before_any_change() {
    let test_run = require!(TestRun::shared());
    let accounts = Accounts::new(test_run);
    let account = &accounts.sandbox.account;
    let refused = accounts.run(&accounts.other, &["bootstrap", "--env", "dev", "--yes"]).exits(6);
    refused.says(&format!("the credentials are for account {}; dev uses ", accounts.other.id));
    assert_eq!(account_resources(&accounts.other)["buckets"], json!([]));

    // Another account already owns a bucket with that name.
    let minimal = accounts.bootstrap_bucket();
    let location = "<CreateBucketConfiguration><LocationConstraint>eu-central-1</LocationConstraint></CreateBucketConfiguration>";
    accounts.other.call("s3", "PUT", &format!("/{minimal}"), "application/xml", location.as_bytes());
    let taken = accounts.bootstrap(&["--yes"]).exits(6);
    taken.says(&format!("the bucket {minimal} exists and does not belong to the account {}", account.id));
    assert_eq!(account_resources(account)["keys"], json!([]));

    accounts.bootstrap(&["--store"]).exits(2);
    accounts.run(account, &["bootstrap"]).exits(2);
    accounts.run(account, &["bootstrap", "--env", "local"]).exits(2).says("it has no account to prepare");
    let dev = accounts.read(DEV).replace("eu-central-1", "eu-west-1");
    accounts.sandbox.write(DEV, &dev);
    accounts.bootstrap(&["--yes"]).exits(2).says("an account is prepared in one region");
}

/// The key is in a file, and every environment in an account trusts it.
fn assert_release_key_is_trusted(accounts: &Accounts, key: &Value) {
    assert_eq!(key["environments"], json!(["dev", "prod"]));
    assert_eq!((&key["file"], &key["written"]), (&json!("keys/release.pub.pem"), &json!(true)));
    assert!(accounts.read("keys/release.pub.pem").starts_with("-----BEGIN PUBLIC KEY-----"));
    let prod = accounts.read("terraform/environments/prod/environment.toml");
    assert!(prod.contains("trusted_keys = [\"keys/release.pub.pem\"]"), "{prod}");
    assert!(!accounts.read("terraform/environments/local/environment.toml").contains("trusted_keys"));
}

/// The account of prod may read the store, its key and its images; Lambda may read the images too.
fn assert_store_is_shared_with_prod(accounts: &Accounts) {
    let (account, prod) = (&accounts.sandbox.account, &accounts.other.id);
    let root = format!("arn:aws:iam::{prod}:root");
    let bucket = format!("/shop-{}-artifacts?policy", account.id);
    let policy = account.call("s3", "GET", &bucket, "application/octet-stream", b"").json();
    let sids = |policy: &Value| -> Vec<String> {
        let reads = |statement: &&Value| statement["Principal"].to_string().contains(&root);
        let statements = policy["Statement"].as_array().expect("statements").iter().filter(reads);
        statements.map(|statement| statement["Sid"].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(sids(&policy), ["ReadByOtherAccounts", "ListedByOtherAccounts"]);
    let project = accounts.read(PROJECT);
    let key = project.lines().find_map(|line| line.strip_prefix("kms_key = ")).expect("the store's key");
    let key = json!({ "KeyId": key.trim_matches('"'), "PolicyName": "default" });
    let policy = account.call_json("kms", "TrentService.GetKeyPolicy", "1.1", &key);
    assert_eq!(sids(&parse_policy(&policy["Policy"])), ["DecryptedByReaders"]);
    let name = json!({ "repositoryName": "shop/greeter" });
    let policy =
        account.call_json("ecr", "AmazonEC2ContainerRegistry_V20150921.GetRepositoryPolicy", "1.1", &name);
    let policy = parse_policy(&policy["policyText"]);
    assert_eq!(sids(&policy), ["PulledByOtherAccounts"]);
    let lambda = &policy["Statement"][0];
    assert_eq!(lambda["Principal"], json!({ "Service": "lambda.amazonaws.com" }));
    assert!(lambda["Condition"].to_string().contains(prod.as_str()), "{lambda}");
}

fn parse_policy(text: &Value) -> Value {
    serde_json::from_str(text.as_str().expect("a policy")).expect("JSON")
}

fn edited_value(files: &Value, key: &str) -> String {
    let edits = files.as_array().into_iter().flatten().flat_map(|file| file["edits"].as_array());
    let found = edits.flatten().find(|edit| edit["key"] == key).expect(key);
    found["value"].as_str().expect("text").to_owned()
}

/// Returns the id of the key that signs releases.
fn signing_key(account: &Account) -> String {
    let aliases = account_resources(account)["aliases"].clone();
    let found = aliases.as_array().into_iter().flatten().find(|alias| alias[0] == "alias/shop-release");
    found.and_then(|alias| alias[1].as_str()).expect("the release key").to_owned()
}

const BEGIN: &str = "<!-- policies: written by the test xtask/tests/it/bootstrap.rs -->\n";

/// The how-to shows the applied policies, with an example account id.
fn assert_document_has_policies(accounts: &Accounts) {
    let printed = accounts.bootstrap(&["--policies"]).exits(0);
    let key = accounts.read(PROJECT);
    let key = key.lines().find_map(|line| line.strip_prefix("kms_key = ")).expect("the store's key");
    let key = key.trim_matches('"').rsplit('/').next().expect("an id");
    let policies = printed
        .stdout
        .replace(&accounts.sandbox.account.id, "222222222222")
        .replace(&accounts.other.id, "444444444444")
        .replace(key, "11111111-2222-3333-4444-555555555555")
        .replace(&signing_key(&accounts.sandbox.account), "66666666-7777-8888-9999-000000000000");
    let path = repository().join("docs/how-to/first-account.md");
    let document = std::fs::read_to_string(&path).unwrap_or_default();
    let (head, kept) = document.split_once(BEGIN).unwrap_or((&document, ""));
    if cfg!(feature = "update-docs") {
        std::fs::write(&path, format!("{head}{BEGIN}{policies}")).expect("the document");
        return;
    }
    assert!(
        kept == policies,
        "{} does not have the policies that terraform/modules/ci-roles makes; run cargo test -p xtask --features update-docs --test it bootstrap",
        Path::new("docs/how-to/first-account.md").display()
    );
}
