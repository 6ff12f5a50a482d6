//! The data plane before targets that speak HTTP/2.

#![allow(clippy::unwrap_used, reason = "a test says what failed by where it failed")]

mod harness;

use bytes::Bytes;
use forebay_model::*;
use harness::*;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// Answers "ok". After a request for /long, whose answer never ends, its connection takes no more. Counts connections.
fn ends_connections(connections: Arc<AtomicUsize>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                connections.fetch_add(1, SeqCst);
                tokio::spawn(serve(stream));
            }
        });
    });
    address
}

async fn serve(stream: tokio::net::TcpStream) {
    let mut connection = h2::server::handshake(stream).await.unwrap();
    let mut open = Vec::new();
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let is_long = request.uri().path() == "/long";
        let mut body = respond.send_response(http::Response::new(()), false).unwrap();
        body.send_data(Bytes::from_static(b"ok"), !is_long).unwrap();
        if is_long {
            open.push(body);
            connection.graceful_shutdown();
        }
    }
}

#[test]
fn a_connection_that_takes_no_more_is_not_tried_again() {
    let first = answering(|_, _| b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec());
    let balancer = Balancer::simple(&first);
    let connections = Arc::new(AtomicUsize::new(0));
    let address = ends_connections(Arc::clone(&connections));
    balancer.edit_group(|group| {
        group.version = ProtocolVersion::Http2;
        group.health.enabled = false;
        group.targets[0].address = Some(address);
        group.targets[0].port = address.port();
    });
    let mut long = BufReader::new(balancer.connect());
    long.get_mut()
        .write_all(b"GET /long HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    let mut line = String::new();
    while line != "ok\r\n" {
        line.clear();
        assert!(long.read_line(&mut line).unwrap() > 0, "the answer begins");
    }
    let get = || {
        let answer = balancer.exchange(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    };
    wait(|| {
        get();
        connections.load(SeqCst) > 1
    });
    (0..5).for_each(|_| get());
    assert_eq!(connections.load(SeqCst), 2, "one more for all that follow");
}
