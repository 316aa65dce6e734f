//! The dependencies between stacks: which stacks an environment runs, with which functions, in which order.
//!
//! In: the stacks' settings and an environment's selection of them. Out: stacks in the order in which they are applied.
//! Goes wrong: an unknown stack or function, a function in two stacks, stacks that depend on each other.

use std::collections::{BTreeMap, BTreeSet};

use super::stack::StackSettings;
use super::{Project, unknown_name};
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
            let mut settings = settings.clone().in_environment(environment);
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

    /// Returns a stack with the functions that an environment runs; fails where it does not run the stack.
    pub(crate) fn stack_in(&self, environment: &EnvironmentName, stack: &StackName) -> Result<StackSettings> {
        self.check_stack(stack)?;
        self.stacks_in(environment)?.remove(stack).ok_or_else(|| {
            Failure::usage(format!("{environment} does not run the stack `{stack}`")).hint(format!(
                "terraform/environments/{environment}/environment.toml says [stacks.{stack}] enabled = false"
            ))
        })
    }

    /// Fails where a stack does not exist, and suggests the nearest ones.
    pub(crate) fn check_stack(&self, stack: &StackName) -> Result<()> {
        if self.stacks.contains_key(stack) {
            return Ok(());
        }
        Err(unknown_name(
            "stack",
            stack.as_str(),
            self.stacks.keys().map(StackName::as_str),
            "terraform/stacks/<stack>/stack.toml",
        ))
    }

    /// Fails where settings name a stack or function that does not exist, or where stacks cannot be ordered.
    pub(super) fn check_references(&self) -> Result<()> {
        self.check_functions()?;
        self.check_environment_names()?;
        for (stack, settings) in &self.stacks {
            if let Some(unknown) =
                settings.environment_inputs.keys().find(|name| !self.environments.contains_key(*name))
            {
                let names = self.environments.keys().map(EnvironmentName::as_str);
                return Err(Failure::usage(format!(
                    "terraform/stacks/{stack}/stack.toml: [environments.{unknown}] names an unknown environment"
                ))
                .hint(format!("environments here: {}", nearest(unknown.as_str(), names, 5).join(", "))));
            }
            let further =
                settings.environment_inputs.values().flat_map(BTreeMap::values).map(|from| &from.stack);
            for upstream in settings.upstream().into_iter().chain(further.cloned()) {
                if !self.stacks.contains_key(&upstream) {
                    return Err(Failure::usage(format!(
                        "terraform/stacks/{stack}/stack.toml: unknown stack `{upstream}`"
                    ))
                    .hint(format!("stacks here: {}", self.nearest_stacks(&upstream))));
                }
            }
        }
        if let Some(cycle) = dependency_cycle(&self.stacks) {
            return Err(cycle_failure(&cycle));
        }
        for (environment, settings) in &self.environments {
            let file = format!("terraform/environments/{environment}/environment.toml");
            self.check_builder(&file, settings)?;
            self.check_promotion(environment, &file)?;
            for (stack, choice) in &settings.stacks {
                let Some(known) = self.stacks.get(stack) else {
                    return Err(Failure::usage(format!("{file}: unknown stack `{stack}`"))
                        .hint(format!("stacks here: {}", self.nearest_stacks(stack))));
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
            if let Some(cycle) = dependency_cycle(&enabled) {
                return Err(cycle_failure(&cycle).detail("in", environment.as_str()));
            }
            for (stack, settings) in &enabled {
                if let Some(missing) = settings.upstream().iter().find(|name| !enabled.contains_key(*name)) {
                    return Err(Failure::usage(format!(
                        "{file}: `{stack}` depends on the stack `{missing}`, which is not enabled there"
                    )));
                }
            }
        }
        Ok(())
    }

    /// Fails where `promote_from` names an environment that does not exist, or leads back to this one.
    fn check_promotion(&self, environment: &EnvironmentName, file: &str) -> Result<()> {
        let mut at = environment;
        let mut seen = BTreeSet::from([environment]);
        while let Some(from) = self.environments.get(at).and_then(|settings| settings.promote_from.as_ref()) {
            if !self.environments.contains_key(from) {
                // Of another environment's mistake its own file is named.
                if at != environment {
                    return Ok(());
                }
                let names = self.environments.keys().map(EnvironmentName::as_str);
                return Err(Failure::usage(format!(
                    "{file}: `promote_from` names the unknown environment `{from}`"
                ))
                .hint(format!("environments here: {}", nearest(from.as_str(), names, 5).join(", "))));
            }
            if !seen.insert(from) {
                return Err(Failure::usage(format!("{file}: `promote_from` leads back to `{from}`"))
                    .hint("an environment is promoted from one that comes before it"));
            }
            at = from;
        }
        Ok(())
    }

    fn check_functions(&self) -> Result<()> {
        for (check, settings) in &self.settings.checks {
            if let Some(other) = settings.functions.iter().find(|name| !self.functions.contains_key(*name)) {
                return Err(Failure::usage(format!(
                    "pipelines/project.toml: the check `{check}` is for `{other}`, which has no lambda-src/{other}/function.toml"
                ))
                .hint(format!("functions here: {}", self.nearest_functions(other))));
            }
        }
        let mut owner: BTreeMap<&FunctionName, &StackName> = BTreeMap::new();
        for (stack, settings) in &self.stacks {
            for function in &settings.functions {
                if !self.functions.contains_key(function) {
                    return Err(Failure::usage(format!(
                        "terraform/stacks/{stack}/stack.toml: `functions` names `{function}`, which has no lambda-src/{function}/function.toml"
                    ))
                    .hint(format!("functions here: {}", self.nearest_functions(function))));
                }
                if let Some(first) = owner.insert(function, stack) {
                    return Err(Failure::usage(format!(
                        "`{function}` is in two stacks, `{first}` and `{stack}`: only one stack may run a function"
                    )));
                }
            }
        }
        Ok(())
    }

    fn nearest_functions(&self, function: &FunctionName) -> String {
        nearest(function.as_str(), self.functions.keys().map(FunctionName::as_str), 3).join(", ")
    }

    fn nearest_stacks(&self, stack: &StackName) -> String {
        nearest(stack.as_str(), self.stacks.keys().map(StackName::as_str), 5).join(", ")
    }
}

/// Returns stacks in the order in which they are applied: dependencies first, otherwise by name.
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

/// Returns the stacks that depend on one of `of`, directly or through others, without `of`.
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

fn cycle_failure(cycle: &[StackName]) -> Failure {
    let names: Vec<String> = cycle.iter().map(|stack| format!("`{stack}`")).collect();
    Failure::usage(format!("stacks depend on each other: {}", names.join(" -> ")))
        .hint("remove one of them from `after` or [inputs] in its stack.toml")
}

/// Returns a cycle of stacks that depend on each other, from one of them back to itself.
fn dependency_cycle(stacks: &BTreeMap<StackName, StackSettings>) -> Option<Vec<StackName>> {
    let ordered = apply_order(stacks);
    let unordered = |name: &StackName| !ordered.contains(name);
    let mut path = vec![stacks.keys().find(|name| unordered(name))?.clone()];
    loop {
        // A stack that could not be ordered depends on another one that could not be.
        let next = stacks[path.last()?].upstream().into_iter().find(|name| unordered(name))?;
        if let Some(at) = path.iter().position(|name| *name == next) {
            path.drain(..at);
            path.push(next);
            return Some(path);
        }
        path.push(next);
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
    fn apply_order_puts_dependencies_first() {
        let stacks = system(&[("app", &["network", "data"]), ("data", &["network"]), ("network", &[])]);
        assert_eq!(names(&apply_order(&stacks)), ["network", "data", "app"]);
        let below = downstream(&stacks, &BTreeSet::from(["data".parse().unwrap()]));
        assert_eq!(names(&below), ["app"]);
        let below = downstream(&stacks, &BTreeSet::from(["network".parse().unwrap()]));
        assert_eq!(names(&below), ["app", "data"]);
    }

    #[test]
    fn dependency_cycle_contains_only_the_stacks_in_it() {
        let stacks = system(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"]), ("d", &[])]);
        assert_eq!(names(&dependency_cycle(&stacks).unwrap()), ["b", "c", "b"]);
        let itself = system(&[("a", &["a"])]);
        assert_eq!(names(&dependency_cycle(&itself).unwrap()), ["a", "a"]);
        assert!(dependency_cycle(&system(&[("a", &["b"]), ("b", &[])])).is_none());
    }
}
