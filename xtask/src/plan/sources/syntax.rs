//! What a Terraform file declares: variables, outputs, the backend, modules, data sources, and the expressions in it.
//!
//! In: the text of a `.tf` or `.tf.json` file. Out: [`Declarations`]. Both syntaxes are read as Terraform reads them:
//! <https://developer.hashicorp.com/terraform/language/syntax/json>. Errors: a file that is not valid in its syntax.

use std::collections::BTreeSet;
use std::ops::Range;
use std::str::FromStr as _;

use hcl::expr::{Expression, TemplateExpr};
use hcl::structure::{Attribute, Body};
use serde_json::Value;

use super::publishing::{DeclaredFunction, ModuleCall, Publishes};
use crate::failure::{Failure, Result};

/// What the files of one folder declare.
#[derive(Debug, Default)]
pub(super) struct Declarations {
    /// Variables.
    pub(super) variables: Vec<(String, Variable)>,
    /// Outputs.
    pub(super) outputs: Vec<String>,
    /// Types of the backends; `cloud` for HCP Terraform.
    pub(super) backends: Vec<String>,
    /// Calls of modules.
    pub(super) modules: Vec<ModuleCall>,
    /// Functions of Lambda.
    pub(super) functions: Vec<DeclaredFunction>,
    /// Whether another kind of resource may publish a version of a function.
    pub(super) publishes_otherwise: bool,
    /// The data sources: type, and name where the file is not JSON.
    data: Vec<(String, Option<String>)>,
    /// Local names of the providers that are declared or that types begin with, Terraform's own apart.
    pub(super) providers: BTreeSet<String>,
    /// Local values.
    pub(super) locals: Vec<(String, Expression)>,
    /// All expressions, local values among them.
    pub(super) expressions: Vec<Expression>,
    /// Which of them are in `check` blocks.
    checks: Vec<Range<usize>>,
}

/// A variable of a root module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Variable {
    /// Whether it has a default.
    pub(crate) has_default: bool,
    /// Whether its value is in no plan and no state.
    pub(crate) ephemeral: bool,
}

/// Tells whether Terraform reads a file by its name as configuration.
pub(super) fn is_configuration(name: &str) -> bool {
    name.ends_with(".tf") || name.ends_with(".tf.json")
}

impl Declarations {
    /// Adds what a file declares.
    pub(super) fn add(&mut self, path: &str, content: &[u8]) -> Result<()> {
        let invalid = |error: &dyn std::fmt::Display| {
            Failure::failed(format!("{path} cannot be read"))
                .body(error.to_string())
                .unchanged("Nothing was changed.")
                .hint("terraform validate shows the mistake")
        };
        if path.ends_with(".json") {
            let value: Value = serde_json::from_slice(content).map_err(|error| invalid(&error))?;
            self.add_json(path, &value);
            return Ok(());
        }
        let body: Body = hcl::parse(&String::from_utf8_lossy(content)).map_err(|error| invalid(&error))?;
        self.add_body(path, &body);
        Ok(())
    }

