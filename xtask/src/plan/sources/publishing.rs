//! Functions of Lambda that publish no version, as far as the files show it: `publish` in the resource, and an argument of
//! the module's calls that it takes.
//!
//! In: what the modules of a stack declare. Out: a function, if none of them can publish. Whatever only the plan knows counts
//! as published: the plan is checked as well.

use std::collections::BTreeSet;

use hcl::expr::{Expression, TraversalOperator};
use hcl::structure::Body;

/// A resource that is a function of Lambda.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DeclaredFunction {
    /// Its name in the module.
    pub(super) name: String,
    /// The file that declares it.
    pub(super) file: String,
    /// Whether it publishes versions.
    pub(super) publishes: Publishes,
}

/// Whether a function publishes versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Publishes {
    /// Its `publish` is false or missing.
    Never,
    /// As this variable of its module says.
    As(String),
    /// It does, or only the plan knows.
    Perhaps,
}

/// A call of a module.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct ModuleCall {
    /// Its name.
    pub(super) name: String,
    /// The module's source.
    pub(super) source: String,
    /// The file that has it.
    pub(super) file: String,
    /// The arguments that are false.
    pub(super) false_arguments: BTreeSet<String>,
}

/// What decides whether a stack publishes versions; modules are named by their folders.
#[derive(Debug, Default)]
pub(super) struct Publishing {
    /// Functions, by the module that declares them.
    pub(super) functions: Vec<(String, DeclaredFunction)>,
    /// Calls, by the module that is called.
    pub(super) calls: Vec<(String, ModuleCall)>,
    /// Whether a version may come from elsewhere: a remote module, a resource of another kind.
    pub(super) otherwise: bool,
}

/// A function that publishes no version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unpublished {
    /// The file, and the resource in it.
    pub(crate) resource: String,
    /// What to write, and where.
    pub(crate) line: String,
}

impl Publishes {
    /// Reads the body of a resource.
    pub(super) fn of_body(body: &Body) -> Self {
        let Some(value) = body.attributes().find(|attribute| attribute.key() == "publish") else {
            return Self::Never;
        };
        match value.expr() {
            Expression::Bool(false) => Self::Never,
            Expression::Traversal(traversal) => match (&traversal.expr, traversal.operators.as_slice()) {
                (Expression::Variable(scope), [TraversalOperator::GetAttr(name)])
                    if scope.as_str() == "var" =>
                {
                    Self::As(name.as_str().to_owned())
                }
                _ => Self::Perhaps,
            },
            _ => Self::Perhaps,
        }
    }

    /// Reads the body of a resource in the JSON syntax.
    pub(super) fn of_json<'a>(
        bodies: impl Iterator<Item = &'a serde_json::Map<String, serde_json::Value>>,
    ) -> Self {
        match bodies.filter_map(|body| body.get("publish")).next() {
            None | Some(serde_json::Value::Bool(false)) => Self::Never,
            Some(_) => Self::Perhaps,
        }
    }
}

impl Publishing {
    /// Returns the first function, if none can publish a version.
    pub(super) fn unpublished(&self) -> Option<Unpublished> {
        if self.otherwise {
            return None;
        }
        let found: Option<Vec<Unpublished>> =
            self.functions.iter().map(|(module, function)| self.never(module, function)).collect();
        found?.into_iter().next()
    }

    /// Returns a function that cannot publish.
    fn never(&self, module: &str, function: &DeclaredFunction) -> Option<Unpublished> {
        let DeclaredFunction { name, file, publishes } = function;
        let line = match publishes {
            Publishes::Perhaps => return None,
            Publishes::Never => "write in it: publish = true".to_owned(),
            Publishes::As(variable) => {
                let mut calls =
                    self.calls.iter().filter(|(called, _)| called == module).map(|(_, call)| call);
                let first = calls.next().filter(|call| call.false_arguments.contains(variable))?;
                if !calls.all(|call| call.false_arguments.contains(variable)) {
                    return None;
                }
                format!("write in module \"{}\" of {}: {variable} = true", first.name, first.file)
            }
        };
        Some(Unpublished {
            resource: format!("{file}: the resource \"aws_lambda_function\" \"{name}\""),
            line,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::syntax::Declarations;
    use super::*;

    const STACK: &str = "terraform/stacks/web";
    const MODULE: &str = "terraform/modules/f";

    /// Returns the resource and the line to write for the files of a stack and of a module that it calls.
    fn unpublished(stack: &str, module: &str) -> Option<(String, String)> {
        let mut publishing = Publishing::default();
        for (folder, text) in [(STACK, stack), (MODULE, module)] {
            let mut declarations = Declarations::default();
            let file = if text.starts_with('{') { "main.tf.json" } else { "main.tf" };
            declarations.add(&format!("{folder}/{file}"), text.as_bytes()).unwrap();
            publishing.otherwise |= declarations.publishes_otherwise;
            publishing
                .functions
                .extend(declarations.functions.into_iter().map(|found| (folder.to_owned(), found)));
            publishing.calls.extend(declarations.modules.into_iter().map(|call| (MODULE.to_owned(), call)));
        }
        publishing.unpublished().map(|found| (found.resource, found.line))
    }

    fn function(body: &str) -> String {
        format!("resource \"aws_lambda_function\" \"this\" {{\n  {body}\n}}\n")
    }

    #[test]
    fn function_without_publish_is_found_in_the_stack_and_its_modules() {
        let (resource, line) = unpublished(&function("role = 1"), "").unwrap();
        assert_eq!(
            (resource.as_str(), line.as_str()),
            (
                "terraform/stacks/web/main.tf: the resource \"aws_lambda_function\" \"this\"",
                "write in it: publish = true"
            )
        );
        assert_eq!(unpublished("", &function("publish = false")).unwrap().1, "write in it: publish = true");
        let json = r#"{"resource": {"aws_lambda_function": {"this": {"role": "x"}}}}"#;
        assert!(unpublished(json, "").unwrap().0.starts_with("terraform/stacks/web/main.tf.json: "));
        let call = |name: &str, text: &str| {
            format!("module \"{name}\" {{\n  source = \"../../modules/f\"\n  {text}\n}}\n")
        };
        let of_variable = function("publish = var.publish");
        assert_eq!(
            unpublished(&call("a", "publish = false"), &of_variable).unwrap().1,
            "write in module \"a\" of terraform/stacks/web/main.tf: publish = true"
        );
        let of_json = r#"{"module": {"a": {"source": "../../modules/f", "publish": false}}}"#;
        assert!(unpublished(of_json, &of_variable).is_some());
        // Only the plan knows these.
        for (stack, module) in [
            (function("publish = true"), String::new()),
            (function("publish = local.publish"), String::new()),
            (
                r#"{"resource": {"aws_lambda_function": {"a": {"publish": "${var.x}"}}}}"#.to_owned(),
                String::new(),
            ),
            (call("a", ""), of_variable.clone()),
            (call("a", "publish = false") + &call("b", "publish = var.x"), of_variable.clone()),
            (function("role = 1"), function("publish = true")),
            (function("role = 1") + "resource \"awscc_lambda_version\" \"a\" {}\n", String::new()),
            (String::new(), String::new()),
        ] {
            assert_eq!(unpublished(&stack, &module), None, "{stack} {module}");
        }
    }
}
