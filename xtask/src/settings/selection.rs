//! Which functions and stacks a command line means.
//!
//! In: the names on the command line, often none. Out: functions and stacks. Errors: an unknown name, a function that the
//! environment does not run, several functions where one is needed.

use std::collections::BTreeMap;

use super::Project;
use crate::failure::{Failure, Result};
use crate::format::list;
use crate::name::{EnvironmentName, FunctionName, StackName};

impl Project {
    /// Returns the named functions, or, if none is named, all that an environment's stacks run there.
    pub(crate) fn functions_in(
        &self,
        environment: &EnvironmentName,
        named: &[FunctionName],
    ) -> Result<Vec<FunctionName>> {
        let stacks = self.stacks_in(environment)?;
        let runs =
            |function: &FunctionName| stacks.values().any(|settings| settings.functions.contains(function));
        if named.is_empty() && !stacks.is_empty() {
            let known = self.functions.keys();
            return Ok(known
                .filter(|function| runs(function) || self.stack_of(function).is_err())
                .cloned()
                .collect());
        }
        let functions = self.named_functions(named)?;
        if let Some(other) = functions.iter().find(|function| !runs(function)) {
            let stack = self.stack_of(other)?;
            return Err(Failure::usage(format!("{environment} does not run `{other}`")).hint(format!(
                "see [stacks.{stack}] in terraform/environments/{environment}/environment.toml"
            )));
        }
        Ok(functions)
    }

    /// Returns the named functions, or, if none is named, all of the project.
    pub(crate) fn named_functions(&self, named: &[FunctionName]) -> Result<Vec<FunctionName>> {
        for function in named {
            self.function(function)?;
        }
        if !named.is_empty() {
            return Ok(named.to_vec());
        }
        if self.functions.is_empty() {
            return Err(Failure::usage("this project has no function yet")
                .hint("add a folder lambda-src/<function> with a function.toml: see README.md"));
        }
        Ok(self.functions.keys().cloned().collect())
    }

    /// Returns the stacks of some functions, each with its functions among them.
    pub(crate) fn stacks_of(
        &self,
        functions: &[FunctionName],
    ) -> Result<Vec<(StackName, Vec<FunctionName>)>> {
        let mut stacks: BTreeMap<StackName, Vec<FunctionName>> = BTreeMap::new();
        for function in functions {
            stacks.entry(self.stack_of(function)?.clone()).or_default().push(function.clone());
        }
        Ok(stacks.into_iter().collect())
    }

    /// Returns the named function, or, if none is named, the project's only one.
    pub(crate) fn one_function(&self, named: Option<&FunctionName>) -> Result<FunctionName> {
        let functions = self.named_functions(named.map(std::slice::from_ref).unwrap_or_default())?;
        match functions.as_slice() {
            [one] => Ok(one.clone()),
            several => Err(Failure::usage("several functions are possible")
                .hint(format!("name one: {}", list(several.iter().map(FunctionName::as_str))))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{project, write};
    use super::*;

    fn names(functions: &[FunctionName]) -> Vec<&str> {
        functions.iter().map(FunctionName::as_str).collect()
    }

    /// Loads a project with the functions `hello` (in the stack `web`) and `other`, and adds a file.
    fn with_file(path: &str, text: &str) -> Project {
        let folder = project();
        let hello = std::fs::read_to_string(folder.path().join("lambda-src/hello/function.toml")).unwrap();
        write(folder.path(), "lambda-src/other/function.toml", &hello);
        write(folder.path(), "lambda-src/other/Cargo.toml", "");
        write(folder.path(), path, text);
        Project::load(folder.path()).unwrap()
    }

    #[test]
    fn functions_without_names_are_all_of_the_project_or_of_the_environment() {
        let project = with_file("terraform/stacks/more/stack.toml", "functions = [\"other\"]\n");
        let local = "local".parse().unwrap();
        assert_eq!(names(&project.named_functions(&[]).unwrap()), ["hello", "other"]);
        assert_eq!(names(&project.functions_in(&local, &[]).unwrap()), ["hello", "other"]);
        let stacks = project.stacks_of(&project.named_functions(&[]).unwrap()).unwrap();
        let stacks: Vec<(&str, usize)> =
            stacks.iter().map(|(stack, functions)| (stack.as_str(), functions.len())).collect();
        assert_eq!(stacks, [("more", 1), ("web", 1)]);
    }

    #[test]
    fn function_that_the_environment_does_not_run_is_refused() {
        let local = "terraform/environments/local/environment.toml";
        let project = with_file(local, "emulated = true\n[stacks.web]\nfunctions = []\n");
        let hello: FunctionName = "hello".parse().unwrap();
        let failure = project.functions_in(&"local".parse().unwrap(), &[hello]).unwrap_err();
        assert_eq!(failure.message(), "local does not run `hello`");
    }

    #[test]
    fn one_function_must_be_named_if_there_are_several() {
        let project = with_file("terraform/stacks/more/stack.toml", "functions = [\"other\"]\n");
        let failure = project.one_function(None).unwrap_err();
        assert_eq!(failure.report().hint.as_deref(), Some("name one: hello and other"));
        assert_eq!(project.one_function(Some(&"other".parse().unwrap())).unwrap().as_str(), "other");
        assert!(project.one_function(Some(&"absent".parse().unwrap())).is_err());
    }
}
