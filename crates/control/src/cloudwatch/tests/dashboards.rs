//! Dashboards.

use super::caller;
use serde_json::{Value, json};

const ONE: &str =
    r#"{"widgets": [{"type": "metric", "x": 0, "y": 0, "width": 6, "height": 6, "properties": {}}]}"#;

fn dashboard(name: &str, body: &str) -> Value {
    json!({"DashboardName": name, "DashboardBody": body})
}

#[test]
fn dashboards_come_and_go() {
    let mut caller = caller();
    let answer = caller.watch("PutDashboard", dashboard("web", ONE));
    assert_eq!(answer, json!({"DashboardValidationMessages": []}));
    let answer = caller.watch("PutDashboard", dashboard("db", r#"{"colour": 1}"#));
    assert_eq!(
        answer["DashboardValidationMessages"],
        json!([
            {"DataPath": "/colour", "Message": "Should NOT have additional properties"},
            {"DataPath": "/", "Message": "Should have required property 'widgets'"},
        ])
    );
    let arn = "arn:aws:cloudwatch::123456789012:dashboard/web";
    assert_eq!(
        caller.watch("GetDashboard", json!({"DashboardName": "web"})),
        json!({"DashboardName": "web", "DashboardArn": arn, "DashboardBody": ONE})
    );
    let listed = caller.watch("ListDashboards", json!({"DashboardNamePrefix": "w"}));
    let modified = caller.seconds();
    assert_eq!(
        listed["DashboardEntries"],
        json!([{"DashboardName": "web", "DashboardArn": arn, "Size": ONE.len(), "LastModified": modified}])
    );
    caller.watch(
        "TagResource",
        json!({"ResourceARN": arn, "Tags": [{"Key": "a", "Value": "b"}]}),
    );
    let tags = caller.watch("ListTagsForResource", json!({"ResourceARN": arn}));
    assert_eq!(tags["Tags"], json!([{"Key": "a", "Value": "b"}]));
    let both = json!({"DashboardNames": ["web", "none"]});
    let (code, message) = caller.refused("DeleteDashboards", both);
    assert_eq!(
        (code.as_str(), message.as_str()),
        (
            "ResourceNotFound",
            "The specified dashboard does not exist. [none]"
        )
    );
    caller.watch("DeleteDashboards", json!({"DashboardNames": ["web", "db"]}));
    assert_eq!(
        caller.watch("ListDashboards", json!({})),
        json!({"DashboardEntries": []})
    );
    assert_eq!(
        caller.refused("GetDashboard", json!({"DashboardName": "web"})).0,
        "ResourceNotFound"
    );
    assert_eq!(
        caller
            .refused("DeleteDashboards", json!({"DashboardNames": []}))
            .0,
        "InvalidParameterValue"
    );
    assert_eq!(
        caller.refused("ListDashboards", json!({"NextToken": "x"})).0,
        "InvalidParameterValue"
    );
}

#[test]
fn bodies_that_show_nothing_are_refused() {
    let mut caller = caller();
    for (body, part) in [
        ("{", "must be a valid JSON object"),
        ("[]", "Should be an object"),
        (r#"{"widgets": 1}"#, "Should be an array"),
        (r#"{"widgets": [{"properties": {}}]}"#, "required property 'type'"),
        (
            r#"{"widgets": [{"type": "pie", "properties": {}}]}"#,
            "one of the allowed values",
        ),
        (
            r#"{"widgets": [{"type": "text"}]}"#,
            "required property 'properties'",
        ),
        (
            r#"{"widgets": [{"type": "text", "properties": {}, "x": "1"}]}"#,
            "Should be an integer",
        ),
    ] {
        let (code, message) = caller.refused("PutDashboard", dashboard("a", body));
        assert_eq!(code, "InvalidParameterInput");
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(
        caller.refused("PutDashboard", dashboard("a b", ONE)).0,
        "InvalidParameterInput"
    );
}
