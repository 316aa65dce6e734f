//! What a reviewer sees of a plan: addresses, actions and the paths of attributes, never values.
//!
//! In: a saved plan as `terraform show -json` prints it (<https://developer.hashicorp.com/terraform/internals/json-format>).
//! Out: a row for each change, what destroys first; a digest of each change's values, by which two plans are compared; the
//! plan for a policy, without the values that Terraform marks as sensitive.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::changes::Action;
use super::data_types::data_in;
use crate::digest::{Digest, DigestBuilder};

/// The text in place of a value that a policy does not see.
const HIDDEN: &str = "(sensitive)";

/// One change of a plan, without values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ReviewedChange {
    /// The full address; that of an output is `output.<name>`.
    pub(crate) address: String,
    /// What happens to it.
    pub(crate) action: Action,
    /// The reason that Terraform gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// The paths of the attributes that change; none where the whole resource is created or deleted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) attributes: Vec<String>,
    /// Those of them that force a replacement.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) forces: Vec<String>,
    /// What is lost with the resource, where it is removed and holds data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) holds: Option<String>,
}

/// A change with the digest of its values: the same digest means the same change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct PlannedChange {
    /// What a reviewer sees.
    #[serde(flatten)]
    pub(crate) row: ReviewedChange,
    /// The digest of its actions and of the values before and after it, sensitive ones included.
    pub(crate) values: Digest,
}

/// Returns the changes in a plan, what destroys first, then by address.
pub(crate) fn reviewed_changes(plan: &Value) -> Vec<PlannedChange> {
    let resources = plan.get("resource_changes").and_then(Value::as_array);
    let resources = resources.into_iter().flatten().filter_map(resource_change);
    let outputs = plan.get("output_changes").and_then(Value::as_object);
    let outputs = outputs.into_iter().flatten().filter_map(|(name, change)| {
        change_row(format!("output.{name}"), None, change, &[("actions", change.get("actions"))])
    });
    let mut changes: Vec<PlannedChange> = resources.chain(outputs).collect();
    changes.sort_by(|a, b| order(&a.row).cmp(&order(&b.row)));
    changes
}

/// Returns what changed outside Terraform, by address.
pub(crate) fn reviewed_drift(plan: &Value) -> Vec<ReviewedChange> {
    let drift = plan.get("resource_drift").and_then(Value::as_array).into_iter().flatten();
    let mut rows: Vec<ReviewedChange> = drift.filter_map(resource_change).map(|change| change.row).collect();
    rows.sort_by(|a, b| a.address.cmp(&b.address));
    rows
}

/// The order in which changes are shown: data that is lost, other removals, then the rest, each by address.
fn order(row: &ReviewedChange) -> (bool, bool, bool, &str) {
    (row.holds.is_none(), !row.action.removes(), row.address.starts_with("output."), &row.address)
}

fn resource_change(resource: &Value) -> Option<PlannedChange> {
    let text = |name: &str| resource.get(name).and_then(Value::as_str);
    let change = resource.get("change")?;
    let moved_from = resource.get("previous_address");
    // Two objects of one address: the one that an interrupted replacement left is named by its key.
    let address = match text("deposed") {
        Some(key) => format!("{} (deposed {key})", text("address")?),
        None => text("address")?.to_owned(),
    };
    let identity = [
        ("actions", change.get("actions")),
        ("previous_address", moved_from),
        ("importing", change.get("importing")),
        ("replace_paths", change.get("replace_paths")),
    ];
    let mut planned = change_row(address, text("action_reason"), change, &identity).or_else(|| {
        let nothing = change_row_of(Action::Move, text("address")?.to_owned(), None, change, &identity);
        moved_from.is_some().then_some(nothing)
    })?;
    if text("mode") != Some("data") && planned.row.action.removes() {
        planned.row.holds = text("type").and_then(data_in).map(str::to_owned);
    }
    Some(planned)
}

/// Returns a change as a row; `None` where nothing happens.
fn change_row(
    address: String,
    reason: Option<&str>,
    change: &Value,
    identity: &[(&str, Option<&Value>)],
) -> Option<PlannedChange> {
    let action = action_of(change)?;
    Some(change_row_of(action, address, reason, change, identity))
}

