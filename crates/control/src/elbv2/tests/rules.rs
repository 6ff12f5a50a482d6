//! Rules: their order, how they are described, and what is refused.

use super::*;

#[test]
fn rules_stand_in_order_and_priorities_swap_at_once() {
    let mut caller = Caller::new();
    let (balancer, group) = (caller.balancer("web"), caller.group("g"));
    let listener = caller.listener(&balancer, 80, &group);
    let (two, one) = (caller.rule(&listener, 20, "/b"), caller.rule(&listener, 10, "/a"));
    let priorities = |caller: &mut Caller| -> Vec<String> {
        let rules = caller.ok("DescribeRules", json!({"ListenerArn": listener}));
        rules["Rules"]
            .as_array()
            .unwrap()
            .iter()
            .map(|rule| text(&rule["Priority"]))
            .collect()
    };
    assert_eq!(priorities(&mut caller), ["10", "20", "default"]);
    let pair = |arn: &str, priority: u32| json!({"RuleArn": arn, "Priority": priority});
    caller.ok(
        "SetRulePriorities",
        json!({"RulePriorities": [pair(&one, 20), pair(&two, 10)]}),
    );
    let first = caller.ok("DescribeRules", json!({"ListenerArn": listener, "PageSize": 1}));
    assert_eq!(first["Rules"][0]["RuleArn"], two);
    let rest = caller.ok(
        "DescribeRules",
        json!({"ListenerArn": listener, "Marker": first["NextMarker"]}),
    );
    assert_eq!(rest["Rules"].as_array().unwrap().len(), 2);
    let twice = json!({"RulePriorities": [pair(&one, 5), pair(&two, 5)]});
    let (_, message) = caller.fails("SetRulePriorities", twice);
    assert_eq!(message, "Priority '5' was provided multiple times");
    assert_eq!(
        caller
            .fails("SetRulePriorities", json!({"RulePriorities": [pair(&one, 10)]}))
            .0,
        "PriorityInUse"
    );
    let default = caller.ok("DescribeRules", json!({"ListenerArn": listener}))["Rules"][2]["RuleArn"].clone();
    assert_eq!(
        caller.fails("DeleteRule", json!({"RuleArn": default})).0,
        "OperationNotPermitted"
    );
    let modify = caller.fails("ModifyRule", json!({"RuleArn": one}));
    assert_eq!(
        modify.1,
        "You must provide either conditions, actions, or transforms"
    );
    caller.ok("DeleteRule", json!({"RuleArn": one}));
    assert_eq!(
        caller.fails("DeleteRule", json!({"RuleArn": one})).0,
        "RuleNotFound"
    );
}

/// Regression: `(.{0,90}){0,90}x` was accepted, and a path of 16 KB then cost a worker 2.75 s.
#[test]
fn condition_that_cannot_be_matched_in_bounded_time_is_refused_and_a_transform_stored() {
    let mut caller = Caller::new();
    let (balancer, group) = (caller.balancer("web"), caller.group("g"));
    let listener = caller.listener(&balancer, 80, &group);
    let conditions =
        |regex: &str| json!([{"Field": "path-pattern", "PathPatternConfig": {"RegexValues": [regex]}}]);
    let rule = |priority: usize, conditions: Value| {
        json!({"ListenerArn": listener, "Priority": priority, "Conditions": conditions,
            "Actions": [{"Type": "forward", "TargetGroupArn": group}]})
    };
    let (code, _) = caller.fails("CreateRule", rule(1, conditions("(a")));
    assert_eq!(code, "ValidationError");
    let huge = "(.{0,90}){0,90}x";
    let refused =
        "the condition value '(.{0,90}){0,90}x' is too complex: use fewer or smaller counted repetitions";
    let (code, message) = caller.fails("CreateRule", rule(1, conditions(huge)));
    assert_eq!((&*code, &*message), ("ValidationError", refused));
    let made = caller.ok("CreateRule", rule(1, conditions("^/a")));
    let arn = text(&made["Rules"][0]["RuleArn"]);
    let (code, _) = caller.fails(
        "ModifyRule",
        json!({"RuleArn": arn, "Conditions": conditions(huge)}),
    );
    assert_eq!(code, "ValidationError");
    // Each expression may have 256 places at which a byte is consumed, and those of a listener together four times as
    // many.
    let large = "[ab].{0,250}c";
    for priority in 2..6 {
        caller.ok("CreateRule", rule(priority, conditions(large)));
    }
    let (_, message) = caller.fails("CreateRule", rule(6, conditions(large)));
    assert_eq!(
        message,
        "The regular expressions in the conditions of this listener's rules are too complex together"
    );
    caller.ok("CreateRule", rule(6, conditions("^/orders/[0-9]+$")));
    let transforms = |regex: &str| json!([{"Type": "url-rewrite", "UrlRewriteConfig": {"Rewrites": [{"Regex": regex, "Replace": "/"}]}}]);
    let stored = caller.ok(
        "ModifyRule",
        json!({"RuleArn": arn, "Transforms": transforms(huge)}),
    );
    assert_eq!(stored["Rules"][0]["Transforms"], transforms(huge));
    let (_, message) = caller.fails(
        "ModifyRule",
        json!({"RuleArn": arn, "Transforms": transforms("(a")}),
    );
    assert_eq!(
        message,
        "One or more provided transform rewrite Regex values are invalid"
    );
}

