//! Where datapoints are kept: in memory within bounds, and on disk beside the state, at most five seconds later.

use crate::series_key::Key;
use forebay_control::{Datapoint, Datapoints, PutError, Series, SeriesFilter};
use forebay_signals::Summary;
use forebay_signals::series::{Limits, Point, Resolution, Store, TIERS};
use forebay_store::archive::Archive;
use forebay_store::points::{Frame, PointFiles};
use forebay_telemetry::DatapointMetrics;
use forebay_units::Wall;
use forebay_units::lock::{lock, read, write};
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, RwLock};
use std::time::{Duration, Instant};

/// Time between two batches for the disk: the most that a crash loses, with as long again for writing.
const BATCH: Duration = Duration::from_secs(5);
/// Time between two checks for points that are old enough to be merged.
const COMPACT: Duration = Duration::from_secs(60);
/// Most metrics, and most memory for all points.
const LIMITS: Limits = Limits {
    series: 200_000,
    bytes: 256 << 20,
};
/// Seconds for which one-second points stay readable, as in CloudWatch; those no longer in memory are in the archive.
const SECONDS_KEPT: i64 = 3 * 3600;
/// Most bytes on disk for all points.
const DISK: u64 = 4 << 30;
/// Time between two checks whether so much is waiting that it must be written at once.
const LOOK: Duration = Duration::from_millis(100);
/// Most time that another process waits for points to be on disk.
const FLUSH: Duration = Duration::from_secs(2);
const FLUSH_LOOK: Duration = Duration::from_millis(5);
/// Bytes of waiting points beyond which they are written early.
const EARLY: usize = 8 << 20;
/// Most bytes of points that wait while the disk accepts none. Beyond that, points are lost to the disk, but not to memory.
const WAITING: usize = 64 << 20;
/// Most points that are written together, which bounds the memory for it.
const TOGETHER: usize = 8192;

struct Inner {
    store: Store<Key>,
    /// Points that are not on disk yet, in the order in which they came.
    fresh: Vec<Point<Key>>,
    fresh_bytes: usize,
    /// One-second points that are being moved from memory to the archive, by series.
    archiving: Arc<Vec<Point<Key>>>,
    /// Number of points that came while the queue for the disk was full.
    lost: u64,
    /// Bytes on disk, and the number of files that were deleted before their time.
    disk: (u64, u64),
    /// Everything on disk must be deleted.
    cleared: bool,
    /// Set while another process keeps the points: those that came since then, to be sent to it.
    diverted: Option<Vec<Datapoint>>,
    /// Everything that came before must be on disk at once.
    flush: bool,
}

impl Inner {
    /// Queues these points for the disk again, the oldest first; beyond the bound, the oldest are lost to it.
    fn wait_again(&mut self, mut points: Vec<Point<Key>>) {
        let mut waiting: usize = points.iter().map(bytes).sum();
        let mut lost = 0;
        for point in &points {
            if waiting <= WAITING {
                break;
            }
            waiting -= bytes(point);
            lost += 1;
        }
        points.drain(..lost);
        self.lost += lost as u64;
        self.fresh_bytes = waiting;
        self.fresh = points;
    }
}

/// All datapoints.
pub(crate) struct KeptDatapoints {
    inner: Mutex<Inner>,
    /// Never locked for writing while `inner` is held.
    archive: RwLock<Archive<Key>>,
}

/// Writes points to disk, on a thread of its own.
struct Keeper {
    kept: Arc<KeptDatapoints>,
    files: PointFiles,
    compacted: Instant,
    /// A failure is logged once, until it is over.
    failing: bool,
}

