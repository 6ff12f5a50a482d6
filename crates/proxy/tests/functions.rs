//! The data plane in front of a function.

#![allow(clippy::unwrap_used, reason = "a test says what failed by where it failed")]

mod harness;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use forebay_functions::{FunctionError, InvokeError};
use forebay_model::*;
use harness::fake::*;
use harness::frames::*;
use harness::*;
use serde_json::json;
use std::io::Read;
use std::net::Shutdown;
use std::sync::Arc;
use std::time::Duration;

const MIB: usize = 1024 * 1024;

#[test]
fn a_request_becomes_an_event() {
    let functions = Fake::echo();
    let balancer = serve(&functions);
    let (head, body) = Client::of(&balancer).ask(
        "POST /a%20b?x=1&x=%32 HTTP/1.1\r\nHost: shop.example\r\nContent-Type: application/json\r\nX-One: 1\r\nx-one: 2\r\n\
         Connection: keep-alive\r\nContent-Length: 8\r\n\r\n{\"a\": 1}",
    );
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    let event = event_of(&body);
    let port = balancer.address.port();
    let trace = event["headers"]["x-amzn-trace-id"].as_str().unwrap().to_owned();
    assert!(trace.starts_with("Root=1-"), "{trace}");
    let wanted = json!({
        "requestContext": {"elb": {"targetGroupArn": "group"}},
        "httpMethod": "POST",
        "path": "/a%20b",
        "queryStringParameters": {"x": "%32"},
        "headers": {
            "content-length": "8",
            "content-type": "application/json",
            "host": format!("shop.example:{port}"),
            "x-amzn-trace-id": trace,
            "x-forwarded-for": "127.0.0.1",
            "x-forwarded-port": port.to_string(),
            "x-forwarded-proto": "http",
            "x-one": "2",
        },
        "body": "{\"a\": 1}",
        "isBase64Encoded": false,
    });
    assert_eq!(event, wanted);
    let asked = functions.asked.lock().unwrap();
    assert_eq!(
        (asked[0].function.as_str(), asked[0].trace.as_deref()),
        (FUNCTION.strip_suffix(":live").unwrap(), Some(&*trace))
    );
}

#[test]
fn all_values_go_both_ways_where_that_is_asked_for() {
    let functions = Fake::new(|event| {
        let body = event.to_string();
        Some(said(&json!({
            "statusCode": 200,
            "multiValueHeaders": {"Set-Cookie": ["a=1", "b=2"], "Connection": ["close"], "Content-Length": ["1"]},
            "body": body,
        })))
    });
    let balancer = serve(&functions);
    balancer.edit_group(|group| group.settings.multi_value_headers = true);
    let (head, body) =
        Client::of(&balancer).ask("GET /?a=1&b&a=2 HTTP/1.1\r\nHost: a\r\nX: 1\r\nx: 2\r\n\r\n");
    let event = event_of(&body);
    assert_eq!(event["multiValueHeaders"]["x"], json!(["1", "2"]));
    assert_eq!(
        event["multiValueQueryStringParameters"],
        json!({"a": ["1", "2"], "b": [""]})
    );
    assert!(head.contains("Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n"), "{head}");
    assert!(head.contains("Connection: keep-alive\r\n"), "{head}");
    assert!(
        head.contains(&format!("Content-Length: {}\r\n", body.len())),
        "{head}"
    );
}

