//! The running process: waits for a successor, and gives way to it.

use super::copies::give;
use super::lent::Lent;
use super::link::{Link, TOGETHER};
use super::messages::{Failure, Health, Message, Named, TicketKey, VERSION};
use super::place::{SOCKET, rows, socket_in};
use crate::datapoints::KeptDatapoints;
use crate::fleet::Instances;
use crate::queues::KeptMessages;
use anyhow::{Context as _, anyhow, bail};
use forebay_gateway::{Held, Writer};
use forebay_proxy::{Clock, DataPlane};
use forebay_store::messages::HeldMessages;
use std::fs::File;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;

/// Most time from one step of a successor to the next. Shorter while writes are held back, because callers wait for them.
const STEP: Duration = Duration::from_secs(60);
const FROZEN_STEP: Duration = Duration::from_secs(30);

/// Everything that is handed over.
pub(crate) struct Yields {
    pub(crate) plane: Arc<DataPlane>,
    pub(crate) writer: Writer,
    pub(crate) instances: Arc<Instances>,
    pub(crate) datapoints: Arc<KeptDatapoints>,
    pub(crate) messages: Arc<KeptMessages>,
    pub(crate) clock: Clock,
    /// The addresses at which all load balancers are exposed.
    pub(crate) exposed: Vec<IpAddr>,
    /// The sockets of the APIs and of the admin address.
    pub(crate) api: TcpListener,
    pub(crate) admin: TcpListener,
}

/// Waits for a successor.
pub(crate) struct Predecessor {
    socket: PathBuf,
    taken: watch::Receiver<Option<u32>>,
    is_over: Arc<AtomicBool>,
    /// None if there is no socket.
    thread: Option<JoinHandle<()>>,
}

impl Predecessor {
    /// Waits for successors at a socket in the data directory. Some file systems have no sockets; that is logged, and
    /// nothing waits.
    pub(crate) fn wait(data_dir: &Path, yields: Yields) -> Predecessor {
        let (taken, taken_by) = watch::channel(None);
        let is_over = Arc::new(AtomicBool::new(false));
        let thread = listen(data_dir).and_then(|(directory, listener)| {
            let ends = Arc::clone(&is_over);
            let runtime = Handle::current();
            let (said, successors) = channel();
            let front = Front {
                writer: yields.writer.clone(),
                api: yields.api.local_addr()?,
                admin: yields.admin.local_addr()?,
                said,
            };
            let named = |name: &str| std::thread::Builder::new().name(name.to_owned());
            named("take-over-socket").spawn(move || {
                // The socket's path leads through this descriptor, so it must stay open.
                let _directory = directory;
                front.run(&listener);
            })?;
            named("successors").spawn(move || serve(&successors, &yields, &runtime, &taken, &ends))
        });
        if let Err(error) = &thread {
            tracing::warn!(%error, "no Forebay can take over from this one: there is no socket in its data directory");
        }
        Predecessor {
            socket: data_dir.join(SOCKET),
            taken: taken_by,
            is_over,
            thread: thread.ok(),
        }
    }

    /// Returns the process id of the successor once it has taken over.
    pub(crate) async fn taken(&self) -> u32 {
        let mut taken = self.taken.clone();
        match taken.wait_for(Option::is_some).await.map(|process| *process) {
            Ok(Some(process)) => process,
            _ => std::future::pending().await,
        }
    }

    /// Closes the socket, so that no process can take over any more.
    pub(crate) fn close(&self) {
        let _ = std::fs::remove_file(&self.socket);
    }

    /// Called when all requests are over and only the last metrics are left: sends these. Blocks.
    pub(crate) fn finish(self) {
        self.is_over.store(true, SeqCst);
        if let Some(thread) = self.thread {
            let _ = thread.join();
        }
    }
}

fn listen(data_dir: &Path) -> std::io::Result<(File, UnixListener)> {
    let (directory, path) = socket_in(data_dir)?;
    // Only the holder of the store listens here, so an existing socket is a dead process's, or that of the predecessor of
    // this one.
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok((directory, listener))
}

/// Gives way to the first successor that succeeds.
fn serve(
    successors: &Receiver<(Link, Message)>,
    yields: &Yields,
    runtime: &Handle,
    taken: &watch::Sender<Option<u32>>,
    is_over: &AtomicBool,
) {
    while let Ok((link, hello)) = successors.recv() {
        match Yielding::new(yields, runtime).give_way(link, hello, taken, is_over) {
            Ok(()) => return,
            Err(error) => tracing::warn!("a successor did not take over: {error:#}. Nothing has changed"),
        }
    }
}

