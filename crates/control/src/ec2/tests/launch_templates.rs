//! Launch templates: create, find, change and launch from them.

use super::{call, code, named};
use crate::api::context::{Request, View};
use crate::ec2::launch_templates::resolve;
use crate::testing::{Caller, REGION, text};
use crate::{Dialect, NothingObserved};
use forebay_awswire::Service;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn template(caller: &mut Caller, name: &str, data: Value) -> String {
    let input = json!({"LaunchTemplateName": name, "LaunchTemplateData": data});
    text(&call(caller, "CreateLaunchTemplate", input)["LaunchTemplate"]["LaunchTemplateId"])
}

fn version(caller: &mut Caller, id: &str, input: Value) -> Value {
    let mut input = input;
    input["LaunchTemplateId"] = json!(id);
    call(caller, "CreateLaunchTemplateVersion", input)["LaunchTemplateVersion"].clone()
}

fn numbers(answer: &Value) -> Vec<u64> {
    let versions = answer["LaunchTemplateVersions"].as_array().unwrap().iter();
    versions
        .map(|version| version["VersionNumber"].as_u64().unwrap())
        .collect()
}

#[test]
fn a_template_is_made_found_and_deleted() {
    let caller = &mut Caller::new();
    let tags = json!([{"ResourceType": "launch-template", "Tags": [{"Key": "team", "Value": "web"}]}]);
    let input = json!({
        "LaunchTemplateName": "web", "VersionDescription": "first", "ClientToken": "token",
        "LaunchTemplateData": {"ImageId": "ami-1", "InstanceType": "c6i.large"}, "TagSpecifications": tags,
    });
    let made = call(caller, "CreateLaunchTemplate", input.clone())["LaunchTemplate"].clone();
    let id = text(&made["LaunchTemplateId"]);
    assert!(id.starts_with("lt-") && id.len() == 20, "{id}");
    assert_eq!(made["DefaultVersionNumber"], 1);
    assert_eq!(made["LatestVersionNumber"], 1);
    assert_eq!(made["CreatedBy"], "arn:aws:iam::123456789012:user/AKID");
    assert_eq!(made["Tags"], json!([{"Key": "team", "Value": "web"}]));
    // The same client token creates nothing new.
    let again = call(caller, "CreateLaunchTemplate", input);
    assert_eq!(again["LaunchTemplate"], made);
    let other = template(caller, "other", json!({"ImageId": "ami-2"}));
    for (input, wanted) in [
        (json!({"LaunchTemplateIds": [id]}), vec!["web"]),
        (json!({"LaunchTemplateNames": ["other"]}), vec!["other"]),
        (
            json!({"Filters": named("launch-template-name", &["w*"])}),
            vec!["web"],
        ),
        (json!({"Filters": named("tag:team", &["web"])}), vec!["web"]),
        (json!({"Filters": named("tag-key", &["none"])}), vec![]),
    ] {
        let found = call(caller, "DescribeLaunchTemplates", input);
        let names: Vec<String> = found["LaunchTemplates"]
            .as_array()
            .unwrap()
            .iter()
            .map(|template| text(&template["LaunchTemplateName"]))
            .collect();
        assert_eq!(names, wanted);
    }
    // Its tags are those of an EC2 resource.
    let tag = json!({"Resources": [other], "Tags": [{"Key": "team", "Value": "db"}]});
    call(caller, "CreateTags", tag);
    let filter = json!({"Filters": named("resource-type", &["launch-template"])});
    let tagged = call(caller, "DescribeTags", filter);
    assert_eq!(tagged["Tags"].as_array().unwrap().len(), 2);
    let gone = call(
        caller,
        "DeleteLaunchTemplate",
        json!({"LaunchTemplateName": "web"}),
    );
    assert_eq!(gone["LaunchTemplate"]["LaunchTemplateId"], json!(id));
    call(caller, "DeleteLaunchTemplate", json!({"LaunchTemplateId": other}));
    assert_eq!(call(caller, "DescribeTags", json!({}))["Tags"], json!([]));
    let left = call(caller, "DescribeLaunchTemplates", json!({}));
    assert_eq!(left["LaunchTemplates"], json!([]));
}

