//! Datapoints on disk, beside the state: each batch is a frame at the end of a file, compressed and with a checksum.
//! Reading a file ends where a crash truncated it or a disk damaged it; the next run begins a new file. Files whose points
//! have all been merged into wider ones, or have expired, are deleted as a whole.

pub use crate::frame::Frame;
use crate::frame::encode;
use forebay_signals::series::TIERS;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Seconds of frames in one file, by tier: a small part of the time for which its points are kept.
const SPANS: [i64; TIERS.len()] = [300, 24 * 3600, 4 * 24 * 3600, 30 * 24 * 3600];
/// Seconds that files stay longer, because clocks differ and points may come late.
const SLACK: i64 = 3600;
/// The directory of all files.
#[derive(Debug)]
pub struct PointFiles {
    directory: PathBuf,
    /// The file that is being written, by tier, and when it was begun.
    open: [Option<(File, i64)>; TIERS.len()],
    /// Most bytes on disk.
    limit: u64,
    /// Files that were deleted before their time, for lack of room.
    dropped: u64,
}

/// A file of the directory: its tier, when it was begun, its path.
type Found = (usize, i64, PathBuf);

impl PointFiles {
    /// The files in this directory, which is created if necessary; at most `limit` bytes of them.
    ///
    /// # Errors
    /// If the directory cannot be created or read.
    pub fn open(directory: &Path, limit: u64) -> io::Result<PointFiles> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
        fs::read_dir(directory)?;
        Ok(PointFiles {
            directory: directory.to_owned(),
            open: Default::default(),
            limit,
            dropped: 0,
        })
    }

    /// All files, by tier, then age. Files with other names are ignored.
    fn files(&self) -> io::Result<Vec<Found>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            let parsed = path.file_name().and_then(|name| name.to_str()).and_then(|name| {
                let (width, rest) = name.strip_suffix(".points")?.split_once("s-")?;
                let width: i64 = width.parse().ok()?;
                let tier = TIERS.iter().position(|tier| tier.width == width)?;
                let begun = rest.split('-').next()?.parse().ok()?;
                Some((tier, begun))
            });
            if let Some((tier, begun)) = parsed {
                files.push((tier, begun, path));
            }
        }
        files.sort();
        Ok(files)
    }

    /// Reads all frames, the widest points first, because they tell which narrower ones were merged into them. Returns the
    /// damaged files, of which everything before the damage was read.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn read<K: DeserializeOwned>(
        &self,
        mut each: impl FnMut(usize, Frame<K>),
    ) -> io::Result<Vec<PathBuf>> {
        let mut damaged = Vec::new();
        let mut files = self.files()?;
        files.sort_by_key(|file| core::cmp::Reverse(file.0));
        for (tier, _, path) in files {
            let bytes = fs::read(&path)?;
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                let Some((frame, after)) = Frame::first(rest) else {
                    damaged.push(path);
                    break;
                };
                each(tier, frame);
                rest = after;
            }
        }
        Ok(damaged)
    }

    /// Writes and syncs a frame of a tier.
    ///
    /// # Errors
    /// If it cannot be written. Then nothing of it counts, and the next frame begins a new file.
    pub fn append<K: Serialize>(&mut self, now: i64, tier: usize, frame: &Frame<K>) -> io::Result<()> {
        let bytes = encode(frame)?;
        let span = SPANS[tier];
        if self.open[tier]
            .as_ref()
            .is_none_or(|open| !(open.1..open.1 + span).contains(&now))
        {
            self.open[tier] = Some((self.create(now, tier)?, now));
        }
        let Some((file, _)) = &mut self.open[tier] else {
            return Ok(());
        };
        let written = file.write_all(&bytes).and_then(|()| file.sync_data());
        if written.is_err() {
            // The file may end with a part of the frame, and reading would stop there.
            self.open[tier] = None;
        }
        written
    }

    fn create(&self, now: i64, tier: usize) -> io::Result<File> {
        let width = TIERS[tier].width;
        for number in 0.. {
            let path = self.directory.join(format!("{width}s-{now:012}-{number}.points"));
            let made = OpenOptions::new()
                .append(true)
                .create_new(true)
                .mode(0o600)
                .open(path);
            match made {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                other => return other,
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Bytes on disk.
    ///
    /// # Errors
    /// If the directory or a file's length cannot be read.
    pub fn bytes(&self) -> io::Result<u64> {
        let files = self.files()?.into_iter();
        files.map(|(_, _, path)| Ok(fs::metadata(path)?.len())).sum()
    }

    /// Deletes expired files, and the oldest of the finest points while there are more bytes than allowed.
    ///
    /// # Errors
    /// If the directory cannot be read, or a file not deleted.
    pub fn expire(&mut self, now: i64) -> io::Result<()> {
        let mut kept = Vec::new();
        let mut bytes = 0;
        for (tier, begun, path) in self.files()? {
            if begun + SPANS[tier] + TIERS[tier].kept + SLACK < now {
                fs::remove_file(&path)?;
                continue;
            }
            let length = fs::metadata(&path)?.len();
            bytes += length;
            kept.push((length, tier, begun, path));
        }
        for (length, tier, begun, path) in kept {
            if bytes <= self.limit {
                break;
            }
            if self.open[tier].as_ref().is_some_and(|open| open.1 == begun) {
                self.open[tier] = None;
            }
            fs::remove_file(&path)?;
            self.dropped += 1;
            bytes -= length;
        }
        Ok(())
    }

    /// Deletes all files.
    ///
    /// # Errors
    /// If the directory cannot be read, or a file not deleted.
    pub fn clear(&mut self) -> io::Result<()> {
        self.open = Default::default();
        self.files()?
            .into_iter()
            .try_for_each(|(_, _, path)| fs::remove_file(path))
    }

    /// Files that were deleted before their time, for lack of room.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use forebay_signals::Summary;
    use forebay_signals::series::Point;

    fn points(values: &[(&str, i64, f64)]) -> Frame<String> {
        let points = values.iter().map(|&(key, second, value)| Point {
            key: key.to_owned(),
            tier: 0,
            second,
            summary: Summary::of(value, 1.0),
        });
        Frame::of(&points.collect::<Vec<_>>(), None)
    }

    fn read(files: &PointFiles) -> (Vec<(usize, String, i64, f64)>, usize) {
        let mut found = Vec::new();
        let damaged = files.read(|tier, frame: Frame<String>| {
            for (place, second, summary) in frame.points {
                found.push((tier, frame.series[place as usize].clone(), second, summary.sum));
            }
        });
        (found, damaged.unwrap().len())
    }

    fn names(directory: &Path) -> Vec<PathBuf> {
        let mut names: Vec<PathBuf> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_was_written_is_read_by_the_next_run() {
        let place = tempfile::tempdir().unwrap();
        let mut files = PointFiles::open(place.path(), 1 << 20).unwrap();
        files
            .append(100, 0, &points(&[("b", 90, 1.0), ("a", 91, 2.0)]))
            .unwrap();
        files.append(101, 1, &points(&[("a", 60, 3.0)])).unwrap();
        let mut next = PointFiles::open(place.path(), 1 << 20).unwrap();
        next.append(100, 0, &points(&[("a", 92, 4.0)])).unwrap();
        let wanted = [
            (1, "a".to_owned(), 60, 3.0),
            (0, "b".to_owned(), 90, 1.0),
            (0, "a".to_owned(), 91, 2.0),
            (0, "a".to_owned(), 92, 4.0),
        ];
        assert_eq!(read(&next), (wanted.to_vec(), 0));
    }

    #[test]
    fn a_cut_or_spoilt_end_costs_what_stood_there() {
        let place = tempfile::tempdir().unwrap();
        let mut files = PointFiles::open(place.path(), 1 << 20).unwrap();
        files.append(100, 0, &points(&[("a", 90, 1.0)])).unwrap();
        let path = names(place.path()).remove(0);
        let first = fs::metadata(&path).unwrap().len();
        files.append(100, 0, &points(&[("a", 91, 2.0)])).unwrap();
        let whole = fs::read(&path).unwrap();
        for length in first + 1..whole.len() as u64 {
            fs::write(&path, &whole[..length as usize]).unwrap();
            assert_eq!(read(&files), (vec![(0, "a".to_owned(), 90, 1.0)], 1), "{length}");
        }
        for at in first as usize..whole.len() {
            let mut spoilt = whole.clone();
            spoilt[at] ^= 1;
            fs::write(&path, &spoilt).unwrap();
            assert_eq!(read(&files), (vec![(0, "a".to_owned(), 90, 1.0)], 1), "{at}");
        }
    }

    #[test]
    fn files_go_with_their_age_and_for_want_of_room() {
        let place = tempfile::tempdir().unwrap();
        let mut files = PointFiles::open(place.path(), 1 << 20).unwrap();
        files.append(0, 0, &points(&[("a", 0, 1.0)])).unwrap();
        files.append(400, 0, &points(&[("a", 400, 1.0)])).unwrap();
        files.append(400, 1, &points(&[("a", 360, 1.0)])).unwrap();
        assert_eq!(names(place.path()).len(), 3);
        files.expire(300 + 900 + SLACK).unwrap();
        assert_eq!(names(place.path()).len(), 3);
        files.expire(300 + 900 + SLACK + 1).unwrap();
        assert_eq!(names(place.path()).len(), 2);
        // The seconds go before the minutes.
        let bytes: u64 = names(place.path())
            .iter()
            .map(|path| fs::metadata(path).unwrap().len())
            .sum();
        let mut small = PointFiles::open(place.path(), bytes - 1).unwrap();
        small.expire(5_000).unwrap();
        assert_eq!((small.dropped(), read(&small).0[0].0), (1, 1));
        small.clear().unwrap();
        assert_eq!(names(place.path()).len(), 0);
    }
}
