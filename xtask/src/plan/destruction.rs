//! The guard on what a plan destroys: `protect` in every environment, and types that hold data in protected ones.

use super::Planned;
use super::data_types::{data_in, resource_type};
use super::guard::removed;
use crate::failure::{Failure, Result};
use crate::name::{EnvironmentName, StackName};

/// What may be destroyed where.
pub(crate) struct DestructionGuard<'a> {
    /// The stack.
    pub(crate) stack: &'a StackName,
    /// The environment.
    pub(crate) environment: &'a EnvironmentName,
    /// Whether it is protected.
    pub(crate) is_protected: bool,
    /// `protect` in stack.toml.
    pub(crate) protect: &'a [String],
    /// The addresses that were named (`--allow-destroy`).
    pub(crate) allowed: &'a [String],
}

/// Something that a plan deletes, replaces or forgets, and that may not be without its name.
struct Destruction {
    address: String,
    verb: &'static str,
    why: String,
    pattern: Option<String>,
}

impl DestructionGuard<'_> {
    /// Refuses (exit code 6) a plan that deletes, replaces or forgets a protected address, or in a protected environment what
    /// holds data, unless each of them was named.
    pub(crate) fn check(&self, planned: &Planned) -> Result<()> {
        let mut found = self.destructions(planned)?;
        found.retain(|destruction| !self.allowed.contains(&destruction.address));
        let Some(first) = found.first() else { return Ok(()) };
        let (stack, environment) = (self.stack, self.environment);
        let mut failure = match &first.pattern {
            Some(pattern) => {
                Failure::refused(format!("the plan would remove {}, which `{stack}` protects", first.address))
                    .detail(
                        "protected by",
                        format!("protect = [\"{pattern}\"] in terraform/stacks/{stack}/stack.toml"),
                    )
            }
            None => Failure::refused(format!(
                "{environment} is protected and the plan would {} {}, and with it {}",
                first.verb, first.address, first.why
            )),
        };
        for other in &found[1..] {
            failure =
                failure.detail(format!("also {}", other.verb), format!("{}: {}", other.address, other.why));
        }
        let options: Vec<String> =
            found.iter().map(|destruction| format!("--allow-destroy '{}'", destruction.address)).collect();
        let lost = if first.pattern.is_some() { "" } else { "; what it holds is gone then" };
        Err(failure
            .unchanged("Nothing was applied.")
            .hint(format!("if that is meant, add to the same command: {}{lost}", options.join(" "))))
    }

    /// Returns the options that a deployment of this plan needs, in words for a note; empty where it needs none.
    pub(crate) fn needed_options(&self, planned: &Planned) -> Result<Vec<String>> {
        Ok(self.destructions(planned)?.into_iter().map(|destruction| destruction.address).collect())
    }

    fn destructions(&self, planned: &Planned) -> Result<Vec<Destruction>> {
        let mut found: Vec<Destruction> = Vec::new();
        for (address, pattern) in removed(self.stack, self.protect, planned)? {
            if found.iter().any(|other| other.address == address) {
                continue;
            }
            let change = planned.changes.iter().find(|change| change.address == address);
            let verb = change.map_or("delete", |change| change.action.word());
            let why = format!("`{}` protects it", self.stack);
            found.push(Destruction { address, verb, why, pattern: Some(pattern) });
        }
        if self.is_protected {
            for change in planned.changes.iter().filter(|change| change.action.removes()) {
                let held = resource_type(&change.address).and_then(|kind| data_in(&kind));
                let Some(held) = held.filter(|_| found.iter().all(|other| other.address != change.address))
                else {
                    continue;
                };
                let (address, verb) = (change.address.clone(), change.action.word());
                found.push(Destruction { address, verb, why: held.to_owned(), pattern: None });
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::FailureKind;
    use crate::plan::{Action, Change, SavedPlan};

    fn planned(changes: &[(&str, Action)]) -> Planned {
        let change = |(address, action): &(&str, Action)| Change {
            address: (*address).into(),
            action: *action,
            reason: None,
        };
        Planned {
            changes: changes.iter().map(change).collect(),
            drift: Vec::new(),
            outputs_change: false,
            file: SavedPlan::of_temporary_folder(),
            warnings: Vec::new(),
        }
    }

    fn check(is_protected: bool, allowed: &[&str], changes: &[(&str, Action)]) -> Result<()> {
        let allowed: Vec<String> = allowed.iter().map(|address| (*address).to_owned()).collect();
        let guard = DestructionGuard {
            stack: &"tracer".parse().unwrap(),
            environment: &"prod".parse().unwrap(),
            is_protected,
            protect: &["aws_sns_topic.*".to_owned()],
            allowed: &allowed,
        };
        guard.check(&planned(changes))
    }

    const TABLE: &str = "module.a[\"x\"].aws_dynamodb_table.t";

    #[test]
    fn what_holds_data_is_destroyed_in_a_protected_environment_only_by_its_name() {
        for action in [Action::Delete, Action::Replace, Action::Forget] {
            let failure = check(true, &[], &[(TABLE, action)]).unwrap_err();
            assert_eq!(failure.kind(), FailureKind::Refused);
            let word = action.word();
            assert_eq!(
                failure.message(),
                format!("prod is protected and the plan would {word} {TABLE}, and with it its items")
            );
            let hint = failure.report().hint.unwrap();
            assert!(hint.contains(&format!("--allow-destroy '{TABLE}'")), "{hint}");
            assert!(check(true, &[TABLE], &[(TABLE, action)]).is_ok());
            assert!(check(false, &[], &[(TABLE, action)]).is_ok(), "it is not protected");
            // A name that only begins alike, or a pattern, is not the address.
            assert!(check(true, &["module.a[\"x\"].aws_dynamodb_table.*"], &[(TABLE, action)]).is_err());
        }
        assert!(check(true, &[], &[(TABLE, Action::Update), ("aws_iam_role.r", Action::Delete)]).is_ok());
        assert!(check(true, &[], &[("data.aws_s3_bucket.b", Action::Delete)]).is_ok());
    }

    #[test]
    fn what_a_stack_protects_is_kept_everywhere_and_every_address_is_named() {
        let both = [("aws_sns_topic.t", Action::Delete), (TABLE, Action::Replace)];
        for is_protected in [true, false] {
            let failure = check(is_protected, &[TABLE], &both).unwrap_err();
            assert_eq!(failure.message(), "the plan would remove aws_sns_topic.t, which `tracer` protects");
        }
        let report = check(true, &[], &both).unwrap_err().report();
        assert_eq!(report.details[1].value, format!("{TABLE}: its items"));
        let hint = report.hint.unwrap();
        assert!(
            hint.contains(&format!("--allow-destroy 'aws_sns_topic.t' --allow-destroy '{TABLE}'")),
            "{hint}"
        );
        assert!(check(true, &["aws_sns_topic.t", TABLE], &both).is_ok());
    }
}
