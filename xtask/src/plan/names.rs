//! Names of Lambda functions that a stack would form, as far as its files say them: too long, only Terraform would refuse
//! them, after the release was published.
//!
//! In: the root modules of an environment's stacks. Out: [`LongName`]s, for a call of the module `lambda-function` or a
//! resource `aws_lambda_function`, where the name follows from `var.environment`, locals of such values and the functions of
//! the stack. A name that also depends on something else is not certain, and passes.

use std::collections::BTreeMap;
use std::path::Path;

use hcl::eval::{Context, Evaluate};
use hcl::structure::Block;
use hcl::{Body, Expression, Map, Value};

use crate::failure::{Failure, Result};
use crate::name::{EnvironmentName, FunctionName, StackName};
use crate::settings::{EnvironmentAccount, Project};

/// The longest name of a function: <https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html>.
const LONGEST: usize = 64;
/// Stands for the account id of an emulator: all account ids have 12 digits.
const EMULATED_ACCOUNT: &str = "000000000000";

/// The name of a Lambda function that is too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LongName {
    /// The stack.
    pub(crate) stack: StackName,
    /// The name.
    pub(crate) name: String,
    /// The file that forms it, relative to the project.
    pub(crate) file: String,
    /// The block in it, such as `module.hello`.
    pub(crate) address: String,
}

impl LongName {
    /// Returns the failure as `doctor` shows it beside its place.
    pub(crate) fn requirement(&self) -> Failure {
        Failure::usage(format!("{} characters; Lambda takes {LONGEST}", self.name.len()))
            .hint(format!("{} is too long: form a shorter name in {}", self.name, self.file))
    }

    /// Returns what is wrong with it, and what to do.
    pub(crate) fn failure(&self, environment: &EnvironmentName) -> Failure {
        let Self { stack, name, file, address } = self;
        Failure::usage(format!(
            "the Lambda function of `{address}` in the stack `{stack}` would be called {name} in {environment}: that has {} characters, and Lambda takes {LONGEST}",
            name.len()
        ))
        .unchanged("Nothing was built, published or deployed.")
        .hint(format!(
            "form a shorter name in {file}; it has the project's name (pipelines/project.toml), the account's id and the environment's name in it"
        ))
    }
}

/// Lists the names of Lambda functions that are too long in an environment, stack by stack.
pub(crate) fn long_names(project: &Project, environment: &EnvironmentName) -> Result<Vec<LongName>> {
    let settings = project.environment(environment)?;
    let (account, region) = match &settings.account {
        EnvironmentAccount::Cloud(cloud) => (cloud.account.as_str(), cloud.region.as_str()),
        EnvironmentAccount::Emulated => (EMULATED_ACCOUNT, ""),
    };
    let known = Map::from_iter(
        [
            ("name", environment.as_str()),
            ("project", &project.settings.name),
            ("account_id", account),
            ("region", region),
        ]
        .map(|(key, value)| (key.to_owned(), Value::from(value))),
    );
    let variables = Value::from(Map::from_iter([("environment".to_owned(), Value::from(known))]));
    let mut found = Vec::new();
    for (stack, settings) in project.stacks_in(environment)? {
        let bodies = root_module(&project.root.join("terraform/stacks").join(stack.as_str()));
        let mut context = Context::new();
        context.declare_var("var", variables.clone());
        context.declare_var("local", known_locals(&context, bodies.values()));
        for (file, body) in &bodies {
            for block in body.blocks() {
                for name in function_names(block, &context, &settings.functions) {
                    let labels: Vec<&str> = block.labels().iter().map(hcl::BlockLabel::as_str).collect();
                    let address = match block.identifier() {
                        "resource" => labels.join("."),
                        other => format!("{other}.{}", labels.join(".")),
                    };
                    let file = format!("terraform/stacks/{stack}/{file}");
                    found.push(LongName { stack: stack.clone(), name, file, address });
                }
            }
        }
    }
    found.retain(|found| found.name.len() > LONGEST);
    Ok(found)
}

/// Reads the files of a root module by name; none where an override could change what they say, or one cannot be read: the
/// plan reports that.
fn root_module(folder: &Path) -> BTreeMap<String, Body> {
    let mut bodies = BTreeMap::new();
    for entry in folder.read_dir().into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let Some(stem) = name.strip_suffix(".tf").or_else(|| name.strip_suffix(".tf.json")) else { continue };
        if stem == "override" || stem.ends_with("_override") {
            return BTreeMap::new();
        }
        if name.ends_with(".tf")
            && let Some(body) =
                std::fs::read_to_string(entry.path()).ok().and_then(|text| hcl::parse(&text).ok())
        {
            bodies.insert(name, body);
        }
    }
    bodies
}

/// Evaluates the locals that follow from what is known, and from each other.
fn known_locals<'a>(context: &Context<'_>, bodies: impl Iterator<Item = &'a Body>) -> Value {
    let locals: Vec<(&str, &Expression)> = bodies
        .flat_map(Body::blocks)
        .filter(|block| block.identifier() == "locals")
        .flat_map(|block| block.body().attributes())
        .map(|attribute| (attribute.key(), attribute.expr()))
        .collect();
    let mut known = Map::new();
    loop {
        let before = known.len();
        let mut context = context.clone();
        context.declare_var("local", Value::from(known.clone()));
        for (name, expression) in &locals {
            if !known.contains_key(*name)
                && let Ok(value) = expression.evaluate(&context)
            {
                known.insert((*name).to_owned(), value);
            }
        }
        if known.len() == before {
            return Value::from(known);
        }
    }
}

