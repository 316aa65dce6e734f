//! The texts of expressions that are paths, as far as they are known before the plan.
//!
//! In: an expression, the module's folder and its local values. Out: [`PathText`]: where `"${path.module}/../x"` leads.
//! Paths are resolved by their text, as Terraform does.

use std::collections::BTreeMap;

use hcl::expr::{Expression, FuncCall, Traversal, TraversalOperator};
use hcl::template::{Element, Template};

use super::listing::clean;

/// A path as far as it is known before the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PathText {
    /// The whole path.
    Exact(Place),
    /// Its beginning, up to a folder.
    Begins(Place),
    /// Nothing.
    Unknown,
}

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// Into the project: the path relative to it.
    Inside(String),
    /// Out of the project, to this path of the machine or relative to the project.
    Outside(String),
}

/// Stands for the project's folder at the beginning of a text.
const PROJECT: char = '\u{1}';

/// How deep local values may name each other.
const DEEPEST: usize = 16;

/// What a module's texts are made of. Both folders are relative to the project.
pub(super) struct ModuleTexts<'a> {
    /// The module's folder.
    pub(super) module: &'a str,
    /// The root module's folder, in which Terraform runs.
    pub(super) root: &'a str,
    /// The module's local values.
    pub(super) locals: BTreeMap<&'a str, &'a Expression>,
}

/// A text as far as it is known.
enum Text {
    Exact(String),
    Begins(String),
}

impl ModuleTexts<'_> {
    /// Returns where an expression's text leads. Outside a function, only a text that begins with `path.…` is a path.
    pub(super) fn path(&self, expression: &Expression, of_function: bool) -> Option<PathText> {
        let (text, exact) = match self.text(expression, 0)? {
            Text::Exact(text) => (text, true),
            // What follows the last slash is only a part of a name.
            Text::Begins(text) => (text.rsplit_once('/').map(|(folder, _)| folder.to_owned())?, false),
        };
        let place = match text.strip_prefix(PROJECT) {
            Some(path) if !path.contains(PROJECT) && !path.contains('\n') => match clean(path) {
                Some(path) => Place::Inside(path),
                None => Place::Outside(path.trim_start_matches('/').to_owned()),
            },
            None if of_function && (text.starts_with('/') || text.starts_with('~')) => Place::Outside(text),
            None if of_function => match clean(&format!("{}/{text}", self.root)) {
                Some(path) => Place::Inside(path),
                None => Place::Outside(text),
            },
            _ => return None,
        };
        Some(if exact { PathText::Exact(place) } else { PathText::Begins(place) })
    }

    /// Returns an expression's text where all of it is known.
    pub(super) fn exact(&self, expression: &Expression) -> Option<String> {
        match self.text(expression, 0)? {
            Text::Exact(text) => Some(text),
            Text::Begins(_) => None,
        }
    }

    /// Returns an expression's text; `None` where nothing is known.
    fn text(&self, expression: &Expression, depth: usize) -> Option<Text> {
        match expression {
            Expression::String(text) => Some(Text::Exact(text.clone())),
            Expression::Number(number) => Some(Text::Exact(number.to_string())),
            Expression::Parenthesis(inner) => self.text(inner, depth),
            Expression::Traversal(traversal) => self.traversed(traversal, depth),
            Expression::FuncCall(call) => self.called(call, depth),
            Expression::TemplateExpr(template) => {
                let template = Template::from_expr(template).ok()?;
                let mut text = String::new();
                for element in template.elements() {
                    let part = match element {
                        Element::Literal(literal) => Some(Text::Exact(literal.clone())),
                        Element::Interpolation(inner) => self.text(&inner.expr, depth),
                        Element::Directive(_) => None,
                    };
                    match part {
                        Some(Text::Exact(part)) => text.push_str(&part),
                        Some(Text::Begins(part)) => return Some(Text::Begins(text + &part)),
                        None if text.is_empty() => return None,
                        None => return Some(Text::Begins(text)),
                    }
                }
                Some(Text::Exact(text))
            }
            _ => None,
        }
    }

    fn traversed(&self, traversal: &Traversal, depth: usize) -> Option<Text> {
        let (name, member) = member(traversal)?;
        match (name, member) {
            ("path", "module") => Some(Text::Exact(format!("{PROJECT}/{}", self.module))),
            ("path", "root" | "cwd") => Some(Text::Exact(format!("{PROJECT}/{}", self.root))),
            ("local", name) if depth < DEEPEST => self.text(self.locals.get(name)?, depth + 1),
            _ => None,
        }
    }

    fn called(&self, call: &FuncCall, depth: usize) -> Option<Text> {
        let exact = |index: usize| match self.text(call.args.get(index)?, depth)? {
            Text::Exact(text) => Some(text),
            Text::Begins(_) => None,
        };
        match call.name.name.as_str() {
            "abspath" | "pathexpand" => self.text(call.args.first()?, depth),
            "dirname" => {
                let path = exact(0)?;
                Some(Text::Exact(path.rsplit_once('/').map_or(".", |(folder, _)| folder).to_owned()))
            }
            "join" => {
                let separator = exact(0)?;
                let parts: Vec<&Expression> = match call.args.get(1..)? {
                    [Expression::Array(parts)] => parts.iter().collect(),
                    parts => parts.iter().collect(),
                };
                let mut text = String::new();
                for (index, part) in parts.into_iter().enumerate() {
                    if index > 0 {
                        text.push_str(&separator);
                    }
                    match self.text(part, depth) {
                        Some(Text::Exact(part)) => text.push_str(&part),
                        _ => return (!text.is_empty()).then_some(Text::Begins(text)),
                    }
                }
                Some(Text::Exact(text))
            }
            "format" => {
                let format = exact(0)?;
                let mut text = String::new();
                for (index, part) in format.split("%s").enumerate() {
                    if index > 0 {
                        match self.text(call.args.get(index)?, depth) {
                            Some(Text::Exact(value)) => text.push_str(&value),
                            _ => return (!text.is_empty()).then_some(Text::Begins(text)),
                        }
                    }
                    if part.contains('%') {
                        return (!text.is_empty()).then_some(Text::Begins(text));
                    }
                    text.push_str(part);
                }
                Some(Text::Exact(text))
            }
            _ => None,
        }
    }
}

/// Returns `a` and `b` of a traversal `a.b`.
fn member(traversal: &Traversal) -> Option<(&str, &str)> {
    match (&traversal.expr, traversal.operators.as_slice()) {
        (Expression::Variable(name), [TraversalOperator::GetAttr(member)]) => {
            Some((name.as_str(), member.as_str()))
        }
        _ => None,
    }
}

pub(super) fn is_path(traversal: &Traversal) -> bool {
    member(traversal).is_some_and(|(name, _)| name == "path")
}
