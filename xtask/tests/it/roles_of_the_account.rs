//! An environment whose deploying role makes no roles (`make_roles = false`): the account's administrator makes the function's
//! role with `bootstrap`, and the stack takes it.
//!
//! In: the repository's own terraform/bootstrap, its modules and its stack `hello`, in an account of the emulated AWS. Between the
//! deployment and the emulator is a proxy that fails every request which would make, change or remove a role or its policies.

use serde_json::{Value, json};

use super::support::process::Finished;
use super::support::proxy::{NetworkFault, Proxy};
use super::support::settings_files::{environment_in_account, project_with_store};
use super::support::{EchoProject, TestRun};
use crate::require;

/// What changes roles, as IAM's requests name it.
const CHANGES_OF_ROLES: [&str; 9] = [
    "Action=CreateRole",
    "Action=DeleteRole",
    "Action=UpdateRole",
    "Action=UpdateAssumeRolePolicy",
    "Action=PutRolePolicy",
    "Action=AttachRolePolicy",
    "Action=DetachRolePolicy",
    "Action=TagRole",
    "Action=CreatePolicy",
];

const VALUES: &str = "terraform/environments/dev/hello.tfvars";

/// The names of an account's roles.
fn roles(project: &EchoProject) -> Vec<String> {
    let body = b"Action=ListRoles&Version=2010-05-08";
    let answer = project.account.call("iam", "POST", "/", "application/x-www-form-urlencoded", body).text();
    let names = answer.split("<RoleName>").skip(1).filter_map(|rest| rest.split("</RoleName>").next());
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    names.sort();
    names
}

/// Runs a command with an administrator's credentials, through an endpoint.
fn run_through(project: &EchoProject, endpoint: &str, arguments: &[&str]) -> Finished {
    let variables = project.account.administrator_variables();
    let variables: Vec<(&str, &str)> = variables
        .iter()
        .map(|(name, value)| (*name, if *name == "AWS_ENDPOINT_URL" { endpoint } else { value.as_str() }))
        .collect();
    project.start_with(arguments, &variables).with_long_timeout().wait()
}

#[test]
fn function_runs_as_the_role_that_bootstrap_made_and_the_deployment_makes_none() {
    let test_run = require!(TestRun::shared());
    let project = EchoProject::with_provider(test_run);
    let id = project.account.id.clone();
    for folder in ["terraform/bootstrap", "terraform/modules"] {
        project.copy_from_repository(folder);
    }
    let settings = project_with_store("echo", &id, &format!("echo-{id}-artifacts"));
    project.write("pipelines/project.toml", &format!("{settings}\n[checks.format]\nrun = \"true\"\n"));
    let dev = environment_in_account(&id, &format!("echo-{id}-dev-state"));
    project.write("terraform/environments/dev/environment.toml", &dev);
    project.write(
        &format!("terraform/bootstrap/{id}.tfvars"),
        "emulated = true\ngithub_repository = \"acme/shop\"\nci = { dev = { github_environment = \"dev\", make_roles = false } }\nfunction_roles = { dev = [\"hello\"] }\n",
    );
    project.commit("build: an account whose deployments make no roles");
    let administrator = |arguments: &[&str]| project.run_as_administrator_of(&project.account, arguments);

    let made =
        administrator(&["bootstrap", "--env", "dev", "--yes", "--write", "--output", "json"]).exits(0).json();
    let role = made["data"]["function_roles"]["dev/hello"].as_str().expect("the function's role").to_owned();
    assert_eq!(role, format!("arn:aws:iam::{id}:role/echo-{id}-dev-hello"));
    project.write(VALUES, &format!("function_role_arn = \"{role}\"\n"));
    project.commit("build: what bootstrap wrote, and the function's role");

    // The deploying role may pass that role, and has no right to make or change any.
    let policies =
        administrator(&["bootstrap", "--env", "dev", "--policies", "--output", "json"]).exits(0).json();
    let policies = &policies["data"]["policies"];
    let mut changes: Vec<(String, String)> = allowing(policies);
    changes.retain(|(action, _)| {
        action.starts_with("iam:") && !action.starts_with("iam:Get") && !action.starts_with("iam:List")
    });
    let of = |resource: &str| format!("[\"arn:aws:iam::{id}:role/{resource}\"]");
    assert_eq!(
        changes,
        [
            ("iam:PassRole".to_owned(), of(&format!("echo-{id}-dev-*"))),
            // Roles that AWS itself writes for its services.
            ("iam:CreateServiceLinkedRole".to_owned(), of("aws-service-role/*")),
        ]
    );

    project.run(&["local", "up"]).exits(0);
    let running = project.run(&["local", "status", "--output", "json"]).exits(0).json();
    let gateway = running["data"]["gateway"]["url"].as_str().expect("the gateway's address");
    let port = gateway.rsplit(':').next().and_then(|port| port.trim_end_matches('/').parse().ok());
    let proxy = Proxy::to(port.expect("the gateway's port"));
    for change in CHANGES_OF_ROLES {
        proxy.fail(NetworkFault::Failed, change);
    }
    let before = roles(&project);
    run_through(&project, &proxy.url(), &["release", "--env", "dev", "--yes"])
        .exits(0)
        .says("hello 0.1.0 serves in dev.");
    assert_eq!(proxy.stop_failing(), 0, "the deployment asked IAM for a change of roles");
    assert_eq!(roles(&project), before);
    let path = format!("/2015-03-31/functions/echo-{id}-dev-hello/configuration");
    let configuration = project.account.call("lambda", "GET", &path, "application/json", b"").json();
    assert_eq!(configuration["Role"], json!(role));
    run_through(&project, &proxy.url(), &["plan", "--env", "dev", "--exit-code"]).exits(0);

    // Without the value the stack would make a role of its own: the switch is what keeps it from that.
    project.write(VALUES, "memory_size = 128\n");
    project.commit("build: a role of its own");
    let planned = run_through(&project, &proxy.url(), &["plan", "--env", "dev"]).exits(0);
    assert!(planned.stdout.contains("module.hello.aws_iam_role.this[0]"), "{planned}");
}

/// Returns each allowed action, with the resources that it is allowed on.
fn allowing(policies: &Value) -> Vec<(String, String)> {
    fn statements(value: &Value, found: &mut Vec<(String, String)>) {
        match value {
            Value::Object(fields) if fields.contains_key("Effect") => {
                let actions = fields.get("Action").and_then(Value::as_array).cloned().unwrap_or_default();
                let resource = fields.get("Resource").map(Value::to_string).unwrap_or_default();
                if fields["Effect"] == "Allow" {
                    let actions = actions.iter().filter_map(Value::as_str);
                    found.extend(actions.map(|action| (action.to_owned(), resource.clone())));
                }
            }
            Value::Object(fields) => fields.values().for_each(|value| statements(value, found)),
            Value::Array(values) => values.iter().for_each(|value| statements(value, found)),
            Value::String(text) => {
                if let Ok(value @ Value::Object(_)) = serde_json::from_str(text) {
                    statements(&value, found);
                }
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    // The applying and the planning role; the boundary allows what no policy gives.
    let of_roles = policies["permissions"].as_object().expect("permissions").iter();
    for (_, policy) in of_roles.filter(|(name, _)| name.contains("/apply/") || name.contains("/plan/")) {
        statements(policy, &mut found);
    }
    assert!(found.len() > 50, "{} actions in {policies}", found.len());
    found
}
