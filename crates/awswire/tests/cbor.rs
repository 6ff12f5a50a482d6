//! Calls in RPC v2 CBOR, from the envelope to the answer. The bytes are written and read by a codec without a model.
#![allow(clippy::unwrap_used, missing_docs)]

use ciborium::Value as Cbor;
use ciborium::cbor;
use forebay_awswire::{Answer, ApiError, Call, HttpRequest, Protocol, Service, encode, open};
use http::HeaderMap;
use proptest::prelude::*;
use serde_json::{Value, json};

const GET_RESOURCES: &str = "/service/ResourceGroupsTaggingAPI_20170126/operation/GetResources";

fn bytes(value: &Cbor) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).unwrap();
    bytes
}

fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("smithy-protocol", "rpc-v2-cbor".parse().unwrap());
    headers.insert("content-type", "application/cbor".parse().unwrap());
    headers
}

fn post(path: &str, headers: &HeaderMap, body: &[u8]) -> Result<(Call, Value), (Protocol, ApiError)> {
    let request = HttpRequest {
        method: "POST",
        path,
        query: "",
        headers,
        body,
    };
    let call = open(&request).map_err(|refusal| (refusal.protocol, refusal.error))?;
    let input = call.input(&request).map_err(|error| (call.protocol, error))?;
    Ok((call, input))
}

fn code(path: &str, body: &[u8]) -> String {
    let (protocol, error) = post(path, &headers(), body).unwrap_err();
    assert_eq!(protocol, Protocol::Cbor);
    error.code
}

fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    let found = answer.headers.iter().find(|header| header.0 == name);
    found.map(|header| header.1.as_str())
}

#[test]
fn call_is_read_and_answered_in_cbor() {
    let body = cbor!({
        "TagFilters" => [{"Key" => "team", "Values" => ["a", "b"]}],
        "ResourcesPerPage" => 5.0,
        "PaginationToken" => null,
        "IncludeComplianceDetails" => true,
        "NoMember" => {"of" => "AWS"},
    });
    let (call, input) = post(GET_RESOURCES, &headers(), &bytes(&body.unwrap())).unwrap();
    assert_eq!((call.service, call.protocol), (Service::Tagging, Protocol::Cbor));
    let expected = json!({"TagFilters": [{"Key": "team", "Values": ["a", "b"]}], "ResourcesPerPage": 5,
        "IncludeComplianceDetails": true});
    assert_eq!(input, expected);

    let value = json!({"PaginationToken": "", "ResourceTagMappingList": [{"ResourceARN": "arn", "Tags": []}], "Other": 1});
    let answer = encode(
        call.protocol,
        Some((call.service, &call.operation)),
        "id-1",
        Ok(&value),
    );
    assert_eq!(answer.status, 200);
    assert_eq!(header(&answer, "content-type"), Some("application/cbor"));
    assert_eq!(header(&answer, "smithy-protocol"), Some("rpc-v2-cbor"));
    assert_eq!(header(&answer, "x-amzn-requestid"), Some("id-1"));
    let body: Value = ciborium::from_reader(&*answer.body).unwrap();
    let expected =
        json!({"PaginationToken": "", "ResourceTagMappingList": [{"ResourceARN": "arn", "Tags": []}]});
    assert_eq!(body, expected);
}

#[test]
fn empty_body_is_an_empty_input() {
    let path = "/service/AWSShield_20160616/operation/GetSubscriptionState";
    let (call, input) = post(path, &headers(), b"").unwrap();
    assert_eq!((call.service, input), (Service::Shield, json!({})));
    // Some endpoints have a path of their own before it.
    let (call, _) = post(&format!("/local{path}"), &headers(), b"").unwrap();
    assert_eq!(call.operation, "GetSubscriptionState");
}

