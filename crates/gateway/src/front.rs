//! Connections of callers, before anybody knows who they are: how many there may be, how long they may keep us waiting, and who
//! goes when there are too many: the one that has kept us waiting for longest. The admin addresses stand behind the same front.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// The largest head of a request, give or take one read of the socket (hyper answers 431 beyond).
const HEAD_LIMIT: usize = 32 << 10;
/// From accept to the first head's end. Clients connect when they have something to say.
const FIRST_HEAD: Duration = Duration::from_secs(5);
/// From an answer to the next head's end: how long a connection may idle, or leave its answer untaken.
const NEXT_HEAD: Duration = Duration::from_secs(30);
/// Nobody is sent away sooner: an honest client's head is here within a round trip, however many others come meanwhile. They wait
/// in the kernel, and thousands of them a second pass through the places of those who say nothing.
const GRACE: Duration = Duration::from_millis(20);
/// How often it is looked whether somebody's grace is over.
const LOOK: Duration = Duration::from_millis(2);
/// For a body, should nobody have answered by then.
const BODY: Duration = Duration::from_secs(35);
/// How often somebody looks who is late.
const SWEEP: Duration = Duration::from_millis(500);
/// After accept fails (no file descriptors, mostly), so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long open calls may take to finish once we stop.
const STOP_TIME: Duration = Duration::from_secs(10);

/// What callers may take of us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Connections at once. When one more comes, the one that has kept us waiting for longest goes.
    pub connections: usize,
    /// Calls that wait for something to happen, beside them.
    pub polls: usize,
}

impl Bounds {
    /// So many connections, of which none waits.
    pub const fn of(connections: usize) -> Bounds {
        Bounds {
            connections,
            polls: 0,
        }
    }
}

impl Default for Bounds {
    /// Clients keep ten connections, or a few dozen; and a descriptor each must be left by those who carry traffic.
    fn default() -> Bounds {
        Bounds {
            connections: 192,
            polls: 1024,
        }
    }
}

/// What a connection does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    /// It has yet to send its first head.
    First,
    /// It was answered, and may send another one.
    Next,
    /// Its request's body is on its way.
    Body,
    /// Its request is being answered.
    Call,
    /// Its request waits for something to happen, which may take as long as its caller likes.
    Poll,
    /// It was sent away and is about to be gone.
    Leaves,
}

impl Doing {
    /// Whether we wait for the client, who may be nobody.
    fn is_waiting(self) -> bool {
        matches!(self, Doing::First | Doing::Next | Doing::Body)
    }
}

struct OpenConnection {
    doing: Doing,
    since: Instant,
    task: Option<AbortHandle>,
}

/// All connections of one listener. A handle; clone costs O(1).
#[derive(Clone)]
pub struct Front(Arc<Shared>);

struct Shared {
    open_connections: Mutex<BTreeMap<u64, OpenConnection>>,
    /// Fires when a connection is gone.
    left: Notify,
    most: usize,
    /// Calls that may wait beside them.
    most_polls: usize,
    polls: AtomicUsize,
}

impl Front {
    fn new(most: usize, most_polls: usize) -> Front {
        Front(Arc::new(Shared {
            open_connections: Mutex::default(),
            left: Notify::new(),
            most: most.max(1),
            most_polls,
            polls: AtomicUsize::new(0),
        }))
    }

    fn open_connections(&self) -> MutexGuard<'_, BTreeMap<u64, OpenConnection>> {
        self.0
            .open_connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection has come, one more perhaps than there may be.
    fn enter(&self, number: u64, local: SocketAddr) -> FrontConnection {
        let open = OpenConnection {
            doing: Doing::First,
            since: Instant::now(),
            task: None,
        };
        self.open_connections().insert(number, open);
        FrontConnection {
            front: self.clone(),
            number,
            local,
        }
    }

    /// Sends those away whose time is over.
    fn sweep(&self, now: Instant) {
        for open in self.open_connections().values_mut() {
            let most = match open.doing {
                Doing::First => FIRST_HEAD,
                Doing::Next => NEXT_HEAD,
                Doing::Body => BODY,
                // A call has its own deadline.
                Doing::Call | Doing::Poll | Doing::Leaves => continue,
            };
            if now.saturating_duration_since(open.since) >= most {
                open.leave();
            }
        }
    }

    /// Sends the one away whose body we have waited for longest.
    pub(crate) fn drop_body(&self) {
        self.drop_oldest(|open| open.doing == Doing::Body);
    }

    /// Sends the one away that has kept us waiting for longest, if that is long enough.
    fn drop_waiting(&self) {
        let now = Instant::now();
        self.drop_oldest(|open| open.doing.is_waiting() && open.since + GRACE <= now);
    }

    /// Sends the one of these away that has kept us waiting for longest.
    fn drop_oldest(&self, may: impl Fn(&OpenConnection) -> bool) {
        let mut open_connections = self.open_connections();
        let these = open_connections.values_mut().filter(|open| may(open));
        if let Some(oldest) = these.min_by_key(|open| open.since) {
            oldest.leave();
        }
    }

