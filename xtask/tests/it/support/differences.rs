//! The differences between two environments with the same stacks, apart from what AWS assigns.
//!
//! In: all resources of each, by stack and address. Out: a line for each resource that only one of them has, and one for
//! each attribute with another value. Accounts, environments and ids that AWS assigns are replaced by names that both sides
//! share, so that a reference to the counterpart of a resource is not a difference, and any other reference is one.

use std::collections::BTreeMap;

use serde_json::Value;

/// Attributes by address, by stack.
pub type Stacks = BTreeMap<&'static str, BTreeMap<String, Value>>;

/// One of the two environments.
pub struct Side<'a> {
    pub account: &'a str,
    pub environment: &'a str,
    pub stacks: &'a Stacks,
}

/// Attributes that AWS assigns and that no value of a stack sets.
const ASSIGNED: [&str; 6] =
    ["create_date", "last_modified", "prefix_list_id", "private_ip", "public_dns", "public_ip"];

/// Names for assigned values; the longest value first, since one may be part of another.
type Names = Vec<(String, String)>;

/// Lists the differences, in the order of stacks and addresses.
pub fn between(one: &Side, other: &Side) -> Vec<String> {
    let (names, other_names) = names(one, other);
    let mut found = Vec::new();
    for (stack, ours) in one.stacks {
        let theirs = &other.stacks[stack];
        let mut addresses: Vec<&String> = ours.keys().chain(theirs.keys()).collect();
        addresses.sort_unstable();
        addresses.dedup();
        for address in addresses {
            let (Some(our), Some(their)) = (ours.get(address), theirs.get(address)) else {
                let side = if ours.contains_key(address) { one } else { other };
                found.push(format!("{stack} {address}: only in {}", side.environment));
                continue;
            };
            let attributes = our.as_object().into_iter().flatten();
            for (attribute, value) in attributes.filter(|(name, _)| !ASSIGNED.contains(&name.as_str())) {
                let value = one.named(value, &names);
                let theirs = other.named(&their[attribute], &other_names);
                if value != theirs {
                    found.push(format!("{stack} {address} {attribute}: {value} -> {theirs}"));
                }
            }
        }
    }
    found
}

/// Names each resource's id by its address, and other assigned values of resources that both have by address and attribute.
fn names(one: &Side, other: &Side) -> (Names, Names) {
    let (mut ours, mut theirs) = (ids(one), ids(other));
    for (stack, resources) in one.stacks {
        for (address, attributes) in resources {
            let Some(counterpart) = other.stacks[stack].get(address) else { continue };
            for (attribute, value) in attributes.as_object().into_iter().flatten() {
                let (Some(our), Some(their)) = (value.as_str(), counterpart[attribute].as_str()) else {
                    continue;
                };
                let assigned = attribute.ends_with("_id") || attribute == "id" || attribute == "arn";
                let known = ours.contains_key(our) || theirs.contains_key(their);
                if assigned && !known && one.general(our) != other.general(their) {
                    let name = format!("<{stack} {address} {attribute}>");
                    ours.insert(our.to_owned(), name.clone());
                    theirs.insert(their.to_owned(), name);
                }
            }
        }
    }
    (longest_first(ours), longest_first(theirs))
}

/// Finds the ids that AWS assigned; other ids contain names.
fn ids(side: &Side) -> BTreeMap<String, String> {
    let mut known = BTreeMap::new();
    for (stack, resources) in side.stacks {
        for (address, attributes) in resources {
            let id = attributes["id"].as_str().unwrap_or_default();
            // A short id could be part of any text.
            if id.len() >= 8 && !id.contains(side.account) {
                known.entry(id.to_owned()).or_insert_with(|| format!("<{stack} {address}>"));
            }
        }
    }
    known
}

fn longest_first(known: BTreeMap<String, String>) -> Names {
    let mut names: Names = known.into_iter().collect();
    names.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
    names
}

impl Side<'_> {
    /// Returns the text with placeholders for the account and the environment.
    fn general(&self, text: &str) -> String {
        if text == self.environment {
            return "<environment>".to_owned();
        }
        let text = text.replace(self.account, "<account>");
        text.replace(&format!("-{}-", self.environment), "-<environment>-")
    }

    /// Returns the value with names for assigned values.
    fn named(&self, value: &Value, names: &Names) -> Value {
        match value {
            // A policy is JSON in a string, and AWS may have changed the order of its members.
            Value::String(text) => match serde_json::from_str(text) {
                Ok(inner @ (Value::Object(_) | Value::Array(_))) => self.named(&inner, names),
                _ => {
                    let text = names
                        .iter()
                        .fold(text.clone(), |text, (value, name)| text.replace(value.as_str(), name));
                    Value::String(self.general(&text))
                }
            },
            Value::Array(items) => {
                let mut items: Vec<Value> = items.iter().map(|item| self.named(item, names)).collect();
                // Sets of ids are sorted by id.
                if items.iter().all(Value::is_string) {
                    items.sort_by_cached_key(Value::to_string);
                }
                Value::Array(items)
            }
            Value::Object(members) => {
                members.iter().map(|(name, member)| (name.clone(), self.named(member, names))).collect()
            }
            other => other.clone(),
        }
    }
}

#[test]
fn references_to_the_counterpart_are_not_differences() {
    use serde_json::json;
    let stacks = |name: &str, gateways: [&str; 2], second: &str, size: u32| -> Stacks {
        let resources = [
            ("gateway.a", json!({ "id": gateways[0], "name": name, "create_date": name })),
            ("gateway.b", json!({ "id": gateways[1], "size": size })),
            ("route.a", json!({ "gateway_id": gateways[0] })),
            ("route.b", json!({ "gateway_id": second })),
        ];
        let resources = resources.map(|(address, attributes)| (address.to_owned(), attributes));
        BTreeMap::from([("net", BTreeMap::from(resources))])
    };
    let one = stacks("shop-200000000001-staging-a", ["nat-000a", "nat-000b"], "nat-000a", 1);
    let mut other = stacks("shop-200000000002-prod-a", ["nat-00aa", "nat-00bb"], "nat-00bb", 2);
    other.entry("net").or_default().insert("alarm.a".to_owned(), json!({}));
    let found = between(
        &Side { account: "200000000001", environment: "staging", stacks: &one },
        &Side { account: "200000000002", environment: "prod", stacks: &other },
    );
    assert_eq!(
        found,
        [
            "net alarm.a: only in prod",
            "net gateway.b size: 1 -> 2",
            "net route.b gateway_id: \"<net gateway.a>\" -> \"<net gateway.b>\"",
        ]
    );
}
