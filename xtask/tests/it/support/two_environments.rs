//! Two environments of this repository, each in its own emulated account, with the store in a third one.
//!
//! In: this repository, and a change to each stack's values. Out: a sandbox in which `staging` and `prod` can be bootstrapped
//! and deployed to. A deployment uses credentials for the store's account and assumes the role of each environment, which
//! `role` in environment.toml names. Lambda is called through a gateway, since the emulator alone runs no function; its
//! registry holds the images, whose base is one of the tests'.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::account::Account;
use super::differences::{Side, Stacks};
use super::http;
use super::process::{Finished, Running};
use super::python::package_index_variables;
use super::registry::Registry;
use super::repository_copy::{STACKS, copy_repository_into, resources};
use super::sandbox::{AutoStop, Sandbox, init_repository};
use super::test_run::TestRun;

/// Account ids in the repository's files: store, staging, prod.
const REPOSITORY_ACCOUNTS: [&str; 3] = ["111111111111", "333333333333", "444444444444"];

/// Where this repository's images are: in ECR, which the emulator does not have.
const IMAGES: &str = ".dkr.ecr.eu-central-1.amazonaws.com/slipway";

const CONTENT_TYPE: &str = "application/octet-stream";

/// An environment and its account.
pub struct Environment {
    pub name: &'static str,
    pub account: Account,
}

impl Environment {
    /// The bucket of its states and its ledger.
    pub fn state_bucket(&self) -> String {
        format!("slipway-{}-{}-state", self.account.id, self.name)
    }

    /// Reads a stack's state.
    pub fn state(&self, stack: &str) -> Value {
        serde_json::from_slice(&self.account.object(&self.state_bucket(), &format!("{stack}.tfstate")))
            .expect("a state in JSON")
    }

    /// Reads the resources in all states.
    pub fn resources(&self) -> Stacks {
        STACKS.into_iter().map(|stack| (stack, resources(&self.state(stack)))).collect()
    }

    /// Reads from the ledger what each function serves: release, digest of the manifest, digest of the code.
    pub fn served_releases(&self) -> BTreeMap<String, Value> {
        let keys = self.account.keys(&self.state_bucket());
        let newest = |stack: &&str| {
            // The numbers in keys count down, so that the first key is the newest.
            let folder = format!("ledger/{stack}/");
            keys.iter().find(|key| key.starts_with(&folder) && key.ends_with(".ended.json")).cloned()
        };
        let mut serves = BTreeMap::new();
        for key in STACKS.iter().filter_map(newest) {
            let entry: Value =
                serde_json::from_slice(&self.account.object(&self.state_bucket(), &key)).expect(&key);
            assert_eq!(entry["outcome"], "verified", "{key}: {entry}");
            for (function, serving) in entry["serves"].as_object().into_iter().flatten() {
                let served = json!([serving["release"], serving["digest"], serving["code_sha256"]]);
                serves.insert(function.clone(), served);
            }
        }
        serves
    }

    /// This environment as one side of a comparison.
    pub fn side<'a>(&'a self, stacks: &'a Stacks) -> Side<'a> {
        Side { account: &self.account.id, environment: self.name, stacks }
    }

    /// Sets the value of an existing secret, as its owner does.
    pub fn set_secret(&self, name: &str, value: &str) {
        let id = format!("slipway-{}-{}-{name}", self.account.id, self.name);
        let body = json!({ "SecretId": id, "SecretString": value, "ClientRequestToken": "0".repeat(32) });
        self.account.call_json("secretsmanager", "secretsmanager.PutSecretValue", "1.1", &body);
    }
}

/// A copy of the repository in a sandbox, and its two environments.
pub struct TwoEnvironments {
    pub sandbox: AutoStop,
    pub staging: Environment,
    pub prod: Environment,
    /// The gateway's address and port.
    gateway: (String, u16),
}

