//! One-second datapoints that are no longer in memory: one file per period, with its points in frames by series, and an
//! index of the frames at its end. So reading a series costs one frame per file, whatever else is kept.

use crate::frame::{Frame, decode, encode};
use forebay_signals::Summary;
use forebay_signals::series::Point;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Most points of a frame. Fewer would compress worse, more would cost each read.
const FRAME: usize = 1024;
/// The last bytes of a file, which say where its index begins.
const TAIL: u64 = 8;
/// Extension of files that are incomplete.
const UNFINISHED: &str = "unfinished";

/// The place of a frame: its first series, its offset, its length.
type Place<K> = (K, u64, u32);

#[derive(Debug)]
struct Archived<K> {
    path: PathBuf,
    /// From its first point's second to the one behind its last.
    seconds: Range<i64>,
    bytes: u64,
    /// The frames, in order of series.
    index: Vec<Place<K>>,
}

/// All archived points. The files' indexes are in memory: one name per thousand points.
#[derive(Debug)]
pub struct Archive<K> {
    directory: PathBuf,
    /// By age.
    files: Vec<Archived<K>>,
    /// Files that were deleted before their time, for lack of room.
    dropped: u64,
}

impl<K: Ord + Clone + Serialize + DeserializeOwned> Archive<K> {
    /// Opens the archive in this directory, which is created if necessary. Incomplete files are deleted: a crash
    /// interrupted them, and their points are still elsewhere.
    ///
    /// # Errors
    /// If the directory cannot be created or read, or a file not deleted.
    pub fn open(directory: &Path) -> io::Result<Archive<K>> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
        let mut files = Vec::new();
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            let extension = path.extension().and_then(|extension| extension.to_str());
            match (extension, seconds(&path)) {
                (Some("seconds"), Some(seconds)) => match index(&path)? {
                    Some((index, bytes)) => files.push(Archived {
                        path,
                        seconds,
                        bytes,
                        index,
                    }),
                    None => fs::remove_file(path)?,
                },
                (Some(UNFINISHED), _) => fs::remove_file(path)?,
                _ => {}
            }
        }
        files.sort_by_key(|file| file.seconds.start);
        Ok(Archive {
            directory: directory.to_owned(),
            files,
            dropped: 0,
        })
    }

    /// Archives these points, which must be sorted by series. They are on disk when this returns.
    ///
    /// # Errors
    /// If they cannot be written. Then none of them counts.
    pub fn write(&mut self, points: &[Point<K>]) -> io::Result<()> {
        let first = points.iter().map(|point| point.second).min();
        let last = points.iter().map(|point| point.second).max();
        let (Some(first), Some(last)) = (first, last) else {
            return Ok(());
        };
        let path = self.directory.join(format!("{first:012}-{last:012}.seconds"));
        let unfinished = path.with_extension(UNFINISHED);
        let written = write_file(&unfinished, points);
        let archived = written.and_then(|(index, bytes)| {
            fs::rename(&unfinished, &path)?;
            File::open(&self.directory)?.sync_all()?;
            Ok(Archived {
                path,
                seconds: first..last + 1,
                bytes,
                index,
            })
        });
        let archived = archived.inspect_err(|_| {
            // A full disk needs the room. If it stays, the next run deletes it.
            let _ = fs::remove_file(&unfinished);
        })?;
        self.files.retain(|file| file.path != archived.path);
        self.files.push(archived);
        self.files.sort_by_key(|file| file.seconds.start);
        Ok(())
    }

    /// A series' points by second, within `seconds`. A second that was archived twice, because of a crash, counts once.
    ///
    /// # Errors
    /// If a file cannot be read, or is damaged.
    pub fn read(&self, series: &K, seconds: &Range<i64>) -> io::Result<BTreeMap<i64, Summary>> {
        let mut found = BTreeMap::new();
        let overlaps =
            |file: &&Archived<K>| file.seconds.start < seconds.end && seconds.start < file.seconds.end;
        for file in self.files.iter().filter(overlaps) {
            // A series may begin at the end of the frame before the first one that begins with it.
            let from = file.index.partition_point(|place| place.0 < *series);
            let to = file.index.partition_point(|place| place.0 <= *series);
            let places = file.index.get(from.saturating_sub(1)..to).unwrap_or_default();
            if places.is_empty() {
                continue;
            }
            let handle = File::open(&file.path)?;
            for &(_, offset, length) in places {
                let mut bytes = vec![0; length as usize];
                handle.read_exact_at(&mut bytes, offset)?;
                let (frame, _) = Frame::<K>::first(&bytes).ok_or(io::ErrorKind::InvalidData)?;
                let Ok(place) = frame.series.binary_search(series) else {
                    continue;
                };
                for (of, second, summary) in frame.points {
                    if of as usize == place && seconds.contains(&second) {
                        found.entry(second).or_insert(summary);
                    }
                }
            }
        }
        Ok(found)
    }

    /// Deletes files whose points are all older than this second.
    ///
    /// # Errors
    /// If one cannot be deleted.
    pub fn expire(&mut self, before: i64) -> io::Result<()> {
        while self.files.first().is_some_and(|file| file.seconds.end <= before) {
            fs::remove_file(&self.files[0].path)?;
            self.files.remove(0);
        }
        Ok(())
    }

    /// Bytes on disk.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Deletes the oldest files until there are at most `most` bytes.
    ///
    /// # Errors
    /// If one cannot be deleted.
    pub fn shrink(&mut self, most: u64) -> io::Result<()> {
        while self.bytes() > most && !self.files.is_empty() {
            fs::remove_file(&self.files[0].path)?;
            self.files.remove(0);
            self.dropped += 1;
        }
        Ok(())
    }

    /// Files that were deleted before their time, for lack of room.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

