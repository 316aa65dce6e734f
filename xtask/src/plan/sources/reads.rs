//! The files that a module's expressions read: `file("${path.module}/…")`, `fileset(…)`, and every other path that is
//! written with `path.module`, `path.root` or `path.cwd`.
//!
//! In: a module's expressions and local values. Out: each read, with its path as far as it is known before the plan. A read
//! whose path is known only to the plan is [`PathText::Unknown`].

use hcl::expr::{Expression, FuncCall, ObjectKey, Operation, TemplateExpr, TraversalOperator};
use hcl::template::{Element, Template};

use super::path_text::{ModuleTexts, PathText, is_path};
use super::syntax::Declarations;

/// A file, a folder or a set of files that an expression reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileRead {
    /// The function that reads it; `None` for a path in another expression.
    pub(super) function: Option<String>,
    /// The path.
    pub(super) path: PathText,
    /// The pattern of `fileset`, where it is known.
    pub(super) pattern: Option<String>,
    /// Whether Terraform goes on without an error if the file does not exist.
    pub(super) quiet: bool,
}

/// Functions that read files: <https://developer.hashicorp.com/terraform/language/functions/file>.
const FILE_FUNCTIONS: [&str; 11] = [
    "file",
    "filebase64",
    "filebase64sha256",
    "filebase64sha512",
    "fileexists",
    "filemd5",
    "fileset",
    "filesha1",
    "filesha256",
    "filesha512",
    "templatefile",
];

/// Functions whose result changes by itself: <https://developer.hashicorp.com/terraform/language/functions/timestamp>.
const VOLATILE_FUNCTIONS: [&str; 4] = ["timestamp", "plantimestamp", "uuid", "bcrypt"];

/// Returns what a module's expressions read, and the functions in them whose result changes by itself. Both folders are
/// relative to the project.
pub(super) fn file_reads(
    declarations: &Declarations,
    module: &str,
    root: &str,
) -> (Vec<FileRead>, Vec<String>) {
    let locals = declarations.locals.iter().map(|(name, value)| (name.as_str(), value)).collect();
    let texts = ModuleTexts { module, root, locals };
    let mut reader = Reader { texts, found: Vec::new(), volatile: Vec::new(), within_path: 0 };
    for expression in &declarations.expressions {
        reader.visit(expression, false);
    }
    (reader.found, reader.volatile)
}

struct Reader<'a> {
    texts: ModuleTexts<'a>,
    found: Vec<FileRead>,
    volatile: Vec<String>,
    /// How deep the visited expression is within a path that was looked at as a whole.
    within_path: usize,
}

impl Reader<'_> {
    fn visit(&mut self, expression: &Expression, quiet: bool) {
        match expression {
            Expression::Array(values) => values.iter().for_each(|value| self.visit(value, quiet)),
            Expression::Object(values) => {
                for (key, value) in values {
                    if let ObjectKey::Expression(key) = key {
                        self.visit(key, quiet);
                    }
                    self.visit(value, quiet);
                }
            }
            Expression::TemplateExpr(template) => {
                self.add_path(expression, quiet);
                self.visit_template(template, quiet);
            }
            Expression::Traversal(traversal) => {
                if is_path(traversal) {
                    self.add_path(expression, quiet);
                } else {
                    self.visit(&traversal.expr, quiet);
                    for operator in &traversal.operators {
                        if let TraversalOperator::Index(index) = operator {
                            self.visit(index, quiet);
                        }
                    }
                }
            }
            Expression::FuncCall(call) => self.visit_call(call, quiet),
            Expression::Parenthesis(inner) => self.visit(inner, quiet),
            Expression::Conditional(conditional) => {
                for part in [&conditional.cond_expr, &conditional.true_expr, &conditional.false_expr] {
                    self.visit(part, quiet);
                }
            }
            Expression::Operation(operation) => match operation.as_ref() {
                Operation::Unary(unary) => self.visit(&unary.expr, quiet),
                Operation::Binary(binary) => {
                    self.visit(&binary.lhs_expr, quiet);
                    self.visit(&binary.rhs_expr, quiet);
                }
            },
            Expression::ForExpr(each) => {
                let parts = [Some(&each.collection_expr), each.key_expr.as_ref(), Some(&each.value_expr)];
                for part in parts.into_iter().chain([each.cond_expr.as_ref()]).flatten() {
                    self.visit(part, quiet);
                }
            }
            _ => {}
        }
    }

    fn visit_call(&mut self, call: &FuncCall, quiet: bool) {
        let name = call.name.name.as_str();
        if VOLATILE_FUNCTIONS.contains(&name) {
            self.volatile.push(name.to_owned());
        }
        let quiet = quiet || matches!(name, "try" | "can");
        let is_core = call.name.namespace.iter().all(|part| part.as_str() == "core");
        if !is_core || !FILE_FUNCTIONS.contains(&name) {
            call.args.iter().for_each(|argument| self.visit(argument, quiet));
            return;
        }
        let quiet = quiet || matches!(name, "fileset" | "fileexists");
        let pattern = (name == "fileset").then(|| call.args.get(1)).flatten();
        let pattern = pattern.and_then(|pattern| self.texts.exact(pattern));
        let mut paths = Vec::new();
        if let Some(path) = call.args.first() {
            alternatives(path, &mut paths);
        }
        for path in paths {
            let path = self.texts.path(path, true).unwrap_or(PathText::Unknown);
            self.found.push(FileRead {
                function: Some(name.to_owned()),
                path,
                pattern: pattern.clone(),
                quiet,
            });
        }
        for (index, argument) in call.args.iter().enumerate() {
            match index {
                0 => self.visit_calls(argument, quiet),
                _ => self.visit(argument, quiet),
            }
        }
    }

    /// Visits the function calls within a path, whose text was looked at already.
    fn visit_calls(&mut self, expression: &Expression, quiet: bool) {
        self.within_path += 1;
        self.visit(expression, quiet);
        self.within_path -= 1;
    }

    fn visit_template(&mut self, template: &TemplateExpr, quiet: bool) {
        let Ok(template) = Template::from_expr(template) else { return };
        for element in template.elements() {
            match element {
                Element::Interpolation(inner) => self.visit_calls(&inner.expr, quiet),
                Element::Directive(directive) => self.visit_directive(directive, quiet),
                Element::Literal(_) => {}
            }
        }
    }

    fn visit_directive(&mut self, directive: &hcl::template::Directive, quiet: bool) {
        let (expression, templates) = match directive {
            hcl::template::Directive::If(directive) => {
                (&directive.cond_expr, [Some(&directive.true_template), directive.false_template.as_ref()])
            }
            hcl::template::Directive::For(directive) => {
                (&directive.collection_expr, [Some(&directive.template), None])
            }
        };
        self.visit_calls(expression, quiet);
        for template in templates.into_iter().flatten() {
            for element in template.elements() {
                match element {
                    Element::Interpolation(inner) => self.visit_calls(&inner.expr, quiet),
                    Element::Directive(inner) => self.visit_directive(inner, quiet),
                    Element::Literal(_) => {}
                }
            }
        }
    }

    fn add_path(&mut self, expression: &Expression, quiet: bool) {
        if self.within_path == 0
            && let Some(path) = self.texts.path(expression, false)
        {
            self.found.push(FileRead { function: None, path, pattern: None, quiet });
        }
    }
}

