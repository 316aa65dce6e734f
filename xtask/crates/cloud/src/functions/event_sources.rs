//! Event source mappings, which invoke a function with records of a stream or queue: whether they are enabled.

use std::time::{Duration, Instant};

use super::Functions;
use crate::error::{CloudError, CloudErrorKind};

/// How long to wait for a mapping that Lambda is still changing.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(90);
const POLL_INTERVAL: Duration = Duration::from_millis(500);

impl Functions {
    /// Returns whether an event source mapping is enabled or being enabled; `None` where it does not exist.
    ///
    /// # Errors
    /// Any refusal of Lambda except "not found".
    pub async fn event_source_enabled(&self, uuid: &str) -> Result<Option<bool>, CloudError> {
        Ok(self.event_source_state(uuid).await?.map(|state| matches!(state.as_str(), "Enabled" | "Enabling")))
    }

    /// Enables or disables an event source mapping; waits while Lambda is still changing it.
    ///
    /// # Errors
    /// [`CloudErrorKind::NotFound`] if there is no such mapping; [`CloudErrorKind::Conflict`] if Lambda is still changing it.
    pub async fn set_event_source_enabled(&self, uuid: &str, enabled: bool) -> Result<(), CloudError> {
        let begun = Instant::now();
        loop {
            // States: https://docs.aws.amazon.com/lambda/latest/api/API_GetEventSourceMapping.html
            let changing = self
                .event_source_state(uuid)
                .await?
                .is_some_and(|state| !matches!(state.as_str(), "Enabled" | "Disabled"));
            if !changing || begun.elapsed() > SETTLE_TIMEOUT {
                break;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        let request = self.shared.lambda().update_event_source_mapping().uuid(uuid).enabled(enabled);
        self.calls.run("UpdateEventSourceMapping", uuid, request.send()).await.map(drop)
    }

    async fn event_source_state(&self, uuid: &str) -> Result<Option<String>, CloudError> {
        let request = self.shared.lambda().get_event_source_mapping().uuid(uuid);
        match self.calls.run("GetEventSourceMapping", uuid, request.send()).await {
            Ok(mapping) => Ok(Some(mapping.state.unwrap_or_default())),
            Err(error) if error.kind == CloudErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}
