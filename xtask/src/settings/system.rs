//! How a project's stacks hang together: which ones an environment runs, with which functions, in which order.
//!
//! In: the stacks' settings and an environment's choice among them. Out: stacks in the order in which they are applied.
//! Goes wrong: a stack or function that does not exist, a function of two stacks, stacks that wait for each other.

use std::collections::{BTreeMap, BTreeSet};

use super::stack::StackSettings;
use super::{Project, unknown};
use crate::failure::{Failure, Result};
use crate::name::{EnvironmentName, FunctionName, StackName, nearest};

impl Project {
    /// Returns the stacks that an environment runs, each with the functions that it runs there.
    pub(crate) fn stacks_in(
        &self,
        environment: &EnvironmentName,
    ) -> Result<BTreeMap<StackName, StackSettings>> {
        let choices = &self.environment(environment)?.stacks;
        let mut stacks = BTreeMap::new();
        for (name, settings) in &self.stacks {
            let mut settings = settings.clone();
            if let Some(choice) = choices.get(name) {
                if !choice.enabled {
                    continue;
                }
                if let Some(functions) = &choice.functions {
                    settings.functions.retain(|function| functions.contains(function));
                }
            }
            stacks.insert(name.clone(), settings);
        }
        Ok(stacks)
    }

    /// Returns what an environment makes of one stack; one that it does not run is refused.
    pub(crate) fn stack_in(&self, environment: &EnvironmentName, stack: &StackName) -> Result<StackSettings> {
        self.check_stack(stack)?;
        self.stacks_in(environment)?.remove(stack).ok_or_else(|| {
            Failure::usage(format!("{environment} does not run the stack `{stack}`")).hint(format!(
                "terraform/environments/{environment}/environment.toml says [stacks.{stack}] enabled = false"
            ))
        })
    }

    /// Refuses a stack that does not exist, with the nearest ones.
    pub(crate) fn check_stack(&self, stack: &StackName) -> Result<()> {
        if self.stacks.contains_key(stack) {
            return Ok(());
        }
        Err(unknown(
            "stack",
            stack.as_str(),
            self.stacks.keys().map(StackName::as_str),
            "terraform/stacks/<stack>/stack.toml",
        ))
    }

    /// Refuses settings that name what does not exist, or that can never be applied.
    pub(super) fn check_references(&self) -> Result<()> {
        self.check_functions()?;
        for (stack, settings) in &self.stacks {
            for upstream in settings.upstream() {
                if !self.stacks.contains_key(&upstream) {
                    return Err(Failure::usage(format!(
                        "terraform/stacks/{stack}/stack.toml: there is no stack `{upstream}`"
                    ))
                    .hint(format!("stacks here: {}", self.near(&upstream))));
                }
            }
        }
        if let Some(circle) = circle(&self.stacks) {
            let names: Vec<String> = circle.iter().map(|stack| format!("`{stack}`")).collect();
            return Err(Failure::usage(format!("stacks wait for each other: {}", names.join(" -> ")))
                .hint("take one of them out of `after` or [inputs] in its stack.toml"));
        }
        for (environment, settings) in &self.environments {
            let file = format!("terraform/environments/{environment}/environment.toml");
            for (stack, choice) in &settings.stacks {
                let Some(known) = self.stacks.get(stack) else {
                    return Err(Failure::usage(format!("{file}: there is no stack `{stack}`"))
                        .hint(format!("stacks here: {}", self.near(stack))));
                };
                let mut chosen = choice.functions.iter().flatten();
                if let Some(other) = chosen.find(|function| !known.functions.contains(function)) {
                    let names: Vec<&str> = known.functions.iter().map(FunctionName::as_str).collect();
                    return Err(Failure::usage(format!(
                        "{file}: the stack `{stack}` does not run `{other}`"
                    ))
                    .hint(format!("it runs {}", names.join(", "))));
                }
            }
            let enabled = self.stacks_in(environment)?;
            for (stack, settings) in &enabled {
                if let Some(missing) = settings.upstream().iter().find(|name| !enabled.contains_key(*name)) {
                    return Err(Failure::usage(format!(
                        "{file}: `{stack}` needs the stack `{missing}`, which is not enabled there"
                    )));
                }
            }
        }
        Ok(())
    }

