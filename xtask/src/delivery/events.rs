//! Event sources: a stack makes them closed, and they are opened once what they call is verified and serves.
//!
//! In: what the stack says of its functions' event sources. Out: each delivers, or not, as the stack wants it. Goes wrong:
//! a mapping that the stack names does not exist.

use super::Site;
use crate::failure::{Failure, Outcome};
use crate::plan::{Applied, FunctionOutput};

/// Tells whether every event source delivers or rests as the stack wants it.
pub(super) async fn as_wanted(site: &Site, applied: &Applied) -> Outcome<bool> {
    for source in applied.functions()?.values().flat_map(|output| &output.event_sources) {
        if site.functions.event_source(&source.uuid).await? != Some(source.enabled) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Brings a function's event sources to what the stack wants.
pub(super) async fn switch(site: &Site, output: &FunctionOutput) -> Outcome<()> {
    for source in &output.event_sources {
        let now = site.functions.event_source(&source.uuid).await?.ok_or_else(|| {
            Failure::failed(format!(
                "the stack `{}` names the event source {}, which does not exist",
                site.stack, source.uuid
            ))
            .hint(format!(
                "somebody deleted it: cargo xtask plan --env {} shows what would be made again",
                site.environment
            ))
        })?;
        if now == source.enabled {
            continue;
        }
        let title = format!("{} {}", output.function_name, source.uuid);
        let step = site.progress.step("events", title);
        match site.functions.switch_event_source(&source.uuid, source.enabled).await {
            Ok(()) => step.done(if source.enabled { "delivering" } else { "stopped" }),
            Err(failure) => {
                step.failed("failed");
                return Err(failure);
            }
        }
    }
    Ok(())
}