#[test]
fn errors_bear_the_codes_of_the_protocol() {
    let unknown = "/service/AWSShield_20160616/operation/Nothing";
    assert_eq!(code(unknown, b""), "UnknownOperationException");
    let unserved = "/service/AWSShield_20160616/operation/CreateProtection";
    assert_eq!(code(unserved, b""), "UnknownOperationException");
    assert_eq!(
        code("/service/Nobody/operation/Nothing", b""),
        "UnknownOperationException"
    );
    assert_eq!(code("/", b""), "UnknownOperationException");
    let many = cbor!({"ResourceARNList" => vec!["arn"; 101]}).unwrap();
    assert_eq!(code(GET_RESOURCES, &bytes(&many)), "ValidationException");
    for wrong in [
        cbor!({"ResourcesPerPage" => "5"}),
        cbor!({"ResourcesPerPage" => 1.5}),
        cbor!({"TagFilters" => {"Key" => "k"}}),
        cbor!({"TagFilters" => [null]}),
        cbor!({7 => "a"}),
        cbor!([]),
    ] {
        assert_eq!(
            code(GET_RESOURCES, &bytes(&wrong.unwrap())),
            "SerializationException"
        );
    }
    let error = ApiError::sender("InvalidParameterException", "no");
    let answer = encode(
        Protocol::Cbor,
        Some((Service::Tagging, "GetResources")),
        "id",
        Err(&error),
    );
    let body: Value = ciborium::from_reader(&*answer.body).unwrap();
    assert_eq!(
        body,
        json!({"__type": "InvalidParameterException", "message": "no"})
    );
    assert_eq!((answer.status, header(&answer, "x-amzn-errortype")), (400, None));
}

/// The credential scope names a service that does not speak CBOR, so the answer is in a protocol that it does speak.
#[test]
fn service_that_does_not_speak_cbor_answers_in_its_own_protocol() {
    let mut headers = headers();
    let scope = "AWS4-HMAC-SHA256 Credential=AKID/20150830/r/elasticloadbalancing/aws4_request, SignedHeaders=host, Signature=0";
    headers.insert("authorization", scope.parse().unwrap());
    let (protocol, error) = post(GET_RESOURCES, &headers, b"").unwrap_err();
    assert_eq!(
        (protocol, error.code.as_str()),
        (Protocol::Query, "MissingAction")
    );
    // Without a scope the path names the service, and acm does not speak CBOR.
    assert_eq!(
        code("/service/CertificateManager/operation/ListCertificates", b""),
        "UnknownOperationException"
    );
}

#[test]
fn service_that_speaks_both_answers_in_the_one_asked() {
    let mut headers = HeaderMap::new();
    let target = "ResourceGroupsTaggingAPI_20170126.GetTagKeys";
    headers.insert("x-amz-target", target.parse().unwrap());
    let (call, _) = post("/", &headers, b"{}").unwrap();
    assert_eq!(call.protocol, Protocol::Json11);
    let answer = encode(
        call.protocol,
        Some((call.service, &call.operation)),
        "id",
        Ok(&json!({})),
    );
    assert_eq!(
        header(&answer, "content-type"),
        Some("application/x-amz-json-1.1")
    );
}

/// Each of these is a megabyte that asks for far more.
#[test]
fn hostile_bytes_cost_neither_stack_nor_memory() {
    for (first, rest) in [
        // Endless arrays, maps and tags.
        (vec![], 0x9f),
        (vec![], 0x81),
        (vec![], 0xbf),
        (vec![], 0xa1),
        (vec![], 0xc1),
        // Byte strings, text strings, arrays and maps with 2^63 items.
        (vec![0x5b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], 0),
        (vec![0x7b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], 0),
        (vec![0x9b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], 0),
        (vec![0xbb, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], 0),
        // Strings in endless pieces.
        (vec![], 0x5f),
        (vec![], 0x7f),
    ] {
        let mut body = first;
        body.resize(1 << 20, rest);
        assert_eq!(code(GET_RESOURCES, &body), "SerializationException");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_answered(body in proptest::collection::vec(any::<u8>(), 0..300), name in "[A-Za-z0-9_/]{0,40}") {
        for path in [GET_RESOURCES, &name] {
            if let Err((_, error)) = post(path, &headers(), &body) {
                prop_assert!((400..500).contains(&error.status), "{error}");
            }
        }
    }
}
