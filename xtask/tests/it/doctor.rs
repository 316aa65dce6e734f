//! `doctor --env`: an account is looked at before anything is made there, with the role that only reads, and names that AWS
//! would not take are refused before anything is built.
//!
//! In: an account of the emulated AWS, with its EC2 and IAM. The emulator has no limits of Lambda: a stand-in answers those two
//! reads as AWS documents them.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::support::TestRun;
use super::support::process::Finished;
use super::support::sandbox::{Sandbox, init_repository};
use super::support::settings_files::{environment_in_account, project_with_store};
use crate::require;

const STACK: &str = r#"terraform {
  backend "s3" {}
}
variable "environment" {
  type = any
}
variable "reserved" {
  type    = number
  default = null
}
variable "nat_gateways" {
  type    = string
  default = "one"
}
locals {
  name_prefix = "${var.environment.project}-${var.environment.account_id}-${var.environment.name}"
}
module "network" {
  source       = "../../modules/network"
  name         = "${local.name_prefix}-network"
  nat_gateways = var.nat_gateways
}
module "tracer" {
  source                         = "../../modules/lambda-function"
  name                           = "${local.name_prefix}-tracer"
  reserved_concurrent_executions = var.reserved
}
"#;

/// Lambda's limits, and what is reserved, as a service that is asked over HTTP.
struct Lambda {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Lambda {
    /// Answers that so many invocations may run at once and so many are unreserved, and what `…-tracer` reserves.
    fn new(concurrent: u32, unreserved: u32, reserved: Option<u32>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let requests = Arc::clone(&asked);
        let limits = json!({
            "AccountLimit": {
                "TotalCodeSize": 80_530_636_800_i64, "CodeSizeUnzipped": 262_144_000, "CodeSizeZipped": 52_428_800,
                "ConcurrentExecutions": concurrent, "UnreservedConcurrentExecutions": unreserved,
            },
            "AccountUsage": { "TotalCodeSize": 1_073_741_824, "FunctionCount": 4 },
        });
        std::thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                let mut reader = BufReader::new(client.try_clone().expect("its connection"));
                let mut first = String::new();
                let _ = reader.read_line(&mut first);
                loop {
                    let mut line = String::new();
                    if reader.read_line(&mut line).unwrap_or_default() == 0 || line.trim().is_empty() {
                        break;
                    }
                }
                requests.lock().expect("requests").push(first.trim().to_owned());
                let (status, body) = if first.starts_with("GET /2016-08-19/account-settings") {
                    ("200 OK", limits.clone())
                } else if first.contains("-tracer/concurrency") && reserved.is_some() {
                    ("200 OK", json!({ "ReservedConcurrentExecutions": reserved }))
                } else {
                    ("404 Not Found", json!({ "Message": "Function not found", "Type": "User" }))
                };
                let body = body.to_string();
                let _ = write!(
                    client,
                    "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nx-amzn-errortype: ResourceNotFoundException\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
            }
        });
        Self { url, asked }
    }
}

struct Shop {
    sandbox: Sandbox,
}

impl Shop {
    fn new(test_run: &'static TestRun) -> Self {
        let sandbox = Sandbox::new(test_run);
        let id = sandbox.account.id.clone();
        for bucket in ["artifacts", "dev-state"] {
            sandbox.account.create_bucket(&format!("shop-{id}-{bucket}"));
        }
        let store = project_with_store("shop", &id, &format!("shop-{id}-artifacts"));
        sandbox.write("pipelines/project.toml", &store);
        sandbox.write(".gitignore", "/target/\n**/.terraform/\n");
        sandbox.write("terraform/stacks/web/main.tf", STACK);
        sandbox.write("terraform/stacks/web/stack.toml", "");
        let role = |name: &str| format!("arn:aws:iam::{id}:role/slipway/ci/shop-{id}-dev-ci-{name}");
        let dev = environment_in_account(&id, &format!("shop-{id}-dev-state"));
        sandbox.write(
            "terraform/environments/dev/environment.toml",
            &format!("role = \"{}\"\nread_role = \"{}\"\n{dev}", role("apply"), role("read")),
        );
        sandbox.write("terraform/environments/local/environment.toml", "emulated = true\n");
        init_repository(&sandbox.folder);
        let iam = |body: String| {
            let content = "application/x-www-form-urlencoded";
            let made = sandbox.account.call("iam", "POST", "/", content, body.as_bytes());
            assert_eq!(made.status, 200, "{}", made.text());
        };
        let name = format!("shop-{id}-dev-ci-apply");
        iam(format!(
            "Action=CreateRole&Version=2010-05-08&RoleName={name}&Path=/slipway/ci/&AssumeRolePolicyDocument=%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%5D%7D"
        ));
        for policy in ["ReadOnlyAccess", "PowerUserAccess"] {
            iam(format!(
                "Action=AttachRolePolicy&Version=2010-05-08&RoleName={name}&PolicyArn=arn:aws:iam::aws:policy/{policy}"
            ));
        }
        Self { sandbox }
    }

    fn values(&self, text: &str) {
        self.sandbox.write("terraform/environments/dev/web.tfvars", text);
    }

    fn allocate_addresses(&self, count: usize) {
        for _ in 0..count {
            let body = "Action=AllocateAddress&Version=2016-11-15&Domain=vpc";
            let content = "application/x-www-form-urlencoded";
            let made = self.sandbox.account.call("ec2", "POST", "/", content, body.as_bytes());
            assert_eq!(made.status, 200, "{}", made.text());
        }
    }