impl KeptDatapoints {
    /// Reads the datapoints in this directory, and keeps those that come from now on. `now` reads the clock; `go_on` waits
    /// for a duration and returns whether to continue.
    ///
    /// # Errors
    /// If the directory cannot be read or the thread not started.
    pub(crate) fn start(
        directory: &Path,
        now: impl Fn() -> Wall + Send + 'static,
        mut go_on: impl FnMut(Duration) -> bool + Send + 'static,
    ) -> io::Result<(Arc<KeptDatapoints>, std::thread::JoinHandle<()>)> {
        let mut keeper = Keeper::open(directory)?;
        let kept = Arc::clone(&keeper.kept);
        let thread = std::thread::Builder::new()
            .name("datapoints".to_owned())
            .spawn(move || {
                let mut waited = Duration::ZERO;
                while go_on(LOOK) {
                    waited += LOOK;
                    let is_due = {
                        let inner = keeper.kept.inner();
                        inner.flush || inner.fresh_bytes > EARLY || waited >= BATCH
                    };
                    if is_due {
                        waited = Duration::ZERO;
                        keeper.write(now().seconds());
                    }
                }
                keeper.write(now().seconds());
            })?;
        Ok((kept, thread))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }

    /// Leaves the files to another process. When it returns, everything that came before is on disk, unless the disk fails.
    /// Blocks.
    pub(crate) fn lay_down(&self) {
        {
            let mut inner = self.inner();
            inner.diverted = Some(Vec::new());
            inner.flush = true;
        }
        let began = Instant::now();
        while self.inner().flush && began.elapsed() < FLUSH {
            std::thread::sleep(FLUSH_LOOK);
        }
        self.inner().flush = false;
    }

    /// Takes the points that came since then, for the other process.
    pub(crate) fn diverted(&self) -> Vec<Datapoint> {
        self.inner()
            .diverted
            .as_mut()
            .map(core::mem::take)
            .unwrap_or_default()
    }

    /// Keeps points in this process again, including those that came meanwhile.
    pub(crate) fn take_up_again(&self) {
        let diverted = self.inner().diverted.take().unwrap_or_default();
        if let Err(error) = self.put(diverted) {
            tracing::error!(cause = %error.cause, "datapoints were lost");
        }
    }
}

/// The values of a metric by second.
type BySecond = BTreeMap<i64, Summary>;

impl KeptDatapoints {
    /// Figures of what is kept and what was lost.
    pub(crate) fn metrics(&self) -> DatapointMetrics {
        let inner = self.inner();
        DatapointMetrics {
            series: inner.store.len() as u64,
            memory_bytes: inner.store.bytes() as u64,
            disk_bytes: inner.disk.0,
            points_dropped: inner.store.dropped() + inner.lost,
            files_dropped: inner.disk.1,
        }
    }

    /// One-second points in `seconds` that are not in memory any more. An unreadable file costs only its points.
    fn archived(&self, keys: &[Key], archiving: &[Point<Key>], seconds: &Range<i64>) -> Vec<BySecond> {
        let archive = read(&self.archive);
        let of = |key: &Key| {
            let mut found = archive.read(key, seconds).unwrap_or_else(|error| {
                tracing::error!(%error, "archived datapoints cannot be read");
                BySecond::new()
            });
            let from = archiving.partition_point(|point| point.key < *key);
            let moving = archiving[from..].iter().take_while(|point| point.key == *key);
            for point in moving.filter(|point| seconds.contains(&point.second)) {
                // A point may be in both, if it was archived just now.
                found.entry(point.second).or_insert_with(|| point.summary.clone());
            }
            found
        };
        keys.iter().map(of).collect()
    }
}

/// Merges points that belong to the same wider one. They come sorted by series, then second.
fn widen(points: impl IntoIterator<Item = Point<Key>>, tier: usize) -> Vec<Point<Key>> {
    let mut wider: Vec<Point<Key>> = Vec::new();
    for point in points {
        let second = point.second - point.second.rem_euclid(TIERS[tier].width);
        match wider.last_mut() {
            Some(last) if last.second == second && last.key == point.key => {
                last.summary.merge(&point.summary)
            }
            _ => wider.push(Point {
                second,
                tier,
                ..point
            }),
        }
    }
    wider
}

/// Approximate size of a waiting point.
fn bytes(point: &Point<Key>) -> usize {
    size_of::<Point<Key>>() + point.summary.bytes()
}