    fn add_body(&mut self, path: &str, body: &Body) {
        self.expressions.extend(body.attributes().map(|attribute| attribute.expr().clone()));
        for block in body.blocks() {
            let first = self.expressions.len();
            self.add_expressions(block.body());
            if block.identifier() == "check" {
                self.checks.push(first..self.expressions.len());
            }
            let label = block.labels().first().map(|label| label.as_str().to_owned());
            let attribute = |name: &str| {
                let found = block.body().attributes().find(|attribute| attribute.key() == name);
                found.map(|attribute| attribute.expr().clone())
            };
            match (block.identifier(), label) {
                ("variable", Some(name)) => {
                    let variable = Variable {
                        has_default: attribute("default").is_some(),
                        ephemeral: attribute("ephemeral") == Some(Expression::Bool(true)),
                    };
                    self.variables.push((name, variable));
                }
                ("output", Some(name)) => self.outputs.push(name),
                ("data", Some(kind)) => {
                    self.add_provider(&kind);
                    let name = block.labels().get(1).map(|name| name.as_str().to_owned());
                    self.data.push((kind, name));
                }
                ("resource", Some(kind)) => {
                    let name = block.labels().get(1).map(|name| name.as_str().to_owned());
                    let publishes = || Publishes::of_body(block.body());
                    self.add_resource(path, &kind, name.unwrap_or_default(), publishes);
                }
                ("ephemeral" | "provider", Some(kind)) => self.add_provider(&kind),
                ("module", Some(name)) => {
                    let is_false = |attribute: &&Attribute| *attribute.expr() == Expression::Bool(false);
                    let arguments = block.body().attributes().filter(is_false);
                    self.modules.extend(attribute("source").map(|source| ModuleCall {
                        name,
                        source: literal(&source),
                        file: path.to_owned(),
                        false_arguments: arguments.map(|attribute| attribute.key().to_owned()).collect(),
                    }));
                }
                ("terraform", _) => {
                    for inner in block.body().blocks() {
                        match inner.identifier() {
                            "backend" => self
                                .backends
                                .extend(inner.labels().first().map(|label| label.as_str().to_owned())),
                            "cloud" => self.backends.push("cloud".to_owned()),
                            "required_providers" => {
                                let names = inner.body().attributes();
                                names.for_each(|name| self.add_provider(name.key()));
                            }
                            _ => {}
                        }
                    }
                }
                ("locals", _) => {
                    let attributes = block.body().attributes();
                    self.locals.extend(
                        attributes.map(|attribute| (attribute.key().to_owned(), attribute.expr().clone())),
                    );
                }
                _ => {}
            }
        }
    }

    /// Returns the types of data sources whose results a plan depends on: all but those that `check` blocks alone use, which warn and
    /// change nothing.
    pub(super) fn data_of_the_plan(&self) -> impl Iterator<Item = &str> {
        self.data
            .iter()
            .filter(|(kind, name)| {
                let Some(name) = name else { return true };
                let address = format!("data.{kind}.{name}");
                let names = |(index, expression): (usize, &Expression)| {
                    let text = expression.to_string();
                    let mut found = text.match_indices(&address);
                    let is_named = found.any(|(at, _)| {
                        !text[at + address.len()..]
                            .starts_with(|next: char| next.is_alphanumeric() || "_-".contains(next))
                    });
                    is_named.then(|| self.checks.iter().any(|check| check.contains(&index)))
                };
                let uses: Vec<bool> = self.expressions.iter().enumerate().filter_map(names).collect();
                uses.is_empty() || uses.contains(&false)
            })
            .map(|(kind, _)| kind.as_str())
    }

    /// Adds the provider of a type of resources: what its name begins with.
    fn add_provider(&mut self, kind: &str) {
        let name = kind.split('_').next().unwrap_or(kind);
        if name != "terraform" {
            self.providers.insert(name.to_owned());
        }
    }

    fn add_resource(&mut self, path: &str, kind: &str, name: String, publishes: impl FnOnce() -> Publishes) {
        self.add_provider(kind);
        if kind == "aws_lambda_function" {
            self.functions.push(DeclaredFunction { name, file: path.to_owned(), publishes: publishes() });
        } else {
            let otherwise = kind.ends_with("lambda_version") || kind.ends_with("_lambda_function");
            self.publishes_otherwise |= otherwise;
        }
    }

    fn add_expressions(&mut self, body: &Body) {
        self.expressions.extend(body.attributes().map(|attribute| attribute.expr().clone()));
        body.blocks().for_each(|block| self.add_expressions(block.body()));
    }

