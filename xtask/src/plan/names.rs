//! Names that a stack would form, as far as its files say them: too long, only Terraform would refuse them, after the release
//! was published.
//!
//! In: the root modules of an environment's stacks. Out: [`LongName`]s, for calls of modules and for resources that name a
//! Lambda function, a role or a bucket. A name that also depends on what is not in these files is not certain, and passes.

use hcl::Value;

use super::root_module::RootModule;
use crate::failure::{Failure, Result};
use crate::name::{EnvironmentName, StackName};
use crate::settings::Project;

/// Something that has a name, and how long that may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Named {
    /// A type of resource, or the folder of a module.
    kind: &'static str,
    /// The attribute with the name.
    attribute: &'static str,
    /// What it names.
    what: &'static str,
    /// The service whose limit it is.
    service: &'static str,
    /// The most characters.
    longest: usize,
}

/// What is named, with the limits of Lambda (<https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html>), IAM
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>) and S3
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>). A function's role has its name.
const NAMED: [Named; 8] = [
    named("lambda-function", "name", "Lambda function", "Lambda", 64),
    named("aws_lambda_function", "function_name", "Lambda function", "Lambda", 64),
    named("function-role", "name", "IAM role", "IAM", 64),
    named("flow-logs", "name", "IAM role", "IAM", 64),
    named("aws_iam_role", "name", "IAM role", "IAM", 64),
    named("s3-bucket", "name", "bucket", "S3", 63),
    named("private-bucket", "name", "bucket", "S3", 63),
    named("aws_s3_bucket", "bucket", "bucket", "S3", 63),
];

const fn named(
    kind: &'static str,
    attribute: &'static str,
    what: &'static str,
    service: &'static str,
    longest: usize,
) -> Named {
    Named { kind, attribute, what, service, longest }
}

/// A name that is too long.
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
    named: Named,
}

impl LongName {
    /// Returns the failure as `doctor` shows it beside its place.
    pub(crate) fn requirement(&self) -> Failure {
        let Named { service, longest, .. } = self.named;
        Failure::usage(format!("{} characters; {service} takes {longest}", self.name.len()))
            .hint(format!("{} is too long: form a shorter name in {}", self.name, self.file))
    }

    /// Returns what is wrong with it, and what to do.
    pub(crate) fn failure(&self, environment: &EnvironmentName) -> Failure {
        let Self { stack, name, file, address, named: Named { what, service, longest, .. } } = self;
        Failure::usage(format!(
            "the {what} of `{address}` in the stack `{stack}` would be called {name} in {environment}: that has {} characters, and {service} takes {longest}",
            name.len()
        ))
        .unchanged("Nothing was built, published or deployed.")
        .hint(format!(
            "form a shorter name in {file}; it has the project's name (pipelines/project.toml), the account's id and the environment's name in it"
        ))
    }
}

/// Lists the names that are too long in an environment, stack by stack.
pub(crate) fn long_names(project: &Project, environment: &EnvironmentName) -> Result<Vec<LongName>> {
    let mut found = Vec::new();
    for module in RootModule::of_environment(project, environment)? {
        for call in module.calls() {
            let kind = call.kind().unwrap_or_default();
            let Some(named) = NAMED.iter().find(|named| named.kind == kind) else { continue };
            for value in call.known_values(named.attribute) {
                if let Value::String(name) = value
                    && name.len() > named.longest
                {
                    let (stack, file) = (module.stack().clone(), call.file.clone());
                    found.push(LongName { stack, name, file, address: call.address(), named: *named });
                }
            }
        }
    }
    Ok(found)
}

/// Refuses the first name that is too long in one of these stacks.
pub(crate) fn refuse_long_names<'a>(
    project: &Project,
    environment: &EnvironmentName,
    stacks: impl IntoIterator<Item = &'a StackName>,
) -> Result<()> {
    let stacks: Vec<&StackName> = stacks.into_iter().collect();
    let found = long_names(project, environment)?;
    let found = found.iter().find(|found| stacks.contains(&&found.stack));
    found.map_or(Ok(()), |found| Err(found.failure(environment)))
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
    fn roles_and_buckets_have_limits_too() {
        let (role, bucket) = ("r".repeat(65), "b".repeat(64));
        let module = |source: &str, name: &str| {
            format!("module \"f\" {{\n  source = \"../../modules/{source}\"\n  name = \"{name}\"\n}}\n")
        };
        assert_eq!(found(&module("function-role", &role)), [format!("module.f {role}")]);
        assert_eq!(found(&module("s3-bucket", &bucket)), [format!("module.f {bucket}")]);
        assert_eq!(found(&module("s3-bucket", &bucket[1..])), [""; 0]);
        let resource = format!("resource \"aws_iam_role\" \"r\" {{\n  name = \"{role}\"\n}}\n");
        assert_eq!(found(&resource), [format!("aws_iam_role.r {role}")]);
        assert_eq!(found(&resource.replace(&role, &role[1..])), [""; 0]);
    }

    #[test]
    fn values_of_the_environment_and_defaults_are_part_of_a_name() {
        let text = |default: &str| {
            format!(
                "variable \"suffix\" {{\n  default = \"{default}\"\n}}\nmodule \"f\" {{\n  source = \"../../modules/lambda-function\"\n  name = \"a-${{var.suffix}}\"\n}}\n"
            )
        };
        assert_eq!(found(&text("b")), [""; 0]);
        let long = "b".repeat(63);
        assert_eq!(found(&text(&long)), [format!("module.f a-{long}")]);
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
            format!(
                "module \"f\" {{\n  source = \"../../modules/dynamodb-table\"\n  name = \"{long}\"\n}}\n"
            ),
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
            named: NAMED[0],
        };
        let failure = found.failure(&"prod".parse().unwrap());
        assert!(failure.message().contains("in the stack `web`"), "{failure}");
        assert!(failure.message().ends_with("that has 66 characters, and Lambda takes 64"), "{failure}");
        assert!(failure.report().hint.unwrap().contains("terraform/stacks/web/main.tf"));
    }
}
