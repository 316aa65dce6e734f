//! What a plan would change: addresses and actions, never values.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What happens to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Action {
    /// It is created.
    Create,
    /// It is changed in place.
    Update,
    /// It is deleted.
    Delete,
    /// It is deleted and created again, in either order.
    Replace,
    /// It is imported into the state.
    Import,
    /// Its address changes.
    Move,
    /// It is removed from the state and stays in the cloud.
    #[serde(alias = "remove")]
    Forget,
    /// It is read.
    Read,
    /// Nothing.
    #[serde(alias = "no-op", alias = "noop")]
    NoOp,
}

impl Action {
    /// Tells whether a resource is created.
    pub(crate) fn adds(self) -> bool {
        matches!(self, Self::Create | Self::Replace | Self::Import)
    }

    /// Tells whether a resource is deleted.
    pub(crate) fn removes(self) -> bool {
        matches!(self, Self::Delete | Self::Replace | Self::Forget)
    }

    /// Returns the action as Terraform's users know it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Replace => "replace",
            Self::Import => "import",
            Self::Move => "move",
            Self::Forget => "forget",
            Self::Read => "read",
            Self::NoOp => "no change",
        }
    }
}

/// A change of one resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Change {
    /// The full address.
    pub(crate) address: String,
    /// What happens to the resource.
    pub(crate) action: Action,
    /// The reason that Terraform gives (`tainted`, `cannot_update`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

/// Returns how many resources are added, changed and removed: `+7 ~0 -0`.
pub(crate) fn changes_summary(changes: &[Change]) -> String {
    let count = |test: fn(Action) -> bool| changes.iter().filter(|change| test(change.action)).count();
    let updated = count(|action| action == Action::Update);
    format!("+{} ~{updated} -{}", count(Action::adds), count(Action::removes))
}

/// How many changes are shown without --verbose.
const SHOWN: usize = 12;

/// Returns the changes as lines, removals first; beyond a dozen the rest is counted.
pub(crate) fn changes_text(changes: &[Change], all: bool) -> String {
    let mut sorted: Vec<&Change> = changes.iter().collect();
    sorted.sort_by_key(|change| (!change.action.removes(), change.action.word(), change.address.clone()));
    let shown = if all { sorted.len() } else { SHOWN.min(sorted.len()) };
    let mut out = String::new();
    for change in &sorted[..shown] {
        let reason = change
            .reason
            .as_deref()
            .map(|reason| format!("   ({})", reason.replace('_', " ")))
            .unwrap_or_default();
        out.push_str(&format!("          {:8} {}{reason}\n", change.action.word(), change.address));
    }
    if shown < sorted.len() {
        out.push_str(&format!("          …{} more (--verbose shows all)\n", sorted.len() - shown));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_list_removals_first_and_count_the_rest() {
        let mut changes: Vec<Change> = (0..14)
            .map(|n| Change { address: format!("aws_x.n{n:02}"), action: Action::Create, reason: None })
            .collect();
        changes.push(Change {
            address: "aws_dynamodb_table.t".into(),
            action: Action::Replace,
            reason: Some("cannot_update".into()),
        });
        let text = changes_text(&changes, false);
        assert!(
            text.starts_with(
                "          replace  aws_dynamodb_table.t   (cannot update)\n          create   aws_x.n00"
            ),
            "{text}"
        );
        assert!(text.ends_with("…3 more (--verbose shows all)\n"), "{text}");
        assert_eq!(changes_text(&changes, true).lines().count(), 15);
    }
}