impl TwoEnvironments {
    /// Copies the repository, replaces its account ids, and creates the store's bucket. `values` gets a stack, its values in
    /// an environment and its local values, and returns the values to use. The base of the image function comes from `bases`.
    pub fn new(
        test_run: &'static TestRun,
        bases: &Registry,
        values: impl Fn(&str, &str, &str) -> String,
    ) -> Self {
        let sandbox = AutoStop(Sandbox::new(test_run));
        let staging = Environment { name: "staging", account: Account::new(test_run) };
        let prod = Environment { name: "prod", account: Account::new(test_run) };
        copy_repository_into(&sandbox, test_run);
        let ids = [&sandbox.account.id, &staging.account.id, &prod.account.id];
        let new_ids: Vec<(&str, &str)> =
            REPOSITORY_ACCOUNTS.into_iter().zip(ids.map(String::as_str)).collect();
        let with_new_ids =
            |text: &str| new_ids.iter().fold(text.to_owned(), |text, (old, new)| text.replace(old, new));
        let read = |path: &str| {
            std::fs::read_to_string(sandbox.folder.join(path))
                .unwrap_or_else(|error| panic!("{path}: {error}"))
        };
        bases.give_base(&sandbox.folder, "bucket-api-image");
        for environment in [&staging, &prod] {
            let folder = format!("terraform/environments/{}", environment.name);
            let path = format!("{folder}/environment.toml");
            // There is no dev here: staging takes releases directly, and prod what is promoted from staging. Nobody signs: signed releases
            // have tests of their own.
            // prod runs the network here as staging does, so that both are compared.
            let settings = with_new_ids(&read(&path))
                .replace("promote_from = \"dev\"\n", "")
                .replace("[stacks.network]\nenabled = false\n", "");
            sandbox.write(&path, &format!("signatures = \"optional\"\n{settings}"));
            for stack in STACKS {
                let path = format!("{folder}/{stack}.tfvars");
                let local = read(&format!("terraform/environments/local/{stack}.tfvars"));
                sandbox.write(&path, &values(stack, &with_new_ids(&read(&path)), &local));
            }
        }
        for (old, new) in &new_ids[1..] {
            let text = with_new_ids(&read(&format!("terraform/bootstrap/{old}.tfvars")));
            sandbox.write(&format!("terraform/bootstrap/{new}.tfvars"), &format!("{text}emulated = true\n"));
        }
        // The gateway has a registry. It finds an image by repository and digest, as Lambda does in ECR.
        sandbox.run(&["local", "up"]).exits(0);
        let running = sandbox.run(&["local", "status", "--output", "json"]).exits(0).json();
        let url = running["data"]["gateway"]["url"].as_str().expect("the gateway's address").to_owned();
        let port = url.rsplit(':').next().and_then(|port| port.trim_end_matches('/').parse().ok());
        let port = port.expect("the gateway's port");
        let project = with_new_ids(&read("pipelines/project.toml"));
        let ecr = format!("{}{IMAGES}", sandbox.account.id);
        assert!(project.contains(&ecr), "{project}");
        sandbox.write("pipelines/project.toml", &project.replace(&ecr, &format!("127.0.0.1:{port}/slipway")));
        init_repository(&sandbox.folder);

        let location = "<CreateBucketConfiguration><LocationConstraint>eu-central-1</LocationConstraint></CreateBucketConfiguration>";
        let store = format!("/slipway-{}-artifacts", sandbox.account.id);
        let created = sandbox.account.call("s3", "PUT", &store, "application/xml", location.as_bytes());
        assert_eq!(created.status, 200, "{}", created.text());
        Self { sandbox, staging, prod, gateway: (url, port) }
    }

    /// Starts a command with an administrator's credentials for an account.
    pub fn start_in(&self, account: &Account, arguments: &[&str]) -> Running {
        let mut variables = account.administrator_variables();
        for (name, value) in &mut variables {
            if *name == "AWS_ENDPOINT_URL" {
                value.clone_from(&self.gateway.0);
            }
        }
        let packages = package_index_variables();
        let packages = packages.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let variables = variables.iter().map(|(name, value)| (*name, value.as_str()));
        self.sandbox.start_with(arguments, &variables.chain(packages).collect::<Vec<_>>()).with_long_timeout()
    }

    /// Runs a command with credentials for the store's account, from where the environments' roles are assumed.
    pub fn run(&self, arguments: &[&str]) -> Finished {
        self.start_in(&self.sandbox.account, arguments).wait()
    }

    /// Bootstraps both accounts, at the same time.
    pub fn bootstrap(&self) {
        let environments = [&self.staging, &self.prod];
        let started = environments.map(|environment| {
            self.start_in(
                &environment.account,
                &["bootstrap", "--env", environment.name, "--yes", "--output", "json"],
            )
        });
        for (environment, running) in environments.into_iter().zip(started) {
            let document = running.wait().exits(0).json();
            assert_eq!(
                document["data"]["files"],
                json!([]),
                "the repository has all that {} needs",
                environment.name
            );
        }
    }

    /// Invokes the alias of `hello` in an environment; returns the status and the body.
    pub fn invoke_hello(&self, environment: &Environment) -> (u16, Value) {
        let variables = environment.account.administrator_variables();
        let (_, key) = variables.iter().find(|(name, _)| *name == "AWS_ACCESS_KEY_ID").expect("a key");
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={key}/20261122/eu-central-1/lambda/aws4_request, SignedHeaders=host, Signature=0"
        );
        let headers = [("Authorization", authorization.as_str()), ("Content-Type", CONTENT_TYPE)];
        let name = format!("slipway-{}-{}-hello:live", environment.account.id, environment.name);
        let path = format!("/2015-03-31/functions/{name}/invocations");
        let response = http::send(self.gateway.1, "POST", &path, &headers, br#"{"name":"Ada"}"#);
        let response = response.expect("a response of the gateway");
        let body = serde_json::from_slice(&response.body).unwrap_or_else(|_| json!(response.text()));
        (response.status, body)
    }

    /// What `status` reports about each function.
    pub fn status(&self, environment: &Environment) -> BTreeMap<String, Value> {
        let document = self.run(&["status", "--env", environment.name, "--output", "json"]).exits(0).json();
        let status = &document["data"]["environments"][environment.name];
        // Staging is read with the role that prod promotes with, which reads no states, and status says so.
        let warnings = status["warnings"].as_array().expect("a list");
        let unread = format!("whether the states in {} of ", environment.name);
        let other =
            warnings.iter().filter(|warning| !warning.as_str().is_some_and(|text| text.starts_with(&unread)));
        assert_eq!(other.count(), 0, "{document}");
        assert_eq!(warnings.len(), usize::from(environment.name == "staging"), "{document}");
        let functions = status["functions"].as_object().into_iter().flatten();
        functions
            .map(|(function, status)| {
                let names = ["release", "verified", "as_recorded", "alias_version"];
                let picked = names.map(|name| (name.to_owned(), status[name].clone()));
                (function.clone(), Value::Object(picked.into_iter().collect()))
            })
            .collect()
    }
}