fn restore(store: &mut Store<Key>, tier: usize, frame: Frame<Key>) {
    if let Some(second) = frame.widened
        && let Some(below) = tier.checked_sub(1)
    {
        store.set_widened(below, second);
    }
    for (place, second, summary) in frame.points {
        let Some(key) = frame.series.get(place as usize) else {
            continue;
        };
        // When they were written, the bound held. If it was lowered since, the newest are lost.
        let _ = store.restore(&Point {
            key: key.clone(),
            tier,
            second,
            summary,
        });
    }
}

impl Keeper {
    fn open(directory: &Path) -> io::Result<Keeper> {
        let files = PointFiles::open(directory, DISK)?;
        let mut store = Store::new(LIMITS);
        let damaged = files.read(|tier, frame: Frame<Key>| restore(&mut store, tier, frame))?;
        for path in damaged {
            tracing::warn!(path = %path.display(), "a file of datapoints is truncated: the points at its end are lost");
        }
        let kept = Arc::new(KeptDatapoints {
            inner: Mutex::new(Inner {
                store,
                fresh: Vec::new(),
                fresh_bytes: 0,
                archiving: Arc::default(),
                lost: 0,
                disk: (0, 0),
                cleared: false,
                diverted: None,
                flush: false,
            }),
            archive: RwLock::new(Archive::open(&directory.join("seconds"))?),
        });
        Ok(Keeper {
            kept,
            files,
            compacted: Instant::now(),
            failing: false,
        })
    }

    fn clear(&mut self) -> io::Result<()> {
        let mut archive = write(&self.kept.archive);
        archive.shrink(0)?;
        self.files.clear()
    }

    fn write(&mut self, now: i64) {
        let (fresh, cleared) = {
            let mut inner = self.kept.inner();
            // Another process writes and merges the points.
            if inner.diverted.is_some() && !inner.flush {
                return;
            }
            inner.fresh_bytes = 0;
            (
                core::mem::take(&mut inner.fresh),
                core::mem::take(&mut inner.cleared),
            )
        };
        if cleared && let Err(error) = self.clear() {
            tracing::error!(%error, "datapoints that were forgotten cannot be deleted");
        }
        // What was not written is queued again in front of newer points, so that the order on disk stays that of arrival.
        if let Err((error, mut left)) = self.append(now, fresh) {
            if !self.failing {
                tracing::error!(%error, "datapoints cannot be written: a restart would lose them");
            }
            self.failing = true;
            let mut inner = self.kept.inner();
            left.append(&mut inner.fresh);
            inner.wait_again(left);
            return;
        }
        self.kept.inner().flush = false;
        if core::mem::take(&mut self.failing) {
            tracing::info!("datapoints are written again");
        }
        if self.compacted.elapsed() >= COMPACT {
            self.compacted = Instant::now();
            self.compact(now);
        }
    }

    fn append(&mut self, now: i64, points: Vec<Point<Key>>) -> Result<(), (io::Error, Vec<Point<Key>>)> {
        let mut tiers: [Vec<Point<Key>>; TIERS.len()] = Default::default();
        for point in points {
            tiers[point.tier].push(point);
        }
        for tier in 0..TIERS.len() {
            for (number, points) in tiers[tier].chunks(TOGETHER).enumerate() {
                if let Err(error) = self.files.append(now, tier, &Frame::of(points, None)) {
                    tiers[tier].drain(..number * TOGETHER);
                    return Err((error, tiers[tier..].concat()));
                }
            }
        }
        Ok(())
    }

