//! The process that runs: waits for a successor, and gives way to it.

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

/// A successor may take this long from one step to the next. While nothing is written it must be quick.
const STEP: Duration = Duration::from_secs(60);
const FROZEN_STEP: Duration = Duration::from_secs(30);

/// What there is to give up.
pub(crate) struct Yields {
    pub(crate) plane: Arc<DataPlane>,
    pub(crate) writer: Writer,
    pub(crate) instances: Arc<Instances>,
    pub(crate) datapoints: Arc<KeptDatapoints>,
    pub(crate) messages: Arc<KeptMessages>,
    pub(crate) clock: Clock,
    /// Where all load balancers are reached.
    pub(crate) exposed: Vec<IpAddr>,
    /// Where the APIs and the admin address are served.
    pub(crate) api: TcpListener,
    pub(crate) admin: TcpListener,
}

/// Waits for a successor.
pub(crate) struct Predecessor {
    socket: PathBuf,
    taken: watch::Receiver<Option<u32>>,
    is_over: Arc<AtomicBool>,
    /// None where there can be no socket.
    thread: Option<JoinHandle<()>>,
}

impl Predecessor {
    /// Waits for successors, in the data directory. Where no socket can be (some file systems have none), it says so and waits for none.
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
                // The socket's path leads through this descriptor.
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

    /// Nobody is to take over any more.
    pub(crate) fn close(&self) {
        let _ = std::fs::remove_file(&self.socket);
    }

    /// All requests are over, and all is told but the last metrics: tells these. Blocks.
    pub(crate) fn finish(self) {
        self.is_over.store(true, SeqCst);
        if let Some(thread) = self.thread {
            let _ = thread.join();
        }
    }
}

fn listen(data_dir: &Path) -> std::io::Result<(File, UnixListener)> {
    let (directory, path) = socket_in(data_dir)?;
    // Whoever has the store is the only one here, so a socket that is there is a dead one's, or that of whom this one took over from.
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok((directory, listener))
}

/// Gives way to the first successor that makes it.
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

/// Hears what each who connects wants: a backup has a thread of its own for as long as it takes, successors come one after another.
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
                std::thread::sleep(Duration::from_secs(1));
                continue;
            };
            let front = self.clone();
            let thread = std::thread::Builder::new().name("take-over-hello".to_owned());
            let spawned = thread.spawn(move || {
                if let Err(error) = front.hear(Link::new(stream)) {
                    tracing::warn!("a successor did not take over: {error:#}. Nothing has changed");
                }
            });
            if let Err(error) = spawned {
                tracing::warn!(%error, "whoever asked for the state could not be heard");
            }
        }
    }

    fn hear(&self, mut link: Link) -> anyhow::Result<()> {
        link.wait_at_most(Some(STEP))?;
        match link.receive().context("it said nothing")? {
            Message::Backup => {
                tracing::info!(process = peer(&link), "the state is copied");
                if let Err(error) = give(link, &self.writer.state(), self.api, self.admin) {
                    tracing::warn!("whoever wanted a copy of the state did not get it: {error:#}");
                }
                Ok(())
            }
            // Once another one serves there is nobody to hear it: the link is dropped.
            hello => {
                let _ = self.said.send((link, hello));
                Ok(())
            }
        }
    }
}

/// What was given up, to be taken back unless the successor serves.
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

    /// Returns once this process is not needed any more, or with what kept the successor from taking over.
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
            bail!("it did not say who it is");
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
        link.wait_at_most(Some(FROZEN_STEP))?;
        self.freeze(&mut link)?;
        expect(&mut link, "its start with store and sockets", |message| {
            matches!(message, Message::Ready)
        })?;
        self.paused = true;
        self.yields.plane.accept(false);
        let lent = Lent::lend(&self.yields.plane, self.yields.clock);
        let serving = self.hand_over(&mut link, &lent).and_then(|()| {
            expect(&mut link, "its first connections", |message| {
                matches!(message, Message::Serving)
            })
        });
        if let Err(error) = serving {
            lent.reclaim();
            return Err(error);
        }
        self.settle();
        link.wait_at_most(None)?;
        taken.send_replace(Some(peer(&link)));
        // For as long as this process has requests, the successor decides about their slots.
        if let Err(error) = lent.tell(
            link,
            &self.yields.writer.state(),
            &self.yields.exposed,
            &self.yields.datapoints,
            is_over,
        ) {
            tracing::warn!(%error, "the successor is gone: requests under way here are finished by what is known here");
        }
        Ok(())
    }

    fn refuses(&self, version: u32, format: u64) -> Option<String> {
        if version != VERSION {
            return Some(format!(
                "the running Forebay hands over as version {VERSION}, the new one takes over as version {version}: stop the one and start the other"
            ));
        }
        (format < forebay_store::FORMAT).then(|| {
            format!(
                "the store has format {}, and the new Forebay reads formats up to {format} only: it is older than the running one",
                forebay_store::FORMAT
            )
        })
    }

    /// Lets go of the store and of instances, and gives copies of all sockets.
    fn freeze(&mut self, link: &mut Link) -> anyhow::Result<()> {
        let held = self.runtime.block_on(self.yields.writer.hold());
        self.held = Some(held.map_err(|error| anyhow!("the store cannot be let go: {error}"))?);
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

    /// Tells what is known at this moment.
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

    /// The successor serves: nothing is taken back.
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
    /// Takes back what was given up.
    fn drop(&mut self) {
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

/// The next message is one of these.
fn expect(link: &mut Link, what: &str, is_it: impl Fn(&Message) -> bool) -> anyhow::Result<()> {
    let message = link
        .receive()
        .with_context(|| format!("it ended before {what}"))?;
    if is_it(&message) {
        Ok(())
    } else {
        bail!("it said something else than was expected of {what}")
    }
}

/// The process at the other end, as the kernel knows it.
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
