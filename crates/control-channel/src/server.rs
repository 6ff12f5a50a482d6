//! The agent's end: accepts channels from nodes, tells the permit issuer what nodes say, and tells nodes what it decides.

use crate::connections::{Connections, Established, NodeConnection};
use crate::proto::{FromAgent, FromNode, Grant, Limit, Recall, Welcome, from_agent, from_node};
use crate::thread::Thread;
use crate::wire::{
    self, Broken, HEADER_BYTES, METHOD, Messages, Outbox, Status, UNSENT_BYTES, ids_in, ids_out,
};
use crate::{Now, VERSION, tls};
use bytes::Bytes;
use forebay_admission::permits::{Output, Session};
use forebay_node::PermitIssuer;
use forebay_units::Mono;
use forebay_units::lock::lock;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{Method, Request, Response, StatusCode};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::TcpListener;
use std::pin::pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio_rustls::TlsAcceptor;

/// Most channels open at once; one more is refused. A load balancer has at most 100 nodes.
const CHANNELS: usize = 256;
/// Most time from accept to the end of the TLS handshake, and from a call to its Hello.
const HELLO_WITHIN: Duration = Duration::from_secs(5);
/// Most calls on one connection.
const CALLS: u32 = 4;
/// Random bytes for ids are read from the system this many at a time.
const DRAWN_BYTES: usize = 512;

/// The certificate that the agent shows on its control port.
#[derive(Debug)]
pub struct Identity {
    /// The certificates, the agent's own first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The private key of the first certificate.
    pub key: PrivateKeyDer<'static>,
}

/// Serves channels until it is dropped.
#[derive(Debug)]
pub struct Server {
    /// The configuration of handshakes that begin from now on.
    tls: Arc<Mutex<Arc<ServerConfig>>>,
    _thread: Thread,
}

impl Server {
    /// Serves on its own thread. `now` must be the clock of the permit issuer's requests.
    pub fn start(
        listener: TcpListener,
        identity: Identity,
        permit_issuer: Arc<PermitIssuer>,
        now: Now,
    ) -> io::Result<Server> {
        let config = tls::server(identity.chain, identity.key).map_err(io::Error::other)?;
        let tls = Arc::new(Mutex::new(config));
        let shown = Arc::clone(&tls);
        listener.set_nonblocking(true)?;
        let changed = Arc::new(Notify::new());
        let told = Arc::clone(&changed);
        permit_issuer.on_change(Box::new(move || told.notify_one()));
        let thread = Thread::start("channels", move || async move {
            let server = Rc::new(ServerState {
                permit_issuer,
                now,
                changed,
                outboxes: RefCell::default(),
                drawn: RefCell::default(),
            });
            match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => {
                    tokio::join!(serve(Rc::clone(&server), listener, &shown), deadlines(server));
                }
                Err(error) => tracing::error!(%error, "the control address cannot be served"),
            }
        })?;
        Ok(Server { tls, _thread: thread })
    }

    /// Shows this certificate to whoever connects from now on. Open connections stay.
    pub fn show(&self, identity: Identity) -> io::Result<()> {
        let config = tls::server(identity.chain, identity.key).map_err(io::Error::other)?;
        *lock(&self.tls) = config;
        Ok(())
    }
}

/// State that all channels share.
struct ServerState {
    permit_issuer: Arc<PermitIssuer>,
    now: Now,
    /// Notified when there may be something to send, or when the next deadline may have come nearer.
    changed: Arc<Notify>,
    outboxes: RefCell<BTreeMap<Session, mpsc::UnboundedSender<Output>>>,
    drawn: RefCell<Vec<u8>>,
}

impl ServerState {
    fn now(&self) -> Mono {
        (self.now)()
    }

    /// Passes on what the permit issuer has decided. Called after every change made here, so that a grant does not wait for
    /// the next deadline.
    fn settle(&self) {
        let outputs: Vec<Output> = self.permit_issuer.with(|permits| {
            std::iter::from_fn(|| permits.poll_output(&mut || draw(&mut self.drawn.borrow_mut()))).collect()
        });
        let outboxes = self.outboxes.borrow();
        for output in outputs {
            if let Some(outbox) = outboxes.get(&output.session()) {
                let _ = outbox.send(output);
            }
        }
    }
}

/// Draws 128 bits from the system's random number generator. Permits that could be guessed would be worth nothing, so an
/// agent without randomness must not go on.
fn draw(drawn: &mut Vec<u8>) -> u128 {
    if drawn.len() < 16 {
        drawn.resize(DRAWN_BYTES, 0);
        if let Err(error) = getrandom::fill(drawn) {
            tracing::error!(%error, "the system's random number generator failed: permits could be guessed, so the agent stops");
            // Logs are written by another thread, which needs time to write this line.
            std::thread::sleep(Duration::from_millis(100));
            std::process::abort();
        }
    }
    let rest = drawn.len() - 16;
    let mut id = [0; 16];
    id.copy_from_slice(&drawn[rest..]);
    drawn.truncate(rest);
    u128::from_be_bytes(id)
}

