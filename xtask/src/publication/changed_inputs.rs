//! Says which inputs a release's build differs in from the release before it, and which functions were found unchanged.

use super::{ChosenVersion, PublicationContext};
use crate::failure::Result;
use crate::format;
use crate::release::{InputsRecord, VersionChoice};

/// How many changed inputs one line names.
const NAMED: usize = 3;

/// Says what was compared for the functions whose newest release has the same inputs, in one line.
pub(super) fn report_unchanged(context: &PublicationContext<'_>, chosen: &[ChosenVersion]) {
    let reused: Vec<&ChosenVersion> = chosen.iter().filter(|chosen| !chosen.choice.is_new()).collect();
    let text = match reused[..] {
        [] => return,
        [ChosenVersion { function, source, choice: VersionChoice::Reuse { manifest, .. } }] => {
            let count = source.inputs.count();
            format!(
                "{function} {} has the same {count} inputs ({})",
                manifest.version,
                source.inputs_digest.short()
            )
        }
        _ => {
            let count: usize = reused.iter().map(|chosen| chosen.source.inputs.count()).sum();
            format!(
                "{} have the same inputs as their releases ({count} compared)",
                format::plural(reused.len(), "function")
            )
        }
    };
    context.build.progress.note(format!("inputs    {text}"));
}

/// Says which inputs changed since a function's newest release.
pub(super) async fn report_changed(context: &PublicationContext<'_>, chosen: &ChosenVersion) -> Result<()> {
    let ChosenVersion { function, source, .. } = chosen;
    let count = source.inputs.count();
    let newest = context.catalogue.newest(function).await?;
    let text = match &newest {
        None => format!("{function} has no release yet ({count} inputs)"),
        Some(newest) => {
            let record = InputsRecord::find(context.catalogue, &newest.source.inputs_digest).await?;
            let changed = record.and_then(|record| record.differences(&InputsRecord::of(&source.inputs)));
            match changed.as_deref() {
                None => format!(
                    "{function} {} has no record that can be compared with these {count} inputs",
                    newest.version
                ),
                Some([]) => format!("{function} {} has the same {count} inputs", newest.version),
                Some(changed) => {
                    let named: Vec<&str> = changed.iter().take(NAMED).map(String::as_str).collect();
                    let more = match changed.len().checked_sub(NAMED) {
                        None | Some(0) => String::new(),
                        Some(more) => format!(" and {more} more"),
                    };
                    format!(
                        "{function} differs from {} in {} of {count} inputs: {}{more}",
                        newest.version,
                        changed.len(),
                        named.join(", ")
                    )
                }
            }
        }
    };
    context.build.progress.note(format!("inputs    {text}"));
    Ok(())
}
