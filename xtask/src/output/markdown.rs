//! Markdown for CI: a plan as a table, a run as a summary, a failure. GitHub shows it on the run's page:
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#adding-a-job-summary>.
//!
//! Rendered from the same values as text and JSON. The dialect is GitHub's: <https://github.github.com/gfm/>.

mod next_releases;
mod promotion;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

pub(crate) use self::next_releases::next_releases;
pub(crate) use self::promotion::{notes, promotion};
use crate::delivery::{Delivered, StackPlan};
use crate::failure::{self, ErrorReport, Result};
use crate::format::plural;
use crate::name::{EnvironmentName, StackName};
use crate::plan::{ReviewedChange, changes_summary};
use crate::release::Manifest;

/// Renders the plans of an environment's stacks: a table of all changes, and what changed outside Terraform.
pub(crate) fn plans(
    environment: &EnvironmentName,
    stacks: &[StackPlan],
    waiting: &BTreeMap<StackName, StackName>,
) -> String {
    let count = stacks.iter().map(|plan| plan.changes.len()).sum();
    let outputs = stacks.iter().any(|plan| plan.outputs_change);
    let what = match (count, outputs) {
        (0, false) => "no changes".to_owned(),
        (0, true) => "only outputs change".to_owned(),
        (count, _) => plural(count, "change"),
    };
    let mut text = heading(&format!("plan · {environment}: {what}"));
    let lost: Vec<[String; 4]> = stacks
        .iter()
        .flat_map(|plan| {
            plan.rows.iter().filter(|row| row.holds.is_some() || plan.destroys.contains(&row.address)).map(
                |row| {
                    let lost = row.holds.clone().unwrap_or_else(|| "protected".to_owned());
                    [plan.stack.to_string(), row.action.word().to_owned(), row.address.clone(), lost]
                },
            )
        })
        .collect();
    if !lost.is_empty() {
        let count = plural(lost.len(), "resource");
        text.push_str(&format!("**Destroys {count} with data or under protection:**\n\n"));
        text.push_str(&table(["Stack", "Action", "Resource", "What is lost"], &lost));
    }
    let losses = stacks.iter().flat_map(|plan| &plan.losses);
    let losses: Vec<[String; 3]> = losses
        .map(|loss| [loss.what.replace('`', ""), loss.commits.join(", "), loss.accepted_by.clone()])
        .collect();
    if !losses.is_empty() {
        text.push_str("**Loses commits that serve:**\n\n");
        text.push_str(&table(["What", "Commits", "Accepted by"], &losses));
    }
    let rows = |rows: fn(&StackPlan) -> &[ReviewedChange]| {
        let rows = stacks.iter().flat_map(move |plan| {
            rows(plan).iter().map(move |row| {
                let reason = row.reason.as_deref().unwrap_or_default().replace('_', " ");
                let (stack, action) = (plan.stack.to_string(), row.action.word().to_owned());
                [stack, action, row.address.clone(), attributes(row), reason]
            })
        });
        rows.collect::<Vec<_>>()
    };
    let header = ["Stack", "Action", "Resource", "Attributes", "Reason"];
    text.push_str(&table(header, &rows(|plan| &plan.rows)));
    let drift = rows(|plan| &plan.drift_rows);
    if !drift.is_empty() {
        text.push_str(&format!("Changed outside Terraform:\n\n{}", table(header, &drift)));
    }
    for (plan, refused) in stacks.iter().filter_map(|plan| Some((plan, plan.refused.as_ref()?))) {
        let line = format!("Deploying {} would be refused: {refused}", plan.stack);
        text.push_str(&format!("**{}**\n\n", escaped(&line)));
    }
    for (stack, upstream) in waiting {
        let line =
            format!("{stack} cannot be planned yet: it takes outputs of {upstream}, which is not applied.");
        text.push_str(&format!("{}\n\n", escaped(&line)));
    }
    text
}

/// How many attributes a row names.
const ATTRIBUTES: usize = 12;

/// Returns the paths of a change's attributes: those that force a replacement first.
pub(super) fn attributes(row: &ReviewedChange) -> String {
    let forced = row.forces.iter().map(|path| format!("{path} (forces it)"));
    let others = row.attributes.iter().filter(|path| !row.forces.contains(path)).cloned();
    let all: Vec<String> = forced.chain(others).collect();
    let rest = all.len().saturating_sub(ATTRIBUTES);
    let more = (rest > 0).then(|| format!("and {rest} more"));
    all.into_iter().take(ATTRIBUTES).chain(more).collect::<Vec<_>>().join(", ")
}

