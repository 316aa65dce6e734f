//! What `bootstrap` runs as an administrator, and whom its roles trust: branches, uncommitted files, archived states, and the
//! rules of GitHub's environments, which a server on loopback tells.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::support::TestRun;
use super::support::process::Finished;
use super::support::sandbox::{Sandbox, init_repository};
use crate::require;

const STATE_PREFIX: &str = "archive/bootstrap/";

/// A project with the store and the protected environment `prod` in one account.
struct Project {
    sandbox: Sandbox,
    github: Github,
}

impl Project {
    fn new(test_run: &'static TestRun) -> Self {
        let sandbox = Sandbox::new(test_run);
        sandbox.copy_from_repository("terraform/bootstrap");
        sandbox.copy_from_repository("terraform/modules");
        let id = &sandbox.account.id;
        sandbox.write(".gitignore", "/target/\n**/.terraform/\n");
        sandbox.write(
            "pipelines/project.toml",
            &format!("schema = 1\nname = \"shop\"\n\n[store]\naccount = \"{id}\"\nregion = \"eu-central-1\"\nbucket = \"shop-{id}-artifacts\"\n"),
        );
        sandbox.write(
            "terraform/environments/prod/environment.toml",
            &format!("account = \"{id}\"\nregion = \"eu-central-1\"\nprotected = true\n\n[state]\nbucket = \"shop-{id}-prod-state\"\n"),
        );
        sandbox.write(
            &format!("terraform/bootstrap/{id}.tfvars"),
            "emulated = true\ngithub_repository = \"acme/shop\"\nci = { prod = { github_environment = \"prod\" } }\npublisher = { github_environment = \"release\" }\n",
        );
        init_repository(&sandbox.folder);
        Self { sandbox, github: Github::start() }
    }

    fn bootstrap(&self, more: &[&str], token: bool) -> Finished {
        let mut variables = self.sandbox.account.administrator_variables();
        variables.push(("GITHUB_API_URL", self.github.url.clone()));
        if token {
            variables.push(("GH_TOKEN", "a-token".into()));
        }
        let variables: Vec<(&str, &str)> =
            variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.sandbox.start_with(&[&["bootstrap", "--env", "prod"], more].concat(), &variables).wait()
    }

    /// Checks out a branch, which is created at HEAD where there is none.
    fn switch(&self, branch: &str) {
        let repository = git2::Repository::open(&self.sandbox.folder).expect("a repository");
        if repository.find_branch(branch, git2::BranchType::Local).is_err() {
            let head = repository.head().and_then(|head| head.peel_to_commit()).expect("a commit");
            repository.branch(branch, &head, false).expect("a branch");
        }
        repository.set_head(&format!("refs/heads/{branch}")).expect("the branch is checked out");
    }
}

/// GitHub's API on loopback: documents by path, and the requests that came.
struct Github {
    url: String,
    documents: Arc<Mutex<BTreeMap<String, Value>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Github {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let documents: Arc<Mutex<BTreeMap<String, Value>>> = Arc::default();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (known, heard) = (documents.clone(), asked.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut reader = BufReader::new(stream);
                let mut lines = Vec::new();
                let mut line = String::new();
                while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                    lines.push(std::mem::take(&mut line));
                }
                let path =
                    lines.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default().to_owned();
                let is_allowed =
                    lines.iter().any(|line| line.to_lowercase().starts_with("authorization: bearer a-token"));
                heard.lock().expect("requests").push(path.clone());
                let document = known.lock().expect("documents").get(&path).cloned();
                let (status, body) = match document {
                    _ if !is_allowed => ("401 Unauthorized", json!({ "message": "Bad credentials" })),
                    Some(document) => ("200 OK", document),
                    None => ("404 Not Found", json!({ "message": "Not Found" })),
                };
                let body = body.to_string();
                let _ = write!(
                    reader.get_mut(),
                    "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
            }
        });
        Self { url, documents, asked }
    }

    /// Gives an environment rules: the one branch, and a reviewer or none.
    fn protect(&self, name: &str, reviewers: bool) {
        let mut documents = self.documents.lock().expect("documents");
        let reviewers =
            if reviewers { json!([{ "type": "Team", "reviewer": { "id": 1 } }]) } else { json!([]) };
        let place = format!("/repos/acme/shop/environments/{name}");
        documents.insert(
            place.clone(),
            json!({
                "name": name,
                "protection_rules": [{ "type": "required_reviewers", "reviewers": reviewers }],
                "deployment_branch_policy": { "protected_branches": false, "custom_branch_policies": true },
            }),
        );
        documents.insert(
            format!("{place}/deployment-branch-policies?per_page=100"),
            json!({ "total_count": 1, "branch_policies": [{ "name": "main", "type": "branch" }] }),
        );
        documents.insert("/repos/acme/shop".into(), json!({ "id": 4711 }));
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().expect("requests"))
    }
}

