//! The operations, called as users do.

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
