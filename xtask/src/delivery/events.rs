//! Event sources: a stack creates them disabled; they are enabled when the version that they call serves.
//!
//! In: the event sources in the stack's output `functions`. Out: each is enabled or disabled as the output says. Errors: a
//! mapping in the output does not exist.

use std::collections::BTreeMap;

use super::EnvironmentStack;
use crate::failure::{Failure, Result};
use crate::name::FunctionName;
use crate::plan::FunctionOutput;

/// Returns whether every event source is enabled or disabled as the stack says.
pub(super) async fn are_as_declared(
    stack: &EnvironmentStack,
    outputs: &BTreeMap<FunctionName, FunctionOutput>,
) -> Result<bool> {
    for source in outputs.values().flat_map(|output| &output.event_sources) {
        if stack.functions.event_source_enabled(&source.uuid).await? != Some(source.enabled) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Enables or disables a function's event sources as the stack says.
pub(super) async fn switch(stack: &EnvironmentStack, output: &FunctionOutput) -> Result<()> {
    for source in &output.event_sources {
        let now = stack.functions.event_source_enabled(&source.uuid).await?.ok_or_else(|| {
            Failure::failed(format!(
                "the stack `{}` names the event source {}, which does not exist",
                stack.name(),
                source.uuid
            ))
            .hint(format!(
                "it was deleted outside Terraform: cargo xtask plan --env {} shows what would be created again",
                stack.environment()
            ))
        })?;
        if now == source.enabled {
            continue;
        }
        let title = format!("{} {}", output.function_name, source.uuid);
        let step = stack.progress.step("events", title);
        let mut switched = stack.functions.set_event_source_enabled(&source.uuid, source.enabled).await;
        // It may have been switched, and only the answer was lost.
        if switched.is_err()
            && let Ok(Some(now)) = stack.functions.event_source_enabled(&source.uuid).await
            && now == source.enabled
        {
            switched = Ok(());
        }
        match switched {
            Ok(()) => step.done(if source.enabled { "enabled" } else { "disabled" }),
            Err(failure) => {
                step.failed("failed");
                return Err(failure);
            }
        }
    }
    Ok(())
}
