//! The thread that writes log files. A file is a sequence of gzip members, each of a second or two of lines, which gzip
//! and everything that reads it treat as one file (RFC 1952, section 2.2). A file is therefore complete whenever it is
//! read, a crash costs only the lines that were in no member yet, and one compressor serves all files.

use super::counters::{LogCounters, Sink};
use super::log_path::{LogPath, SLOT_SECONDS};
use super::writer::{Batch, WriterCommand};
use flate2::{Compress, Compression, Crc, FlushCompress};
use forebay_units::Rng;
use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Longest wait of a line until it is in a member: what a crash may cost.
const MEMBER_AGE: Duration = Duration::from_secs(1);
/// Bytes of lines that make a member before that.
const MEMBER_BYTES: usize = 256 * 1024;
/// Time that the writer sleeps before it looks for more batches. With 512 waiting batches of some 60 lines each, that is
/// enough for more than a million lines a second.
const NAP: Duration = Duration::from_millis(20);
/// A file is finished this many seconds after its five minutes, when the last batches have come.
const LATE_SECONDS: i64 = 5;
/// Least interval between warnings of failed writes.
const TELLING: Duration = Duration::from_secs(60);

/// Compresses text to whole gzip members.
struct GzipEncoder {
    compress: Compress,
}

impl GzipEncoder {
    fn new() -> GzipEncoder {
        GzipEncoder {
            compress: Compress::new(Compression::fast(), false),
        }
    }

    /// Appends a member that holds `text`.
    fn member(&mut self, text: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        self.compress.reset();
        // Magic number, deflate, no flags, no time, fastest, Unix (RFC 1952, section 2.3).
        out.extend_from_slice(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 3]);
        let mut rest = text;
        loop {
            out.reserve(rest.len() / 4 + 1024);
            let before = self.compress.total_in();
            let status = self
                .compress
                .compress_vec(rest, out, FlushCompress::Finish)
                .map_err(io::Error::other)?;
            let taken = usize::try_from(self.compress.total_in() - before).unwrap_or(rest.len());
            rest = &rest[taken..];
            if status == flate2::Status::StreamEnd {
                break;
            }
        }
        let mut crc = Crc::new();
        crc.update(text);
        out.extend_from_slice(&crc.sum().to_le_bytes());
        out.extend_from_slice(&crc.amount().to_le_bytes());
        Ok(())
    }
}

/// A file that still gets lines.
struct Open {
    file: Option<(File, PathBuf)>,
    /// Bytes of whole members in the file.
    whole: u64,
    pending: Vec<u8>,
    pending_lines: u64,
    since: Instant,
}

/// The writer of all log files.
pub(super) struct Files {
    root: PathBuf,
    counters: Arc<LogCounters>,
    open: BTreeMap<(Arc<LogPath>, i64), Open>,
    press: GzipEncoder,
    packed: Vec<u8>,
    names: Rng,
    told: Option<Instant>,
}

impl Files {
    pub(super) fn new(root: PathBuf, counters: Arc<LogCounters>, seed: u64) -> Files {
        Files {
            root,
            counters,
            open: BTreeMap::new(),
            press: GzipEncoder::new(),
            packed: Vec::new(),
            names: Rng::named(seed, "log-files"),
            told: None,
        }
    }

    /// Writes until it is told to finish, or until all senders are gone.
    pub(super) fn run(mut self, commands: &Receiver<WriterCommand>) {
        let mut look = Instant::now() + MEMBER_AGE / 2;
        loop {
            let mut command = commands.recv_timeout(look.saturating_duration_since(Instant::now()));
            // Under load this thread sleeps between two looks instead of being woken for each batch: a wake-up would cost
            // the
            // threads that carry traffic a system call, and this one a switch, every few dozen requests.
            while let Ok(WriterCommand::Write(batch)) = command {
                self.take(batch);
                command = commands.try_recv().or_else(|_| {
                    std::thread::sleep(NAP);
                    commands.try_recv().map_err(|_| RecvTimeoutError::Timeout)
                });
                self.look_around(&mut look);
            }
            if matches!(command, Ok(WriterCommand::Reopen)) {
                self.reopen();
                continue;
            }
            if matches!(
                command,
                Ok(WriterCommand::Finish) | Err(RecvTimeoutError::Disconnected)
            ) {
                break;
            }
            self.look_around(&mut look);
        }
        // All that was sent before the order to finish was received above; this takes what was sent at the same time.
        while let Ok(command) = commands.try_recv() {
            if let WriterCommand::Write(batch) = command {
                self.take(batch);
            }
        }
        self.reopen();
    }

    /// Finishes all files, so that later lines begin new ones: after a log rotation, nothing more goes to files that were
    /// moved.
    fn reopen(&mut self) {
        let keys: Vec<_> = self.open.keys().cloned().collect();
        for key in keys {
            self.press_out(&key);
        }
        self.open.clear();
    }

    fn look_around(&mut self, look: &mut Instant) {
        let now = Instant::now();
        if now >= *look {
            *look = now + MEMBER_AGE / 2;
            self.look(now);
        }
    }

