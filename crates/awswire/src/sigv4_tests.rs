use super::*;
use crate::Service;
use http::HeaderMap;

const KEY: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&str, &str)| {
        (
            http::HeaderName::from_bytes(name.as_bytes()).unwrap(),
            http::HeaderValue::from_str(value).unwrap(),
        )
    };
    pairs.iter().map(pair).collect()
}

fn known(key: &str) -> Option<String> {
    (key == KEY).then(|| SECRET.to_owned())
}

/// The worked example of AWS's "Create a signed request" page (IAM ListUsers), whose signature is published there.
#[test]
fn published_header_example() {
    let headers = headers(&[
        ("host", "iam.amazonaws.com"),
        ("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
        ("x-amz-date", "20150830T123600Z"),
        (
            "authorization",
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date, \
             Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
        ),
    ]);
    let request = HttpRequest {
        method: "GET",
        path: "/",
        query: "Action=ListUsers&Version=2010-05-08",
        headers: &headers,
        body: b"",
    };
    let at = Wall::from_seconds(parse_stamp("20150830T123600Z").unwrap());
    let scope = verify(&request, at, known).unwrap();
    assert_eq!(
        (scope.region.as_str(), scope.service.as_str()),
        ("us-east-1", "iam")
    );

    let late = verify(&request, at + Duration::from_secs(301), known).unwrap_err();
    assert_eq!(
        late,
        Problem::Expired(
            "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z (20150830T124101Z - 5 min.)"
                .to_owned()
        )
    );
    let early = verify(&request, Wall(at.0 - 301_000_000), known).unwrap_err();
    assert!(matches!(early, Problem::NotYet(_)));
    assert_eq!(verify(&request, at, |_| None).unwrap_err(), Problem::UnknownKey);
    assert_eq!(
        verify(&request, at, |_| Some("wrong".to_owned())).unwrap_err(),
        Problem::Mismatch(None)
    );
    let altered = HttpRequest {
        query: "Action=ListRoles&Version=2010-05-08",
        ..request
    };
    assert_eq!(verify(&altered, at, known).unwrap_err(), Problem::Mismatch(None));
    let altered = HttpRequest {
        body: b"x",
        ..request
    };
    assert_eq!(verify(&altered, at, known).unwrap_err(), Problem::Mismatch(None));
}

/// Made with botocore 1.43.11: `RequestSigner.generate_presigned_url` for sts GetCallerIdentity.
#[test]
fn presigned_by_botocore() {
    let at = Wall::from_seconds(parse_stamp("20261121T173601Z").unwrap());
    let headers = headers(&[("host", "127.0.0.1:4566"), ("user-agent", "anything")]);
    let query = "Action=GetCallerIdentity&\
        Version=2011-06-15&\
        X-Amz-Algorithm=AWS4-HMAC-SHA256&\
        X-Amz-Credential=AKIDEXAMPLE%2F20261121%2Flocal-1%2Fsts%2Faws4_request&\
        X-Amz-Date=20261121T173601Z&\
        X-Amz-Expires=900&\
        X-Amz-SignedHeaders=host&\
        X-Amz-Signature=e58f618ebcdf9db0dabee36d9a2e43fbac203f9a3a5c4adfa9483767458c207b";
    let request = HttpRequest {
        method: "POST",
        path: "/",
        query,
        headers: &headers,
        body: b"",
    };
    let scope = verify(&request, at + Duration::from_secs(899), known).unwrap();
    assert_eq!(scope.service, "sts");
    assert!(matches!(
        verify(&request, at + Duration::from_secs(901), known),
        Err(Problem::Expired(_))
    ));
    let longer = query.replace("X-Amz-Expires=900", "X-Amz-Expires=9000");
    let request = HttpRequest {
        query: &longer,
        ..request
    };
    assert_eq!(verify(&request, at, known).unwrap_err(), Problem::Mismatch(None));
}

#[test]
fn own_signature_verifies() {
    let now = Wall::from_seconds(1_700_000_000);
    let signer = Signer {
        access_key: KEY,
        secret: SECRET,
        region: "local-1",
        service: Service::Elbv2,
    };
    let body = b"Action=DescribeLoadBalancers&Version=2015-12-01";
    let content = ("content-type", "application/x-www-form-urlencoded");
    let added = sign(signer, "POST", "http://127.0.0.1:4566/", &[content], body, now).unwrap();
    let mut all = headers(&[content, ("host", "127.0.0.1:4566")]);
    for (name, value) in &added {
        all.insert(
            http::HeaderName::from_bytes(name.as_bytes()).unwrap(),
            value.parse().unwrap(),
        );
    }
    let request = HttpRequest {
        method: "POST",
        path: "/",
        query: "",
        headers: &all,
        body,
    };
    assert_eq!(
        verify(&request, now, known).unwrap().service,
        "elasticloadbalancing"
    );
    // A header of AWS's own must be signed; a signed session token belongs to no key that exists here.
    for name in ["x-amz-security-token", "x-amz-target"] {
        let mut more = all.clone();
        more.insert(name, "token".parse().unwrap());
        let request = HttpRequest {
            headers: &more,
            ..request
        };
        let text = format!("'{name}' must be a 'SignedHeader' in the AWS Authorization.");
        assert_eq!(
            verify(&request, now, known).unwrap_err(),
            Problem::Mismatch(Some(text))
        );
    }
    let mut more = all.clone();
    more.insert("x-amzn-trace-id", "Root=1".parse().unwrap());
    let request = HttpRequest {
        headers: &more,
        ..request
    };
    verify(&request, now, known).unwrap();
    let token = ("x-amz-security-token", "token");
    let added = sign(signer, "POST", "http://127.0.0.1:4566/", &[token], body, now).unwrap();
    let added = added.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let pairs: Vec<(&str, &str)> = added.chain([token, ("host", "127.0.0.1:4566")]).collect();
    let tokened = headers(&pairs);
    let request = HttpRequest {
        headers: &tokened,
        ..request
    };
    assert_eq!(verify(&request, now, known).unwrap_err(), Problem::UnknownKey);
}

/// `UNSIGNED-PAYLOAD` is for S3 only: other services sign the body whatever the header says, so the signatures differ.
#[test]
fn body_must_be_signed() {
    let now = Wall::from_seconds(1_700_000_000);
    let digest = ("x-amz-content-sha256", "UNSIGNED-PAYLOAD");
    let url = "http://127.0.0.1:4566/";
    let identity = Credentials::from_keys(KEY, SECRET, None).into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region("local-1")
        .name("elasticloadbalancing")
        .time(system_time(now.seconds()))
        .settings(SigningSettings::default())
        .build()
        .unwrap();
    let pairs = [digest].into_iter();
    let signable = SignableRequest::new("POST", url, pairs, SignableBody::UnsignedPayload).unwrap();
    let signed = aws_sigv4::http_request::sign(signable, &params.into()).unwrap();
    let (instructions, _) = signed.into_parts();
    let pairs: Vec<(&str, &str)> = instructions
        .headers()
        .chain([digest, ("host", "127.0.0.1:4566")])
        .collect();
    let headers = headers(&pairs);
    for body in ["", "Action=DeleteLoadBalancer"] {
        let request = HttpRequest {
            method: "POST",
            path: "/",
            query: "",
            headers: &headers,
            body: body.as_bytes(),
        };
        assert_eq!(
            verify(&request, now, known).unwrap_err(),
            Problem::Mismatch(None),
            "{body}"
        );
    }
}

/// Nothing is multiplied before a signature is known to be valid.
#[test]
fn headers_are_signed_once() {
    let names = format!("host;x-amz-date{}", ";a".repeat(5_000));
    let credential = format!("Credential={KEY}/20150830/us-east-1/iam/aws4_request");
    let signed = format!("AWS4-HMAC-SHA256 {credential}, SignedHeaders={names}, Signature=0");
    let headers = headers(&[
        ("host", "iam.amazonaws.com"),
        ("x-amz-date", "20150830T123600Z"),
        ("a", "1"),
        ("a", "2"),
        ("a", "3"),
        ("a", "4"),
        ("a", "5"),
        ("authorization", &signed),
    ]);
    let request = HttpRequest {
        method: "GET",
        path: "/",
        query: "",
        headers: &headers,
        body: b"",
    };
    let at = Wall::from_seconds(parse_stamp("20150830T123600Z").unwrap());
    let problem = verify(&request, at, known).unwrap_err();
    assert_eq!(problem, Problem::Mismatch(None));
}

#[test]
fn missing_and_incomplete_signatures() {
    let judge = |pairs: &[(&str, &str)], query: &str| {
        let headers = headers(pairs);
        let request = HttpRequest {
            method: "POST",
            path: "/",
            query,
            headers: &headers,
            body: b"",
        };
        verify(&request, Wall(0), known)
            .unwrap_err()
            .error(Protocol::Query)
    };
    let error = judge(&[], "");
    assert_eq!(
        (error.code.as_str(), error.status),
        ("MissingAuthenticationToken", 403)
    );
    let error = judge(
        &[(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=a/20150830/r/iam/aws4_request",
        )],
        "",
    );
    assert_eq!((error.code.as_str(), error.status), ("IncompleteSignature", 400));
    assert!(
        error.message.contains("'Signature' parameter"),
        "{}",
        error.message
    );
    assert_eq!(
        judge(&[("authorization", "Bearer x")], "").code,
        "IncompleteSignature"
    );
    assert_eq!(
        judge(&[], "X-Amz-Algorithm=AWS4-HMAC-SHA256").code,
        "IncompleteSignature"
    );
    let short = [
        (
            "authorization",
            "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=c",
        ),
        ("x-amz-date", "20150830T123600Z"),
    ];
    assert!(judge(&short, "").message.contains("5 slash-delimited"));
}

#[test]
fn codes_follow_the_service() {
    assert_eq!(
        Problem::UnknownKey.error(Protocol::Query).code,
        "InvalidClientTokenId"
    );
    assert_eq!(Problem::UnknownKey.error(Protocol::Ec2).status, 401);
    assert_eq!(
        Problem::UnknownKey.error(Protocol::Json11).code,
        "UnrecognizedClientException"
    );
    assert_eq!(
        Problem::Mismatch(None).error(Protocol::Json11).code,
        "InvalidSignatureException"
    );
}
