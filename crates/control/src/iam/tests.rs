//! IAM's operations, as clients call them.

use crate::testing::{Caller, certificate_texts, text};
use forebay_awswire::Service;
use serde_json::{Value, json};

fn iam(caller: &mut Caller, operation: &str, input: Value) -> Result<Value, String> {
    caller
        .call_of(Service::Iam, operation, input)
        .map_err(|error| error.code)
}

#[test]
fn server_certificates() {
    let caller = &mut Caller::new();
    let (body, key) = certificate_texts("example.com");
    let upload =
        json!({"ServerCertificateName": "one", "CertificateBody": body, "PrivateKey": key, "Path": "/web/"});
    let made = iam(caller, "UploadServerCertificate", upload.clone()).unwrap();
    let arn = text(&made["ServerCertificateMetadata"]["Arn"]);
    assert_eq!(arn, "arn:aws:iam::123456789012:server-certificate/web/one");
    assert_eq!(
        iam(caller, "UploadServerCertificate", upload.clone()).unwrap_err(),
        "EntityAlreadyExists"
    );
    let named = json!({"ServerCertificateName": "one"});
    iam(
        caller,
        "TagServerCertificate",
        json!({"ServerCertificateName": "one", "Tags": [{"Key": "k", "Value": "v"}]}),
    )
    .unwrap();
    iam(
        caller,
        "UpdateServerCertificate",
        json!({"ServerCertificateName": "one", "NewServerCertificateName": "two"}),
    )
    .unwrap();
    assert_eq!(
        iam(caller, "GetServerCertificate", named).unwrap_err(),
        "NoSuchEntity"
    );
    let two = json!({"ServerCertificateName": "two"});
    let shown = iam(caller, "GetServerCertificate", two.clone()).unwrap();
    assert_eq!(
        shown["ServerCertificate"]["Tags"],
        json!([{"Key": "k", "Value": "v"}])
    );
    let listed = iam(caller, "ListServerCertificates", json!({"PathPrefix": "/web/"})).unwrap();
    assert_eq!(
        listed["ServerCertificateMetadataList"].as_array().unwrap().len(),
        1
    );
    iam(
        caller,
        "UntagServerCertificate",
        json!({"ServerCertificateName": "two", "TagKeys": ["k"]}),
    )
    .unwrap();
    assert_eq!(
        iam(caller, "ListServerCertificateTags", two.clone()).unwrap()["Tags"],
        json!([])
    );
    iam(caller, "DeleteServerCertificate", two).unwrap();
    let (_, other_key) = certificate_texts("example.com");
    let mut mixed = upload;
    mixed["PrivateKey"] = json!(other_key);
    assert_eq!(
        iam(caller, "UploadServerCertificate", mixed).unwrap_err(),
        "KeyPairMismatch"
    );
}

#[test]
fn a_renamed_certificate_goes_on_being_served() {
    let caller = &mut Caller::new();
    let (body, key) = certificate_texts("example.com");
    let upload = json!({"ServerCertificateName": "one", "CertificateBody": body, "PrivateKey": key});
    let made = iam(caller, "UploadServerCertificate", upload).unwrap();
    let arn = text(&made["ServerCertificateMetadata"]["Arn"]);
    let (balancer, group) = (caller.balancer("web"), caller.group("g"));
    let input = json!({"LoadBalancerArn": balancer, "Protocol": "HTTPS", "Port": 443,
        "Certificates": [{"CertificateArn": arn}],
        "DefaultActions": [{"Type": "forward", "TargetGroupArn": group}]});
    let listener = text(&caller.ok("CreateListener", input)["Listeners"][0]["ListenerArn"]);
    let renamed =
        json!({"ServerCertificateName": "one", "NewServerCertificateName": "two", "NewPath": "/web/"});
    iam(caller, "UpdateServerCertificate", renamed).unwrap();
    caller.state.check_invariants();
    let shown = caller.ok("DescribeListeners", json!({"ListenerArns": [listener]}));
    assert_eq!(
        shown["Listeners"][0]["Certificates"][0]["CertificateArn"],
        "arn:aws:iam::123456789012:server-certificate/web/two"
    );
    let used = iam(
        caller,
        "DeleteServerCertificate",
        json!({"ServerCertificateName": "two"}),
    );
    assert_eq!(used.unwrap_err(), "DeleteConflict");
}

