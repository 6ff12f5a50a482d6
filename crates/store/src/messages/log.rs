//! The files of a log: numbered segments. The last one is written, the first one is deleted first.

use super::record::{self, HEAD, Place, Record};
use forebay_units::Wall;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A body that can be read, even if its file was deleted since.
#[derive(Clone, Debug)]
pub struct Content {
    file: Arc<File>,
    place: Place,
}

impl Content {
    /// Reads its bytes.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.place.length as usize];
        self.file.read_exact_at(&mut bytes, self.place.offset.into())?;
        Ok(bytes)
    }
}

/// One file.
#[derive(Debug)]
struct Segment {
    file: Arc<File>,
    /// Bytes of complete frames.
    length: u64,
    /// Messages whose bodies are here.
    live: u64,
    /// Until then, its records show what was already sent or received.
    needed: Wall,
}

/// Records of a file with their bodies' places, and where the next ones begin.
type Scanned = (Vec<(Record, Place)>, Option<u64>);

/// The directory of all files.
#[derive(Debug)]
pub(crate) struct Log {
    directory: PathBuf,
    /// Held while this process has the log; none while another process may have it.
    lock: Option<File>,
    segments: BTreeMap<u32, Segment>,
    /// Length at which a new file is begun.
    segment_bytes: u64,
    /// Number of the file that is being written; it may not exist yet.
    current: u32,
    /// Records that are not written yet.
    payload: Vec<u8>,
    /// Bytes of the bodies of existing messages.
    live_bytes: u64,
    /// Bytes of all files.
    bytes: u64,
    /// Number of commits, and their total time.
    pub(crate) commits: (u64, Duration),
}

/// Approximate bytes of a message in addition to its body, for deciding whether copying pays.
const BESIDE: u64 = 64;

/// Takes the lock of a directory; it is held as long as the file is open.
fn lock(directory: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(false)
        .mode(0o600)
        .open(directory.join("lock"))?;
    file.try_lock().map_err(|error| match error {
        fs::TryLockError::Error(error) => error,
        fs::TryLockError::WouldBlock => {
            io::Error::new(io::ErrorKind::ResourceBusy, "another process has these messages")
        }
    })?;
    Ok(file)
}

/// The number of a log file with this name, if it is one.
pub(crate) fn number_of(name: &str) -> Option<u32> {
    name.strip_suffix(".messages")?.parse().ok()
}

fn name(number: u32) -> String {
    format!("{number:010}.messages")
}

