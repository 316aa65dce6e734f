//! Drift as text and as markdown: addresses, actions and attribute paths, never values.

use super::markdown::{attributes, escaped, heading, table};
use crate::delivery::StackDrift;
use crate::format::plural;
use crate::name::EnvironmentName;
use crate::plan::ReviewedChange;

/// Renders drift as text.
pub(crate) fn text(environment: &EnvironmentName, stacks: &[StackDrift]) -> String {
    let mut text = String::new();
    for stack in stacks {
        let deployment = match stack.deployment {
            Some(number) => format!("deployment {number}"),
            None => "nothing deployed".to_owned(),
        };
        let what = match (stack.count(), stack.unread.is_empty()) {
            (0, true) => "no drift".to_owned(),
            (0, false) => "not known".to_owned(),
            (count, _) => plural(count, "difference"),
        };
        text.push_str(&format!("{} in {environment}  {deployment}  {what}\n", stack.stack));
        for finding in &stack.findings {
            text.push_str(&format!(
                "  {}: recorded {}, found {}\n",
                finding.what, finding.recorded, finding.found
            ));
        }
        text.push_str(&rows("  ", &stack.resources));
        if !stack.unmanaged.is_empty() {
            text.push_str("  changed outside Terraform, where the files do not say how it has to be:\n");
            text.push_str(&rows("    ", &stack.unmanaged));
        }
        for unread in &stack.unread {
            text.push_str(&format!("  could not be read: {}: {}\n", unread.what, unread.why));
        }
    }
    text
}

fn rows(indent: &str, rows: &[ReviewedChange]) -> String {
    let line = |row: &ReviewedChange| {
        let paths = attributes(row);
        let paths = if paths.is_empty() { paths } else { format!("   ({paths})") };
        format!("{indent}{:8} {}{paths}\n", row.action.word(), row.address)
    };
    rows.iter().map(line).collect()
}

/// Renders drift as markdown.
pub(crate) fn markdown(environment: &EnvironmentName, stacks: &[StackDrift]) -> String {
    let count = stacks.iter().map(StackDrift::count).sum();
    let complete = stacks.iter().all(|stack| stack.unread.is_empty());
    let what = match (count, complete) {
        (0, true) => "none".to_owned(),
        (0, false) => "not known".to_owned(),
        (count, true) => plural(count, "difference"),
        (count, false) => format!("at least {}", plural(count, "difference")),
    };
    let mut text = heading(&format!("drift · {environment}: {what}"));
    let resources = |rows: fn(&StackDrift) -> &[ReviewedChange]| {
        let all = stacks.iter().flat_map(move |stack| {
            rows(stack).iter().map(move |row| {
                [stack.stack.to_string(), row.action.word().to_owned(), row.address.clone(), attributes(row)]
            })
        });
        all.collect::<Vec<_>>()
    };
    let findings: Vec<[String; 4]> = stacks
        .iter()
        .flat_map(|stack| {
            stack.findings.iter().map(move |finding| {
                [
                    stack.stack.to_string(),
                    finding.what.clone(),
                    finding.recorded.clone(),
                    finding.found.clone(),
                ]
            })
        })
        .collect();
    text.push_str(&table(["Stack", "What", "Recorded", "Found"], &findings));
    let header = ["Stack", "Terraform would", "Resource", "Attributes"];
    text.push_str(&table(header, &resources(|stack| &stack.resources)));
    let unmanaged = resources(|stack| &stack.unmanaged);
    if !unmanaged.is_empty() {
        text.push_str("Changed outside Terraform, where the files do not say how it has to be:\n\n");
        text.push_str(&table(["Stack", "Changed", "Resource", "Attributes"], &unmanaged));
    }
    for stack in stacks {
        for unread in &stack.unread {
            let line = format!("{}: could not be read: {}: {}", stack.stack, unread.what, unread.why);
            text.push_str(&format!("**{}**\n\n", escaped(&line)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::{DriftFinding, Unread};

    fn stack(findings: Vec<DriftFinding>, unread: Vec<Unread>) -> StackDrift {
        StackDrift {
            stack: "hello".parse().unwrap(),
            deployment: Some(7),
            resources: Vec::new(),
            unmanaged: Vec::new(),
            findings,
            unread,
        }
    }

    #[test]
    fn what_could_not_be_read_is_never_no_drift() {
        let environment = "prod".parse().unwrap();
        let unread = Unread { what: "the ledger".into(), why: "access | denied".into() };
        let finding =
            DriftFinding { what: "alias `live` of hello".into(), recorded: "2".into(), found: "1".into() };
        let clean = [stack(Vec::new(), Vec::new())];
        assert_eq!(text(&environment, &clean), "hello in prod  deployment 7  no drift\n");
        assert_eq!(markdown(&environment, &clean), "### Slipway: drift · prod: none\n\n");
        let unknown = [stack(Vec::new(), vec![unread.clone()])];
        assert!(text(&environment, &unknown).contains("deployment 7  not known\n"));
        assert!(markdown(&environment, &unknown).starts_with("### Slipway: drift · prod: not known\n"));
        insta::assert_snapshot!(markdown(&environment, &[stack(vec![finding], vec![unread])]), @r"
        ### Slipway: drift · prod: at least 1 difference

        | Stack | What | Recorded | Found |
        | --- | --- | --- | --- |
        | hello | alias \`live\` of hello | 2 | 1 |

        **hello: could not be read: the ledger: access \| denied**
        ");
    }
}
