//! Callers who keep us waiting before they are authenticated.
#![allow(clippy::unwrap_used, missing_docs)]

mod harness;

use forebay_gateway::Bounds;
use harness::{Disk, Harness, Reply};
use http::StatusCode;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Shorter than the limits of a call and of an idle connection, so that neither ends the wait.
const SOON: Duration = Duration::from_secs(10);

async fn call(harness: &Harness) -> Reply {
    let answered = tokio::time::timeout(SOON, harness.call("Action=DescribeTargetGroups"));
    answered.await.unwrap()
}

/// The head of a signed call with a body of `length` bytes.
fn head(harness: &Harness, length: usize, change: impl Fn(&str, &str) -> Option<String>) -> Vec<u8> {
    let request = harness.request("Version=2015-12-01&Action=DescribeTargetGroups");
    let mut head = format!("POST / HTTP/1.1\r\nhost: {}\r\n", harness.address);
    for (name, value) in request.headers() {
        let value = value.to_str().unwrap();
        let value = change(name.as_str(), value).unwrap_or_else(|| value.to_owned());
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!("content-length: {length}\r\n\r\n");
    head.into_bytes()
}

/// With as many silent connections as allowed, a signed call once waited until their 30 s were over.
#[tokio::test]
async fn silent_connections_keep_nobody_out() {
    let bounds = Bounds::of(8);
    let harness = Harness::bounded("silent", true, false, Disk::default(), bounds);
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(TcpStream::connect(&harness.address).await.unwrap());
    }
    assert_eq!(call(&harness).await.status, StatusCode::OK);
    // Only the connection that had waited for longest was closed.
    let mut byte = [0];
    let first = tokio::time::timeout(SOON, silent[0].read(&mut byte)).await;
    assert!(matches!(first.unwrap(), Ok(0) | Err(_)));
    let last = silent[49].try_read(&mut byte).unwrap_err();
    assert_eq!(last.kind(), std::io::ErrorKind::WouldBlock);
}

/// The answer to these bytes.
async fn told(stream: &mut TcpStream, bytes: &[u8]) -> String {
    tokio::time::timeout(SOON, stream.write_all(bytes))
        .await
        .unwrap()
        .unwrap();
    let mut answer = vec![0; 4096];
    let read = tokio::time::timeout(SOON, stream.read(&mut answer))
        .await
        .unwrap();
    String::from_utf8_lossy(&answer[..read.unwrap()]).into_owned()
}

/// A call with an unknown key or an old date was once refused only when its body had come, or after 30 s.
#[tokio::test]
async fn keys_and_dates_are_refused_before_the_body() {
    let harness = Harness::open("early", true, false, Disk::default());
    let unknown = head(&harness, 2000, |name, value| {
        (name == "authorization").then(|| value.replacen("AKIA", "AKIX", 1))
    });
    let old = head(&harness, 2000, |name, value| match name {
        "x-amz-date" => Some(format!("2016{}", &value[4..])),
        "authorization" => {
            let (key, rest) = value.split_once('/')?;
            Some(format!("{key}/2016{}", &rest[4..]))
        }
        _ => None,
    });
    for (wrong, code, words) in [
        (unknown, "InvalidClientTokenId", "security token"),
        (old, "SignatureDoesNotMatch", "Signature expired: 2016"),
    ] {
        let mut stream = TcpStream::connect(&harness.address).await.unwrap();
        let answer = told(&mut stream, &wrong).await;
        assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
        assert!(answer.contains(code) && answer.contains(words), "{answer}");
    }
}

