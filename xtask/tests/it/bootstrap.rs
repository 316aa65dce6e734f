//! Accounts prepared with the real provider: once, again, after their state was lost, and put away.
//!
//! In: the repository's own terraform/bootstrap. The emulator ignores the conditions of bucket policies and takes a minute
//! for lifecycle rules: `emulated = true` leaves them out. It does not change a table's encryption either, so an adopted
//! lock table is planned again at each run.

use std::path::Path;

use serde_json::{Value, json};

use super::support::account::Account;
use super::support::guard::{self, Run};
use super::support::process::Finished;
use super::support::surroundings::repository;
use super::support::world::Sealed;

const PROJECT: &str = "pipelines/project.toml";
const DEV: &str = "terraform/environments/dev/environment.toml";

/// A project with its store and dev in one account, prod in another.
struct Accounts {
    world: Sealed,
    other: Account,
}

impl Accounts {
    fn new(run: &'static Run) -> Self {
        let (world, other) = (Sealed::new(run), Account::new(run));
        world.take("terraform/bootstrap");
        world.take("terraform/modules");
        let (own, prod) = (&world.account.id, &other.id);
        world.write(
            PROJECT,
            &format!(
                "schema = 1\nname = \"shop\"\n\n# Where releases are.\n[store]\naccount = \"{own}\"\nregion = \"eu-central-1\"\nbucket = \"shop-{own}-artifacts\" # ours\n"
            ),
        );
        world.write(
            DEV,
            &format!(
                "# dev\naccount = \"{own}\"\nregion = \"eu-central-1\"\n\n[state]\nbucket = \"shop-{own}-dev-state\"\n"
            ),
        );
        world.write(
            "terraform/environments/prod/environment.toml",
            &format!(
                "account = \"{prod}\"\nregion = \"eu-central-1\"\n\n[state]\nbucket = \"shop-{prod}-prod-state\"\nlock_table = \"shop-{prod}-prod-locks\"\n"
            ),
        );
        world.write("terraform/environments/local/environment.toml", "emulated = true\n");
        let digest = "0".repeat(64);
        world.write(
            "lambda-src/greeter/function.toml",
            &format!(
                "runtime = \"provided.al2023\"\nhandler = \"bootstrap\"\npackage = \"image\"\n[build]\nwith = \"cargo\"\nbinary = \"greeter\"\n[image]\nbase = \"public.ecr.aws/lambda/provided:al2023@sha256:{digest}\"\n"
            ),
        );
        world.write(
            &format!("terraform/bootstrap/{own}.tfvars"),
            "emulated = true\ngithub_repository = \"acme/shop\"\nci = { dev = { github_environment = \"dev\", plan_reads_secrets = true } }\nfunction_roles = { dev = [\"tracer\"] }\n",
        );
        world.write(&format!("terraform/bootstrap/{prod}.tfvars"), "emulated = true\n");
        Self { world, other }
    }

    fn run(&self, account: &Account, arguments: &[&str]) -> Finished {
        let variables = account.administrator();
        let variables: Vec<(&str, &str)> =
            variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.world.start_with(arguments, &variables).wait()
    }

    /// Runs it in the store's account.
    fn bootstrap(&self, more: &[&str]) -> Finished {
        self.run(&self.world.account, &[&["bootstrap", "--env", "dev"], more].concat())
    }

    fn minimal_bucket(&self) -> String {
        format!("shop-{}-bootstrap-tfstate", self.world.account.id)
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.world.project.join(file)).expect(file)
    }
}

