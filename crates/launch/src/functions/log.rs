//! Functions' logs: one thread writes them, so that no invocation waits for a disk.

use crate::console::Console;
use crate::errors::Tried as _;
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Most bytes of a function's log; its predecessor is in a second file.
const LOG_BYTES: u64 = 10 << 20;
/// Most bytes of an invocation's log that its caller can get, as in Lambda.
pub(super) const TAIL_BYTES: usize = 4096;
/// Most pieces of functions' output that wait to be written. Beyond that, functions have to wait.
const PIECES: usize = 64;
/// Most pieces and lines of our own that wait. More are lost and counted.
const QUEUE: usize = 2048;
/// Most files that are open.
const FILES: usize = 64;

struct Piece {
    function: String,
    bytes: Vec<u8>,
    _permit: Option<OwnedSemaphorePermit>,
}

/// The logs of all functions.
pub(super) struct Logs {
    queue: SyncSender<Piece>,
    places: Arc<Semaphore>,
    losses: Arc<AtomicU64>,
}

impl Logs {
    /// Opens the logs in this directory. The thread ends when the value is dropped.
    pub(super) fn start(dir: &Path) -> Result<(Logs, JoinHandle<()>), String> {
        super::code::make(dir, 0o700)?;
        let (queue, pieces) = sync_channel(QUEUE);
        let dir = dir.to_owned();
        let thread = std::thread::Builder::new()
            .name("function-logs".to_owned())
            .spawn(move || write(&dir, &pieces))
            .tried(|| "start a thread".to_owned())?;
        let logs = Logs {
            queue,
            places: Arc::new(Semaphore::new(PIECES)),
            losses: Arc::default(),
        };
        Ok((logs, thread))
    }

    /// Waits until a piece of a function's output may be read.
    pub(super) async fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).acquire_owned().await.ok()
    }

    /// Adds to a function's log. Without a permit it may be lost.
    pub(super) fn say(&self, function: &str, bytes: &[u8], permit: Option<OwnedSemaphorePermit>) {
        let piece = Piece {
            function: function.to_owned(),
            bytes: bytes.to_owned(),
            _permit: permit,
        };
        if self.queue.try_send(piece).is_err() {
            self.losses.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The counter of lost pieces, which goes on counting.
    pub(super) fn losses(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.losses)
    }
}

fn write(dir: &Path, pieces: &Receiver<Piece>) {
    let mut open: BTreeMap<String, Console> = BTreeMap::new();
    while let Ok(piece) = pieces.recv() {
        if open.len() >= FILES && !open.contains_key(&piece.function) {
            open.clear();
        }
        let path = || path(dir, &piece.function);
        let console = open
            .entry(piece.function.clone())
            .or_insert_with(|| Console::open(path(), LOG_BYTES));
        console.write(&piece.bytes);
    }
}

fn path(dir: &Path, function: &str) -> PathBuf {
    // Names are checked when functions are created; a slash would lead elsewhere all the same.
    dir.join(format!("{}.log", function.replace('/', "_")))
}

/// The end of an invocation's output.
#[derive(Default)]
pub(super) struct Tail(VecDeque<u8>);

impl Tail {
    pub(super) fn say(&mut self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(TAIL_BYTES)..];
        self.0.extend(bytes);
        let excess = self.0.len().saturating_sub(TAIL_BYTES);
        self.0.drain(..excess);
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.0.iter().copied().collect()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
