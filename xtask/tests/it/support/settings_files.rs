//! The settings of the projects that tests make: with the local environment alone, or with a store and environments in accounts.

use super::sandbox::Sandbox;

/// Writes the settings of a project whose only environment is the local one. `ignored` are further lines of `.gitignore`.
pub fn write_local_project(sandbox: &Sandbox, name: &str, ignored: &str) {
    sandbox.write("pipelines/project.toml", &format!("schema = 1\nname = \"{name}\"\n"));
    sandbox.write(".gitignore", &format!("/target/\n**/.terraform/\n{ignored}"));
    sandbox.write("terraform/environments/local/environment.toml", "emulated = true\n");
}

/// Returns the text of project.toml with a store in an account; it ends in the table of the store.
pub fn project_with_store(name: &str, account: &str, bucket: &str) -> String {
    format!(
        "schema = 1\nname = \"{name}\"\n\n[store]\naccount = \"{account}\"\nregion = \"eu-central-1\"\nbucket = \"{bucket}\"\n"
    )
}

/// Returns the text of an environment.toml for an account, which takes releases that nobody signed; it ends in the table of
/// the state.
pub fn environment_in_account(account: &str, state_bucket: &str) -> String {
    format!(
        "account = \"{account}\"\nregion = \"eu-central-1\"\nsignatures = \"optional\"\n\n[state]\nbucket = \"{state_bucket}\"\n"
    )
}