impl Log {
    /// The log in this directory, which is created if necessary. Nothing is read or written yet; the next record begins a
    /// new file.
    pub(crate) fn open(directory: &Path, segment_bytes: u64) -> io::Result<Log> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
        let lock = lock(directory)?;
        let mut segments = BTreeMap::new();
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            let number = path.file_name().and_then(|name| number_of(name.to_str()?));
            let Some(number) = number else {
                continue;
            };
            let segment = Segment {
                file: Arc::new(File::open(&path)?),
                length: 0,
                live: 0,
                needed: Wall(0),
            };
            segments.insert(number, segment);
        }
        // Never continued: the last file may end with a truncated frame, behind which nothing would be found.
        let last = segments.last_key_value().map_or(0, |(&number, _)| number);
        Ok(Log {
            directory: directory.to_owned(),
            lock: Some(lock),
            segments,
            segment_bytes,
            current: last + 1,
            payload: Vec::new(),
            live_bytes: 0,
            bytes: 0,
            commits: (0, Duration::ZERO),
        })
    }

    /// Leaves the files to another process. Everything that was written is synced already.
    pub(crate) fn let_go(&mut self) {
        self.lock = None;
    }

    /// The directory of the files.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The numbers of all files.
    pub(crate) fn numbers(&self) -> Vec<u32> {
        self.segments.keys().copied().collect()
    }

    /// Passes all records of a file's complete frames to `each`. Returns the number of bytes behind them, which a crash
    /// truncated or a disk damaged.
    pub(crate) fn replay(
        &mut self,
        number: u32,
        mut each: impl FnMut(&mut Log, Record, Place),
    ) -> io::Result<u64> {
        let bytes = fs::read(self.directory.join(name(number)))?;
        let mut at = 0;
        while let Some(payload) = record::first(&bytes[at..]) {
            let begin = at + HEAD;
            // Complete but unreadable: another version of Forebay wrote it. Skipping it would lose messages.
            let records = record::records(payload).ok_or(io::ErrorKind::InvalidData)?;
            for (offset, length, record) in records {
                let place = Place {
                    segment: number,
                    offset: u32::try_from(begin + offset).map_err(io::Error::other)?,
                    length: length as u32,
                };
                each(self, record, place);
            }
            at = begin + payload.len();
        }
        if let Some(segment) = self.segments.get_mut(&number) {
            self.bytes = self.bytes - segment.length + at as u64;
            segment.length = at as u64;
            // What a killed process wrote may be in the page cache only, and what follows will depend on it.
            segment.file.sync_data()?;
        }
        Ok((bytes.len() - at) as u64)
    }

    /// The records of a file from byte `from` on, about `most` bytes of it, with their bodies' places. And where to
    /// continue; none at the file's end.
    pub(crate) fn scan(&self, number: u32, from: u64, most: usize) -> io::Result<Scanned> {
        let Some(segment) = self.segments.get(&number) else {
            return Ok((Vec::new(), None));
        };
        let (mut found, mut at) = (Vec::new(), from);
        while at < segment.length && at - from < most as u64 {
            let mut head = [0; HEAD];
            segment.file.read_exact_at(&mut head, at)?;
            let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
            let mut frame = vec![0; HEAD + length as usize];
            segment.file.read_exact_at(&mut frame, at)?;
            let records = record::first(&frame).and_then(record::records);
            let records = records.ok_or(io::ErrorKind::InvalidData)?;
            for (offset, length, record) in records {
                let offset = at + (HEAD + offset) as u64;
                let place = Place {
                    segment: number,
                    offset: u32::try_from(offset).map_err(io::Error::other)?,
                    length: length as u32,
                };
                found.push((record, place));
            }
            at += frame.len() as u64;
        }
        Ok((found, (at < segment.length).then_some(at)))
    }

    /// The place of the next record's body.
    pub(crate) fn next_place(&self, length: usize) -> Place {
        let before = self
            .segments
            .get(&self.current)
            .map_or(0, |segment| segment.length);
        Place {
            segment: self.current,
            // A file is no longer than its limit and one frame, which fits 32 bits.
            offset: (before as usize + HEAD + self.payload.len() + HEAD) as u32,
            length: length as u32,
        }
    }

    /// Adds a record to the next frame; its file is needed at least until then.
    pub(crate) fn add(&mut self, body: &[u8], record: &Record, needed: Wall) -> io::Result<()> {
        if !self.segments.contains_key(&self.current) {
            self.begin()?;
        }
        record::append(&mut self.payload, body, record)?;
        self.need(self.current, needed);
        Ok(())
    }

    pub(crate) fn need(&mut self, segment: u32, until: Wall) {
        if let Some(segment) = self.segments.get_mut(&segment) {
            segment.needed = segment.needed.max(until);
        }
    }

    fn begin(&mut self) -> io::Result<()> {
        let path = self.directory.join(name(self.current));
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        // The name must survive a crash, or what is synced into the file is lost with it.
        self.sync_directory()?;
        let segment = Segment {
            file: Arc::new(file),
            length: 0,
            live: 0,
            needed: Wall(0),
        };
        self.segments.insert(self.current, segment);
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }

    /// Bytes of records that are not written yet.
    pub(crate) fn pending(&self) -> usize {
        self.payload.len()
    }

    /// Writes the pending records as one frame and syncs it.
    ///
    /// # Errors
    /// If it cannot be written. If the file can be truncated, nothing of it is left then; if not, nothing more may be
    /// written.
    pub(crate) fn commit(&mut self) -> io::Result<()> {
        if self.payload.is_empty() {
            return Ok(());
        }
        let payload = core::mem::take(&mut self.payload);
        let number = self.current;
        let Some(segment) = self.segments.get_mut(&number) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let head = record::head(&payload)?;
        let begun = Instant::now();
        let mut file = &*segment.file;
        file.write_all(&head)?;
        file.write_all(&payload)?;
        file.sync_data()?;
        self.commits.0 += 1;
        self.commits.1 += begun.elapsed();
        segment.length += (HEAD + payload.len()) as u64;
        self.bytes += (HEAD + payload.len()) as u64;
        // The next frame begins a new file.
        if segment.length >= self.segment_bytes {
            self.current += 1;
        }
        // The buffer is reused, unless it is unusually large.
        if payload.capacity() <= 4 << 20 {
            self.payload = payload;
            self.payload.clear();
        }
        Ok(())
    }

    /// Removes what a failed commit may have written, and begins another file.
    pub(crate) fn cut(&mut self) -> io::Result<()> {
        self.payload.clear();
        if let Some(segment) = self.segments.get(&self.current) {
            segment.file.set_len(segment.length)?;
            segment.file.sync_all()?;
            self.current += 1;
        }
        Ok(())
    }

    /// Counts a message whose body is here.
    pub(crate) fn live(&mut self, place: Place) {
        if let Some(segment) = self.segments.get_mut(&place.segment) {
            segment.live += 1;
        }
        self.live_bytes += u64::from(place.length) + BESIDE;
    }

    /// Removes a message that was counted here.
    pub(crate) fn gone(&mut self, place: Place) {
        if let Some(segment) = self.segments.get_mut(&place.segment) {
            segment.live = segment.live.saturating_sub(1);
        }
        self.live_bytes = self.live_bytes.saturating_sub(u64::from(place.length) + BESIDE);
    }

    /// Forgets all counted messages.
    pub(crate) fn forget_all(&mut self) {
        self.live_bytes = 0;
        for segment in self.segments.values_mut() {
            segment.live = 0;
        }
    }

    /// Deletes the first files, as far as they are not needed. Only ever the first: a record is about messages in its own
    /// file or earlier ones, so while an earlier one exists it may be the only evidence that a message is gone. And only
    /// when nothing is pending: until the commit, a deleted message may come back, and a copied one exists nowhere else.
    pub(crate) fn drop_first(&mut self, now: Wall) -> io::Result<usize> {
        if !self.payload.is_empty() {
            return Ok(0);
        }
        let mut dropped = 0;
        while let Some((&number, segment)) = self.segments.first_key_value() {
            if number == self.current || segment.live > 0 || segment.needed > now {
                break;
            }
            let length = segment.length;
            fs::remove_file(self.directory.join(name(number)))?;
            // Synced one by one: if a crash brought this file back but not a later one, its messages would come back, too.
            self.sync_directory()?;
            self.bytes -= length;
            self.segments.remove(&number);
            dropped += 1;
        }
        Ok(dropped)
    }

    /// The first file, if the log is so much longer than its messages that copying them pays.
    pub(crate) fn worth_copying(&self) -> Option<u32> {
        let (&number, segment) = self.segments.first_key_value()?;
        let wasteful = self.bytes() > 2 * self.live_bytes + 2 * self.segment_bytes;
        (number != self.current && segment.live > 0 && wasteful).then_some(number)
    }

    /// Bytes on disk.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// A body.
    pub(crate) fn content(&self, place: Place) -> Option<Content> {
        let file = Arc::clone(&self.segments.get(&place.segment)?.file);
        Some(Content { file, place })
    }

    /// Reads a body's bytes, even if they are not written yet.
    pub(crate) fn read(&self, place: Place) -> io::Result<Vec<u8>> {
        let written = self
            .segments
            .get(&place.segment)
            .map_or(0, |segment| segment.length);
        let offset = place.offset as usize;
        if place.segment == self.current && offset as u64 >= written {
            let begin = offset - written as usize - HEAD;
            let bytes = self.payload.get(begin..begin + place.length as usize);
            return bytes
                .map(<[u8]>::to_vec)
                .ok_or_else(|| io::ErrorKind::UnexpectedEof.into());
        }
        self.content(place).ok_or(io::ErrorKind::NotFound)?.read()
    }
}