/// Renders where a plan was saved, and the command that applies it.
pub(crate) fn saved_plan(id: &str, expires: jiff::Timestamp, apply: &str) -> String {
    let fence = fence(apply);
    format!("Saved as plan {id}, until {expires}. To apply exactly it:\n\n{fence}sh\n{apply}\n{fence}\n\n")
}

/// Renders what a command deployed to an environment: a row for each stack.
pub(crate) fn deliveries(command: &str, environment: &EnvironmentName, deliveries: &[Delivered]) -> String {
    let changed = deliveries.iter().filter(|delivered| delivered.deployment.is_some()).count();
    let what = if changed == 0 { "nothing changed".to_owned() } else { plural(changed, "deployment") };
    let rows: Vec<[String; 5]> = deliveries.iter().map(row).collect();
    let header = ["Stack", "Serves", "Resources", "Verified", "Deployment"];
    heading(&format!("{command} · {environment}: {what}")) + &table(header, &rows)
}

fn row(delivered: &Delivered) -> [String; 5] {
    let releases = delivered.functions.iter().map(|(function, version)| format!("{function} {version}"));
    let verified = delivered.verifications.iter();
    let verified = verified.map(|verified| format!("{}: {}", verified.function, verified.summary()));
    let deployment = match delivered.deployment {
        Some(number) => number.to_string(),
        None if delivered.plan_skipped => "unchanged (plan skipped)".to_owned(),
        None => "unchanged".to_owned(),
    };
    [
        delivered.stack.to_string(),
        releases.collect::<Vec<_>>().join("\n"),
        changes_summary(&delivered.changes),
        verified.collect::<Vec<_>>().join("\n"),
        deployment,
    ]
}

/// Renders releases that were published without a deployment; the flag tells whether a release is new.
pub(crate) fn releases<'a>(releases: impl IntoIterator<Item = (&'a Manifest, bool)>) -> String {
    let rows: Vec<[String; 4]> = releases
        .into_iter()
        .map(|(manifest, new)| {
            [
                manifest.function.to_string(),
                manifest.version.to_string(),
                manifest.artifact.sha256.to_string(),
                if new { "released" } else { "unchanged" }.to_owned(),
            ]
        })
        .collect();
    heading("release") + &table(["Function", "Version", "Artifact", ""], &rows)
}

/// Renders the failure of a command.
pub(crate) fn failure(command: &str, report: &ErrorReport) -> String {
    let mut text = heading(&format!("{command} failed (exit code {})", report.exit_code));
    let mut lines = vec![format!("**{}**", escaped(&report.message))];
    lines.extend(report.causes.iter().map(|cause| format!("because {}", escaped(cause))));
    lines.extend(report.unchanged.iter().map(|sentence| escaped(sentence)));
    lines.extend(report.hint.iter().map(|hint| format!("Hint: {}", escaped(hint))));
    lines.iter().for_each(|line| text.push_str(&format!("{line}\n\n")));
    let details: Vec<[String; 2]> =
        report.details.iter().map(|detail| [detail.name.clone(), detail.value.clone()]).collect();
    text.push_str(&table(["Detail", "Value"], &details));
    if let Some(body) = &report.body {
        let fence = fence(body);
        text.push_str(&format!("{fence}text\n{}\n{fence}\n\n", body.trim_end()));
    }
    text
}

/// Appends a summary to the file that GitHub reads (`GITHUB_STEP_SUMMARY`).
pub(crate) fn append(path: &Path, text: &str) -> Result<()> {
    std::fs::File::options()
        .create(true)
        .append(true)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| failure::io("append to", path, error))
}

pub(super) fn heading(text: &str) -> String {
    format!("### Slipway: {}\n\n", escaped(text))
}

/// Renders a table; nothing without rows.
pub(super) fn table<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let mut text = line(&header.map(str::to_owned)) + &line(&header.map(|_| "---".to_owned()));
    for row in rows {
        text.push_str(&line(&row.clone().map(|value| escaped(&value))));
    }
    text + "\n"
}

