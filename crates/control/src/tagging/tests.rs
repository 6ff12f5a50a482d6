//! The operations of Resource Groups Tagging, as clients call them.

use crate::testing::{Caller, REGION, text};
use core::time::Duration;
use forebay_awswire::Service;
use serde_json::{Value, json};

fn call(caller: &mut Caller, operation: &str, input: Value) -> Value {
    caller
        .call_of(Service::Tagging, operation, input)
        .unwrap_or_else(|error| panic!("{operation}: {error}"))
}

fn code(caller: &mut Caller, operation: &str, input: Value) -> String {
    let answer = caller.call_of(Service::Tagging, operation, input);
    answer.unwrap_err().code
}

fn arns(answer: &Value) -> Vec<String> {
    let found = answer["ResourceTagMappingList"].as_array().unwrap();
    found.iter().map(|one| text(&one["ResourceARN"])).collect()
}

/// Two load balancers, a target group and a subnet with tags, and a target group without.
fn tagged(caller: &mut Caller) -> [String; 4] {
    let (one, two, group) = (
        caller.balancer("one"),
        caller.balancer("two"),
        caller.group("group"),
    );
    caller.group("bare");
    let subnet = caller.subnets()[0].clone();
    for (arn, tags) in [
        (
            &one,
            json!([{"Key": "cluster", "Value": "a"}, {"Key": "stack", "Value": "web"}]),
        ),
        (&two, json!([{"Key": "cluster", "Value": "b"}])),
        (&group, json!([{"Key": "cluster", "Value": "a"}])),
    ] {
        caller.ok("AddTags", json!({"ResourceArns": [arn], "Tags": tags}));
    }
    let tags = json!({"Resources": [subnet], "Tags": [{"Key": "kubernetes.io/role/elb", "Value": "1"}]});
    caller.call_of(Service::Ec2, "CreateTags", tags).unwrap();
    let subnet = format!("arn:aws:ec2:{REGION}:123456789012:subnet/{subnet}");
    [one, two, group, subnet]
}

#[test]
fn resources_are_found_by_type_and_tags() {
    let caller = &mut Caller::new();
    let [one, two, group, subnet] = tagged(caller);
    let filter = |key: &str, values: &[&str]| json!({"Key": key, "Values": values});
    for (input, wanted) in [
        (json!({}), vec![&subnet, &one, &two, &group]),
        (json!({"ResourceTypeFilters": ["ec2"]}), vec![&subnet]),
        (
            json!({"ResourceTypeFilters": ["ec2:subnet", "elasticloadbalancing:targetgroup"]}),
            vec![&subnet, &group],
        ),
        (
            json!({"ResourceTypeFilters": ["elasticloadbalancing:loadbalancer"]}),
            vec![&one, &two],
        ),
        (
            json!({"ResourceTypeFilters": ["elasticloadbalancing:loadbalancer/app"]}),
            vec![&one, &two],
        ),
        (
            json!({"ResourceTypeFilters": ["elasticloadbalancing:load", "s3"]}),
            vec![],
        ),
        (
            json!({"TagFilters": [filter("cluster", &["a"])]}),
            vec![&one, &group],
        ),
        (
            json!({"TagFilters": [filter("cluster", &["a", "b"])]}),
            vec![&one, &two, &group],
        ),
        (
            json!({"TagFilters": [filter("cluster", &[]), filter("stack", &["web"])]}),
            vec![&one],
        ),
        (json!({"ResourceARNList": [two, "arn:aws:s3:::gone"]}), vec![&two]),
        (
            json!({"IncludeComplianceDetails": true, "ExcludeCompliantResources": true}),
            vec![],
        ),
    ] {
        let answer = call(caller, "GetResources", input.clone());
        assert_eq!(arns(&answer).iter().collect::<Vec<_>>(), wanted, "{input}");
        assert_eq!(answer["PaginationToken"], "");
    }
    let answer = call(caller, "GetResources", json!({"ResourceARNList": [one]}));
    let tags = json!([{"Key": "cluster", "Value": "a"}, {"Key": "stack", "Value": "web"}]);
    assert_eq!(
        answer["ResourceTagMappingList"],
        json!([{"ResourceARN": one, "Tags": tags}])
    );
    assert_eq!(
        call(caller, "GetTagKeys", json!({}))["TagKeys"],
        json!(["cluster", "kubernetes.io/role/elb", "stack"])
    );
    assert_eq!(
        call(caller, "GetTagValues", json!({"Key": "cluster"}))["TagValues"],
        json!(["a", "b"])
    );
}

#[test]
fn pages_lead_from_one_to_the_next() {
    let caller = &mut Caller::new();
    let all = tagged(caller);
    let (mut found, mut token) = (Vec::new(), String::new());
    loop {
        let input = json!({"ResourcesPerPage": 3, "PaginationToken": token});
        let answer = call(caller, "GetResources", input);
        found.push(arns(&answer));
        token = text(&answer["PaginationToken"]);
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [3, 1]);
    assert_eq!(found.concat().len(), all.len());
    let first = call(caller, "GetResources", json!({"ResourcesPerPage": 1}));
    let token = text(&first["PaginationToken"]);
    assert_eq!(
        code(caller, "GetTagKeys", json!({"PaginationToken": token})),
        "InvalidParameterException"
    );
    caller.now = caller.now + Duration::from_secs(901);
    assert_eq!(
        code(caller, "GetResources", json!({"PaginationToken": token})),
        "PaginationTokenExpiredException"
    );
}