    fn check_functions(&self) -> Result<()> {
        for (check, settings) in &self.settings.checks {
            if let Some(other) = settings.functions.iter().find(|name| !self.functions.contains_key(*name)) {
                return Err(Failure::usage(format!(
                    "pipelines/project.toml: the check `{check}` is for `{other}`, which has no folder lambda-src/{other} with a function.toml"
                ))
                .hint(format!("functions here: {}", self.near_function(other))));
            }
        }
        let mut owner: BTreeMap<&FunctionName, &StackName> = BTreeMap::new();
        for (stack, settings) in &self.stacks {
            for function in &settings.functions {
                if !self.functions.contains_key(function) {
                    return Err(Failure::usage(format!(
                        "terraform/stacks/{stack}/stack.toml: `functions` names `{function}`, which has no folder lambda-src/{function} with a function.toml"
                    ))
                    .hint(format!("functions here: {}", self.near_function(function))));
                }
                if let Some(first) = owner.insert(function, stack) {
                    return Err(Failure::usage(format!(
                        "`{function}` is named by two stacks, `{first}` and `{stack}`; one stack runs a function"
                    )));
                }
            }
        }
        Ok(())
    }

    fn near_function(&self, function: &FunctionName) -> String {
        nearest(function.as_str(), self.functions.keys().map(FunctionName::as_str), 3).join(", ")
    }

    fn near(&self, stack: &StackName) -> String {
        nearest(stack.as_str(), self.stacks.keys().map(StackName::as_str), 5).join(", ")
    }
}

/// Returns stacks in the order in which they are applied: what a stack needs comes before it, otherwise by name.
pub(crate) fn apply_order(stacks: &BTreeMap<StackName, StackSettings>) -> Vec<StackName> {
    let mut ordered: Vec<StackName> = Vec::new();
    while ordered.len() < stacks.len() {
        let next = stacks.iter().find(|(name, settings)| {
            !ordered.contains(name)
                && settings
                    .upstream()
                    .iter()
                    .all(|upstream| ordered.contains(upstream) || !stacks.contains_key(upstream))
        });
        let Some((name, _)) = next else { break };
        ordered.push(name.clone());
    }
    ordered
}

/// Returns the stacks that need one of some stacks, directly or through others, without those themselves.
pub(crate) fn downstream(
    stacks: &BTreeMap<StackName, StackSettings>,
    of: &BTreeSet<StackName>,
) -> BTreeSet<StackName> {
    let mut reached = of.clone();
    loop {
        let more: Vec<StackName> = stacks
            .iter()
            .filter(|(name, settings)| !reached.contains(*name) && !settings.upstream().is_disjoint(&reached))
            .map(|(name, _)| name.clone())
            .collect();
        if more.is_empty() {
            return reached.difference(of).cloned().collect();
        }
        reached.extend(more);
    }
}

/// Finds stacks that wait for each other: the way round, from one of them back to itself.
fn circle(stacks: &BTreeMap<StackName, StackSettings>) -> Option<Vec<StackName>> {
    let ordered = apply_order(stacks);
    let left = |name: &StackName| !ordered.contains(name);
    let mut way = vec![stacks.keys().find(|name| left(name))?.clone()];
    loop {
        // Whatever could not be ordered needs something else that could not be.
        let next = stacks[way.last()?].upstream().into_iter().find(|name| left(name))?;
        if let Some(at) = way.iter().position(|name| *name == next) {
            way.drain(..at);
            way.push(next);
            return Some(way);
        }
        way.push(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn system(text: &[(&str, &[&str])]) -> BTreeMap<StackName, StackSettings> {
        text.iter()
            .map(|(name, after)| {
                let after = after.iter().map(|name| name.parse().unwrap()).collect();
                (name.parse().unwrap(), StackSettings { after, ..StackSettings::default() })
            })
            .collect()
    }

    fn names<'a>(stacks: impl IntoIterator<Item = &'a StackName>) -> Vec<&'a str> {
        stacks.into_iter().map(StackName::as_str).collect()
    }

    #[test]
    fn what_a_stack_needs_comes_before_it() {
        let stacks = system(&[("app", &["network", "data"]), ("data", &["network"]), ("network", &[])]);
        assert_eq!(names(&apply_order(&stacks)), ["network", "data", "app"]);
        let below = downstream(&stacks, &BTreeSet::from(["data".parse().unwrap()]));
        assert_eq!(names(&below), ["app"]);
        let below = downstream(&stacks, &BTreeSet::from(["network".parse().unwrap()]));
        assert_eq!(names(&below), ["app", "data"]);
    }

    #[test]
    fn the_way_round_is_told_and_nothing_else() {
        let stacks = system(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"]), ("d", &[])]);
        assert_eq!(names(&circle(&stacks).unwrap()), ["b", "c", "b"]);
        let itself = system(&[("a", &["a"])]);
        assert_eq!(names(&circle(&itself).unwrap()), ["a", "a"]);
        assert!(circle(&system(&[("a", &["b"]), ("b", &[])])).is_none());
    }
}
