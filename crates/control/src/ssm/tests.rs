//! Systems Manager's operations, as clients call them.

use crate::testing::Caller;
use forebay_awswire::Service;
use serde_json::{Value, json};

fn ssm(caller: &mut Caller, operation: &str, input: Value) -> Result<Value, String> {
    caller
        .call_of(Service::Ssm, operation, input)
        .map_err(|error| error.code)
}

fn put(caller: &mut Caller, name: &str, value: &str) -> Value {
    let input = json!({"Name": name, "Value": value, "Type": "String", "Overwrite": true});
    ssm(caller, "PutParameter", input).unwrap()
}

fn names(answer: &Value) -> Vec<&str> {
    let all = answer["Parameters"].as_array().unwrap();
    all.iter().map(|one| one["Name"].as_str().unwrap()).collect()
}

#[test]
fn newest_images_are_ours() {
    let caller = &mut Caller::new();
    let name = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-6.1-x86_64";
    let one = ssm(caller, "GetParameter", json!({"Name": name})).unwrap();
    assert!(one["Parameter"]["Value"].as_str().unwrap().starts_with("ami-"));
    let many = ssm(caller, "GetParameters", json!({"Names": [name, "/mine"]})).unwrap();
    assert_eq!(many["Parameters"][0], one["Parameter"]);
    assert_eq!(many["InvalidParameters"], json!(["/mine"]));
    let none = ssm(caller, "GetParameter", json!({"Name": "/mine"}));
    assert_eq!(none.unwrap_err(), "ParameterNotFound");
    let put = json!({"Name": "/aws/service/x", "Value": "v", "Type": "String"});
    assert_eq!(
        ssm(caller, "PutParameter", put).unwrap_err(),
        "ValidationException"
    );
}

