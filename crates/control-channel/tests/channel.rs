//! Both ends of a channel, with a node's own gate behind one and a permit issuer behind the other.
#![allow(clippy::unwrap_used, missing_docs)]

use bytes::Bytes;
use forebay_control_channel::{Identity, Keeper, Now, Server};
use forebay_model::{
    Blueprint, Concurrency, GroupBlueprint, GroupSettings, HealthCheck, QueueSettings, fixtures,
};
use forebay_node::{ChannelOrder, Channels as _, Node, Output, PermitIssuer};
use forebay_units::Mono;
use h2::SendStream;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use std::future::poll_fn;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_rustls::{TlsAcceptor, TlsConnector};

fn clock() -> Now {
    let began = Instant::now();
    Arc::new(move || Mono(began.elapsed().as_nanos() as u64))
}

fn wait(what: &str, condition: impl Fn() -> bool) -> Duration {
    let began = Instant::now();
    while !condition() {
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "{what} did not come to hold"
        );
        std::thread::yield_now();
    }
    began.elapsed()
}

/// An agent at this address. Port 0 takes a free port.
fn serve(at: SocketAddr, limit: u32, incarnation: u64, now: &Now) -> (Server, SocketAddr, Arc<PermitIssuer>) {
    let (chain, key) = identity();
    let identity = Identity { chain, key };
    let listener = TcpListener::bind(at).unwrap();
    let address = listener.local_addr().unwrap();
    let permit_issuer = Arc::new(PermitIssuer::new(limit, incarnation));
    let server = Server::start(listener, identity, Arc::clone(&permit_issuer), Arc::clone(now)).unwrap();
    (server, address, permit_issuer)
}

/// A node, and its order of a channel for a group with one target whose agent is at this address.
fn order(agent: SocketAddr) -> (Node, ChannelOrder) {
    let target = fixtures::target((agent.ip(), 80));
    let group = GroupBlueprint {
        health: HealthCheck {
            enabled: false,
            ..fixtures::health_check()
        },
        settings: GroupSettings {
            queue: Some(Arc::new(QueueSettings::of(Concurrency::Agent))),
            control_port: Some(agent.port()),
            ..GroupSettings::default()
        },
        ..fixtures::group("group", vec![target])
    };
    let mut node = Node::new(1);
    node.apply(
        Mono(1),
        &Blueprint {
            generation: 1,
            groups: vec![Arc::new(group)],
            ..Blueprint::default()
        },
    );
    let mut orders = Vec::new();
    while let Some(output) = node.poll_output() {
        if let Output::Channels(wanted) = output {
            orders = wanted;
        }
    }
    assert_eq!(orders.len(), 1);
    (node, orders.remove(0))
}

#[test]
fn permits_come_go_and_come_back_with_the_agent() {
    let now = clock();
    let (server, address, permit_issuer) = serve("127.0.0.1:0".parse().unwrap(), 5, 1, &now);
    let (_node, order) = order(address);
    assert_eq!(order.address, address);
    let gate = Arc::clone(&order.gate);
    let keeper = Keeper::start("test".into(), 1, Arc::clone(&now)).unwrap();
    keeper.keep(vec![order.clone()]);
    wait("five slots", || gate.figures().free == 5);
    assert_eq!(permit_issuer.with(|permits| permits.figures().outstanding), 5);

    permit_issuer.change(|permits| permits.set_limit(now(), 2));
    wait("two slots", || gate.figures().free == 2);
    wait("two are out", || {
        permit_issuer.with(|permits| permits.figures().outstanding) == 2
    });

    drop(server);
    wait("nothing is left", || gate.figures().free == 0);
    let (_server, _, second) = serve(address, 3, 2, &now);
    let took = wait("three slots of the second run", || gate.figures().free == 3);
    assert!(took < Duration::from_secs(1), "{took:?}");

    keeper.keep(vec![]);
    wait("the channel is given up", || {
        second.with(|permits| permits.figures().sessions) == 0
    });
    assert_eq!(gate.figures().free, 0);
    assert!(second.with(|permits| permits.is_idle()));
    // The gate takes only one listener and can still be ordered again.
    keeper.keep(vec![order]);
    wait("three slots again", || gate.figures().free == 3);
}

#[test]
fn two_nodes_share_one_limit() {
    let now = clock();
    let (_server, address, permit_issuer) = serve("127.0.0.1:0".parse().unwrap(), 8, 1, &now);
    let nodes: Vec<_> = (0..4)
        .map(|index| {
            let (node, order) = order(address);
            let keeper = Keeper::start(format!("node-{index}"), index, Arc::clone(&now)).unwrap();
            keeper.keep(vec![order.clone()]);
            (node, order, keeper)
        })
        .collect();
    wait("two each", || {
        nodes.iter().all(|(_, order, _)| order.gate.figures().free == 2)
    });
    assert_eq!(permit_issuer.with(|permits| permits.figures().outstanding), 8);
}

