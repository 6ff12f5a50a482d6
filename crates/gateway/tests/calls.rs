//! API calls over real connections, against a journal in memory.
#![allow(clippy::unwrap_used, missing_docs)]

mod harness;

use forebay_awswire::Service;
use forebay_control::State;
use forebay_gateway::{Bounds, credentials, serve};
use harness::{Disk, Harness};
use http::{Request, StatusCode};
use http_body_util::Full;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, mpsc};

fn make(name: &str) -> String {
    format!("Action=CreateTargetGroup&Name={name}&TargetType=lambda")
}

#[tokio::test]
async fn signed_calls_are_answered_and_published() {
    let harness = Harness::open("signed", true, false, Disk::default());
    let reply = harness.call(&make("one")).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    let id = reply.headers["x-amzn-requestid"].to_str().unwrap();
    assert!(reply.body.contains(&format!("<RequestId>{id}</RequestId>")));
    assert_eq!((id.len(), &id[14..15]), (36, "4"));
    assert_eq!(
        harness.published.0.load(Ordering::SeqCst),
        harness.context.writer().state().generation()
    );
    let reply = harness
        .call("Action=DescribeTargetGroups&Names.member.1=one")
        .await;
    assert!(
        reply.body.contains("<TargetGroupName>one</TargetGroupName>"),
        "{}",
        reply.body
    );
    let reply = harness
        .call("Action=DescribeTargetGroups&Names.member.1=two")
        .await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    assert!(
        reply.body.contains("<Code>TargetGroupNotFound</Code>"),
        "{}",
        reply.body
    );
}

/// Newer SDKs use CBOR for services that list it.
#[tokio::test]
async fn calls_in_cbor_are_answered_in_cbor() {
    let harness = Harness::open("cbor", true, false, Disk::default());
    let path = "/service/AWSShield_20160616/operation/GetSubscriptionState";
    // RFC 8949: an empty map; then a map of one pair of text strings.
    let (status, headers, body) = harness.call_cbor(Service::Shield, path, b"\xa0").await;
    assert_eq!(
        (status, &headers["content-type"]),
        (StatusCode::OK, &"application/cbor".parse().unwrap())
    );
    assert_eq!(headers["smithy-protocol"], "rpc-v2-cbor");
    assert_eq!(body, b"\xa1\x71SubscriptionState\x68INACTIVE".as_slice());
    // An operation whose model is left out, then invalid CBOR, then an unknown key: all answered in CBOR.
    let path = "/service/AWSShield_20160616/operation/CreateProtection";
    let (status, headers, body) = harness.call_cbor(Service::Shield, path, b"\xa0").await;
    assert_eq!(
        (status, &headers["content-type"]),
        (StatusCode::BAD_REQUEST, &"application/cbor".parse().unwrap())
    );
    let holds = |body: &[u8], code: &[u8]| body.windows(code.len()).any(|part| part == code);
    assert!(holds(&body, b"UnknownOperationException"), "{body:?}");
    let path = "/service/ResourceGroupsTaggingAPI_20170126/operation/GetTagKeys";
    let (_, _, body) = harness.call_cbor(Service::Tagging, path, b"\xff").await;
    assert!(holds(&body, b"SerializationException"), "{body:?}");
    credentials::delete(&harness.folder.join("credentials"), "default").unwrap();
    let (_, headers, body) = harness.call_cbor(Service::Tagging, path, b"\xa0").await;
    assert_eq!(headers["content-type"], "application/cbor");
    assert!(holds(&body, b"UnrecognizedClientException"), "{body:?}");
}

/// AWS clients compress large bodies of some calls; their signature covers the compressed bytes.
#[tokio::test]
async fn compressed_bodies_are_read_within_their_bound() {
    let harness = Harness::open("gzip", true, false, Disk::default());
    let body = format!("Version=2015-12-01&{}", make("packed"));
    let reply = harness.send(harness.compressed(body.as_bytes())).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    assert!(reply.body.contains("<TargetGroupName>packed</TargetGroupName>"));
    // A kilobyte that would become two megabytes.
    let bomb = vec![b'a'; 2 << 20];
    let reply = harness.send(harness.compressed(&bomb)).await;
    assert_eq!(reply.status, StatusCode::PAYLOAD_TOO_LARGE, "{}", reply.body);
    let packed = [("content-encoding", "gzip")];
    let reply = harness.send(harness.signed(&packed, b"no gzip".to_vec())).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    assert!(reply.body.contains("MalformedInput"), "{}", reply.body);
}

