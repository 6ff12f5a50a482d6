//! Requests and answers on the wire, compared with AWS's documented texts.
#![allow(clippy::unwrap_used, missing_docs)]

use forebay_awswire::{Answer, ApiError, Call, HttpRequest, Protocol, Service, encode, open};
use http::HeaderMap;
use proptest::prelude::*;
use serde_json::{Value, json};

fn post(headers: &HeaderMap, body: &str) -> Result<(Call, Value), ApiError> {
    let request = HttpRequest {
        method: "POST",
        path: "/",
        query: "",
        headers,
        body: body.as_bytes(),
    };
    let call = open(&request).map_err(|refusal| refusal.error)?;
    let input = call.input(&request)?;
    Ok((call, input))
}

fn form(body: &str) -> Result<Value, ApiError> {
    post(&HeaderMap::new(), body).map(|(_, input)| input)
}

fn elbv2(rest: &str) -> Result<Value, ApiError> {
    form(&format!("Version=2015-12-01&{rest}"))
}

fn ec2(rest: &str) -> Result<Value, ApiError> {
    form(&format!("Version=2016-11-15&{rest}"))
}

fn acm(operation: &str, body: &str) -> Result<Value, ApiError> {
    let mut headers = HeaderMap::new();
    headers.insert(
        "x-amz-target",
        format!("CertificateManager.{operation}").parse().unwrap(),
    );
    post(&headers, body).map(|(_, input)| input)
}

fn text(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.body).unwrap()
}

#[test]
fn query_input_becomes_a_tree() {
    let input = elbv2(
        "Action=CreateRule&ListenerArn=arn&Priority=10&Conditions.member.1.Field=path-pattern\
         &Conditions.member.1.Values.member.1=%2Fa&Conditions.member.1.Values.member.5=%2Fb\
         &Actions.member.1.Type=forward&Actions.member.1.ForwardConfig.TargetGroups.member.1.TargetGroupArn=tg\
         &Actions.member.1.ForwardConfig.TargetGroups.member.1.Weight=7\
         &Actions.member.1.ForwardConfig.TargetGroupStickinessConfig.Enabled=true&Tags=",
    );
    // An empty list is sent as an empty value, and gaps in a list close.
    assert!(
        input.clone().unwrap_err().message.contains("at 'tags' failed"),
        "{input:?}"
    );
    let input = elbv2(
        "Action=CreateRule&ListenerArn=arn&Priority=10&Conditions.member.1.Field=path-pattern\
         &Conditions.member.1.Values.member.1=%2Fa&Conditions.member.1.Values.member.5=%2Fb\
         &Actions.member.1.Type=forward&Actions.member.1.ForwardConfig.TargetGroups.member.1.TargetGroupArn=tg\
         &Actions.member.1.ForwardConfig.TargetGroups.member.1.Weight=7\
         &Actions.member.1.ForwardConfig.TargetGroupStickinessConfig.Enabled=true&Unknown=ignored",
    )
    .unwrap();
    let expected = json!({
        "ListenerArn": "arn",
        "Priority": 10,
        "Conditions": [{"Field": "path-pattern", "Values": ["/a", "/b"]}],
        "Actions": [{"Type": "forward", "ForwardConfig": {
            "TargetGroups": [{"TargetGroupArn": "tg", "Weight": 7}],
            "TargetGroupStickinessConfig": {"Enabled": true},
        }}],
    });
    assert_eq!(input, expected);
}

#[test]
fn query_string_serves_as_well_as_a_body() {
    let headers = HeaderMap::new();
    let query = "Action=GetCallerIdentity&Version=2011-06-15";
    let request = HttpRequest {
        method: "GET",
        path: "/",
        query,
        headers: &headers,
        body: b"",
    };
    let call = open(&request).unwrap();
    assert_eq!(
        (call.service, call.operation.as_str()),
        (Service::Sts, "GetCallerIdentity")
    );
}

