//! What the files of a stack's root module say before anything is planned: its blocks, with the values that follow from
//! `var.environment`, the environment's tfvars, defaults of variables, locals of such values and the functions of the stack.
//!
//! In: a stack's folder and its tfvars. Out: [`Call`]s of modules and resources, one for each instance. What also depends on
//! something else is not known, and said to be so. A file that cannot be read counts as empty: the plan reports it.

use std::collections::BTreeMap;
use std::path::Path;

use hcl::eval::{Context, Evaluate};
use hcl::structure::Block;
use hcl::{Body, Expression, Map, Value};

use crate::failure::Result;
use crate::name::{EnvironmentName, FunctionName, StackName};
use crate::settings::{EnvironmentAccount, Project, StackSettings};

/// Stands for the account id of an emulator: all account ids have 12 digits.
const EMULATED_ACCOUNT: &str = "000000000000";

/// A stack's root module in an environment.
pub(super) struct RootModule {
    stack: StackName,
    bodies: BTreeMap<String, Body>,
    context: Context<'static>,
    functions: Vec<FunctionName>,
}

/// A call of a module, or a resource.
pub(super) struct Call<'a> {
    module: &'a RootModule,
    /// The file, relative to the project.
    pub(super) file: String,
    block: &'a Block,
}

/// What an attribute has in the instances of a block.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Attribute {
    /// One value for each instance, or none where it has no such attribute.
    Known(Vec<Value>),
    /// How many instances there are, or what they have, is not known.
    Unknown,
}

impl RootModule {
    /// Reads the root modules of the stacks that an environment runs.
    pub(super) fn of_environment(project: &Project, environment: &EnvironmentName) -> Result<Vec<Self>> {
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
        let stacks = project.stacks_in(environment)?.into_iter();
        Ok(stacks
            .map(|(stack, settings)| Self::read(project, environment, stack, settings, &known))
            .collect())
    }

    fn read(
        project: &Project,
        environment: &EnvironmentName,
        stack: StackName,
        settings: StackSettings,
        known: &Map<String, Value>,
    ) -> Self {
        let bodies = files(&project.root.join("terraform/stacks").join(stack.as_str()));
        let values = format!("terraform/environments/{environment}/{stack}.tfvars");
        let mut variables = values_of_variables(&bodies, &project.root.join(values));
        // A value that another stack gives is not in any file.
        variables.retain(|name, _| name != "releases" && !settings.inputs.contains_key(name));
        variables.insert("environment".to_owned(), Value::from(known.clone()));
        let mut context = Context::new();
        context.declare_var("var", Value::from(variables));
        context.declare_var("local", known_locals(&context, bodies.values()));
        Self { stack, bodies, context, functions: settings.functions }
    }

    /// The stack's name.
    pub(super) fn stack(&self) -> &StackName {
        &self.stack
    }

    /// Lists its calls of modules and its resources.
    pub(super) fn calls(&self) -> impl Iterator<Item = Call<'_>> {
        self.bodies.iter().flat_map(move |(file, body)| {
            let file = format!("terraform/stacks/{}/{file}", self.stack);
            let blocks = body.blocks().filter(|block| ["module", "resource"].contains(&block.identifier()));
            blocks.map(move |block| Call { module: self, file: file.clone(), block })
        })
    }
}

