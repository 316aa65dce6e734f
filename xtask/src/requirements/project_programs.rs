//! The programs of the project's own commands: gates (`[[before_traffic]]`) and policies (`[plan] policy`).
//!
//! In: the project and a search path. Out: a requirement for each gate and each policy. A deployment runs them, and may run on
//! another machine, so none of them is missing here for everything.

use super::{Availability, Requirement};
use crate::exec;
use crate::failure::{Failure, Result};
use crate::format::list;
use crate::settings::{Project, TrafficGate};

/// Returns a requirement for each gate and each policy of a project.
pub(crate) fn project_programs(project: &Project, search_path: &str) -> Vec<Requirement> {
    let look_up = |what: String, needed_for: String, lines: &[String], file: &str| {
        Requirement::new(what, needed_for, Availability::Later, programs(project, search_path, lines, file))
    };
    let of_functions = project.functions.iter().map(|(function, settings)| {
        let file = format!("lambda-src/{function}/function.toml");
        (format!("new versions of {function}"), file, &settings.before_traffic)
    });
    let of_stacks = project.stacks.iter().map(|(stack, settings)| {
        let file = format!("terraform/stacks/{stack}/stack.toml");
        (format!("new versions in {stack}"), file, &settings.before_traffic)
    });
    let mut found = Vec::new();
    for (needed_for, file, gates) in of_functions.chain(of_stacks) {
        let gate = |gate: &TrafficGate| {
            look_up(format!("gate {}", gate.name), needed_for.clone(), gate.run.lines(), &file)
        };
        found.extend(gates.iter().map(gate));
    }
    let of_project = ("every plan".to_owned(), "pipelines/project.toml".to_owned(), &project.settings.plan);
    let of_environments = project.environments.iter().map(|(environment, settings)| {
        let file = format!("terraform/environments/{environment}/environment.toml");
        (format!("plans of {environment}"), file, &settings.plan)
    });
    for (needed_for, file, plan) in std::iter::once(of_project).chain(of_environments) {
        let policy = plan.iter().map(|plan| {
            look_up(format!("policy of {needed_for}"), needed_for.clone(), plan.policy.lines(), &file)
        });
        found.extend(policy);
    }
    found
}

/// Returns the places of the programs that some command lines begin with; the failure names those that do not exist.
fn programs(project: &Project, search_path: &str, lines: &[String], file: &str) -> Result<String> {
    let (mut places, mut missing) = (Vec::new(), Vec::new());
    for line in lines {
        let Some(word) = shlex::split(line).and_then(|words| words.into_iter().next()) else {
            return Err(Failure::failed(format!("a command line is empty or has an open quote: {line}"))
                .hint(format!("write it as for a shell, in {file}")));
        };
        // A path with a slash is relative to the project.
        let place = match word.contains('/') {
            true => project.root.join(&word).to_string_lossy().into_owned(),
            false => word.clone(),
        };
        match exec::find_program(&place, search_path) {
            Some(path) => places.push(path.display().to_string()),
            None => missing.push(format!("`{word}`")),
        }
    }
    if missing.is_empty() {
        return Ok(list(places));
    }
    let missing = list(missing);
    Err(Failure::failed(format!("{missing} not found")).hint(format!(
        "install {missing} where deployments run, or make the file executable; {file} names it"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::tests::Tree;

    #[test]
    fn gates_and_policies_whose_programs_are_not_here_are_named_with_their_files() {
        let tree = Tree::new();
        let gate = "\n[[before_traffic]]\nname = \"warm\"\nrun = [\"sh warm.sh\", \"no-such-gate --all\"]\n";
        tree.write("terraform/stacks/hello/stack.toml", &format!("functions = [\"hello\"]\n{gate}"));
        tree.write(
            "terraform/environments/local/environment.toml",
            "emulated = true\n[plan]\npolicy = \"scripts/no-such-policy {plan}\"\n",
        );
        let project = tree.project();
        let found = project_programs(&project, "/bin:/usr/bin");
        let of = |what: &str| found.iter().find(|found| found.what == what).expect(what);
        let warm = of("gate warm");
        assert_eq!((warm.verdict, warm.found.as_str()), (Availability::Later, "`no-such-gate` not found"));
        assert_eq!(warm.needed_for, "new versions in hello");
        assert!(warm.hint.as_deref().is_some_and(|hint| hint.contains("terraform/stacks/hello/stack.toml")));
        let policy = of("policy of plans of local");
        assert_eq!(policy.found, "`scripts/no-such-policy` not found");
        assert_eq!(found.len(), 2, "{found:?}");

        tree.write(
            "terraform/environments/local/environment.toml",
            "emulated = true\n[plan]\npolicy = \"sh judge.sh {plan}\"\n",
        );
        let found = project_programs(&tree.project(), "/bin:/usr/bin");
        let policy = found.iter().find(|found| found.what.starts_with("policy")).unwrap();
        assert_eq!((policy.verdict, policy.found.ends_with("/sh")), (Availability::Available, true));
    }
}