const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
const ALLOWS: &str = r#"{"Statement":{"Effect":"Allow","Action":"sqs:*","Resource":"*"}}"#;

fn role(caller: &mut Caller, name: &str) -> Value {
    let input =
        json!({"RoleName": name, "AssumeRolePolicyDocument": TRUST, "Tags": [{"Key": "team", "Value": "a"}]});
    iam(caller, "CreateRole", input).unwrap()["Role"].clone()
}

#[test]
fn roles_have_inline_and_managed_policies() {
    let caller = &mut Caller::new();
    let made = role(caller, "worker");
    assert_eq!(made["Arn"], "arn:aws:iam::123456789012:role/worker");
    assert!(
        made["AssumeRolePolicyDocument"]
            .as_str()
            .unwrap()
            .starts_with("%7B%22Version%22%3A%222012-10-17%22")
    );
    let named = json!({"RoleName": "worker"});
    let got = iam(caller, "GetRole", named.clone()).unwrap();
    assert_eq!(got["Role"]["Tags"], json!([{"Key": "team", "Value": "a"}]));
    let again = json!({"RoleName": "worker", "AssumeRolePolicyDocument": TRUST});
    assert_eq!(
        iam(caller, "CreateRole", again).unwrap_err(),
        "EntityAlreadyExists"
    );
    let wrong = json!({"RoleName": "other", "AssumeRolePolicyDocument": "{"});
    assert_eq!(
        iam(caller, "CreateRole", wrong).unwrap_err(),
        "MalformedPolicyDocument"
    );
    let bounded = json!({"RoleName": "other", "AssumeRolePolicyDocument": TRUST, "PermissionsBoundary": "arn:aws:iam::aws:policy/x"});
    assert_eq!(iam(caller, "CreateRole", bounded).unwrap_err(), "InvalidInput");
    iam(
        caller,
        "UpdateRole",
        json!({"RoleName": "worker", "Description": "does", "MaxSessionDuration": 7200}),
    )
    .unwrap();
    iam(
        caller,
        "UpdateAssumeRolePolicy",
        json!({"RoleName": "worker", "PolicyDocument": TRUST}),
    )
    .unwrap();
    let inline = json!({"RoleName": "worker", "PolicyName": "queue", "PolicyDocument": ALLOWS});
    iam(caller, "PutRolePolicy", inline.clone()).unwrap();
    let got = iam(caller, "GetRolePolicy", inline.clone()).unwrap();
    assert!(got["PolicyDocument"].as_str().unwrap().contains("sqs%3A%2A"));
    assert_eq!(
        iam(caller, "ListRolePolicies", named.clone()).unwrap()["PolicyNames"],
        json!(["queue"])
    );
    let policy = json!({"PolicyName": "reads", "PolicyDocument": ALLOWS});
    let arn = iam(caller, "CreatePolicy", policy.clone()).unwrap()["Policy"]["Arn"].clone();
    assert_eq!(
        iam(caller, "CreatePolicy", policy).unwrap_err(),
        "EntityAlreadyExists"
    );
    for arn in [&arn, &json!("arn:aws:iam::aws:policy/AmazonSQSFullAccess")] {
        iam(
            caller,
            "AttachRolePolicy",
            json!({"RoleName": "worker", "PolicyArn": arn}),
        )
        .unwrap();
    }
    let none = json!({"RoleName": "worker", "PolicyArn": "arn:aws:iam::123456789012:policy/none"});
    assert_eq!(
        iam(caller, "AttachRolePolicy", none.clone()).unwrap_err(),
        "NoSuchEntity"
    );
    assert_eq!(iam(caller, "DetachRolePolicy", none).unwrap_err(), "NoSuchEntity");
    let attached = iam(caller, "ListAttachedRolePolicies", named.clone()).unwrap();
    assert_eq!(
        attached["AttachedPolicies"][1]["PolicyName"],
        "AmazonSQSFullAccess"
    );
    let of = json!({"PolicyArn": arn});
    let entities = iam(caller, "ListEntitiesForPolicy", of.clone()).unwrap();
    assert_eq!(entities["PolicyRoles"][0]["RoleName"], "worker");
    assert_eq!(
        iam(caller, "GetPolicy", of.clone()).unwrap()["Policy"]["AttachmentCount"],
        1
    );
    assert_eq!(
        iam(caller, "DeletePolicy", of.clone()).unwrap_err(),
        "DeleteConflict"
    );
    assert_eq!(
        iam(caller, "DeleteRole", named.clone()).unwrap_err(),
        "DeleteConflict"
    );
    for arn in [&arn, &json!("arn:aws:iam::aws:policy/AmazonSQSFullAccess")] {
        iam(
            caller,
            "DetachRolePolicy",
            json!({"RoleName": "worker", "PolicyArn": arn}),
        )
        .unwrap();
    }
    assert_eq!(
        iam(caller, "DeleteRole", named.clone()).unwrap_err(),
        "DeleteConflict"
    );
    iam(caller, "DeleteRolePolicy", inline.clone()).unwrap();
    assert_eq!(
        iam(caller, "DeleteRolePolicy", inline.clone()).unwrap_err(),
        "NoSuchEntity"
    );
    assert_eq!(iam(caller, "GetRolePolicy", inline).unwrap_err(), "NoSuchEntity");
    iam(caller, "DeletePolicy", of).unwrap();
    let shown = iam(
        caller,
        "UpdateRoleDescription",
        json!({"RoleName": "worker", "Description": "did"}),
    )
    .unwrap();
    assert_eq!(
        (
            &shown["Role"]["Description"],
            &shown["Role"]["MaxSessionDuration"]
        ),
        (&json!("did"), &json!(7200))
    );
    iam(
        caller,
        "TagRole",
        json!({"RoleName": "worker", "Tags": [{"Key": "b", "Value": "c"}]}),
    )
    .unwrap();
    iam(
        caller,
        "UntagRole",
        json!({"RoleName": "worker", "TagKeys": ["team"]}),
    )
    .unwrap();
    assert_eq!(
        iam(caller, "ListRoleTags", named.clone()).unwrap()["Tags"],
        json!([{"Key": "b", "Value": "c"}])
    );
    assert_eq!(
        iam(caller, "ListRoles", json!({"PathPrefix": "/"})).unwrap()["Roles"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    iam(caller, "DeleteRole", named.clone()).unwrap();
    assert_eq!(iam(caller, "GetRole", named).unwrap_err(), "NoSuchEntity");
}

#[test]
fn managed_policies_have_versions_of_which_one_counts() {
    let caller = &mut Caller::new();
    let made = iam(
        caller,
        "CreatePolicy",
        json!({"PolicyName": "p", "Path": "/team/", "PolicyDocument": ALLOWS}),
    )
    .unwrap();
    let arn = made["Policy"]["Arn"].clone();
    assert_eq!(arn, "arn:aws:iam::123456789012:policy/team/p");
    let of = json!({"PolicyArn": arn});
    let version = json!({"PolicyArn": arn, "PolicyDocument": TRUST, "SetAsDefault": true});
    for number in 2..=5 {
        let made = iam(caller, "CreatePolicyVersion", version.clone()).unwrap();
        assert_eq!(made["PolicyVersion"]["VersionId"], format!("v{number}"));
    }
    assert_eq!(
        iam(caller, "CreatePolicyVersion", version).unwrap_err(),
        "LimitExceeded"
    );
    assert_eq!(
        iam(caller, "DeletePolicy", of.clone()).unwrap_err(),
        "DeleteConflict"
    );
    let numbered = |number: u32| json!({"PolicyArn": arn, "VersionId": format!("v{number}")});
    assert_eq!(
        iam(caller, "DeletePolicyVersion", numbered(5)).unwrap_err(),
        "DeleteConflict"
    );
    iam(caller, "SetDefaultPolicyVersion", numbered(1)).unwrap();
    let got = iam(caller, "GetPolicyVersion", numbered(1)).unwrap();
    assert_eq!(got["PolicyVersion"]["IsDefaultVersion"], true);
    for number in 2..=5 {
        iam(caller, "DeletePolicyVersion", numbered(number)).unwrap();
    }
    assert_eq!(
        iam(caller, "GetPolicyVersion", numbered(2)).unwrap_err(),
        "NoSuchEntity"
    );
    let versions = iam(caller, "ListPolicyVersions", of.clone()).unwrap();
    assert_eq!(versions["Versions"].as_array().unwrap().len(), 1);
    let listed = |caller: &mut Caller, input: Value| {
        let all = iam(caller, "ListPolicies", input).unwrap();
        all["Policies"].as_array().unwrap().len()
    };
    assert_eq!(listed(caller, json!({"Scope": "Local"})), 1);
    assert_eq!(listed(caller, json!({"OnlyAttached": true})), 0);
    assert_eq!(listed(caller, json!({"PathPrefix": "/other/"})), 0);
    iam(
        caller,
        "TagPolicy",
        json!({"PolicyArn": arn, "Tags": [{"Key": "a", "Value": "b"}]}),
    )
    .unwrap();
    assert_eq!(
        iam(caller, "ListPolicyTags", of.clone()).unwrap()["Tags"][0]["Key"],
        "a"
    );
    iam(caller, "UntagPolicy", json!({"PolicyArn": arn, "TagKeys": ["a"]})).unwrap();
    iam(caller, "DeletePolicy", of.clone()).unwrap();
    assert_eq!(iam(caller, "GetPolicy", of).unwrap_err(), "NoSuchEntity");
}

#[test]
fn instance_profiles_have_one_role() {
    let caller = &mut Caller::new();
    role(caller, "worker");
    let named = json!({"InstanceProfileName": "worker"});
    let made = iam(caller, "CreateInstanceProfile", named.clone()).unwrap();
    assert_eq!(
        made["InstanceProfile"]["Arn"],
        "arn:aws:iam::123456789012:instance-profile/worker"
    );
    assert_eq!(
        iam(caller, "CreateInstanceProfile", named.clone()).unwrap_err(),
        "EntityAlreadyExists"
    );
    let both = json!({"InstanceProfileName": "worker", "RoleName": "worker"});
    iam(caller, "AddRoleToInstanceProfile", both.clone()).unwrap();
    assert_eq!(
        iam(caller, "AddRoleToInstanceProfile", both.clone()).unwrap_err(),
        "LimitExceeded"
    );
    let got = iam(caller, "GetInstanceProfile", named.clone()).unwrap();
    assert_eq!(got["InstanceProfile"]["Roles"][0]["RoleName"], "worker");
    let of_role = iam(
        caller,
        "ListInstanceProfilesForRole",
        json!({"RoleName": "worker"}),
    )
    .unwrap();
    assert_eq!(of_role["InstanceProfiles"][0]["InstanceProfileName"], "worker");
    assert_eq!(
        iam(caller, "DeleteRole", json!({"RoleName": "worker"})).unwrap_err(),
        "DeleteConflict"
    );
    assert_eq!(
        iam(caller, "DeleteInstanceProfile", named.clone()).unwrap_err(),
        "DeleteConflict"
    );
    iam(caller, "RemoveRoleFromInstanceProfile", both.clone()).unwrap();
    assert_eq!(
        iam(caller, "RemoveRoleFromInstanceProfile", both).unwrap_err(),
        "NoSuchEntity"
    );
    let tags =
        json!({"InstanceProfileName": "worker", "Tags": [{"Key": "a", "Value": "b"}], "TagKeys": ["a"]});
    iam(caller, "TagInstanceProfile", tags.clone()).unwrap();
    assert_eq!(
        iam(caller, "ListInstanceProfileTags", named.clone()).unwrap()["Tags"][0]["Key"],
        "a"
    );
    iam(caller, "UntagInstanceProfile", tags).unwrap();
    let all = iam(caller, "ListInstanceProfiles", json!({})).unwrap();
    assert_eq!(all["InstanceProfiles"].as_array().unwrap().len(), 1);
    iam(caller, "DeleteInstanceProfile", named.clone()).unwrap();
    assert_eq!(
        iam(caller, "GetInstanceProfile", named).unwrap_err(),
        "NoSuchEntity"
    );
}