#[test]
fn versions_are_kept_and_asked_for_by_number_and_label() {
    let caller = &mut Caller::new();
    assert_eq!(
        put(caller, "/app/queue", "one"),
        json!({"Version": 1, "Tier": "Standard"})
    );
    let again = json!({"Name": "/app/queue", "Value": "two", "Type": "String"});
    assert_eq!(
        ssm(caller, "PutParameter", again).unwrap_err(),
        "ParameterAlreadyExists"
    );
    let described =
        json!({"Name": "/app/queue", "Value": "two", "Overwrite": true, "Description": "of orders"});
    assert_eq!(ssm(caller, "PutParameter", described).unwrap()["Version"], 2);
    let value = |caller: &mut Caller, name: &str| {
        ssm(caller, "GetParameter", json!({"Name": name})).map(|found| found["Parameter"]["Value"].clone())
    };
    assert_eq!(value(caller, "/app/queue").unwrap(), "two");
    assert_eq!(value(caller, "/app/queue:1").unwrap(), "one");
    assert_eq!(
        value(caller, "/app/queue:7").unwrap_err(),
        "ParameterVersionNotFound"
    );
    let label = json!({"Name": "/app/queue", "ParameterVersion": 1, "Labels": ["live", "aws-no"]});
    let labelled = ssm(caller, "LabelParameterVersion", label.clone()).unwrap();
    assert_eq!(labelled["InvalidLabels"], json!(["aws-no"]));
    assert_eq!(value(caller, "/app/queue:live").unwrap(), "one");
    let arn = "arn:aws:ssm:local-1:123456789012:parameter/app/queue";
    assert_eq!(value(caller, &format!("{arn}:live")).unwrap(), "one");
    let history = ssm(caller, "GetParameterHistory", json!({"Name": "/app/queue"})).unwrap();
    let versions: Vec<_> = history["Parameters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["Version"].clone())
        .collect();
    assert_eq!(versions, [1, 2]);
    assert_eq!(history["Parameters"][0]["Labels"], json!(["live"]));
    let gone = ssm(caller, "UnlabelParameterVersion", label).unwrap();
    assert_eq!(
        (gone["RemovedLabels"].clone(), gone["InvalidLabels"].clone()),
        (json!(["live"]), json!(["aws-no"]))
    );
    assert_eq!(
        ssm(caller, "DeleteParameter", json!({"Name": "/app/queue"})).unwrap(),
        json!({})
    );
    assert_eq!(
        ssm(caller, "DeleteParameter", json!({"Name": "/app/queue"})).unwrap_err(),
        "ParameterNotFound"
    );
}

#[test]
fn lists_go_by_path_and_filters_in_pages() {
    let caller = &mut Caller::new();
    for name in ["/app/a", "/app/b", "/app/deep/c", "/application/d", "plain"] {
        put(caller, name, "v");
    }
    let below = |caller: &mut Caller, input: Value| ssm(caller, "GetParametersByPath", input).unwrap();
    assert_eq!(
        names(&below(caller, json!({"Path": "/app"}))),
        ["/app/a", "/app/b"]
    );
    assert_eq!(
        names(&below(caller, json!({"Path": "/app/", "Recursive": true}))),
        ["/app/a", "/app/b", "/app/deep/c"]
    );
    assert_eq!(
        below(caller, json!({"Path": "/", "Recursive": true}))["Parameters"]
            .as_array()
            .unwrap()
            .len(),
        5
    );
    let first = below(
        caller,
        json!({"Path": "/app", "Recursive": true, "MaxResults": 2}),
    );
    let next = below(
        caller,
        json!({"Path": "/app", "Recursive": true, "MaxResults": 2, "NextToken": first["NextToken"]}),
    );
    assert_eq!(
        (names(&first), names(&next)),
        (vec!["/app/a", "/app/b"], vec!["/app/deep/c"])
    );
    let wrong = json!({"Path": "/app", "NextToken": "x"});
    assert_eq!(
        ssm(caller, "GetParametersByPath", wrong).unwrap_err(),
        "InvalidNextToken"
    );
    let wrong = json!({"Path": "/app", "ParameterFilters": [{"Key": "Name", "Values": ["a"]}]});
    assert_eq!(
        ssm(caller, "GetParametersByPath", wrong).unwrap_err(),
        "InvalidFilterKey"
    );
    assert_eq!(
        ssm(caller, "GetParametersByPath", json!({"Path": "app"})).unwrap_err(),
        "ValidationException"
    );
    let described = |caller: &mut Caller, key: &str, option: &str, value: &str| {
        let filter = json!({"Key": key, "Option": option, "Values": [value]});
        ssm(
            caller,
            "DescribeParameters",
            json!({"ParameterFilters": [filter]}),
        )
    };
    assert_eq!(
        names(&described(caller, "Name", "BeginsWith", "app").unwrap()).len(),
        4
    );
    assert_eq!(
        names(&described(caller, "Name", "Contains", "eep").unwrap()),
        ["/app/deep/c"]
    );
    assert_eq!(
        names(&described(caller, "Path", "OneLevel", "/app").unwrap()),
        ["/app/a", "/app/b"]
    );
    assert_eq!(
        described(caller, "Name", "Nearly", "x").unwrap_err(),
        "InvalidFilterOption"
    );
    assert_eq!(
        described(caller, "Colour", "Equals", "x").unwrap_err(),
        "InvalidFilterKey"
    );
    let gone = ssm(caller, "DeleteParameters", json!({"Names": ["plain", "nothing"]})).unwrap();
    assert_eq!(
        gone,
        json!({"DeletedParameters": ["plain"], "InvalidParameters": ["nothing"]})
    );
}

#[test]
fn values_fit_their_tier_and_pattern_and_secrets_are_shown_to_who_asks() {
    let caller = &mut Caller::new();
    let mut input = json!({"Name": "size", "Value": "x".repeat(4097), "Type": "String"});
    assert_eq!(
        ssm(caller, "PutParameter", input.clone()).unwrap_err(),
        "ValidationException"
    );
    input["Tier"] = json!("Intelligent-Tiering");
    assert_eq!(ssm(caller, "PutParameter", input).unwrap()["Tier"], "Advanced");
    let down = json!({"Name": "size", "Value": "x", "Overwrite": true, "Tier": "Standard"});
    assert_eq!(
        ssm(caller, "PutParameter", down).unwrap_err(),
        "ValidationException"
    );
    let mut input = json!({"Name": "latency", "Value": "25", "Type": "String", "AllowedPattern": "[0-9]+"});
    ssm(caller, "PutParameter", input.clone()).unwrap();
    (input["Value"], input["Overwrite"]) = (json!("slow"), json!(true));
    assert_eq!(
        ssm(caller, "PutParameter", input.clone()).unwrap_err(),
        "ParameterPatternMismatchException"
    );
    input["AllowedPattern"] = json!("(");
    assert_eq!(
        ssm(caller, "PutParameter", input).unwrap_err(),
        "InvalidAllowedPatternException"
    );
    let secret = json!({"Name": "secret", "Value": "s3", "Type": "SecureString"});
    ssm(caller, "PutParameter", secret).unwrap();
    let shown = |caller: &mut Caller, decrypted: bool| {
        let found = ssm(
            caller,
            "GetParameter",
            json!({"Name": "secret", "WithDecryption": decrypted}),
        );
        found.unwrap()["Parameter"]["Value"].clone()
    };
    assert_eq!(shown(caller, true), "s3");
    assert_ne!(shown(caller, false), "s3");
    assert_eq!(
        ssm(caller, "PutParameter", json!({"Name": "untyped", "Value": "x"})).unwrap_err(),
        "ValidationException"
    );
}

#[test]
fn tags_go_with_their_parameter() {
    let caller = &mut Caller::new();
    let input =
        json!({"Name": "queue", "Value": "v", "Type": "String", "Tags": [{"Key": "team", "Value": "a"}]});
    ssm(caller, "PutParameter", input).unwrap();
    let of = json!({"ResourceType": "Parameter", "ResourceId": "queue"});
    let mut more = of.clone();
    more["Tags"] = json!([{"Key": "stage", "Value": "live"}]);
    ssm(caller, "AddTagsToResource", more).unwrap();
    let tags = ssm(caller, "ListTagsForResource", of.clone()).unwrap();
    assert_eq!(tags["TagList"].as_array().unwrap().len(), 2);
    let filter = json!({"ParameterFilters": [{"Key": "tag:team", "Values": ["a"]}]});
    assert_eq!(
        names(&ssm(caller, "DescribeParameters", filter).unwrap()),
        ["queue"]
    );
    let mut less = of.clone();
    less["TagKeys"] = json!(["team"]);
    ssm(caller, "RemoveTagsFromResource", less).unwrap();
    let tags = ssm(caller, "ListTagsForResource", of).unwrap();
    assert_eq!(tags["TagList"], json!([{"Key": "stage", "Value": "live"}]));
    let none = json!({"ResourceType": "Parameter", "ResourceId": "none"});
    assert_eq!(
        ssm(caller, "ListTagsForResource", none).unwrap_err(),
        "InvalidResourceId"
    );
    let other = json!({"ResourceType": "Document", "ResourceId": "queue"});
    assert_eq!(
        ssm(caller, "ListTagsForResource", other).unwrap_err(),
        "InvalidResourceType"
    );
}