    fn add_json(&mut self, path: &str, value: &Value) {
        self.expressions.extend(json_expressions(value));
        for (name, body) in named(value, "variable") {
            let member = |name: &str| objects(body).find_map(|body| body.get(name));
            let variable = Variable {
                has_default: member("default").is_some(),
                ephemeral: member("ephemeral") == Some(&Value::Bool(true)),
            };
            self.variables.push((name.to_owned(), variable));
        }
        self.outputs.extend(named(value, "output").map(|(name, _)| name.to_owned()));
        self.data.extend(named(value, "data").map(|(kind, _)| (kind.to_owned(), None)));
        for (kind, bodies) in named(value, "resource") {
            for (name, body) in objects(bodies).flatten() {
                self.add_resource(path, kind, name.clone(), || Publishes::of_json(objects(body)));
            }
        }
        for block in ["data", "ephemeral", "provider"] {
            named(value, block).for_each(|(kind, _)| self.add_provider(kind));
        }
        for (name, body) in named(value, "module") {
            let calls = objects(body).filter_map(|body| {
                let is_false = |(_, value): &(&String, &Value)| **value == Value::Bool(false);
                Some(ModuleCall {
                    name: name.to_owned(),
                    source: body.get("source")?.as_str()?.to_owned(),
                    file: path.to_owned(),
                    false_arguments: body.iter().filter(is_false).map(|(name, _)| name.clone()).collect(),
                })
            });
            self.modules.extend(calls);
        }
        for terraform in members(value, "terraform").flat_map(objects) {
            self.backends.extend(named_in(terraform, "backend").map(|(kind, _)| kind.to_owned()));
            named_in(terraform, "required_providers").for_each(|(name, _)| self.add_provider(name));
            self.backends.extend(terraform.get("cloud").map(|_| "cloud".to_owned()));
        }
        for locals in members(value, "locals").flat_map(objects) {
            let values = locals
                .iter()
                .filter_map(|(name, value)| Some((name.clone(), json_expression(value.as_str()?))));
            self.locals.extend(values);
        }
    }
}

/// Returns the members of that name of an object, or of the objects of an array.
fn members<'a>(value: &'a Value, name: &'a str) -> impl Iterator<Item = &'a Value> {
    objects(value).filter_map(move |object| object.get(name))
}

/// Returns the labelled blocks of a type: their first label and their bodies.
fn named<'a>(value: &'a Value, name: &'a str) -> impl Iterator<Item = (&'a str, &'a Value)> {
    objects(value).flat_map(move |object| named_in(object, name))
}

fn named_in<'a>(
    object: &'a serde_json::Map<String, Value>,
    name: &str,
) -> impl Iterator<Item = (&'a str, &'a Value)> + use<'a> {
    object.get(name).into_iter().flat_map(objects).flatten().map(|(name, body)| (name.as_str(), body))
}

/// Returns an object, or the objects of an array: the JSON syntax allows both for blocks.
fn objects<'a>(value: &'a Value) -> impl Iterator<Item = &'a serde_json::Map<String, Value>> + use<'a> {
    let many = value.as_array().into_iter().flatten();
    value.as_object().into_iter().chain(many.filter_map(Value::as_object))
}

fn json_expressions(value: &Value) -> Vec<Expression> {
    match value {
        Value::String(text) => vec![json_expression(text)],
        Value::Array(values) => values.iter().flat_map(json_expressions).collect(),
        Value::Object(values) => values.values().flat_map(json_expressions).collect(),
        _ => Vec::new(),
    }
}

/// A text in the JSON syntax is a template.
fn json_expression(text: &str) -> Expression {
    if text.contains("${") || text.contains("%{") {
        Expression::from(TemplateExpr::QuotedString(text.to_owned()))
    } else {
        Expression::String(text.to_owned())
    }
}

fn literal(expression: &Expression) -> String {
    match expression {
        Expression::String(text) => text.clone(),
        other => other.to_string().trim_matches('"').to_owned(),
    }
}