fn change_row_of(
    action: Action,
    address: String,
    reason: Option<&str>,
    change: &Value,
    identity: &[(&str, Option<&Value>)],
) -> PlannedChange {
    let mut attributes = Vec::new();
    if matches!(action, Action::Update | Action::Replace) && !address.starts_with("output.") {
        Difference::of(change).paths(&mut attributes);
    }
    let forces = change.get("replace_paths").and_then(Value::as_array).into_iter().flatten();
    let forces = forces.filter_map(Value::as_array).map(|steps| {
        steps.iter().fold(String::new(), |path, step| match step {
            Value::Number(index) => format!("{path}[{index}]"),
            step => joined(&path, step.as_str().unwrap_or_default()),
        })
    });
    let forces = if action == Action::Replace { forces.collect() } else { Vec::new() };
    let mut digest = DigestBuilder::new("slipway.planned-change/1");
    digest.part("address", &address);
    // Maps are ordered by their keys, so that equal values are equal bytes.
    for (name, value) in identity
        .iter()
        .copied()
        .chain(["before", "after", "after_unknown"].map(|name| (name, change.get(name))))
    {
        digest.part(name, value.unwrap_or(&Value::Null).to_string());
    }
    // What an update did not need a reason for has none that explains it.
    let reason = reason.filter(|_| action != Action::Update).map(str::to_owned);
    let row = ReviewedChange { address, action, reason, attributes, forces, holds: None };
    PlannedChange { row, values: digest.finish() }
}

/// Returns the action of a change; `None` where it does nothing.
fn action_of(change: &Value) -> Option<Action> {
    let actions: Vec<&str> = change.get("actions")?.as_array()?.iter().filter_map(Value::as_str).collect();
    let imports = change.get("importing").is_some_and(|importing| !importing.is_null());
    Some(match actions.as_slice() {
        ["create"] => Action::Create,
        ["read"] => Action::Read,
        ["update"] => Action::Update,
        ["delete"] => Action::Delete,
        ["forget"] => Action::Forget,
        ["no-op"] if imports => Action::Import,
        ["no-op"] | [] => return None,
        // Delete and create, in either order; create and forget.
        _ => Action::Replace,
    })
}

/// The two sides of a change, with what Terraform says of them.
struct Difference<'a> {
    before: Option<&'a Value>,
    after: Option<&'a Value>,
    unknown: Option<&'a Value>,
    sensitive: [Option<&'a Value>; 2],
}

impl<'a> Difference<'a> {
    fn of(change: &'a Value) -> Self {
        Self {
            before: change.get("before"),
            after: change.get("after"),
            unknown: change.get("after_unknown"),
            sensitive: ["before_sensitive", "after_sensitive"].map(|name| change.get(name)),
        }
    }

    /// Adds the paths that differ. Below a value that is sensitive as a whole, nothing is named.
    fn paths(&self, found: &mut Vec<String>) {
        self.add("", found);
    }

    fn add(&self, path: &str, found: &mut Vec<String>) {
        let is_true = |value: Option<&Value>| value == Some(&Value::Bool(true));
        let is_unknown = is_true(self.unknown);
        let differs =
            is_unknown || self.before.filter(|v| !v.is_null()) != self.after.filter(|v| !v.is_null());
        let has_unknown = self.unknown.is_some_and(contains_true);
        if !differs && !has_unknown {
            return;
        }
        let is_sensitive = self.sensitive.into_iter().any(is_true);
        let objects = [self.before, self.after].map(|value| value.and_then(Value::as_object));
        let arrays = [self.before, self.after].map(|value| value.and_then(Value::as_array));
        match (objects, arrays) {
            _ if is_unknown || is_sensitive => found.push(path.to_owned()),
            ([Some(before), after], _) if after.is_some() || has_unknown => {
                let unknown = self.unknown.and_then(Value::as_object);
                let names: std::collections::BTreeSet<&String> = before
                    .keys()
                    .chain(after.into_iter().flat_map(Map::keys))
                    .chain(unknown.into_iter().flat_map(Map::keys))
                    .collect();
                for name in names {
                    self.step(|value| value.get(name.as_str())).add(&joined(path, name), found);
                }
            }
            (_, [Some(before), Some(after)]) if before.len() == after.len() => {
                for index in 0..before.len() {
                    self.step(|value| value.get(index)).add(&format!("{path}[{index}]"), found);
                }
            }
            _ => found.push(path.to_owned()),
        }
    }