/// Amazon SQS Developer Guide, "Making Query API requests".
#[test]
fn a_queue_is_named_by_the_path_of_older_clients() {
    let headers = HeaderMap::new();
    for (named, wanted) in [("", "/1/a"), ("&QueueUrl=http://h/1/b", "http://h/1/b")] {
        let query = format!("Version=2012-11-05&Action=SendMessage&MessageBody=m{named}");
        let request = HttpRequest {
            method: "GET",
            path: "/1/a",
            query: &query,
            headers: &headers,
            body: b"",
        };
        let call = open(&request).unwrap();
        assert_eq!(call.service, Service::Sqs);
        assert_eq!(call.input(&request).unwrap()["QueueUrl"], wanted);
    }
}

#[test]
fn scope_names_the_service_and_region() {
    let mut headers = HeaderMap::new();
    let credential = "AWS4-HMAC-SHA256 Credential=AKID/20150830/eu-west-1/iam/aws4_request, SignedHeaders=host, Signature=0";
    headers.insert("authorization", credential.parse().unwrap());
    let (call, _) = post(&headers, "Action=ListServerCertificates&Version=2010-05-08").unwrap();
    assert_eq!(call.service, Service::Iam);
    assert_eq!(
        (call.region.as_deref(), call.access_key.as_deref()),
        (Some("eu-west-1"), Some("AKID"))
    );
    headers.insert(
        "authorization",
        credential.replace("/iam/", "/s3/").parse().unwrap(),
    );
    let error = post(&headers, "Action=ListBuckets").unwrap_err();
    assert_eq!(
        error.to_string(),
        "InvalidAction: The service s3 is not served by Forebay."
    );
}

#[test]
fn target_header_names_the_service() {
    for (target, service) in [
        ("CertificateManager.ListCertificates", Service::Acm),
        ("ResourceGroupsTaggingAPI_20170126.GetResources", Service::Tagging),
        ("AWSShield_20160616.GetSubscriptionState", Service::Shield),
        ("AWSWAF_20190729.GetWebACLForResource", Service::Wafv2),
        (
            "AWSWAF_Regional_20161128.GetWebACLForResource",
            Service::WafRegional,
        ),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-target", target.parse().unwrap());
        let request = HttpRequest {
            method: "POST",
            path: "/",
            query: "",
            headers: &headers,
            body: b"{}",
        };
        assert_eq!(open(&request).unwrap().service, service, "{target}");
        assert_eq!(Service::from_scope(service.scope()), Some(service));
    }
}

#[test]
fn actions_that_are_not_there() {
    assert_eq!(form("Version=2015-12-01").unwrap_err().code, "MissingAction");
    assert_eq!(
        elbv2("Action=Explode").unwrap_err().to_string(),
        "InvalidAction: The action Explode is not valid for this web service."
    );
    assert_eq!(
        ec2("Action=CreateVpnGateway").unwrap_err().to_string(),
        "InvalidAction: The action CreateVpnGateway of ec2 is not supported by Forebay yet."
    );
    assert_eq!(
        form("Action=DescribeLoadBalancers&Version=2012-06-01")
            .unwrap_err()
            .message,
        "Could not find operation DescribeLoadBalancers for version 2012-06-01"
    );
    assert_eq!(
        acm("Explode", "{}").unwrap_err().code,
        "UnknownOperationException"
    );
    assert_eq!(form("Action=%ff").unwrap_err().code, "MalformedQueryString");
}

