//! Certificates of ACM and IAM, and who asks.

use crate::testing::{Caller, certificate_input, certificate_texts, text};
use forebay_awswire::Service;
use serde_json::{Value, json};

fn acm(caller: &mut Caller, operation: &str, input: Value) -> Result<Value, String> {
    caller
        .call_of(Service::Acm, operation, input)
        .map_err(|error| error.code)
}

fn iam(caller: &mut Caller, operation: &str, input: Value) -> Result<Value, String> {
    caller
        .call_of(Service::Iam, operation, input)
        .map_err(|error| error.code)
}

#[test]
fn imported_certificates() {
    let caller = &mut Caller::new();
    let arn = caller.certificate();
    let named = json!({"CertificateArn": arn});
    let detail = acm(caller, "DescribeCertificate", named.clone()).unwrap()["Certificate"].clone();
    assert_eq!(
        (&detail["Status"], &detail["Type"]),
        (&json!("ISSUED"), &json!("IMPORTED"))
    );
    assert_eq!(detail["SubjectAlternativeNames"], json!(["example.com"]));
    assert_eq!(detail["KeyAlgorithm"], "EC_prime256v1");
    assert_eq!(detail["SignatureAlgorithm"], "SHA256WITHECDSA");
    let body = acm(caller, "GetCertificate", named.clone()).unwrap();
    assert!(text(&body["Certificate"]).starts_with("-----BEGIN CERTIFICATE-----"));
    // A certificate without a chain had no CertificateChain, which Ansible's module indexes.
    assert_eq!(body["CertificateChain"], body["Certificate"]);
    let listed = acm(
        caller,
        "ListCertificates",
        json!({"Includes": {"keyTypes": ["EC_prime256v1"]}}),
    )
    .unwrap();
    assert_eq!(listed["CertificateSummaryList"].as_array().unwrap().len(), 1);
    let tags = json!({"CertificateArn": arn, "Tags": [{"Key": "a", "Value": "b"}]});
    acm(caller, "AddTagsToCertificate", tags.clone()).unwrap();
    assert_eq!(
        acm(caller, "ListTagsForCertificate", named.clone()).unwrap()["Tags"],
        tags["Tags"]
    );
    acm(caller, "RemoveTagsFromCertificate", tags).unwrap();
    let mut again = certificate_input("other.example.com");
    again["CertificateArn"] = json!(arn);
    acm(caller, "ImportCertificate", again).unwrap();
    assert_eq!(
        acm(caller, "DescribeCertificate", named.clone()).unwrap()["Certificate"]["DomainName"],
        "rcgen self signed cert"
    );
    acm(caller, "DeleteCertificate", named.clone()).unwrap();
    assert_eq!(
        acm(caller, "DescribeCertificate", named).unwrap_err(),
        "ResourceNotFoundException"
    );
}

#[test]
fn certificates_in_use_stay() {
    let caller = &mut Caller::new();
    let (arn, balancer, group) = (caller.certificate(), caller.balancer("b"), caller.group("g"));
    let listener = json!({"LoadBalancerArn": balancer, "Protocol": "HTTPS", "Port": 443,
        "Certificates": [{"CertificateArn": arn}], "DefaultActions": [{"Type": "forward", "TargetGroupArn": group}]});
    caller.ok("CreateListener", listener);
    let named = json!({"CertificateArn": arn});
    assert_eq!(
        acm(caller, "DeleteCertificate", named.clone()).unwrap_err(),
        "ResourceInUseException"
    );
    assert_eq!(
        acm(caller, "DescribeCertificate", named).unwrap()["Certificate"]["InUseBy"],
        json!([balancer])
    );
}

#[test]
fn wrong_keys_and_texts_are_refused() {
    let caller = &mut Caller::new();
    let (mut one, other) = (
        certificate_input("a.example.com"),
        certificate_input("b.example.com"),
    );
    one["PrivateKey"] = other["PrivateKey"].clone();
    assert_eq!(
        acm(caller, "ImportCertificate", one.clone()).unwrap_err(),
        "ValidationException"
    );
    one["PrivateKey"] = json!("bm90IGEga2V5");
    assert_eq!(
        acm(caller, "ImportCertificate", one.clone()).unwrap_err(),
        "ValidationException"
    );
    one["Certificate"] = json!("bm90IGEga2V5");
    assert_eq!(
        acm(caller, "ImportCertificate", one).unwrap_err(),
        "ValidationException"
    );
}

#[test]
fn requested_certificates_wait() {
    let caller = &mut Caller::new();
    let input = json!({"DomainName": "example.com", "SubjectAlternativeNames": ["www.example.com"], "ValidationMethod": "DNS"});
    let arn = acm(caller, "RequestCertificate", input).unwrap()["CertificateArn"].clone();
    let named = json!({"CertificateArn": arn});
    let detail = acm(caller, "DescribeCertificate", named.clone()).unwrap()["Certificate"].clone();
    assert_eq!(detail["Status"], "PENDING_VALIDATION");
    assert_eq!(
        detail["DomainValidationOptions"][1]["ResourceRecord"]["Type"],
        "CNAME"
    );
    assert_eq!(
        acm(caller, "GetCertificate", named).unwrap_err(),
        "RequestInProgressException"
    );
    assert_eq!(
        acm(caller, "RequestCertificate", json!({"DomainName": "-a.com"})).unwrap_err(),
        "ValidationException"
    );
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

#[test]
fn callers_are_told_who_they_are() {
    let answer = Caller::new()
        .call_of(Service::Sts, "GetCallerIdentity", json!({}))
        .unwrap();
    assert_eq!(answer["Arn"], "arn:aws:iam::123456789012:user/AKID");
}