#[test]
fn who_is_no_agent_is_counted_as_an_error_and_tried_again() {
    let now = clock();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let (_node, order) = order(silent.local_addr().unwrap());
    let gate = Arc::clone(&order.gate);
    let keeper = Keeper::start("test".into(), 1, Arc::clone(&now)).unwrap();
    keeper.keep(vec![order]);
    // Each connection is closed without a byte.
    for _ in 0..3 {
        drop(silent.accept().unwrap());
    }
    wait("errors are counted", || {
        gate.channels.errors.load(std::sync::atomic::Ordering::Relaxed) >= 2
    });
    assert_eq!(gate.channels.active.load(std::sync::atomic::Ordering::Relaxed), 0);
}

/// A message in gRPC's framing.
fn framed(message: &[u8]) -> Bytes {
    let length = (message.len() as u32).to_be_bytes();
    Bytes::from([&[0], &length[..], message].concat())
}

const HELLO: &[u8] = &[0x0a, 2, 8, 1];
const WELCOME: &[u8] = &[0x0a, 2, 8, 1];
const RECALL: &[u8] = &[0x1a, 0];

fn identity() -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let made = rcgen::generate_simple_self_signed(vec!["agent".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    (vec![made.cert.der().clone()], key.into())
}

/// Sends this message as soon as the other end has room for it; false once the stream is closed.
async fn say(stream: &mut SendStream<Bytes>, message: &[u8]) -> bool {
    let mut bytes = framed(message);
    while !bytes.is_empty() {
        stream.reserve_capacity(bytes.len());
        match poll_fn(|cx| stream.poll_capacity(cx)).await {
            Some(Ok(room)) => {
                let part = bytes.split_to(room.min(bytes.len()));
                if stream.send_data(part, false).is_err() {
                    return false;
                }
            }
            _ => return false,
        }
    }
    true
}

/// An agent that reads nothing and recalls permits without end. Returns after how many recalls the node gave it up, or
/// none if it never did.
async fn recalls_without_end(listener: TcpListener, most: usize) -> Option<usize> {
    let (chain, key) = identity();
    let mut config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let (tcp, _) = listener.accept().await.unwrap();
    let tls = TlsAcceptor::from(Arc::new(config)).accept(tcp).await.unwrap();
    let mut builder = h2::server::Builder::new();
    let mut connection = builder.initial_window_size(0).handshake(tls).await.unwrap();
    let (_request, mut respond) = connection.accept().await.unwrap().unwrap();
    let head = http::Response::builder().header("content-type", "application/grpc");
    let mut stream = respond.send_response(head.body(()).unwrap(), false).unwrap();
    let driver = tokio::spawn(async move { while let Some(Ok(_)) = connection.accept().await {} });
    assert!(say(&mut stream, WELCOME).await);
    for said in 0..most {
        if !say(&mut stream, RECALL).await {
            driver.abort();
            return Some(said);
        }
    }
    driver.abort();
    None
}

/// A regression: each recall was answered with a `Return` that waited in the node's memory, 1.5 GiB after 24 s.
#[test]
fn an_agent_that_takes_no_answers_is_given_up() {
    let now = clock();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (_node, order) = order(listener.local_addr().unwrap());
    let keeper = Keeper::start("test".into(), 1, Arc::clone(&now)).unwrap();
    keeper.keep(vec![order]);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    // 64 KiB of answers, seven bytes each, and those on their way.
    let recalls = runtime.block_on(recalls_without_end(listener, 1_000_000));
    assert!(recalls.is_some_and(|recalls| recalls > 1000), "{recalls:?}");
}

/// A regression: messages to a node that did not read piled up in the agent's memory.
#[test]
fn a_node_that_takes_nothing_is_given_up() {
    let now = clock();
    let (_server, address, permit_issuer) = serve("127.0.0.1:0".parse().unwrap(), 5, 1, &now);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let _connection = runtime.block_on(async {
        let mut config = rustls::ClientConfig::builder()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Any))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let tcp = tokio::net::TcpStream::connect(address).await.unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        let tls = connector.connect("agent".try_into().unwrap(), tcp).await.unwrap();
        let mut builder = h2::client::Builder::new();
        let (mut client, connection) = builder.initial_window_size(0).handshake(tls).await.unwrap();
        let driver = tokio::spawn(connection);
        let request = http::Request::post("https://agent/forebay.targetcontrol.v1.TargetControl/Channel")
            .header("content-type", "application/grpc")
            .body(())
            .unwrap();
        let (response, mut stream) = client.send_request(request, false).unwrap();
        assert!(say(&mut stream, HELLO).await);
        (client, response, stream, driver)
    });
    wait("it has a channel", || {
        permit_issuer.with(|permits| permits.figures().sessions) == 1
    });
    let limits = std::cell::Cell::new(0);
    wait("the channel is ended", || {
        limits.set(limits.get() + 1);
        permit_issuer.change(|permits| permits.set_limit(now(), 100 + limits.get() % 2));
        permit_issuer.with(|permits| permits.figures().sessions) == 0
    });
    assert!(limits.get() > 1000, "{limits:?}");
}

/// Accepts any certificate.
#[derive(Debug)]
struct Any;

impl ServerCertVerifier for Any {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::ED25519,
            SignatureScheme::RSA_PSS_SHA256,
        ]
    }
}