/// Everything in an account that an administrator makes once and must not make twice.
fn holdings(account: &Account) -> Value {
    let names = |list: &Value, name: &str| -> Vec<Value> {
        list.as_array().expect("a list").iter().map(|item| item[name].clone()).collect()
    };
    let keys = account.target("kms", "TrentService.ListKeys", "1.1", &json!({}));
    let aliases = account.target("kms", "TrentService.ListAliases", "1.1", &json!({}));
    let aliases: Vec<Value> = aliases["Aliases"]
        .as_array()
        .expect("aliases")
        .iter()
        .filter(|alias| !alias["AliasName"].as_str().is_some_and(|name| name.starts_with("alias/aws/")))
        .map(|alias| json!([alias["AliasName"], alias["TargetKeyId"]]))
        .collect();
    let repositories =
        account.target("ecr", "AmazonEC2ContainerRegistry_V20150921.DescribeRepositories", "1.1", &json!({}));
    let iam = |action: &str, tag: &str| {
        let body = format!("Action={action}&Version=2010-05-08&Scope=Local");
        let xml =
            account.call("iam", "POST", "/", "application/x-www-form-urlencoded", body.as_bytes()).text();
        texts(&xml, tag)
    };
    let buckets = account.call("s3", "GET", "/", "application/octet-stream", b"").text();
    let mut buckets = texts(&buckets, "Name");
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

fn texts(xml: &str, tag: &str) -> Vec<String> {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    xml.split(&open).skip(1).filter_map(|rest| Some(rest.split_once(&close)?.0.to_owned())).collect()
}

#[test]
fn an_account_is_prepared_once_adopted_after_a_loss_and_put_away() {
    let Some(run) = guard::run() else { return };
    let accounts = Accounts::new(run);
    let account = &accounts.world.account;
    let id = &account.id;
    let minimal = accounts.minimal_bucket();

    // Nobody is here to say yes: what Terraform needs is there, and nothing of Terraform's.
    accounts.bootstrap(&[]).exits(6).says("there is no terminal to ask at").says("Nothing was applied.");
    assert_eq!(holdings(account)["buckets"], json!([minimal]));

    let first = accounts.bootstrap(&["--yes", "--write", "--output", "json"]).exits(0).json();
    assert_eq!(first["data"]["adopted"], json!([]));
    let made = holdings(account);
    assert_eq!(
        made["buckets"],
        json!([format!("shop-{id}-artifacts"), minimal, format!("shop-{id}-dev-state")])
    );
    assert_eq!(made["repositories"], json!(["shop/greeter"]));
    assert_eq!(made["keys"].as_array().map(Vec::len), Some(3));
    assert_eq!(made["roles"].as_array().map(Vec::len), Some(3), "{made}");
    let key = texts_of(&first["data"]["files"], "kms_key");
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
        role = "arn:aws:iam::[account]:role/shop-[account]-dev-ci-apply"

        [state]
        bucket = "shop-[account]-dev-state"
        "#);
    });
    shared_with_prod(&accounts);
    the_document_holds_these_policies(&accounts);

    let again = accounts.bootstrap(&[]).exits(0);
    assert!(again.stdout.contains("no changes") && !again.stdout.contains("needs"), "{again}");
    for (name, what) in [
        ("permissions_boundary_arn", "policy/shop-{}-dev-boundary"),
        ("function_role_arn", "role/shop-{}-dev-tracer"),
    ] {
        let line = format!("{name} = \"arn:aws:iam::{id}:{}\"", what.replace("{}", id));
        assert!(again.stdout.contains(&line), "{line}: {again}");
    }

    // The state is lost: all is found by its name, and nothing made twice.
    account.call("s3", "DELETE", &format!("/{minimal}/bootstrap.tfstate"), "application/octet-stream", b"");
    let adopted = accounts.bootstrap(&["--yes", "--output", "json"]).exits(0).json();
    let addresses = adopted["data"]["adopted"].as_array().expect("addresses");
    let buckets = addresses.iter().filter(|address| address.to_string().contains(".aws_s3_bucket.")).count();
    assert_eq!((addresses.len(), buckets), (30, 2), "{addresses:?}");
    assert!(!adopted.to_string().contains("bootstrap-tfstate.aws"), "the minimal bucket is nobody's");
    assert_eq!(holdings(account), made);
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

    // An environment that goes from the settings does not take its states along.
    std::fs::remove_file(accounts.world.project.join(DEV)).expect("an environment to remove");
    accounts.world.write(&format!("terraform/bootstrap/{id}.tfvars"), "emulated = true\n");
    let kept = accounts.run(account, &["bootstrap", "--store", "--yes"]);
    kept.exits(6)
        .says("would destroy a resource with prevent_destroy")
        .says("aws_s3_bucket.this")
        .says("Nothing was changed.");
}

#[test]
fn a_lock_table_is_there_before_terraform_and_adopted() {
    let Some(run) = guard::run() else { return };
    let accounts = Accounts::new(run);
    let prod = &accounts.other;
    let table = format!("shop-{}-prod-locks", prod.id);
    let told =
        accounts.run(prod, &["bootstrap", "--env", "prod", "--yes", "--output", "json"]).exits(0).json();
    let bucket = format!("shop-{}-bootstrap-tfstate", prod.id);
    assert_eq!(told["data"]["made"], json!([format!("bucket {bucket}"), format!("table {table}")]));
    assert_eq!(told["data"]["adopted"], json!(["module.state[\"prod\"].aws_dynamodb_table.locks[0]"]));
    assert_eq!(told["data"]["files"], json!([]), "all of it stands there");
    let described =
        prod.target("dynamodb", "DynamoDB_20120810.DescribeTable", "1.1", &json!({ "TableName": table }));
    assert_eq!(described["Table"]["KeySchema"], json!([{ "AttributeName": "LockID", "KeyType": "HASH" }]));
    assert_eq!(holdings(prod)["roles"], json!([]), "nobody was named who may deploy there");
    accounts
        .run(prod, &["bootstrap", "--env", "prod", "--policies"])
        .exits(1)
        .says("has no deployment roles");
}

