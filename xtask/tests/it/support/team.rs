//! Two environments of this repository in emulated accounts of their own, with a store in a third one, and the people at
//! work there: an administrator of each account, and whoever deploys.
//!
//! In: this repository, and what becomes of a stack's values. Out: a world in which `staging` and `prod` can be prepared
//! and deployed to. Whoever deploys is signed in to the store's account and takes each environment's role from there, as
//! `role` in environment.toml says. Lambda answers through a gateway, since the emulator alone runs no function.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::account::Account;
use super::clone::{STACKS, clone_into, resources};
use super::differences::{Side, Stacks};
use super::guard::Run;
use super::http;
use super::process::{Finished, Running};
use super::world::{Ending, Sealed, repository_in};
use crate::python::network;

/// Account ids as the repository has them: of the store, staging, prod.
const WRITTEN: [&str; 3] = ["111111111111", "333333333333", "444444444444"];

const CONTENT: &str = "application/octet-stream";

/// An environment and its account.
pub struct Place {
    pub name: &'static str,
    pub account: Account,
}

impl Place {
    /// The bucket of its states and its ledger.
    pub fn bucket(&self) -> String {
        format!("slipway-{}-{}-state", self.account.id, self.name)
    }

    /// Reads a stack's state.
    pub fn state(&self, stack: &str) -> Value {
        serde_json::from_slice(&self.account.object(&self.bucket(), &format!("{stack}.tfstate")))
            .expect("a state in JSON")
    }

    /// Reads what all states manage.
    pub fn resources(&self) -> Stacks {
        STACKS.into_iter().map(|stack| (stack, resources(&self.state(stack)))).collect()
    }

    /// What the ledger says of each function: release, the artifact's and the manifest's digest.
    pub fn serves(&self) -> BTreeMap<String, Value> {
        let keys = self.account.keys(&self.bucket());
        let newest = |stack: &&str| {
            // The number in a key counts down, so that the first one is the newest.
            let folder = format!("ledger/{stack}/");
            keys.iter().find(|key| key.starts_with(&folder) && key.ends_with(".ended.json")).cloned()
        };
        let mut serves = BTreeMap::new();
        for key in STACKS.iter().filter_map(newest) {
            let entry: Value =
                serde_json::from_slice(&self.account.object(&self.bucket(), &key)).expect(&key);
            assert_eq!(entry["outcome"], "verified", "{key}: {entry}");
            for (function, serving) in entry["serves"].as_object().into_iter().flatten() {
                let told = json!([serving["release"], serving["digest"], serving["code_sha256"]]);
                serves.insert(function.clone(), told);
            }
        }
        serves
    }

    /// Its half of a comparison.
    pub fn side<'a>(&'a self, stacks: &'a Stacks) -> Side<'a> {
        Side { account: &self.account.id, environment: self.name, stacks }
    }

    /// Does what the owner of a secret does, once it is there.
    pub fn give_secret(&self, name: &str, value: &str) {
        let id = format!("slipway-{}-{}-{name}", self.account.id, self.name);
        let body = json!({ "SecretId": id, "SecretString": value, "ClientRequestToken": "0".repeat(32) });
        self.account.target("secretsmanager", "secretsmanager.PutSecretValue", "1.1", &body);
    }
}

/// The repository in a world, the accounts, and the way to them.
pub struct Team {
    pub world: Ending,
    pub staging: Place,
    pub prod: Place,
    /// The gateway's address and port.
    gateway: (String, u16),
}