/// The seconds in a file, by its name.
fn seconds(path: &Path) -> Option<Range<i64>> {
    let (first, last) = path.file_stem()?.to_str()?.split_once('-')?;
    Some(first.parse().ok()?..last.parse::<i64>().ok()?.checked_add(1)?)
}

fn write_file<K: Ord + Clone + Serialize>(
    path: &Path,
    points: &[Point<K>],
) -> io::Result<(Vec<Place<K>>, u64)> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    let (mut index, mut at) = (Vec::new(), 0);
    for points in points.chunks(FRAME) {
        let bytes = encode(&Frame::of(points, None))?;
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        file.write_all(&bytes)?;
        index.push((points[0].key.clone(), at, length));
        at += u64::from(length);
    }
    let bytes = encode(&index)?;
    file.write_all(&bytes)?;
    file.write_all(&at.to_le_bytes())?;
    file.sync_all()?;
    Ok((index, at + bytes.len() as u64 + TAIL))
}

/// A file's index and length; none if the file is incomplete.
fn index<K: DeserializeOwned>(path: &Path) -> io::Result<Option<(Vec<Place<K>>, u64)>> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let Some(end) = length.checked_sub(TAIL) else {
        return Ok(None);
    };
    let mut tail = [0; TAIL as usize];
    file.read_exact_at(&mut tail, end)?;
    let begin = u64::from_le_bytes(tail);
    let Some(size) = end.checked_sub(begin) else {
        return Ok(None);
    };
    let mut bytes = vec![0; usize::try_from(size).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, begin)?;
    let Some((index, [])) = decode::<Vec<Place<K>>>(&bytes) else {
        return Ok(None);
    };
    let mut at = 0;
    let follows = |place: &Place<K>| {
        let fits = place.1 == at;
        at += u64::from(place.2);
        fits
    };
    let whole = index.iter().all(follows) && at == begin;
    Ok(whole.then_some((index, length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(series: usize, seconds: Range<i64>) -> Vec<Point<String>> {
        let names = (0..series).map(|number| format!("series {number:04}"));
        let of = |key: String| {
            seconds.clone().map(move |second| Point {
                key: key.clone(),
                tier: 0,
                second,
                summary: Summary::of(second as f64, 1.0),
            })
        };
        names.flat_map(of).collect()
    }

    fn read(archive: &Archive<String>, series: usize, seconds: Range<i64>) -> Vec<i64> {
        let found = archive.read(&format!("series {series:04}"), &seconds).unwrap();
        assert!(
            found
                .iter()
                .all(|(second, summary)| summary.sum == *second as f64)
        );
        found.into_keys().collect()
    }

    #[test]
    fn a_series_is_read_from_all_files_and_frames() {
        let place = tempfile::tempdir().unwrap();
        let mut archive = Archive::open(place.path()).unwrap();
        // Frames of 1024 points: series 20 stands in two of them, and series 2 in one of its own middle.
        archive.write(&points(60, 0..50)).unwrap();
        archive.write(&points(30, 60..110)).unwrap();
        let next = Archive::open(place.path()).unwrap();
        for archive in [&archive, &next] {
            for series in 0..30 {
                let seconds: Vec<i64> = (0..50).chain(60..110).collect();
                assert_eq!(read(archive, series, 0..1000), seconds, "{series}");
            }
            assert_eq!(read(archive, 59, 0..1000), (0..50).collect::<Vec<_>>());
            assert_eq!(read(archive, 60, 0..1000), Vec::<i64>::new());
            assert_eq!(read(archive, 20, 49..61), [49, 60]);
        }
    }

    #[test]
    fn a_long_series_fills_many_frames() {
        let place = tempfile::tempdir().unwrap();
        let mut archive = Archive::open(place.path()).unwrap();
        archive.write(&points(3, 0..3_000)).unwrap();
        for series in 0..3 {
            assert_eq!(
                read(&archive, series, 0..4_000),
                (0..3_000).collect::<Vec<_>>(),
                "{series}"
            );
        }
    }

    #[test]
    fn what_was_archived_twice_counts_once() {
        let place = tempfile::tempdir().unwrap();
        let mut archive = Archive::open(place.path()).unwrap();
        archive.write(&points(1, 0..60)).unwrap();
        archive.write(&points(1, 0..60)).unwrap();
        archive.write(&points(1, 30..90)).unwrap();
        assert_eq!(read(&archive, 0, 0..1000), (0..90).collect::<Vec<_>>());
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 2);
    }

    #[test]
    fn files_go_with_their_age_and_for_want_of_room() {
        let place = tempfile::tempdir().unwrap();
        let mut archive = Archive::open(place.path()).unwrap();
        for minute in 0..4 {
            archive.write(&points(1, minute * 60..minute * 60 + 60)).unwrap();
        }
        archive.expire(60).unwrap();
        assert_eq!(read(&archive, 0, 0..1000), (60..240).collect::<Vec<_>>());
        archive.shrink(archive.bytes() - 1).unwrap();
        assert_eq!(read(&archive, 0, 0..1000), (120..240).collect::<Vec<_>>());
        assert_eq!(archive.dropped(), 1);
        let on_disk: u64 = fs::read_dir(place.path())
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .sum();
        assert_eq!(archive.bytes(), on_disk);
        archive.shrink(0).unwrap();
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_that_is_not_whole_is_none() {
        let place = tempfile::tempdir().unwrap();
        Archive::open(place.path())
            .unwrap()
            .write(&points(3, 0..60))
            .unwrap();
        let path = fs::read_dir(place.path())
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        let whole = fs::read(&path).unwrap();
        for length in (0..whole.len()).rev().step_by(7) {
            fs::write(&path, &whole[..length]).unwrap();
            let archive = Archive::<String>::open(place.path()).unwrap();
            assert_eq!(read(&archive, 0, 0..100), Vec::<i64>::new(), "{length}");
            assert!(!path.exists());
        }
        // Damage in the middle is an error for whoever reads it, and no panic.
        for at in 0..whole.len() {
            let mut spoilt = whole.clone();
            spoilt[at] ^= 0x55;
            fs::write(&path, &spoilt).unwrap();
            let archive = Archive::<String>::open(place.path()).unwrap();
            let _ = archive.read(&"series 0001".to_owned(), &(0..100));
        }
    }
}