    /// Merges old points to wider ones and writes those; one-second points go to the archive unchanged. Points that could
    /// not be written stay narrow after a restart, which does no harm.
    fn compact(&mut self, now: i64) {
        let mut tiers: [Vec<Point<Key>>; TIERS.len()] = Default::default();
        let (widened, seconds) = {
            let mut inner = self.kept.inner();
            inner.store.compact(now, |point| tiers[point.tier].push(point));
            inner.archiving = Arc::new(core::mem::take(&mut tiers[1]));
            let widened = [0, 1, 2].map(|tier| inner.store.widened(tier));
            (widened, Arc::clone(&inner.archiving))
        };
        self.archive(&seconds, now);
        self.kept.inner().archiving = Arc::default();
        tiers[1] = seconds.to_vec();
        // The widest first: a frame that says that narrower points were merged must not be on disk before the merged ones
        // are.
        for tier in (1..TIERS.len()).rev() {
            let points = widen(core::mem::take(&mut tiers[tier]), tier);
            let frames = points.len().div_ceil(TOGETHER);
            for (number, points) in points.chunks(TOGETHER).enumerate() {
                let is_last = number + 1 == frames;
                let frame = Frame::of(points, is_last.then_some(widened[tier - 1]));
                if let Err(error) = self.files.append(now, tier, &frame) {
                    tracing::error!(%error, "datapoints cannot be written: a restart would lose them");
                    return;
                }
            }
        }
        if let Err(error) = self.files.expire(now) {
            tracing::error!(%error, "old datapoints cannot be deleted");
        }
        let archive = read(&self.kept.archive);
        let (archived, dropped) = (archive.bytes(), archive.dropped());
        drop(archive);
        let bytes = self.files.bytes().unwrap_or_default();
        self.kept.inner().disk = (bytes + archived, self.files.dropped() + dropped);
    }

    fn archive(&self, seconds: &[Point<Key>], now: i64) {
        let archive = || {
            let mut archive = write(&self.kept.archive);
            archive.write(seconds)?;
            archive.expire(now - SECONDS_KEPT)?;
            // If the disk is full, the oldest of the finest points go first.
            archive.shrink(DISK.saturating_sub(self.files.bytes()?))
        };
        if let Err(error) = archive() {
            tracing::error!(%error, "one-second datapoints cannot be archived: only their minutes are kept");
        }
    }
}

impl Datapoints for KeptDatapoints {
    fn put(&self, points: Vec<Datapoint>) -> Result<(), PutError> {
        let mut inner = self.inner();
        if let Some(diverted) = &mut inner.diverted {
            diverted.extend(points);
            return Ok(());
        }
        for point in points {
            let resolution = if point.high_resolution {
                Resolution::High
            } else {
                Resolution::Standard
            };
            let key = Key::of(&point.series, point.unit);
            let put = inner
                .store
                .put(&key, point.at.seconds(), resolution, point.summary);
            let point = put.map_err(|error| PutError { cause: error.into() })?;
            let size = bytes(&point);
            if inner.fresh_bytes + size <= WAITING {
                inner.fresh_bytes += size;
                inner.fresh.push(point);
            } else {
                inner.lost += 1;
            }
        }
        Ok(())
    }

    fn read(
        &self,
        series: &Series,
        from: Wall,
        to: Wall,
        period_seconds: u32,
        unit: Option<&str>,
    ) -> Vec<(Wall, Summary)> {
        let (range, period) = (from.seconds()..to.seconds(), i64::from(period_seconds));
        let mut all = BySecond::new();
        let mut add = |second, summary: Summary| {
            all.entry(second)
                .and_modify(|all| all.merge(&summary))
                .or_insert(summary);
        };
        let mut keys: Vec<Key> = Vec::new();
        let (archived, archiving) = {
            let inner = self.inner();
            let of_series = inner.store.keys(Key::of(series, None)..);
            let of_series = of_series.take_while(|key| key.is_of(series));
            keys.extend(
                of_series
                    .filter(|key| unit.is_none_or(|unit| unit == key.unit()))
                    .cloned(),
            );
            for key in &keys {
                for (second, summary) in inner.store.read(key, range.clone(), period) {
                    add(second, summary);
                }
            }
            let until = range.end.min(inner.store.widened(0));
            let archived = if inner.cleared {
                range.start..range.start
            } else {
                range.start..until
            };
            (archived, Arc::clone(&inner.archiving))
        };
        if period < TIERS[1].width && !archived.is_empty() {
            for (second, summary) in self.archived(&keys, &archiving, &archived).into_iter().flatten() {
                add(second - (second - range.start).rem_euclid(period), summary);
            }
        }
        all.into_iter()
            .map(|(second, summary)| (Wall::from_seconds(second), summary))
            .collect()
    }

