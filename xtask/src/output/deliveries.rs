//! What deliveries and rollbacks did, as text for people.

use std::time::Duration;

use crate::delivery::{Delivered, RolledBack};
use crate::format::{list, plural, seconds, serve};
use crate::name::{EnvironmentName, FunctionName};

/// How many characters the names of unchanged functions may take on one line.
const NAMES: usize = 60;

/// From how many functions on a rollback, whose every step counts, names only some of them.
const MANY: usize = 10;

/// Renders deliveries: a line for each that changed something, and one for all that are unchanged. `took` is the time of
/// the whole run; `several_stacks` tells whether the project has more than one stack.
pub(crate) fn deliveries_text(deliveries: &[Delivered], took: Duration, several_stacks: bool) -> String {
    let mut lines: Vec<String> = Vec::new();
    for plan_skipped in [true, false] {
        let unchanged: Vec<&Delivered> = deliveries
            .iter()
            .filter(|delivered| is_unchanged(delivered) && delivered.plan_skipped == plan_skipped)
            .collect();
        lines.extend(unchanged_line(&unchanged, plan_skipped));
    }
    let changed = deliveries.iter().filter(|delivered| !is_unchanged(delivered));
    lines.extend(changed.map(|delivered| changed_line(delivered, several_stacks)));
    with_time(lines, took)
}

/// Renders a rollback of one stack. `took` is the time of the whole run.
pub(crate) fn rollback_text(environment: &EnvironmentName, back: &RolledBack, took: Duration) -> String {
    let steps = || back.steps.iter();
    let names: Vec<String> =
        steps().map(|(function, step)| format!("{function} {}", step.to.release)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let what = if names.len() > MANY { shortened(&names) } else { list(&names) };
    let serve = serve(back.steps.len());
    let Some(delivered) = &back.delivered else {
        let stay = stay_text(back);
        return format!("{what} already {serve} in {environment}. Nothing was changed.\n{stay}");
    };
    let number = delivered.deployment.unwrap_or_default();
    let took = seconds(took);
    let mut text = format!("{what} {serve} in {environment} again.  Deployment {number} · {took}\n");
    for (function, step) in steps().filter(|(_, step)| step.from.release != step.to.release) {
        text.push_str(&format!(
            "{function} {} is on hold: it is not deployed to {environment} again without --lift-hold.\n",
            step.from.release
        ));
    }
    text.push_str(&stay_text(back));
    text
}

/// Returns a line for each function that was meant as well and stays.
fn stay_text(back: &RolledBack) -> String {
    back.stay.iter().map(|(function, why)| format!("{function} stays: {why}.\n")).collect()
}

/// Returns whether a delivery recorded no deployment.
fn is_unchanged(delivered: &Delivered) -> bool {
    delivered.deployment.is_none()
}

/// Returns the line of all deliveries that changed nothing.
fn unchanged_line(deliveries: &[&Delivered], plan_skipped: bool) -> Option<String> {
    let environment = &deliveries.first()?.environment;
    let releases: Vec<String> = deliveries
        .iter()
        .flat_map(|delivered| &delivered.functions)
        .map(|(function, version)| format!("{function} {version}"))
        .collect();
    let without_functions = deliveries.iter().filter(|delivered| delivered.functions.is_empty());
    let stacks: Vec<&str> = without_functions.map(|delivered| delivered.stack.as_str()).collect();
    let several = releases.len() > 3 || stacks.len() > 3;
    let why = match (plan_skipped, several) {
        (true, false) => "plan skipped: nothing changed; --plan plans anyway",
        (true, true) => "plan skipped: nothing changed",
        (false, _) => "planned: no changes",
    };
    let functions = match releases.len() {
        0 => None,
        1..=3 => Some(format!("{} already {}", list(&releases), serve(releases.len()))),
        several => Some(format!("{several} functions already serve")),
    };
    let applied = match stacks.len() {
        0 => None,
        1..=3 => Some(format!("{} {} up to date", list(&stacks), are(stacks.len()))),
        several => Some(format!("{several} stacks are up to date")),
    };
    let what: Vec<String> = functions.into_iter().chain(applied).collect();
    let mut names: Vec<&str> = Vec::new();
    if releases.len() > 3 {
        names.extend(releases.iter().map(String::as_str));
    }
    if stacks.len() > 3 {
        names.extend(&stacks);
    }
    let names = if names.is_empty() { ".".to_owned() } else { format!(": {}", shortened(&names)) };
    Some(format!("{} in {environment} ({why}){names}", list(what)))
}

/// Returns the line of a delivery that recorded a deployment.
fn changed_line(delivered: &Delivered, several_stacks: bool) -> String {
    let Delivered { environment, stack, functions, .. } = delivered;
    let number = delivered.deployment.unwrap_or_default();
    if functions.is_empty() {
        return format!("{stack} is applied in {environment}.  Deployment {number}");
    }
    let undo = undo_text(delivered, several_stacks);
    format!("{}.  Deployment {number}{undo}", serving_text(delivered))
}

/// Says which releases serve: each by its name, or, where they are many, those that were verified now and how many others.
fn serving_text(Delivered { environment, functions, verifications, .. }: &Delivered) -> String {
    let all: Vec<String> =
        functions.iter().map(|(function, version)| format!("{function} {version}")).collect();
    if all.len() <= 3 {
        return format!("{} {} in {environment}", list(&all), serve(all.len()));
    }
    let is_new = |function: &FunctionName| verifications.iter().any(|one| one.function == *function);
    let new = functions.keys().zip(&all).filter(|(function, _)| is_new(function));
    let new: Vec<&str> = new.map(|(_, name)| name.as_str()).collect();
    let what = match new.as_slice() {
        [] => return format!("{} serve in {environment} as before", plural(all.len(), "function")),
        [name] => format!("{name} serves"),
        several => format!("{} ({}) serve", plural(several.len(), "function"), shortened(several)),
    };
    match all.len() - new.len() {
        0 => format!("{what} in {environment}"),
        others => format!("{what} in {environment}, {} as before", plural(others, "other")),
    }
}

/// Returns the command that undoes a delivery, and what it goes back to; empty where none would.
fn undo_text(Delivered { environment, undo, .. }: &Delivered, several_stacks: bool) -> String {
    if undo.is_empty() {
        return String::new();
    }
    // Without a name `rollback` undoes the newest deployment, which may be another stack's by then.
    let names = if several_stacks {
        undo.keys().map(|function| format!("{function} ")).collect()
    } else {
        String::new()
    };
    let back: Vec<String> = undo.iter().map(|(function, version)| format!("{function} {version}")).collect();
    let back = if back.len() > 3 { plural(back.len(), "release") } else { list(back) };
    format!(" · undo: cargo xtask rollback {names}--env {environment} (back to {back})")
}

/// Adds the time of the run: to the only line, or as a line of its own.
fn with_time(lines: Vec<String>, took: Duration) -> String {
    let took = seconds(took);
    match lines.as_slice() {
        [] => String::new(),
        [line] => match line.split_once(" · undo:") {
            Some((before, undo)) => format!("{before} · {took} · undo:{undo}\n"),
            None if line.contains("  Deployment ") => format!("{line} · {took}\n"),
            None => format!("{line}  {took}\n"),
        },
        several => format!("{}\nDone in {took}.\n", several.join("\n")),
    }
}

fn are(count: usize) -> &'static str {
    if count == 1 { "is" } else { "are" }
}

