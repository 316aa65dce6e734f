//! What a plan may do to the functions that are about to serve.

use serde_json::json;

use super::*;
use crate::failure::FailureKind;
use crate::plan::Action;

fn functions(serving: Option<(&str, &str)>) -> ContractFunctions {
    let serving = serving.map(|(name, alias)| (name.to_owned(), alias.to_owned()));
    ContractFunctions::from([("a".parse().unwrap(), ContractFunction { package_type: "Zip", serving })])
}

/// A plan of a stack that keeps the contract: its function is updated, its alias is left alone.
fn values() -> Value {
    json!({
        "output_changes": {"functions": {
            "actions": ["update"],
            "after": {"a": {"function_name": "shop-a", "alias": "live"}},
            "after_unknown": {"a": {"version": true, "code_sha256": true}},
        }},
        "resource_changes": [
            {
                "address": "module.a.aws_lambda_function.this", "mode": "managed", "type": "aws_lambda_function",
                "change": {"actions": ["update"], "after": {"function_name": "shop-a", "publish": true, "package_type": "Zip"}},
            },
            {
                "address": "module.a.aws_lambda_alias.live", "mode": "managed", "type": "aws_lambda_alias",
                "change": {
                    "actions": ["update"],
                    "before": {"function_name": "shop-a", "name": "live", "function_version": "1", "description": "x", "routing_config": []},
                    "after": {"function_name": "shop-a", "name": "live", "function_version": "1", "description": "y", "routing_config": []},
                    "after_unknown": {"routing_config": []},
                },
            },
        ],
    })
}

fn refusal(change: impl FnOnce(&mut Value)) -> (String, String) {
    let mut values = values();
    change(&mut values);
    let stack: StackName = "s".parse().unwrap();
    let failure = check_contract(&stack, &functions(None), &values).unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Refused);
    assert_eq!(failure.report().unchanged.as_deref(), Some("Nothing was applied."));
    (failure.message().to_owned(), failure.report().hint.unwrap_or_default())
}

#[test]
fn stack_that_keeps_the_contract_names_its_functions_and_aliases() {
    let places = check_contract(&"s".parse().unwrap(), &functions(None), &values()).unwrap();
    let (name, alias) = &places[&"a".parse().unwrap()];
    assert_eq!((name.as_str(), alias.as_str()), ("shop-a", "live"));
}

#[test]
fn alias_that_the_plan_moves_is_refused_with_the_line_to_write() {
    let moves: [fn(&mut Value); 4] = [
        |change| change["after"]["function_version"] = "2".into(),
        |change| change["after_unknown"]["function_version"] = true.into(),
        |change| change["after"]["routing_config"] = json!([{"additional_version_weights": {"2": 0.1}}]),
        |change| {
            change["after_unknown"]["routing_config"] = json!([{"additional_version_weights": true}]);
        },
    ];
    for moves in moves {
        let (message, hint) = refusal(|values| moves(&mut values["resource_changes"][1]["change"]));
        assert!(
            message
                .starts_with("the plan would move the alias `live` of `a` (module.a.aws_lambda_alias.live)"),
            "{message}"
        );
        assert!(hint.contains("lifecycle { ignore_changes = [function_version, routing_config] }"), "{hint}");
    }
}

#[test]
fn alias_that_the_output_does_not_name_may_move() {
    let mut values = values();
    let alias = &mut values["resource_changes"][1]["change"];
    for side in ["before", "after"] {
        alias[side]["name"] = "beta".into();
    }
    alias["after"]["function_version"] = "2".into();
    assert!(check_contract(&"s".parse().unwrap(), &functions(None), &values).is_ok());
}

#[test]
fn function_is_known_by_the_ledger_where_the_output_is_not_known_yet() {
    let mut values = values();
    values["output_changes"]["functions"] =
        json!({"actions": ["create"], "after": null, "after_unknown": true});
    values["resource_changes"][1]["change"]["after"]["function_version"] = "2".into();
    let stack: StackName = "s".parse().unwrap();
    assert!(check_contract(&stack, &functions(None), &values).is_ok());
    assert!(check_contract(&stack, &functions(Some(("shop-a", "live"))), &values).is_err());
}

