//! The node's end: keeps a channel to the agent of each of its targets, and passes permits between the channel and the
//! group's gate.

use crate::proto::{Demand, FromAgent, FromNode, Hello, Return, from_agent, from_node};
use crate::thread::Thread;
use crate::wire::{self, Broken, HEADER_BYTES, METHOD, Messages, Outbox, UNSENT_BYTES, ids_in, ids_out};
use crate::{Now, VERSION, tls};
use forebay_admission::WorkId;
use forebay_node::{ChannelOrder, Channels, GroupGate, TargetId};
use forebay_units::Rng;
use h2::RecvStream;
use h2::client::ResponseFuture;
use http::{Request, Response};
use rustls::pki_types::ServerName;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

/// Most time from the first SYN to Welcome.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// The first and the longest wait before a channel is opened again. They are short, so that an agent that comes back has
/// its channel within a second.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_millis(800);
/// Changes of the demand within this time are sent as one.
const COALESCE: Duration = Duration::from_millis(1);
/// A channel that lasted this long was a good one: its end is logged as a warning, and the waits begin anew. An agent that
/// greets and hangs up must not reset either, or it would fill the log and be dialled without a pause.
const GOOD_AFTER: Duration = Duration::from_secs(1);

/// Keeps channels on its own thread until it is dropped.
#[derive(Debug)]
pub struct Keeper {
    orders: mpsc::UnboundedSender<Vec<ChannelOrder>>,
    _thread: Thread,
}

impl Keeper {
    /// Starts without channels. `node` names this node in the logs of agents, `seed` is for the jitter of waits, and `now`
    /// must be the clock of the gates.
    pub fn start(node: String, seed: u64, now: Now) -> io::Result<Keeper> {
        let tls = TlsConnector::from(tls::client().map_err(io::Error::other)?);
        let (orders, received) = mpsc::unbounded_channel();
        let shared = move || Shared { node, seed, now, tls };
        let thread = Thread::start("channels", move || keep(Rc::new(shared()), received))?;
        Ok(Keeper {
            orders,
            _thread: thread,
        })
    }
}

impl Channels for Keeper {
    fn keep(&self, wanted: Vec<ChannelOrder>) {
        let _ = self.orders.send(wanted);
    }
}

struct Shared {
    node: String,
    seed: u64,
    now: Now,
    tls: TlsConnector,
}