    fn step(&self, into: impl Fn(&'a Value) -> Option<&'a Value>) -> Difference<'a> {
        let mark = |mark: Option<&'a Value>| match mark {
            Some(Value::Bool(true)) => mark,
            mark => mark.and_then(&into),
        };
        Difference {
            before: self.before.and_then(&into),
            after: self.after.and_then(&into),
            unknown: self.unknown.and_then(&into),
            sensitive: self.sensitive.map(mark),
        }
    }
}

fn contains_true(value: &Value) -> bool {
    match value {
        Value::Bool(value) => *value,
        Value::Array(values) => values.iter().any(contains_true),
        Value::Object(values) => values.values().any(contains_true),
        _ => false,
    }
}

/// Returns a path with one more name: `tags.owner`, `tags["a b"]`.
fn joined(path: &str, name: &str) -> String {
    let is_plain = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
    match (path.is_empty(), is_plain) {
        (true, true) => name.to_owned(),
        (false, true) => format!("{path}.{name}"),
        (_, false) => format!("{path}[{name:?}]"),
    }
}

/// Returns a plan for a policy: what changes and what is planned, without values that Terraform marks as sensitive.
///
/// The values of variables, the state before the plan and the configuration are left out: they have such values without a
/// mark.
pub(crate) fn without_sensitive(plan: &Value) -> Value {
    let mut out = Map::new();
    for name in ["format_version", "terraform_version", "timestamp", "applyable", "complete", "errored"] {
        out.extend(plan.get(name).map(|value| (name.to_owned(), value.clone())));
    }
    for name in ["resource_changes", "resource_drift"] {
        let Some(changes) = plan.get(name).and_then(Value::as_array) else { continue };
        let masked = changes.iter().map(|resource| {
            let mut resource = resource.clone();
            if let Some(change) = resource.get_mut("change") {
                *change = masked_change(change);
            }
            resource
        });
        out.insert(name.to_owned(), masked.collect());
    }
    if let Some(changes) = plan.get("output_changes").and_then(Value::as_object) {
        let masked = changes.iter().map(|(name, change)| (name.clone(), masked_change(change)));
        out.insert("output_changes".to_owned(), Value::Object(masked.collect()));
    }
    if let Some(planned) = plan.get("planned_values") {
        let mut planned = planned.clone();
        if let Some(outputs) = planned.get_mut("outputs").and_then(Value::as_object_mut) {
            for output in outputs.values_mut().filter(|output| output["sensitive"] == true) {
                output["value"] = HIDDEN.into();
            }
        }
        if let Some(module) = planned.get_mut("root_module") {
            mask_module(module);
        }
        out.insert("planned_values".to_owned(), planned);
    }
    Value::Object(out)
}

fn masked_change(change: &Value) -> Value {
    let mut change = change.clone();
    for (value, marks) in [("before", "before_sensitive"), ("after", "after_sensitive")] {
        let marks = change.get(marks).cloned().unwrap_or_default();
        if let Some(value) = change.get_mut(value) {
            mask(value, &marks);
        }
    }
    change
}

fn mask_module(module: &mut Value) {
    for resource in module.get_mut("resources").and_then(Value::as_array_mut).into_iter().flatten() {
        let marks = resource.get("sensitive_values").cloned().unwrap_or_default();
        if let Some(values) = resource.get_mut("values") {
            mask(values, &marks);
        }
    }
    let children = module.get_mut("child_modules").and_then(Value::as_array_mut);
    children.into_iter().flatten().for_each(mask_module);
}