/// Accepts connections at the socket. A backup gets a thread of its own as long as it takes; successors are served one
/// after another.
#[derive(Clone)]
struct Front {
    writer: Writer,
    api: SocketAddr,
    admin: SocketAddr,
    said: Sender<(Link, Message)>,
}

impl Front {
    fn run(&self, listener: &UnixListener) {
        for stream in listener.incoming() {
            let Ok(stream) = stream else {
                // Without free descriptors, for instance, accepting fails again at once: trying without a pause would spin.
                std::thread::sleep(Duration::from_secs(1));
                continue;
            };
            // Its own thread: a peer that says nothing must not keep the next one waiting.
            let front = self.clone();
            let thread = std::thread::Builder::new().name("take-over-hello".to_owned());
            let spawned = thread.spawn(move || {
                if let Err(error) = front.hear(Link::new(stream)) {
                    tracing::warn!("a successor did not take over: {error:#}. Nothing has changed");
                }
            });
            if let Err(error) = spawned {
                tracing::warn!(%error, "cannot answer a request for the state");
            }
        }
    }

    fn hear(&self, mut link: Link) -> anyhow::Result<()> {
        link.wait_at_most(Some(STEP))?;
        match link.receive().context("it said nothing")? {
            Message::Backup => {
                tracing::info!(process = peer(&link), "sending a copy of the state");
                if let Err(error) = give(link, &self.writer.state(), self.api, self.admin) {
                    tracing::warn!("a copy of the state could not be sent: {error:#}");
                }
                Ok(())
            }
            // If another successor serves already, nobody receives this and the link is dropped.
            hello => {
                let _ = self.said.send((link, hello));
                Ok(())
            }
        }
    }
}

/// What was released so far; taken back on drop unless the successor serves.
struct Yielding<'a> {
    yields: &'a Yields,
    runtime: &'a Handle,
    held: Option<Held>,
    messages: Option<HeldMessages>,
    frozen: bool,
    paused: bool,
}

