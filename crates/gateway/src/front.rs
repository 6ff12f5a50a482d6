//! Connections of callers that are not authenticated yet: how many there may be, how long they may keep us waiting, and
//! which one is closed if there are too many (the one that has kept us waiting for longest). The admin addresses use the
//! same front.

use bytes::Bytes;
use forebay_units::lock::lock;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// The largest head of a request, give or take one read of the socket (hyper answers 431 beyond).
const HEAD_LIMIT: usize = 32 << 10;
/// Most time from accept to the end of the first head. Clients connect when they have something to send.
const FIRST_HEAD: Duration = Duration::from_secs(5);
/// Most time from an answer to the end of the next head: how long a connection may idle, or leave its answer unread.
const NEXT_HEAD: Duration = Duration::from_secs(30);
/// No connection is closed for another before this time: an honest client's head arrives within a round trip, even if many
/// connect meanwhile. They wait in the kernel, and thousands per second can pass through the places of silent ones.
const GRACE: Duration = Duration::from_millis(20);
/// Interval at which is checked whether the grace of a connection is over.
const LOOK: Duration = Duration::from_millis(2);
/// Most time for a body, if it was not answered by then.
const BODY: Duration = Duration::from_secs(35);
/// Most time from the head to the answer of a call that uploads a function's archive: up to 50 MiB over a slow line, and
/// perhaps after another archive.
pub(crate) const UPLOAD_TIME: Duration = Duration::from_secs(300);
/// Like [`BODY`], for the archive of a function.
const ARCHIVE: Duration = UPLOAD_TIME.saturating_add(Duration::from_secs(5));
/// Interval at which late connections are searched.
const SWEEP: Duration = Duration::from_millis(500);
/// Pause after accept fails (usually for lack of file descriptors), so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Time that open calls have to finish when the process stops.
const STOP_TIME: Duration = Duration::from_secs(10);

/// Limits on callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Connections at once. When one more comes, the one that has kept us waiting for longest is closed.
    pub connections: usize,
    /// Calls that wait for something to happen, in addition to `connections`.
    pub polls: usize,
}

impl Bounds {
    /// This many connections, and no waiting calls.
    pub const fn of(connections: usize) -> Bounds {
        Bounds {
            connections,
            polls: 0,
        }
    }
}

impl Default for Bounds {
    /// Clients keep about ten connections, or a few dozen; and traffic must keep enough descriptors.
    fn default() -> Bounds {
        Bounds {
            connections: 192,
            polls: 1024,
        }
    }
}

/// The activity of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    /// It has not sent its first head yet.
    First,
    /// It was answered, and may send another request.
    Next,
    /// Its request's body is being received.
    Body,
    /// A function's archive is being received, or waits for room. Room for other bodies is not made by closing this.
    Archive,
    /// Its request is being answered.
    Call,
    /// Its request waits for something to happen, which may take as long as its caller likes.
    Poll,
    /// It was aborted and is about to end.
    Leaves,
}

impl Doing {
    /// Whether we wait for the client, who may be nobody.
    fn is_waiting(self) -> bool {
        matches!(self, Doing::First | Doing::Next | Doing::Body | Doing::Archive)
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
    /// Notified when a connection has ended.
    left: Notify,
    most: usize,
    /// Most calls that may wait in addition.
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
        lock(&self.0.open_connections)
    }

    /// Adds a connection, which may be one more than allowed.
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

    /// Closes connections whose time is over.
    fn sweep(&self, now: Instant) {
        for open in self.open_connections().values_mut() {
            let most = match open.doing {
                Doing::First => FIRST_HEAD,
                Doing::Next => NEXT_HEAD,
                Doing::Body => BODY,
                Doing::Archive => ARCHIVE,
                // A call has its own deadline.
                Doing::Call | Doing::Poll | Doing::Leaves => continue,
            };
            if now.saturating_duration_since(open.since) >= most {
                open.leave();
            }
        }
    }

    /// Closes the connection whose body we have been waiting for longest.
    pub(crate) fn drop_body(&self) {
        self.drop_oldest(|open| open.doing == Doing::Body);
    }

