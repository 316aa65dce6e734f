//! Where a stack's state is kept, and the file that says so to Terraform.

use serde::Serialize;

use crate::name::StackName;

/// How many times the provider and the backend try a call to an emulator.
pub(super) const EMULATOR_ATTEMPTS: u32 = 3;

/// Where the state is kept.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Backend {
    /// The bucket.
    pub(crate) bucket: String,
    /// What each key begins with.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) prefix: String,
    /// The region.
    pub(crate) region: String,
    /// The account that it must be in.
    pub(crate) account: String,
    /// A DynamoDB table that locks besides the lock file.
    pub(crate) lock_table: Option<String>,
    /// The address of an emulator.
    pub(crate) endpoint: Option<String>,
}

impl Backend {
    /// Returns the key of a stack's state.
    pub(super) fn state_key(&self, stack: &StackName) -> String {
        format!("{}{stack}.tfstate", self.prefix)
    }
}

/// Writes the S3 backend's settings: <https://developer.hashicorp.com/terraform/language/backend/s3>.
pub(super) fn backend_text(stack: &StackName, backend: &Backend) -> String {
    let mut text = format!(
        "bucket = {:?}\nkey = {:?}\nregion = {:?}\nuse_lockfile = true\nallowed_account_ids = [{:?}]\n",
        backend.bucket,
        backend.state_key(stack),
        backend.region,
        backend.account
    );
    if let Some(table) = &backend.lock_table {
        text.push_str(&format!("dynamodb_table = {table:?}\n"));
    }
    if let Some(endpoint) = &backend.endpoint {
        let services: Vec<String> = ["s3", "sts", "iam", "dynamodb"]
            .iter()
            .map(|service| format!("  {service} = {endpoint:?}\n"))
            .collect();
        text.push_str(&format!(
            "use_path_style = true\nmax_retries = {EMULATOR_ATTEMPTS}\nendpoints = {{\n{}}}\n",
            services.concat()
        ));
    }
    text
}