#[test]
fn coral_texts_of_constraints() {
    let message = |rest: &str| elbv2(rest).unwrap_err().to_string();
    assert_eq!(
        message("Action=SetIpAddressType&LoadBalancerArn=a&IpAddressType=invalid"),
        "ValidationError: 1 validation error detected: Value 'invalid' at 'ipAddressType' failed to satisfy constraint: \
         Member must satisfy enum value set: [ipv4, dualstack, dualstack-without-public-ipv4]"
    );
    assert_eq!(
        message("Action=CreateListener&LoadBalancerArn=a&Port=70000&DefaultActions.member.1.Type=jump"),
        "ValidationError: 2 validation errors detected: Value 'jump' at 'defaultActions.1.member.type' failed to satisfy \
         constraint: Member must satisfy enum value set: [forward, authenticate-oidc, authenticate-cognito, redirect, \
         fixed-response, jwt-validation]; Value '70000' at 'port' failed to satisfy constraint: Member must have value less \
         than or equal to 65535"
    );
    assert_eq!(
        message("Action=DeleteRule"),
        "ValidationError: 1 validation error detected: Value null at 'ruleArn' failed to satisfy constraint: Member must not \
         be null"
    );
    assert_eq!(
        message("Action=DescribeLoadBalancers&PageSize=0"),
        "ValidationError: 1 validation error detected: Value '0' at 'pageSize' failed to satisfy constraint: Member must have \
         value greater than or equal to 1"
    );
    // AWS checks a transform's type last, and the types in another order than the model's.
    assert_eq!(
        message(
            "Action=CreateRule&ListenerArn=a&Priority=1&Conditions=&Actions=&Transforms.member.1.Unknown=x\
             &Transforms.member.2.Type=path-rewrite&Transforms.member.2.UrlRewriteConfig.Rewrites.member.1.Unknown=x"
        ),
        "ValidationError: 4 validation errors detected: Value null at 'transforms.1.member.type' failed to satisfy constraint: \
         Member must not be null; Value null at 'transforms.2.member.urlRewriteConfig.rewrites.1.member.regex' failed to satisfy \
         constraint: Member must not be null; Value null at 'transforms.2.member.urlRewriteConfig.rewrites.1.member.replace' \
         failed to satisfy constraint: Member must not be null; Value 'path-rewrite' at 'transforms.2.member.type' failed to \
         satisfy constraint: Member must satisfy enum value set: [url-rewrite, host-header-rewrite]"
    );
    let many: String = (1..=12)
        .map(|n| format!("&Transforms.member.{n}.Unknown=x"))
        .collect();
    let listed = message(&format!("Action=ModifyRule&RuleArn=a{many}"));
    assert!(listed.contains("10 validation errors detected"), "{listed}");
    let long = "k".repeat(129);
    assert_eq!(
        message(&format!(
            "Action=AddTags&ResourceArns.member.1=a&Tags.member.1.Key={long}"
        )),
        format!(
            "ValidationError: 1 validation error detected: Value '{long}' at 'tags.1.member.key' failed to satisfy \
             constraint: Member must have length less than or equal to 128"
        )
    );
    assert!(message("Action=AddTags&ResourceArns.member.1=a&Tags.member.1.Key=a%2A").contains(
        "at 'tags.1.member.key' failed to satisfy constraint: Member must satisfy regular expression pattern: "
    ));
    assert!(message("Action=DescribeTargetHealth&TargetGroupArn=a&Include.member.1=x").contains(
        "Value '[x]' at 'include' failed to satisfy constraint: Member must satisfy constraint: [Member must satisfy enum"
    ));
}

#[test]
fn operations_own_some_checks() {
    let input = elbv2("Action=ModifyListener&ListenerArn=a&Protocol=HTP").unwrap();
    assert_eq!(input["Protocol"], "HTP");
}