#[test]
fn roles_trust_only_github_environments_with_rules() {
    let test_run = require!(TestRun::shared());
    let project = Project::new(test_run);

    // GitHub makes an environment at its first mention: the roles would trust any branch's jobs.
    let refused = project.bootstrap(&["--yes"], true).exits(6);
    refused
        .says("the role of prod would trust jobs that nobody guards: the GitHub environment `prod` of acme/shop does not exist")
        .says("publisher: the GitHub environment `release` of acme/shop does not exist")
        .says("https://github.com/acme/shop/settings/environments")
        .says("Nothing was applied.");
    assert!(project.github.asked().contains(&"/repos/acme/shop/environments/prod-plan".to_owned()));

    project.github.protect("prod", false);
    project.github.protect("prod-plan", false);
    project.github.protect("release", false);
    project.bootstrap(&["--yes"], true).exits(6).says("`prod` of acme/shop has no required reviewers");
    project.github.protect("prod", true);
    let made = project.bootstrap(&["--yes"], true).exits(0);
    made.says("github_repository_id = \"4711\"").says("role/slipway/ci/shop-").says("(--write writes it)");

    // Without a token nobody is asked, and it says what to look at.
    project.github.asked();
    let id = &project.sandbox.account.id;
    let values = format!("terraform/bootstrap/{id}.tfvars");
    let text = std::fs::read_to_string(project.sandbox.folder.join(&values)).expect("values");
    project.sandbox.write(&values, &format!("{text}plan_days = 7\ngithub_repository_id = \"1\"\n"));
    project.sandbox.commit("chore: plans go earlier");
    let unasked = project.bootstrap(&[], false).exits(6);
    unasked
        .says("GitHub was not asked")
        .says("`prod`: deployments from main alone, required reviewers")
        .says("`release`: deployments from main alone")
        .says("there is no terminal to ask at");
    assert_eq!(project.github.asked(), Vec::<String>::new());
    project
        .bootstrap(&["--yes"], true)
        .exits(6)
        .says("acme/shop is the repository 4711 on GitHub, and github_repository_id is 1");
}