/// Replaces what is marked; `marks` has the shape of the value, with `true` where it is sensitive.
fn mask(value: &mut Value, marks: &Value) {
    match (value, marks) {
        (Value::Null, _) => {}
        (value, Value::Bool(true)) => *value = HIDDEN.into(),
        (Value::Object(values), Value::Object(marks)) => {
            for (name, marks) in marks {
                if let Some(value) = values.get_mut(name) {
                    mask(value, marks);
                }
            }
        }
        (Value::Array(values), Value::Array(marks)) => {
            values.iter_mut().zip(marks).for_each(|(value, marks)| mask(value, marks));
        }
        // Marks of another shape than the value: all of it is hidden.
        (value, marks) if contains_true(marks) => *value = HIDDEN.into(),
        _ => {}
    }
}

/// A difference between an approved plan and a new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PlanDifference {
    /// Only the approved plan has it.
    Gone(ReviewedChange),
    /// Only the new plan has it.
    New(ReviewedChange),
    /// Both have it, with other actions or values.
    Other(ReviewedChange, ReviewedChange),
}

impl PlanDifference {
    /// Returns the difference as a line of a table: address, approved, now.
    pub(crate) fn columns(&self) -> [String; 3] {
        let word = |row: &ReviewedChange| row.action.word().to_owned();
        match self {
            Self::Gone(row) => [row.address.clone(), word(row), "nothing".into()],
            Self::New(row) => [row.address.clone(), "nothing".into(), word(row)],
            Self::Other(was, now) if was.action == now.action => {
                let paths = if now.attributes.is_empty() {
                    String::new()
                } else {
                    format!(" ({})", now.attributes.join(", "))
                };
                [now.address.clone(), word(was), format!("{} with other values{paths}", word(now))]
            }
            Self::Other(was, now) => [now.address.clone(), word(was), word(now)],
        }
    }
}

/// Compares the changes of an approved plan with those of a new one: by address, action and the digests of their values.
pub(crate) fn plan_differences(approved: &[PlannedChange], now: &[PlannedChange]) -> Vec<PlanDifference> {
    let (approved, mut now) = (by_address(approved), by_address(now));
    let mut differences = Vec::new();
    for (address, was) in approved {
        match now.remove(address) {
            Some(now) if now.values == was.values => {}
            Some(now) => differences.push(PlanDifference::Other(was.row.clone(), now.row.clone())),
            None => differences.push(PlanDifference::Gone(was.row.clone())),
        }
    }
    differences.extend(now.into_values().map(|change| PlanDifference::New(change.row.clone())));
    differences
}

/// Compares an approved plan with what is left of it after an attempt that was cut off. What that attempt did is gone, and what
/// the approved plan could not know yet may be known by now. Outputs follow from the resources.
pub(crate) fn remaining_differences(approved: &Value, now: &Value) -> Vec<PlanDifference> {
    let (before, after) = (reviewed_changes(approved), reviewed_changes(now));
    let (before, after) = (by_address(&before), by_address(&after));
    let change_of = |plan: &'_ Value, address: &str| {
        let changes = plan.get("resource_changes").and_then(Value::as_array).into_iter().flatten();
        changes
            .filter(|change| change["deposed"].is_null())
            .find(|change| change["address"] == address)
            .map(|change| change["change"].clone())
    };
    let mut differences = Vec::new();
    for (address, change) in after.into_iter().filter(|(address, _)| !address.starts_with("output.")) {
        let Some(was) = before.get(address) else {
            differences.push(PlanDifference::New(change.row.clone()));
            continue;
        };
        let fulfils = || match (change_of(approved, address), change_of(now, address)) {
            (Some(was), Some(is)) => {
                was["actions"] == is["actions"]
                    && was["before"] == is["before"]
                    && fulfils(was.get("after"), was.get("after_unknown"), is.get("after"))
            }
            _ => false,
        };
        if was.values != change.values && !fulfils() {
            differences.push(PlanDifference::Other(was.row.clone(), change.row.clone()));
        }
    }
    differences
}

fn by_address(changes: &[PlannedChange]) -> BTreeMap<&str, &PlannedChange> {
    changes.iter().map(|change| (change.row.address.as_str(), change)).collect()
}