#[test]
fn wrong_types_are_refused() {
    assert_eq!(
        elbv2("Action=DescribeLoadBalancers&PageSize=ten")
            .unwrap_err()
            .code,
        "MalformedInput"
    );
    assert_eq!(
        elbv2("Action=CreateListener&Port.member=1").unwrap_err().code,
        "MalformedInput"
    );
    assert_eq!(
        elbv2("Action=DescribeTags&ResourceArns.member.x=1")
            .unwrap_err()
            .code,
        "MalformedInput"
    );
    assert_eq!(
        elbv2("Action=DescribeTags&ResourceArns=1").unwrap_err().code,
        "MalformedInput"
    );
    assert_eq!(
        ec2("Action=CreateVpc&DryRun=perhaps").unwrap_err().code,
        "InvalidParameterValue"
    );
    assert_eq!(
        acm("ListCertificates", "{").unwrap_err().code,
        "SerializationException"
    );
    assert_eq!(
        acm("ListCertificates", r#"{"MaxItems":"x"}"#).unwrap_err().code,
        "SerializationException"
    );
    // A large list index costs nothing extra.
    let input = elbv2("Action=DescribeTags&ResourceArns.member.4000000000=a").unwrap();
    assert_eq!(input["ResourceArns"], json!(["a"]));
}

#[test]
fn ec2_names_and_errors() {
    let input = ec2(
        "Action=DescribeVpcs&Filter.1.Name=tag%3AName&Filter.1.Value.1=a&Filter.1.Value.2=b&VpcId.1=vpc-1&MaxResults=5",
    )
    .unwrap();
    let filters = json!([{"Name": "tag:Name", "Values": ["a", "b"]}]);
    assert_eq!(
        input,
        json!({"Filters": filters, "VpcIds": ["vpc-1"], "MaxResults": 5})
    );
    assert_eq!(
        ec2("Action=DeleteVpc").unwrap_err().to_string(),
        "MissingParameter: The request must contain the parameter VpcId"
    );
    assert_eq!(
        ec2("Action=DeleteVpc&VpcId=v&Colour=red").unwrap_err().code,
        "UnknownParameter"
    );
}

#[test]
fn json_input_and_errors() {
    let input = acm(
        "AddTagsToCertificate",
        r#"{"CertificateArn":"arn:aws:acm:r:1:certificate/x","Tags":[{"Key":"a","Value":null}]}"#,
    );
    assert_eq!(input.unwrap()["Tags"], json!([{"Key": "a"}]));
    let error = acm("DescribeCertificate", "{}").unwrap_err();
    assert_eq!(
        error.to_string(),
        "ValidationException: 1 validation error detected: Value null at 'certificateArn' failed to satisfy constraint: \
         Member must not be null"
    );
    let answer = encode(
        Protocol::Json11,
        Some((Service::Acm, "DescribeCertificate")),
        "id",
        Err(&error),
    );
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(
        (answer.status, &body["__type"]),
        (400, &json!("ValidationException"))
    );
    assert!(
        answer
            .headers
            .contains(&("x-amzn-errortype", "ValidationException".to_owned()))
    );
}

#[test]
fn query_answers() {
    let value = json!({"LoadBalancers": [{
        "LoadBalancerName": "a<b>&\u{1}", "CreatedTime": 1_704_164_645.678, "NotAMember": 1, "AvailabilityZones": [],
    }]});
    let answer = encode(
        Protocol::Query,
        Some((Service::Elbv2, "DescribeLoadBalancers")),
        "id-1",
        Ok(&value),
    );
    assert_eq!(answer.status, 200);
    assert_eq!(
        text(&answer),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<DescribeLoadBalancersResponse \
         xmlns=\"http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/\"><DescribeLoadBalancersResult><LoadBalancers>\
         <member><AvailabilityZones></AvailabilityZones><CreatedTime>2024-01-02T03:04:05.678Z</CreatedTime>\
         <LoadBalancerName>a&lt;b&gt;&amp;\u{fffd}</LoadBalancerName></member></LoadBalancers>\
         </DescribeLoadBalancersResult><ResponseMetadata><RequestId>id-1</RequestId></ResponseMetadata>\
         </DescribeLoadBalancersResponse>"
    );
    let error = ApiError::sender("LoadBalancerNotFound", "none");
    let answer = encode(
        Protocol::Query,
        Some((Service::Elbv2, "DescribeLoadBalancers")),
        "id-1",
        Err(&error),
    );
    assert!(text(&answer).ends_with(
        "<Error><Type>Sender</Type><Code>LoadBalancerNotFound</Code><Message>none</Message></Error>\
         <RequestId>id-1</RequestId></ErrorResponse>"
    ));
}

#[test]
fn ec2_answers() {
    let value =
        json!({"Vpcs": [{"VpcId": "vpc-1", "IsDefault": true, "Tags": [{"Key": "k", "Value": "v"}]}]});
    let answer = encode(
        Protocol::Ec2,
        Some((Service::Ec2, "DescribeVpcs")),
        "id-1",
        Ok(&value),
    );
    assert!(text(&answer).ends_with(
        "<requestId>id-1</requestId><vpcSet><item><isDefault>true</isDefault><tagSet><item><key>k</key><value>v</value>\
         </item></tagSet><vpcId>vpc-1</vpcId></item></vpcSet></DescribeVpcsResponse>"
    ), "{}", text(&answer));
    let answer = encode(
        Protocol::Ec2,
        Some((Service::Ec2, "DeleteVpc")),
        "id-1",
        Ok(&Value::Null),
    );
    assert!(text(&answer).contains("<return>true</return>"));
    let error = ApiError::sender("InvalidVpcID.NotFound", "none");
    let answer = encode(Protocol::Ec2, None, "id-1", Err(&error));
    assert!(text(&answer).ends_with(
        "<Response><Errors><Error><Code>InvalidVpcID.NotFound</Code><Message>none</Message></Error></Errors>\
         <RequestID>id-1</RequestID></Response>"
    ));
}

fn operation() -> impl Strategy<Value = (Service, &'static str)> {
    let all: Vec<(Service, &'static str)> = Service::ALL
        .into_iter()
        .flat_map(|service| {
            service
                .operations()
                .into_iter()
                .map(move |operation| (service, operation))
        })
        .collect();
    proptest::sample::select(all)
}

fn name() -> impl Strategy<Value = String> {
    let step = prop_oneof![
        Just("member"),
        Just("1"),
        Just("2"),
        Just("Tags"),
        Just("Actions"),
        Just("Conditions"),
        Just("Filter"),
        Just("Value"),
        Just("Name"),
        Just("Port"),
        Just(""),
        Just("%"),
        Just("99999999999"),
        Just("Targets"),
        Just("Id"),
    ];
    proptest::collection::vec(step, 1..6).prop_map(|steps| steps.join("."))
}

proptest! {
    #[test]
    fn any_bytes_are_answered(body in proptest::collection::vec(any::<u8>(), 0..300), query in "\\PC{0,80}",
                              auth in "\\PC{0,80}", target in "\\PC{0,40}", post in any::<bool>()) {
        let mut headers = HeaderMap::new();
        for (name, value) in [("authorization", auth), ("x-amz-target", target)] {
            if let Ok(value) = http::HeaderValue::from_bytes(value.as_bytes()) {
                headers.insert(name, value);
            }
        }
        let method = if post { "POST" } else { "GET" };
        let request = HttpRequest { method, path: "/", query: &query, headers: &headers, body: &body };
        if let Ok(call) = open(&request) {
            let _ = call.input(&request);
        }
        let _ = forebay_awswire::sigv4::verify(&request, forebay_units::Wall(0), |_| Some("s".to_owned()));
    }

    #[test]
    fn any_form_of_any_operation_is_answered(
        (service, operation) in operation(),
        pairs in proptest::collection::vec((name(), "[a-z0-9%+&=-]{0,12}"), 0..12),
        json in "[\\[\\]{}:,\"a-zA-Z0-9]{0,60}",
    ) {
        let mut headers = HeaderMap::new();
        let mut body = json;
        if service.protocols()[0].is_json() {
            headers.insert("x-amz-target", format!("CertificateManager.{operation}").parse().unwrap());
        } else {
            let scope = format!(
                "AWS4-HMAC-SHA256 Credential=AKID/20150830/r/{}/aws4_request, SignedHeaders=host, Signature=0", service.scope()
            );
            headers.insert("authorization", scope.parse().unwrap());
            body = format!("Action={operation}&Version=2015-12-01");
            for (name, value) in pairs {
                body.push_str(&format!("&{name}={value}"));
            }
        }
        if let Err(error) = post(&headers, &body) {
            prop_assert!((400..500).contains(&error.status), "{error}");
        }
    }

    #[test]
    fn any_answer_is_well_formed_xml((service, operation) in operation(), text in "\\PC*", control in any::<char>()) {
        let value = json!({"LoadBalancers": [{"LoadBalancerName": format!("{text}{control}")}], "Arn": text.clone()});
        for result in [Ok(&value), Err(&ApiError::sender("Code", format!("{text}{control}")))] {
            for &protocol in service.protocols() {
                let answer = encode(protocol, Some((service, operation)), "id", result);
                if protocol.is_form() {
                    let mut reader = quick_xml::Reader::from_reader(answer.body.as_slice());
                    while !matches!(reader.read_event().unwrap(), quick_xml::events::Event::Eof) {}
                }
            }
        }
    }
}