/// Regression: rules without transforms were described without the list, SetRulePriorities described transforms, an
/// empty list counted as a change, and a default rule was refused before its transforms were read.
#[test]
fn rules_are_told_and_refused_as_aws_does() {
    let mut caller = Caller::new();
    let (balancer, group) = (caller.balancer("web"), caller.group("g"));
    let listener = caller.listener(&balancer, 80, &group);
    let transforms =
        json!([{"Type": "url-rewrite", "UrlRewriteConfig": {"Rewrites": [{"Regex": "a", "Replace": ""}]}}]);
    let plain = caller.rule(&listener, 1, "/a");
    let described = caller.ok("DescribeRules", json!({"ListenerArn": listener}));
    assert_eq!(described["Rules"][0]["Transforms"], json!([]));
    assert_eq!(described["Rules"][1]["Transforms"], json!([]));
    let default = text(&described["Rules"][1]["RuleArn"]);
    let set = caller.ok("ModifyRule", json!({"RuleArn": plain, "Transforms": transforms}));
    assert_eq!(set["Rules"][0]["Transforms"], transforms);
    let moved = json!({"RulePriorities": [{"RuleArn": plain, "Priority": 2}]});
    assert!(
        caller.ok("SetRulePriorities", moved)["Rules"][0]
            .get("Transforms")
            .is_none()
    );
    let both = json!({"RuleArn": plain, "Transforms": [], "ResetTransforms": true});
    let text = "Transforms cannot be provided when resetting transforms";
    assert_eq!(caller.fails("ModifyRule", both).1, text);
    let nothing = json!({"RuleArn": plain, "Transforms": [], "Conditions": [], "Actions": [], "ResetTransforms": false});
    let text = "You must provide either conditions, actions, or transforms";
    assert_eq!(caller.fails("ModifyRule", nothing).1, text);
    for _ in 0..2 {
        let reset = caller.ok("ModifyRule", json!({"RuleArn": plain, "ResetTransforms": true}));
        assert_eq!(reset["Rules"][0]["Transforms"], json!([]));
    }
    let wrong = json!([{"Type": "url-rewrite"}]);
    for (rule, given, code) in [
        (default.clone(), transforms.clone(), "OperationNotPermitted"),
        (default.clone(), wrong.clone(), "ValidationError"),
        (format!("{plain}0"), transforms.clone(), "RuleNotFound"),
        (format!("{plain}0"), wrong.clone(), "ValidationError"),
        (plain.replace("/web/", "/wab/"), wrong.clone(), "RuleNotFound"),
        ("nonsense".to_owned(), wrong.clone(), "RuleNotFound"),
    ] {
        let input = json!({"RuleArn": rule, "Transforms": given});
        assert_eq!(caller.fails("ModifyRule", input).0, code, "{rule}");
    }
    let reset = json!({"RuleArn": default, "ResetTransforms": true});
    let text = format!("Default rule '{default}' cannot be modified");
    assert_eq!(caller.fails("ModifyRule", reset).1, text);
    let create = |listener: &str, transforms: &Value| {
        json!({"ListenerArn": listener, "Priority": 9, "Transforms": transforms,
            "Conditions": [{"Field": "path-pattern", "Values": ["/"]}],
            "Actions": [{"Type": "forward", "TargetGroupArn": group}]})
    };
    for (listener, given, code) in [
        (format!("{listener}0"), &transforms, "ListenerNotFound"),
        (format!("{listener}0"), &wrong, "ValidationError"),
        (listener.replace("/web/", "/wab/"), &wrong, "ListenerNotFound"),
    ] {
        assert_eq!(
            caller.fails("CreateRule", create(&listener, given)).0,
            code,
            "{listener}"
        );
    }
}

#[test]
fn rule_that_authenticates_lets_nothing_through() {
    let mut caller = Caller::new();
    let (balancer, group) = (caller.balancer("web"), caller.group("g"));
    let certificate = caller.certificate();
    let listener = caller.ok(
        "CreateListener",
        json!({"LoadBalancerArn": balancer, "Protocol": "HTTPS", "Port": 443,
        "Certificates": [{"CertificateArn": certificate}], "DefaultActions": [
            {"Type": "authenticate-cognito", "Order": 1, "AuthenticateCognitoConfig":
                {"UserPoolArn": "a", "UserPoolClientId": "b", "UserPoolDomain": "c"}},
            {"Type": "forward", "Order": 2, "TargetGroupArn": group}]}),
    );
    assert_eq!(
        listener["Listeners"][0]["DefaultActions"][0]["Type"],
        "authenticate-cognito"
    );
    let blueprint = caller.state.blueprint();
    let rule = &blueprint.balancers[0].listeners[0].rules[0];
    assert_eq!(rule.priority, Priority::Default);
    assert!(matches!(&rule.action, Action::Unsupported { kind, .. } if kind == "authenticate-cognito"));
}
