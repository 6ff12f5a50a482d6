//! The process that takes over.

use super::foreign::Foreign;
use super::link::Link;
use super::messages::{Failure, Health, Message, Row, VERSION};
use super::place::socket_in;
use crate::datapoints::KeptDatapoints;
use crate::served::Follower;
use anyhow::{Context as _, bail};
use forebay_control::State;
use forebay_node::{KeptHealth, TrackerRecord};
use forebay_proxy::{Clock, DataPlane, Inherited, Tickets};
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Most time that the running process may take for one step.
const STEP: Duration = Duration::from_secs(60);
/// Most time to wait for control channels to agents that do not answer.
const CHANNELS: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(5);

/// The successor's end of the link.
pub(crate) struct Successor {
    link: Link,
    /// The process id of the running process.
    pub(crate) process: u32,
    /// Where it serves the APIs, and its metrics and health.
    pub(crate) api: SocketAddr,
    pub(crate) admin: SocketAddr,
    rows: Vec<Row>,
}

/// What the running process has released.
pub(crate) struct Yielded {
    pub(crate) api: TcpListener,
    pub(crate) admin: TcpListener,
    pub(crate) inherited: Inherited,
    pub(crate) state: State,
}

impl Successor {
    /// Announces this process to the one that runs with this data directory.
    pub(crate) fn meet(data_dir: &Path) -> anyhow::Result<Successor> {
        let (_directory, path) = socket_in(data_dir)
            .with_context(|| format!("the data directory {} cannot be read", data_dir.display()))?;
        let stream = UnixStream::connect(path).with_context(|| {
            format!(
                "no running Forebay can be taken over in the data directory {}: start without --take-over",
                data_dir.display()
            )
        })?;
        let mut link = Link::new(stream);
        link.wait_at_most(Some(STEP))?;
        link.send(&Message::Hello {
            version: VERSION,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            format: forebay_store::FORMAT,
        })?;
        match link.receive().context("the running Forebay does not answer")? {
            Message::Refused(why) => bail!("{why}"),
            Message::Welcome {
                process,
                api,
                admin,
                rows,
                ..
            } => Ok(Successor {
                link,
                process,
                api,
                admin,
                rows,
            }),
            _ => bail!("the running Forebay gave an unexpected answer"),
        }
    }

    /// The state that is served now.
    pub(crate) fn state(&mut self) -> anyhow::Result<State> {
        state(core::mem::take(&mut self.rows))
    }

    /// Makes the running process hold back writes, until this one serves or is gone; takes its store, sockets and last
    /// state.
    pub(crate) fn freeze(&mut self) -> anyhow::Result<Yielded> {
        self.link.send(&Message::Freeze)?;
        let Message::Frozen { rows, batches } = self.receive()? else {
            bail!("the running Forebay did not release its store");
        };
        let mut sockets = Vec::new();
        for _ in 0..batches {
            let Message::Sockets(addresses) = self.receive()? else {
                bail!("the running Forebay did not send its sockets");
            };
            let descriptors = self.link.receive_descriptors()?;
            if descriptors.len() != addresses.len() {
                bail!(
                    "only {} of {} sockets arrived: the limit on open files may be too low (ulimit -n, LimitNOFILE)",
                    descriptors.len(),
                    addresses.len()
                );
            }
            sockets.extend(
                addresses
                    .into_iter()
                    .zip(descriptors.into_iter().map(TcpListener::from)),
            );
        }
        let mut sockets = sockets.into_iter();
        let (Some((_, api)), Some((_, admin))) = (sockets.next(), sockets.next()) else {
            bail!("the running Forebay sent no sockets");
        };
        let mut inherited = Inherited::new();
        for (address, socket) in sockets {
            inherited.entry(address).or_default().push(socket);
        }
        Ok(Yielded {
            api,
            admin,
            inherited,
            state: state(rows)?,
        })
    }

    fn receive(&mut self) -> anyhow::Result<Message> {
        self.link.receive().context("the running Forebay is gone")
    }

    /// Adopts what the running process knows, and accepts connections.
    pub(crate) fn serve(
        mut self,
        plane: &Arc<DataPlane>,
        datapoints: &Arc<KeptDatapoints>,
        follower: &Follower,
        clock: Clock,
        seed: u64,
    ) -> anyhow::Result<Before> {
        wait_for_channels(plane);
        self.link.send(&Message::Ready)?;
        let Message::Yours {
            health,
            tickets,
            slots,
        } = self.receive()?
        else {
            bail!("the running Forebay did not send its health, tickets and slots");
        };
        plane.take_health(health.into_iter().map(kept).collect());
        let mut keys: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for key in tickets {
            keys.entry(key.listener)
                .or_default()
                .push(forebay_proxy::TicketKey {
                    name: key.name,
                    secret: key.secret,
                    age: Duration::from_secs(key.age_seconds),
                });
        }
        plane.take_tickets(Tickets::from_iter(keys));
        let mut link = self.link.again()?;
        self.link.wait_at_most(None)?;
        // Before any connection is accepted: a gate that did not know these slots would admit too many requests.
        let (tell, is_here) = Foreign::serve(plane, clock, seed, slots, Arc::clone(datapoints), self.link)?;
        let gone = is_here.clone();
        let _ = follower.set(Box::new(move |old, new| {
            // From then on there is nobody to follow the changes.
            if gone.has_changed().is_err() {
                return;
            }
            let changed = State::rows_changed(old, new).into_iter().map(|row| {
                let json = row.value.and_then(|json| String::from_utf8(json).ok());
                (row.table.to_owned(), row.key, json)
            });
            // Fails if it is gone.
            let _ = tell.send(Message::Changed(changed.collect()));
        }));
        plane.accept(true);
        link.send(&Message::Serving)
            .context("the running Forebay is gone")?;
        Ok(Before(is_here))
    }
}

/// The predecessor, while it finishes requests.
pub(crate) struct Before(watch::Receiver<()>);

impl Before {
    /// Returns once it is gone.
    pub(crate) async fn gone(mut self) {
        while self.0.changed().await.is_ok() {}
    }
}

/// Agents admit only known nodes: the channels to them must exist before the first request comes.
fn wait_for_channels(plane: &DataPlane) {
    let began = Instant::now();
    while began.elapsed() < CHANNELS && plane.with_node(|node| node.lacks_channels()) {
        std::thread::sleep(LOOK);
    }
}

fn state(rows: Vec<Row>) -> anyhow::Result<State> {
    State::from_rows(rows).context("cannot read the running Forebay's state: it may be of a newer version")
}

fn kept(health: Health) -> KeptHealth {
    KeptHealth {
        group: health.target.group,
        target: health.target.id,
        port: health.target.port,
        record: TrackerRecord {
            healthy: health.healthy,
            failure: health.failure.map(|failure| match failure {
                Failure::Answered(code) => forebay_node::Failure::Answered(code),
                Failure::TimedOut => forebay_node::Failure::TimedOut,
                Failure::Failed => forebay_node::Failure::Failed,
                Failure::Refused => forebay_node::Failure::Refused,
            }),
            successes: health.successes,
            failures: health.failures,
            has_passed: health.has_passed,
        },
    }
}