    /// Ready once no more are here than there may be. If too many are, somebody is sent away for it.
    async fn has_room(&self) {
        let mut left = std::pin::pin!(self.0.left.notified());
        loop {
            left.as_mut().enable();
            let (over, leaving) = {
                let open_connections = self.open_connections();
                let leaving = open_connections
                    .values()
                    .filter(|open| open.doing == Doing::Leaves);
                let polls = self.0.polls.load(Relaxed);
                let over = open_connections.len().saturating_sub(self.0.most + polls);
                (over, leaving.count())
            };
            if over == 0 {
                return;
            }
            if leaving < over {
                self.drop_waiting();
            }
            // If all are at work, their answers make room.
            let _ = tokio::time::timeout(LOOK, left.as_mut()).await;
            left.set(self.0.left.notified());
        }
    }

    async fn is_empty(&self) {
        loop {
            let left = self.0.left.notified();
            if self.open_connections().is_empty() {
                return;
            }
            left.await;
        }
    }
}

impl OpenConnection {
    fn leave(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
            self.doing = Doing::Leaves;
        }
    }
}

/// One connection, gone when dropped.
pub struct FrontConnection {
    front: Front,
    number: u64,
    local: SocketAddr,
}

impl FrontConnection {
    fn does(&self, doing: Doing) {
        if let Some(open) = self.front.open_connections().get_mut(&self.number)
            && open.doing != Doing::Leaves
        {
            open.doing = doing;
            open.since = Instant::now();
        }
    }

    /// From now on its body is waited for, until what is returned is dropped.
    pub fn body(&self) -> BodyWait<'_> {
        self.does(Doing::Body);
        BodyWait(self)
    }

    /// From now on its request waits for something to happen, until what is returned is dropped: it takes nobody's place meanwhile.
    /// None if as many wait as may.
    pub fn poll(&self) -> Option<PollWait<'_>> {
        let polls = &self.front.0.polls;
        let most = self.front.0.most_polls;
        let more = |count: usize| (count < most).then_some(count + 1);
        polls.fetch_update(Relaxed, Relaxed, more).ok()?;
        self.does(Doing::Poll);
        // One more fits beside it.
        self.front.0.left.notify_waiters();
        Some(PollWait(self))
    }

    /// The address that it came to.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    pub(crate) fn front(&self) -> &Front {
        &self.front
    }
}

impl Drop for FrontConnection {
    fn drop(&mut self) {
        self.front.open_connections().remove(&self.number);
        self.front.0.left.notify_waiters();
    }
}

/// A body is under way.
pub struct BodyWait<'a>(&'a FrontConnection);

impl Drop for BodyWait<'_> {
    fn drop(&mut self) {
        self.0.does(Doing::Call);
    }
}

/// A request waits.
pub struct PollWait<'a>(&'a FrontConnection);

impl Drop for PollWait<'_> {
    fn drop(&mut self) {
        self.0.front.0.polls.fetch_sub(1, Relaxed);
        self.0.does(Doing::Call);
    }
}

/// Answers requests.
pub trait Answer: Send + Sync + 'static {
    /// The answer to this one, which came over that connection.
    fn answer(
        &self,
        client: &FrontConnection,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Full<Bytes>>> + Send;
}

/// Serves `listener` with at most so many connections at once, and calls that wait beside them, until `shutdown` completes; open calls
/// are answered first.
pub async fn serve<A: Answer>(
    listener: TcpListener,
    Bounds { connections, polls }: Bounds,
    answer: Arc<A>,
    shutdown: impl Future<Output = ()>,
) {
    let front = Front::new(connections, polls);
    let (stop, stopping) = watch::channel(false);
    let accepting = async {
        let mut number = 0;
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    number += 1;
                    // A socket that cannot tell is gone.
                    let Ok(local) = stream.local_addr() else { continue };
                    let client = front.enter(number, local);
                    let task =
                        tokio::spawn(connection(stream, client, Arc::clone(&answer), stopping.clone()));
                    if let Some(open) = front.open_connections().get_mut(&number) {
                        open.task = Some(task.abort_handle());
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    // Perhaps for want of a descriptor, and those who say nothing have some.
                    front.drop_waiting();
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
            front.has_room().await;
        }
    };
    let sweeping = async {
        loop {
            tokio::time::sleep(SWEEP).await;
            front.sweep(Instant::now());
        }
    };
    tokio::select! {
        () = accepting => {}
        () = sweeping => {}
        () = shutdown => {}
    }
    drop(listener);
    stop.send_replace(true);
    let _ = tokio::time::timeout(STOP_TIME, front.is_empty()).await;
}

async fn connection<A: Answer>(
    stream: TcpStream,
    client: FrontConnection,
    answer: Arc<A>,
    mut stopping: watch::Receiver<bool>,
) {
    let _ = stream.set_nodelay(true);
    let client = Arc::new(client);
    let service = service_fn(move |request| {
        let (client, answer) = (Arc::clone(&client), Arc::clone(&answer));
        async move {
            client.does(Doing::Call);
            let response = answer.answer(&client, request).await;
            client.does(Doing::Next);
            Ok::<_, Infallible>(response)
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        // The sweep does it.
        .header_read_timeout(None)
        .max_buf_size(HEAD_LIMIT)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stopping.wait_for(|stop| *stop) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}