/// A channel that is kept; it is given up when this is dropped.
struct Kept {
    order: ChannelOrder,
    task: AbortHandle,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reports changes of one gate's demand. A gate takes only one listener, so the listener is kept while the gate lives, even
/// when the targets' channels come and go.
struct Listened {
    gate: Weak<GroupGate>,
    changes: watch::Receiver<()>,
}

async fn keep(shared: Rc<Shared>, mut orders: mpsc::UnboundedReceiver<Vec<ChannelOrder>>) {
    let mut kept: BTreeMap<TargetId, Kept> = BTreeMap::new();
    let mut listened: Vec<Listened> = Vec::new();
    while let Some(wanted) = orders.recv().await {
        let same = |before: &Kept, order: &ChannelOrder| {
            before.order.address == order.address && Arc::ptr_eq(&before.order.gate, &order.gate)
        };
        kept.retain(|target, before| {
            wanted
                .iter()
                .any(|order| order.target == *target && same(before, order))
        });
        listened.retain(|entry| entry.gate.strong_count() > 0);
        for order in wanted {
            if kept.contains_key(&order.target) {
                continue;
            }
            let changes = listen(&mut listened, &order.gate);
            let task = tokio::task::spawn_local(channel(Rc::clone(&shared), order.clone(), changes));
            kept.insert(
                order.target,
                Kept {
                    order,
                    task: task.abort_handle(),
                },
            );
        }
    }
}

fn listen(listened: &mut Vec<Listened>, gate: &Arc<GroupGate>) -> watch::Receiver<()> {
    let known = listened
        .iter()
        .find(|entry| std::ptr::eq(entry.gate.as_ptr(), Arc::as_ptr(gate)));
    if let Some(known) = known {
        return known.changes.clone();
    }
    let (sender, changes) = watch::channel(());
    gate.on_demand(Box::new(move || {
        sender.send_replace(());
    }));
    listened.push(Listened {
        gate: Arc::downgrade(gate),
        changes: changes.clone(),
    });
    changes
}

/// Why a channel ended or could not be opened.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("the agent cannot be reached: {0}")]
    Unreached(#[from] io::Error),
    #[error("HTTP/2 failed: {0}")]
    Http2(#[from] h2::Error),
    #[error("the address is not an agent's: it answers with status {0}")]
    NoAgent(http::StatusCode),
    #[error("the agent refused: {0}")]
    Refused(String),
    #[error("the agent speaks version {0} of the control protocol, this node version {VERSION}")]
    Version(u32),
    #[error("the agent's first message is not Welcome")]
    NoWelcome,
    #[error("the agent sent what cannot be read: {0}")]
    Broken(#[from] Broken),
    #[error("the agent did not answer in time")]
    Silent,
    #[error("the agent ended the channel")]
    Closed,
}

/// Keeps one channel: opens it, and opens it again when it ends.
async fn channel(shared: Rc<Shared>, order: ChannelOrder, mut changes: watch::Receiver<()>) {
    let mut rng = Rng::named(shared.seed ^ order.target.0, "channel waits");
    let (mut wait, mut told) = (FIRST_WAIT, false);
    loop {
        let mut stood = None;
        let Err(ended) = attempt(&shared, &order, &mut changes, &mut stood).await;
        order.gate.channels.errors.fetch_add(1, Relaxed);
        if stood.is_some_and(|since: Instant| since.elapsed() >= GOOD_AFTER) {
            (wait, told) = (FIRST_WAIT, false);
        }
        let agent = order.address;
        if told {
            // An agent that stays away is logged once as a warning, not at every attempt.
            tracing::debug!(%agent, "no control channel: {ended}");
        } else {
            tracing::warn!(%agent, "no control channel: {ended}");
        }
        told = true;
        // Between half the wait and all of it, so that the nodes of a fleet do not all dial at once.
        let half = wait / 2;
        let jitter = Duration::from_nanos(rng.below(half.as_nanos() as u64));
        tokio::time::sleep(half + jitter).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// An open channel. When it is dropped, whatever its agent granted is void: the agent drops a node's permits when the
/// channel ends, and would reject a request that uses one of them.
struct Established<'a> {
    shared: &'a Shared,
    order: &'a ChannelOrder,
}

impl Drop for Established<'_> {
    fn drop(&mut self) {
        let now = (self.shared.now)();
        self.order.gate.channel_lost(now, self.order.target);
    }
}

/// The task that moves a connection's frames; it is aborted when this is dropped.
struct Driver(AbortHandle);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Both directions of a channel.
struct Link {
    out: Outbox,
    messages: Messages<FromAgent>,
    pings: h2::PingPong,
    _driver: Driver,
}

async fn attempt(
    shared: &Shared,
    order: &ChannelOrder,
    changes: &mut watch::Receiver<()>,
    stood: &mut Option<Instant>,
) -> Result<std::convert::Infallible, Ended> {
    // The limit covers everything up to Welcome: an agent that accepts and then says nothing must not hold the attempt.
    let opened = tokio::time::timeout(CONNECT_WITHIN, open(shared, order));
    let Link {
        out,
        messages,
        pings,
        _driver,
    } = opened.await.map_err(|_| Ended::Silent)??;
    *stood = Some(Instant::now());
    let (gate, agent) = (&order.gate, order.address);
    gate.channel_up();
    tracing::info!(%agent, "a control channel is open");
    let _standing = Established { shared, order };
    let mut talk = Talk {
        shared,
        order,
        out,
        seen: 0,
        expected: 0,
        told: Instant::now() - COALESCE,
    };
    tokio::select! {
        ended = talk.run(messages, changes) => ended,
        () = wire::silence(pings) => Err(Ended::Silent),
    }
}

/// Dials, sends Hello and waits for Welcome.
async fn open(shared: &Shared, order: &ChannelOrder) -> Result<Link, Ended> {
    let tcp = TcpStream::connect(order.address).await?;
    tcp.set_nodelay(true)?;
    let name = ServerName::IpAddress(order.address.ip().into());
    let tls = shared.tls.connect(name, tcp).await?;
    let mut builder = h2::client::Builder::new();
    builder
        .enable_push(false)
        .max_header_list_size(HEADER_BYTES)
        .max_send_buffer_size(UNSENT_BYTES);
    let (mut client, mut connection) = builder.handshake(tls).await?;
    let pings = connection.ping_pong().ok_or(Ended::Silent)?;
    let driver = tokio::task::spawn_local(async move {
        let _ = connection.await;
    });
    let driver = Driver(driver.abort_handle());
    let request = Request::post(format!("https://{}{METHOD}", order.address))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .map_err(io::Error::other)?;
    let (response, stream) = client.send_request(request, false)?;
    let mut out = Outbox::new(stream);
    let hello = Hello {
        version: VERSION,
        node: shared.node.clone(),
    };
    say(&mut out, from_node::Message::Hello(hello))?;
    // Hello may still wait for the agent's window while its answer comes, so both are driven here.
    let mut answered = pin!(head(response));
    let (head, body) = loop {
        tokio::select! {
            response = &mut answered => break response?.into_parts(),
            cleared = out.clear(), if !out.is_clear() => cleared?,
        }
    };
    if let Some(said) = wire::refusal(&head.headers) {
        return Err(Ended::Refused(said));
    }
    if head.status != http::StatusCode::OK {
        return Err(Ended::NoAgent(head.status));
    }
    let mut messages = Messages::<FromAgent>::new(body);
    match messages.next().await?.and_then(|message| message.message) {
        Some(from_agent::Message::Welcome(welcome)) if welcome.version == VERSION => Ok(Link {
            out,
            messages,
            pings,
            _driver: driver,
        }),
        Some(from_agent::Message::Welcome(welcome)) => Err(Ended::Version(welcome.version)),
        Some(_) => Err(Ended::NoWelcome),
        None => Err(end(&mut messages).await),
    }
}

/// The reason for which the agent ended the call.
async fn end(messages: &mut Messages<FromAgent>) -> Ended {
    messages.refusal().await.map_or(Ended::Closed, Ended::Refused)
}

/// The head of the agent's answer. An agent sends no interim responses (1xx), and h2 would queue all that come, so the
/// first
/// ends the attempt.
async fn head(mut response: ResponseFuture) -> Result<Response<RecvStream>, Ended> {
    poll_fn(|cx| match response.poll_informational(cx) {
        Poll::Ready(Some(Ok(interim))) => Poll::Ready(Err(Ended::NoAgent(interim.status()))),
        Poll::Ready(Some(Err(error))) => Poll::Ready(Err(error.into())),
        Poll::Ready(None) | Poll::Pending => Pin::new(&mut response).poll(cx).map_err(Ended::from),
    })
    .await
}

fn say(out: &mut Outbox, message: from_node::Message) -> Result<(), Ended> {
    let message = FromNode {
        message: Some(message),
    };
    Ok(out.say(&message)?)
}

/// The conversation on an open channel.
struct Talk<'a> {
    shared: &'a Shared,
    order: &'a ChannelOrder,
    out: Outbox,
    /// How many permits were received on this channel. Each demand carries it, so that the agent can tell which of its
    /// grants
    /// the node had not seen yet.
    seen: u64,
    /// How many waiting requests the agent believes this node to have.
    expected: u64,
    /// When the last demand was sent.
    told: Instant,
}

impl Talk<'_> {
    async fn run(
        &mut self,
        mut messages: Messages<FromAgent>,
        changes: &mut watch::Receiver<()>,
    ) -> Result<std::convert::Infallible, Ended> {
        let gate = &self.order.gate;
        // The demand may have changed before this channel listened to it.
        changes.mark_changed();
        loop {
            let waiting = gate.waiting_for(self.order.target) as u64;
            // Until the agent has taken the last demand, a newer one would only queue behind it: only the newest is of use.
            let clear = self.out.is_clear();
            if clear && waiting != self.expected && self.told + COALESCE <= Instant::now() {
                self.tell_demand(waiting)?;
            }
            let behind = waiting != self.expected && self.out.is_clear();
            let due = self.told + COALESCE;
            let later = async move {
                if behind {
                    tokio::time::sleep_until(due).await;
                } else {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                message = messages.next() => match message? {
                    Some(message) => self.hear(message)?,
                    None => return Err(end(&mut messages).await),
                },
                changed = changes.changed() => {
                    // Fails only when the gate is dropped, and this order holds the gate.
                    changed.map_err(|_| Ended::Closed)?;
                    let unused = gate.take_unused(self.order.target);
                    if !unused.is_empty() {
                        self.give_back(&unused)?;
                    }
                }
                () = later => {}
                cleared = self.out.clear(), if !self.out.is_clear() => cleared?,
            }
        }
    }

    fn tell_demand(&mut self, waiting: u64) -> Result<(), Ended> {
        let demand = Demand {
            waiting,
            seen: self.seen,
        };
        say(&mut self.out, from_node::Message::Demand(demand))?;
        (self.expected, self.told) = (waiting, Instant::now());
        Ok(())
    }

    fn give_back(&mut self, ids: &[WorkId]) -> Result<(), Ended> {
        let returned = Return { ids: ids_out(ids) };
        say(&mut self.out, from_node::Message::Return(returned))
    }

    fn hear(&mut self, message: FromAgent) -> Result<(), Ended> {
        let (gate, target) = (&self.order.gate, self.order.target);
        let now = (self.shared.now)();
        match message.message {
            Some(from_agent::Message::Grant(grant)) => {
                let ids = ids_in(&grant.ids)?;
                gate.grant(now, target, &ids);
                self.seen += ids.len() as u64;
                self.expected = self.expected.saturating_sub(ids.len() as u64);
            }
            Some(from_agent::Message::Recall(recall)) => {
                let ids = gate.recall(now, target, recall.count as usize);
                self.give_back(&ids)?;
            }
            // Nodes act on permits alone; planners want to know how many there can be.
            Some(from_agent::Message::Limit(limit)) => {
                gate.announce(target, limit.limit);
                tracing::debug!(agent = %self.order.address, limit = limit.limit, "the agent's limit");
            }
            // A message that only a later version knows changes nothing here.
            Some(from_agent::Message::Welcome(_)) | None => {}
        }
        Ok(())
    }
}
