//! Event sources: a stack makes them closed, and they are opened once what they call is verified and serves.
//!
//! In: what the stack says of its functions' event sources. Out: each delivers, or not, as the stack wants it. Goes wrong:
//! a mapping that the stack names does not exist.

use super::EnvironmentStack;
use crate::failure::{Failure, Result};
use crate::plan::{Applied, FunctionOutput};

/// Tells whether every event source delivers or rests as the stack wants it.
pub(super) async fn as_wanted(stack: &EnvironmentStack, applied: &Applied) -> Result<bool> {
    for source in applied.functions()?.values().flat_map(|output| &output.event_sources) {
        if stack.functions.event_source(&source.uuid).await? != Some(source.enabled) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Brings a function's event sources to what the stack wants.
pub(super) async fn switch(stack: &EnvironmentStack, output: &FunctionOutput) -> Result<()> {
    for source in &output.event_sources {
        let now = stack.functions.event_source(&source.uuid).await?.ok_or_else(|| {
            Failure::failed(format!(
                "the stack `{}` names the event source {}, which does not exist",
                stack.name(),
                source.uuid
            ))
            .hint(format!(
                "somebody deleted it: cargo xtask plan --env {} shows what would be made again",
                stack.environment()
            ))
        })?;
        if now == source.enabled {
            continue;
        }
        let title = format!("{} {}", output.function_name, source.uuid);
        let step = stack.progress.step("events", title);
        match stack.functions.switch_event_source(&source.uuid, source.enabled).await {
            Ok(()) => step.done(if source.enabled { "delivering" } else { "stopped" }),
            Err(failure) => {
                step.failed("failed");
                return Err(failure);
            }
        }
    }
    Ok(())
}
