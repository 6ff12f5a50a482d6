//! A service that first spoke Query and also speaks JSON and CBOR (awsQueryCompatible): all three read the same input,
//! and their errors have the same codes.
#![allow(clippy::unwrap_used, missing_docs)]

use ciborium::Value as Cbor;
use ciborium::cbor;
use forebay_awswire::{Answer, ApiError, Call, HttpRequest, Protocol, Service, encode, open};
use http::HeaderMap;
use serde_json::{Value, json};

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let pairs = pairs.iter().map(|(name, value)| {
        let name = http::HeaderName::from_static(name);
        (name, value.parse().unwrap())
    });
    pairs.collect()
}

fn read(path: &str, headers: &HeaderMap, body: &[u8]) -> (Call, Result<Value, ApiError>) {
    let request = HttpRequest {
        method: "POST",
        path,
        query: "",
        headers,
        body,
    };
    let call = open(&request).unwrap();
    assert_eq!(call.service, Service::CloudWatch);
    let input = call.input(&request);
    (call, input)
}

fn in_query(operation: &str, rest: &str) -> (Call, Result<Value, ApiError>) {
    let body = format!("Version=2010-08-01&Action={operation}&{rest}");
    read("/", &HeaderMap::new(), body.as_bytes())
}

fn in_json(operation: &str, body: &Value) -> (Call, Result<Value, ApiError>) {
    let headers = headers(&[
        (
            "x-amz-target",
            &format!("GraniteServiceVersion20100801.{operation}"),
        ),
        ("content-type", "application/x-amz-json-1.0"),
    ]);
    read("/", &headers, body.to_string().as_bytes())
}

fn in_cbor(operation: &str, body: &Cbor) -> (Call, Result<Value, ApiError>) {
    let headers = headers(&[
        ("smithy-protocol", "rpc-v2-cbor"),
        ("content-type", "application/cbor"),
    ]);
    let mut bytes = Vec::new();
    ciborium::into_writer(body, &mut bytes).unwrap();
    let path = format!("/service/GraniteServiceVersion20100801/operation/{operation}");
    read(&path, &headers, &bytes)
}

#[test]
fn all_three_read_the_same() {
    let datum = json!({"MetricName": "m", "Value": 1.5, "Timestamp": 1_700_000_000, "Dimensions": [{"Name": "a", "Value": "b"}]});
    let wanted = json!({"Namespace": "App", "MetricData": [datum]});
    let tagged = Cbor::Tag(1, Box::new(Cbor::from(1_700_000_000)));
    let packed = cbor!({"Namespace" => "App", "MetricData" => [
        {"MetricName" => "m", "Value" => 1.5, "Timestamp" => tagged, "Dimensions" => [{"Name" => "a", "Value" => "b"}]},
    ]});
    let form = "Namespace=App&MetricData.member.1.MetricName=m&MetricData.member.1.Value=1.5\
                &MetricData.member.1.Timestamp=2023-11-14T22%3A13%3A20Z&MetricData.member.1.Dimensions.member.1.Name=a\
                &MetricData.member.1.Dimensions.member.1.Value=b";
    for (protocol, (call, input)) in [
        (Protocol::Query, in_query("PutMetricData", form)),
        (Protocol::Json10, in_json("PutMetricData", &wanted)),
        (Protocol::Cbor, in_cbor("PutMetricData", &packed.unwrap())),
    ] {
        assert_eq!(call.protocol, protocol);
        let mut input = input.unwrap();
        let at = &mut input["MetricData"][0]["Timestamp"];
        *at = json!(at.as_f64().unwrap() as i64);
        assert_eq!(input, wanted, "{protocol:?}");
    }
}

/// A value cannot represent them, so operations see their names and refuse them.
#[test]
fn numbers_that_are_not_finite_are_told_by_name() {
    let wanted = json!({"Namespace": "App", "MetricData": [{"MetricName": "m", "Value": "NaN"}]});
    let packed = cbor!({"Namespace" => "App", "MetricData" => [{"MetricName" => "m", "Value" => f64::NAN}]});
    let form = "Namespace=App&MetricData.member.1.MetricName=m&MetricData.member.1.Value=NaN";
    for (_, input) in [
        in_query("PutMetricData", form),
        in_json("PutMetricData", &wanted),
        in_cbor("PutMetricData", &packed.unwrap()),
    ] {
        assert_eq!(input.unwrap(), wanted);
    }
}

#[test]
fn what_breaks_the_models_rules_has_the_same_code_in_all_three() {
    for (_, input) in [
        in_query("DescribeAlarms", "StateValue=BAD"),
        in_json("DescribeAlarms", &json!({"StateValue": "BAD"})),
        in_cbor("DescribeAlarms", &cbor!({"StateValue" => "BAD"}).unwrap()),
    ] {
        assert_eq!(input.unwrap_err().code, "ValidationError");
    }
}

fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    let found = answer.headers.iter().find(|header| header.0 == name);
    found.map(|header| header.1.as_str())
}

#[test]
fn errors_tell_querys_code_beside_their_own() {
    let error = ApiError::sender("InvalidParameterValue", "no such value");
    let call = Some((Service::CloudWatch, "PutMetricData"));
    let answer = encode(Protocol::Json10, call, "id", Err(&error));
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(
        body,
        json!({"__type": "InvalidParameterValueException", "message": "no such value"})
    );
    assert_eq!(
        header(&answer, "x-amzn-query-error"),
        Some("InvalidParameterValue;Sender")
    );
    assert_eq!(
        header(&answer, "x-amzn-errortype"),
        Some("InvalidParameterValueException")
    );
    let answer = encode(Protocol::Cbor, call, "id", Err(&error));
    let body: Cbor = ciborium::from_reader(&*answer.body).unwrap();
    let kind = Cbor::from("InvalidParameterValueException");
    assert!(body.as_map().unwrap().contains(&(Cbor::from("__type"), kind)));
    assert_eq!(
        header(&answer, "x-amzn-query-error"),
        Some("InvalidParameterValue;Sender")
    );
    let answer = encode(Protocol::Query, call, "id", Err(&error));
    assert!(
        String::from_utf8(answer.body.clone())
            .unwrap()
            .contains("<Code>InvalidParameterValue</Code>")
    );
    assert_eq!(header(&answer, "x-amzn-query-error"), None);
    // The server's fault; and a code that the model does not have is its own shape.
    let error = ApiError::receiver(500, "Broken", "us");
    let answer = encode(Protocol::Json10, call, "id", Err(&error));
    assert_eq!(header(&answer, "x-amzn-query-error"), Some("Broken;Receiver"));
    assert_eq!(header(&answer, "x-amzn-errortype"), Some("Broken"));
    // A service that never spoke Query sends only one code.
    let answer = encode(
        Protocol::Json11,
        Some((Service::Shield, "GetSubscriptionState")),
        "id",
        Err(&error),
    );
    assert_eq!(header(&answer, "x-amzn-query-error"), None);
}