/// Escapes a value for a table's cell or a paragraph: on one line, and without markup.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.trim_end().chars() {
        match c {
            '\n' => out.push_str("<br>"),
            '\r' => {}
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '`' | '|' | '*' | '[' | ']' | '~' => out.extend(['\\', c]),
            other => out.push(other),
        }
    }
    out
}

/// Returns a code fence that is longer than every run of backticks in a text.
fn fence(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    "`".repeat((longest + 1).max(3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::failure::Failure;
    use crate::plan::{Action, Change};
    use crate::release::sample_manifest;
    use crate::verification::{Check, Verification};

    fn change(address: &str, action: Action) -> Change {
        Change { address: address.into(), action, reason: None }
    }

    fn row(change: &Change) -> ReviewedChange {
        ReviewedChange {
            address: change.address.clone(),
            action: change.action,
            reason: change.reason.clone(),
            attributes: Vec::new(),
            forces: Vec::new(),
            holds: None,
        }
    }

    fn environment() -> EnvironmentName {
        "dev".parse().unwrap()
    }

    fn plan(stack: &str, changes: Vec<Change>) -> StackPlan {
        let stack = stack.parse().unwrap();
        let rows = changes.iter().map(row).collect();
        StackPlan {
            stack,
            summary: String::new(),
            changes,
            drift: Vec::new(),
            outputs_change: false,
            rows,
            drift_rows: Vec::new(),
            destroys: Vec::new(),
            losses: Vec::new(),
            refused: None,
        }
    }

    #[test]
    fn plans_are_a_table_of_changes() {
        let mut hello =
            plan("hello", vec![change("module.f[\"a|b\"].aws_lambda_function.this", Action::Update)]);
        hello.rows[0].attributes = vec!["memory_size".into(), "tags[\"a|b\"]".into()];
        hello.drift_rows = vec![row(&change("aws_iam_role.this", Action::Update))];
        hello.refused = Some("the policy refuses it".into());
        hello.losses = vec![crate::delivery::ReviewedLoss {
            what: "`hello` 0.1.0 lacks 1 commit that 0.2.0 has".into(),
            commits: vec!["7cef293 Ada: fix: a | b".into()],
            accepted_by: "--allow-loss 7cef2936e211".into(),
        }];
        let table = Change {
            reason: Some("cannot_update".into()),
            ..change("aws_dynamodb_table.traces", Action::Replace)
        };
        let waiting = BTreeMap::from([("api".parse().unwrap(), "network".parse().unwrap())]);
        let mut tracer = plan("tracer", vec![table]);
        tracer.rows[0].holds = Some("its items".into());
        tracer.rows[0].forces = vec!["key".into()];
        tracer.rows[0].attributes = (0..14).map(|n| format!("a{n}")).chain(["key".to_owned()]).collect();
        insta::assert_snapshot!(plans(&environment(), &[hello, tracer], &waiting), @r#"
        ### Slipway: plan · dev: 2 changes

        **Destroys 1 resource with data or under protection:**

        | Stack | Action | Resource | What is lost |
        | --- | --- | --- | --- |
        | tracer | replace | aws_dynamodb_table.traces | its items |

        **Loses commits that serve:**

        | What | Commits | Accepted by |
        | --- | --- | --- |
        | hello 0.1.0 lacks 1 commit that 0.2.0 has | 7cef293 Ada: fix: a \| b | --allow-loss 7cef2936e211 |

        | Stack | Action | Resource | Attributes | Reason |
        | --- | --- | --- | --- | --- |
        | hello | update | module.f\["a\|b"\].aws_lambda_function.this | memory_size, tags\["a\|b"\] |  |
        | tracer | replace | aws_dynamodb_table.traces | key (forces it), a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, and 3 more | cannot update |

        Changed outside Terraform:

        | Stack | Action | Resource | Attributes | Reason |
        | --- | --- | --- | --- | --- |
        | hello | update | aws_iam_role.this |  |  |

        **Deploying hello would be refused: the policy refuses it**

        api cannot be planned yet: it takes outputs of network, which is not applied.
        "#);
    }

    #[test]
    fn plans_without_changes_are_one_line() {
        assert_eq!(
            plans(&environment(), &[plan("hello", Vec::new())], &BTreeMap::new()),
            "### Slipway: plan · dev: no changes\n\n"
        );
        let outputs = StackPlan { outputs_change: true, ..plan("hello", Vec::new()) };
        assert_eq!(
            plans(&environment(), &[outputs], &BTreeMap::new()),
            "### Slipway: plan · dev: only outputs change\n\n"
        );
    }

    #[test]
    fn deliveries_have_a_row_for_each_stack() {
        let check = |name: &str| Check {
            name: name.into(),
            passed: true,
            expected: None,
            got: None,
            log: Vec::new(),
            hint: None,
            took_ms: 44,
        };
        let verification = Verification {
            function: "hello".parse().unwrap(),
            function_name: "hello".into(),
            lambda_version: "2".into(),
            config_digest: None,
            checks: vec![check("code"), check("smoke \"greets\"")],
            not_called: None,
        };
        let delivered = |stack: &str, deployment| Delivered {
            environment: environment(),
            stack: stack.parse().unwrap(),
            deployment,
            unchanged: deployment.is_none(),
            plan_skipped: deployment.is_none(),
            changes: Vec::new(),
            functions: BTreeMap::from([(stack.parse().unwrap(), "1.2.0".parse().unwrap())]),
            verifications: Vec::new(),
            undo: BTreeMap::new(),
        };
        let mut hello = delivered("hello", Some(7));
        hello.functions.insert("hello-two".parse().unwrap(), "0.1.0".parse().unwrap());
        hello.changes = vec![change("aws_lambda_function.this", Action::Update)];
        hello.verifications = vec![verification];
        let invoice = delivered("invoice", None);
        insta::assert_snapshot!(deliveries("release", &environment(), &[hello, invoice]), @r#"
        ### Slipway: release · dev: 1 deployment

        | Stack | Serves | Resources | Verified | Deployment |
        | --- | --- | --- | --- | --- |
        | hello | hello 1.2.0<br>hello-two 0.1.0 | +0 \~1 -0 | hello: code ok · smoke "greets" 44 ms | 7 |
        | invoice | invoice 1.2.0 | +0 \~0 -0 |  | unchanged (plan skipped) |
        "#);
        assert_eq!(
            deliveries("rollback", &environment(), &[]),
            "### Slipway: rollback · dev: nothing changed\n\n"
        );
    }

    #[test]
    fn releases_are_a_table_with_their_digests() {
        let mut manifest = sample_manifest("hello", "1.2.0");
        manifest.artifact.sha256 = Digest::of("zip");
        insta::assert_snapshot!(releases([(&manifest, true), (&manifest, false)]), @r"
        ### Slipway: release

        | Function | Version | Artifact |  |
        | --- | --- | --- | --- |
        | hello | 1.2.0 | sha256:4a70fe9aa6436e02c2dea340fbd1e352e4ef2d8ce6ca52ad25d4b95471fc8bf2 | released |
        | hello | 1.2.0 | sha256:4a70fe9aa6436e02c2dea340fbd1e352e4ef2d8ce6ca52ad25d4b95471fc8bf2 | unchanged |
        ");
    }

    #[test]
    fn failure_quotes_its_body_in_a_fence_of_its_own() {
        let report = Failure::refused("`hello` 1.4.2 already exists with other bytes")
            .detail("stored", "sha256:9c1f|e2a4")
            .body("first\n```\nlast")
            .unchanged("Nothing was published.")
            .hint("leave out --version")
            .report();
        insta::assert_snapshot!(failure("release", &report), @r"
        ### Slipway: release failed (exit code 6)

        **\`hello\` 1.4.2 already exists with other bytes**

        Nothing was published.

        Hint: leave out --version

        | Detail | Value |
        | --- | --- |
        | stored | sha256:9c1f\|e2a4 |

        ````text
        first
        ```
        last
        ````
        ");
    }

    #[test]
    fn markup_in_values_is_escaped() {
        assert_eq!(escaped("a|b `c` <d>\ne & \\"), "a\\|b \\`c\\` &lt;d&gt;<br>e &amp; \\\\");
        assert_eq!(fence("no ticks"), "```");
        assert_eq!(fence("four ```` ticks"), "`````");
    }

    #[test]
    fn summaries_are_appended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("summary.md");
        append(&path, "one\n").unwrap();
        append(&path, "two\n").unwrap();
        assert_eq!(std::fs::read_to_string(path).unwrap(), "one\ntwo\n");
    }
}
