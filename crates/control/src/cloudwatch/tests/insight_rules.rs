//! Contributor Insights rules.

use super::caller;
use crate::state::Dialect;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const RULE: &str = r#"{"Schema": {"Name": "CloudWatchLogRule", "Version": 1}, "LogGroupNames": ["web"], "LogFormat": "JSON"}"#;
const BARE: &str = r#"{"Schema": "CloudWatchLogRule"}"#;

fn rule(name: &str, state: &str) -> Value {
    json!({"RuleName": name, "RuleDefinition": RULE, "RuleState": state})
}

fn states(answer: &Value) -> Vec<(&str, &str)> {
    let rules = answer["InsightRules"].as_array().unwrap().iter();
    rules
        .map(|rule| (rule["Name"].as_str().unwrap(), rule["State"].as_str().unwrap()))
        .collect()
}

#[test]
fn insight_rules_are_kept_and_switched() {
    let mut caller = caller();
    let mut tagged = rule("a", "ENABLED");
    tagged["Tags"] = json!([{"Key": "k", "Value": "v"}]);
    caller.watch("PutInsightRule", tagged);
    caller.watch("PutInsightRule", rule("b", "DISABLED"));
    let arn = json!({"ResourceARN": "arn:aws:cloudwatch:local-1:123456789012:insight-rule/a"});
    let tags = caller.watch("ListTagsForResource", arn.clone());
    assert_eq!(tags["Tags"], json!([{"Key": "k", "Value": "v"}]));
    let first = caller.watch("DescribeInsightRules", json!({"MaxResults": 1}));
    assert_eq!(
        first["InsightRules"],
        json!([{
            "Name": "a", "State": "ENABLED", "Schema": r#"{"Name" : "CloudWatchLogRule", "Version" : 1}"#,
            "Definition": RULE, "ManagedRule": false, "ApplyOnTransformedLogs": false,
        }])
    );
    let second = json!({"NextToken": first["NextToken"]});
    assert_eq!(
        states(&caller.watch("DescribeInsightRules", second)),
        [("b", "DISABLED")]
    );
    let answer = caller.watch("EnableInsightRules", json!({"RuleNames": ["b", "none"]}));
    assert_eq!(answer["Failures"][0]["FailureResource"], "none");
    caller.watch("DisableInsightRules", json!({"RuleNames": ["a"]}));
    let all = caller.watch("DescribeInsightRules", json!({}));
    assert_eq!(states(&all), [("a", "DISABLED"), ("b", "ENABLED")]);
    let answer = caller.watch("DeleteInsightRules", json!({"RuleNames": ["a"]}));
    assert_eq!(answer["Failures"], json!([]));
    let all = caller.watch("DescribeInsightRules", json!({}));
    assert_eq!(states(&all), [("b", "ENABLED")]);
    assert_eq!(
        caller.refused("ListTagsForResource", arn).0,
        "ResourceNotFoundException"
    );
}

#[test]
fn wrong_insight_rules_are_refused() {
    let mut caller = caller();
    let bare = json!({"RuleName": "a", "RuleDefinition": BARE});
    for wrong in [
        rule("a", "ON"),
        json!({"RuleName": "a", "RuleDefinition": "{"}),
        bare.clone(),
    ] {
        assert_eq!(caller.refused("PutInsightRule", wrong).0, "InvalidParameterValue");
    }
    let token = json!({"NextToken": "x"});
    assert_eq!(
        caller.refused("DescribeInsightRules", token).0,
        "InvalidNextToken"
    );
    for number in 0..100 {
        caller.watch("PutInsightRule", rule(&number.to_string(), "ENABLED"));
    }
    assert_eq!(
        caller.refused("PutInsightRule", rule("a", "ENABLED")).0,
        "LimitExceededException"
    );
    caller.state = caller.state.reset().configured(Dialect::Moto, BTreeMap::new());
    caller.watch("PutInsightRule", bare);
}
