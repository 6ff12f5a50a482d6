//! The data plane before targets that speak HTTP/2.

#![allow(clippy::unwrap_used, reason = "a test says what failed by where it failed")]

mod harness;

use bytes::Bytes;
use forebay_model::*;
use harness::secure::*;
use harness::*;
use std::io::{Read, Write};
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

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
}

/// Asks for this over a connection of its own and waits for the answer's first bytes.
fn get(balancer: &Balancer, config: &Arc<rustls::ClientConfig>, path: &str) -> Client {
    let mut stream = balancer.shake(config, "a").unwrap();
    let mut head = vec![0x82, 0x87, 0x01, 1, b'a', 0x04, u8::try_from(path.len()).unwrap()];
    head.extend_from_slice(path.as_bytes());
    let sent = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        frame(4, 0, 0, &[]),
        frame(1, 5, 1, &head),
    ];
    stream.write_all(&sent.concat()).unwrap();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).unwrap();
        let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
        stream.read_exact(&mut payload).unwrap();
        if head[3] == 0 && !payload.is_empty() {
            assert_eq!(payload.escape_ascii().to_string(), "ok");
            return stream;
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
    balancer.secure(
        "TLS13-1-2-2021-06",
        &[&certificate("own", &["a"], KeyKind::Ecdsa)],
    );
    let mut config = (*client(rustls::ALL_VERSIONS, BOTH).0).clone();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let config = Arc::new(config);
    let _long = get(&balancer, &config, "/long");
    let get = || drop(get(&balancer, &config, "/"));
    wait(|| {
        get();
        connections.load(SeqCst) > 1
    });
    (0..5).for_each(|_| get());
    assert_eq!(connections.load(SeqCst), 2, "one more for all that follow");
}