#[test]
fn a_connection_carries_one_request_after_the_other() {
    let functions = Fake::new(|event| {
        let (status, description) = match event["path"].as_str().unwrap() {
            "/empty" => (204, "204 Nothing"),
            "/same" => (304, "304 Not Modified"),
            _ => (201, "201 Made it"),
        };
        Some(said(&json!({
            "statusCode": status.to_string(), "statusDescription": description, "headers": {"X": "y"},
            "isBase64Encoded": true, "body": STANDARD.encode(b"\x00\xffhello"),
        })))
    });
    let balancer = serve(&functions);
    let mut client = Client::of(&balancer);
    // Bodies come in pieces of any size, with the next request behind them.
    client.send(b"POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    client.send(b"2\r\nde\r\n0\r\n\r\nHEAD /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    let (head, body) = read_answer(&mut client.0);
    assert!(
        head.starts_with("HTTP/1.1 201 Made it\r\n") && head.contains("X: y\r\n"),
        "{head}"
    );
    assert_eq!(body, b"\x00\xffhello");
    // An answer to HEAD states the length of a body it does not have. A client that waited for one would take the next
    // answer for it.
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let mut byte = [0];
        client.0.read_exact(&mut byte).unwrap();
        head.push(char::from(byte[0]));
    }
    assert!(
        head.starts_with("HTTP/1.1 201 ") && head.contains("Content-Length: 7\r\n"),
        "{head}"
    );
    for (path, line) in [
        ("/empty", "HTTP/1.1 204 Nothing"),
        ("/same", "HTTP/1.1 304 Not Modified"),
    ] {
        let (head, body) = client.ask(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert!(head.starts_with(line) && body.is_empty(), "{head}");
        assert!(!head.to_ascii_lowercase().contains("content-length"), "{head}");
    }
    let asked = functions.asked.lock().unwrap();
    let first = event_of(&asked[0].payload);
    assert_eq!(
        (&first["body"], &first["isBase64Encoded"]),
        (&json!("YWJjZGU="), &json!(true))
    );
    assert!(first["headers"].get("transfer-encoding").is_none(), "{first}");
}

#[test]
fn a_megabyte_goes_up_and_not_a_byte_more() {
    let functions = Fake::new(|event| {
        let length = event["body"].as_str().unwrap().len();
        Some(said(&json!({"statusCode": 200, "body": length.to_string()})))
    });
    let balancer = serve(&functions);
    let text = "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\n";
    let with_length = |length: usize| format!("{text}Content-Length: {length}\r\n\r\n{}", "a".repeat(length));
    let in_chunks = |length: usize| {
        let body = "a".repeat(length);
        format!("{text}Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n")
    };
    for request in [with_length(MIB), in_chunks(MIB)] {
        let (head, body) = Client::of(&balancer).ask(&request);
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert_eq!(body, MIB.to_string().as_bytes());
    }
    assert_eq!(balancer.lambda_errors(), (0, 0));
    // Refused at the head if that states the length, and a client that waits is not told to send the body.
    let waits = format!(
        "{text}Expect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        MIB + 1
    );
    assert_eq!(status_of(&balancer, &waits), "413");
    assert_eq!(status_of(&balancer, &in_chunks(MIB + 1)), "413");
    assert_eq!(functions.times_asked(), 2);
    wait(|| balancer.lambda_errors() == (2, 0));
}

#[test]
fn a_megabyte_comes_down_and_not_a_byte_more() {
    let functions = Fake::new(|event| {
        let empty = json!({"statusCode": 200, "body": ""}).to_string().len();
        let more = event["queryStringParameters"].get("more").is_some();
        let body = "b".repeat(MIB - empty + usize::from(more));
        Some(said(&json!({"statusCode": 200, "body": body})))
    });
    let balancer = serve(&functions);
    let mut client = Client::of(&balancer);
    let (head, body) = client.ask(GET);
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(body.len() > MIB - 64 && body.iter().all(|&byte| byte == b'b'));
    let (head, _) = client.ask("GET /?more HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
    assert!(
        head.contains("Server: awselb/2.0\r\n") && head.contains("keep-alive"),
        "{head}"
    );
}

#[test]
fn what_is_no_answer_is_502() {
    let failed = |error| invoked(b"{\"errorType\": \"E\"}".to_vec(), Some(error));
    for (answer, errors) in [
        (failed(FunctionError::Unhandled), (1, 0)),
        (failed(FunctionError::TimedOut), (1, 0)),
        (failed(FunctionError::Crashed), (1, 0)),
        (Err(InvokeError::NotFound), (1, 0)),
        (Err(InvokeError::Concurrency), (1, 0)),
        (Err(InvokeError::ReservedConcurrency), (1, 0)),
        (Err(InvokeError::Unavailable("x".into())), (0, 1)),
        (invoked(b"no JSON".to_vec(), None), (1, 0)),
        (said(&json!({"body": "no status"})), (1, 0)),
        (
            said(&json!({"statusCode": 200, "headers": {"a": "b\r\nc: d"}})),
            (1, 0),
        ),
        (
            said(&json!({"statusCode": 200, "headers": {"a": "b".repeat(40_000)}})),
            (1, 0),
        ),
    ] {
        let balancer = serve(&Fake::says(answer.clone()));
        assert_eq!(status_of(&balancer, GET), "502", "{answer:?}");
        wait(|| balancer.lambda_errors() == errors);
    }
}

#[test]
fn a_function_that_says_nothing_is_504() {
    let functions = Fake::holding();
    let settings = BalancerSettings {
        idle_timeout: Duration::from_secs(1),
        ..BalancerSettings::default()
    };
    let balancer = start(&functions, settings);
    assert_eq!(status_of(&balancer, GET), "504");
    wait(|| balancer.lambda_errors() == (0, 1));
    // Its answer then goes nowhere.
    functions.release();
    assert_eq!(balancer.open().0, 0);
}

#[test]
fn a_client_that_leaves_does_not_wait_on() {
    let functions = Fake::holding();
    let balancer = serve(&functions);
    let mut client = Client::of(&balancer);
    client.send(GET.as_bytes());
    wait(|| functions.holds(1) && balancer.open().0 == 1);
    client.0.get_ref().shutdown(Shutdown::Both).unwrap();
    drop(client);
    wait(|| balancer.open() == (0, 0));
    assert_eq!(balancer.lambda_errors(), (0, 0));
}

#[test]
fn a_body_that_breaks_off_is_no_event() {
    let functions = Fake::echo();
    let balancer = serve(&functions);
    let mut client = Client::of(&balancer);
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    client.0.get_ref().shutdown(Shutdown::Write).unwrap();
    let (head, _) = read_answer(&mut client.0);
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
    assert_eq!(functions.times_asked(), 0);
}

#[test]
fn neither_websockets_nor_bytes_that_are_no_characters() {
    let functions = Fake::echo();
    let balancer = serve(&functions);
    let upgrade = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    assert_eq!(status_of(&balancer, upgrade), "400");
    wait(|| balancer.lambda_errors() == (1, 0));
    let mut client = Client::of(&balancer);
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\n\xff");
    let (head, _) = read_answer(&mut client.0);
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
    wait(|| balancer.lambda_errors() == (2, 0));
    assert_eq!(functions.times_asked(), 0);
}

#[test]
fn streams_of_http2_are_requests_like_others() {
    let functions = Fake::new(|event| {
        let body = format!("{}{}", event["body"].as_str().unwrap(), "z".repeat(100_000));
        Some(said(
            &json!({"statusCode": 200, "headers": {"Connection": "close"}, "body": body}),
        ))
    });
    let balancer = serve(&functions);
    let config = front(&balancer);
    let mut client = Frames::open(&balancer, &config, 1 << 20);
    client.send(&[
        get(1, "/a", false),
        frame(DATA, 0, 1, b"hel"),
        frame(DATA, END_STREAM, 1, b"lo"),
    ]);
    // The connection's window lets no more through at once.
    client.send(&[frame(8, 0, 0, &(1_u32 << 20).to_be_bytes())]);
    let head = client.next();
    assert_eq!((head.stream, status(&head)), (1, 200));
    let mut body = Vec::new();
    loop {
        let data = client.next();
        assert_eq!((data.kind, data.stream), (DATA, 1));
        body.extend(data.payload);
        if data.flags & END_STREAM != 0 {
            break;
        }
    }
    // Without a content type: ALB passes such bytes to a function in Base64.
    assert!(body.starts_with(b"aGVsbG8=zz"), "{}", body[..20].escape_ascii());
    assert_eq!(body.len(), 8 + 100_000);
    let asked = functions.asked.lock().unwrap();
    assert_eq!(
        event_of(&asked[0].payload)["headers"]["x-forwarded-proto"],
        "https"
    );
}

#[test]
fn a_stream_that_is_reset_does_not_wait_on() {
    let functions = Fake::holding();
    let balancer = serve(&functions);
    let config = front(&balancer);
    let mut client = Frames::open(&balancer, &config, 65_535);
    client.send(&[get(1, "/", true)]);
    wait(|| functions.holds(1));
    client.send(&[frame(RST_STREAM, 0, 1, &8_u32.to_be_bytes())]);
    wait(|| balancer.open().0 == 0);
}

#[test]
fn what_is_in_flight_fails_when_its_function_is_deregistered() {
    let functions = Fake::holding();
    let balancer = serve(&functions);
    let mut client = Client::of(&balancer);
    client.send(GET.as_bytes());
    wait(|| functions.holds(1));
    balancer.edit_group(|group| group.targets[0].draining = true);
    let (head, _) = read_answer(&mut client.0);
    assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
    assert_eq!(status_of(&balancer, GET), "503");
    let drained = balancer.drained.lock().unwrap().blocking_recv().unwrap();
    assert_eq!((drained.target.as_str(), drained.port), (FUNCTION, 0));
}

#[test]
fn a_function_gets_as_many_at_once_as_its_groups_tag_says() {
    let functions = Fake::holding();
    let balancer = serve(&functions);
    balancer.edit_group(|group| {
        group.settings.queue = Some(Arc::new(QueueSettings::of(Concurrency::Fixed(1))));
    });
    let (mut first, mut second) = (Client::of(&balancer), Client::of(&balancer));
    first.send(GET.as_bytes());
    wait(|| functions.holds(1));
    second.send(GET.as_bytes());
    wait(|| balancer.waiting() == 1);
    assert!(functions.holds(1));
    functions.release();
    assert_eq!(read_answer(&mut first.0).1, b"late");
    wait(|| functions.holds(1));
    functions.release();
    assert_eq!(read_answer(&mut second.0).1, b"late");
}

#[test]
fn a_client_stays_with_its_function() {
    let balancer = serve(&Fake::echo());
    balancer.edit_group(|group| group.settings.stickiness = Stickiness::Balancer { seconds: 60 });
    let (head, _) = Client::of(&balancer).ask(GET);
    assert!(head.contains("Set-Cookie: AWSALB="), "{head}");
}

#[test]
fn bodies_and_events_count_for_the_ceiling() {
    let functions = Fake::echo();
    let settings = BalancerSettings::default();
    let balancer = Balancer::of_function(Arc::clone(&functions) as _, settings, None, MIB);
    let post = |length: usize| {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length";
        format!("{head}: {length}\r\n\r\n{}", "a".repeat(length))
    };
    // The body and the event made from it.
    assert_eq!(status_of(&balancer, &post(600_000)), "503");
    assert_eq!(functions.times_asked(), 0);
    for _ in 0..5 {
        assert_eq!(status_of(&balancer, &post(200_000)), "200");
    }
}

#[test]
fn without_health_checks_a_function_is_unavailable_and_gets_requests() {
    let functions = Fake::echo();
    let balancer = serve(&functions);
    let wanted = TargetHealth {
        state: HealthState::Unavailable,
        reason: Some(HealthReason::HealthCheckDisabled),
    };
    assert_eq!(balancer.function_health(), Some(wanted));
    assert_eq!(status_of(&balancer, GET), "200");
    // It was not invoked by anyone else.
    assert_eq!(functions.times_asked(), 1);
}