#[test]
fn versions_build_on_others_and_are_never_numbered_twice() {
    let caller = &mut Caller::new();
    let id = template(
        caller,
        "web",
        json!({"ImageId": "ami-1", "InstanceType": "c6i.large", "KeyName": "key"}),
    );
    let second = version(
        caller,
        &id,
        json!({"SourceVersion": "1", "VersionDescription": "new image", "LaunchTemplateData": {"ImageId": "ami-2"}}),
    );
    assert_eq!(second["VersionNumber"], 2);
    assert_eq!(second["DefaultVersion"], false);
    assert_eq!(second["VersionDescription"], "new image");
    let merged = json!({"ImageId": "ami-2", "InstanceType": "c6i.large", "KeyName": "key"});
    assert_eq!(second["LaunchTemplateData"], merged);
    // Requirements replace a type.
    let requirements = json!({"VCpuCount": {"Min": 2}, "MemoryMiB": {"Min": 1024}});
    let input = json!({"SourceVersion": "$Latest", "ClientToken": "third",
        "LaunchTemplateData": {"InstanceRequirements": requirements}});
    let third = version(caller, &id, input.clone());
    let data = json!({"ImageId": "ami-2", "KeyName": "key", "InstanceRequirements": requirements});
    assert_eq!(third["LaunchTemplateData"], data);
    assert_eq!(version(caller, &id, input), third);
    // Without a source version, a version has only what it is given.
    let fourth = version(caller, &id, json!({"LaunchTemplateData": {"KeyName": "other"}}));
    assert_eq!(fourth["LaunchTemplateData"], json!({"KeyName": "other"}));
    let moved = call(
        caller,
        "ModifyLaunchTemplate",
        json!({"LaunchTemplateId": id, "DefaultVersion": "2"}),
    );
    assert_eq!(moved["LaunchTemplate"]["DefaultVersionNumber"], 2);
    assert_eq!(moved["LaunchTemplate"]["LatestVersionNumber"], 4);
    let deleted = call(
        caller,
        "DeleteLaunchTemplateVersions",
        json!({"LaunchTemplateId": id, "Versions": ["4", "2", "9"]}),
    );
    let gone = &deleted["SuccessfullyDeletedLaunchTemplateVersions"];
    assert_eq!(
        *gone,
        json!([{"LaunchTemplateId": id, "LaunchTemplateName": "web", "VersionNumber": 4}])
    );
    let left = deleted["UnsuccessfullyDeletedLaunchTemplateVersions"]
        .as_array()
        .unwrap();
    let why: Vec<(&Value, &Value)> = left
        .iter()
        .map(|left| (&left["VersionNumber"], &left["ResponseError"]["Code"]))
        .collect();
    let missing = json!("launchTemplateVersionDoesNotExist");
    let wanted = [(&json!(2), &json!("unexpectedError")), (&json!(9), &missing)];
    assert_eq!(why, wanted);
    let fifth = version(caller, &id, json!({"LaunchTemplateData": {"KeyName": "other"}}));
    assert_eq!(fifth["VersionNumber"], 5);
}

#[test]
fn versions_are_found_by_number_name_and_range() {
    let caller = &mut Caller::new();
    let id = template(caller, "web", json!({"ImageId": "ami-1"}));
    for image in ["ami-2", "ami-3"] {
        version(caller, &id, json!({"LaunchTemplateData": {"ImageId": image}}));
    }
    template(caller, "other", json!({"ImageId": "ami-9"}));
    for (input, wanted) in [
        (json!({"LaunchTemplateId": id}), vec![3, 2, 1]),
        (json!({"LaunchTemplateName": "web"}), vec![3, 2, 1]),
        (json!({"LaunchTemplateId": id, "Versions": ["$Latest"]}), vec![3]),
        (
            json!({"LaunchTemplateId": id, "Versions": ["$Latest", "$Default", "1"]}),
            vec![3, 1],
        ),
        (json!({"LaunchTemplateId": id, "MinVersion": "2"}), vec![3, 2]),
        (json!({"LaunchTemplateId": id, "MaxVersion": "2"}), vec![2, 1]),
        (
            json!({"LaunchTemplateId": id, "Filters": named("image-id", &["ami-2"])}),
            vec![2],
        ),
        (
            json!({"LaunchTemplateId": id, "Filters": named("is-default-version", &["true"])}),
            vec![1],
        ),
    ] {
        let found = call(caller, "DescribeLaunchTemplateVersions", input.clone());
        assert_eq!(numbers(&found), wanted, "{input}");
    }
    let all = json!({"Versions": ["$Latest", "$Default"]});
    let mut latest = numbers(&call(caller, "DescribeLaunchTemplateVersions", all));
    latest.sort_unstable();
    assert_eq!(latest, [1, 1, 3]);
    // Page by page.
    let mut asked = json!({"LaunchTemplateId": id, "MaxResults": 2});
    let page = call(caller, "DescribeLaunchTemplateVersions", asked.clone());
    assert_eq!(numbers(&page), [3, 2]);
    asked["NextToken"] = page["NextToken"].clone();
    let rest = call(caller, "DescribeLaunchTemplateVersions", asked);
    assert_eq!(numbers(&rest), [1]);
    assert_eq!(rest.get("NextToken"), None);
}

