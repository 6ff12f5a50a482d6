//! One thread's log writer: formats lines into a batch per log file, and hands batches over without waiting.

use super::counters::{Log, LogCounters, Sink};
use super::lines;
use super::log_path::{LogPath, SLOT_SECONDS};
use super::text::Stamp;
use crate::spans::SpanWriter;
use forebay_model::LogPlace;
use forebay_node::logging::{ConnectionFacts, LogFacts, LogWriter, ProbeFacts, SpanFacts};
use forebay_node::{BalancerView, NodeView, ZoneId};
use forebay_units::Wall;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

/// A batch of at least this size is handed over.
const BATCH_BYTES: usize = 32 * 1024;
/// Flushes after which a log file's empty batch is forgotten: a few minutes.
const FORGOTTEN: u32 = 1000;

/// Lines of one log, for one file.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) log: Log,
    pub(super) log_path: Option<Arc<LogPath>>,
    /// The five minutes of its lines.
    pub(super) slot: i64,
    pub(super) lines: u64,
    pub(super) text: Vec<u8>,
}

/// Commands to a writer's thread.
#[derive(Debug)]
pub(super) enum WriterCommand {
    /// Write this batch.
    Write(Batch),
    /// Finish all files, reconnect, and go on.
    Reopen,
    /// Finish all files and end.
    Finish,
}

/// The channels from a log writer to the threads that write.
#[derive(Clone)]
pub(super) struct Exits {
    pub(super) counters: Arc<LogCounters>,
    pub(super) files: SyncSender<WriterCommand>,
    /// The live sink of each log.
    pub(super) live: [Option<SyncSender<WriterCommand>>; 3],
}

/// One file's lines that this thread has not handed over yet.
struct FileBuffer {
    log: Log,
    balancer: Arc<BalancerView>,
    zone: ZoneId,
    /// `app/NAME/ID`.
    name: String,
    log_path: Option<Arc<LogPath>>,
    slot: i64,
    lines: u64,
    text: Vec<u8>,
    empty_flushes: u32,
}

/// A thread's log writer.
pub(super) struct ThreadLogWriter {
    exits: Exits,
    file_buffers: Vec<FileBuffer>,
    /// Index of the file buffer last written to, which most often is the next one too.
    last: usize,
    stamp: Stamp,
    spans: Option<SpanWriter>,
}

impl ThreadLogWriter {
    pub(super) fn new(exits: Exits, spans: Option<SpanWriter>) -> ThreadLogWriter {
        ThreadLogWriter {
            exits,
            file_buffers: Vec::new(),
            last: 0,
            stamp: Stamp::default(),
            spans,
        }
    }

    /// The file buffer of this load balancer at the time `wall`. O(1) while requests of the same load balancer follow each
    /// other.
    fn file_buffer(
        &mut self,
        log: Log,
        balancer: &Arc<BalancerView>,
        zone: ZoneId,
        nodes: &[NodeView],
        wall: Wall,
    ) -> usize {
        // A changed load balancer has a new view, and may log elsewhere. The file buffer holds its view, so no new view can
        // have
        // the same address.
        let is_it = |file_buffer: &FileBuffer| {
            file_buffer.log == log && file_buffer.zone == zone && Arc::ptr_eq(&file_buffer.balancer, balancer)
        };
        let known = if self.file_buffers.get(self.last).is_some_and(is_it) {
            Some(self.last)
        } else {
            self.file_buffers.iter().position(is_it)
        };
        let at = known.unwrap_or_else(|| {
            self.file_buffers
                .push(FileBuffer::new(log, balancer, zone, nodes));
            self.file_buffers.len() - 1
        });
        self.last = at;
        let slot = wall.seconds().div_euclid(SLOT_SECONDS);
        if self.file_buffers[at].slot != slot {
            self.file_buffers[at].hand_over(&self.exits);
            self.file_buffers[at].slot = slot;
        }
        at
    }

    fn line_done(&mut self, at: usize) {
        let file_buffer = &mut self.file_buffers[at];
        file_buffer.lines += 1;
        if file_buffer.text.len() >= BATCH_BYTES {
            file_buffer.hand_over(&self.exits);
        }
    }
}