    fn units(&self, series: &Series) -> Vec<String> {
        let inner = self.inner();
        let keys = inner.store.keys(Key::of(series, None)..);
        let keys = keys.take_while(|key| key.is_of(series));
        keys.map(|key| key.unit().to_owned()).collect()
    }

    fn list(&self, region: &str, filter: &SeriesFilter) -> Vec<Series> {
        let inner = self.inner();
        let since = filter.active_since.map(Wall::seconds);
        let mut found: Vec<Series> = inner
            .store
            .series()
            .filter(|(key, newest)| key.region() == region && since.is_none_or(|since| *newest >= since))
            .map(|(key, _)| key.series())
            .filter(|series| filter.fits(series))
            .collect();
        found.dedup();
        found
    }

    fn clear(&self) {
        let mut inner = self.inner();
        inner.store = Store::new(LIMITS);
        inner.fresh.clear();
        inner.fresh_bytes = 0;
        inner.archiving = Arc::default();
        inner.cleared = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    fn series(name: &str) -> Series {
        Series {
            region: "local-1".to_owned(),
            namespace: "N".to_owned(),
            name: name.to_owned(),
            dimensions: vec![("D".to_owned(), "1".to_owned())],
        }
    }

    fn point(name: &str, second: i64, unit: Option<&str>, value: f64) -> Datapoint {
        Datapoint {
            series: series(name),
            at: Wall::from_seconds(second),
            unit: unit.map(str::to_owned),
            summary: Summary::of(value, 1.0),
            high_resolution: true,
        }
    }

    /// Kept datapoints whose thread writes when it is told to, and ends with the sender.
    fn open(directory: &Path) -> (Arc<KeptDatapoints>, mpsc::Sender<()>, std::thread::JoinHandle<()>) {
        let (go, told) = mpsc::channel();
        let (kept, thread) = KeptDatapoints::start(
            directory,
            || Wall::from_seconds(1_000),
            move |_| told.recv().is_ok(),
        )
        .unwrap();
        (kept, go, thread)
    }

    fn sums(kept: &KeptDatapoints, name: &str, unit: Option<&str>) -> Vec<(i64, f64)> {
        let read = kept.read(
            &series(name),
            Wall::from_seconds(0),
            Wall::from_seconds(2_000),
            1,
            unit,
        );
        read.iter()
            .map(|(at, summary)| (at.seconds(), summary.sum))
            .collect()
    }

    #[test]
    fn what_was_put_is_there_in_the_next_run() {
        let place = tempfile::tempdir().unwrap();
        let (kept, go, thread) = open(place.path());
        let points = [
            point("a", 990, None, 1.0),
            point("a", 990, Some("Count"), 2.0),
            point("b", 991, None, 4.0),
        ];
        kept.put(points.to_vec()).unwrap();
        drop(go);
        thread.join().unwrap();
        let (again, go, thread) = open(place.path());
        for kept in [&kept, &again] {
            assert_eq!(sums(kept, "a", None), [(990, 3.0)]);
            assert_eq!(sums(kept, "a", Some("Count")), [(990, 2.0)]);
            assert_eq!(sums(kept, "a", Some("None")), [(990, 1.0)]);
            assert_eq!(kept.units(&series("a")), ["None", "Count"]);
            let named = |name: &str| SeriesFilter {
                name: Some(name.to_owned()),
                ..SeriesFilter::default()
            };
            assert_eq!(
                kept.list("local-1", &SeriesFilter::default()),
                [series("a"), series("b")]
            );
            assert_eq!(kept.list("local-1", &named("b")), [series("b")]);
            assert_eq!(kept.list("local-2", &named("b")), []);
        }
        drop(go);
        thread.join().unwrap();
    }

    #[test]
    fn seconds_are_read_for_hours_from_memory_and_then_from_disk() {
        let place = tempfile::tempdir().unwrap();
        let mut keeper = Keeper::open(place.path()).unwrap();
        let begin = 6_000;
        let points: Vec<Datapoint> = (0..180)
            .flat_map(|second| {
                let both = [(None, 1.0), (Some("Count"), 2.0)];
                both.map(|(unit, value)| point("a", begin + second, unit, value))
            })
            .collect();
        keeper.kept.put(points).unwrap();
        keeper.write(begin + 180);
        let read = |keeper: &Keeper, from: i64, period: u32, unit: Option<&str>| {
            let (from, to) = (Wall::from_seconds(from), Wall::from_seconds(begin + 180));
            let read = keeper.kept.read(&series("a"), from, to, period, unit);
            let values = read.into_iter().map(|(at, summary)| (at.seconds(), summary.sum));
            values.collect::<Vec<_>>()
        };
        let questions = [
            (begin, 1, None),
            (begin + 7, 1, None),
            (begin, 1, Some("Count")),
            (begin + 3, 10, None),
            (begin, 60, None),
            (begin, 180, Some("None")),
        ];
        let ask = |keeper: &Keeper| questions.map(|(from, period, unit)| read(keeper, from, period, unit));
        let wanted = ask(&keeper);
        assert_eq!((wanted[0].len(), wanted[3][0]), (180, (begin + 3, 30.0)));
        // As a read sees it that comes while a minute is on its way; then one minute is archived, then all, then it is the next run.
        let moving = {
            let mut inner = keeper.kept.inner();
            let mut moving = Vec::new();
            inner
                .store
                .compact(begin + 60 + 15 * 60, |point| moving.push(point));
            inner.archiving = Arc::new(moving);
            Arc::clone(&inner.archiving)
        };
        assert_eq!(ask(&keeper), wanted);
        keeper.archive(&moving, begin + 960);
        assert_eq!(ask(&keeper), wanted);
        keeper.compact(begin + 1_000);
        assert_eq!(read(&keeper, begin + 60, 1, None), wanted[0][60..]);
        keeper.compact(begin + 2_000);
        assert_eq!(ask(&keeper)[..4], wanted[..4]);
        let keeper = Keeper::open(place.path()).unwrap();
        assert_eq!(ask(&keeper)[..4], wanted[..4]);
    }

    #[test]
    fn what_a_disk_does_not_take_waits_within_bounds() {
        let place = tempfile::tempdir().unwrap();
        let keeper = Keeper::open(place.path()).unwrap();
        keeper.kept.put(vec![point("a", 1, None, 1.0)]).unwrap();
        let mut inner = keeper.kept.inner();
        let one = inner.fresh[0].clone();
        let room = WAITING / bytes(&one);
        let numbered = |second| Point {
            second,
            ..one.clone()
        };
        inner.wait_again((0..room as i64 + 3).map(numbered).collect());
        assert_eq!(
            (inner.fresh.len(), inner.lost, inner.fresh[0].second),
            (room, 3, 3)
        );
        assert!(inner.fresh_bytes <= WAITING);
    }

    #[test]
    fn archived_seconds_go_with_their_age_and_when_all_is_forgotten() {
        let place = tempfile::tempdir().unwrap();
        let mut keeper = Keeper::open(place.path()).unwrap();
        for second in [0, 100_000] {
            keeper.kept.put(vec![point("a", second, None, 1.0)]).unwrap();
            keeper.compact(second + 2_000);
        }
        let read = |keeper: &Keeper| {
            let (from, to) = (Wall::from_seconds(0), Wall::from_seconds(200_000));
            keeper.kept.read(&series("a"), from, to, 1, None).len()
        };
        assert_eq!(read(&keeper), 1);
        keeper.kept.clear();
        assert_eq!(read(&keeper), 0);
        keeper.write(102_000);
        assert_eq!(read(&keeper), 0);
        assert_eq!(keeper.kept.archive.read().unwrap().bytes(), 0);
    }
}
