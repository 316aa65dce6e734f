//! Event sources: what calls a function with records of a stream or queue, and whether it does.

use std::time::{Duration, Instant};

use super::Functions;
use crate::error::{CloudError, Kind};

/// How long a mapping that is being changed is waited for.
const SETTLES_WITHIN: Duration = Duration::from_secs(90);
const LOOK_EVERY: Duration = Duration::from_millis(500);

impl Functions {
    /// Tells whether an event source mapping delivers, or is about to; nothing where it does not exist.
    ///
    /// # Errors
    /// Whatever Lambda refuses but the absence of the mapping.
    pub async fn event_source(&self, uuid: &str) -> Result<Option<bool>, CloudError> {
        Ok(self.event_source_state(uuid).await?.map(|state| matches!(state.as_str(), "Enabled" | "Enabling")))
    }

    /// Lets an event source mapping deliver, or stops it; waits while Lambda is still changing it.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is no such mapping; [`Kind::Conflict`] if Lambda goes on changing it.
    pub async fn switch_event_source(&self, uuid: &str, enabled: bool) -> Result<(), CloudError> {
        let begun = Instant::now();
        loop {
            // States: https://docs.aws.amazon.com/lambda/latest/api/API_GetEventSourceMapping.html
            let changing = self
                .event_source_state(uuid)
                .await?
                .is_some_and(|state| !matches!(state.as_str(), "Enabled" | "Disabled"));
            if !changing || begun.elapsed() > SETTLES_WITHIN {
                break;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let request = self.shared.lambda().update_event_source_mapping().uuid(uuid).enabled(enabled);
        self.calls.run("UpdateEventSourceMapping", uuid, request.send()).await.map(drop)
    }

    async fn event_source_state(&self, uuid: &str) -> Result<Option<String>, CloudError> {
        let request = self.shared.lambda().get_event_source_mapping().uuid(uuid);
        match self.calls.run("GetEventSourceMapping", uuid, request.send()).await {
            Ok(mapping) => Ok(Some(mapping.state.unwrap_or_default())),
            Err(error) if error.kind == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}
