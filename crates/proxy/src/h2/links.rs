//! A worker's HTTP/2 connections to targets: few, each shared by many requests.

use crate::proxy_protocol::Ends;
use bytes::Bytes;
use foldhash::fast::FixedState;
use forebay_node::{Snapshot, TargetId};
use forebay_units::Mono;
use h2::client::SendRequest;
use std::cell::Cell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::time::Duration;

/// Connections of one worker to one target. Another is opened only while all carry as many streams as the target allows.
const PER_TARGET: usize = 64;
/// Most streams on one connection, whatever the target allows.
pub(super) const STREAMS: usize = 100;

/// One connection.
pub(super) struct Link {
    sender: SendRequest<Bytes>,
    streams: Rc<Cell<usize>>,
    alive: Rc<Cell<bool>>,
    /// How long it may be without a stream.
    timeout: Duration,
    /// When a sweep first found it without a stream.
    idle: Option<Mono>,
    /// The client connection that the target was told about in a PROXY header, if it was.
    ends: Option<Weak<Ends>>,
}

/// One stream's share of a connection; returned when dropped.
pub(crate) struct Share {
    streams: Rc<Cell<usize>>,
}

impl Drop for Share {
    fn drop(&mut self) {
        self.streams.set(self.streams.get() - 1);
    }
}

/// The right to send one request on a connection.
pub(crate) struct Passport {
    pub(crate) sender: SendRequest<Bytes>,
    pub(crate) share: Share,
    /// The connection had carried requests before.
    pub(crate) reused: bool,
    /// False once the connection takes no more requests.
    pub(crate) alive: Rc<Cell<bool>>,
}

/// All HTTP/2 connections of a worker to targets.
#[derive(Default)]
pub(crate) struct Links {
    by_target: HashMap<TargetId, Vec<Link>, FixedState>,
}

impl Links {
    /// A share of an existing connection that has room. If the target is told about clients, only of a connection made for
    /// this client.
    pub(super) fn take(&mut self, target: TargetId, ends: Option<&Rc<Ends>>) -> Option<Passport> {
        let links = self.by_target.get_mut(&target)?;
        links.retain(|link| link.alive.get());
        // The first with room, so that few connections are in use and the others can fall idle.
        let link = links.iter_mut().find(|link| {
            let allowed = link.sender.current_max_send_streams().min(STREAMS);
            link.streams.get() < allowed && ends.is_none_or(|ends| link.is_of(ends))
        })?;
        Some(link.share(true))
    }

    /// Keeps a fresh connection and returns a share of it.
    pub(super) fn put(&mut self, target: TargetId, mut link: Link) -> Passport {
        let passport = link.share(false);
        let links = self.by_target.entry(target).or_default();
        // A connection beyond the limit serves this request only.
        if links.len() < PER_TARGET {
            links.push(link);
        }
        passport
    }

    /// Closes connections without streams for too long: behind a firewall such a connection may be dead without notice.
    pub(crate) fn sweep(&mut self, now: Mono) {
        for links in self.by_target.values_mut() {
            links.retain_mut(|link| link.is_kept(now));
        }
    }

    /// Forgets connections to targets that are gone; each ends with its last stream.
    pub(crate) fn forget(&mut self, snapshot: &Snapshot) {
        self.by_target.retain(|id, _| {
            let mut targets = snapshot.groups.iter().flat_map(|group| &group.targets);
            targets.any(|target| target.id == *id)
        });
    }
}

impl Link {
    /// A fresh connection. `alive` becomes false when it ends; `timeout` is how long it may be without a stream; `ends` is
    /// the client connection that the target was told about, if it was.
    pub(super) fn new(
        sender: SendRequest<Bytes>,
        alive: Rc<Cell<bool>>,
        timeout: Duration,
        ends: Option<&Rc<Ends>>,
    ) -> Link {
        Link {
            sender,
            streams: Rc::new(Cell::new(0)),
            alive,
            timeout,
            idle: None,
            ends: ends.map(Rc::downgrade),
        }
    }

    fn is_of(&self, ends: &Rc<Ends>) -> bool {
        self.ends
            .as_ref()
            .is_some_and(|own| own.as_ptr() == Rc::as_ptr(ends))
    }

    fn is_kept(&mut self, now: Mono) -> bool {
        if self.streams.get() > 0 {
            self.idle = None;
            return self.alive.get();
        }
        let since = *self.idle.get_or_insert(now);
        // Its client has left, and no other client may use it.
        let orphaned = self.ends.as_ref().is_some_and(|ends| ends.strong_count() == 0);
        self.alive.get() && !orphaned && now.since(since) < self.timeout
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