#[tokio::test]
async fn unsigned_and_wrong_signatures_are_refused() {
    let harness = Harness::open("unsigned", true, false, Disk::default());
    let mut request = harness.request("Version=2015-12-01&Action=DescribeTargetGroups");
    request.headers_mut().remove("authorization");
    let reply = harness.send(request).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    assert!(reply.body.contains("<Code>MissingAuthenticationToken</Code>"));
    let mut request = harness.request("Version=2015-12-01&Action=DescribeTargetGroups");
    *request.body_mut() = Full::from("Version=2015-12-01&Action=DescribeListeners");
    assert!(
        harness
            .send(request)
            .await
            .body
            .contains("<Code>SignatureDoesNotMatch</Code>")
    );
    credentials::delete(&harness.folder.join("credentials"), "default").unwrap();
    let reply = harness.call("Action=DescribeTargetGroups").await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    assert!(reply.body.contains("<Code>InvalidClientTokenId</Code>"));
    // The error once said only that the token was invalid, which did not help a user with a key of AWS in the environment.
    assert!(reply.body.contains("forebay env"), "{}", reply.body);
}

#[tokio::test]
async fn full_disk_refuses_and_recovers() {
    let harness = Harness::open("full", true, false, Disk::default());
    harness.disk.full.store(true, Ordering::SeqCst);
    let reply = harness.call(&make("one")).await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        reply.body.contains("<Code>ServiceUnavailable</Code>"),
        "{}",
        reply.body
    );
    let listed = harness.call("Action=DescribeTargetGroups").await;
    assert!(!listed.body.contains("<TargetGroupName>"), "{}", listed.body);
    assert!(!harness.context.writer().stores());
    harness.disk.full.store(false, Ordering::SeqCst);
    assert_eq!(harness.call(&make("one")).await.status, StatusCode::OK);
}

/// The health page once said that all was well while no change could be stored. And a call must not be needed to notice
/// that storing works again.
#[tokio::test]
async fn a_disk_with_room_again_is_noticed_without_a_call() {
    let harness = Harness::open("again", true, false, Disk::default());
    harness.disk.full.store(true, Ordering::SeqCst);
    assert!(harness.context.writer().stores());
    harness.call(&make("one")).await;
    assert!(!harness.context.writer().stores());
    harness.disk.full.store(false, Ordering::SeqCst);
    let noticed = async {
        while !harness.context.writer().stores() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), noticed)
        .await
        .unwrap();
}