/// Returns the names of the values that a var-file gives.
pub(crate) fn value_names(path: &str, content: &[u8]) -> Result<Vec<String>> {
    let invalid = |error: &dyn std::fmt::Display| {
        Failure::usage(format!("{path} cannot be read"))
            .body(error.to_string())
            .unchanged("Nothing was changed.")
    };
    if path.ends_with(".json") {
        let value: Value = serde_json::from_slice(content).map_err(|error| invalid(&error))?;
        let object = value.as_object().ok_or_else(|| invalid(&"it must be an object"))?;
        return Ok(object.keys().cloned().collect());
    }
    let body = Body::from_str(&String::from_utf8_lossy(content)).map_err(|error| invalid(&error))?;
    Ok(body.attributes().map(|attribute| attribute.key().to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(path: &str, text: &str) -> Declarations {
        let mut declarations = Declarations::default();
        declarations.add(path, text.as_bytes()).unwrap();
        declarations
    }

    #[test]
    fn data_that_checks_alone_use_is_no_part_of_the_plan() {
        let of_the_plan = |rest: &str| {
            let text = format!(
                "data \"aws_quota\" \"x\" {{}}\ncheck \"room\" {{\n  assert {{\n    condition = data.aws_quota.x[0].value > 1\n    error_message = \"no\"\n  }}\n}}\n{rest}"
            );
            declared("x.tf", &text).data_of_the_plan().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(of_the_plan(""), Vec::<String>::new());
        // Another one, whose name begins like this one's.
        assert_eq!(of_the_plan("locals {\n  other = data.aws_quota.x2.value\n}\n"), Vec::<String>::new());
        for used in [
            "locals {\n  size = data.aws_quota.x[0].value\n}\n",
            "resource \"terraform_data\" \"y\" {\n  input = \"a ${data.aws_quota.x.value} b\"\n}\n",
            "resource \"terraform_data\" \"y\" {\n  depends_on = [data.aws_quota.x]\n}\n",
            "output \"o\" {\n  value = [for one in data.aws_quota.x : one.value]\n}\n",
        ] {
            assert_eq!(of_the_plan(used), ["aws_quota"], "{used}");
        }
    }

    #[test]
    fn both_syntaxes_declare_the_same() {
        let native = declared(
            "x.tf",
            "terraform {\n  backend \"s3\" {}\n  required_providers {\n    tls = { source = \"hashicorp/tls\" }\n  }\n}\nprovider \"http\" {}\nresource \"terraform_data\" \"x\" {}\nresource \"random_id\" \"x\" {}\nvariable \"a\" {\n  default = 1\n}\nvariable \"b\" {\n  ephemeral = true\n}\noutput \"functions\" {\n  value = 1\n}\nmodule \"m\" {\n  source = \"../../modules/m\"\n}\ndata \"aws_ami\" \"x\" {}\nlocals {\n  p = \"${path.module}/x\"\n}\n",
        );
        let json = declared(
            "x.tf.json",
            r#"{"terraform": [{"backend": {"s3": {}}, "required_providers": {"tls": {"source": "hashicorp/tls"}}}],
                "provider": [{"http": {}}], "resource": {"terraform_data": {"x": {}}, "random_id": {"x": {}}}, "variable": {"a": {"default": 1}, "b": [{"ephemeral": true}]},
                "output": [{"functions": {"value": 1}}], "module": {"m": {"source": "../../modules/m"}},
                "data": {"aws_ami": {"x": {}}}, "locals": {"p": "${path.module}/x"}}"#,
        );
        for declarations in [&native, &json] {
            assert_eq!(declarations.backends, ["s3"]);
            assert_eq!(declarations.outputs, ["functions"]);
            let sources: Vec<&str> = declarations.modules.iter().map(|call| call.source.as_str()).collect();
            assert_eq!(sources, ["../../modules/m"]);
            assert_eq!(declarations.data_of_the_plan().collect::<Vec<_>>(), ["aws_ami"]);
            assert!(declarations.providers.iter().eq(["aws", "http", "random", "tls"]), "{declarations:?}");
            let variable = |has_default, ephemeral| Variable { has_default, ephemeral };
            assert_eq!(
                declarations.variables,
                [("a".to_owned(), variable(true, false)), ("b".to_owned(), variable(false, true))]
            );
            assert_eq!(declarations.locals.len(), 1);
        }
        assert_eq!(native.locals, json.locals);
        assert_eq!(declared("x.tf", "terraform {\n  cloud {}\n}\n").backends, ["cloud"]);
    }

    #[test]
    fn values_of_both_syntaxes_are_named() {
        assert_eq!(value_names("x.tfvars", b"a = 1\nb = { c = 2 }\n").unwrap(), ["a", "b"]);
        assert_eq!(value_names("x.tfvars.json", br#"{"a": 1, "b": {"c": 2}}"#).unwrap(), ["a", "b"]);
        assert!(value_names("x.tfvars.json", b"[]").unwrap_err().message().contains("x.tfvars.json"));
    }
}