/// Joins names until the line is long, and counts the rest.
fn shortened(names: &[&str]) -> String {
    let mut text = String::new();
    for (at, name) in names.iter().enumerate() {
        let left = names.len() - at;
        if at > 0 && text.chars().count() + name.chars().count() > NAMES {
            return format!("{text} and {}", plural(left, "other"));
        }
        text = if at == 0 { (*name).to_owned() } else { format!("{text}, {name}") };
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::verification::Verification;

    fn delivered(stack: &str, functions: &[&str], deployment: Option<u64>) -> Delivered {
        let release = |name: &&str| (name.parse().unwrap(), "0.1.0".parse().unwrap());
        Delivered {
            environment: "local".parse().unwrap(),
            stack: stack.parse().unwrap(),
            deployment,
            unchanged: deployment.is_none(),
            plan_skipped: deployment.is_none(),
            changes: Vec::new(),
            functions: functions.iter().map(release).collect(),
            verifications: Vec::new(),
            undo: BTreeMap::new(),
        }
    }

    fn text(deliveries: &[Delivered], several_stacks: bool) -> String {
        deliveries_text(deliveries, Duration::from_millis(12_340), several_stacks)
    }

    #[test]
    fn one_delivery_has_one_line_with_the_time() {
        let first = delivered("hello", &["hello"], Some(1));
        assert_eq!(text(&[first], true), "hello 0.1.0 serves in local.  Deployment 1 · 12.3 s\n");
        let undo = BTreeMap::from([("hello".parse().unwrap(), "0.0.9".parse().unwrap())]);
        let one = Delivered { undo, ..delivered("hello", &["hello"], Some(2)) };
        assert_eq!(
            text(std::slice::from_ref(&one), true),
            "hello 0.1.0 serves in local.  Deployment 2 · 12.3 s · undo: cargo xtask rollback hello --env local (back to hello 0.0.9)\n"
        );
        assert_eq!(
            text(&[one], false),
            "hello 0.1.0 serves in local.  Deployment 2 · 12.3 s · undo: cargo xtask rollback --env local (back to hello 0.0.9)\n"
        );
        assert_eq!(
            text(&[delivered("network", &[], Some(3))], true),
            "network is applied in local.  Deployment 3 · 12.3 s\n"
        );
        assert_eq!(
            text(&[delivered("hello", &["hello"], None)], true),
            "hello 0.1.0 already serves in local (plan skipped: nothing changed; --plan plans anyway).  12.3 s\n"
        );
    }

    #[test]
    fn unchanged_functions_and_stacks_share_one_line() {
        let many = [
            delivered("network", &[], None),
            delivered("api", &["bucket-api-image", "bucket-api-zip"], None),
            delivered("hello", &["hello"], None),
            delivered("invoice", &["invoice"], None),
            Delivered {
                undo: [("tracer", "0.0.9"), ("tail", "0.1.0")]
                    .map(|(name, version)| (name.parse().unwrap(), version.parse().unwrap()))
                    .into(),
                ..delivered("tracer", &["tracer"], Some(4))
            },
        ];
        insta::assert_snapshot!(text(&many, true), @r"
        4 functions already serve and network is up to date in local (plan skipped: nothing changed): bucket-api-image 0.1.0, bucket-api-zip 0.1.0, hello 0.1.0 and 1 other
        tracer 0.1.0 serves in local.  Deployment 4 · undo: cargo xtask rollback tail tracer --env local (back to tail 0.1.0 and tracer 0.0.9)
        Done in 12.3 s.
        ");
    }

    #[test]
    fn unchanged_with_a_plan_says_that_it_was_planned() {
        let planned = |name| Delivered { plan_skipped: false, ..delivered(name, &[name], None) };
        insta::assert_snapshot!(text(&[planned("a"), planned("b"), delivered("c", &["c"], None)], true), @r"
        c 0.1.0 already serves in local (plan skipped: nothing changed; --plan plans anyway).
        a 0.1.0 and b 0.1.0 already serve in local (planned: no changes).
        Done in 12.3 s.
        ");
    }

    #[test]
    fn hundred_functions_have_one_line_of_bounded_length() {
        let names: Vec<String> = (0..100).map(|number| format!("function-{number:03}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let verified = |functions: &[&str]| {
            let verification = |name: &&str| Verification {
                function: name.parse().unwrap(),
                function_name: (*name).to_owned(),
                lambda_version: "2".into(),
                config_digest: None,
                not_called: None,
                checks: Vec::new(),
            };
            functions.iter().map(verification).collect::<Vec<_>>()
        };
        let all = |deployment, verified_now: &[&str]| Delivered {
            verifications: verified(verified_now),
            ..delivered("many", &names, deployment)
        };
        let texts = [
            all(None, &[]),
            all(Some(2), &names[..1]),
            all(Some(3), &names[..9]),
            all(Some(4), &names),
            all(Some(5), &[]),
        ]
        .map(|delivery| text(&[delivery], false));
        insta::assert_snapshot!(texts.concat(), @r"
        100 functions already serve in local (plan skipped: nothing changed): function-000 0.1.0, function-001 0.1.0, function-002 0.1.0 and 97 others  12.3 s
        function-000 0.1.0 serves in local, 99 others as before.  Deployment 2 · 12.3 s
        9 functions (function-000 0.1.0, function-001 0.1.0, function-002 0.1.0 and 6 others) serve in local, 91 others as before.  Deployment 3 · 12.3 s
        100 functions (function-000 0.1.0, function-001 0.1.0, function-002 0.1.0 and 97 others) serve in local.  Deployment 4 · 12.3 s
        100 functions serve in local as before.  Deployment 5 · 12.3 s
        ");
    }

    #[test]
    fn rollback_names_what_stays() {
        let stay = BTreeMap::from([("new".parse().unwrap(), "it has one release".to_owned())]);
        let none = RolledBack { steps: BTreeMap::new(), stay, delivered: None };
        assert!(
            rollback_text(&"dev".parse().unwrap(), &none, Duration::ZERO)
                .ends_with("Nothing was changed.\nnew stays: it has one release.\n")
        );
    }
}
