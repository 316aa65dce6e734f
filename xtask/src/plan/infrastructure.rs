//! The port through which stacks are planned and applied: Terraform, or a fake in tests.

use std::path::Path;

use async_trait::async_trait;

use super::{Applied, Configuration, Planned};
use crate::failure::Result;

/// Plans and applies a stack.
#[async_trait]
pub(crate) trait Infrastructure: Send + Sync {
    /// Returns what a plan depends on besides its files: the program's version in that folder and the settings that reach
    /// it from variables and the user's files. Refuses a variable that would change the plan unseen.
    async fn identity(&self, configuration: &Configuration) -> Result<Vec<(String, String)>>;
    /// Plans a configuration.
    async fn plan(&self, configuration: &Configuration) -> Result<Planned>;
    /// Reads a saved plan with its values. They may be secret: do not print them.
    async fn values(&self, configuration: &Configuration, planned: &Planned) -> Result<serde_json::Value>;
    /// Makes ready to apply a plan that was saved earlier, from the same files, and reads it with its values.
    async fn open_saved(&self, configuration: &Configuration, planned: &Planned)
    -> Result<serde_json::Value>;
    /// Plans the removal of everything in a configuration's state.
    async fn plan_destroy(&self, configuration: &Configuration) -> Result<Planned>;
    /// Applies exactly the saved plan and returns the outputs.
    async fn apply(&self, configuration: &Configuration, planned: &Planned) -> Result<Applied>;
    /// Returns the outputs of the applied configuration.
    async fn outputs(&self, configuration: &Configuration) -> Result<Applied>;
    /// Removes a lock from the state, by the id in its lock file.
    async fn unlock(&self, configuration: &Configuration, lock: &str) -> Result<()>;
    /// Imports a resource that exists into the state, by its address and its import id.
    async fn import(&self, configuration: &Configuration, address: &str, id: &str) -> Result<()>;
    /// Saves a state from a file.
    async fn push_state(&self, configuration: &Configuration, file: &Path) -> Result<()>;
}
