//! One thread's way to write lines: formats them into a batch per log file, and hands batches over without waiting.

use super::lines;
use super::shelf::{SLOT_SECONDS, Shelf};
use super::tally::{Log, Sink, Tally};
use super::text::Stamp;
use crate::spans::SpanPen;
use forebay_model::LogPlace;
use forebay_node::journal::{ConnectionFacts, LogFacts, Pen, ProbeFacts, SpanFacts};
use forebay_node::{BalancerView, NodeView, ZoneId};
use forebay_units::Wall;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

/// A batch is handed over when it has grown to this.
const BATCH_BYTES: usize = 32 * 1024;
/// Flushes that a log file's batch may stay empty before it is forgotten: a few minutes.
const FORGOTTEN: u32 = 1000;

/// Lines of one log, for one file.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) log: Log,
    pub(super) shelf: Option<Arc<Shelf>>,
    /// The five minutes that its lines are of.
    pub(super) slot: i64,
    pub(super) lines: u64,
    pub(super) text: Vec<u8>,
}

/// What a writer is told.
#[derive(Debug)]
pub(super) enum Order {
    /// Write this.
    Write(Batch),
    /// Finish all files, connect anew, and go on.
    Reopen,
    /// Finish all files and end.
    Finish,
}

/// The ways out of a pen.
#[derive(Clone)]
pub(super) struct Exits {
    pub(super) tally: Arc<Tally>,
    pub(super) files: SyncSender<Order>,
    /// By log.
    pub(super) live: [Option<SyncSender<Order>>; 3],
}

/// One file's lines, as far as this thread has written them.
struct Book {
    log: Log,
    balancer: Arc<BalancerView>,
    zone: ZoneId,
    /// `app/NAME/ID`.
    name: String,
    shelf: Option<Arc<Shelf>>,
    slot: i64,
    lines: u64,
    text: Vec<u8>,
    empty_flushes: u32,
}

/// A thread's pen.
pub(super) struct ThreadPen {
    exits: Exits,
    books: Vec<Book>,
    /// The book last written in: most often it is the next one too.
    last: usize,
    stamp: Stamp,
    spans: Option<SpanPen>,
}

impl ThreadPen {
    pub(super) fn new(exits: Exits, spans: Option<SpanPen>) -> ThreadPen {
        ThreadPen {
            exits,
            books: Vec::new(),
            last: 0,
            stamp: Stamp::default(),
            spans,
        }
    }

    /// Whose book this is, open at the time of `wall`. O(1) while the same load balancer's requests follow each other.
    fn book(
        &mut self,
        log: Log,
        balancer: &Arc<BalancerView>,
        zone: ZoneId,
        nodes: &[NodeView],
        wall: Wall,
    ) -> usize {
        // A changed load balancer is another view, and may log elsewhere. The book holds its view, so that no new one
        // can have the same address.
        let is_it =
            |book: &Book| book.log == log && book.zone == zone && Arc::ptr_eq(&book.balancer, balancer);
        let known = if self.books.get(self.last).is_some_and(is_it) {
            Some(self.last)
        } else {
            self.books.iter().position(is_it)
        };
        let at = known.unwrap_or_else(|| {
            self.books.push(Book::new(log, balancer, zone, nodes));
            self.books.len() - 1
        });
        self.last = at;
        let slot = wall.seconds().div_euclid(SLOT_SECONDS);
        if self.books[at].slot != slot {
            self.books[at].hand_over(&self.exits);
            self.books[at].slot = slot;
        }
        at
    }

    fn line_done(&mut self, at: usize) {
        let book = &mut self.books[at];
        book.lines += 1;
        if book.text.len() >= BATCH_BYTES {
            book.hand_over(&self.exits);
        }
    }
}