#[test]
fn what_leads_elsewhere_is_refused_before_anything_is_touched() {
    let Some(run) = guard::run() else { return };
    let accounts = Accounts::new(run);
    let account = &accounts.world.account;
    let refused = accounts.run(&accounts.other, &["bootstrap", "--env", "dev", "--yes"]).exits(6);
    refused.says("the credentials are for another account than that of dev").says(&accounts.other.id);
    assert_eq!(holdings(&accounts.other)["buckets"], json!([]));

    // Somebody else was faster with the name.
    let minimal = accounts.minimal_bucket();
    let place = "<CreateBucketConfiguration><LocationConstraint>eu-central-1</LocationConstraint></CreateBucketConfiguration>";
    accounts.other.call("s3", "PUT", &format!("/{minimal}"), "application/xml", place.as_bytes());
    let taken = accounts.bootstrap(&["--yes"]).exits(6);
    taken.says(&format!("the bucket {minimal} exists and does not belong to the account {}", account.id));
    assert_eq!(holdings(account)["keys"], json!([]));

    accounts.bootstrap(&["--store"]).exits(2);
    accounts.run(account, &["bootstrap"]).exits(2);
    accounts.run(account, &["bootstrap", "--env", "local"]).exits(2).says("it has no account to prepare");
    let dev = accounts.read(DEV).replace("eu-central-1", "eu-west-1");
    accounts.world.write(DEV, &dev);
    accounts.bootstrap(&["--yes"]).exits(2).says("an account is prepared in one region");
}

/// The store, its key and its images are open to prod's account, for reading; images to Lambda as well.
fn shared_with_prod(accounts: &Accounts) {
    let (account, prod) = (&accounts.world.account, &accounts.other.id);
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
    let policy = account.target("kms", "TrentService.GetKeyPolicy", "1.1", &key);
    assert_eq!(sids(&inner(&policy["Policy"])), ["DecryptedByReaders"]);
    let name = json!({ "repositoryName": "shop/greeter" });
    let policy =
        account.target("ecr", "AmazonEC2ContainerRegistry_V20150921.GetRepositoryPolicy", "1.1", &name);
    let policy = inner(&policy["policyText"]);
    assert_eq!(sids(&policy), ["PulledByOtherAccounts"]);
    let lambda = &policy["Statement"][0];
    assert_eq!(lambda["Principal"], json!({ "Service": "lambda.amazonaws.com" }));
    assert!(lambda["Condition"].to_string().contains(prod.as_str()), "{lambda}");
}

fn inner(text: &Value) -> Value {
    serde_json::from_str(text.as_str().expect("a policy")).expect("JSON")
}

fn texts_of(files: &Value, key: &str) -> String {
    let edits = files.as_array().into_iter().flatten().flat_map(|file| file["edits"].as_array());
    let found = edits.flatten().find(|edit| edit["key"] == key).expect(key);
    found["value"].as_str().expect("text").to_owned()
}

const BEGIN: &str = "<!-- policies: written by the test xtask/tests/it/bootstrap.rs -->\n";

/// The how-to shows what is applied, for an account with an example's number.
fn the_document_holds_these_policies(accounts: &Accounts) {
    let told = accounts.bootstrap(&["--policies"]).exits(0);
    let key = accounts.read(PROJECT);
    let key = key.lines().find_map(|line| line.strip_prefix("kms_key = ")).expect("the store's key");
    let key = key.trim_matches('"').rsplit('/').next().expect("an id");
    let policies = told
        .stdout
        .replace(&accounts.world.account.id, "222222222222")
        .replace(key, "11111111-2222-3333-4444-555555555555");
    let path = repository().join("docs/how-to/first-account.md");
    let document = std::fs::read_to_string(&path).unwrap_or_default();
    let (head, kept) = document.split_once(BEGIN).unwrap_or((&document, ""));
    if cfg!(feature = "update-docs") {
        std::fs::write(&path, format!("{head}{BEGIN}{policies}")).expect("the document");
        return;
    }
    assert!(
        kept == policies,
        "{} does not hold the policies that terraform/modules/ci-roles makes; run cargo test -p xtask --features update-docs --test it bootstrap",
        Path::new("docs/how-to/first-account.md").display()
    );
}
