//! The files of a log: numbered segments, of which the last is written and the first goes first.

use super::record::{self, HEAD, Place, Record};
use forebay_units::Wall;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A body that can be read, also when its file has been deleted since.
#[derive(Clone, Debug)]
pub struct Content {
    file: Arc<File>,
    place: Place,
}

impl Content {
    /// Its bytes.
    ///
    /// # Errors
    /// If the disk does not give them.
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
    /// Bytes that are whole frames.
    length: u64,
    /// Messages whose bodies stand here.
    live: u64,
    /// Until then its records say what was sent or received already.
    needed: Wall,
}

/// Records of a file, each with its body's place, and where the next ones begin.
type Scanned = (Vec<(Record, Place)>, Option<u64>);

/// The directory of all files.
#[derive(Debug)]
pub(crate) struct Log {
    directory: PathBuf,
    /// Held by whoever has the log; none while another process may have it.
    lock: Option<File>,
    segments: BTreeMap<u32, Segment>,
    /// A new file is begun at this length.
    segment_bytes: u64,
    /// The number of the file that is written, if it is there already.
    current: u32,
    /// Records that are not written yet.
    payload: Vec<u8>,
    /// Bodies' bytes of messages that are there.
    live_bytes: u64,
    /// Bytes of all files.
    bytes: u64,
    /// Commits, and how long they took.
    pub(crate) commits: (u64, Duration),
}

/// What a body costs beside its bytes, about: for the decision whether files are worth copying.
const BESIDE: u64 = 64;

/// Takes the lock of a directory, for as long as the file is open.
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

/// The number of a file of that name, if it is one of the log's.
pub(crate) fn number_of(name: &str) -> Option<u32> {
    name.strip_suffix(".messages")?.parse().ok()
}

fn name(number: u32) -> String {
    format!("{number:010}.messages")
}

impl Log {
    /// The log in this directory, which is made if it is not there. Nothing is read yet, and nothing written: the next record begins a
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

    /// Leaves the files to another process. What was written is synced already.
    pub(crate) fn let_go(&mut self) {
        self.lock = None;
    }

    /// Where the files are.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The numbers of all files.
    pub(crate) fn numbers(&self) -> Vec<u32> {
        self.segments.keys().copied().collect()
    }

    /// All whole frames of a file, record by record. Returns the bytes behind them: what a crash cut off, or a disk has spoilt.
    pub(crate) fn replay(
        &mut self,
        number: u32,
        mut each: impl FnMut(&mut Log, Record, Place),
    ) -> io::Result<u64> {
        let bytes = fs::read(self.directory.join(name(number)))?;
        let mut at = 0;
        while let Some(payload) = record::first(&bytes[at..]) {
            let begin = at + HEAD;
            // Whole and not to be read: of another Forebay. To go on without it would lose messages.
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
            // What a killed process wrote may be in memory only; what comes now goes by it.
            segment.file.sync_data()?;
        }
        Ok((bytes.len() - at) as u64)
    }

    /// Messages of a file from this byte on, about so many bytes of it: where each stands, and its record. And where to go on; none at
    /// the file's end.
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

    /// Where the body of the next record will stand.
    pub(crate) fn next_place(&self, length: usize) -> Place {
        let before = self
            .segments
            .get(&self.current)
            .map_or(0, |segment| segment.length);
        Place {
            segment: self.current,
            // A file is no longer than its limit and one frame, which have room in 32 bits.
            offset: (before as usize + HEAD + self.payload.len() + HEAD) as u32,
            length: length as u32,
        }
    }

    /// A record for the next frame; it is needed until then in any case.
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
        // The name must be there after a crash, or what is synced into the file is not.
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

    /// Writes what there is as one frame, to the disk itself.
    ///
    /// # Errors
    /// If it cannot be written. Then nothing of it is there, if the file can be cut; if not, nothing more must be written.
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
        if segment.length >= self.segment_bytes {
            self.current += 1;
        }
        // Its room is used again, unless it was an unusual one.
        if payload.capacity() <= 4 << 20 {
            self.payload = payload;
            self.payload.clear();
        }
        Ok(())
    }

    /// Cuts off what a failed commit may have written, and begins another file.
    pub(crate) fn cut(&mut self) -> io::Result<()> {
        self.payload.clear();
        if let Some(segment) = self.segments.get(&self.current) {
            segment.file.set_len(segment.length)?;
            segment.file.sync_all()?;
            self.current += 1;
        }
        Ok(())
    }

    /// A message stands here.
    pub(crate) fn live(&mut self, place: Place) {
        if let Some(segment) = self.segments.get_mut(&place.segment) {
            segment.live += 1;
        }
        self.live_bytes += u64::from(place.length) + BESIDE;
    }

    /// It does no more.
    pub(crate) fn gone(&mut self, place: Place) {
        if let Some(segment) = self.segments.get_mut(&place.segment) {
            segment.live = segment.live.saturating_sub(1);
        }
        self.live_bytes = self.live_bytes.saturating_sub(u64::from(place.length) + BESIDE);
    }

    /// Nothing is known to stand anywhere.
    pub(crate) fn forget_all(&mut self) {
        self.live_bytes = 0;
        for segment in self.segments.values_mut() {
            segment.live = 0;
        }
    }

    /// Deletes the first files as far as they are not needed. Only ever the first: a record says something of messages in its own file
    /// or earlier ones, so with an earlier one still there it might be the only word that a message is gone. And only when all that is
    /// known is written: what is gone may be back, and what was copied on stands nowhere, until the commit.
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
            // One by one: if a later file were gone after a crash and this one back, so would be its messages.
            self.sync_directory()?;
            self.bytes -= length;
            self.segments.remove(&number);
            dropped += 1;
        }
        Ok(dropped)
    }

    /// The first file, if the log is so much longer than what is live that its messages are worth copying.
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

    /// A body's bytes, also if they are not written yet.
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