#[test]
fn output_that_is_missing_or_incomplete_is_refused() {
    let (message, hint) = refusal(|values| values["output_changes"] = json!({}));
    assert_eq!(message, "the stack `s` runs `a`, but has no output `functions`");
    assert!(hint.starts_with("outputs.tf must contain"), "{hint}");
    refusal(|values| values["output_changes"]["functions"]["actions"] = json!(["delete"]));
    let (message, _) = refusal(|values| {
        values["output_changes"]["functions"] = json!({"after": {"b": {}}, "after_unknown": {}});
    });
    assert_eq!(message, "the output `functions` of the stack `s` does not contain `a`");
}

#[test]
fn function_that_publishes_nothing_is_refused() {
    let (message, hint) =
        refusal(|values| values["output_changes"]["functions"]["after"]["a"]["version"] = "$LATEST".into());
    assert!(message.contains("names version `$LATEST` of `a`"), "{message}");
    assert!(hint.contains("publish = true"), "{hint}");
    let (message, hint) =
        refusal(|values| values["resource_changes"][0]["change"]["after"]["publish"] = false.into());
    assert!(message.contains("`$LATEST` would serve"), "{message}");
    assert_eq!(hint, "write in module.a.aws_lambda_function.this: publish = true");
    // Published by another resource.
    let mut values = values();
    values["resource_changes"][0]["change"]["after"]["publish"] = false.into();
    let other = json!({"type": "awscc_lambda_version", "address": "awscc_lambda_version.v", "change": {}});
    values["resource_changes"].as_array_mut().unwrap().push(other);
    assert!(check_contract(&"s".parse().unwrap(), &functions(None), &values).is_ok());
}

#[test]
fn package_type_that_is_not_the_releases_is_refused() {
    let (message, hint) =
        refusal(|values| values["resource_changes"][0]["change"]["after"]["package_type"] = "Image".into());
    assert!(message.ends_with("has package_type = \"Image\", but the release of `a` is a zip"), "{message}");
    assert!(hint.ends_with("package_type = \"Zip\""), "{hint}");
}

#[test]
fn removal_of_what_is_about_to_serve_is_refused() {
    let arn = "arn:aws:lambda:eu-central-1:111111111111:function:shop-a";
    let instance = |name: &str| json!([{"attributes": {"function_name": name, "name": "live"}}]);
    let state = json!({"resources": [
        {"module": "module.a", "type": "aws_lambda_function", "name": "this", "instances": instance("shop-a")},
        {"module": "module.a", "type": "aws_lambda_alias", "name": "live", "instances": instance(arn)},
        {"module": "module.b", "type": "aws_lambda_function", "name": "this", "instances": instance("shop-b")},
    ]});
    let check = |address: &str, action| {
        let changes = vec![Change { address: address.into(), action, reason: Some("cannot_update".into()) }];
        let planned = Planned {
            changes,
            drift: Vec::new(),
            outputs_change: false,
            file: crate::plan::SavedPlan::of_temporary_folder(),
            warnings: Vec::new(),
        };
        let functions = functions(Some(("shop-a", "live")));
        refuse_removal_of_serving(&"s".parse().unwrap(), &functions, &planned, &state)
    };
    for action in [Action::Delete, Action::Replace, Action::Forget] {
        let failure = check("module.a.aws_lambda_function.this", action).unwrap_err();
        assert_eq!(
            failure.message(),
            format!(
                "the plan would {} module.a.aws_lambda_function.this (cannot update), the function that `a` is about to serve from",
                action.word()
            )
        );
        assert!(check("module.a.aws_lambda_alias.live", action).is_err());
        // Not about to serve: the stack no longer runs it.
        assert!(check("module.b.aws_lambda_function.this", action).is_ok());
    }
    assert!(check("module.a.aws_lambda_function.this", Action::Update).is_ok());
}