/// Adds the expressions that a conditional may choose from.
fn alternatives<'a>(expression: &'a Expression, found: &mut Vec<&'a Expression>) {
    match expression {
        Expression::Parenthesis(inner) => alternatives(inner, found),
        Expression::Conditional(conditional) => {
            alternatives(&conditional.true_expr, found);
            alternatives(&conditional.false_expr, found);
        }
        other => found.push(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::sources::path_text::Place;

    fn reads(text: &str) -> Vec<FileRead> {
        let mut declarations = Declarations::default();
        declarations.add("x.tf", text.as_bytes()).unwrap();
        file_reads(&declarations, "terraform/modules/m", "terraform/stacks/s").0
    }

    fn paths(expression: &str) -> Vec<PathText> {
        let locals = "locals {\n  base = \"${path.module}/../..\"\n  src = \"${local.base}/src\"\n  loop = local.loop\n}\n";
        let before = reads(locals).len();
        let all = reads(&format!("{locals}output \"x\" {{\n  value = {expression}\n}}\n"));
        all.into_iter().skip(before).map(|read| read.path).collect()
    }

    fn inside(path: &str) -> PathText {
        PathText::Exact(Place::Inside(path.into()))
    }

    #[test]
    fn paths_are_known_as_far_as_the_text_says() {
        for (expression, path) in [
            (r#"file("${path.module}/../../policies/note.txt")"#, inside("terraform/policies/note.txt")),
            (r#"file("../../api.yml")"#, inside("terraform/api.yml")),
            (r#"file("${path.root}/x")"#, inside("terraform/stacks/s/x")),
            (r#"filemd5(join("/", [path.module, "..", "x"]))"#, inside("terraform/modules/x")),
            (r#"filemd5(format("%s/%s", path.module, "x"))"#, inside("terraform/modules/m/x")),
            (r#"trimspace(file("${local.src}/a.txt"))"#, inside("terraform/src/a.txt")),
            (r#""${path.module}/../../src""#, inside("terraform/src")),
            (
                r#"[for name in var.names : file("${path.module}/t/${name}.json")]"#,
                PathText::Begins(Place::Inside("terraform/modules/m/t".into())),
            ),
            (
                r#"file("${path.module}/../../../../x")"#,
                PathText::Exact(Place::Outside("terraform/modules/m/../../../../x".into())),
            ),
            (r#"file("~/.ssh/id.pub")"#, PathText::Exact(Place::Outside("~/.ssh/id.pub".into()))),
            (r#"file(var.path)"#, PathText::Unknown),
            (r#"file(local.loop)"#, PathText::Unknown),
        ] {
            assert_eq!(paths(expression), [path], "{expression}");
        }
        assert_eq!(
            paths(r#"file(var.x ? "a" : "${path.module}/b")"#),
            [inside("terraform/stacks/s/a"), inside("terraform/modules/m/b")]
        );
        assert_eq!(paths(r#"{ a = "x", b = var.y }"#), []);
    }

    #[test]
    fn reads_that_fail_without_a_word_are_quiet() {
        let found = reads(
            "output \"x\" {\n  value = [fileset(local.x, \"**\"), try(file(\"a\"), \"\"), file(\"b\")]\n}\n",
        );
        let quiet: Vec<bool> = found.iter().map(|read| read.quiet).collect();
        assert_eq!(quiet, [true, true, false]);
        assert_eq!(found[0].pattern.as_deref(), Some("**"));
    }
}
