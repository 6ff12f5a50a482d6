//! ACM's operations, as clients call them.

use crate::testing::{Caller, certificate_input, text};
use forebay_awswire::Service;
use serde_json::{Value, json};

fn acm(caller: &mut Caller, operation: &str, input: Value) -> Result<Value, String> {
    caller
        .call_of(Service::Acm, operation, input)
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
    // Regression: a certificate without a chain had no CertificateChain, which Ansible's module requires.
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
    let options = json!({"CertificateTransparencyLoggingPreference": "DISABLED"});
    let change = json!({"CertificateArn": arn, "Options": options});
    acm(caller, "UpdateCertificateOptions", change).unwrap();
    let detail = acm(caller, "DescribeCertificate", named.clone()).unwrap()["Certificate"].clone();
    assert_eq!(detail["Options"], options);
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