    fn take(&mut self, batch: Batch) {
        let Some(log_path) = batch.log_path else { return };
        let key = (log_path, batch.slot);
        let open = self.open.entry(key.clone()).or_insert_with(|| Open {
            file: None,
            whole: 0,
            pending: Vec::new(),
            pending_lines: 0,
            since: Instant::now(),
        });
        if open.pending.is_empty() {
            open.since = Instant::now();
            open.pending = batch.text;
        } else {
            open.pending.extend_from_slice(&batch.text);
        }
        open.pending_lines += batch.lines;
        if open.pending.len() >= MEMBER_BYTES {
            self.press_out(&key);
        }
    }

    /// Writes members that are due, and finishes files whose time is over.
    fn look(&mut self, now: Instant) {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let current =
            (i64::try_from(wall.as_secs()).unwrap_or(i64::MAX) - LATE_SECONDS).div_euclid(SLOT_SECONDS);
        let due: Vec<_> = self
            .open
            .iter()
            .filter(|(key, open)| key.1 < current || now.duration_since(open.since) >= MEMBER_AGE)
            .map(|(key, _)| key.clone())
            .collect();
        for key in due {
            self.press_out(&key);
            if key.1 < current {
                self.open.remove(&key);
            }
        }
    }

    /// Compresses the pending lines to a member and appends it.
    fn press_out(&mut self, key: &(Arc<LogPath>, i64)) {
        let Some(open) = self.open.get_mut(key) else {
            return;
        };
        if open.pending.is_empty() {
            return;
        }
        self.packed.clear();
        let names = &mut self.names;
        let written = self
            .press
            .member(&open.pending, &mut self.packed)
            .and_then(|()| open.append(&self.packed, || self.root.join(key.0.path(key.1, &random(names)))));
        let lines = core::mem::take(&mut open.pending_lines);
        open.pending.clear();
        if open.pending.capacity() > 2 * MEMBER_BYTES {
            open.pending = Vec::new();
        }
        match written {
            Ok(()) => self.counters.wrote(key.0.log, Sink::File, lines),
            Err(error) => {
                self.counters.lost(key.0.log, Sink::File, lines);
                self.tell(&error, &key.0.path(key.1, "*"));
            }
        }
    }

    /// Logs that a log cannot be written, once a minute at most.
    fn tell(&mut self, error: &io::Error, path: &Path) {
        let now = Instant::now();
        if self.told.is_none_or(|told| now.duration_since(told) >= TELLING) {
            self.told = Some(now);
            let path = self.root.join(path);
            tracing::warn!(
                "log lines are lost: cannot write {}: {error} (forebay_log_lines_dropped_total counts them)",
                path.display()
            );
        }
    }
}

impl Open {
    /// Appends a member, or leaves the file as it was.
    fn append(&mut self, member: &[u8], path: impl FnOnce() -> PathBuf) -> io::Result<()> {
        if self.file.is_none() {
            let path = path();
            self.file = Some((create(&path)?, path));
            self.whole = 0;
        }
        let Some((file, path)) = &mut self.file else {
            return Ok(());
        };
        match file.write_all(member) {
            Ok(()) => {
                self.whole += member.len() as u64;
                Ok(())
            }
            Err(error) => {
                // Part of a member would make the rest of the file unreadable.
                let cut = file.set_len(self.whole);
                if self.whole == 0 {
                    let _ = std::fs::remove_file(path);
                }
                if cut.is_err() || self.whole == 0 {
                    self.file = None;
                }
                Err(error)
            }
        }
    }
}

fn create(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    // Append mode: after a failed member is cut off, the next one must begin at the new end.
    OpenOptions::new()
        .append(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// The random part of a file's name: eight letters and digits, as in ALB's names.
fn random(names: &mut Rng) -> String {
    const LETTERS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    (0..8)
        .map(|_| char::from(LETTERS[names.below(36) as usize]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    fn open(file: File, path: PathBuf) -> Open {
        Open {
            file: Some((file, path)),
            whole: 0,
            pending: Vec::new(),
            pending_lines: 0,
            since: Instant::now(),
        }
    }

    #[test]
    fn a_full_disk_is_an_error_and_the_next_member_has_a_new_file() {
        let full = OpenOptions::new().append(true).open("/dev/full").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut open = open(full, folder.path().join("never made"));
        let next = folder.path().join("a/b.log.gz");
        assert!(open.append(b"member", || unreachable!()).is_err());
        assert!(open.file.is_none());
        open.append(b"member", || next.clone()).unwrap();
        assert_eq!(std::fs::read(next).unwrap(), b"member");
    }

    #[test]
    fn members_make_a_file_that_gzip_reads() {
        let mut press = GzipEncoder::new();
        let mut packed = Vec::new();
        let mut expected = String::new();
        for round in 0..4_usize {
            let text: String = (0..round * 2000)
                .map(|count| format!("line {count} of {round}\n"))
                .collect();
            press.member(text.as_bytes(), &mut packed).unwrap();
            expected += &text;
        }
        let mut text = String::new();
        flate2::read::MultiGzDecoder::new(&*packed)
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, expected);
    }
}