#[test]
fn errors_are_awss() {
    let caller = &mut Caller::new();
    let id = template(caller, "web", json!({"ImageId": "ami-1"}));
    let data = json!({"ImageId": "ami-1"});
    let reserved = json!([{"ResourceType": "instance", "Tags": [{"Key": "aws:x", "Value": "y"}]}]);
    let both = json!({"InstanceType": "c6i.large", "InstanceRequirements": {"VCpuCount": {"Min": 1}, "MemoryMiB": {"Min": 1}}});
    for (operation, input, wanted) in [
        (
            "CreateLaunchTemplate",
            json!({"LaunchTemplateName": "web", "LaunchTemplateData": data}),
            "InvalidLaunchTemplateName.AlreadyExistsException",
        ),
        (
            "CreateLaunchTemplate",
            json!({"LaunchTemplateName": "a b c", "LaunchTemplateData": data}),
            "InvalidLaunchTemplateName.MalformedException",
        ),
        (
            "CreateLaunchTemplate",
            json!({"LaunchTemplateName": "tagged", "LaunchTemplateData": {"TagSpecifications": reserved}}),
            "InvalidParameterValue",
        ),
        (
            "CreateLaunchTemplate",
            json!({"LaunchTemplateName": "both", "LaunchTemplateData": both}),
            "InvalidParameterCombination",
        ),
        (
            "CreateLaunchTemplate",
            json!({"LaunchTemplateName": "dry", "LaunchTemplateData": data, "DryRun": true}),
            "DryRunOperation",
        ),
        (
            "CreateLaunchTemplateVersion",
            json!({"LaunchTemplateId": "lt-0", "LaunchTemplateData": data}),
            "InvalidLaunchTemplateId.NotFound",
        ),
        (
            "CreateLaunchTemplateVersion",
            json!({"LaunchTemplateId": "web", "LaunchTemplateData": data}),
            "InvalidLaunchTemplateId.Malformed",
        ),
        (
            "CreateLaunchTemplateVersion",
            json!({"LaunchTemplateId": id, "SourceVersion": "7", "LaunchTemplateData": data}),
            "InvalidLaunchTemplateId.VersionNotFound",
        ),
        (
            "CreateLaunchTemplateVersion",
            json!({"LaunchTemplateData": data}),
            "MissingParameter",
        ),
        (
            "DeleteLaunchTemplate",
            json!({"LaunchTemplateName": "none"}),
            "InvalidLaunchTemplateName.NotFoundException",
        ),
        (
            "DeleteLaunchTemplate",
            json!({"LaunchTemplateId": id, "LaunchTemplateName": "web"}),
            "InvalidParameterCombination",
        ),
        (
            "ModifyLaunchTemplate",
            json!({"LaunchTemplateId": id, "DefaultVersion": "2"}),
            "InvalidLaunchTemplateId.VersionNotFound",
        ),
        (
            "ModifyLaunchTemplate",
            json!({"LaunchTemplateId": id, "DefaultVersion": "two"}),
            "InvalidParameterValue",
        ),
        (
            "ModifyLaunchTemplate",
            json!({"LaunchTemplateId": id}),
            "MissingParameter",
        ),
        (
            "DescribeLaunchTemplates",
            json!({"LaunchTemplateIds": ["lt-0"]}),
            "InvalidLaunchTemplateId.NotFound",
        ),
        (
            "DescribeLaunchTemplates",
            json!({"LaunchTemplateNames": ["none"]}),
            "InvalidLaunchTemplateName.NotFoundException",
        ),
        (
            "DescribeLaunchTemplateVersions",
            json!({"LaunchTemplateId": id, "Versions": ["2"]}),
            "InvalidLaunchTemplateId.VersionNotFound",
        ),
        ("DescribeLaunchTemplateVersions", json!({}), "MissingParameter"),
        (
            "DescribeLaunchTemplateVersions",
            json!({"Versions": ["1"]}),
            "InvalidParameterValue",
        ),
        (
            "GetLaunchTemplateData",
            json!({"InstanceId": "i-0"}),
            "InvalidInstanceID.NotFound",
        ),
        (
            "RunInstances",
            json!({"MinCount": 1, "MaxCount": 1, "LaunchTemplate": {"LaunchTemplateName": "none"}}),
            "InvalidLaunchTemplateName.NotFoundException",
        ),
        (
            "CreateTags",
            json!({"Resources": ["lt-0"], "Tags": [{"Key": "a", "Value": "b"}]}),
            "InvalidLaunchTemplateId.NotFound",
        ),
    ] {
        assert_eq!(
            code(caller, operation, input.clone()),
            wanted,
            "{operation} {input}"
        );
    }
}