#[test]
fn administrator_runs_what_the_default_branch_holds_and_no_planted_state() {
    let test_run = require!(TestRun::shared());
    let project = Project::new(test_run);
    let (account, id) = (&project.sandbox.account, project.sandbox.account.id.clone());

    project.switch("feature");
    project
        .bootstrap(&["--yes"], false)
        .exits(6)
        .says("the branch feature is checked out, not main")
        .says("--any-branch");
    project.sandbox.write("terraform/bootstrap/planted.tf", "locals {}\n");
    project
        .bootstrap(&["--yes", "--any-branch"], false)
        .exits(6)
        .says("terraform/bootstrap/planted.tf is not committed");
    std::fs::remove_file(project.sandbox.folder.join("terraform/bootstrap/planted.tf")).expect("a file");
    assert_eq!(
        account.keys(&format!("shop-{id}-bootstrap-tfstate")),
        Vec::<String>::new(),
        "nothing was made"
    );
    project.bootstrap(&["--yes", "--any-branch"], false).exits(0);

    // A principal that could write here would have its own provider run as the administrator.
    let bucket = format!("shop-{id}-prod-state");
    project.switch("main");
    project.bootstrap(&["--archive"], false).exits(0).says(&format!("{STATE_PREFIX}0001.tfstate"));
    for planted in ["9999.tflock", "99999.tfstate"] {
        let path = format!("/{bucket}/{STATE_PREFIX}{planted}");
        account.call("s3", "PUT", &path, "application/json", b"{\"version\":4,\"serial\":9}");
    }
    let back = project.bootstrap(&["--output", "json"], false).exits(0).json();
    assert_eq!(back["data"]["restored"], format!("s3://{bucket}/{STATE_PREFIX}0001.tfstate"));
    let foreign: Vec<String> =
        ["9999.tflock", "99999.tfstate"].map(|name| format!("s3://{bucket}/{STATE_PREFIX}{name}")).into();
    assert_eq!(back["data"]["foreign_archives"], json!(foreign));
    project.bootstrap(&["--archive"], false).exits(0).says(&format!("{STATE_PREFIX}0002.tfstate"));
}

#[test]
fn lock_file_of_the_providers_is_never_changed_by_the_administrator() {
    let test_run = require!(TestRun::shared());
    let project = Project::new(test_run);
    let lock = "terraform/bootstrap/.terraform.lock.hcl";
    let text = std::fs::read_to_string(project.sandbox.folder.join(lock)).expect("a lock file");
    let other = text.replace("h1:", "h1:AAAA");
    assert_ne!(other, text);
    project.sandbox.write(lock, &other);
    project.sandbox.commit("chore: other providers");
    project.bootstrap(&["--yes"], false).exits(1).says("lock file");
    assert_eq!(std::fs::read_to_string(project.sandbox.folder.join(lock)).expect("a lock file"), other);
}

/// A copy of this repository that did not make its trust its own: nothing is made, and Terraform does not run.
#[test]
fn placeholder_trust_is_refused_before_terraform() {
    let test_run = require!(TestRun::shared());
    let project = Project::new(test_run);
    let (account, id) = (&project.sandbox.account, project.sandbox.account.id.clone());
    let values = |text: &str| {
        project.sandbox.write(&format!("terraform/bootstrap/{id}.tfvars"), text);
        project.sandbox.commit("chore: whom the roles trust");
    };
    let bucket = format!("/shop-{id}-bootstrap-tfstate");
    let trusted =
        "github_repository = \"slipway/slipway\"\nci = { prod = { github_environment = \"prod\" } }\n";
    values(trusted);
    let refused = project.bootstrap(&["--yes"], true).exits(6);
    refused
        .says(&format!(
            "terraform/bootstrap/{id}.tfvars trusts slipway/slipway, Slipway's own address on GitHub"
        ))
        .says("set github_repository in")
        .says("Nothing was changed.");
    assert_eq!(account.call("s3", "GET", &bucket, "application/xml", b"").status, 404, "no bucket was made");
    assert_eq!(project.github.asked(), Vec::<String>::new());

    // A mirror of Slipway itself is refused by Terraform, whose module does not see the remote.
    let git = git2::Repository::open(&project.sandbox.folder).expect("a repository");
    git.remote("origin", "https://github.com/slipway/slipway.git").expect("a remote");
    project.bootstrap(&["--yes", "--any-branch"], true).exits(1).says("is Slipway's own address on GitHub");

    // The account of the pages.
    let placeholder = "222222222222";
    let file = "terraform/environments/prod/environment.toml";
    let text = std::fs::read_to_string(project.sandbox.folder.join(file)).expect("an environment");
    project.sandbox.write(file, &text.replace(&id, placeholder));
    project.sandbox.commit("chore: an account of the pages");
    project
        .bootstrap(&["--yes", "--any-branch"], true)
        .exits(6)
        .says("prod has the account 222222222222, which is a placeholder of Slipway's pages");
}