#[tokio::test]
async fn waiting_writes_share_a_commit() {
    let (tokens, gate) = mpsc::channel();
    let disk = Disk {
        gate: Some(Arc::new(Mutex::new(gate))),
        ..Disk::default()
    };
    let harness = Harness::open("group", true, false, disk);
    let writer = harness.context.writer().clone();
    let (entered, first_runs) = tokio::sync::oneshot::channel();
    let grow = |state: &State| Some(state.reset());
    let first = writer.change(Box::new(move |state, _| {
        let _ = entered.send(());
        grow(state)
    }));
    // The first write is at the disk while the others queue up; each future is polled once by `join`.
    let rest = async {
        first_runs.await.unwrap();
        let mut waiting: Vec<_> = (0..20)
            .map(|_| Box::pin(writer.change(Box::new(move |state, _| grow(state)))))
            .collect();
        std::future::poll_fn(|context| {
            for change in &mut waiting {
                assert!(change.as_mut().poll(context).is_pending());
            }
            std::task::Poll::Ready(())
        })
        .await;
        tokens.send(()).unwrap();
        tokens.send(()).unwrap();
        for change in waiting {
            change.await.unwrap();
        }
    };
    let (first, ()) = tokio::join!(first, rest);
    first.unwrap();
    assert_eq!(harness.disk.commits.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_panic_is_one_500_and_no_more() {
    let harness = Harness::open("panic", true, false, Disk::default());
    let error = harness
        .context
        .writer()
        .change(Box::new(|_, _| panic!("a bug")))
        .await
        .unwrap_err();
    assert_eq!((error.status, error.code.as_str()), (500, "InternalFailure"));
    assert_eq!(harness.call(&make("one")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn reset_needs_leave() {
    let harness = Harness::open("reset-no", true, false, Disk::default());
    let reset = || {
        Request::post(format!("http://{}/moto-api/reset", harness.address))
            .body(Full::default())
            .unwrap()
    };
    let reply = harness.send(reset()).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    assert!(reply.body.contains("--enable-reset"));
    let harness = Harness::open("reset-yes", false, true, Disk::default());
    assert_eq!(harness.call(&make("one")).await.status, StatusCode::OK);
    for (name, value) in [("origin", "http://example.com"), ("sec-fetch-site", "cross-site")] {
        for path in [
            "moto-api/reset",
            "?Action=DescribeTargetGroups&Version=2015-12-01",
        ] {
            let page = Request::post(format!("http://{}/{path}", harness.address))
                .header(name, value)
                .body(Full::default())
                .unwrap();
            let reply = harness.send(page).await;
            assert_eq!(reply.status, StatusCode::FORBIDDEN, "{path}: {}", reply.body);
        }
    }
    let rebound = Request::get(format!(
        "http://{}/?Action=CreateVpc&CidrBlock=10.0.0.0/16",
        harness.address
    ))
    .header("host", "evil.test")
    .body(Full::default())
    .unwrap();
    let reply = harness.send(rebound).await;
    assert!(
        reply.status == StatusCode::FORBIDDEN && reply.body.contains("--allowed-host"),
        "{}",
        reply.body
    );
    let listed = harness.call("Action=DescribeTargetGroups").await;
    assert!(listed.body.contains("<TargetGroupName>"));
    let reset = Request::post(format!("http://{}/moto-api/reset", harness.address))
        .body(Full::default())
        .unwrap();
    assert_eq!(harness.send(reset).await.status, StatusCode::OK);
    let listed = harness.call("Action=DescribeTargetGroups").await;
    assert!(!listed.body.contains("<TargetGroupName>"));
}

#[tokio::test]
async fn bounds_and_strangers() {
    let harness = Harness::open("bounds", false, false, Disk::default());
    let large = harness
        .raw(b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2000000\r\nconnection: close\r\n\r\n")
        .await;
    assert!(large.starts_with("HTTP/1.1 413 "), "{large}");
    let mut head = b"GET / HTTP/1.1\r\nhost: localhost\r\nx-long: ".to_vec();
    head.extend(std::iter::repeat_n(b'a', 300 << 10));
    head.extend(b"\r\n\r\n");
    let long = harness.raw(&head).await;
    // The connection is closed on the unread rest, which may overtake the answer.
    assert!(long.is_empty() || long.starts_with("HTTP/1.1 431 "), "{long}");
    let hello = harness
        .raw(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        .await;
    assert!(hello.starts_with("HTTP/1.1 200 OK"), "{hello}");
    let hello = harness
        .raw(b"HEAD / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        .await;
    assert!(hello.starts_with("HTTP/1.1 200 OK"), "{hello}");
    let lost = harness
        .raw(b"DELETE /x HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        .await;
    assert!(lost.starts_with("HTTP/1.1 405 "), "{lost}");
    // Without signatures a bare GET is a call.
    let call = harness.raw(b"GET /?Action=DescribeTargetGroups&Version=2015-12-01 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    assert!(call.contains("<DescribeTargetGroupsResult>"), "{call}");
}

#[tokio::test]
async fn stops_when_told() {
    let harness = Harness::open("stop", true, false, Disk::default());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(serve(
        listener,
        Bounds::default(),
        Arc::clone(&harness.context),
        async move {
            let _ = stopped.await;
        },
    ));
    let idle = tokio::net::TcpStream::connect(address).await.unwrap();
    stop.send(()).unwrap();
    serving.await.unwrap().unwrap();
    drop(idle);
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
