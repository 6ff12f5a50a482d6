//! A worker's HTTP/2 connections to targets: few, each shared by many requests.

use crate::choose::{self, Connection, Missing};
use crate::sweep::Slot;
use crate::worker::Worker;
use bytes::Bytes;
use foldhash::fast::FixedState;
use forebay_node::{ConnectError, Picture, Reuse, TargetId, TargetView};
use h2::client::SendRequest;
use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;

/// What a target may send ahead on one stream, and on all of a connection.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
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
        let link = links.iter().find(|link| {
            let allowed = link.sender.current_max_send_streams().min(STREAMS);
            link.streams.get() < allowed
        })?;
        Some(link.share(true))
    }

    fn put(&mut self, target: TargetId, link: Link) -> Passport {
        let passport = link.share(false);
        let links = self.by_target.entry(target).or_default();
        // One more than that serves this request only.
        if links.len() < PER_TARGET {
            links.push(link);
        }
        passport
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
    fn share(&self, reused: bool) -> Passport {
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
    let (lives, meter) = (Rc::clone(&alive), Rc::clone(&worker.meter));
    tokio::task::spawn_local(async move {
        // What its target may send ahead, on all streams.
        meter.take(CONNECTION_WINDOW as usize);
        let _ = connection.await;
        meter.give_back(CONNECTION_WINDOW as usize);
        lives.set(false);
    });
    let link = Link {
        sender,
        streams: Rc::new(Cell::new(0)),
        alive,
    };
    Ok(worker.links.borrow_mut().put(target.id, link))
}