impl Call<'_> {
    /// Returns its address: `module.hello`, `aws_iam_role.this`.
    pub(super) fn address(&self) -> String {
        let labels: Vec<&str> = self.block.labels().iter().map(hcl::BlockLabel::as_str).collect();
        match self.block.identifier() {
            "resource" => labels.join("."),
            other => format!("{other}.{}", labels.join(".")),
        }
    }

    /// Returns what it is of: the last folder of a module's source, or a resource's type.
    pub(super) fn kind(&self) -> Option<String> {
        if self.block.identifier() == "resource" {
            return self.block.labels().first().map(|label| label.as_str().to_owned());
        }
        let source = self.expression("source")?.to_string();
        source.trim_matches('"').rsplit_once('/').map(|(_, folder)| folder.to_owned())
    }

    fn expression(&self, name: &str) -> Option<&Expression> {
        let mut attributes = self.block.body().attributes();
        attributes.find(|attribute| attribute.key() == name).map(|attribute| attribute.expr())
    }

    /// Returns what an attribute has in each instance; of those that are known, where `count` or `for_each` says so.
    pub(super) fn values(&self, name: &str) -> Attribute {
        let Some(instances) = self.instances() else { return Attribute::Unknown };
        let Some(expression) = self.expression(name) else { return Attribute::Known(Vec::new()) };
        let values = instances.iter().map(|context| expression.evaluate(context).ok());
        values.collect::<Option<Vec<Value>>>().map_or(Attribute::Unknown, Attribute::Known)
    }

    /// Returns how many instances there are; `None` where that is not known.
    pub(super) fn instances_known(&self) -> Option<usize> {
        self.instances().map(|instances| instances.len())
    }

    /// Returns those of the values that an attribute has which are known.
    pub(super) fn known_values(&self, name: &str) -> Vec<Value> {
        let (Some(instances), Some(expression)) = (self.instances(), self.expression(name)) else {
            return Vec::new();
        };
        instances.iter().filter_map(|context| expression.evaluate(context).ok()).collect()
    }

    /// Returns what each instance is evaluated in; `None` where it is not known how many there are.
    fn instances(&self) -> Option<Vec<Context<'static>>> {
        let context = &self.module.context;
        let with = |key: Value, value: Value| {
            let mut context = context.clone();
            let each = Map::from_iter([("key".to_owned(), key), ("value".to_owned(), value)]);
            context.declare_var("each", Value::from(each));
            context
        };
        if let Some(count) = self.expression("count") {
            let count = count.evaluate(context).ok()?.as_u64()?;
            return Some(vec![context.clone(); usize::try_from(count).ok()?]);
        }
        let Some(each) = self.expression("for_each") else { return Some(vec![context.clone()]) };
        if each.to_string() == "var.releases" {
            let functions = self.module.functions.iter();
            // What a function's release holds is not known.
            let of_function = |function: &FunctionName| {
                let mut context = context.clone();
                let key = Map::from_iter([("key".to_owned(), Value::from(function.as_str()))]);
                context.declare_var("each", Value::from(key));
                context
            };
            return Some(functions.map(of_function).collect());
        }
        match each.evaluate(context).ok()? {
            Value::Object(each) => {
                Some(each.into_iter().map(|(key, value)| with(Value::from(key), value)).collect())
            }
            Value::Array(each) => Some(each.into_iter().map(|key| with(key.clone(), key)).collect()),
            _ => None,
        }
    }
}

/// Reads the files of a root module by name; none where an override could change what they say, or one cannot be read: the
/// plan reports that.
fn files(folder: &Path) -> BTreeMap<String, Body> {
    let mut bodies = BTreeMap::new();
    for entry in folder.read_dir().into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let Some(stem) = name.strip_suffix(".tf").or_else(|| name.strip_suffix(".tf.json")) else { continue };
        if stem == "override" || stem.ends_with("_override") {
            return BTreeMap::new();
        }
        if name.ends_with(".tf")
            && let Some(body) = body_of(&entry.path())
        {
            bodies.insert(name, body);
        }
    }
    bodies
}

fn body_of(path: &Path) -> Option<Body> {
    hcl::parse(&std::fs::read_to_string(path).ok()?).ok()
}

/// Returns what the tfvars give to variables, and the defaults of the others.
fn values_of_variables(bodies: &BTreeMap<String, Body>, tfvars: &Path) -> Map<String, Value> {
    let nothing = Context::new();
    let blocks = bodies.values().flat_map(Body::blocks).filter(|block| block.identifier() == "variable");
    let defaults = blocks.filter_map(|block| {
        let mut attributes = block.body().attributes();
        let default = attributes.find(|attribute| attribute.key() == "default")?;
        Some((block.labels().first()?.as_str().to_owned(), default.expr().evaluate(&nothing).ok()?))
    });
    let mut values: Map<String, Value> = defaults.collect();
    let given = body_of(tfvars);
    for attribute in given.iter().flat_map(Body::attributes) {
        match attribute.expr().evaluate(&nothing) {
            Ok(value) => values.insert(attribute.key().to_owned(), value),
            Err(_) => values.shift_remove(attribute.key()),
        };
    }
    values
}

/// Evaluates the locals that follow from what is known, and from each other.
fn known_locals<'a>(context: &Context<'static>, bodies: impl Iterator<Item = &'a Body>) -> Value {
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