impl Team {
    /// Copies the repository, gives it the accounts' ids, and prepares what stands before any account: the store.
    /// `values` is told a stack, an environment's values of it and the local ones, and says which ones are used.
    pub fn new(run: &'static Run, values: impl Fn(&str, &str, &str) -> String) -> Self {
        let world = Ending(Sealed::new(run));
        let staging = Place { name: "staging", account: Account::new(run) };
        let prod = Place { name: "prod", account: Account::new(run) };
        clone_into(&world, run);
        let ids = [&world.account.id, &staging.account.id, &prod.account.id];
        let written: Vec<(&str, &str)> = WRITTEN.into_iter().zip(ids.map(String::as_str)).collect();
        let ours =
            |text: &str| written.iter().fold(text.to_owned(), |text, (old, new)| text.replace(old, new));
        let read = |path: &str| {
            std::fs::read_to_string(world.project.join(path))
                .unwrap_or_else(|error| panic!("{path}: {error}"))
        };
        world.write("pipelines/project.toml", &ours(&read("pipelines/project.toml")));
        for place in [&staging, &prod] {
            let folder = format!("terraform/environments/{}", place.name);
            let path = format!("{folder}/environment.toml");
            world.write(&path, &ours(&read(&path)));
            for stack in STACKS {
                let path = format!("{folder}/{stack}.tfvars");
                let local = read(&format!("terraform/environments/local/{stack}.tfvars"));
                world.write(&path, &values(stack, &ours(&read(&path)), &local));
            }
        }
        for (old, new) in &written[1..] {
            let text = ours(&read(&format!("terraform/bootstrap/{old}.tfvars")));
            world.write(&format!("terraform/bootstrap/{new}.tfvars"), &format!("{text}emulated = true\n"));
        }
        repository_in(&world.project);

        let place = "<CreateBucketConfiguration><LocationConstraint>eu-central-1</LocationConstraint></CreateBucketConfiguration>";
        let store = format!("/slipway-{}-artifacts", world.account.id);
        let made = world.account.call("s3", "PUT", &store, "application/xml", place.as_bytes());
        assert_eq!(made.status, 200, "{}", made.text());
        world.run(&["local", "up"]).exits(0);
        let running = world.run(&["local", "status", "--output", "json"]).exits(0).json();
        let url = running["data"]["gateway"]["url"].as_str().expect("the gateway's address").to_owned();
        let port = url.rsplit(':').next().and_then(|port| port.trim_end_matches('/').parse().ok());
        Self { world, staging, prod, gateway: (url, port.expect("the gateway's port")) }
    }

    /// Starts a command as the administrator of an account.
    pub fn start_in(&self, account: &Account, arguments: &[&str]) -> Running {
        let mut variables = account.administrator();
        for (name, value) in &mut variables {
            if *name == "AWS_ENDPOINT_URL" {
                value.clone_from(&self.gateway.0);
            }
        }
        let network = network();
        let network = network.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let variables = variables.iter().map(|(name, value)| (*name, value.as_str()));
        self.world.start_with(arguments, &variables.chain(network).collect::<Vec<_>>()).patiently()
    }

    /// Runs a command as whoever deploys: signed in to the store's account, and the environments' roles from there.
    pub fn run(&self, arguments: &[&str]) -> Finished {
        self.start_in(&self.world.account, arguments).wait()
    }

    /// Prepares both accounts, at the same time.
    pub fn bootstrap(&self) {
        let places = [&self.staging, &self.prod];
        let started = places.map(|place| {
            self.start_in(&place.account, &["bootstrap", "--env", place.name, "--yes", "--output", "json"])
        });
        for (place, running) in places.into_iter().zip(started) {
            let told = running.wait().exits(0).json();
            assert_eq!(
                told["data"]["files"],
                json!([]),
                "what {} needs stands in the repository",
                place.name
            );
        }
    }

    /// Calls what serves `hello` in an environment: the status, and what came.
    pub fn greets(&self, place: &Place) -> (u16, Value) {
        let variables = place.account.administrator();
        let (_, key) = variables.iter().find(|(name, _)| *name == "AWS_ACCESS_KEY_ID").expect("a key");
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={key}/20261122/eu-central-1/lambda/aws4_request, SignedHeaders=host, Signature=0"
        );
        let headers = [("Authorization", authorization.as_str()), ("Content-Type", CONTENT)];
        let name = format!("slipway-{}-{}-hello:live", place.account.id, place.name);
        let path = format!("/2015-03-31/functions/{name}/invocations");
        let answer = http::send(self.gateway.1, "POST", &path, &headers, br#"{"name":"Ada"}"#);
        let answer = answer.expect("an answer of the gateway");
        let body = serde_json::from_slice(&answer.body).unwrap_or_else(|_| json!(answer.text()));
        (answer.status, body)
    }

    /// What `status` says of each function.
    pub fn status(&self, place: &Place) -> BTreeMap<String, Value> {
        let told = self.run(&["status", "--env", place.name, "--output", "json"]).exits(0).json();
        let environment = &told["data"]["environments"][place.name];
        assert_eq!(environment["warnings"], json!([]), "{told}");
        let functions = environment["functions"].as_object().into_iter().flatten();
        functions
            .map(|(function, status)| {
                let names = ["release", "verified", "as_recorded", "alias_version"];
                let told = names.map(|name| (name.to_owned(), status[name].clone()));
                (function.clone(), Value::Object(told.into_iter().collect()))
            })
            .collect()
    }
}