    fn doctor(&self, lambda: &Lambda) -> Finished {
        let mut variables = self.sandbox.account.administrator_variables();
        variables.push(("AWS_ENDPOINT_URL_LAMBDA", lambda.url.clone()));
        let variables: Vec<(&str, &str)> =
            variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.sandbox.start_with(&["doctor", "--env", "dev", "--output", "json"], &variables).wait()
    }
}

/// The verdict and the text about one thing.
fn finding(document: &Value, what: &str) -> (String, String) {
    let findings = document["data"]["findings"].as_array().expect("findings");
    let found = findings.iter().find(|found| found["what"] == what);
    let found = found.unwrap_or_else(|| panic!("no {what} in {document}"));
    let text = |key: &str| found[key].as_str().expect(key).to_owned();
    (text("verdict"), text("found"))
}

#[test]
fn account_is_looked_at_before_anything_is_made() {
    let test_run = require!(TestRun::shared());
    let shop = Shop::new(test_run);
    let id = &shop.sandbox.account.id;
    let good = |text: &str| ("good".to_owned(), text.to_owned());
    let missing = |text: &str| ("missing".to_owned(), text.to_owned());

    // Room for all of it.
    shop.values("reserved = 50\nnat_gateways = \"one_per_zone\"\n");
    let lambda = Lambda::new(1_000, 1_000, None);
    let document = shop.doctor(&lambda).exits(0).json();
    let of = |what: &str| finding(&document, what);
    assert_eq!(of("lengths of names"), good("none is longer than Lambda, IAM and S3 take"));
    assert_eq!(
        of("free concurrency in dev"),
        good("1000 at once, 1000 of them unreserved; the stacks reserve 50")
    );
    assert_eq!(of("free code storage in dev"), good("1.0 of 75 GB"));
    assert_eq!(of("free Elastic IP addresses in dev"), good("0 of 5 allocated; the stacks need 3"));
    assert_eq!(
        of("managed policies in dev"),
        good(&format!("2 of 10 managed policies are attached to shop-{id}-dev-ci-apply"))
    );
    let asked = lambda.asked.lock().expect("requests").clone();
    assert!(asked.len() == 2 && asked.iter().all(|request| request.starts_with("GET ")), "{asked:?}");
    assert!(shop.sandbox.account.keys(&format!("shop-{id}-dev-state")).is_empty(), "nothing is written");

    // A new account, and one whose addresses are taken.
    shop.allocate_addresses(3);
    let refused = shop.doctor(&Lambda::new(10, 10, None)).exits(1);
    let document = refused.json();
    assert_eq!(
        finding(&document, "free concurrency in dev"),
        missing(
            "10 at once, 10 of them unreserved; the stacks reserve 50, and AWS keeps 100 unreserved: 140 too few"
        )
    );
    assert_eq!(
        finding(&document, "free Elastic IP addresses in dev"),
        missing("3 of 5 allocated; the stacks need 3: 1 too few")
    );

    // What the function holds already is not asked for again.
    shop.values("reserved = 50\nnat_gateways = \"none\"\n");
    let document = shop.doctor(&Lambda::new(1_000, 100, Some(50))).exits(0).json();
    assert_eq!(
        finding(&document, "free concurrency in dev"),
        good("1000 at once, 100 of them unreserved; the stacks reserve 50, 50 already")
    );
}

#[test]
fn name_that_aws_would_not_take_is_refused_before_anything_is_built() {
    let test_run = require!(TestRun::shared());
    let shop = Shop::new(test_run);
    let id = &shop.sandbox.account.id;
    let long = "a".repeat(50);
    let name = format!("shop-{id}-dev-{long}");
    let stack = STACK.replace("-tracer\"", &format!("-{long}\""));
    let bucket = "b".repeat(64);
    let bucket =
        format!("module \"objects\" {{\n  source = \"../../modules/s3-bucket\"\n  name = \"{bucket}\"\n}}\n");
    shop.sandbox.write("terraform/stacks/web/main.tf", &format!("{stack}{bucket}"));
    shop.sandbox.commit("feat: a long name");
    let said = format!(
        "the Lambda function of `module.tracer` in the stack `web` would be called {name} in dev: that has {} characters, and Lambda takes 64",
        name.len()
    );
    // Without credentials: nobody is asked.
    for arguments in [
        &["plan", "--env", "dev"][..],
        &["deploy", "--stack", "web", "--env", "dev", "--yes"],
        &["release", "--env", "dev", "--yes"],
    ] {
        shop.sandbox.run(arguments).exits(2).says(&said).says("terraform/stacks/web/main.tf");
    }
    let document = shop.doctor(&Lambda::new(1_000, 1_000, None)).exits(1).json();
    let (verdict, found) = finding(&document, "name of module.tracer in web");
    assert_eq!((verdict.as_str(), found), ("missing", format!("{} characters; Lambda takes 64", name.len())));
    let (verdict, found) = finding(&document, "name of module.objects in web");
    assert_eq!((verdict.as_str(), found.as_str()), ("missing", "64 characters; S3 takes 63"));
}

#[test]
fn emulated_environment_has_names_and_no_quotas() {
    let test_run = require!(TestRun::shared());
    let shop = Shop::new(test_run);
    let document = shop.sandbox.run(&["doctor", "--env", "local", "--output", "json"]).exits(0).json();
    assert_eq!(finding(&document, "account of local").1, "emulated: it has no quotas");
    shop.sandbox.run(&["doctor", "--env", "nowhere"]).exits(2);
}