impl Book {
    fn new(log: Log, balancer: &Arc<BalancerView>, zone: ZoneId, nodes: &[NodeView]) -> Book {
        let settings = &balancer.settings;
        let place: Option<&LogPlace> = match log {
            Log::Access => settings.access_log.as_ref(),
            Log::Connection => settings.connection_log.as_ref(),
            Log::Health => settings.health_log.as_ref(),
        };
        let node = nodes.iter().find(|node| node.zone == zone);
        let shelf = place
            .zip(node)
            .map(|(place, node)| Arc::new(Shelf::new(log, place, &balancer.arn, node.address)));
        Book {
            log,
            balancer: Arc::clone(balancer),
            zone,
            name: balancer.name().to_owned(),
            shelf,
            slot: 0,
            lines: 0,
            text: Vec::new(),
            empty_flushes: 0,
        }
    }

    fn hand_over(&mut self, exits: &Exits) {
        if self.lines == 0 {
            return;
        }
        let batch = Batch {
            log: self.log,
            shelf: self.shelf.clone(),
            slot: self.slot,
            lines: core::mem::take(&mut self.lines),
            text: core::mem::take(&mut self.text),
        };
        // The next batch will be of this size too.
        if batch.text.len() >= BATCH_BYTES {
            self.text.reserve(BATCH_BYTES + BATCH_BYTES / 4);
        }
        // A probe's line stands in the file of each load balancer that asked, and live only once: see `probe`.
        exits.send(batch, self.log != Log::Health);
    }
}

impl Exits {
    fn send(&self, batch: Batch, goes_live: bool) {
        let (log, lines) = (batch.log, batch.lines);
        let lost = |sink| self.tally.lost(log, sink, lines);
        let live = self.live[log as usize].as_ref();
        if let Some(live) = live.filter(|_| goes_live) {
            let copy = Batch {
                log,
                shelf: None,
                slot: batch.slot,
                lines,
                text: batch.text.clone(),
            };
            if live.try_send(Order::Write(copy)).is_err() {
                lost(Sink::Live);
            }
        }
        if batch.shelf.is_some() && self.files.try_send(Order::Write(batch)).is_err() {
            lost(Sink::File);
        }
    }
}

impl Pen for ThreadPen {
    fn request(&mut self, facts: &LogFacts<'_>) {
        let at = self.book(Log::Access, facts.balancer, facts.zone, facts.nodes, facts.wall);
        let book = &mut self.books[at];
        lines::access(&mut book.text, &mut self.stamp, &book.name, facts);
        self.line_done(at);
    }

    fn span(&mut self, facts: &LogFacts<'_>, span: &SpanFacts<'_>) {
        if let Some(spans) = &mut self.spans {
            spans.request(facts, span);
        }
    }

    fn connection(&mut self, facts: &ConnectionFacts<'_>) {
        let at = self.book(
            Log::Connection,
            facts.balancer,
            facts.zone,
            facts.nodes,
            facts.wall,
        );
        lines::connection(&mut self.books[at].text, &mut self.stamp, facts);
        self.line_done(at);
    }

    fn probe(&mut self, facts: &ProbeFacts<'_>) {
        for (balancer, node) in &facts.watch.balancers {
            let at = self.book(Log::Health, balancer, node.zone, &[*node], facts.wall);
            lines::probe(&mut self.books[at].text, &mut self.stamp, facts);
            self.books[at].lines += 1;
        }
        // Each probe once, however many load balancers asked for it: the batches above are for files only.
        if self.exits.live[Log::Health as usize].is_some() {
            let mut batch = Batch {
                log: Log::Health,
                shelf: None,
                slot: 0,
                lines: 1,
                text: Vec::new(),
            };
            lines::probe(&mut batch.text, &mut self.stamp, facts);
            self.exits.send(batch, true);
        }
    }

    fn flush(&mut self) {
        if let Some(spans) = &mut self.spans {
            spans.flush();
        }
        for book in &mut self.books {
            book.empty_flushes = if book.lines == 0 {
                book.empty_flushes + 1
            } else {
                0
            };
            book.hand_over(&self.exits);
        }
        self.books.retain(|book| book.empty_flushes < FORGOTTEN);
    }
}

impl Drop for ThreadPen {
    fn drop(&mut self) {
        self.flush();
    }
}