impl FileBuffer {
    fn new(log: Log, balancer: &Arc<BalancerView>, zone: ZoneId, nodes: &[NodeView]) -> FileBuffer {
        let settings = balancer.settings();
        let place: Option<&LogPlace> = match log {
            Log::Access => settings.access_log.as_ref(),
            Log::Connection => settings.connection_log.as_ref(),
            Log::Health => settings.health_log.as_ref(),
        };
        let node = nodes.iter().find(|node| node.zone == zone);
        let log_path = place
            .zip(node)
            .map(|(place, node)| Arc::new(LogPath::new(log, place, &balancer.blueprint.arn, node.address)));
        FileBuffer {
            log,
            balancer: Arc::clone(balancer),
            zone,
            name: balancer.name().to_owned(),
            log_path,
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
            log_path: self.log_path.clone(),
            slot: self.slot,
            lines: core::mem::take(&mut self.lines),
            text: core::mem::take(&mut self.text),
        };
        // The next batch will be about as large.
        if batch.text.len() >= BATCH_BYTES {
            self.text.reserve(BATCH_BYTES + BATCH_BYTES / 4);
        }
        // A probe's line is in the file of each load balancer that asked for it, but live only once: see `probe`.
        exits.send(batch, self.log != Log::Health);
    }
}

impl Exits {
    fn send(&self, batch: Batch, goes_live: bool) {
        let (log, lines) = (batch.log, batch.lines);
        let lost = |sink| self.counters.lost(log, sink, lines);
        let live = self.live[log as usize].as_ref();
        if let Some(live) = live.filter(|_| goes_live) {
            let copy = Batch {
                log,
                log_path: None,
                slot: batch.slot,
                lines,
                text: batch.text.clone(),
            };
            if live.try_send(WriterCommand::Write(copy)).is_err() {
                lost(Sink::Live);
            }
        }
        if batch.log_path.is_some() && self.files.try_send(WriterCommand::Write(batch)).is_err() {
            lost(Sink::File);
        }
    }
}

impl LogWriter for ThreadLogWriter {
    fn request(&mut self, facts: &LogFacts<'_>) {
        let at = self.file_buffer(Log::Access, facts.balancer, facts.zone, facts.nodes, facts.wall);
        let file_buffer = &mut self.file_buffers[at];
        lines::access(&mut file_buffer.text, &mut self.stamp, &file_buffer.name, facts);
        self.line_done(at);
    }

    fn span(&mut self, facts: &LogFacts<'_>, span: &SpanFacts<'_>) {
        if let Some(spans) = &mut self.spans {
            spans.request(facts, span);
        }
    }

    fn connection(&mut self, facts: &ConnectionFacts<'_>) {
        let at = self.file_buffer(
            Log::Connection,
            facts.balancer,
            facts.zone,
            facts.nodes,
            facts.wall,
        );
        lines::connection(&mut self.file_buffers[at].text, &mut self.stamp, facts);
        self.line_done(at);
    }

    fn probe(&mut self, facts: &ProbeFacts<'_>) {
        for (balancer, node) in &facts.watch.balancers {
            let at = self.file_buffer(Log::Health, balancer, node.zone, &[*node], facts.wall);
            lines::probe(&mut self.file_buffers[at].text, &mut self.stamp, facts);
            self.file_buffers[at].lines += 1;
        }
        // Each probe goes live once, however many load balancers asked for it: the batches above are for files only.
        if self.exits.live[Log::Health as usize].is_some() {
            let mut batch = Batch {
                log: Log::Health,
                log_path: None,
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
        for file_buffer in &mut self.file_buffers {
            file_buffer.empty_flushes = if file_buffer.lines == 0 {
                file_buffer.empty_flushes + 1
            } else {
                0
            };
            file_buffer.hand_over(&self.exits);
        }
        self.file_buffers
            .retain(|file_buffer| file_buffer.empty_flushes < FORGOTTEN);
    }
}

impl Drop for ThreadLogWriter {
    fn drop(&mut self) {
        self.flush();
    }
}