/// Sends what is due, and revokes permits when their deadline passes.
async fn deadlines(server: Rc<ServerState>) {
    loop {
        server.settle();
        let deadline = server.permit_issuer.next_deadline();
        let due = async {
            match deadline {
                Mono::NEVER => std::future::pending().await,
                at => tokio::time::sleep(at.since(server.now())).await,
            }
        };
        tokio::select! {
            () = server.changed.notified() => {}
            () = due => server.permit_issuer.with(|permits| permits.handle_deadline(server.now())),
        }
    }
}

async fn serve(server: Rc<ServerState>, listener: tokio::net::TcpListener, tls: &Mutex<Arc<ServerConfig>>) {
    let connections = Rc::new(Connections::default());
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => connections.enter(|node| {
                let config = Arc::clone(&lock(tls));
                let (server, tls) = (Rc::clone(&server), TlsAcceptor::from(config));
                let task = tokio::task::spawn_local(async move {
                    if let Err(error) = connection(server, stream, tls, node).await {
                        tracing::debug!(%error, %peer, "a node's connection ended");
                    }
                });
                task.abort_handle()
            }),
            // For instance, out of file descriptors: some will be free soon.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn connection(
    server: Rc<ServerState>,
    stream: TcpStream,
    tls: TlsAcceptor,
    node: Rc<NodeConnection>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let shaken = tokio::time::timeout(HELLO_WITHIN, async {
        let stream = tls.accept(stream).await?;
        let mut builder = h2::server::Builder::new();
        builder
            .max_concurrent_streams(CALLS)
            .max_header_list_size(HEADER_BYTES)
            .max_send_buffer_size(UNSENT_BYTES);
        builder.handshake(stream).await.map_err(io::Error::other)
    });
    let mut connection = shaken.await.map_err(|_| io::ErrorKind::TimedOut)??;
    let pings = connection
        .ping_pong()
        .ok_or_else(|| io::Error::other("this connection's pings are already in use"))?;
    let mut silent = pin!(wire::silence(pings));
    let calls = Rc::new(());
    let mut idle = pin!(idle(&calls));
    loop {
        tokio::select! {
            accepted = connection.accept() => match accepted {
                Some(Ok((request, respond))) => {
                    let (server, counted, node) = (Rc::clone(&server), Rc::clone(&calls), Rc::clone(&node));
                    tokio::task::spawn_local(async move {
                        let _counted = counted;
                        if let Err(error) = call(&server, &node, request, respond).await {
                            tracing::debug!(%error, "a channel broke");
                        }
                    });
                }
                Some(Err(error)) => return Err(io::Error::other(error)),
                None => return Ok(()),
            },
            // A connection without a call would keep a place that a node may need.
            () = &mut idle => return Err(io::ErrorKind::TimedOut.into()),
            // Its calls end with it, and so do the permits of their nodes.
            () = &mut silent => return Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

/// Ends once a connection had no call at two checks in a row: one check alone may fall between two calls.
async fn idle(calls: &Rc<()>) {
    let mut before = false;
    loop {
        tokio::time::sleep(HELLO_WITHIN).await;
        let none = Rc::strong_count(calls) == 1;
        if none && before {
            return;
        }
        before = none;
    }
}

/// Serves one call, from its head to its trailers.
async fn call(
    server: &Rc<ServerState>,
    node: &Rc<NodeConnection>,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) -> Result<(), h2::Error> {
    let (parts, body) = request.into_parts();
    let kind = parts.headers.get("content-type");
    let is_grpc = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    let mut response = Response::new(());
    if parts.method != Method::POST || !is_grpc {
        *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        respond.send_response(response, true)?;
        return Ok(());
    }
    let headers = response.headers_mut();
    headers.insert("content-type", http::HeaderValue::from_static("application/grpc"));
    if parts.uri.path() != METHOD {
        headers.extend(wire::trailers(Status::Unimplemented, "no such method"));
        respond.send_response(response, true)?;
        return Ok(());
    }
    let mut out = Outbox::new(respond.send_response(response, false)?);
    let (status, said) = match channel(server, node, Messages::new(body), &mut out).await {
        Ok(()) => (Status::Ok, String::new()),
        Err(Refused::Node(status, said)) => (status, said),
        Err(Refused::Broken(Broken::Http2(error))) => return Err(error),
        Err(Refused::Broken(error @ Broken::Unread)) => (Status::ResourceExhausted, error.to_string()),
        Err(Refused::Broken(error)) => (Status::InvalidArgument, error.to_string()),
    };
    out.end(status, &said)
}

enum Refused {
    Node(Status, String),
    Broken(Broken),
}

impl<E: Into<Broken>> From<E> for Refused {
    fn from(error: E) -> Refused {
        Refused::Broken(error.into())
    }
}

/// A node's session; it ends when this is dropped.
struct Joined {
    server: Rc<ServerState>,
    session: Session,
    _standing: Established,
}

impl Drop for Joined {
    fn drop(&mut self) {
        self.server.outboxes.borrow_mut().remove(&self.session);
        let now = self.server.now();
        self.server
            // What this node gives up may be granted to others at once.
            .permit_issuer
            .with(|permits| permits.part(now, self.session));
        self.server.settle();
        self.server.changed.notify_one();
    }
}

async fn channel(
    server: &Rc<ServerState>,
    node: &Rc<NodeConnection>,
    mut messages: Messages<FromNode>,
    out: &mut Outbox,
) -> Result<(), Refused> {
    let first = tokio::time::timeout(HELLO_WITHIN, messages.next()).await;
    let hello = match first {
        Ok(message) => message?.and_then(|message| message.message),
        Err(_) => None,
    };
    let Some(from_node::Message::Hello(hello)) = hello else {
        let said = "a channel begins with Hello";
        return Err(Refused::Node(Status::InvalidArgument, said.to_owned()));
    };
    if hello.version != VERSION {
        let said = format!(
            "the agent speaks version {VERSION} of the control protocol, the node version {}",
            hello.version
        );
        tracing::warn!(node = wire::shown(&hello.node), "{said}");
        return Err(Refused::Node(Status::FailedPrecondition, said));
    }
    if server.outboxes.borrow().len() >= CHANNELS {
        let said = format!("the agent has {CHANNELS} channels and takes no more");
        return Err(Refused::Node(Status::ResourceExhausted, said));
    }
    // The queue is unbounded, but what goes through it is not: `Outbox` ends the call once too much waits for the node.
    let (outbox, mut outputs) = mpsc::unbounded_channel();
    let (session, incarnation) = server
        .permit_issuer
        .with(|permits| (permits.join(server.now()), permits.incarnation()));
    server.outboxes.borrow_mut().insert(session, outbox);
    let _joined = Joined {
        // From here on the session must end with this call, however it ends.
        server: Rc::clone(server),
        session,
        _standing: node.stands(),
    };
    tracing::info!(node = wire::shown(&hello.node), "a node has opened a channel");
    let welcome = Welcome {
        version: VERSION,
        incarnation,
    };
    tell(out, from_agent::Message::Welcome(welcome))?;
    server.settle();
    loop {
        tokio::select! {
            message = messages.next() => match message? {
                Some(message) => hear(server, session, message)?,
                None => return Ok(()),
            },
            Some(output) = outputs.recv() => {
                let mut more = std::iter::once(output).chain(std::iter::from_fn(|| outputs.try_recv().ok()));
                pass_on(out, &mut more)?;
            }
            cleared = out.clear(), if !out.is_clear() => cleared?,
        }
    }
}

/// Sends these to the node, consecutive grants as one message.
fn pass_on(out: &mut Outbox, outputs: &mut dyn Iterator<Item = Output>) -> Result<(), Broken> {
    let mut granted = Vec::new();
    for output in outputs {
        let message = match output {
            Output::Grant { ids, .. } => {
                granted.extend(ids);
                continue;
            }
            Output::Recall { count, .. } => from_agent::Message::Recall(Recall { count }),
            Output::Limit { limit, .. } => from_agent::Message::Limit(Limit { limit }),
        };
        grant(out, &mut granted)?;
        tell(out, message)?;
    }
    grant(out, &mut granted)
}

fn grant(out: &mut Outbox, granted: &mut Vec<forebay_admission::WorkId>) -> Result<(), Broken> {
    if granted.is_empty() {
        return Ok(());
    }
    let ids = ids_out(granted);
    granted.clear();
    tell(out, from_agent::Message::Grant(Grant { ids }))
}

fn tell(out: &mut Outbox, message: from_agent::Message) -> Result<(), Broken> {
    let message = FromAgent {
        message: Some(message),
    };
    out.say(&message)
}

fn hear(server: &ServerState, session: Session, message: FromNode) -> Result<(), Refused> {
    let now = server.now();
    match message.message {
        Some(from_node::Message::Demand(demand)) => server
            .permit_issuer
            .with(|permits| permits.demand(now, session, demand.waiting, demand.seen)),
        Some(from_node::Message::Return(returned)) => {
            let ids = ids_in(&returned.ids)?;
            server
                .permit_issuer
                .with(|permits| permits.returned(now, session, &ids));
        }
        Some(from_node::Message::Hello(_)) => {
            let said = "Hello is said once";
            return Err(Refused::Node(Status::InvalidArgument, said.to_owned()));
        }
        // A message that only a later version knows changes nothing here.
        None => {}
    }
    server.settle();
    // A recall starts a deadline, which `deadlines` must see.
    server.changed.notify_one();
    Ok(())
}