    /// Closes the connection that has kept us waiting for longest, if that exceeds the grace.
    fn drop_waiting(&self) {
        let now = Instant::now();
        self.drop_oldest(|open| open.doing.is_waiting() && open.since + GRACE <= now);
    }

    /// Closes the one of these that has kept us waiting for longest.
    fn drop_oldest(&self, may: impl Fn(&OpenConnection) -> bool) {
        let mut open_connections = self.open_connections();
        let these = open_connections.values_mut().filter(|open| may(open));
        if let Some(oldest) = these.min_by_key(|open| open.since) {
            oldest.leave();
        }
    }

    /// Ready once there are no more connections than allowed. If there are, one is closed.
    async fn has_room(&self) {
        let mut left = std::pin::pin!(self.0.left.notified());
        loop {
            // Registered before counting: a connection that ends in between would otherwise not wake this.
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
            // If all are being answered, their answers will make room.
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

/// One connection, removed when dropped.
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

    /// Marks its body as awaited, until the returned guard is dropped.
    pub fn body(&self) -> BodyWait<'_> {
        self.does(Doing::Body);
        BodyWait(self)
    }

    /// Marks a function's archive as awaited, until the returned guard is dropped.
    pub(crate) fn archive(&self) -> BodyWait<'_> {
        self.does(Doing::Archive);
        BodyWait(self)
    }

    /// Marks its request as waiting for something to happen, until the returned guard is dropped: meanwhile it takes no
    /// other's place. None if too many wait already.
    pub fn poll(&self) -> Option<PollWait<'_>> {
        let polls = &self.front.0.polls;
        let most = self.front.0.most_polls;
        let more = |count: usize| (count < most).then_some(count + 1);
        polls.fetch_update(Relaxed, Relaxed, more).ok()?;
        self.does(Doing::Poll);
        // There is room for one more connection now.
        self.front.0.left.notify_waiters();
        Some(PollWait(self))
    }

    /// The local address that it connected to.
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

/// Marks a body as awaited.
pub struct BodyWait<'a>(&'a FrontConnection);

impl Drop for BodyWait<'_> {
    fn drop(&mut self) {
        self.0.does(Doing::Call);
    }
}

/// Marks a request as waiting.
pub struct PollWait<'a>(&'a FrontConnection);

impl Drop for PollWait<'_> {
    fn drop(&mut self) {
        self.0.front.0.polls.fetch_sub(1, Relaxed);
        self.0.does(Doing::Call);
    }
}

/// Answers requests.
pub trait Answer: Send + Sync + 'static {
    /// The answer to this request, which came over that connection.
    fn answer(
        &self,
        client: &FrontConnection,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Full<Bytes>>> + Send;
}

/// Serves `listener` within these bounds until `shutdown` completes; open calls are answered first.
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
                    // A socket without a local address is gone.
                    let Ok(local) = stream.local_addr() else { continue };
                    let client = front.enter(number, local);
                    let task =
                        tokio::spawn(connection(stream, client, Arc::clone(&answer), stopping.clone()));
                    if let Some(open) = front.open_connections().get_mut(&number) {
                        open.task = Some(task.abort_handle());
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    // Perhaps for lack of a descriptor, and silent connections hold some.
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
        // The sweep enforces the deadlines.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_archive_makes_no_room_for_other_bodies() {
        let front = Front::new(8, 0);
        let local = SocketAddr::from(([127, 0, 0, 1], 1));
        let [archive, body] = [front.enter(1, local), front.enter(2, local)];
        for open in front.open_connections().values_mut() {
            open.task = Some(tokio::spawn(std::future::pending::<()>()).abort_handle());
        }
        let (_archive, _body) = (archive.archive(), body.body());
        front.drop_body();
        front.drop_body();
        let doing = |number: u64| front.open_connections()[&number].doing;
        assert_eq!((doing(1), doing(2)), (Doing::Archive, Doing::Leaves));
        front.sweep(Instant::now() + BODY);
        assert_eq!(doing(1), Doing::Archive);
        front.sweep(Instant::now() + ARCHIVE);
        assert_eq!(doing(1), Doing::Leaves);
    }
}
