//! The log, on standard error: standard output is for what programs read. `json` formats lines for collectors.
//!
//! Nothing waits for the reader. Lines go through a bounded queue to a thread; a line that finds no room is dropped and
//! counted, and only so many lines of a kind are logged each second. `tracing-appender` was considered: when its queue is
//! full at the end it prints to standard output, which may be the same pipe, and it does not log how many lines are
//! missing.

mod json;

use forebay_units::lock::lock;
use std::collections::HashMap;
use std::fmt;
use std::io::{self, IsTerminal as _, Write};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tracing::callsite::Identifier;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::{Format, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

/// Most bytes that wait for standard error; as many may be on their way there.
const WAITING: usize = 256 * 1024;
/// Most lines of a kind in a second. Levels below `info` are for debugging, and only the queue limits them.
const OF_A_KIND: u32 = 10;
/// Longest wait at the end of the process until everything is written.
const ENDING: Duration = Duration::from_secs(1);
/// Longest wait after a panic: the process may be about to abort.
const PANICKING: Duration = Duration::from_millis(100);

static QUEUE: Queue = Queue {
    waits: Mutex::new(Waits {
        text: Vec::new(),
        dropped: 0,
        writing: false,
        served: false,
    }),
    more: Condvar::new(),
    written: Condvar::new(),
};
/// Lines that were dropped or left out so far.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Whether lines are JSON.
static JSON: AtomicBool = AtomicBool::new(false);

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Text for people, with colours if standard error is a terminal
    Text,
    /// A JSON object per line: timestamp, level, message, target and fields
    Json,
}

/// Logs what passes this filter. A level alone applies to this project's own lines; libraries log only where they are
/// named,
/// as in `info,h2=warn`.
pub fn start(filter: &str, format: LogFormat) {
    JSON.store(format == LogFormat::Json, Relaxed);
    if std::thread::Builder::new()
        .name("log".to_owned())
        .spawn(|| QUEUE.serve())
        .is_ok()
    {
        lock(&QUEUE.waits).served = true;
    }
    // The default hook writes to standard error itself, and would block if nobody reads it.
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        say(
            Level::ERROR,
            format_args!("thread '{}' {panic}", thread.name().unwrap_or("?")),
        );
        let trace = std::backtrace::Backtrace::capture();
        if trace.status() == std::backtrace::BacktraceStatus::Captured {
            say(Level::ERROR, format_args!("{trace}"));
        }
        QUEUE.wait(PANICKING);
    }));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(|| Lines)
        // Colour codes in a file or a journal get in the way of searching it.
        .with_ansi(
            io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty()),
        )
        // A log that cannot be written (a closed pipe, a full disk) must not panic the thread that logs.
        .log_internal_errors(false)
        .event_format(Bounded::new(tracing_subscriber::fmt::format().with_target(false)));
    let registry = tracing_subscriber::registry();
    // The filter parser is much code, and an agent whose filter is just a level never makes it resident.
    match filter.parse::<LevelFilter>() {
        Ok(level) => {
            let ours = Targets::new().with_target("forebay", level);
            registry.with(lines.with_filter(ours)).init();
        }
        Err(_) => {
            let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("forebay=info"));
            registry.with(lines.with_filter(filter)).init();
        }
    }
}

/// Logs this line, whatever the filter.
pub fn say(level: Level, line: fmt::Arguments<'_>) {
    QUEUE.take(own(level, line).as_bytes());
}

/// A line for a message that is not an event.
fn own(level: Level, line: fmt::Arguments<'_>) -> String {
    if JSON.load(Relaxed) {
        json::own(level, line)
    } else {
        format!("{line}\n")
    }
}

/// Waits until everything is written, for a limited time: nobody may be reading.
pub fn finish() {
    QUEUE.wait(ENDING);
}

/// Lines that were not written so far.
pub fn dropped() -> u64 {
    DROPPED.load(Relaxed)
}

/// Lines on their way to standard error.
struct Queue {
    waits: Mutex<Waits>,
    more: Condvar,
    written: Condvar,
}

struct Waits {
    text: Vec<u8>,
    /// Lines dropped since the last notice of dropped lines.
    dropped: u64,
    /// Whether lines that were taken from here are still being written.
    writing: bool,
    /// Whether a thread takes lines from here.
    served: bool,
}