/// Returns whether a value is the approved one, where that was known.
fn fulfils(approved: Option<&Value>, unknown: Option<&Value>, now: Option<&Value>) -> bool {
    let some = |value: Option<&Value>| value.is_some_and(|value| !value.is_null());
    match (approved, now) {
        _ if unknown == Some(&Value::Bool(true)) => true,
        (Some(Value::Object(was)), Some(Value::Object(is))) => was
            .keys()
            .chain(is.keys())
            .all(|name| fulfils(was.get(name), unknown.and_then(|unknown| unknown.get(name)), is.get(name))),
        (Some(Value::Array(was)), Some(Value::Array(is))) => {
            was.len() == is.len()
                && was.iter().zip(is).enumerate().all(|(index, (was, is))| {
                    fulfils(Some(was), unknown.and_then(|unknown| unknown.get(index)), Some(is))
                })
        }
        (was, is) => (!some(was) && !some(is)) || was == is,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plan(after: &Value) -> Value {
        json!({"resource_changes": [
            {"address": "aws_iam_role.r", "type": "aws_iam_role", "mode": "managed", "change": {
                "actions": ["update"],
                "before": {"name": "r", "tags": {"a b": "secret one", "c": "1"}, "secret": {"k": "hunter2"}, "list": [1, 2], "nested": [{"x": 1, "y": 2}]},
                "after": after,
                "after_unknown": {"arn": true},
                "before_sensitive": {"secret": true}, "after_sensitive": {"secret": true},
            }},
            {"address": "aws_dynamodb_table.t", "type": "aws_dynamodb_table", "mode": "managed", "action_reason": "replace_because_cannot_update", "change": {
                "actions": ["delete", "create"], "before": {"key": "one"}, "after": {"key": "two"},
                "replace_paths": [["key"], ["attribute", 0, "name"]],
            }},
            {"address": "aws_sqs_queue.q", "type": "aws_sqs_queue", "mode": "managed", "change": {"actions": ["no-op"], "before": {}, "after": {}}},
            {"address": "aws_sns_topic.a", "previous_address": "aws_sns_topic.b", "type": "aws_sns_topic", "mode": "managed", "change": {"actions": ["no-op"], "before": {}, "after": {}}},
            {"address": "aws_sns_topic.gone", "type": "aws_sns_topic", "mode": "managed", "change": {"actions": ["delete"], "before": {"name": "x"}, "after": null}},
        ], "output_changes": {"url": {"actions": ["update"], "before": "a", "after": "b"}, "same": {"actions": ["no-op"]}}})
    }

    fn after() -> Value {
        json!({"name": "r", "tags": {"a b": "secret two", "c": "1"}, "secret": {"k": "hunter3"}, "list": [1, 2, 3], "nested": [{"x": 1, "y": 3}]})
    }

    #[test]
    fn reviewer_sees_paths_and_never_values_and_what_is_lost_first() {
        let rows: Vec<ReviewedChange> =
            reviewed_changes(&plan(&after())).into_iter().map(|change| change.row).collect();
        let lines: Vec<String> = rows
            .iter()
            .map(|row| {
                format!(
                    "{} {} [{}] [{}] {}",
                    row.action.word(),
                    row.address,
                    row.attributes.join(" "),
                    row.forces.join(" "),
                    row.holds.as_deref().unwrap_or("-")
                )
            })
            .collect();
        insta::assert_snapshot!(lines.join("\n"), @r#"
        replace aws_dynamodb_table.t [key] [key attribute[0].name] its items
        delete aws_sns_topic.gone [] [] -
        update aws_iam_role.r [arn list nested[0].y secret tags["a b"]] [] -
        move aws_sns_topic.a [] [] -
        update output.url [] [] -
        "#);
        let text = serde_json::to_string(&rows).unwrap();
        for value in ["hunter", "secret one", "secret two", "\"one\"", "\"two\""] {
            assert!(!text.contains(value), "{value} is in {text}");
        }
    }

    #[test]
    fn digest_of_a_change_covers_its_values_sensitive_ones_too() {
        let digests = |after: Value| {
            let changes = reviewed_changes(&plan(&after)).into_iter();
            changes.map(|change| (change.row.address, change.values)).collect::<BTreeMap<_, _>>()
        };
        let mut other = after();
        other["secret"]["k"] = "hunter4".into();
        let (first, same, second) = (digests(after()), digests(after()), digests(other));
        assert_eq!(first, same);
        assert_ne!(first["aws_iam_role.r"], second["aws_iam_role.r"]);
        assert_eq!(first["aws_dynamodb_table.t"], second["aws_dynamodb_table.t"]);
    }

    #[test]
    fn policy_sees_no_sensitive_value() {
        let mut plan = plan(&after());
        plan["variables"] = json!({"token": {"value": "hunter2"}});
        plan["prior_state"] = json!({"values": "hunter2"});
        plan["configuration"] = json!("hunter2");
        plan["output_changes"]["url"]["after_sensitive"] = true.into();
        plan["planned_values"] = json!({
            "outputs": {"url": {"sensitive": true, "value": "hunter2"}, "open": {"sensitive": false, "value": "seen"}},
            "root_module": {"child_modules": [{"resources": [
                {"values": {"p": "hunter2", "q": ["seen", "hunter2"], "odd": "hunter2"}, "sensitive_values": {"p": true, "q": [false, true], "odd": {"x": true}}},
            ]}]},
        });
        let seen = without_sensitive(&plan);
        let text = seen.to_string();
        assert!(!text.contains("hunter"), "{text}");
        assert_eq!(seen["resource_changes"][0]["change"]["after"]["tags"]["c"], "1");
        assert_eq!(
            seen["planned_values"]["root_module"]["child_modules"][0]["resources"][0]["values"]["q"][0],
            "seen"
        );
    }

    #[test]
    fn plans_are_compared_by_address_action_and_values() {
        let approved = reviewed_changes(&plan(&after()));
        assert_eq!(plan_differences(&approved, &approved), []);
        let mut other = plan(&after());
        other["resource_changes"][0]["change"]["after"]["tags"]["c"] = "2".into();
        other["resource_changes"].as_array_mut().unwrap().remove(4);
        other["resource_changes"][1]["change"]["actions"] = json!(["update"]);
        other["resource_changes"].as_array_mut().unwrap().push(json!({
            "address": "aws_x.new", "type": "aws_x", "mode": "managed", "change": {"actions": ["create"], "after": {}},
        }));
        let differences = plan_differences(&approved, &reviewed_changes(&other));
        let lines: Vec<String> =
            differences.iter().map(|difference| difference.columns().join(" | ")).collect();
        insta::assert_snapshot!(lines.join("\n"), @r#"
        aws_dynamodb_table.t | replace | update
        aws_iam_role.r | update | update with other values (arn, list, nested[0].y, secret, tags["a b"], tags.c)
        aws_sns_topic.gone | delete | nothing
        aws_x.new | nothing | create
        "#);
    }

    #[test]
    fn rest_of_an_attempt_that_was_cut_off_is_what_was_approved_where_that_was_known() {
        let approved = plan(&after());
        let mut now = plan(&after());
        now["resource_changes"]
            .as_array_mut()
            .unwrap()
            .retain(|change| change["address"] == "aws_iam_role.r");
        now["resource_changes"][0]["change"]["after"]["arn"] = "arn:aws:iam::1:role/r".into();
        now["resource_changes"][0]["change"]["after_unknown"] = json!({});
        now["output_changes"] = json!({"url": {"actions": ["create"], "after": "c"}});
        assert_eq!(remaining_differences(&approved, &now), []);
        assert_ne!(plan_differences(&reviewed_changes(&approved), &reviewed_changes(&now)), []);
        // A value that was known and is another one now was not approved, nor was a change that is new.
        now["resource_changes"][0]["change"]["after"]["name"] = "s".into();
        now["resource_changes"].as_array_mut().unwrap().push(json!({
            "address": "aws_x.new", "type": "aws_x", "mode": "managed", "change": {"actions": ["create"], "after": {}},
        }));
        let lines: Vec<String> = remaining_differences(&approved, &now)
            .iter()
            .map(|difference| difference.columns()[0].clone())
            .collect();
        assert_eq!(lines, ["aws_iam_role.r", "aws_x.new"]);
    }
}
