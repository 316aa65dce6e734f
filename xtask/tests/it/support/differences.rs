//! In what two environments with the same stacks differ, once what an account gives by itself is set aside.
//!
//! In: all resources of each, by stack and address. Out: a line for each resource that only one of them has, and one for
//! each attribute that has another value. Account, environment and the ids that AWS gives are called the same in both, so
//! that a reference which leads to the resource's counterpart is no difference and any other is one.

use std::collections::BTreeMap;

use serde_json::Value;

/// Attributes by address, by stack.
pub type Stacks = BTreeMap<&'static str, BTreeMap<String, Value>>;

/// One of the two.
pub struct Side<'a> {
    pub account: &'a str,
    pub environment: &'a str,
    pub stacks: &'a Stacks,
}

/// What AWS gives to each resource, and no value can say: when it was made, its addresses.
const GIVEN: [&str; 6] =
    ["create_date", "last_modified", "prefix_list_id", "private_ip", "public_dns", "public_ip"];

/// Names for what AWS gave: the longest first, as one may be part of another.
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
                let where_it_is = if ours.contains_key(address) { one } else { other };
                found.push(format!("{stack} {address}: only in {}", where_it_is.environment));
                continue;
            };
            let attributes = our.as_object().into_iter().flatten();
            for (attribute, value) in attributes.filter(|(name, _)| !GIVEN.contains(&name.as_str())) {
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

/// Calls each resource's id by its address, and what else AWS gave to a resource that both have by address and attribute.
fn names(one: &Side, other: &Side) -> (Names, Names) {
    let (mut ours, mut theirs) = (ids(one), ids(other));
    for (stack, resources) in one.stacks {
        for (address, attributes) in resources {
            let Some(counterpart) = other.stacks[stack].get(address) else { continue };
            for (attribute, value) in attributes.as_object().into_iter().flatten() {
                let (Some(our), Some(their)) = (value.as_str(), counterpart[attribute].as_str()) else {
                    continue;
                };
                let given = attribute.ends_with("_id") || attribute == "id" || attribute == "arn";
                let known = ours.contains_key(our) || theirs.contains_key(their);
                if given && !known && one.general(our) != other.general(their) {
                    let name = format!("<{stack} {address} {attribute}>");
                    ours.insert(our.to_owned(), name.clone());
                    theirs.insert(their.to_owned(), name);
                }
            }
        }
    }
    (longest_first(ours), longest_first(theirs))
}

/// Finds the ids that AWS made up: the others are made of names.
fn ids(side: &Side) -> BTreeMap<String, String> {
    let mut known = BTreeMap::new();
    for (stack, resources) in side.stacks {
        for (address, attributes) in resources {
            let id = attributes["id"].as_str().unwrap_or_default();
            // What is as short as a word may be part of anything.
            if id.len() >= 8 && !id.contains(side.account) {
                known.entry(id.to_owned()).or_insert_with(|| format!("<{stack} {address}>"));
            }
        }
    }
    known
}

fn longest_first(known: BTreeMap<String, String>) -> Names {
    let mut names: Names = known.into_iter().collect();
    names.sort_by_key(|(given, _)| std::cmp::Reverse(given.len()));
    names
}

impl Side<'_> {
    /// Writes a text without the account and the environment that it names.
    fn general(&self, text: &str) -> String {
        if text == self.environment {
            return "<environment>".to_owned();
        }
        let text = text.replace(self.account, "<account>");
        text.replace(&format!("-{}-", self.environment), "-<environment>-")
    }

    /// Writes a value with the names in it.
    fn named(&self, value: &Value, names: &Names) -> Value {
        match value {
            // Policies are JSON within a text, whose members AWS may have put into another order.
            Value::String(text) => match serde_json::from_str(text) {
                Ok(inner @ (Value::Object(_) | Value::Array(_))) => self.named(&inner, names),
                _ => {
                    let text = names
                        .iter()
                        .fold(text.clone(), |text, (given, name)| text.replace(given.as_str(), name));
                    Value::String(self.general(&text))
                }
            },
            Value::Array(items) => {
                let mut items: Vec<Value> = items.iter().map(|item| self.named(item, names)).collect();
                // A set of ids is kept in the order of the ids.
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
fn a_reference_to_the_counterpart_is_no_difference_and_any_other_is() {
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