impl<'a> Yielding<'a> {
    fn new(yields: &'a Yields, runtime: &'a Handle) -> Yielding<'a> {
        Yielding {
            yields,
            runtime,
            held: None,
            messages: None,
            frozen: false,
            paused: false,
        }
    }

    /// Gives way. Returns once this process is not needed any more, or with the reason why the successor did not take over.
    fn give_way(
        mut self,
        mut link: Link,
        hello: Message,
        taken: &watch::Sender<Option<u32>>,
        is_over: &AtomicBool,
    ) -> anyhow::Result<()> {
        let Message::Hello {
            version,
            program,
            format,
        } = hello
        else {
            bail!("its first message was not Hello");
        };
        if let Some(why) = self.refuses(version, format) {
            link.send(&Message::Refused(why.clone()))?;
            bail!("{why}");
        }
        tracing::info!(program, "a successor is here");
        link.send(&Message::Welcome {
            process: std::process::id(),
            program: env!("CARGO_PKG_VERSION").to_owned(),
            format: forebay_store::FORMAT,
            api: self.yields.api.local_addr()?,
            admin: self.yields.admin.local_addr()?,
            rows: rows(&self.yields.writer.state()),
        })?;
        expect(&mut link, "its start", |message| {
            matches!(message, Message::Freeze)
        })?;
        // From here on callers of the API wait, so the successor must be quicker.
        link.wait_at_most(Some(FROZEN_STEP))?;
        self.freeze(&mut link)?;
        expect(&mut link, "its start with store and sockets", |message| {
            matches!(message, Message::Ready)
        })?;
        // Set before the step it stands for, so that dropping this undoes it even if it fails halfway.
        self.paused = true;
        self.yields.plane.accept(false);
        let lent = Lent::lend(&self.yields.plane, self.yields.clock);
        let serving = self.hand_over(&mut link, &lent).and_then(|()| {
            expect(&mut link, "its first connections", |message| {
                matches!(message, Message::Serving)
            })
        });
        // Undone in reverse order: the gates decide again before connections are accepted again.
        if let Err(error) = serving {
            lent.reclaim();
            return Err(error);
        }
        self.settle();
        // The link stays as long as this process has requests, however long nothing is said.
        link.wait_at_most(None)?;
        taken.send_replace(Some(peer(&link)));
        // As long as this process has requests, the successor decides about their slots.
        if let Err(error) = lent.tell(
            link,
            &self.yields.writer.state(),
            &self.yields.exposed,
            &self.yields.datapoints,
            is_over,
        ) {
            tracing::warn!(%error, "the successor is gone: the requests in flight here are finished without it");
        }
        Ok(())
    }

    fn refuses(&self, version: u32, format: u64) -> Option<String> {
        if version != VERSION {
            return Some(format!(
                "the running Forebay speaks version {VERSION} of the take-over protocol, the new one version {version}: stop the running one and start the new one"
            ));
        }
        (format < forebay_store::FORMAT).then(|| {
            format!(
                "the store has format {}, but the new Forebay, which is older than the running one, reads only formats up to {format}",
                forebay_store::FORMAT
            )
        })
    }

    /// Releases the store and the instances, and sends copies of all sockets.
    fn freeze(&mut self, link: &mut Link) -> anyhow::Result<()> {
        // The writer first: once it is held, no change of the state can reach messages or instances any more.
        let held = self.runtime.block_on(self.yields.writer.hold());
        self.held = Some(held.map_err(|error| anyhow!("the store cannot be released: {error}"))?);
        self.frozen = true;
        self.messages = Some(self.yields.messages.hold()?);
        self.yields.instances.lay_down();
        self.yields.datapoints.lay_down();
        let mut sockets: Vec<(SocketAddr, OwnedFd)> = Vec::new();
        for front in [&self.yields.api, &self.yields.admin] {
            sockets.push((front.local_addr()?, front.as_fd().try_clone_to_owned()?));
        }
        let copies = self.yields.plane.copies();
        sockets.extend(copies.context(
            "its sockets cannot be copied: the limit on open files may be too low (ulimit -n, LimitNOFILE)",
        )?);
        link.send(&Message::Frozen {
            rows: rows(&self.yields.writer.state()),
            batches: sockets.len().div_ceil(TOGETHER),
        })?;
        for batch in sockets.chunks(TOGETHER) {
            let addresses = batch.iter().map(|(address, _)| *address).collect();
            link.send(&Message::Sockets(addresses))?;
            let descriptors: Vec<_> = batch.iter().map(|(_, socket)| socket.as_fd()).collect();
            link.send_descriptors(&descriptors)?;
        }
        Ok(())
    }

    /// Sends what is known at this moment: health, ticket keys and the slots in use.
    fn hand_over(&self, link: &mut Link, lent: &Lent) -> anyhow::Result<()> {
        let plane = &self.yields.plane;
        let health = plane.with_node(|node| node.health_records());
        let tickets = plane.tickets().into_iter().flat_map(|(listener, keys)| {
            keys.into_iter().map(move |key| TicketKey {
                listener: listener.clone(),
                name: key.name,
                secret: key.secret,
                age_seconds: key.age.as_secs(),
            })
        });
        link.send(&Message::Yours {
            health: health.into_iter().map(told).collect(),
            tickets: tickets.collect(),
            slots: lent.slots.clone(),
        })?;
        Ok(())
    }

    /// Called when the successor serves: nothing is taken back any more.
    fn settle(&mut self) {
        self.paused = false;
        self.frozen = false;
        if let Some(held) = self.held.take() {
            held.end();
        }
        if let Some(messages) = self.messages.take() {
            messages.end();
        }
    }
}

impl Drop for Yielding<'_> {
    /// Takes back what was released.
    fn drop(&mut self) {
        // Connections first, because clients wait; the writer last, because its changes go to everything else.
        if self.paused {
            self.yields.plane.accept(true);
        }
        if self.frozen {
            self.yields.instances.take_up_again();
            self.yields.datapoints.take_up_again();
        }
        self.messages = None;
        self.held = None;
    }
}

/// Receives the next message, which must satisfy `is_it`.
fn expect(link: &mut Link, what: &str, is_it: impl Fn(&Message) -> bool) -> anyhow::Result<()> {
    let message = link
        .receive()
        .with_context(|| format!("it ended before {what}"))?;
    if is_it(&message) {
        Ok(())
    } else {
        bail!("unexpected message instead of {what}")
    }
}

/// The process id of the other end, as the kernel knows it.
fn peer(link: &Link) -> u32 {
    link.peer().unwrap_or_default()
}

fn told(kept: forebay_node::KeptHealth) -> Health {
    let record = kept.record;
    Health {
        target: Named {
            group: kept.group,
            id: kept.target,
            port: kept.port,
        },
        healthy: record.healthy,
        failure: record.failure.map(|failure| match failure {
            forebay_node::Failure::Answered(code) => Failure::Answered(code),
            forebay_node::Failure::TimedOut => Failure::TimedOut,
            forebay_node::Failure::Failed => Failure::Failed,
            forebay_node::Failure::Refused => Failure::Refused,
        }),
        successes: record.successes,
        failures: record.failures,
        has_passed: record.has_passed,
    }
}