/// Without a scope, only the body shows which service is meant; such a body may only be short.
#[tokio::test]
async fn unsigned_bodies_are_short() {
    let harness = Harness::open("short", true, false, Disk::default());
    let unsigned = |length: usize| format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n");
    let body = "Action=DescribeInstances&Version=2016-11-15";
    let mut stream = TcpStream::connect(&harness.address).await.unwrap();
    let answer = told(&mut stream, (unsigned(body.len()) + body).as_bytes()).await;
    assert!(
        answer.contains("<Response><Errors><Error><Code>MissingAuthenticationToken"),
        "{answer}"
    );
    let mut stream = TcpStream::connect(&harness.address).await.unwrap();
    let answer = told(&mut stream, unsigned(20_000).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

/// A call that is refused by its head sees its answer although its whole body was sent first, and its connection stays.
#[tokio::test]
async fn refused_bodies_are_read_to_their_end() {
    let harness = Harness::open("whole", true, false, Disk::default());
    let length = 900_000;
    let mut wrong = head(&harness, length, |name, value| {
        (name == "authorization").then(|| value.replacen("AKIA", "AKIX", 1))
    });
    wrong.resize(wrong.len() + length, b'a');
    let mut stream = TcpStream::connect(&harness.address).await.unwrap();
    for _ in 0..2 {
        stream.write_all(&wrong).await.unwrap();
        let mut answer = vec![0; 4096];
        let read = tokio::time::timeout(SOON, stream.read(&mut answer))
            .await
            .unwrap();
        let answer = String::from_utf8_lossy(&answer[..read.unwrap()]).into_owned();
        assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    }
}

/// Bodies in progress once held as much as came: a gigabyte for 1,000 of them. Now 32 MiB is for all, and the one that has
/// waited for longest makes room.
#[tokio::test]
async fn bodies_share_a_budget() {
    let harness = Harness::open("bodies", true, false, Disk::default());
    let length = 1 << 20;
    let mut started = head(&harness, length, |_, _| None);
    started.resize(started.len() + length - 1, b'a');
    let mut holders = Vec::new();
    for _ in 0..40 {
        let mut stream = TcpStream::connect(&harness.address).await.unwrap();
        tokio::time::timeout(SOON, stream.write_all(&started))
            .await
            .unwrap()
            .unwrap();
        holders.push(stream);
    }
    assert_eq!(call(&harness).await.status, StatusCode::OK);
    // Eight are too many; the first eight were closed.
    let mut byte = [0];
    for first in &mut holders[..8] {
        let read = tokio::time::timeout(SOON, first.read(&mut byte)).await.unwrap();
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    }
    let last = holders[39].try_read(&mut byte).unwrap_err();
    assert_eq!(last.kind(), std::io::ErrorKind::WouldBlock);
    // A complete body is answered: its signature does not match.
    let answer = told(&mut holders[39], b"a").await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
}

/// Archives of functions that together exceed their room once waited for each other until their time was over.
#[tokio::test]
async fn large_archives_wait_for_each_other_before_they_are_read() {
    let harness = Harness::open("archives", false, false, Disk::default());
    const LENGTH: usize = 60 << 20;
    let upload = || {
        let address = harness.address.clone();
        async move {
            let mut stream = TcpStream::connect(&address).await.unwrap();
            let head = format!(
                "POST /2015-03-31/functions HTTP/1.1\r\nhost: {address}\r\ncontent-length: {LENGTH}\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            let piece = vec![b' '; 1 << 20];
            for _ in 0..LENGTH / piece.len() {
                stream.write_all(&piece).await.unwrap();
            }
            told(&mut stream, b"").await
        }
    };
    let both = tokio::time::timeout(2 * SOON, async { tokio::join!(upload(), upload()) });
    let (one, other) = both.await.unwrap();
    // Neither is signed, which only matters once the body has come.
    for answer in [one, other] {
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    }
}

/// Refusals of requests whose body was not read were once XML for every service.
#[tokio::test]
async fn lambda_is_refused_in_json() {
    let harness = Harness::open("refusals", false, false, Disk::default());
    for (path, length, status, code) in [
        (
            "/2015-03-31/functions",
            80 << 20,
            413,
            "RequestEntityTooLargeException",
        ),
        (
            "/2015-03-31/functions/f/invocations",
            8 << 20,
            413,
            "RequestTooLargeException",
        ),
    ] {
        let mut stream = TcpStream::connect(&harness.address).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n",
            harness.address
        );
        let answer = told(&mut stream, head.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        let head = answer.to_ascii_lowercase();
        assert!(head.contains("content-type: application/json"), "{answer}");
        let kind = format!("x-amzn-errortype: {}", code.to_ascii_lowercase());
        assert!(head.contains(&kind), "{answer}");
    }
}