/// Returns the names that a block gives to Lambda functions, as far as they are known.
fn function_names(block: &Block, context: &Context<'_>, functions: &[FunctionName]) -> Vec<String> {
    let attribute = |key: &str| {
        let mut attributes = block.body().attributes();
        attributes.find(|attribute| attribute.key() == key).map(|attribute| attribute.expr())
    };
    let is_module = || {
        let source = attribute("source").map(|source| source.to_string());
        source.is_some_and(|source| source.trim_matches('"').ends_with("/lambda-function"))
    };
    let key = match (block.identifier(), block.labels().first().map(hcl::BlockLabel::as_str)) {
        ("module", Some(_)) if is_module() => "name",
        ("resource", Some("aws_lambda_function")) => "function_name",
        _ => return Vec::new(),
    };
    let Some(name) = attribute(key) else { return Vec::new() };
    let evaluated = |context: &Context<'_>| match name.evaluate(context) {
        Ok(Value::String(name)) => Some(name),
        _ => None,
    };
    match attribute("for_each").map(|each| each.to_string()) {
        None if attribute("count").is_none() => evaluated(context).into_iter().collect(),
        Some(each) if each == "var.releases" => {
            let of_function = |function: &FunctionName| {
                let mut context = context.clone();
                let key = Map::from_iter([("key".to_owned(), Value::from(function.as_str()))]);
                context.declare_var("each", Value::from(key));
                evaluated(&context)
            };
            functions.iter().filter_map(of_function).collect()
        }
        // How many there are, perhaps none, is not known.
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFIX: &str = "locals {\n  name_prefix = \"${var.environment.project}-${var.environment.account_id}-${var.environment.name}\"\n  deep = \"${local.name_prefix}-x\"\n}\n";

    /// Returns the names that are too long in prod of a project with this root module; the prefix has 22 characters.
    fn found(main: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let rust = "runtime = \"provided.al2023\"\n[build]\nwith = \"cargo\"\n";
        write("pipelines/project.toml", "schema = 1\nname = \"shop\"\n");
        write("lambda-src/hello/function.toml", rust);
        let long = "a".repeat(40);
        write(&format!("lambda-src/{long}/function.toml"), rust);
        write("terraform/stacks/web/stack.toml", &format!("functions = [\"hello\", \"{long}\"]\n"));
        write("terraform/stacks/web/main.tf", &format!("{PREFIX}{main}"));
        write(
            "terraform/environments/prod/environment.toml",
            "account = \"333333333333\"\nregion = \"eu-central-1\"\n[state]\nbucket = \"b\"\n",
        );
        write("terraform/environments/here/environment.toml", "emulated = true\n");
        let project = Project::load(folder.path()).unwrap();
        let names = long_names(&project, &"prod".parse().unwrap()).unwrap();
        let emulated = long_names(&project, &"here".parse().unwrap()).unwrap();
        assert_eq!(names.len(), emulated.len());
        names.into_iter().map(|found| format!("{} {}", found.address, found.name)).collect()
    }

    #[test]
    fn names_that_files_say_are_compared_with_the_limit() {
        let (fits, long) = ("a".repeat(41), "a".repeat(42));
        let module = |name: &str, more: &str| {
            format!(
                "module \"f\" {{\n  source = \"../../modules/lambda-function\"\n  name = \"{name}\"\n{more}}}\n"
            )
        };
        let prefix = "shop-333333333333-prod";
        assert_eq!(found(&module(&format!("${{local.name_prefix}}-{fits}"), "")), [""; 0]);
        assert_eq!(
            found(&module(&format!("${{local.name_prefix}}-{long}"), "")),
            [format!("module.f {prefix}-{long}")]
        );
        assert_eq!(
            found(&module(&format!("${{local.deep}}-{fits}"), "")),
            [format!("module.f {prefix}-x-{fits}")]
        );
        assert_eq!(
            found(&module("${local.name_prefix}-xx-${each.key}", "  for_each = var.releases\n")),
            [format!("module.f {prefix}-xx-{}", "a".repeat(40))]
        );
        assert_eq!(
            found(&format!(
                "resource \"aws_lambda_function\" \"f\" {{\n  function_name = \"{long}{long}\"\n}}\n"
            )),
            [format!("aws_lambda_function.f {long}{long}")]
        );
    }

    #[test]
    fn names_that_are_not_certain_pass() {
        let long = "a".repeat(70);
        for main in [
            format!(
                "module \"f\" {{\n  source = \"../../modules/lambda-function\"\n  name = \"${{var.other}}-{long}\"\n}}\n"
            ),
            format!(
                "module \"f\" {{\n  source = \"../../modules/lambda-function\"\n  name = \"{long}\"\n  count = 0\n}}\n"
            ),
            format!("module \"f\" {{\n  source = \"../../modules/s3-bucket\"\n  name = \"{long}\"\n}}\n"),
            format!(
                "module \"f\" {{\n  source = \"../../modules/lambda-function\"\n  name = \"{long}\"\n  for_each = toset([])\n}}\n"
            ),
            "this is no HCL {{{".to_owned(),
        ] {
            assert_eq!(found(&main), [""; 0], "{main}");
        }
    }

    #[test]
    fn failure_names_the_stack_and_the_file() {
        let found = LongName {
            stack: "web".parse().unwrap(),
            name: "a".repeat(66),
            file: "terraform/stacks/web/main.tf".into(),
            address: "module.hello".into(),
        };
        let failure = found.failure(&"prod".parse().unwrap());
        assert!(failure.message().contains("in the stack `web`"), "{failure}");
        assert!(failure.message().ends_with("that has 66 characters, and Lambda takes 64"), "{failure}");
        assert!(failure.report().hint.unwrap().contains("terraform/stacks/web/main.tf"));
    }
}