#[test]
fn what_a_call_gives_wins_over_its_template() {
    let caller = &mut Caller::new();
    let subnet = caller.subnets()[1].clone();
    let tags = json!([{"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "template"}, {"Key": "b", "Value": "template"}]}]);
    let id = template(
        caller,
        "web",
        json!({
            "ImageId": "ami-1", "InstanceType": "c6i.large", "KeyName": "key", "UserData": "IyEvYmluL3No",
            "NetworkInterfaces": [{"DeviceIndex": 0, "SubnetId": subnet}],
            "DisableApiTermination": true, "TagSpecifications": tags,
        }),
    );
    version(
        caller,
        &id,
        json!({"SourceVersion": "1", "LaunchTemplateData": {"KeyName": "second"}}),
    );
    let own = json!([{"ResourceType": "instance", "Tags": [{"Key": "b", "Value": "call"}, {"Key": "c", "Value": "call"}]}]);
    let input = json!({"MinCount": 2, "MaxCount": 2, "InstanceType": "m6i.large", "TagSpecifications": own, "ClientToken": "once",
        "LaunchTemplate": {"LaunchTemplateId": id, "Version": "$Latest"}});
    let launched = call(caller, "RunInstances", input.clone());
    // Sorted as in descriptions.
    let mut instances = launched["Instances"].as_array().unwrap().clone();
    instances.sort_by_key(|instance| text(&instance["InstanceId"]));
    assert_eq!(instances.len(), 2);
    let pair = |key: &str, value: &str| json!({"Key": key, "Value": value});
    for instance in &instances {
        assert_eq!(instance["InstanceType"], "m6i.large");
        assert_eq!(instance["ImageId"], "ami-1");
        assert_eq!(instance["KeyName"], "second");
        assert_eq!(instance["SubnetId"], json!(subnet));
        let wanted = json!([
            pair("a", "template"),
            pair("aws:ec2launchtemplate:id", &id),
            pair("aws:ec2launchtemplate:version", "2"),
            pair("b", "call"),
            pair("c", "call"),
        ]);
        assert_eq!(instance["Tags"], wanted);
    }
    // The answer equals a later description, and the same client token launches nothing more.
    let described = call(caller, "DescribeInstances", json!({}));
    assert_eq!(described["Reservations"][0]["Instances"], json!(instances));
    let again = call(caller, "RunInstances", input);
    assert_eq!(again["Instances"], json!(instances));
    // It has the termination protection that the template sets.
    let kept = json!({"InstanceIds": [instances[0]["InstanceId"]]});
    assert_eq!(code(caller, "TerminateInstances", kept), "OperationNotPermitted");
    // Without a version, the default version is used.
    let input = json!({"MinCount": 1, "MaxCount": 1, "LaunchTemplate": {"LaunchTemplateName": "web"}});
    let launched = call(caller, "RunInstances", input);
    assert_eq!(launched["Instances"][0]["KeyName"], "key");
}

#[test]
fn requirements_are_for_auto_scaling_alone() {
    let caller = &mut Caller::new();
    let requirements = json!({"VCpuCount": {"Min": 2}, "MemoryMiB": {"Min": 1024}});
    template(caller, "any", json!({"InstanceRequirements": requirements}));
    let mut input = json!({"MinCount": 1, "MaxCount": 1, "LaunchTemplate": {"LaunchTemplateName": "any"}});
    assert_eq!(
        code(caller, "RunInstances", input.clone()),
        "InvalidParameterCombination"
    );
    input["InstanceType"] = json!("c6i.large");
    let launched = call(caller, "RunInstances", input);
    assert_eq!(launched["Instances"][0]["InstanceType"], "c6i.large");
}

#[test]
fn an_instance_is_data_for_a_template() {
    let caller = &mut Caller::new();
    let tags = json!([{"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "b"}]}]);
    let id = template(
        caller,
        "web",
        json!({"ImageId": "ami-1", "InstanceType": "c6i.large", "KeyName": "key", "TagSpecifications": tags}),
    );
    let input = json!({"MinCount": 1, "MaxCount": 1, "LaunchTemplate": {"LaunchTemplateId": id}});
    let first = call(caller, "RunInstances", input)["Instances"][0].clone();
    let asked = json!({"InstanceId": first["InstanceId"]});
    let data = call(caller, "GetLaunchTemplateData", asked)["LaunchTemplateData"].clone();
    assert_eq!(data["TagSpecifications"], tags);
    let copy = template(caller, "copy", data);
    let input = json!({"MinCount": 1, "MaxCount": 1, "LaunchTemplate": {"LaunchTemplateId": copy}});
    let second = call(caller, "RunInstances", input)["Instances"][0].clone();
    for member in [
        "ImageId",
        "InstanceType",
        "KeyName",
        "SubnetId",
        "SecurityGroups",
        "Placement",
    ] {
        assert_eq!(first[member], second[member], "{member}");
    }
}

#[test]
fn others_resolve_a_template_by_id_or_name() {
    let caller = &mut Caller::new();
    let id = template(caller, "web", json!({"ImageId": "ami-1", "RamDiskId": "ari-1"}));
    version(caller, &id, json!({"LaunchTemplateData": {"ImageId": "ami-2"}}));
    // A name that looks like an id.
    let odd = template(caller, "lt-odd", json!({"ImageId": "ami-3"}));
    let request = Request {
        service: Service::Ec2,
        operation: "DescribeLaunchTemplates",
        region: REGION,
        account: "123456789012",
        input: json!({}),
        now: caller.now,
        caller: "AKID",
        endpoint: "",
        instance: None,
        is_proven: false,
        request_id: "",
    };
    let view = View::new(&request, &NothingObserved, &caller.state);
    let first = json!({"ImageId": "ami-1", "RamdiskId": "ari-1"});
    let second = json!({"ImageId": "ami-2"});
    for (named, version, wanted) in [
        (&*id, None, Ok((&id, 1, &first))),
        ("web", Some("$Default"), Ok((&id, 1, &first))),
        ("web", Some("1"), Ok((&id, 1, &first))),
        ("web", Some("$Latest"), Ok((&id, 2, &second))),
        (&*id, Some("2"), Ok((&id, 2, &second))),
        ("lt-odd", None, Ok((&odd, 1, &json!({"ImageId": "ami-3"})))),
        ("lt-none", None, Err("InvalidLaunchTemplateId.NotFound")),
        ("none", None, Err("InvalidLaunchTemplateName.NotFoundException")),
        (&*id, Some("3"), Err("InvalidLaunchTemplateId.VersionNotFound")),
        (&*id, Some("latest"), Err("InvalidParameterValue")),
    ] {
        let came = resolve(&view, named, version);
        let came = came
            .as_ref()
            .map(|(template, number, data)| (&template.id, *number, data));
        assert_eq!(came.map_err(|error| &*error.code), wanted, "{named} {version:?}");
    }
}

#[test]
fn moto_lists_versions_upwards() {
    let caller = &mut Caller::new();
    caller.state = caller.state.configured(Dialect::Moto, BTreeMap::new());
    let id = template(caller, "web", json!({"ImageId": "ami-1"}));
    version(caller, &id, json!({"LaunchTemplateData": {"ImageId": "ami-2"}}));
    let found = call(
        caller,
        "DescribeLaunchTemplateVersions",
        json!({"LaunchTemplateId": id}),
    );
    assert_eq!(numbers(&found), [1, 2]);
}
