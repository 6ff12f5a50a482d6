//! A worker's HTTP/2 connections to targets: few, each shared by many requests.

use crate::choose::{self, Connection, Missing};
use crate::sweep::Slot;
use crate::worker::Worker;
use bytes::Bytes;
use foldhash::fast::FixedState;
use forebay_node::{ConnectError, Picture, Reuse, TargetId, TargetView};
use forebay_units::Mono;
use h2::client::SendRequest;
use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

/// What a target may send ahead on one stream.
pub(crate) const STREAM_WINDOW: u32 = 64 * 1024;
/// And on all of a connection: clients that do not read their answers must not use up what others need.
const CONNECTION_WINDOW: u32 = STREAMS as u32 * STREAM_WINDOW;
/// Bytes of a request held for a stream whose target does not take them.
pub(crate) const SEND_BUFFER: usize = 64 * 1024;
/// Connections to one target, by one worker: more are opened only while all have as many streams as the target allows.
const PER_TARGET: usize = 64;
/// Streams one connection carries, whatever the target allows.
const STREAMS: usize = 100;

struct Link {
    sender: SendRequest<Bytes>,
    streams: Rc<Cell<usize>>,
    alive: Rc<Cell<bool>>,
    /// How long it may be without a stream.
    timeout: Duration,
    /// Since when a sweep has found it without one.
    idle: Option<Mono>,
}

/// A stream's share of a connection, until dropped.
pub(crate) struct Share {
    streams: Rc<Cell<usize>>,
}

impl Drop for Share {
    fn drop(&mut self) {
        self.streams.set(self.streams.get() - 1);
    }
}

/// A way to send one request.
pub(crate) struct Passport {
    pub(crate) sender: SendRequest<Bytes>,
    pub(crate) share: Share,
    /// The connection had carried requests before.
    pub(crate) reused: bool,
    /// False once the connection takes no more requests.
    pub(crate) alive: Rc<Cell<bool>>,
}

/// All HTTP/2 connections of a worker.
#[derive(Default)]
pub(crate) struct Links {
    by_target: HashMap<TargetId, Vec<Link>, FixedState>,
}

impl Links {
    fn take(&mut self, target: TargetId) -> Option<Passport> {
        let links = self.by_target.get_mut(&target)?;
        links.retain(|link| link.alive.get());
        let link = links.iter_mut().find(|link| {
            let allowed = link.sender.current_max_send_streams().min(STREAMS);
            link.streams.get() < allowed
        })?;
        Some(link.share(true))
    }

    fn put(&mut self, target: TargetId, mut link: Link) -> Passport {
        let passport = link.share(false);
        let links = self.by_target.entry(target).or_default();
        // One more than that serves this request only.
        if links.len() < PER_TARGET {
            links.push(link);
        }
        passport
    }

    /// Closes what carried nothing for too long: behind a firewall such a connection may be dead without a sign.
    pub(crate) fn sweep(&mut self, now: Mono) {
        for links in self.by_target.values_mut() {
            links.retain_mut(|link| link.is_kept(now));
        }
    }

    /// Lets connections to targets that are gone end with their last stream.
    pub(crate) fn forget(&mut self, picture: &Picture) {
        self.by_target.retain(|id, _| {
            let mut targets = picture.groups.iter().flat_map(|group| &group.targets);
            targets.any(|target| target.id == *id)
        });
    }
}

impl Link {
    fn is_kept(&mut self, now: Mono) -> bool {
        if self.streams.get() > 0 {
            self.idle = None;
            return self.alive.get();
        }
        let since = *self.idle.get_or_insert(now);
        self.alive.get() && now.since(since) < self.timeout
    }

    fn share(&mut self, reused: bool) -> Passport {
        self.idle = None;
        self.streams.set(self.streams.get() + 1);
        Passport {
            sender: self.sender.clone(),
            share: Share {
                streams: Rc::clone(&self.streams),
            },
            reused,
            alive: Rc::clone(&self.alive),
        }
    }
}

/// A way to send the request whose head is `head` to this target: over a connection that stands, or a fresh one.
pub(crate) async fn passport(
    worker: &Worker,
    slot: &Slot,
    target: &TargetView,
    reuse: Reuse,
    head: &[u8],
    idle_timeout: Duration,
) -> Result<Passport, Missing> {
    if reuse != Reuse::Never {
        let standing = worker.links.borrow_mut().take(target.id);
        if let Some(passport) = standing {
            return Ok(passport);
        }
    }
    let Connection { stream, .. } = choose::connection(worker, slot, target, Reuse::Never, head).await?;
    let mut builder = h2::client::Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .max_header_list_size(64 * 1024);
    let (sender, connection) = match slot.until(builder.handshake(stream)).await {
        Ok(Ok(made)) => made,
        Ok(Err(_)) => return Err(Missing::Error(ConnectError::Refused)),
        Err(ended) => return Err(Missing::Ended(ended)),
    };
    let alive = Rc::new(Cell::new(true));
    let lives = Rc::clone(&alive);
    tokio::task::spawn_local(async move {
        let _ = connection.await;
        lives.set(false);
    });
    let link = Link {
        sender,
        streams: Rc::new(Cell::new(0)),
        alive,
        timeout: idle_timeout,
        idle: None,
    };
    Ok(worker.links.borrow_mut().put(target.id, link))
}