/// The example in AWS's API reference (GetResources): 22 resources with ten tags each make pages of ten, ten and two.
#[test]
fn pages_by_tags_split_no_resource() {
    let caller = &mut Caller::new();
    let tags: Vec<Value> = (0..10)
        .map(|n| json!({"Key": format!("k{n}"), "Value": ""}))
        .collect();
    for n in 0..22 {
        let group = caller.group(&format!("group-{n}"));
        caller.ok("AddTags", json!({"ResourceArns": [group], "Tags": tags}));
    }
    let (mut sizes, mut token) = (Vec::new(), String::new());
    loop {
        let answer = call(
            caller,
            "GetResources",
            json!({"TagsPerPage": 100, "PaginationToken": token}),
        );
        sizes.push(arns(&answer).len());
        token = text(&answer["PaginationToken"]);
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(sizes, [10, 10, 2]);
}

#[test]
fn wrong_questions() {
    let caller = &mut Caller::new();
    let arn = "arn:aws:s3:::one";
    for input in [
        json!({"ResourcesPerPage": 0}),
        json!({"ResourcesPerPage": 101}),
        json!({"TagsPerPage": 99}),
        json!({"TagsPerPage": 501}),
        json!({"TagFilters": [{"Values": ["a"]}]}),
        json!({"ResourceTypeFilters": [""]}),
        json!({"ResourceTypeFilters": vec!["ec2"; 101]}),
        json!({"ExcludeCompliantResources": true}),
        json!({"PaginationToken": "x"}),
        json!({"ResourceARNList": [arn], "TagFilters": [{"Key": "a"}]}),
        json!({"ResourceARNList": [arn], "ResourceTypeFilters": ["ec2"]}),
        json!({"ResourceARNList": [arn], "ResourcesPerPage": 1}),
    ] {
        assert_eq!(
            code(caller, "GetResources", input.clone()),
            "InvalidParameterException",
            "{input}"
        );
    }
}

#[test]
fn tags_of_any_service_are_set_and_taken_away_by_arn() {
    let caller = &mut Caller::new();
    let [one, _, _, subnet] = tagged(caller);
    let scaling = |caller: &mut Caller, operation: &str, input: Value| {
        caller
            .call_of(Service::AutoScaling, operation, input)
            .unwrap_or_else(|problem| panic!("{operation}: {problem}"))
    };
    let configuration =
        json!({"LaunchConfigurationName": "lc", "ImageId": "ami-1", "InstanceType": "m5.large"});
    scaling(caller, "CreateLaunchConfiguration", configuration);
    let tags = json!([{"Key": "cluster", "Value": "a", "PropagateAtLaunch": true, "ResourceId": "g",
        "ResourceType": "auto-scaling-group"}]);
    let group = json!({"AutoScalingGroupName": "g", "LaunchConfigurationName": "lc", "MinSize": 0, "MaxSize": 1,
        "AvailabilityZones": [format!("{REGION}a")], "Tags": tags});
    scaling(caller, "CreateAutoScalingGroup", group);
    let shown = |caller: &mut Caller| {
        scaling(caller, "DescribeAutoScalingGroups", json!({}))["AutoScalingGroups"][0].clone()
    };
    let group = text(&shown(caller)["AutoScalingGroupARN"]);
    let alarm = json!({"AlarmName": "a", "MetricName": "m", "Namespace": "n", "Period": 60, "EvaluationPeriods": 1,
        "Threshold": 1, "ComparisonOperator": "GreaterThanThreshold", "Statistic": "Sum"});
    caller
        .call_of(Service::CloudWatch, "PutMetricAlarm", alarm)
        .unwrap();
    let alarm = format!("arn:aws:cloudwatch:{REGION}:123456789012:alarm:a");
    let none = "arn:aws:s3:::bucket";
    let gone = format!("{group}-2");
    let all = [&one, &subnet, &group, &alarm, none, &gone];
    let answer = call(
        caller,
        "TagResources",
        json!({"ResourceARNList": all, "Tags": {"cluster": "c", "owner": "ops"}}),
    );
    let failed = answer["FailedResourcesMap"].as_object().unwrap();
    assert_eq!(failed.len(), 2, "{failed:?}");
    assert_eq!(failed[none]["ErrorCode"], "InvalidParameterException");
    assert!(failed.contains_key(&gone));
    let filter = json!({"TagFilters": [{"Key": "owner", "Values": ["ops"]}]});
    let found = call(caller, "GetResources", filter.clone());
    assert_eq!(arns(&found), [&group, &alarm, &subnet, &one].map(String::as_str));
    let groups = json!({"ResourceTypeFilters": ["autoscaling:autoScalingGroup"]});
    assert_eq!(arns(&call(caller, "GetResources", groups)), [group.as_str()]);
    // Tags that were propagated to new instances still are; new tags are not.
    let tags = shown(caller)["Tags"].clone();
    let tag = |key: &str, value: &str, propagate: bool| {
        json!({"ResourceId": "g", "ResourceType": "auto-scaling-group", "Key": key, "Value": value,
            "PropagateAtLaunch": propagate})
    };
    assert_eq!(
        tags,
        json!([tag("cluster", "c", true), tag("owner", "ops", false)])
    );
    let answer = call(
        caller,
        "UntagResources",
        json!({"ResourceARNList": all, "TagKeys": ["owner"]}),
    );
    assert_eq!(answer["FailedResourcesMap"].as_object().unwrap().len(), 2);
    assert_eq!(arns(&call(caller, "GetResources", filter)), [""; 0]);
    assert_eq!(shown(caller)["Tags"], json!([tag("cluster", "c", true)]));
}