impl Queue {
    fn take(&self, line: &[u8]) {
        let mut waits = lock(&self.waits);
        if !waits.served {
            drop(waits);
            let _ = io::stderr().write_all(line);
        } else if waits.text.len() + line.len() > WAITING {
            waits.dropped += 1;
            DROPPED.fetch_add(1, Relaxed);
        } else {
            waits.text.extend_from_slice(line);
            self.more.notify_one();
        }
    }

    /// Writes lines as they come. Never returns.
    fn serve(&self) {
        loop {
            let idle = |waits: &mut Waits| waits.text.is_empty();
            let waits = self.more.wait_while(lock(&self.waits), idle);
            let mut waits = waits.unwrap_or_else(PoisonError::into_inner);
            let mut text = std::mem::take(&mut waits.text);
            let dropped = std::mem::take(&mut waits.dropped);
            waits.writing = true;
            drop(waits);
            if dropped > 0 {
                let told = format_args!("{dropped} log lines were dropped here: standard error was too slow");
                text.extend_from_slice(own(Level::WARN, told).as_bytes());
            }
            // If standard error is closed, there is nowhere to report it.
            let _ = io::stderr().write_all(&text);
            lock(&self.waits).writing = false;
            self.written.notify_all();
        }
    }

    fn wait(&self, within: Duration) {
        let busy = |waits: &mut Waits| waits.served && (waits.writing || !waits.text.is_empty());
        drop(self.written.wait_timeout_while(lock(&self.waits), within, busy));
    }
}

/// A writer that puts one line into the queue.
struct Lines;

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        QUEUE.take(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Leaves out lines that come too often: clients and targets can cause some lines at any rate.
struct Bounded {
    format: Format,
    kinds: Mutex<HashMap<Identifier, Kind>>,
}

impl Bounded {
    fn new(format: Format) -> Bounded {
        Bounded {
            format,
            kinds: Mutex::default(),
        }
    }
}

impl<S, N> FormatEvent<S, N> for Bounded
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, cx: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let kind = event.metadata();
        let mut left_out = 0;
        if *kind.level() <= Level::INFO {
            let mut kinds = lock(&self.kinds);
            match kinds.entry(kind.callsite()).or_default().comes(Instant::now()) {
                Some(before) => left_out = before,
                None => {
                    DROPPED.fetch_add(1, Relaxed);
                    return Ok(());
                }
            }
        }
        if left_out > 0 {
            let told = format_args!("{left_out} lines like the next one were left out");
            out.write_str(&own(Level::WARN, told))?;
        }
        if JSON.load(Relaxed) {
            return out.write_str(&json::event(event));
        }
        self.format.format_event(cx, out, event)
    }
}

/// The lines of one place in the program.
#[derive(Debug, Default)]
struct Kind {
    since: Option<Instant>,
    told: u32,
    left_out: u64,
}

impl Kind {
    /// Counts a line. None if it is to be left out; else how many were left out before it.
    fn comes(&mut self, now: Instant) -> Option<u64> {
        let over = |since: Instant| now.saturating_duration_since(since) >= Duration::from_secs(1);
        if self.since.is_none_or(over) {
            (self.since, self.told) = (Some(now), 0);
        }
        if self.told == OF_A_KIND {
            self.left_out += 1;
            return None;
        }
        self.told += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A regression: 200,000 stray frames wrote a line each.
    #[test]
    fn so_many_of_a_kind_a_second_and_the_rest_is_counted() {
        let (mut kind, now) = (Kind::default(), Instant::now());
        let told = (0..1000).filter(|_| kind.comes(now).is_some()).count();
        assert_eq!(told, OF_A_KIND as usize);
        let later = now + Duration::from_millis(999);
        assert_eq!(kind.comes(later), None);
        let next = now + Duration::from_secs(1);
        assert_eq!(kind.comes(next), Some(991));
        assert_eq!(kind.comes(next), Some(0));
    }

    /// A regression: a line waited for the reader of standard error, and its thread with it.
    #[test]
    fn a_full_queue_drops_and_counts() {
        let queue = Queue {
            waits: Mutex::new(Waits {
                text: Vec::new(),
                dropped: 0,
                writing: false,
                // No thread serves the queue, as if the pipe were full.
                served: true,
            }),
            more: Condvar::new(),
            written: Condvar::new(),
        };
        let line = [b'x'; 1024];
        for _ in 0..300 {
            queue.take(&line);
        }
        let waits = lock(&queue.waits);
        assert_eq!((waits.text.len(), waits.dropped), (WAITING, 300 - 256));
        drop(waits);
        queue.wait(Duration::from_millis(1));
    }
}
